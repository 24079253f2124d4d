"""Registration: by how much a feed's reports are displaced against the others', in position and in time, and what is taken off.

Objects that two feeds see tell the relative offset of the two: least squares over the differences of their latest reports,
position and time together. Where offsets are so large that no pair would be held one object, pairs and offset are sought
together (`fusion.pattern`).

Rules:
- Within what they claim, feeds are taken as they are. An offset, place and clock together, counts where it is beyond the reports'
  own covariance, their errors taken to be wholly the same, whichever one object is left out: one that is tracked wrong is none.
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
from fusion.align import flown
from fusion.blocks import Symmetric, factor, inverse_of, plus
from fusion.clusters import Clusters
from fusion.offsets import NO_OFFSETS, WIDTH, Told, likeliest, open_of
from fusion.partial import prior_of, tells_whole
from fusion.pattern import find_pattern
from fusion.settings import FusionSettings
from fusion.tables import NONE
from fusion.triangle import VARIANCES, square, traces
from physics.compile import inlined, jit
from physics.motion import ballistic_acceleration

Float = NDArray[np.float64]
Rows = NDArray[np.int64]

PAIRS: Final = tuple(itertools.combinations(range(len(NATIONS)), 2))
_MOST: Final = 48  # objects a look goes by: more tell no more of what is common to all
_MOST_OWN: Final = 1000  # tracks that tell how sure a feed is: taken evenly from all
_MOST_UNMET: Final = 24  # of each feed, where pairs are sought too: that grows with their cube, and a frame may wait for it
_TOGETHER_NS: Final = 5_000_000_000  # reports further apart in time tell more of flight than of offsets
_WIDEST: Final = (300e3, 3e3)  # m, m/s: a report that is less sure tells nothing, and its numbers are beyond computing with
_LEAST_VAR_M2: Final = 1.0  # no report is surer
_STILL_COUNTS_CHI2: Final = 9.5  # an offset found is kept while it explains so much more than none: 0.95 at 4 dof
_NO_OFFSET_CHI2: Final = 23.5  # an offset as unlikely as this, 1e-4 at 4 dof, by the widest prior, is none
_SUREST: Final = 0.25  # of a feed's tracks: those that have just begun are less sure than it is off
_SHARPEST: Final = np.repeat([_LEAST_VAR_M2, 0.01], 3)  # m2, m2/s2


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
        self._own_var = np.ones(len(NATIONS))
        self._counts: dict[tuple[int, int], Told] = {}
        self._within: dict[tuple[int, int], Offset] = {}
        self._at_ns = 0

    def between(self, one: int, other: int) -> Offset:
        """What is taken off between two nations, by their columns: nothing where they are as they claim."""
        if not self.offsets.any():
            return self._within.get((min(one, other), max(one, other)), _NOT_KNOWN)
        at, to = one * WIDTH, other * WIDTH
        shift = self.offsets[one] - self.offsets[other]
        both = np.hstack([np.arange(at, at + WIDTH), np.arange(to, to + WIDTH)])
        less = np.hstack([np.eye(WIDTH), -np.eye(WIDTH)])
        cov = less @ self._found.cov[np.ix_(both, both)] @ less.T
        return Offset(shift[:3], float(shift[3]), math.sqrt(np.trace(cov[:3, :3])), math.sqrt(cov[3, 3]))

    def review(self, clusters: Clusters, at_ns: int) -> bool:
        """Look at what the feeds say of the same objects, as often as for pairs; whether `offsets` changed."""
        rules = self._settings.registration
        if at_ns - self._at_ns < self._settings.association.look_every_s * 1e9:
            return False
        for pair in PAIRS:
            self._compare(clusters, pair)
        before = self.offsets
        if self._counts:
            self._own_var = np.array([self._prior_var(clusters, column) for column in range(len(NATIONS))])
            self._found = likeliest(self._counts, self._widest(self._own_var))
        wanted = self._found.mean if self._counts else np.zeros_like(before)
        passed_s = max(at_ns - self._at_ns, 0) / 1e9
        share = 1.0 if not before.any() else 1.0 - math.exp(-passed_s / rules.smooth_s)
        self.offsets = np.array(before + share * (wanted - before), np.float64)
        if not self._counts and np.abs(self.offsets[:, :3]).max() < rules.least_m:
            self.offsets, self._found = np.zeros_like(self.offsets), NO_OFFSETS
        displaced = np.flatnonzero(self.offsets.any(axis=1)).tolist()
        self.left_open = open_of(self._found, self.offsets, self._own_var, displaced)
        self._at_ns = at_ns
        return bool((self.offsets != before).any())

    def _compare(self, clusters: Clusters, pair: tuple[int, int]) -> None:
        """Note of two feeds what they tell of the offset of the first against the second where it counts, and how far apart they
        may be where it does not: it is within what reports claim, had all objects the same error or any one of them a wrong
        track. Nothing where they see too few objects in common, or it is further than offsets are.
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
        spread += np.diag(_SHARPEST)
        moves = np.zeros((len(rows), 6, WIDTH))
        moves[:, :3, :3], moves[:, :3, 3], moves[:, 3:, 3] = np.eye(3), velocity, pull
        weighed = np.linalg.solve(spread, moves)
        told = Told(np.einsum("kia,kib->ab", moves, weighed), np.einsum("kia,ki->a", weighed, apart))
        widest = self._widest(np.array([self._prior_var(clusters, column) for column in pair]))
        prior = 1.0 / (widest**2).sum(axis=0)
        offset = np.linalg.solve(told.information + np.diag(prior), told.weighed)
        if offset @ (prior * offset) >= _NO_OFFSET_CHI2:
            return
        clock_var = 1.0 / float(prior[3])
        far = common_chi2(apart, spread, velocity, clock_var)
        if before is not None:
            rest = apart - moves @ (self.offsets[pair[0]] - self.offsets[pair[1]])
            counts = far > common_chi2(rest, spread, velocity, clock_var) + _STILL_COUNTS_CHI2
        else:
            counts = far > rules.counts_chi2 and least_chi2(apart, spread, velocity, clock_var) > rules.counts_chi2
        if counts:
            self._counts[pair] = told
        else:
            self._within[pair] = left_as_is(told, len(rows), prior)

    def _widest(self, own_var: Float) -> Float:
        """One sigma of the widest prior (n, 4) of feeds' offsets, by the variances (n,) of `_prior_var`."""
        widest = np.empty((len(own_var), WIDTH))
        widest[:, :3], widest[:, 3] = np.sqrt(own_var)[:, None], self._settings.registration.clock_s
        return widest

    def _prior_var(self, clusters: Clusters, column: int) -> float:
        """Variance of a feed's offset on each axis, m2: by its own errors, as of its surest quarter."""
        held = clusters.reports
        reported = clusters.rows_of(column)
        rows = telling(reported[:: 1 + len(reported) // _MOST_OWN], held.cov, self._whole)
        if not len(rows):
            return self._settings.association.bias_m**2
        own = float(np.quantile(held.cov[rows][:, VARIANCES[:3]].sum(axis=1), _SUREST)) / 3.0
        return self._settings.registration.sigmas**2 * min(max(own, 1.0), _WIDEST[0] ** 2)

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
        prior = self._prior_var(clusters, one) + self._prior_var(clusters, other)
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


def left_as_is(told: Told, objects: int, prior: Float) -> Offset:
    """How far apart two feeds may be of which nothing is taken off, by what they tell of so many objects, had all the same error.

    Their likeliest offset is open too: it is within what reports claim, and stays where it is. `prior` (4,) is its information.
    """
    cov = np.linalg.inv(told.information / objects + np.diag(prior))
    offset = cov @ told.weighed / objects
    second = cov + np.outer(offset, offset)
    return Offset(np.zeros(3), 0.0, math.sqrt(np.trace(second[:3, :3])), math.sqrt(second[3, 3]))


@jit
def tells(cov: Float, prior_var: Float) -> bool:
    """Whether a report of this covariance is sure enough to tell of an offset, and of all its directions."""
    place, speed = traces(cov)
    sure: bool = place < _WIDEST[0] ** 2 and speed < _WIDEST[1] ** 2 and tells_whole(cov, prior_var)
    return sure


@jit
def telling(rows: Rows, cov: Float, prior_var: Float) -> Rows:
    """Of rows of the table of reports those that tell of an offset."""
    chosen = np.empty(len(rows), np.bool_)
    for k in range(len(rows)):
        chosen[k] = tells(cov[rows[k]], prior_var)
    return rows[chosen]


@jit
def joined(number: Rows, mask: Rows, members: Rows, one: int, other: int, valid_ns: Rows, cov: Float, prior_var: Float) -> Rows:
    """Of the tables of system tracks and of reports: `Registration._joined`."""
    both, found = (1 << one) | (1 << other), 0
    for system in range(len(number)):
        found += number[system] != 0 and mask[system] & both == both
    rows, n, passed, apart = np.empty((min(found, 2 * _MOST), 2), np.int64), 0, 0, 1 + found // _MOST
    for system in range(len(number)):
        if number[system] != 0 and mask[system] & both == both:
            a, b = members[system, one], members[system, other]
            near = passed % apart == 0 and abs(valid_ns[a] - valid_ns[b]) <= _TOGETHER_NS
            if near and tells(cov[a], prior_var) and tells(cov[b], prior_var):
                rows[n, 0], rows[n, 1] = a, b
                n += 1
            passed += 1
    return rows[:n].copy()


@jit
def common_chi2(apart: Float, spread: Float, velocity: Float, clock_var: float) -> float:
    """How far from none the likeliest offset of place and clock is that explains the differences, had all the same error.

    Differences (k, 6), covariances (k, 6, 6), of which places count, and objects' velocities (k, 3), m/s: what a second makes of
    each place. `clock_var`, s2, is that of the clock before: of objects that fly alike nothing else tells it from a place. The
    offset is weighed by information, and is taken to be no surer than by one object of the mean information. A sum of k errors
    has at most k times the sum of their covariances, whatever is the same in them: each in its place, or along its flight. So
    errors within what is claimed make a chi-square of four degrees of freedom, or less. NaN where it cannot be told.
    """
    return _common_chi2_but(apart, spread, velocity, clock_var, NONE)


@jit
def least_chi2(apart: Float, spread: Float, velocity: Float, clock_var: float) -> float:
    """The least `common_chi2` of all but one: what it is though any one object may be wrong. Of one object nothing."""
    if len(apart) < 2:
        return 0.0
    least = np.inf
    for left_out in range(len(apart)):
        least = min(least, _common_chi2_but(apart, spread, velocity, clock_var, left_out))
    return least


@jit
def _common_chi2_but(apart: Float, spread: Float, velocity: Float, clock_var: float, left_out: int) -> float:
    """`common_chi2` of all but one of the objects, NONE for all."""
    k = len(apart) - (left_out != NONE)
    total, sum_, moved = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0), (0.0, 0.0, 0.0), (0.0, 0.0, 0.0)
    clock, late = 1.0 / clock_var, 0.0
    for i in range(len(apart)):
        if i == left_out:
            continue
        p, x, v = spread[i], apart[i], velocity[i]
        xx, yy, zz = p[0, 0] + _LEAST_VAR_M2, p[1, 1] + _LEAST_VAR_M2, p[2, 2] + _LEAST_VAR_M2
        w = inverse_of(factor((xx, p[0, 1], p[0, 2], yy, p[1, 2], zz)))
        wv = _of_vector(w, v[0], v[1], v[2])
        wx = _of_vector(w, x[0], x[1], x[2])
        total = plus(total, w)
        sum_ = sum_[0] + wx[0], sum_[1] + wx[1], sum_[2] + wx[2]
        moved = moved[0] + wv[0], moved[1] + wv[1], moved[2] + wv[2]
        clock += v[0] * wv[0] + v[1] * wv[1] + v[2] * wv[2]
        late += v[0] * wx[0] + v[1] * wx[1] + v[2] * wx[2]
    inverse = inverse_of(factor(total))
    place = _of_vector(inverse, sum_[0], sum_[1], sum_[2])
    mean = _of_vector(inverse, moved[0], moved[1], moved[2])
    clock -= moved[0] * mean[0] + moved[1] * mean[1] + moved[2] * mean[2]  # beyond what a place explains
    late -= moved[0] * place[0] + moved[1] * place[1] + moved[2] * place[2]
    return (sum_[0] * place[0] + sum_[1] * place[1] + sum_[2] * place[2] + late * late / clock) / k


@inlined
def _of_vector(a: Symmetric, x: float, y: float, z: float) -> tuple[float, float, float]:
    """A v of a symmetric block."""
    return a[0] * x + a[1] * y + a[2] * z, a[1] * x + a[3] * y + a[4] * z, a[2] * x + a[4] * y + a[5] * z


@jit
def brought(
    rows: Rows, at_ns: int, valid_ns: Rows, state: Float, shift: Float, cov: Float, phase: Float, motion: Float
) -> tuple[Float, Float]:
    """States (k, 6) as reported, before any shift, and covariances (k, 6, 6) of rows of a table of reports at one time."""
    states, covs = np.empty((len(rows), 6)), np.empty((len(rows), 6, 6))
    for k in range(len(rows)):
        row = rows[k]
        dt_s = (at_ns - valid_ns[row]) * 1e-9
        x, p = state[row] + shift[row], square(cov[row])
        x, p = flown(x, p, phase[row, 0], phase[row, 1], phase[row, 2], dt_s, motion, True, 0.0)
        states[k] = x
        covs[k] = p
    return states, covs


@jit
def differences(
    ones: Rows, others: Rows, valid_ns: Rows, state: Float, shift: Float, cov: Float, phase: Float, motion: Float
) -> tuple[Float, Float, Float, Float]:
    """Of pairs of reports of one object: their differences (k, 6) at the later one's time, the sum of their covariances
    (k, 6, 6), and the object's velocity (k, 3), m/s, and acceleration (k, 3), m/s2: what a second between clocks makes of it.
    """
    n = len(ones)
    apart, spread, velocity, pull = np.empty((n, 6)), np.empty((n, 6, 6)), np.empty((n, 3)), np.empty((n, 3))
    pair = np.empty(2, np.int64)
    for k in range(n):
        pair[0], pair[1] = ones[k], others[k]
        at_ns = max(valid_ns[pair[0]], valid_ns[pair[1]])
        states, covs = brought(pair, at_ns, valid_ns, state, shift, cov, phase, motion)
        apart[k] = states[0] - states[1]
        spread[k] = covs[0] + covs[1]
        middle = 0.5 * (states[0] + states[1])
        velocity[k] = middle[3:]
        pull[k] = ballistic_acceleration(middle)
    return apart, spread, velocity, pull
