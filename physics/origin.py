"""Where and when an object was launched, from one estimate of its state, in boost or after it. Kernels, and their mixture.

In boost: `physics.boost`. After it: back along the ballistic path to the ground. That virtual launch is behind the
true one along the heading, and later: a rocket starts slowly and bends over. How far, in seconds of horizontal speed, and how
much later are products of powers of the speed and the upward speed there, fitted to a population of flights (every ballistic
type of the catalogue, steerings drawn at random); the powers of how far change with the two. What they leave open is in the
spread: little of what is slow, whose types have one stage, much of what is faster, where types of one and of two share a speed.
Air counts on the way back where the object comes down. Where it climbs it is left out: it shifts the virtual launch by 0.6 km of
7 km or less, 19 times in 20.

Where the phase is not sure, both, as the two parts of a mixture. Does not find out the phase, which is the caller's to tell. The
constants are held by tests/physics/test_origin.py.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from physics.boost import boost_origin
from physics.compile import jit
from physics.constants import EARTH_MEAN_RADIUS_M
from physics.fall import COLUMNS, THIN_AIR_BELOW_M, between, carry_into, rises, spread_by, step_s, to_surface
from physics.frames import quick_altitude_m
from physics.ground import Spread, crossing, ground_state, moved, spread_of
from physics.motion import drag_rate
from physics.propagate import numbers, rate, rk4_from

Float = NDArray[np.float64]

SURE: Final = 0.8  # a state is read as one from the boost alone from this probability on, from the coast alone below the
UNLIKELY: Final = 0.1  # other; between them as either: a tracker is slow to be sure
_BACK_STEP_S: Final = 10.0
_BACK_MOST_S: Final = 4500.0  # longer than the longest lofted flight has been in coast
_SPEED_M_S: Final = 3e3
# ln(shift / horizontal speed / s) and ln(delay / s): constant, and slopes with s = ln(speed / 3 km/s), u = ln(upward speed /
# 3 km/s); of the shift also with s^2, s u and u^2. And one sigma: of the shift least, more at most, at which s, how wide in s.
_SHIFT: Final = (2.061, 2.232, -1.459, 0.270, 0.322, -0.151)
_SHIFT_SIGMA: Final = (0.052, 0.265, 0.314, 0.375)
_DELAY: Final = (4.166, 0.432, 0.473, 0.39)
_TURN_RAD_S: Final = 5.0e-5  # across the heading, a second of boost, of the shift at the whole speed: the Earth turns under it
_LEAST_M: Final = 10.0


class Origin(NamedTuple):
    """Where and how long ago an object left the ground: rad, m2, s."""

    lat_rad: float
    lon_rad: float
    spread: Spread
    back_s: float
    sigma_s: float


def launch_origin(state: Float, cov: Float, boosts: float, beta_kg_m2: float, beta_sigma: float) -> Origin | None:
    """From a state (6,) ECEF m, m/s, its covariance (6, 6), and how likely it boosts; None where its path never left the ground.

    `beta_kg_m2`, `beta_sigma`: ballistic coefficient and sigma of its logarithm, for what is first seen in re-entry.
    """
    x, y, z, vx, vy, vz = state.tolist()
    if boosts < UNLIKELY or x * vx + y * vy + z * vz <= 0.0:  # what comes down has not just been launched
        return _from_coast(state, cov, beta_kg_m2, beta_sigma)
    back_s, sigma_s, lat, lon, spread = boost_origin(state, cov)
    boosted = Origin(lat, lon, spread, back_s, sigma_s)
    coasted = _from_coast(state, cov, beta_kg_m2, beta_sigma) if boosts < SURE else None
    return boosted if coasted is None else mixture(boosted, coasted, boosts)


def _from_coast(state: Float, cov: Float, beta_kg_m2: float, beta_sigma: float) -> Origin | None:
    found, back_s, sigma_s, lat, lon, spread = coast_origin(state, cov, beta_kg_m2, beta_sigma)
    return Origin(lat, lon, spread, back_s, sigma_s) if found else None


@jit
def coast_origin(
    state: Float, cov: Float, beta_kg_m2: float, beta_sigma: float
) -> tuple[bool, float, float, float, float, Spread]:
    """Of an object in free flight: (found, seconds since launch, their sigma, latitude and longitude rad, spread m2).

    State (6,) ECEF m, m/s, covariance (6, 6). Not found, with NaN: its path did not come from the ground, or it is not finite.
    """
    found, back_s, there, cov_there = to_virtual_launch(state, cov, beta_kg_m2, beta_sigma)
    geodetic, v, p = ground_state(there, cov_there)
    slope, up_m_s = crossing(v)
    up_m_s = max(up_m_s, -up_m_s)
    speed2 = v[0] * v[0] + v[1] * v[1] + up_m_s * up_m_s
    speed, up = math.log(math.sqrt(speed2) / _SPEED_M_S), math.log(up_m_s / _SPEED_M_S)
    shift_s, by_speed, by_up = _shift(speed, up)
    delay_s = math.exp(_DELAY[0] + _DELAY[1] * speed + _DELAY[2] * up)
    to, time_to = np.zeros((2, 6)), np.zeros(6)
    time_to[2] = 1.0 / up_m_s
    time_to[5] = delay_s * _DELAY[2] / up_m_s
    for j in range(3):
        time_to[3 + j] += delay_s * _DELAY[1] * v[j] / speed2
    for i in range(2):
        for j in range(3):
            to[i, j] = slope[i, j]
            to[i, 3 + j] = shift_s * v[i] * by_speed * v[j] / speed2
        to[i, 3 + i] += shift_s
        to[i, 5] += shift_s * v[i] * by_up / up_m_s
    east, both, north = spread_of(to, p)
    one, other = shift_s * v[0], shift_s * v[1]
    along, across = _shift_sigma(speed) ** 2, (_TURN_RAD_S * delay_s * shift_s) ** 2 * speed2 + _LEAST_M**2
    var = (_DELAY[3] * delay_s) ** 2
    for i in range(6):
        for j in range(6):
            var += time_to[i] * p[i, j] * time_to[j]
    lat, lon = moved(geodetic[0], geodetic[1], one, other)
    spread = (east + along * one * one + across, both + along * one * other, north + along * other * other + across)
    if not (found and math.isfinite(lat + lon + spread[0] + spread[1] + spread[2] + var)):
        return False, np.nan, np.nan, np.nan, np.nan, (np.nan, np.nan, np.nan)
    return True, back_s + delay_s, math.sqrt(max(var, 0.0)), lat, lon, spread


@jit
def _shift(speed: float, up: float) -> tuple[float, float, float]:
    """How far behind the true launch is, s of horizontal speed, and the slopes of its logarithm with the two of speed."""
    value = _SHIFT[0] + (_SHIFT[1] + _SHIFT[3] * speed) * speed + (_SHIFT[2] + _SHIFT[4] * speed + _SHIFT[5] * up) * up
    by_speed, by_up = _SHIFT[1] + 2.0 * _SHIFT[3] * speed + _SHIFT[4] * up, _SHIFT[2] + _SHIFT[4] * speed + 2.0 * _SHIFT[5] * up
    return math.exp(value), by_speed, by_up


@jit
def _shift_sigma(speed: float) -> float:
    """One sigma of the shift's logarithm at a logarithm of the speed."""
    least, more, at, wide = _SHIFT_SIGMA
    return least + more * math.exp(-0.5 * ((speed - at) / wide) ** 2)


