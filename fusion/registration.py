"""Registration: by how much a feed's reports are displaced against the others', in position and in time, and what is taken off.

Objects that two feeds see tell the relative offset of the two: least squares over the differences of their latest reports,
position and time together. Where offsets are so large that no pair would be held one object, pairs and offset are sought
together (`fusion.pattern`).

Rules:
- Within what they claim, feeds are taken as they are. An offset, place and clock together, counts where it is beyond the reports'
  own covariance, of places and velocities as that ties them, their errors taken to be wholly the same, whichever one object is
  left out: one that is tracked wrong is none.
  It stops counting where no offset explains the differences nearly as well as the one found.
- An offset beyond what offsets may be is of different objects: of a ripple of launches, each seen as the one before or after.
- Differences do not tell whose the offset is. A feed's prior is in proportion to its own errors, of the surest quarter of its
  tracks: the less sure one is moved more. What this leaves open (`fusion.offsets`) is told in the covariance of what is fused.
- It is a function of the latest reports, smoothed over time. It keeps no sum over looks: errors persist from look to look. What
  feeds no longer tell, for want of objects in common, fades.
- Reports that tell a part of a state (`fusion.partial`) tell of no offset, and nothing of how sure a feed is.
- What comes of it is taken off a nation's reports as they are held (`Clusters.correct`), before anything compares them.
"""

from __future__ import annotations

import itertools
import math
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bus.release import NATIONS
from fusion.apart import brought, differences, joined, own_var, telling
from fusion.clusters import Clusters
from fusion.offsets import NO_OFFSETS, WIDTH, Told, likeliest, open_of
from fusion.partial import prior_of
from fusion.pattern import find_pattern
from fusion.settings import FusionSettings
from fusion.tables import NONE

Float = NDArray[np.float64]
Rows = NDArray[np.int64]

PAIRS: Final = tuple(itertools.combinations(range(len(NATIONS)), 2))
_MOST_OWN: Final = 1000  # tracks that tell how sure a feed is: taken evenly from all
_MOST_UNMET: Final = 24  # of each feed, where pairs are sought too: that grows with their cube, and a frame may wait for it
_STILL_COUNTS_CHI2: Final = 9.5  # an offset found is kept while it explains so much more than none: 0.95 at 4 dof
_NO_OFFSET_CHI2: Final = 23.5  # an offset as unlikely as this, 1e-4 at 4 dof, by the widest prior, is none
_LEAST_VAR_M2: Final = 1.0  # on each axis, of a feed's own errors
_SHARPEST: Final = np.repeat([1e-2, 1e-4], 3)  # m2, m2/s2: no report is surer


class Offset(NamedTuple):
    """One feed against another: what is taken off between them, m (3,) and s, and one sigma of its length and of the time.

    Where nothing is taken off these are how far apart the feeds may be all the same, and NaN where nobody can tell.
    """

    position_m: Float
    time_s: float
    sigma_m: float
    sigma_s: float


_NOT_KNOWN: Final = Offset(np.zeros(3), 0.0, math.nan, math.nan)


