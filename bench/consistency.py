"""How consistent released tracks are with truth, by nation and phase: NEES, its tail, and the error of the position.

NEES is the normalised squared error of the state (Bar-Shalom, Li and Kirubarajan, 2001, section 5.4); ANEES is its mean divided
by 6, so that 1 is consistent. Reports of one run share their noise and their bias, so a run is one sample: its sums are kept, and
the standard error is that of a ratio of sums over runs, which is the means of the runs weighted by their reports.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from typing import Final, Literal

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from bench.world import World
from bus.columns import unpack_cov
from bus.release import NATIONS, Nation
from physics.frames import bearing_rad, ground_distance_m
from physics.ground import ELLIPSE_95
from sensors.feed import IMPACT_EVERY_S
from sensors.places import GroundPoint
from sensors.truth import PHASE_BOOST, PHASE_COAST, PHASE_REENTRY

Float = NDArray[np.float64]
Phase = Literal["boost", "coast", "re-entry"]
Key = tuple[Nation, int]

NEES_999: Final = 22.457744  # the 99.9 percent point of chi-square with 6 degrees of freedom
_PHASES: Final[dict[int, Phase]] = {PHASE_BOOST: "boost", PHASE_COAST: "coast", PHASE_REENTRY: "re-entry"}


class PhaseFigures(Struct, frozen=True, kw_only=True):
    """The reports of one nation in one phase: how many, ANEES, how far off its own chance may have put it, the tail, the error.

    `anees_sigma` is the standard error of `anees`, None after one run; `outside_999` the share of reports whose NEES is above the
    99.9 percent point, 0.001 where errors are as claimed; `position_rms_m` the root mean square error of the position.
    `lpe_coverage` and `ipp_coverage` are the shares of launch point estimates and of impact point predictions whose 95-percent
    ellipse holds the true point, None where there were none. A report is held against the launch that its track's latest
    detections came from; there is no such one while they are merged or mixed, and such reports count nowhere here.
    """

    nation: Nation
    phase: Phase
    reports: int
    anees: float
    anees_sigma: float | None
    outside_999: float
    position_rms_m: float
    lpe_coverage: float | None
    ipp_coverage: float | None


class Consistency(PhaseFigures, frozen=True, kw_only=True):
    """The same, of one scenario."""

    scenario: str


def sums_of_run(world: World) -> dict[Key, Float]:
    """By nation and true phase, over the released rows that follow a launch: how many, and the sums of NEES / 6, of those
    beyond the 99.9 percent point, and of the squared error of the position; how many launch points, and those in their ellipse;
    and the same of impact points.

    A row is held against the launch that its track followed then: after a swap, against the other.
    """
    sums: dict[Key, Float] = defaultdict(lambda: np.zeros(8))
    for nation in NATIONS:
        for phase, values in _rows(world, nation):
            for key in _PHASES:
                if (phase == key).any():
                    sums[nation, key] += values[phase == key].sum(axis=0)
    return sums


def _rows(world: World, nation: Nation) -> Iterable[tuple[NDArray[np.int8], Float]]:
    """A frame at a time: each row's true phase, and what it adds to the sums."""
    truth = world.truth
    for release in world.releases[nation]:
        block = release.reports
        if release.kind != "frame" or block is None:
            continue
        at_ns = int(block.valid_ns[0])  # a feed's frame holds at one instant
        phases = truth.phase_at(at_ns)
        rows = np.array(
            [i for i, known in enumerate(release.known) if known.follows >= 0 and phases[known.follows] >= 0], np.int64
        )
        if not len(rows):
            continue
        launch = np.array([release.known[i].follows for i in rows])
        off = block.state[rows] - truth.states_at(at_ns)[launch]
        scaled = np.linalg.solve(unpack_cov(block.cov[rows]), off[..., None])[..., 0]
        nees = (off * scaled).sum(axis=1)
        places = []
        for i, index in zip(rows.tolist(), launch.tolist(), strict=True):
            known, true = release.known[i], truth.launches[index]
            asked = at_ns // 1_000_000_000 % IMPACT_EVERY_S == 0
            held = _holds(known.launch if asked else None, true.launch_lat_deg, true.launch_lon_deg)
            places.append([*held, *_holds(known.impact, true.impact_lat_deg, true.impact_lon_deg)])
        one = np.ones((len(rows), 1))
        errors = np.stack([nees / 6.0, nees > NEES_999, (off[:, :3] ** 2).sum(axis=1)], axis=1)
        yield phases[launch], np.hstack([one, errors, np.array(places)])


def _holds(point: GroundPoint | None, lat_deg: float, lon_deg: float) -> tuple[float, float]:
    """(1, whether its 95-percent ellipse holds a place), (0, 0) where there is no point."""
    if point is None:
        return 0.0, 0.0
    lat, lon = math.radians(lat_deg), math.radians(lon_deg)
    distance_m = ground_distance_m(point.lat_rad, point.lon_rad, lat, lon)
    bearing = bearing_rad(point.lat_rad, point.lon_rad, lat, lon)
    east, both, north = point.spread
    off = distance_m * np.array([math.sin(bearing), math.cos(bearing)])
    return 1.0, float(off @ np.linalg.solve(np.array([[east, both], [both, north]]), off) <= ELLIPSE_95**2)


def figures(key: Key, runs: list[Float]) -> PhaseFigures:
    """The figures of one nation and phase from the sums of every run that has some."""
    nation, phase = key
    sums = np.array(runs)
    reports, scaled, outside, squared_m2, launches, launches_held, impacts, impacts_held = sums.sum(axis=0)
    anees = scaled / reports
    sigma = None
    if len(sums) > 1:
        apart = sums[:, 1] - anees * sums[:, 0]
        sigma = float(np.sqrt((apart**2).sum() * len(sums) / (len(sums) - 1)) / reports)
    return PhaseFigures(
        nation=nation,
        phase=_PHASES[phase],
        reports=int(reports),
        anees=round(float(anees), 3),
        anees_sigma=None if sigma is None else round(sigma, 4),
        outside_999=round(float(outside / reports), 5),
        position_rms_m=round(float(np.sqrt(squared_m2 / reports)), 1),
        lpe_coverage=round(float(launches_held / launches), 4) if launches else None,
        ipp_coverage=round(float(impacts_held / impacts), 4) if impacts else None,
    )