@jit
def to_virtual_launch(state: Float, cov: Float, beta_kg_m2: float, beta_sigma: float) -> tuple[bool, float, Float, Float]:
    """Back along the ballistic path: (found, seconds since it left the ground, state (6,) there, covariance (6, 6)).

    With drag where it comes down: ballistic coefficient and the sigma of its logarithm. No air where it climbs.
    """
    x, t = numbers(state), 0.0
    to = np.eye(6, COLUMNS)
    alt = quick_altitude_m(x)
    while alt > 0.0 and t < _BACK_MOST_S:
        beta = beta_kg_m2 if alt < THIN_AIR_BELOW_M and not rises(x) else 0.0
        drag = drag_rate(x, beta)
        k = rate(x, drag)
        h_s = -(step_s(x, alt, drag) if beta > 0.0 else _BACK_STEP_S)
        before = rk4_from(x, k, h_s, beta)
        alt_before = quick_altitude_m(before)
        if alt_before <= 0.0:
            h_s, before = to_surface(x, k, h_s, alt, alt_before, beta)
        carry_into(to, between(x, before), h_s, beta)
        x, alt = before, alt_before
        t -= h_s
    return alt <= 0.0, t, np.array(x), spread_by(to, cov, beta_sigma)


def mixture(one: Origin, other: Origin, share: float) -> Origin:
    """The mean and the spread of two possibilities, the first with probability `share` (flat Earth between the two)."""
    rest = 1.0 - share
    east = (other.lon_rad - one.lon_rad + math.pi) % (2.0 * math.pi) - math.pi
    east *= EARTH_MEAN_RADIUS_M * math.cos(one.lat_rad)
    north = (other.lat_rad - one.lat_rad) * EARTH_MEAN_RADIUS_M
    between = (east * east, east * north, north * north)
    a, b, c = (share * p + rest * q + share * rest * d for p, q, d in zip(one.spread, other.spread, between, strict=True))
    lat, lon = moved(one.lat_rad, one.lon_rad, rest * east, rest * north)
    back_s = share * one.back_s + rest * other.back_s
    var_s = share * one.sigma_s**2 + rest * other.sigma_s**2 + share * rest * (other.back_s - one.back_s) ** 2
    return Origin(lat, lon, (a, b, c), back_s, math.sqrt(var_s))
