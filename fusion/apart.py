"""How far apart two feeds' reports of the same objects are: what registration goes by.

Kernels over the tables of reports and of system tracks (`fusion.tables`). They hold nothing and decide nothing.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from fusion.align import flown
from fusion.partial import tells_whole
from fusion.triangle import square, traces
from physics.compile import jit
from physics.motion import ballistic_acceleration

Float = NDArray[np.float64]
Rows = NDArray[np.int64]

MOST_OBJECTS: Final = 48  # a look goes by: more tell no more of what is common to all
WIDEST: Final = (300e3, 3e3)  # m, m/s: a report that is less sure tells nothing, and its numbers are beyond computing with
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
