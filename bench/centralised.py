"""A centralised tracker: the bound on what sharing tracks can give.

One national tracker (`sensors.tracker`) that gets the scans of every sensor of all nations, the same scans as theirs, as soon
as they are made: no delay, and no track that has to be joined with another. Its tracks go through a fusion engine as the only
feed, so that what is lost is kept as a prediction there too.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator

from bench.world import World
from bus.release import NATIONS
from sensors.detect import Scanner
from sensors.feed import Known, Release
from sensors.instruments import find_sensors
from sensors.tracker import Ended, NationalTracker, report

_NS = 1_000_000_000


def all_scanners(world: World) -> list[Scanner]:
    """A scanner for every sensor of every nation, with the random stream that it has in its nation's feed."""
    scenario = world.scenario
    return [
        Scanner(sensor, scenario, world.truth, nation, world.seed)
        for nation in NATIONS
        for sensor in find_sensors(
            list(scenario.nations[nation].sensors), nation, scenario.source, f"nations.{nation}.sensors"
        ).values()
    ]


def centralised(world: World) -> Iterator[Release]:
    """What it holds at every whole second from the exercise's start to its end, as the releases of a feed without delay."""
    scanners = all_scanners(world)
    tracker = NationalTracker([scanner.sensor.bit for scanner in scanners])
    scans = heapq.merge(*(scanner.scans() for scanner in scanners), key=lambda scan: (scan.at_ns, scan.bit))
    scan = next(scans, None)
    for at_ns in range(world.truth.start_ns + _NS, world.truth.end_ns + 1, _NS):
        ended: list[Ended] = []
        while scan is not None and scan.at_ns <= at_ns:
            ended += tracker.step(scan)[1]
            scan = next(scans, None)
        for each in ended:
            yield Release(at_ns, "dropped", NATIONS, tracks=[each.number], reason=each.reason)
        tracks = tracker.live()
        if tracks:
            known = [Known(track.follows(), None, None) for track in tracks]
            yield Release(at_ns, "frame", NATIONS, report(tracks, at_ns), known=known)
