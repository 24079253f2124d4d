"""Aligns reports to a common time: free flight, thrust where the object boosts, drag where it flies through air, and what none of
them knows inside the covariance.

What boosts is pushed along its velocity relative to the Earth, as in a gravity turn (Li and Jilkov, Survey of maneuvering target
tracking, part II, IEEE Trans. AES 46(1), 2010, section III), as usual rockets are; what does not is braked as a usual body is;
each as much as it is likely: a probability of boost up to NOISE counts as none. How far the velocity is known decides how far its
direction is: it is v / s with s^2 = v^2 + tr(cov of v) + SLOW^2, so that what is not known, or has hardly left, is pushed nowhere
and may be pushed anywhere. The push comes before the flight: place back by dt^2 / 2 and velocity on by dt times it; of that,
flight for dt makes what a constant acceleration would, but for how gravity changes on the way.

An acceleration of standard deviation s that is not known, constant over the span, adds (s dt^2 / 2)^2 to the position's variance,
(s dt)^2 to the velocity's, and their product between them: along the velocity what thrust and drag may differ by, across it
tilt and lift, on each axis what is left. That is deliberately not white noise: it does not average out.
Of a partial state (`fusion.partial`) neither height nor speed counts as known: it flies free, and any axis may have the most
thrust there is where it boosts, the most drag where it re-enters.

Spans up to SHORT_S use a series in time; longer ones are integrated (`physics.propagate`), and through air go in steps of that.
Does not choose the time.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from physics.compile import inlined, jit
from physics.constants import EARTH_A_M, EARTH_OMEGA_RAD_S, USUAL_BETA_KG_M2
from physics.frames import quick_altitude_m
from physics.motion import ballistic_acceleration, drag_rate
from physics.propagate import propagate_cov_one, short_transition

Float = NDArray[np.float64]
Push = tuple[float, float, float, float]  # mean thrust m/s2; variances along and across it, (m/s2)^2; sigma of all else m/s2

SHORT_S = 3.0
LASTS_S = 130.0  # thrust's mean over a span fades as burns end in it: by half over so long
SLOW_M_S = 100.0  # of what is slower the direction of flight says little of where it will be pushed
MOST_DRAG_M_S2 = 500.0  # more is no missile's: an estimate that is wrong
AIR_BELOW_M = 100e3  # above, a usual body's drag is below 2 mm/s2
NOISE = 5.0 / 255.0  # a probability up to this is a tracker's floor, not a hint: over an hour it would be half the Earth

_THRUST, _LOW_M = 5.0, 1e3  # of speed over the root of height, m^(1/2)/s; lower it is as if at this height
_LEAST_THRUST_M_S2, _MOST_THRUST_M_S2 = 15.0, 100.0
_SCALE_HEIGHT_M = 7e3
_GRAVITY_M_S2 = 9.8
_AIR_RADIUS_M = EARTH_A_M + AIR_BELOW_M


@inlined
def above_air(state: Float | tuple[float, float, float]) -> bool:
    """Whether a state, or a place, is above AIR_BELOW_M, by the equator's radius."""
    return bool(state[0] * state[0] + state[1] * state[1] + state[2] * state[2] > _AIR_RADIUS_M * _AIR_RADIUS_M)


@inlined
def place_after(state: Float, dt_s: float) -> tuple[float, float, float]:
    """Where a state is `dt_s` later if nothing but gravity bends its way, at its most: no higher than it is."""
    low = 1.0 - 0.5 * _GRAVITY_M_S2 * dt_s * dt_s / EARTH_A_M
    x, y, z = state[0] + dt_s * state[3], state[1] + dt_s * state[4], state[2] + dt_s * state[5]
    return low * x, low * y, low * z


@jit
def usual_drag_m_s2(state: Float) -> float:
    """What a usual body is braked by in the air, m/s2: at most MOST_DRAG_M_S2; above AIR_BELOW_M nothing."""
    if above_air(state):
        return 0.0
    speed = math.sqrt(state[3] * state[3] + state[4] * state[4] + state[5] * state[5])
    return min(-drag_rate(state, USUAL_BETA_KG_M2) * speed, MOST_DRAG_M_S2)


