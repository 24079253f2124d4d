"""Where and when an object that still boosts was launched, from one estimate of its state. Kernels.

Rockets that rise, then tilt at a steady rate until cutoff, look alike: the time since launch is near 2.2 h / v_up, the ground
covered near 0.28 of that time times the horizontal speed, whatever the thrust. Both are products of powers of the height, the
speed and the cosine of its angle from the vertical, fitted to a population of flights (every ballistic type of the catalogue,
steerings drawn at random); where a second stage is likely to burn, above 50 km, with another power of the height and less
certainty. The acceleration is not asked for: once these are known, a power of it narrows the fit by a twentieth at most.

It holds for what flies like the population: a type that pulls up after a flat boost (KN-23) is launched some 3 s later than told.

How well the state itself is known, and what it is likely to be where it is not, is in `physics.ascent`; cubature points carry
that through the powers. The constants are held by tests/physics/test_boost.py.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from physics.ascent import TILT_BOUND, velocity_of, weighed
from physics.compile import jit
from physics.ground import Spread, ground_state, moved

Float = NDArray[np.float64]

_SPEED_M_S: Final = 1e3
_UPPER: Final = math.log(5.0)  # x from which a second stage is likely
# ln(time since launch / s) and ln(ground covered / horizontal speed / s): constant, and slopes with x, w, -ln(cosine of the
# angle) and x above _UPPER.
_TIME: Final = (3.021, 1.184, -1.108, 0.616, -0.212)
_SHARE: Final = (1.679, 1.251, -1.253, 0.732, -0.110)
# What these leave open, one sigma: least, more at most, at which x, how wide in x.
_TIME_SIGMA: Final = (0.023, 0.18, 2.35, 0.55)
_SHARE_SIGMA: Final = (0.014, 0.068, 2.8, 0.8)
_TURN_RAD_S: Final = 5.7e-6  # across the heading, a second of flight, of the way at the whole speed: the Earth turns under it
_LEAST_M: Final = 10.0
_REACH: Final = math.sqrt(6.0)


@jit
def boost_origin(state: Float, cov: Float) -> tuple[float, float, float, float, Spread]:
    """Of a boosting object: seconds since launch, their sigma, the launch point's latitude and longitude (rad), its spread (m2).

    State (6,) ECEF m, m/s and its covariance (6, 6), which may be 0. NaN where they are not finite.
    """
    geodetic, v, p = ground_state(state, cov)
    z, spread = weighed(geodetic[2], v, p)
    root = _root(spread)
    mean, square = np.zeros(3), np.zeros((3, 3))  # of the time s, and the launch point's offset m east and north
    here, point, velocity = np.empty(3), np.empty(6), np.empty(3)
    for side in range(12):  # cubature points (Arasaratnam and Haykin, IEEE Trans. AC 54(6), 2009): two on each axis of the spread
        for i in range(6):
            point[i] = z[i] + (_REACH if side < 6 else -_REACH) * root[i, side % 6]
        here[0], share_s = _power(_TIME, point), _power(_SHARE, point)
        along = _open(_SHARE_SIGMA, point[2]) ** 2
        velocity_of(point, velocity)
        one, other = -share_s * velocity[0], -share_s * velocity[1]
        across = (_TURN_RAD_S * here[0] * share_s * _SPEED_M_S * math.exp(point[5])) ** 2 + _LEAST_M**2
        here[1], here[2] = point[0] + one, point[1] + other
        square[1, 1] += (along * one * one + across) / 12.0
        square[1, 2] += along * one * other / 12.0
        square[2, 2] += (along * other * other + across) / 12.0
        square[0, 0] += (_open(_TIME_SIGMA, point[2]) * here[0]) ** 2 / 12.0
        for i in range(3):
            mean[i] += here[i] / 12.0
            for j in range(i, 3):
                square[i, j] += here[i] * here[j] / 12.0
    var = square[0, 0] - mean[0] * mean[0]
    east, both = square[1, 1] - mean[1] * mean[1], square[1, 2] - mean[1] * mean[2]
    lat, lon = moved(geodetic[0], geodetic[1], mean[1], mean[2])
    return mean[0], math.sqrt(max(var, 0.0)), lat, lon, (east, both, square[2, 2] - mean[2] * mean[2])


@jit
def _power(fit: tuple[float, float, float, float, float], z: Float) -> float:
    """A fitted product of powers, s, of what is looked for (6,)."""
    tilt = -math.log(math.cos(min(math.sqrt(z[3] * z[3] + z[4] * z[4]), TILT_BOUND)))
    return math.exp(fit[0] + fit[1] * z[2] + fit[2] * z[5] + fit[3] * tilt + fit[4] * max(z[2] - _UPPER, 0.0))


@jit
def _root(spread: Float) -> Float:
    """Lower triangle L (6, 6) with L L^T the spread; 0 in a direction that is known but for rounding."""
    low = np.zeros((6, 6))
    for j in range(6):
        for i in range(j, 6):
            value = spread[i, j]
            for k in range(j):
                value -= low[i, k] * low[j, k]
            if i == j:
                low[j, j] = math.sqrt(value) if value > 0.0 else 0.0
            else:
                low[i, j] = value / low[j, j] if low[j, j] > 0.0 else 0.0
    return low


@jit
def _open(sigma: tuple[float, float, float, float], x: float) -> float:
    """One sigma of a fitted logarithm at x."""
    return sigma[0] + sigma[1] * math.exp(-0.5 * ((x - sigma[2]) / sigma[3]) ** 2)
