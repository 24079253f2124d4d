"""Registration: by how much a feed's reports are displaced against the others', in position and in time, and what is taken off.

Objects that two feeds see tell the relative offset of the two: least squares over the differences of their latest reports,
position and time together. Where offsets are so large that no pair would be held one object, pairs and offset are sought
together (`fusion.pattern`).

Rules:
- Within what they claim, feeds are taken as they are. An offset counts where the mean difference is beyond the reports' own
  covariance, their errors taken to be wholly the same, whichever one object is left out: one that is tracked wrong is no offset.
  It stops counting where no offset explains it better than the one found.
- An offset beyond what offsets may be is of different objects: of a ripple of launches, each seen as the one before or after.
- Differences do not tell whose the offset is. A feed's prior is in proportion to its own errors: the less sure one is moved more.
  What this leaves open (`fusion.offsets`) is told in the covariance of what is fused.
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
from fusion.blocks import factor, inverse_of, plus
from fusion.clusters import Clusters
from fusion.offsets import NO_OFFSETS, WIDTH, Told, likeliest, open_of
from fusion.partial import prior_of, tells_whole
from fusion.pattern import find_pattern
from fusion.settings import FusionSettings
from fusion.tables import NONE
from fusion.triangle import VARIANCES, square, traces
from physics.compile import jit
from physics.motion import ballistic_acceleration

Float = NDArray[np.float64]
Rows = NDArray[np.int64]

PAIRS: Final = tuple(itertools.combinations(range(len(NATIONS)), 2))
_MOST: Final = 48  # objects a look goes by: more tell no more of what is common to all
_MOST_UNMET: Final = 24  # of each feed, where pairs are sought too: that grows with their cube, and a frame may wait for it
_TOGETHER_NS: Final = 5_000_000_000  # reports further apart in time tell more of flight than of offsets
_WIDEST: Final = (300e3, 3e3)  # m, m/s: a report that is less sure tells nothing, and its numbers are beyond computing with
_LEAST_VAR_M2: Final = 1.0  # no report is surer
_NO_OFFSET_CHI2: Final = 23.5  # an offset as unlikely as this, 1e-4 at 4 dof, by the widest prior, is none
_SHARPEST: Final = np.repeat([_LEAST_VAR_M2, 0.01], 3)  # m2, m2/s2


class Offset(NamedTuple):
    """One feed against another: what is taken off between them, m (3,) and s, and one sigma of its length and of the time."""

    position_m: Float
    time_s: float
    sigma_m: float
    sigma_s: float


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
        self._at_ns = 0

    def between(self, one: int, other: int) -> Offset:
        """What is taken off between two nations, by their columns: nothing, and sure of it, where they are as they claim."""
        if not self.offsets.any():
            return Offset(np.zeros(3), 0.0, 0.0, 0.0)
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
            told = self._told(clusters, *pair)
            if told is None:
                self._counts.pop(pair, None)
            else:
                self._counts[pair] = told
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

    def _told(self, clusters: Clusters, one: int, other: int) -> Told | None:
        """What two feeds say of the offset of the first against the second; None where it does not count: they see too few
        objects in common, or the mean difference of positions is within what reports claim, had all objects the same error
        or any one of them a wrong track, or it is further than offsets are.
        """
        rules = self._settings.registration
        rows = self._joined(clusters, one, other)
        if len(rows) < rules.least_objects:
            rows = np.vstack([rows, self._matched(clusters, one, other)])
        if len(rows) < rules.least_objects:
            return None
        held = clusters.reports
        apart, spread, velocity, pull = differences(
            rows[:, 0], rows[:, 1], held.valid_ns, held.state, held.shift, held.cov, held.phase, self._motion
        )
        spread += np.diag(_SHARPEST)
        moves = np.zeros((len(rows), 6, WIDTH))
        moves[:, :3, :3], moves[:, :3, 3], moves[:, 3:, 3] = np.eye(3), velocity, pull
        if (one, other) in self._counts:
            counts = mean_chi2(apart, spread) > mean_chi2(apart - moves @ (self.offsets[one] - self.offsets[other]), spread)
        else:
            counts = mean_chi2(apart, spread) > rules.counts_chi2 and least_chi2(apart, spread) > rules.counts_chi2
        if not counts:
            return None
        weighed = np.linalg.solve(spread, moves)
        told = Told(np.einsum("kia,kib->ab", moves, weighed), np.einsum("kia,ki->a", weighed, apart))
        var = self._widest(np.array([self._prior_var(clusters, column) for column in (one, other)])) ** 2
        prior = 1.0 / var.sum(axis=0)
        offset = np.linalg.solve(told.information + np.diag(prior), told.weighed)
        return told if offset @ (prior * offset) < _NO_OFFSET_CHI2 else None

    def _widest(self, own_var: Float) -> Float:
        """One sigma of the widest prior (n, 4) of feeds' offsets, by the variances (n,) of `_prior_var`."""
        widest = np.empty((len(own_var), WIDTH))
        widest[:, :3], widest[:, 3] = np.sqrt(own_var)[:, None], self._settings.registration.clock_s
        return widest

    def _prior_var(self, clusters: Clusters, column: int) -> float:
        """Variance of a feed's offset on each axis, m2: by its own errors."""
        held = clusters.reports
        rows = telling(clusters.rows_of(column), held.cov, self._whole)
        if not len(rows):
            return self._settings.association.bias_m**2
        own = float(np.median(held.cov[rows][:, VARIANCES[:3]].sum(axis=1))) / 3.0
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
def mean_chi2(apart: Float, spread: Float) -> float:
    """How far the mean difference of positions is from none, had all the same error: the sharper ones count for more.

    Differences (k, 6), covariances (k, 6, 6). The mean is weighed by information, and is taken to be no surer than one difference
    of the mean information. Errors that are one and the same, each in proportion to its own sigma, leave it surer than that, for
    (sum 1/sigma)^2 <= k sum 1/sigma^2: so it errs on the side of none. NaN where it cannot be told.
    """
    return _mean_chi2_but(apart, spread, NONE)


@jit
def least_chi2(apart: Float, spread: Float) -> float:
    """The least `mean_chi2` of all but one: what it is though any one object may be wrong. Of one object nothing."""
    if len(apart) < 2:
        return 0.0
    least = np.inf
    for left_out in range(len(apart)):
        least = min(least, _mean_chi2_but(apart, spread, left_out))
    return least


@jit
def _mean_chi2_but(apart: Float, spread: Float, left_out: int) -> float:
    """`mean_chi2` of all but one of the objects, NONE for all."""
    k = len(apart) - (left_out != NONE)
    total, sum_ = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0), np.zeros(3)
    for i in range(len(apart)):
        if i == left_out:
            continue
        p = spread[i]
        xx, yy, zz = p[0, 0] + _LEAST_VAR_M2, p[1, 1] + _LEAST_VAR_M2, p[2, 2] + _LEAST_VAR_M2
        w = inverse_of(factor((xx, p[0, 1], p[0, 2], yy, p[1, 2], zz)))
        total = plus(total, w)
        x, y, z = apart[i, 0], apart[i, 1], apart[i, 2]
        sum_[0] += w[0] * x + w[1] * y + w[2] * z
        sum_[1] += w[1] * x + w[3] * y + w[4] * z
        sum_[2] += w[2] * x + w[4] * y + w[5] * z
    f = factor(total)
    y = sum_[1] - f[0] * sum_[0]
    z = sum_[2] - f[1] * sum_[0] - f[2] * y
    return float(sum_[0] * sum_[0] * f[3] + y * y * f[4] + z * z * f[5]) / k


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
