"""Aligns reports to a common time: free flight, with the accelerations that the model leaves out inside the covariance.

An unmodelled acceleration of standard deviation s an axis, constant over the span dt, adds (s dt^2 / 2)^2 to the position's
variance, (s dt)^2 to the velocity's, and their product between them. That is deliberately not white noise: thrust does not
average out. s is the root of the phases' mean square, weighted with their probabilities; probabilities up to NOISE count as none.
What re-enters has all of a usual body's drag in it, for flight here is free; where its speed or height is not known
(`fusion.partial`), the most drag that there is.

Spans up to SHORT_S use a series in time; longer ones are integrated (`physics.propagate`).
Does not choose the time.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from physics.compile import jit
from physics.constants import EARTH_OMEGA_RAD_S, USUAL_BETA_KG_M2
from physics.motion import ballistic_acceleration, drag_rate
from physics.propagate import propagate_cov_one, short_transition

Float = NDArray[np.float64]

SHORT_S = 3.0
MOST_DRAG_M_S2 = 500.0  # more is no missile's: an estimate that is wrong
NOISE = 5.0 / 255.0  # a probability up to this is a tracker's floor, not a hint: over an hour it would be half the Earth


@jit
def acceleration_sigma(state: Float, boost: float, coast: float, reentry: float, sigmas_m_s2: Float, whole: bool = True) -> float:
    """Root mean square of the phases' unmodelled accelerations (3,), m/s2; no phase known counts as boost.

    In re-entry a usual body's drag is added, which free flight leaves out: 2 m/s2 or 200, by speed and height; the most that
    there is where the state is not `whole`.
    """
    scale = NOISE * (boost + coast + reentry)
    boost = boost if boost > scale else 0.0
    reentry = reentry if reentry > scale else 0.0
    total = boost + coast + reentry
    if not total > 0.0:
        return float(sigmas_m_s2[0])
    falling = 0.0
    if reentry > 0.0:
        drag2 = MOST_DRAG_M_S2**2
        if whole:
            drag = drag_rate(state, USUAL_BETA_KG_M2)
            speed2 = state[3] * state[3] + state[4] * state[4] + state[5] * state[5]
            drag2 = min(drag * drag * speed2, drag2)
        falling = sigmas_m_s2[2] ** 2 + drag2
    mean_square = boost * sigmas_m_s2[0] ** 2 + coast * sigmas_m_s2[1] ** 2 + reentry * falling
    return math.sqrt(mean_square / total)


@jit
def align_one(state: Float, cov: Float, dt_s: float, sigma_m_s2: float) -> tuple[Float, Float]:
    """State (6,) and covariance (6, 6) of a report `dt_s` seconds later (negative: earlier), ECEF, SI."""
    if dt_s == 0.0:
        return state.copy(), cov.copy()
    if abs(dt_s) <= SHORT_S:
        x, p = short_flight(state, cov, dt_s)
    else:
        x, p = propagate_cov_one(state, cov, dt_s, 0.0)
    along = sigma_m_s2 * dt_s * dt_s * 0.5
    gained = sigma_m_s2 * dt_s
    for i in range(3):
        p[i, i] += along * along
        p[3 + i, 3 + i] += gained * gained
        p[i, 3 + i] += along * gained
        p[3 + i, i] += along * gained
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
