"""How far apart two feeds' reports of the same objects are: what registration goes by.

Kernels over the tables of reports and of system tracks (`fusion.tables`). They hold nothing and decide nothing.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from fusion.align import flown
from fusion.blocks import Symmetric, factor, inverse_of, plus
from fusion.partial import tells_whole
from fusion.tables import NONE
from fusion.triangle import square, traces
from physics.compile import inlined, jit
from physics.motion import ballistic_acceleration

Float = NDArray[np.float64]
Rows = NDArray[np.int64]

MOST_OBJECTS: Final = 48  # a look goes by: more tell no more of what is common to all
WIDEST: Final = (300e3, 3e3)  # m, m/s: a report that is less sure tells nothing, and its numbers are beyond computing with
LEAST_VAR_M2: Final = 1.0  # no report is surer
_TOGETHER_NS: Final = 5_000_000_000  # reports further apart in time tell more of flight than of offsets
_SUREST: Final = 0.25  # of a feed's tracks: those that have just begun are less sure than it is off


@jit
def tells(cov: Float, prior_var: Float) -> bool:
    """Whether a report of this covariance is sure enough to tell of an offset, and of all its directions."""
    place, speed = traces(cov)
    sure: bool = place < WIDEST[0] ** 2 and speed < WIDEST[1] ** 2 and tells_whole(cov, prior_var)
    return sure


@jit
def telling(rows: Rows, cov: Float, prior_var: Float) -> Rows:
    """Of rows of the table of reports those that tell of an offset."""
    chosen = np.empty(len(rows), np.bool_)
    for k in range(len(rows)):
        chosen[k] = tells(cov[rows[k]], prior_var)
    return rows[chosen]


@jit
def own_var(rows: Rows, cov: Float, prior_var: Float) -> float:
    """A feed's own error, m2 on each axis, as of the surest quarter of its reports (rows) that tell; NaN where none does."""
    sure = telling(rows, cov, prior_var)
    if not len(sure):
        return np.nan
    places = np.empty(len(sure))
    for k in range(len(sure)):
        place, _ = traces(cov[sure[k]])
        places[k] = place / 3.0
    surest: float = np.quantile(places, _SUREST)
    return surest


@jit
def joined(number: Rows, mask: Rows, members: Rows, one: int, other: int, valid_ns: Rows, cov: Float, prior_var: Float) -> Rows:
    """Of the tables of system tracks and of reports: `Registration._joined`."""
    both, found = (1 << one) | (1 << other), 0
    for system in range(len(number)):
        found += number[system] != 0 and mask[system] & both == both
    rows, n, passed, apart = np.empty((min(found, 2 * MOST_OBJECTS), 2), np.int64), 0, 0, 1 + found // MOST_OBJECTS
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
        xx, yy, zz = p[0, 0] + LEAST_VAR_M2, p[1, 1] + LEAST_VAR_M2, p[2, 2] + LEAST_VAR_M2
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
