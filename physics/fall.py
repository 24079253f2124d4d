"""Where and when an object in free flight comes down: a fall with drag, and what an error now does there. Kernels.

The state falls by fixed-step Runge-Kutta 4, finer where there is air. With it fall its sensitivities, to the six numbers of the
state now and to the logarithm of the ballistic coefficient, by the second-order series of their linear system over each step:
gravity's gradient, the Earth's turn, and drag that grows with the square of the speed and fades with height by one scale height:
within 8 percent of the differences of falls. So drag forgets errors of speed in the covariance as it does in the state, and what
is not known of the coefficient is in it.

No thrust, no lift, no wind: of what may lift, a fall tells nothing. What stays below LIFTS_BELOW_M all its way flies on its fins
as likely as not: published pull-ups have apogees of 20 to 60 km, ballistic flights higher ones. The ballistic coefficient is the
caller's: a population's median and spread, or what a filter has found.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from physics.compile import jit
from physics.constants import EARTH_GM_M3_S2, EARTH_OMEGA_RAD_S
from physics.frames import quick_altitude_m
from physics.ground import Spread, crossing, ground_state, spread_of
from physics.motion import ballistic_gradient, drag_acceleration
from physics.propagate import MAX_SPAN_S, rk4

Float = NDArray[np.float64]

GROUND_OK = 0
GROUND_NEVER = 1
GROUND_BAD_INPUT = 2
LIFTS_BELOW_M: Final = 60e3
_FALL_STEP_S: Final = 5.0
_THIN_AIR_STEP_S: Final = 2.0
_AIR_STEP_S: Final = 0.5
THIN_AIR_BELOW_M: Final = 100e3
_AIR_BELOW_M: Final = 50e3
_SCALE_HEIGHT_M: Final = 7e3
_HALVINGS: Final = 14  # of the last step: 0.03 ms


@jit
def impact(
    state: Float, cov: Float, beta_kg_m2: float, beta_sigma: float, max_s: float
) -> tuple[int, float, float, float, float, Spread]:
    """(status, seconds to impact, their sigma, latitude and longitude rad, spread m2); arguments and status as of `to_ground`."""
    status, fall_s, there, cov_there = to_ground(state, cov, beta_kg_m2, beta_sigma, max_s)
    if status != GROUND_OK:
        return status, fall_s, np.nan, np.nan, np.nan, (np.nan, np.nan, np.nan)
    geodetic, v, p = ground_state(there, cov_there)
    slope, steep_m_s = crossing(v)
    return status, fall_s, math.sqrt(max(p[2, 2], 0.0)) / abs(steep_m_s), geodetic[0], geodetic[1], spread_of(slope, p[:3, :3])


@jit
def apogee_m(state: Float) -> float:
    """Height of the highest point of a state's (6,) free flight without air, m: of its Kepler ellipse; infinite where it escapes.

    By the ellipsoid's radius below the state: within 5 km up to a range of 4,000 km.
    """
    x, v = state[:3], state[3:].copy()
    v[0] -= EARTH_OMEGA_RAD_S * x[1]
    v[1] += EARTH_OMEGA_RAD_S * x[0]
    radius = math.sqrt((x * x).sum())
    energy = 0.5 * (v * v).sum() - EARTH_GM_M3_S2 / radius
    if not energy < 0.0:
        return np.inf if energy >= 0.0 else np.nan
    turn = np.cross(x, v)
    semi_major = -0.5 * EARTH_GM_M3_S2 / energy
    eccentricity = math.sqrt(max(0.0, 1.0 - (turn * turn).sum() / (EARTH_GM_M3_S2 * semi_major)))
    height: float = semi_major * (1.0 + eccentricity) - radius + quick_altitude_m(x)
    return height


@jit
def to_ground(state: Float, cov: Float, beta_kg_m2: float, beta_sigma: float, max_s: float) -> tuple[int, float, Float, Float]:
    """Fall with drag to height 0 on the ellipsoid: (status, seconds, state (6,), covariance (6, 6)). Within 3 ms and 15 m.

    `beta_kg_m2` not positive or infinite: no drag. `beta_sigma`: one sigma of its logarithm, independent of the state's error.
    The covariance is that at the instant of the fall's end. A state at or below the ground that descends is there: 0 s. Status:
    GROUND_OK; GROUND_NEVER: not within `max_s` nor MAX_SPAN_S, with the last state and a NaN covariance;
    GROUND_BAD_INPUT: not finite, sigma below 0, or `max_s` not above 0, with NaN.
    """
    sound = np.isfinite(state).all() and np.isfinite(cov).all()
    if not (sound and max_s > 0.0 and 0.0 <= beta_sigma < np.inf):
        return GROUND_BAD_INPUT, np.nan, np.full(6, np.nan), np.full((6, 6), np.nan)
    x, t = state.copy(), 0.0
    to = np.eye(6, 7)  # of the state, by the state at first (6) and by ln(beta)
    alt = quick_altitude_m(x[:3])
    climbing = x[0] * x[3] + x[1] * x[4] + x[2] * x[5] > 0.0
    if alt <= 0.0 and not climbing:
        return GROUND_OK, 0.0, x, cov.copy()
    until_s = min(max_s, MAX_SPAN_S)
    while t < until_s:
        h_s = min(step_s(alt), until_s - t)
        after = rk4(x, h_s, beta_kg_m2)
        alt_after = quick_altitude_m(after[:3])
        if alt_after <= 0.0 and (alt > 0.0 or not climbing):
            low, high = 0.0, h_s
            for _ in range(_HALVINGS):
                middle = 0.5 * (low + high)
                if quick_altitude_m(rk4(x, middle, beta_kg_m2)[:3]) > 0.0:
                    low = middle
                else:
                    high = middle
            after = rk4(x, high, beta_kg_m2)
            carry(to, 0.5 * (x + after), high, beta_kg_m2)
            return GROUND_OK, t + high, after, spread_by(to, cov, beta_sigma)
        carry(to, 0.5 * (x + after), h_s, beta_kg_m2)
        x, alt = after, alt_after
        climbing = x[0] * x[3] + x[1] * x[4] + x[2] * x[5] > 0.0
        t += h_s
    return GROUND_NEVER, t, x, np.full((6, 6), np.nan)


@jit
def step_s(alt_m: float) -> float:
    """Length of a step at a height: finer where there is air."""
    return _FALL_STEP_S if alt_m > THIN_AIR_BELOW_M else _THIN_AIR_STEP_S if alt_m > _AIR_BELOW_M else _AIR_STEP_S


@jit
def carry(to: Float, middle: Float, h_s: float, beta_kg_m2: float) -> None:
    """Carry the sensitivities (6, 7) over a step of `h_s`, back where below 0, in place; `middle` (6,) is the state half way."""
    by_place = ballistic_gradient(middle[:3])
    by_speed = np.zeros((3, 3))
    by_speed[0, 1], by_speed[1, 0] = 2.0 * EARTH_OMEGA_RAD_S, -2.0 * EARTH_OMEGA_RAD_S
    drag = drag_acceleration(middle, beta_kg_m2)
    x, v = middle[:3], middle[3:]
    speed2 = v[0] * v[0] + v[1] * v[1] + v[2] * v[2]
    drag_v = drag[0] * v[0] + drag[1] * v[1] + drag[2] * v[2]
    if drag_v < 0.0:
        radius_m = math.sqrt(x[0] * x[0] + x[1] * x[1] + x[2] * x[2])
        for i in range(3):
            by_speed[i, i] += drag_v / speed2
            for j in range(3):
                by_place[i, j] -= drag[i] * x[j] / (radius_m * _SCALE_HEIGHT_M)
                by_speed[i, j] += drag[i] * v[j] / speed2
    rate = np.empty(6)
    for c in range(7):
        for i in range(3):
            rate[i] = to[3 + i, c]
            rate[3 + i] = -drag[i] if c == 6 else 0.0
            for j in range(3):
                rate[3 + i] += by_place[i, j] * to[j, c] + by_speed[i, j] * to[3 + j, c]
        for i in range(3):
            second = 0.0
            for j in range(3):
                second += by_place[i, j] * rate[j] + by_speed[i, j] * rate[3 + j]
            to[i, c] += h_s * rate[i] + 0.5 * h_s * h_s * rate[3 + i]
            to[3 + i, c] += h_s * rate[3 + i] + 0.5 * h_s * h_s * second


@jit
def spread_by(to: Float, cov: Float, beta_sigma: float) -> Float:
    """Covariance (6, 6) from sensitivities (6, 7), the state's covariance and the sigma of ln(beta)."""
    half, out = np.zeros((6, 6)), np.empty((6, 6))
    for i in range(6):
        for j in range(6):
            for k in range(6):
                half[i, j] += to[i, k] * cov[k, j]
    for i in range(6):
        for j in range(i + 1):
            value = to[i, 6] * beta_sigma * beta_sigma * to[j, 6]
            for k in range(6):
                value += half[i, k] * to[j, k]
            out[i, j] = out[j, i] = value
    return out