@jit
def usual_thrust_m_s2(state: Float) -> float:
    """What a usual rocket is pushed by here, m/s2: a fit to a population of flights, of every ballistic type of the catalogue.

    What it was pushed by so far, less gravity, is v^2 / 2 h, and more so now; over all types it is near 5 v / sqrt(h): within a
    sixth below 50 km, where first stages burn, within two fifths above.
    """
    speed = math.sqrt(state[3] * state[3] + state[4] * state[4] + state[5] * state[5])
    thrust = _THRUST * speed / math.sqrt(max(quick_altitude_m(state), _LOW_M))
    return min(max(thrust, _LEAST_THRUST_M_S2), _MOST_THRUST_M_S2)


@jit
def accelerations(
    state: Float, boost: float, coast: float, reentry: float, dt_s: float, motion: Float, whole: bool = True
) -> Push:
    """What free flight leaves out of `dt_s` of motion, by the phases' probabilities; no phase known counts as boost.

    `motion` (5,): shares of thrust that it may differ by along and across, those of drag, and sigma of all else (m/s2). A state
    that is not `whole` has no mean, for neither height nor speed is known, but all that there may be on any axis.
    """
    total = boost + coast + reentry
    if whole and boost <= NOISE * total and total > 0.0 and above_air(state):  # what most reports are of
        return 0.0, 0.0, 0.0, motion[4]
    burns = (boost if boost > NOISE * total else 0.0) / total if total > 0.0 else 1.0
    if not whole:
        reenters = reentry / total if reentry > NOISE * total else 0.0
        any_var = burns * _MOST_THRUST_M_S2 * _MOST_THRUST_M_S2 / 3.0 + reenters * MOST_DRAG_M_S2 * MOST_DRAG_M_S2
        return 0.0, 0.0, 0.0, math.sqrt(any_var + motion[4] * motion[4])
    falls, thrust, drag = 1.0 - burns, 0.0, 0.0
    if burns > 0.0:
        thrust = usual_thrust_m_s2(state) / (1.0 + abs(dt_s) / LASTS_S)
    if falls > 0.0:
        drag = usual_drag_m_s2(state)
    if drag > 0.0:  # of the air half way
        sinks_m_s = -(state[0] * state[3] + state[1] * state[4] + state[2] * state[5]) / EARTH_A_M
        drag *= min(max(1.0 + 0.5 * dt_s * sinks_m_s / _SCALE_HEIGHT_M, 0.5), 2.0)
    off, tilt, slip, lift = motion[0] * thrust, motion[1] * thrust, motion[2] * drag, motion[3] * drag
    along_var = burns * off * off + falls * slip * slip + burns * falls * (thrust + drag) * (thrust + drag)
    return burns * thrust - falls * drag, along_var, burns * tilt * tilt + falls * lift * lift, motion[4]


@jit
def align_one(state: Float, cov: Float, dt_s: float, push: Push) -> tuple[Float, Float]:
    """State (6,) and covariance (6, 6) of a report `dt_s` seconds later (negative: earlier), ECEF, SI."""
    if dt_s == 0.0:
        return state.copy(), cov.copy()
    mean, along_var, across_var, sigma_m_s2 = push
    x, p = state, cov
    if along_var + across_var > 0.0 or mean != 0.0:
        x, p = pushed(state, cov, dt_s, mean, along_var, across_var)
    if abs(dt_s) <= SHORT_S:
        x, p = short_flight(x, p, dt_s)
    else:
        x, p = propagate_cov_one(x, p, dt_s, 0.0)
    return x, _blurred(p, dt_s, sigma_m_s2)


@jit
def _blurred(p: Float, dt_s: float, sigma_m_s2: float) -> Float:
    """A covariance of a state's own, changed in place: with an acceleration of one sigma on each axis, the same for `dt_s`."""
    along, gained = sigma_m_s2 * dt_s * dt_s * 0.5, sigma_m_s2 * dt_s
    for i in range(3):
        p[i, i] += along * along
        p[3 + i, 3 + i] += gained * gained
        p[i, 3 + i] += along * gained
        p[3 + i, i] += along * gained
    return p


