"""Where and when an object in free flight comes down: a fall with drag, and what an error now does there. Kernels.

The state falls by Runge-Kutta 4, in long steps above the air, in it by how fast the air grows and how much it brakes. With it
fall its sensitivities, to the six numbers of the state now and to the logarithm of the ballistic coefficient, by the second-order
series of their linear system over each step: gravity's gradient, the Earth's turn, and drag that grows with the square of the
speed and fades with height by one scale height: within 8 percent of the differences of falls. So drag forgets errors of speed in
the covariance as it does in the state, and what is not known of the coefficient is in it.

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
from physics.motion import drag_rate, gradient
from physics.propagate import MAX_SPAN_S, Numbers, numbers, rate, rk4_from

Float = NDArray[np.float64]

GROUND_OK = 0
GROUND_NEVER = 1
GROUND_BAD_INPUT = 2
LIFTS_BELOW_M: Final = 60e3
THIN_AIR_BELOW_M: Final = 100e3
_FALL_STEP_S: Final = 15.0
_AIR_STEP_S: Final = 2.0
_LEAST_STEP_S: Final = 0.1
_SLOW_M_S: Final = 200.0
_BRAKES_M_S2: Final = 0.1  # drag that counts
_SCALE_HEIGHT_M: Final = 7e3
DISPLACES: Final = 1.5  # the power of 1/beta by which drag displaces an impact: 1.2 to 1.9, most where it falls fast
_NEAR_M: Final = 0.01
_ROUNDS: Final = 30  # three are usual
COLUMNS: Final = 8  # of the sensitivities: seven, and one to fill a vector


@jit
def impact(
    state: Float, cov: Float, beta_kg_m2: float, beta_sigma: float, max_s: float
) -> tuple[int, float, float, float, float, Spread]:
    """(status, seconds to impact, their sigma, latitude and longitude rad, spread m2); arguments and status as of `to_ground`.

    `beta_kg_m2` is a median; impacts are told by their mean and how they scatter about that (`felt`).
    """
    beta_felt, sigma_felt = felt(beta_kg_m2, beta_sigma)
    status, fall_s, there, cov_there = to_ground(state, cov, beta_felt, sigma_felt, max_s)
    if status != GROUND_OK:
        return status, fall_s, np.nan, np.nan, np.nan, (np.nan, np.nan, np.nan)
    geodetic, v, p = ground_state(there, cov_there)
    slope, steep_m_s = crossing(v)
    return status, fall_s, math.sqrt(max(p[2, 2], 0.0)) / abs(steep_m_s), geodetic[0], geodetic[1], spread_of(slope, p[:3, :3])


@jit
def felt(beta_kg_m2: float, beta_sigma: float) -> tuple[float, float]:
    """The ballistic coefficient, kg/m2, that falls as do in the mean all of a median and a sigma of the logarithm, and the sigma
    by which a first order about it tells how they scatter.

    A light body falls much shorter than a heavy one falls long: what drag displaces grows as a power of 1/beta, and is log-normal
    as beta is. These are the mean and the standard deviation of that (Johnson, Kotz and Balakrishnan, Continuous Univariate
    Distributions 1, 1994, chapter 14). A sigma that is none is handed on.
    """
    if not 0.0 <= beta_sigma < np.inf:
        return beta_kg_m2, beta_sigma
    variance = (DISPLACES * beta_sigma) ** 2
    return beta_kg_m2 * math.exp(-0.5 * variance / DISPLACES), np.sqrt(np.expm1(variance)) / DISPLACES


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
    x, t = numbers(state), 0.0
    to = np.eye(6, COLUMNS)  # of the state, by the state at first (6) and by ln(beta)
    alt = quick_altitude_m(x)
    climbing = rises(x)
    if alt <= 0.0 and not climbing:
        return GROUND_OK, 0.0, np.array(x), cov.copy()
    until_s = min(max_s, MAX_SPAN_S)
    while t < until_s:
        drag = drag_rate(x, beta_kg_m2)
        k = rate(x, drag)
        h_s = min(step_s(x, alt, drag), until_s - t)
        after = rk4_from(x, k, h_s, beta_kg_m2)
        alt_after = quick_altitude_m(after)
        down = alt_after <= 0.0 and (alt > 0.0 or not climbing)
        if down:
            h_s, after = to_surface(x, k, h_s, alt, alt_after, beta_kg_m2)
        carry_into(to, between(x, after), h_s, beta_kg_m2)
        x, alt = after, alt_after
        climbing = rises(x)
        t += h_s
        if down:
            return GROUND_OK, t, np.array(x), spread_by(to, cov, beta_sigma)
    return GROUND_NEVER, t, np.array(x), np.full((6, 6), np.nan)


@jit
def step_s(x: Numbers, alt_m: float, drag_1_s: float) -> float:
    """Length of a step: above the air a long one, but not far into it; in the air so that it crosses a scale height at most,
    and less the more the air brakes, by the fourth root; never beyond where Runge-Kutta is stable.
    """
    up_m_s = (x[0] * x[3] + x[1] * x[4] + x[2] * x[5]) / math.sqrt(x[0] * x[0] + x[1] * x[1] + x[2] * x[2])
    if alt_m > THIN_AIR_BELOW_M:
        return min(_FALL_STEP_S, max(_AIR_STEP_S, (THIN_AIR_BELOW_M - alt_m) / up_m_s)) if up_m_s < 0.0 else _FALL_STEP_S
    brakes = -drag_1_s * math.sqrt(x[3] * x[3] + x[4] * x[4] + x[5] * x[5]) / _BRAKES_M_S2
    crossed_s = _SCALE_HEIGHT_M / max(abs(up_m_s), _SLOW_M_S)
    return min(_AIR_STEP_S, max(_LEAST_STEP_S, crossed_s / (math.sqrt(math.sqrt(1.0 + brakes)) - 2.0 * drag_1_s * crossed_s)))


@jit
def to_surface(x: Numbers, k: Numbers, h_s: float, alt_m: float, alt_after_m: float, beta_kg_m2: float) -> tuple[float, Numbers]:
    """How far into a step of `h_s`, back where below 0, a path comes to height 0, s, and the state there, within _NEAR_M.

    `k` is its rate at first, heights are those at both ends. By false position, the end that stays counting half (Illinois).
    """
    if not alt_m > 0.0:
        return 0.0, x
    low, above, high, below = 0.0, alt_m, 1.0, alt_after_m
    share, there, stayed = 1.0, x, 0
    for _ in range(_ROUNDS):
        share = low + (high - low) * above / (above - below)
        there = rk4_from(x, k, share * h_s, beta_kg_m2)
        alt = quick_altitude_m(there)
        if abs(alt) < _NEAR_M:
            break
        if alt > 0.0:
            low, above = share, alt
            below = 0.5 * below if stayed == 1 else below
            stayed = 1
        else:
            high, below = share, alt
            above = 0.5 * above if stayed == -1 else above
            stayed = -1
    return share * h_s, there


@jit
def rises(x: Numbers) -> bool:
    """Whether a state goes away from the Earth's centre."""
    return x[0] * x[3] + x[1] * x[4] + x[2] * x[5] > 0.0


