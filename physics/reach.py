"""How far a flight's energy could carry it, whatever its path: what a missile shows of its class in free flight. Kernels."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from physics.compile import jit
from physics.constants import EARTH_GM_M3_S2, EARTH_MEAN_RADIUS_M

Float = NDArray[np.float64]


@jit
def reach_m(radius_m: float, speed_m_s: float) -> float:
    """The greatest ground range, m, of a flight with this speed at this distance from the Earth's centre: no air, a sphere at
    rest. Half round the Earth where it may get there, NaN where the figures are none. The minimum-energy path solved for range
    (Bate, Mueller and White, Fundamentals of Astrodynamics, 1971, section 6.2).
    """
    at_ground = speed_m_s**2 + 2.0 * EARTH_GM_M3_S2 * (1.0 / EARTH_MEAN_RADIUS_M - 1.0 / radius_m)
    energy = at_ground * EARTH_MEAN_RADIUS_M / EARTH_GM_M3_S2  # v^2 r / GM
    if not energy < 1.0:
        return math.pi * EARTH_MEAN_RADIUS_M if energy >= 1.0 else math.nan
    return 2.0 * EARTH_MEAN_RADIUS_M * math.asin(max(energy, 0.0) / (2.0 - max(energy, 0.0)))


@jit
def reaches_m(state: Float, cov: Float, sigmas: float) -> tuple[float, float]:
    """The least and the greatest such range, m, within so many sigma of the speed; state (6,), covariance (6, 6), ECEF, SI."""
    radius_m = math.sqrt(state[0] * state[0] + state[1] * state[1] + state[2] * state[2])
    speed_m_s = math.sqrt(state[3] * state[3] + state[4] * state[4] + state[5] * state[5])
    if not (radius_m > 0.0 and speed_m_s > 0.0):
        return math.nan, math.nan
    var = 0.0
    for i in range(3):
        for j in range(3):
            var += state[3 + i] * cov[3 + i, 3 + j] * state[3 + j]
    sigma_m_s = math.sqrt(max(var, 0.0)) / speed_m_s
    return reach_m(radius_m, max(speed_m_s - sigmas * sigma_m_s, 0.0)), reach_m(radius_m, speed_m_s + sigmas * sigma_m_s)
