"""A national feed: everything one nation will release in an exercise, in order of time. Pure, and open loop: it takes
nothing from the bus, so the live process, the simulated run and the scorer all get the same releases to the bit.

- A newly confirmed track goes out at once, as `launch_detected` and in a frame; all live tracks go out every report interval.
- A track that ended goes out as `dropped`, and what the nation's operator says of two tracks as `decorrelation`. Everything
  leaves the nation's release delay after it was known.
- With nothing to say the feed says nothing.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator
from typing import Final, Literal, NamedTuple

from bus import release
from bus.columns import Reports
from bus.messages import MAX_FRAME_ROWS
from bus.release import Nation
from sensors.detect import Scan, Scanner
from sensors.instruments import find_sensors
from sensors.places import GroundPoint
from sensors.scenario import DecorrelationPlan, Scenario
from sensors.tracker import EndReason, NationalTracker, Track, impact_of, report
from sensors.truth import Truth

_NS: Final = 1_000_000_000
IMPACT_EVERY_S: Final = 10


class Known(NamedTuple):
    """What stands beside one report of a frame, where a scorer asks for it.

    The launch that the track follows (an index, -1 where none), the nation's launch point estimate, and its impact point
    prediction, made every IMPACT_EVERY_S.
    """

    follows: int
    launch: GroundPoint | None
    impact: GroundPoint | None


class Release(NamedTuple):
    """One thing that a feed lets go: a frame or a launch with its reports, the numbers of tracks that ended and why, or an
    operator's word.
    """

    released_ns: int
    kind: Literal["frame", "launch_detected", "dropped", "decorrelation"]
    to: release.Release
    reports: Reports | None = None
    tracks: list[int] = []  # noqa: RUF012 - never changed
    reason: EndReason = "lost"
    known: list[Known] = []  # noqa: RUF012 - never changed
    word: DecorrelationPlan | None = None


class NationalFeed:
    """One nation's feed of a scenario; see the module's text. `scored`: with what a scorer asks of each report (`Known`)."""

    def __init__(self, scenario: Scenario, truth: Truth, nation: Nation, seed: int, *, scored: bool = False) -> None:
        self._scenario, self._truth, self._nation, self._seed, self._scored = scenario, truth, nation, seed, scored
        self._plan = scenario.nations[nation]
        self._sensors = find_sensors(list(self._plan.sensors), nation, scenario.source, f"nations.{nation}.sensors")
        self._to = release.release(nation, *self._plan.release_to)
        self.origins: dict[int, str | None] = {}
        self.first_seen: dict[str, tuple[int, int]] = {}

    def sensor_names(self) -> list[str]:
        """The catalogue names of the nation's sensors."""
        return list(self._sensors)

    def releases(self) -> Iterator[Release]:
        """Every release in order of time; each call begins afresh. `origins` and `first_seen` are complete when it has run."""
        yield from heapq.merge(self._of_tracks(), self._words(), key=lambda release: release.released_ns)

    def _words(self) -> Iterator[Release]:
        """What the nation's operator says."""
        own = [word for word in self._scenario.decorrelations if word.nation == self._nation]
        for word in sorted(own, key=lambda word: word.at_s):
            after_s = word.at_s + self._plan.release_delay_s
            yield Release(self._truth.start_ns + round(after_s * _NS), "decorrelation", self._to, word=word)

    def _of_tracks(self) -> Iterator[Release]:
        self.origins.clear()
        self.first_seen.clear()
        self._visible_ns: dict[int, int] = {}
        delay_ns = round(self._plan.release_delay_s * _NS)
        tracker = NationalTracker([sensor.bit for sensor in self._sensors.values()])
        counts: dict[int, Counter[int]] = {}
        scanners = [Scanner(sensor, self._scenario, self._truth, self._nation, self._seed) for sensor in self._sensors.values()]
        interval_ns = round(self._plan.report_interval_s * _NS)
        next_ns = self._truth.start_ns + interval_ns
        for scan in _merged(scanners):
            while next_ns < scan.at_ns:
                yield from self._frames(tracker.live(), next_ns, delay_ns)
                next_ns += interval_ns
            self._note_seen(scan)
            confirmed, ended = tracker.step(scan)
            for track in confirmed:
                counts[track.number] = track.origins
                self.origins[track.number] = self._origin(track.origins)
            for frame in self._frames(confirmed, scan.at_ns, delay_ns):
                yield frame._replace(kind="launch_detected")
                yield frame
            for each in ended:
                yield Release(scan.at_ns + delay_ns, "dropped", self._to, tracks=[each.number], reason=each.reason)
        self.origins.update({number: self._origin(each) for number, each in counts.items()})

    def _frames(self, tracks: list[Track], at_ns: int, delay_ns: int) -> Iterator[Release]:
        for begin in range(0, len(tracks), MAX_FRAME_ROWS):
            held = [track for track in tracks[begin : begin + MAX_FRAME_ROWS] if track.at_ns <= at_ns]
            if held:
                block = report(held, at_ns)
                yield Release(at_ns + delay_ns, "frame", self._to, block, known=self._known(held, at_ns) if self._scored else [])

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