@jit
def flown(
    state: Float,
    cov: Float,
    boost: float,
    coast: float,
    reentry: float,
    dt_s: float,
    motion: Float,
    whole: bool,
    extra_m_s2: float,
) -> tuple[Float, Float]:
    """State (6,) and covariance (6, 6) of a report of these phases `dt_s` later: `align_one`, by its `accelerations`.

    `extra_m_s2`: an acceleration not known beside those, one sigma on each axis. What falls through air for longer than SHORT_S
    goes in steps of that, for there drag is no constant; but what is not known on any axis is the same all the way.
    """
    total = boost + coast + reentry
    falls = whole and total > 0.0 and boost <= NOISE * total
    steps = 1
    if falls and abs(dt_s) > SHORT_S and not (above_air(state) and above_air(place_after(state, dt_s))):
        steps = math.ceil(abs(dt_s) / SHORT_S)
    if steps == 1:
        mean, along, across, sigma = accelerations(state, boost, coast, reentry, dt_s, motion, whole)
        return align_one(state, cov, dt_s, (mean, along, across, math.hypot(sigma, extra_m_s2) if extra_m_s2 > 0.0 else sigma))
    x, p, step_s = state, cov, dt_s / steps
    for _ in range(steps):
        mean, along, across, _ = accelerations(x, boost, coast, reentry, step_s, motion)
        x, p = align_one(x, p, step_s, (mean, along, across, 0.0))
    return x, _blurred(p, dt_s, math.hypot(motion[4], extra_m_s2))


@jit
def pushed(state: Float, cov: Float, t: float, push_m_s2: float, along_var: float, across_var: float) -> tuple[Float, Float]:
    """State and covariance from which free flight for t s ends where thrust would have brought them: by a mean along the
    velocity, and of unknown acceleration the variances along and across it, (m/s2)^2.

    With u the direction and D = (I - u u^T) / s how it goes with the velocity, the transition is [[I, -h f D], [0, I + t f D]].
    """
    h, spread = 0.5 * t * t, max(cov[3, 3] + cov[4, 4] + cov[5, 5], 0.0) + SLOW_M_S * SLOW_M_S
    speed2 = state[3] * state[3] + state[4] * state[4] + state[5] * state[5]
    s = 1.0 / math.sqrt(speed2 + spread)
    u = s * state[3:]
    any_way = push_m_s2 * push_m_s2 * SLOW_M_S * SLOW_M_S * s * s / 3.0
    x, to = state.copy(), np.eye(6)
    for i in range(3):
        x[i] -= h * push_m_s2 * u[i]
        x[3 + i] += t * push_m_s2 * u[i]
        for j in range(3):
            turn = push_m_s2 * s * ((1.0 if i == j else 0.0) - u[i] * u[j])
            to[i, 3 + j] -= h * turn
            to[3 + i, 3 + j] += t * turn
    p = to @ cov @ to.T
    for i in range(3):
        for j in range(3):
            var = (along_var - across_var) * u[i] * u[j] + (across_var + any_way if i == j else 0.0)
            p[i, j] += h * h * var
            p[i, 3 + j] -= h * t * var
            p[3 + i, j] -= h * t * var
            p[3 + i, 3 + j] += t * t * var
    return x, p


@jit
def short_flight(state: Float, cov: Float, t: float) -> tuple[Float, Float]:
    """State and covariance after a short flight of t s, not 0: by the Taylor series to the third order, within a millimetre over
    SHORT_S. Its transition is of the second order.
    """
    a, phi, h = ballistic_acceleration(state), short_transition(state, t), 0.5 * t * t
    turn = 2.0 * EARTH_OMEGA_RAD_S
    x = np.empty(6)
    for i in range(3):
        jerk = (phi[3 + i, 0] * state[3] + phi[3 + i, 1] * state[4] + phi[3 + i, 2] * state[5]) / t
        jerk += turn * a[1] if i == 0 else -turn * a[0] if i == 1 else 0.0
        x[i] = state[i] + t * state[3 + i] + h * a[i] + h * t / 3.0 * jerk
        x[3 + i] = state[3 + i] + t * a[i] + h * jerk
    half, p = np.zeros((6, 6)), np.empty((6, 6))
    for i in range(6):
        for k in range(6):
            for j in range(6):
                half[i, j] += phi[i, k] * cov[k, j]
    for i in range(6):
        for j in range(i, 6):
            total = 0.0
            for k in range(6):
                total += half[i, k] * phi[j, k]
            p[i, j] = p[j, i] = total
    return x, p
