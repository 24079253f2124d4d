"""A recipient's fused picture against truth: estimates, who is held together with whom, and the points on the ground.

A national track follows the launch that its latest detections came from (`sensors.feed.Known`). While those are merged or
mixed nobody can say, and such reports count in no estimate; who belongs together then goes by what the track followed last.
A system track follows what all of its members follow; one whose members do not agree is mixed.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import combinations
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bench.accuracy import against, gospa_at
from bench.distort import FED_BACK, Arrival
from bench.world import World
from bus.columns import SystemTracks
from bus.messages import Alert, PictureFrame, Place, system_tracks_of
from bus.release import NATIONS, Nation
from physics.frames import bearing_rad, ground_distance_m

Float = NDArray[np.float64]

PHASES: Final = ("boost", "coast", "re-entry")  # by number: `sensors.truth`
PLACES_EVERY_S: Final = 10
_NS: Final = 1_000_000_000
_STANDS: Final = ("quick", "confirmed", "updated")


Followed = dict[tuple[int, int], int]  # by nation's column and track: a launch, -1 where that is not known


@dataclass(slots=True)
class Sums:
    """What one run adds up to.

    estimates: (3, 3) by phase: how many, their NEES / 6, their squared errors of position, m2. places: (2, 2) launch points and
    impacts: how many, and how many in their ellipse. pairs: two members of one system track at a whole second; right: that
    follow one launch. swaps: how often a system track's launch became another; by_fusion: without that a national track which
    stayed in it had itself become another's. due: two nations with a track of one launch; met: in one system track.
    """

    estimates: Float = field(default_factory=lambda: np.zeros((3, 3)))
    places: Float = field(default_factory=lambda: np.zeros((2, 2)))
    pairs: int = 0
    right: int = 0
    due: int = 0
    met: int = 0
    swaps: int = 0
    by_fusion: int = 0
    gospa_m: list[float] = field(default_factory=list)


class FusedScore:
    """Scores the picture of one recipient as it changes, and at whole seconds."""

    def __init__(self, world: World, cutoff_m: float, recipient: Nation = NATIONS[0]) -> None:
        self.sums = Sums()
        self._world, self._cutoff_m, self._recipient = world, cutoff_m, recipient
        self._detected = world.detected_ns()
        self._now: dict[tuple[int, int], tuple[int, int]] = {}  # by nation's column and track: valid time, what it follows
        self._last: dict[tuple[int, int], int] = {}  # the same, what it followed when that was last known
        self._held: dict[int, tuple[SystemTracks, int]] = {}
        self._led: dict[int, Followed] = {}  # by system track: what its members followed when they last agreed
        self._alerts: dict[str, Alert] = {}

    def hear(self, arrival: Arrival) -> None:
        """Note what the tracks of a release follow; an older report than the newest tells nothing."""
        block, column = arrival.release.reports, NATIONS.index(arrival.nation)
        if block is None:
            return
        for track, valid_ns, known in zip(block.track.tolist(), block.valid_ns.tolist(), arrival.release.known, strict=True):
            if valid_ns > self._now.get((column, track), (-1, -1))[0]:
                self._now[column, track] = valid_ns, known.follows
                if known.follows >= 0:
                    self._last[column, track] = known.follows

    def take(self, alerts: Iterable[Alert], pictures: Iterable[PictureFrame]) -> None:
        """Score the rows that changed, and hold them."""
        for alert in alerts:
            if alert.recipient == self._recipient:
                self._alerts[alert.id] = alert
        for frame in pictures:
            if frame.recipient == self._recipient:
                self._show(frame)

    def picture(self) -> SystemTracks | None:
        """All that is held."""
        rows = [block.take(np.array([i])) for block, i in self._held.values()]
        return SystemTracks.join(rows) if rows else None

    def follows_now(self, system: int) -> int:
        """The launch that every member of a system track follows at this time, -1 where they do not agree or do not know."""
        return _agreed([self._now.get(member, (0, -1))[1] for member in self._members(system)])

    def seen_of(self, system: int) -> int:
        """The launch that those members follow that are made of detections, and were not fed back; -1 as above."""
        members = [member for member in self._members(system) if member[1] < FED_BACK]
        return _agreed([self._now.get(member, (0, -1))[1] for member in members])

    def sample(self, at_ns: int) -> None:
        """At a whole second: who is held together, GOSPA, and now and then the points on the ground."""
        followed = {system: {each: self._last.get(each, -1) for each in self._members(system)} for system in self._held}
        self._count_pairs(followed)
        for system, launches in followed.items():
            launch = _agreed(list(launches.values()))
            if launch >= 0:
                self._count_swap(self._led.get(system, launches), launches)
                self._led[system] = launches
        seen = [i for i, first_ns in enumerate(self._detected) if first_ns is not None and first_ns <= at_ns]
        held = [(block.state[i], int(block.valid_ns[i])) for block, i in self._held.values()]
        found = gospa_at(self._world.truth, seen, held, at_ns, self._cutoff_m)
        if found is not None:
            self.sums.gospa_m.append(found)
        if at_ns // _NS % PLACES_EVERY_S == 0:
            self._place(at_ns)

    def _members(self, system: int) -> list[tuple[int, int]]:
        if system not in self._held:
            return []
        block, row = self._held[system]
        return [(column, track) for column, track in enumerate(block.members[row].tolist()) if track]

    def _show(self, frame: PictureFrame) -> None:
        block, _ = system_tracks_of(frame)
        self._held.update({system: (block, i) for i, system in enumerate(block.system.tolist())})
        for system in frame.dropped:
            self._held.pop(system, None)
        launches = np.array([self.follows_now(system) for system in block.system.tolist()], np.int64)
        phase, off, nees = against(self._world.truth, block, launches)
        np.add.at(self.sums.estimates, phase, np.column_stack([np.ones(len(nees)), nees, (off[:, :3] ** 2).sum(axis=1)]))

    def _count_swap(self, before: Followed, now: Followed) -> None:
        if _agreed([*before.values()]) != _agreed([*now.values()]):
            self.sums.swaps += 1
            self.sums.by_fusion += all(now[each] == before[each] for each in now.keys() & before.keys())

    def _count_pairs(self, followed: dict[int, Followed]) -> None:
        systems: dict[int, dict[int, set[int]]] = defaultdict(lambda: defaultdict(set))  # by launch and nation
        for system, launches in followed.items():
            for one, other in combinations(launches.values(), 2):
                self.sums.pairs += 1
                self.sums.right += one >= 0 and one == other
            for (column, _), launch in launches.items():
                if launch >= 0:
                    systems[launch][column].add(system)
        for by_nation in systems.values():
            for here, there in combinations(by_nation.values(), 2):
                self.sums.due += 1
                self.sums.met += bool(here & there)

    def _place(self, at_ns: int) -> None:
        """The points that standing alerts tell, of system tracks whose launch is known; impacts only while it flies."""
        phases = self._world.truth.phase_at(at_ns)
        for alert in self._alerts.values():
            launch = self.follows_now(alert.system) if alert.state in _STANDS else -1
            if launch < 0:
                continue
            true = self._world.truth.launches[launch]
            if alert.launch is not None:
                self.sums.places[0] += 1.0, holds(alert.launch, true.launch_lat_deg, true.launch_lon_deg)
            if alert.impact is not None and phases[launch] >= 0:
                self.sums.places[1] += 1.0, holds(alert.impact, true.impact_lat_deg, true.impact_lon_deg)


def _agreed(launches: list[int]) -> int:
    return launches[0] if launches and len(set(launches)) == 1 else -1


def holds(place: Place, lat_deg: float, lon_deg: float) -> bool:
    """Whether a place's 95-percent ellipse holds a point."""
    here, there = ((math.radians(lat), math.radians(lon)) for lat, lon in ((place.lat_deg, place.lon_deg), (lat_deg, lon_deg)))
    distance_m = ground_distance_m(*here, *there)
    turned = bearing_rad(*here, *there) - math.radians(place.bearing_deg)
    along, across = distance_m * math.cos(turned), distance_m * math.sin(turned)
    return math.hypot(along / max(place.semi_major_m, 1e-9), across / max(place.semi_minor_m, 1e-9)) <= 1.0
