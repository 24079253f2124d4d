"""What a poorly known state of a rising rocket is likely to be, by what rockets do. Kernels.

A state that is known to 300 m/s of 500 is not to be put into a formula. What a population of flights does (speed by height, angle
from the vertical; every ballistic type of the catalogue, steerings drawn at random) is a Gaussian of logarithms and angles, and
the state a measurement of them: an iterated extended Kalman update (Bell and Cathey, IEEE Trans. AC 38(2), 1993), then from the
mode to the mean. The population adds nothing where the state is well known. What follows from it is in `physics.boost`.

The constants are held by tests/physics/test_boost.py.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from physics.compile import jit

Float = NDArray[np.float64]

# What is looked for, (6,): place under the object, m east and north of the reported one; x = ln(height / 10 km); the angle of the
# velocity from the vertical, rad, its parts to the east and the north; w = ln(speed / 1 km/s).
_HEIGHT_M: Final = 1e4
_SPEED_M_S: Final = 1e3
_X_MEAN, _X_SIGMA = 1.2, 1.0
_W_AT_0, _W_SLOPE, _W_SIGMA = -0.396, 0.575, 0.22  # w by x
_TILT_AT_0, _TILT_SLOPE, _TILT_MOST = 0.30, 0.10, 0.50  # one sigma of each part of the angle, by x: the path bends over
TILT_BOUND: Final = 1.4
_ANYWHERE_M2: Final = 1e12
_ROUNDS: Final = 6
_ENOUGH: Final = 1e-6
_FARTHEST: Final = 5.0  # 70 m to 1,500 km, 7 m/s to 150 km/s: no step leaves what can be


@jit
def weighed(height_m: float, v: Float, p: Float) -> tuple[Float, Float]:
    """What is looked for (6,) and its covariance (6, 6), from the population and a report: height, velocity (3,), covariance."""
    prior, s = np.zeros(6), np.zeros((6, 6))
    prior[2], prior[5] = _X_MEAN, _W_AT_0 + _W_SLOPE * _X_MEAN
    z = prior.copy()  # begins at the report itself, or as near to it as a rocket can be
    flat, up = math.sqrt(v[0] * v[0] + v[1] * v[1]), max(v[2], 100.0)
    z[2], z[5] = math.log(max(height_m, 1e3) / _HEIGHT_M), 0.5 * math.log((flat * flat + up * up) / _SPEED_M_S**2)
    if flat > 0.0:
        z[3], z[4] = math.atan2(flat, up) * v[0] / flat, math.atan2(flat, up) * v[1] / flat
    s[0, 0] = s[1, 1] = _ANYWHERE_M2
    s[2, 2] = _X_SIGMA**2
    s[3, 3] = s[4, 4] = min(max(_TILT_AT_0 + _TILT_SLOPE * z[2], 0.1), _TILT_MOST) ** 2
    s[2, 5] = s[5, 2] = _W_SLOPE * _X_SIGMA**2
    s[5, 5] = _W_SLOPE**2 * _X_SIGMA**2 + _W_SIGMA**2
    h, sh, total, gain = np.zeros((6, 6)), np.empty((6, 6)), np.empty((6, 6)), np.empty((6, 6))
    off = np.empty(6)
    for _ in range(_ROUNDS):
        _expected(z, h, off)
        off[0], off[1], off[2] = -z[0], -z[1], height_m - off[2]
        for i in range(3):
            off[3 + i] = v[i] - off[3 + i]
        for i in range(6):
            for j in range(6):
                off[i] -= h[i, j] * (prior[j] - z[j])
                sh[i, j] = 0.0
                for k in range(6):
                    sh[i, j] += s[i, k] * h[j, k]
        for i in range(6):
            for j in range(6):
                total[i, j] = p[i, j]
                for k in range(6):
                    total[i, j] += h[i, k] * sh[k, j]
        _solve(total, sh, gain)
        most = 0.0
        for i in range(6):
            to = prior[i]
            for j in range(6):
                to += gain[i, j] * off[j]
            if i >= 2:
                to = min(max(to, -_FARTHEST), _FARTHEST)
                most = max(most, abs(to - z[i]))
            z[i] = to
        angle = math.sqrt(z[3] * z[3] + z[4] * z[4])
        if angle > TILT_BOUND:
            z[3], z[4] = z[3] * TILT_BOUND / angle, z[4] * TILT_BOUND / angle
        if not most > _ENOUGH:
            break
    out = np.empty((6, 6))
    for i in range(6):
        for j in range(6):
            out[i, j] = s[i, j]
            for k in range(6):
                out[i, j] -= gain[i, k] * sh[j, k]
    _to_mean(z, out, gain, h)
    return z, out


@jit
def _expected(z: Float, h: Float, out: Float) -> None:
    """The report (6,) that z gives, and how it changes with z, (6, 6): places east and north, height, velocity. In place."""
    sinc = velocity_of(z, out[3:])
    out[0], out[1], out[2] = z[0], z[1], _HEIGHT_M * math.exp(z[2])
    angle2, speed_m_s = z[3] * z[3] + z[4] * z[4], _SPEED_M_S * math.exp(z[5])
    bend = (math.cos(math.sqrt(angle2)) - sinc) / angle2 if angle2 > 1e-8 else -1.0 / 3.0
    h[0, 0] = h[1, 1] = 1.0
    h[2, 2] = out[2]
    for i in range(3, 5):
        for j in range(3, 5):
            h[i, j] = speed_m_s * (bend * z[i] * z[j] + (sinc if i == j else 0.0))
        h[5, i] = -speed_m_s * sinc * z[i]
        h[i, 5] = out[i]
    h[5, 5] = out[5]


@jit
def _to_mean(z: Float, spread: Float, gain: Float, h: Float) -> None:
    """From the mode to the mean, in place, to second order: in logarithms what is poorly known leans to the low side.

    Half the spread times the third derivatives of the log-likelihood (Tierney and Kadane, JASA 81, 1986), by the gain (6, 6) and
    the slopes `h` (6, 6); of the velocity by the angle twice, only the upward part's.
    """
    speed_m_s = _SPEED_M_S * math.exp(z[5])
    bent, lean = np.zeros(6), np.zeros(6)
    bent[2], lean[2] = h[2, 2] * spread[2, 2], h[2, 2] * gain[2, 2]
    bent[5] = -speed_m_s * (spread[3, 3] + spread[4, 4])
    lean[3], lean[4] = -speed_m_s * gain[3, 5], -speed_m_s * gain[4, 5]
    for m in range(3, 6):
        bent[m] += h[m, 5] * spread[5, 5] + 2.0 * (h[m, 3] * spread[3, 5] + h[m, 4] * spread[4, 5])
        lean[5] += h[m, 5] * gain[5, m] + h[m, 3] * gain[3, m] + h[m, 4] * gain[4, m]
        lean[3] += h[m, 3] * gain[5, m]
        lean[4] += h[m, 4] * gain[5, m]
    for i in range(6):
        for j in range(6):
            z[i] -= 0.5 * gain[i, j] * bent[j] + spread[i, j] * lean[j]


@jit
def _solve(total: Float, right: Float, out: Float) -> None:
    """Into `out` (6, 6): X with X total = right, total symmetric and positive definite, by Cholesky; total is overwritten."""
    for j in range(6):
        for i in range(j, 6):
            value = total[i, j]
            for k in range(j):
                value -= total[i, k] * total[j, k]
            total[i, j] = np.sqrt(value) if i == j else value / total[j, j]
    for row in range(6):
        for i in range(6):
            value = right[row, i]
            for k in range(i):
                value -= total[i, k] * out[row, k]
            out[row, i] = value / total[i, i]
        for back in range(6):
            i = 5 - back
            value = out[row, i]
            for k in range(i + 1, 6):
                value -= total[k, i] * out[row, k]
            out[row, i] = value / total[i, i]


@jit
def velocity_of(z: Float, out: Float) -> float:
    """Into `out` (3,): the velocity east, north, up, m/s, of what is looked for (6,). The sine of the angle over the angle."""
    angle, speed_m_s = math.sqrt(z[3] * z[3] + z[4] * z[4]), _SPEED_M_S * math.exp(z[5])
    sinc = math.sin(angle) / angle if angle > 1e-4 else 1.0
    out[0], out[1], out[2] = speed_m_s * sinc * z[3], speed_m_s * sinc * z[4], speed_m_s * math.cos(angle)
    return sinc