class Registration:
    """The offsets of the nations' feeds. `offsets` (3, 4) are what their reports are off by: m on three axes ECEF, and s.

    `left_open` (8, 4, 4) is the covariance of what a system track is still off by, by the nations that report it (a bit each).
    """

    def __init__(self, settings: FusionSettings, miss: float, motion: Float, bias_var: Float) -> None:
        self._settings, self._miss, self._motion, self._bias = settings, miss, motion, bias_var
        self._whole = prior_of(settings.association)
        self.offsets = np.zeros((len(NATIONS), WIDTH))
        self.left_open = np.zeros((1 << len(NATIONS), WIDTH, WIDTH))
        self._found = NO_OFFSETS
        self._prior_var = np.ones(len(NATIONS))
        self._counts: dict[tuple[int, int], Told] = {}
        self._within: dict[tuple[int, int], tuple[Told, int, Float]] = {}
        self._at_ns = 0

    def between(self, one: int, other: int) -> Offset:
        """What is taken off between two nations, by their columns: nothing where they are as they claim."""
        if not self.offsets.any():
            within = self._within.get((min(one, other), max(one, other)))
            return _NOT_KNOWN if within is None else left_as_is(*within)
        at, to = one * WIDTH, other * WIDTH
        shift = self.offsets[one] - self.offsets[other]
        both = np.hstack([np.arange(at, at + WIDTH), np.arange(to, to + WIDTH)])
        less = np.hstack([np.eye(WIDTH), -np.eye(WIDTH)])
        cov = less @ self._found.cov[np.ix_(both, both)] @ less.T
        return Offset(shift[:3], float(shift[3]), math.sqrt(np.trace(cov[:3, :3])), math.sqrt(cov[3, 3]))

    def due(self, at_ns: int) -> bool:
        """Whether it is time for another look, by the newest report's time."""
        return at_ns - self._at_ns >= self._settings.association.look_every_s * 1e9

    def review(self, clusters: Clusters, at_ns: int) -> bool:
        """Look at what the feeds say of the same objects, as often as for pairs; whether `offsets` changed."""
        rules = self._settings.registration
        if not self.due(at_ns):
            return False
        self._prior_var = np.array([self._prior_var_of(clusters, column) for column in range(len(NATIONS))])
        widest = np.sqrt(np.column_stack([self._prior_var] * 3 + [np.full(len(NATIONS), rules.clock_s**2)]))
        for pair in PAIRS:
            self._compare(clusters, pair, 1.0 / (widest[list(pair)] ** 2).sum(axis=0))
        before = self.offsets
        if self._counts:
            self._found = likeliest(self._counts, widest)
        wanted = self._found.mean if self._counts else np.zeros_like(before)
        passed_s = max(at_ns - self._at_ns, 0) / 1e9
        share = 1.0 if not before.any() else 1.0 - math.exp(-passed_s / rules.smooth_s)
        self.offsets = np.array(before + share * (wanted - before), np.float64)
        if not self._counts and np.abs(self.offsets[:, :3]).max() < rules.least_m:
            self.offsets, self._found = np.zeros_like(self.offsets), NO_OFFSETS
        displaced = np.flatnonzero(self.offsets.any(axis=1)).tolist()
        self.left_open = open_of(self._found, self.offsets, self._prior_var, displaced)
        self._at_ns = at_ns
        return bool((self.offsets != before).any())

    def _compare(self, clusters: Clusters, pair: tuple[int, int], prior: Float) -> None:
        """Note of two feeds what they tell of the offset of the first against the second where it counts, and how far apart they
        may be where it does not: it is within what reports claim, had all objects the same error or any one of them a wrong
        track. Nothing where they see too few objects in common, or it is further than offsets are. `prior` (4,) is the
        information of the offset beforehand.
        """
        before, _ = self._counts.pop(pair, None), self._within.pop(pair, None)
        rules, held = self._settings.registration, clusters.reports
        rows = self._joined(clusters, *pair)
        if len(rows) < rules.least_objects:
            rows = np.vstack([rows, self._matched(clusters, *pair)])
        if len(rows) < rules.least_objects:
            return
        apart, spread, velocity, pull = differences(
            rows[:, 0], rows[:, 1], held.valid_ns, held.state, held.shift, held.cov, held.phase, self._motion
        )
        each = told_by(apart, spread, velocity, pull)
        told = Told(each.information.sum(axis=0), each.weighed.sum(axis=0))
        offset = np.linalg.solve(told.information + np.diag(prior), told.weighed)
        if offset @ (prior * offset) >= _NO_OFFSET_CHI2:
            return
        clock_var = 1.0 / float(prior[3])
        far = common_chi2(each, clock_var)
        if before is not None:
            rest = each.weighed - each.information @ (self.offsets[pair[0]] - self.offsets[pair[1]])
            counts = far > common_chi2(each._replace(weighed=rest), clock_var) + _STILL_COUNTS_CHI2
        else:
            counts = far > rules.counts_chi2 and least_chi2(each, clock_var) > rules.counts_chi2
        if counts:
            self._counts[pair] = told
        else:
            self._within[pair] = told, len(rows), prior

    def _prior_var_of(self, clusters: Clusters, column: int) -> float:
        """Variance of a feed's offset on each axis beforehand, m2: by its own errors."""
        own = own_var(clusters.rows_of(column, _MOST_OWN), clusters.reports.cov, self._whole)
        if math.isnan(own):
            return self._settings.association.bias_m**2
        return self._settings.registration.sigmas**2 * max(own, _LEAST_VAR_M2)

    def _joined(self, clusters: Clusters, one: int, other: int) -> Rows:
        """Rows of reports (k, 2) of the two nations that are members of one system track: of many, a selection of all."""
        table, held = clusters.systems, clusters.reports
        return joined(table.number, table.mask, table.members, one, other, held.valid_ns, held.cov, self._whole)

    def _matched(self, clusters: Clusters, one: int, other: int) -> Rows:
        """Rows of reports (k, 2) of the two nations that a common offset makes the same objects; none where that is not sure.

        Sought for a feed that is a stranger to all. Two that agree with a third agree, and what one alone reports the other
        cannot see.
        """
        rules, none = self._settings.registration, np.empty((0, 2), np.int64)
        if not (self._stranger(clusters, one) or self._stranger(clusters, other)):
            return none
        sides = [self._unmet(clusters, one, other), self._unmet(clusters, other, one)]
        if min(map(len, sides)) < rules.least_objects:
            return none
        held = clusters.reports
        at_ns = int(held.valid_ns[np.hstack(sides)].max())
        (xa, pa), (xb, pb) = (
            brought(rows, at_ns, held.valid_ns, held.state, held.shift, held.cov, held.phase, self._motion) for rows in sides
        )
        prior = float(self._prior_var[one] + self._prior_var[other])
        pattern = find_pattern(xa, pa, xb, pb, prior, self._bias, self._miss)
        if pattern is None or pattern.margin < self._settings.association.sure or len(pattern.pairs) < rules.least_objects:
            return none
        return np.stack([sides[0][pattern.pairs[:, 0]], sides[1][pattern.pairs[:, 1]]], axis=1)

    def _stranger(self, clusters: Clusters, column: int) -> bool:
        """Whether hardly any of a nation's tracks are held one object with anybody's."""
        mask = clusters.systems.mask
        joined = (mask & (1 << column) != 0) & (mask != 1 << column)
        return int(np.count_nonzero(joined)) < self._settings.registration.least_objects

    def _unmet(self, clusters: Clusters, column: int, other: int) -> Rows:
        """Rows of a nation's reports that are in a system track without one of `other`: of the first founded."""
        table = clusters.systems
        systems = np.flatnonzero((table.number != 0) & (table.mask & (1 << column | 1 << other) == 1 << column))
        first = systems[np.argsort(table.number[systems], kind="stable")[:_MOST_UNMET]]
        rows: Rows = table.members[first, column]
        return telling(rows[rows != NONE], clusters.reports.cov, self._whole)


