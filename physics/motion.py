"""Accelerations in the rotating ECEF frame. State (6,): position m, velocity relative to the Earth m/s.

Ballistic: point-mass gravity, J2, centrifugal, Coriolis (Montenbruck and Gill, Satellite Orbits, 2000, sections 3.2 and 3.4).
Drag: quadratic in the speed relative to the air, which turns with the Earth. Neglected: J3 and up, Sun, Moon, tides, wind, lift.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from physics.atmosphere import air
from physics.compile import inlined, jit
from physics.constants import EARTH_A_M, EARTH_GM_M3_S2, EARTH_J2, EARTH_OMEGA_RAD_S
from physics.frames import quick_altitude_m

Float = NDArray[np.float64]
Vector = Float | tuple[float, ...]

_W = EARTH_OMEGA_RAD_S
_W2 = EARTH_OMEGA_RAD_S**2
_J2_FACTOR = 1.5 * EARTH_J2 * EARTH_A_M**2
_NO_AIR_ABOVE_M = 250e3
_NO_AIR_RADIUS_M = EARTH_A_M + _NO_AIR_ABOVE_M


@jit
def ballistic_acceleration(state: Float) -> Float:
    """Acceleration (3,) m/s2 of free flight without air."""
    out = np.empty(3)
    out[0], out[1], out[2] = free_fall(state)
    return out


@inlined
def free_fall(state: Vector) -> tuple[float, float, float]:
    """`ballistic_acceleration` as numbers, and of a state that may be six: inner loops make no array of either."""
    x, y, z = state[0], state[1], state[2]
    r2 = x * x + y * y + z * z
    r = math.sqrt(r2)
    g = -EARTH_GM_M3_S2 / (r2 * r)
    j = _J2_FACTOR / r2
    s = 5.0 * z * z / r2
    level = g * (1.0 + j * (1.0 - s)) + _W2
    return level * x + 2.0 * _W * state[4], level * y - 2.0 * _W * state[3], g * z * (1.0 + j * (3.0 - s))


@jit
def drag_acceleration(state: Float, beta_kg_m2: float) -> Float:
    """Acceleration (3,) m/s2 of drag for a ballistic coefficient m/(Cd A) in kg/m2; none where infinite or not positive."""
    out = np.empty(3)
    rate = drag_rate(state, beta_kg_m2)
    for i in range(3):
        out[i] = rate * state[3 + i]
    return out


@jit
def drag_rate(state: Vector, beta_kg_m2: float) -> float:
    """`drag_acceleration` as a share of the velocity, 1/s: never above 0."""
    r2 = state[0] * state[0] + state[1] * state[1] + state[2] * state[2]
    if not (0.0 < beta_kg_m2 < np.inf) or r2 > _NO_AIR_RADIUS_M * _NO_AIR_RADIUS_M:
        return 0.0
    density, _ = air(quick_altitude_m(state))
    speed = math.sqrt(state[3] * state[3] + state[4] * state[4] + state[5] * state[5])
    rate: float = -0.5 * density * speed / beta_kg_m2
    return rate


@jit
def ballistic_gradient(r_ecef_m: Float) -> Float:
    """Gradient (3, 3) 1/s2 of the ballistic acceleration with position: point mass, J2 and centrifugal."""
    xx, xy, xz, yy, yz, zz = gradient(r_ecef_m)
    out = np.empty((3, 3))
    out[0, 0], out[0, 1], out[0, 2] = xx, xy, xz
    out[1, 0], out[1, 1], out[1, 2] = xy, yy, yz
    out[2, 0], out[2, 1], out[2, 2] = xz, yz, zz
    return out


@inlined
def gradient(r_ecef_m: Vector) -> tuple[float, float, float, float, float, float]:
    """`ballistic_gradient` as numbers, its upper triangle by rows."""
    x, y, z = r_ecef_m[0], r_ecef_m[1], r_ecef_m[2]
    r2 = x * x + y * y + z * z
    r = math.sqrt(r2)
    mu_r3 = EARTH_GM_M3_S2 / (r2 * r)
    mu_r5 = mu_r3 / r2
    j = _J2_FACTOR * mu_r5
    s = z * z / r2
    return (
        -mu_r3 + 3.0 * mu_r5 * x * x + j * (-1.0 + 5.0 * (x * x + z * z) / r2 - 35.0 * x * x * s / r2) + _W2,
        3.0 * mu_r5 * x * y + j * (5.0 * x * y / r2) * (1.0 - 7.0 * s),
        3.0 * mu_r5 * x * z + j * (5.0 * x * z / r2) * (3.0 - 7.0 * s),
        -mu_r3 + 3.0 * mu_r5 * y * y + j * (-1.0 + 5.0 * (y * y + z * z) / r2 - 35.0 * y * y * s / r2) + _W2,
        3.0 * mu_r5 * y * z + j * (5.0 * y * z / r2) * (3.0 - 7.0 * s),
        -mu_r3 + 3.0 * mu_r5 * z * z + j * (-3.0 + 30.0 * s - 35.0 * s * s),
    )
