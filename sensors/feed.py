"""A national feed: everything one nation will release in an exercise, in order of time. Pure, and open loop: it takes
nothing from the bus, so the live process, the simulated run and the scorer all get the same releases to the bit.

- A newly confirmed track is reported at once; all live tracks are every report interval.
- What leaves of these, of tracks that ended and of what the nation's operator says, to whom and when, is the outlet's business.
- With nothing to say the feed says nothing.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final

from bus.release import Nation
from sensors.detect import Scan, Scanner
from sensors.facts import FactFinder
from sensors.instruments import find_sensors
from sensors.outlet import Known, Outlet, Release, track_numbers
from sensors.policy import Decided
from sensors.scenario import DecorrelationPlan, Scenario
from sensors.tracker import NationalTracker, Track, impact_of, report
from sensors.truth import Truth

__all__ = ["Known", "NationalFeed", "Release"]

_NS: Final = 1_000_000_000
IMPACT_EVERY_S: Final = 10


class NationalFeed:
    """One nation's feed of a scenario; see the module's text. `scored`: with what a scorer asks of each report (`Known`).

    `on_decision` hears every decision of the release policy on a track, as it is first made and as it changes.
    """

    def __init__(
        self,
        scenario: Scenario,
        truth: Truth,
        nation: Nation,
        seed: int,
        *,
        scored: bool = False,
        on_decision: Callable[[Decided], None] | None = None,
    ) -> None:
        self._scenario, self._truth, self._nation, self._seed, self._scored = scenario, truth, nation, seed, scored
        self._plan, self._policies, self._on_decision = scenario.nations[nation], scenario.policies, on_decision
        self._sensors = find_sensors(list(self._plan.sensors), nation, scenario.source, f"nations.{nation}.sensors")
        self.origins: dict[int, str | None] = {}
        self.first_seen: dict[str, tuple[int, int]] = {}

    def sensor_names(self) -> list[str]:
        """The catalogue names of the nation's sensors."""
        return list(self._sensors)

    def releases(self) -> Iterator[Release]:
        """Every release in order of time; each call begins afresh. `origins` and `first_seen` are complete when it has run."""
        self.origins.clear()
        self.first_seen.clear()
        self._visible_ns: dict[int, int] = {}
        outlet = Outlet(self._policies, self._nation, self._words(), self._on_decision)
        facts = FactFinder({sensor.bit: name for name, sensor in self._sensors.items()})
        policy = self._policies[self._nation]
        tracker = NationalTracker([sensor.bit for sensor in self._sensors.values()], track_numbers(policy, self._seed))
        counts: dict[int, Counter[int]] = {}
        scanners = [Scanner(sensor, self._scenario, self._truth, self._nation, self._seed) for sensor in self._sensors.values()]
        interval_ns = round(self._plan.report_interval_s * _NS)
        next_ns = self._truth.start_ns + interval_ns
        for scan in _merged(scanners):
            while next_ns < scan.at_ns:
                self._report(outlet, facts, tracker.live(), next_ns)
                yield from outlet.due(next_ns)
                next_ns += interval_ns
            self._note_seen(scan)
            confirmed, ended = tracker.step(scan)
            for track in confirmed:
                counts[track.number] = track.origins
                self.origins[track.number] = self._origin(track.origins)
            self._report(outlet, facts, confirmed, scan.at_ns)
            for each in ended:
                outlet.end(each.number, each.reason, scan.at_ns)
            yield from outlet.due(scan.at_ns)
        yield from outlet.rest()
        self.origins.update({number: self._origin(each) for number, each in counts.items()})

    def _words(self) -> Iterator[tuple[int, DecorrelationPlan]]:
        """What the nation's operator says, and when, ns."""
        for word in self._scenario.decorrelations:
            if word.nation == self._nation:
                yield self._truth.start_ns + round(word.at_s * _NS), word

    def _report(self, outlet: Outlet, facts: FactFinder, tracks: list[Track], at_ns: int) -> None:
        held = [track for track in tracks if track.at_ns <= at_ns]
        if held:
            block = report(held, at_ns)
            asked = self._policies[self._nation].conditions
            found = facts.of(block, [track.lifts for track in held]) if asked else []
            outlet.report(block, at_ns, found, self._known(held, at_ns) if self._scored else [])

    def _known(self, tracks: list[Track], at_ns: int) -> list[Known]:
        due = at_ns // _NS % IMPACT_EVERY_S == 0
        return [Known(track.follows(), track.launch, impact_of(track, at_ns) if due else None) for track in tracks]

    def _origin(self, origins: Counter[int]) -> str | None:
        index, count = origins.most_common(1)[0] if origins else (-1, 0)
        return self._truth.launches[index].launch_id if index >= 0 and count * 2 > origins.total() else None

    def _note_seen(self, scan: Scan) -> None:
        """For the scorer: when each launch could first be seen, and when it first was detected."""
        for index in scan.visible.tolist():
            self._visible_ns.setdefault(index, scan.at_ns)
        for index in scan.origin[scan.origin >= 0].tolist():
            launch_id = self._truth.launches[index].launch_id
            self.first_seen.setdefault(launch_id, (self._visible_ns[index], scan.at_ns))


def _merged(scanners: list[Scanner]) -> Iterator[Scan]:
    """The scans of all sensors in order of time; at the same instant by pedigree bit."""
    yield from heapq.merge(*(scanner.scans() for scanner in scanners), key=lambda scan: (scan.at_ns, scan.bit))