def told_by(apart: Float, spread: Float, velocity: Float, pull: Float) -> Told:
    """What each of k objects tells of an offset of place and clock, (k, 4, 4) and (k, 4), of what `differences` gives."""
    moves = np.zeros((len(apart), 6, WIDTH))
    moves[:, :3, :3], moves[:, :3, 3], moves[:, 3:, 3] = np.eye(3), velocity, pull
    weighed = np.linalg.solve(spread + np.diag(_SHARPEST), moves)
    return Told(np.einsum("kia,kib->kab", moves, weighed), np.einsum("kia,ki->ka", weighed, apart))


def common_chi2(each: Told, clock_var: float) -> float:
    """How far from none the likeliest offset of place and clock is that explains the differences, had all the same error.

    `each` is what objects tell of it, information (k, 4, 4) and that times the offset (k, 4), of places and velocities as their
    covariances tie them. `clock_var`, s2, is that of the clock before: of objects that fly alike nothing else tells it from a
    place. The offset is weighed by information, and is taken to be no surer than by one object of the mean information. A sum of
    k errors has at most k times the sum of their covariances, whatever is the same in them. So errors within what is claimed make
    a chi-square of four degrees of freedom, or less.
    """
    information, weighed = each.information.sum(axis=0), each.weighed.sum(axis=0)
    information[-1, -1] += 1.0 / clock_var
    return float(weighed @ np.linalg.solve(information, weighed)) / len(each.weighed)


def least_chi2(each: Told, clock_var: float) -> float:
    """The least `common_chi2` of all but one: what it is though any one object may be wrong. Of one object nothing."""
    k = len(each.weighed)
    if k < 2:
        return 0.0
    others = 1.0 - np.eye(k)  # summed: what little they tell would be lost in a difference
    information, weighed = np.tensordot(others, each.information, 1), others @ each.weighed
    information[:, -1, -1] += 1.0 / clock_var
    return float(np.einsum("ka,ka->k", weighed, np.linalg.solve(information, weighed[..., None])[..., 0]).min()) / (k - 1)


def left_as_is(told: Told, objects: int, prior: Float) -> Offset:
    """How far apart two feeds may be of which nothing is taken off, by what they tell of so many objects, had all the same error.

    Their likeliest offset is open too: it is within what reports claim, and stays where it is. `prior` (4,) is its information.
    """
    cov = np.linalg.inv(told.information / objects + np.diag(prior))
    offset = cov @ told.weighed / objects
    second = cov + np.outer(offset, offset)
    return Offset(np.zeros(3), 0.0, math.sqrt(np.trace(second[:3, :3])), math.sqrt(second[3, 3]))
