"""The picture against truth: NEES, GOSPA, whether the right tracks were held together, and the raid count. Pure.

NEES: Bar-Shalom, Li and Kirubarajan, Estimation with Applications to Tracking and Navigation, 2001, section 5.4; divided by
the dimension here, so that 1 is consistent. GOSPA: Rahmathullah, Garcia-Fernandez and Svensson, Generalized optimal
sub-pattern assignment metric, FUSION 2017, equation 1, with alpha = 2.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from bench.world import World
from bus.columns import SystemTracks, unpack_cov
from bus.messages import Raid
from bus.release import NATIONS
from sensors.truth import Truth

Float = NDArray[np.float64]


def nees(errors: Float, covs: Float) -> Float:
    """Normalised estimation errors squared (k,) of errors (k, 6) under their covariances (k, 6, 6), divided by 6."""
    weighed = np.linalg.solve(covs, errors[..., None])[..., 0]
    squared: Float = np.einsum("kc,kc->k", errors, weighed)
    return squared / 6.0


class Errors(NamedTuple):
    """Of the rows of a block that follow a launch in flight: its phase (k,), the errors (k, 6), and their NEES / 6 (k,)."""

    phase: NDArray[np.int8]
    off: Float
    nees: Float


def against(truth: Truth, block: SystemTracks, launches: NDArray[np.int64]) -> Errors:
    """The rows against the launches (n,) that they follow (indices, -1: none), each at its own valid time."""
    found: list[Errors] = []
    for valid_ns in np.unique(block.valid_ns).tolist():
        rows = np.flatnonzero((block.valid_ns == valid_ns) & (launches >= 0))
        phases = truth.phase_at(valid_ns)[launches[rows]]
        rows, phases = rows[phases >= 0], phases[phases >= 0]
        if len(rows):
            off = block.state[rows] - truth.states_at(valid_ns)[launches[rows]]
            found.append(Errors(phases, off, nees(off, unpack_cov(block.cov[rows]))))
    if not found:
        return Errors(np.empty(0, np.int8), np.empty((0, 6)), np.empty(0))
    return Errors(*(np.concatenate(each) for each in zip(*found, strict=True)))


def origins_of(world: World, members: Iterable[int]) -> list[str | None]:
    """The launches that the members of a system track (national numbers in order, 0: none) follow; None of a false track."""
    return [world.origin(nation, track) for nation, track in zip(NATIONS, members, strict=True) if track]


def followed(world: World, block: SystemTracks) -> NDArray[np.int64]:
    """For each row the launch that all its members follow (an index), -1 where they do not agree."""
    launches = np.full(len(block), -1, np.int64)
    for row, members in enumerate(block.members.tolist()):
        origins = set(origins_of(world, members))
        only = origins.pop() if len(origins) == 1 else None
        if only is not None:
            launches[row] = world.index(only)
    return launches


def gospa(distances: Float, cutoff: float) -> float:
    """GOSPA with p = 2, alpha = 2 from the distances (n truths, m estimates), in the distances' unit."""
    truths, estimates = distances.shape
    cost = np.minimum(distances, cutoff) ** 2
    rows, columns = linear_sum_assignment(cost)
    matched = cost[rows, columns]
    localised = matched < cutoff**2
    unmatched = truths + estimates - 2 * int(localised.sum())
    return float(np.sqrt(matched[localised].sum() + unmatched * cutoff**2 / 2.0))


def gospa_at(truth: Truth, detected: list[int], held: list[tuple[Float, int]], at_ns: int, cutoff_m: float) -> float | None:
    """GOSPA, m, of the states (6,) `held`, each with its valid time, ns, against the launches `detected` (indices) that fly at
    `at_ns`; None where nothing flies and nothing is held. A state is held against truth at its own time.
    """
    flying = [i for i in detected if np.isfinite(truth.states_at(at_ns)[i, 0])]
    if not flying and not held:
        return None
    distances = np.full((len(flying), len(held)), np.inf)
    for column, (state, valid_ns) in enumerate(held):
        positions = truth.states_at(valid_ns)[flying, :3]
        distances[:, column] = np.nan_to_num(np.linalg.norm(positions - state[:3], axis=1), nan=np.inf)
    return gospa(np.minimum(distances, cutoff_m), cutoff_m)


@dataclass(slots=True)
class RaidScore:
    """Holds the raid count told against the true number, second by second."""

    told: Raid | None = None
    largest: float | None = None
    total: float | None = None
    true: int = 0
    seconds: int = 0
    inside: int = 0

    def take(self, raid: Raid | None) -> None:
        """The count of a picture frame, which holds until the next."""
        self.told = raid
        if raid is not None:
            self.largest = max(self.largest or 0.0, raid.in_flight.expected)
            self.total = raid.total.expected

    def sample(self, flying: int) -> None:
        """One second in which so many were in flight; none told is none counted."""
        self.true = max(self.true, flying)
        if flying or self.told is not None:
            least, most = (self.told.in_flight.least, self.told.in_flight.most) if self.told is not None else (0, 0)
            self.seconds += 1
            self.inside += least <= flying <= most


@dataclass(slots=True)
class PictureScore:
    """Accumulates the accuracy of one recipient's picture, row by row and second by second."""

    world: World
    cutoff_m: float
    nees: list[float] = field(default_factory=list)
    pairs_right: int = 0
    pairs: int = 0
    gospa_m: list[float] = field(default_factory=list)
    systems: set[int] = field(default_factory=set)
    raid: RaidScore = field(default_factory=RaidScore)
    _held: dict[int, tuple[Float, int]] = field(default_factory=dict)

    def take(self, block: SystemTracks, dropped: Iterable[int]) -> None:
        """Score the rows of a picture frame, and hold them for the next sample."""
        self.nees += against(self.world.truth, block, followed(self.world, block)).nees.tolist()
        for row, system in enumerate(block.system.tolist()):
            self.systems.add(system)
            self._held[system] = (block.state[row], int(block.valid_ns[row]))
            for one, other in combinations(origins_of(self.world, block.members[row].tolist()), 2):
                self.pairs += 1
                self.pairs_right += one is not None and one == other
        for system in dropped:
            self._held.pop(system, None)

    def sample(self, detected: Iterable[int], at_ns: int) -> None:
        """One sample of GOSPA and of the raid count at `at_ns`: what is held against the launches `detected` that are in flight.

        `detected` are indices.
        """
        seen = list(detected)
        self.raid.sample(int(np.isfinite(self.world.truth.states_at(at_ns)[seen, 0]).sum()))
        found = gospa_at(self.world.truth, seen, list(self._held.values()), at_ns, self.cutoff_m)
        if found is not None:
            self.gospa_m.append(found)