@jit
def between(x: Numbers, y: Numbers) -> Numbers:
    """The mean of two states."""
    a0, a1, a2 = 0.5 * (x[0] + y[0]), 0.5 * (x[1] + y[1]), 0.5 * (x[2] + y[2])
    return a0, a1, a2, 0.5 * (x[3] + y[3]), 0.5 * (x[4] + y[4]), 0.5 * (x[5] + y[5])


@jit
def carry_into(to: Float, middle: Numbers, h_s: float, beta_kg_m2: float) -> None:
    """Carry the sensitivities (6, COLUMNS) over a step of `h_s`, back where below 0; `middle` is the state half way.

    `p` are the rates of its acceleration with place, `s` with speed. The table is read as one row of constant width, so that
    its columns become vector instructions; the last of them is there for that alone.
    """
    xx, xy, xz, yy, yz, zz = gradient(middle)
    turn = 2.0 * EARTH_OMEGA_RAD_S
    p00, p01, p02, p10, p11, p12, p20, p21, p22 = xx, xy, xz, xy, yy, yz, xz, yz, zz
    s00, s01, s02, s10, s11, s12, s20, s21, s22 = 0.0, turn, 0.0, -turn, 0.0, 0.0, 0.0, 0.0, 0.0
    x, y, z, u, v, w = middle
    drag = drag_rate(middle, beta_kg_m2)
    d0, d1, d2 = drag * u, drag * v, drag * w
    if drag < 0.0:
        fade = -1.0 / (math.sqrt(x * x + y * y + z * z) * _SCALE_HEIGHT_M)
        x, y, z = fade * x, fade * y, fade * z
        p00, p01, p02 = p00 + d0 * x, p01 + d0 * y, p02 + d0 * z
        p10, p11, p12 = p10 + d1 * x, p11 + d1 * y, p12 + d1 * z
        p20, p21, p22 = p20 + d2 * x, p21 + d2 * y, p22 + d2 * z
        grow = 1.0 / (u * u + v * v + w * w)
        u, v, w = grow * u, grow * v, grow * w
        s00, s01, s02 = s00 + drag + d0 * u, s01 + d0 * v, s02 + d0 * w
        s10, s11, s12 = s10 + d1 * u, s11 + drag + d1 * v, s12 + d1 * w
        s20, s21, s22 = s20 + d2 * u, s21 + d2 * v, s22 + drag + d2 * w
    half, flat = 0.5 * h_s * h_s, to.reshape(6 * COLUMNS)
    for c in range(COLUMNS):
        push = -1.0 if c == 6 else 0.0
        x, y, z = flat[c], flat[COLUMNS + c], flat[2 * COLUMNS + c]
        u, v, w = flat[3 * COLUMNS + c], flat[4 * COLUMNS + c], flat[5 * COLUMNS + c]
        a = push * d0 + p00 * x + p01 * y + p02 * z + s00 * u + s01 * v + s02 * w
        b = push * d1 + p10 * x + p11 * y + p12 * z + s10 * u + s11 * v + s12 * w
        e = push * d2 + p20 * x + p21 * y + p22 * z + s20 * u + s21 * v + s22 * w
        flat[c] = x + h_s * u + half * a
        flat[COLUMNS + c] = y + h_s * v + half * b
        flat[2 * COLUMNS + c] = z + h_s * w + half * e
        flat[3 * COLUMNS + c] = u + h_s * a + half * (p00 * u + p01 * v + p02 * w + s00 * a + s01 * b + s02 * e)
        flat[4 * COLUMNS + c] = v + h_s * b + half * (p10 * u + p11 * v + p12 * w + s10 * a + s11 * b + s12 * e)
        flat[5 * COLUMNS + c] = w + h_s * e + half * (p20 * u + p21 * v + p22 * w + s20 * a + s21 * b + s22 * e)


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
