"""The simulated world and the national feeds: truth, sensors, detections, national trackers, release to the bus."""
