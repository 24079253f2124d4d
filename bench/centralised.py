"""A centralised tracker: the bound on what sharing tracks can give.

One national tracker (`sensors.tracker`) that gets the scans of every sensor of all nations, the same scans as theirs, as soon
as they are made: no interval of reports, no delay, and no track that has to be joined with another.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import NamedTuple

from bench.accuracy import gospa_at
from bench.world import World
from bus.columns import Reports
from bus.release import NATIONS
from sensors.detect import Scanner
from sensors.instruments import find_sensors
from sensors.tracker import NationalTracker, report

_NS = 1_000_000_000


class Centralised(NamedTuple):
    """Its tracks at one instant, and the launch that each follows (an index, -1 where none)."""

    at_ns: int
    reports: Reports | None
    follows: list[int]


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


def centralised(world: World) -> Iterator[Centralised]:
    """What it holds at every whole second from the exercise's start to its end."""
    scanners = all_scanners(world)
    tracker = NationalTracker([scanner.sensor.bit for scanner in scanners])
    scans = heapq.merge(*(scanner.scans() for scanner in scanners), key=lambda scan: (scan.at_ns, scan.bit))
    next_ns = world.truth.start_ns + _NS
    for scan in scans:
        while next_ns < scan.at_ns:
            yield _held(tracker, next_ns)
            next_ns += _NS
        tracker.step(scan)
    while next_ns <= world.truth.end_ns:
        yield _held(tracker, next_ns)
        next_ns += _NS


def _held(tracker: NationalTracker, at_ns: int) -> Centralised:
    tracks = tracker.live()
    return Centralised(at_ns, report(tracks, at_ns) if tracks else None, [track.follows() for track in tracks])


def centralised_gospa_m(world: World, cutoff_m: float) -> list[float]:
    """Its GOSPA, m, at every whole second at which something flies that was detected, or is held."""
    detected, found = world.detected_ns(), []
    for at_ns, reports, _ in centralised(world):
        seen = [i for i, first_ns in enumerate(detected) if first_ns is not None and first_ns <= at_ns]
        held = [] if reports is None else [(state, at_ns) for state in reports.state]
        value = gospa_at(world.truth, seen, held, at_ns, cutoff_m)
        if value is not None:
            found.append(value)
    return found
