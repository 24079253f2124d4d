"""Free flight of a state and its covariance by the ballistic model (J2, rotating Earth), forwards or backwards in time.

Fixed-step Runge-Kutta 4 with steps of at most MAX_STEP_S; the state-transition matrix is integrated with the state. Process noise
is white acceleration of power spectral density q (m2/s3) on each axis (Bar-Shalom, Li and Kirubarajan, 2001, section 6.2.2):
it adds with the length of the step whether time runs forwards or backwards. Arguments are never changed. A time that is not
finite, or longer than MAX_SPAN_S either way, gives NaN: no peer's clock can make a kernel run for minutes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from physics.compile import jit
from physics.constants import EARTH_OMEGA_RAD_S
from physics.frames import quick_altitude_m
from physics.motion import ballistic_acceleration, ballistic_gradient, drag_acceleration

Float = NDArray[np.float64]

MAX_STEP_S = 10.0
MAX_SPAN_S = 86_400.0
GROUND_OK = 0
GROUND_NEVER = 1
GROUND_BAD_INPUT = 2
_FALL_STEP_S = 5.0
_THIN_AIR_STEP_S = 2.0
_AIR_STEP_S = 0.5
_THIN_AIR_BELOW_M = 100e3
_AIR_BELOW_M = 50e3
_SPREAD_STEP_S = 30.0  # steps of the covariance's way to the ground: it is wide, and need not be exact to the metre


@jit
def _rate(state: Float, beta_kg_m2: float) -> Float:
    out = np.empty(6)
    a = ballistic_acceleration(state)
    d = drag_acceleration(state, beta_kg_m2)
    for i in range(3):
        out[i] = state[3 + i]
        out[3 + i] = a[i] + d[i]
    return out


@jit
def _rk4(state: Float, h_s: float, beta_kg_m2: float) -> Float:
    k1 = _rate(state, beta_kg_m2)
    k2 = _rate(state + 0.5 * h_s * k1, beta_kg_m2)
    k3 = _rate(state + 0.5 * h_s * k2, beta_kg_m2)
    k4 = _rate(state + h_s * k3, beta_kg_m2)
    return state + h_s / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + k4)


@jit
def _steps(dt_s: float) -> tuple[int, float]:
    """How many steps, and the length of each, s: one of NaN for a time that is out of bounds."""
    if not abs(dt_s) <= MAX_SPAN_S:
        return 1, np.nan
    n = max(1, int(np.ceil(abs(dt_s) / MAX_STEP_S)))
    return n, dt_s / n


@jit
def propagate_one(state: Float, dt_s: float) -> Float:
    """State (6,) after `dt_s` seconds of free flight without air; negative goes back. 0.1 m after 600 s."""
    n, h_s = _steps(dt_s)
    out = state.copy()
    for _ in range(n):
        out = _rk4(out, h_s, 0.0)
    return out


@jit
def _system(state: Float) -> Float:
    """Jacobian (6, 6) of the state's rate, d(rate)/d(state)."""
    a = np.zeros((6, 6))
    a[3:, :3] = ballistic_gradient(state[:3])
    a[0, 3] = 1.0
    a[1, 4] = 1.0
    a[2, 5] = 1.0
    a[3, 4] = 2.0 * EARTH_OMEGA_RAD_S
    a[4, 3] = -2.0 * EARTH_OMEGA_RAD_S
    return a


@jit
def transition(state: Float, dt_s: float) -> tuple[Float, Float]:
    """State (6,) after `dt_s` seconds, and the state-transition matrix (6, 6) from now to then."""
    n, h_s = _steps(dt_s)
    return _transition(state, h_s, n)


@jit
def _transition(state: Float, h_s: float, n: int) -> tuple[Float, Float]:
    """State and state-transition matrix after `n` steps of `h_s` seconds."""
    x = state.copy()
    phi = np.eye(6)
    for _ in range(n):
        half = _rk4(x, 0.5 * h_s, 0.0)
        done = _rk4(x, h_s, 0.0)
        a0 = _system(x)
        a1 = _system(half)
        a2 = _system(done)
        k1 = a0 @ phi
        k2 = a1 @ (phi + 0.5 * h_s * k1)
        k3 = a1 @ (phi + 0.5 * h_s * k2)
        k4 = a2 @ (phi + h_s * k3)
        phi = phi + h_s / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + k4)
        x = done
    return x, phi


@jit
def short_transition(state: Float, dt_s: float) -> Float:
    """State-transition matrix (6, 6) to second order in dt, with the gravity gradient and the Coriolis term."""
    g = ballistic_gradient(state[:3])
    phi = np.eye(6)
    half = 0.5 * dt_s * dt_s
    for i in range(3):
        phi[i, 3 + i] = dt_s
        for j in range(3):
            phi[i, j] += g[i, j] * half
            phi[3 + i, 3 + j] += g[i, j] * half
            phi[3 + i, j] += g[i, j] * dt_s
    turn = 2.0 * EARTH_OMEGA_RAD_S
    phi[0, 4] += turn * half
    phi[1, 3] -= turn * half
    phi[3, 4] += turn * dt_s
    phi[4, 3] -= turn * dt_s
    return phi


@jit
def add_noise(cov: Float, dt_s: float, q_m2_s3: float) -> Float:
    """Covariance (6, 6) with the noise of |dt_s| seconds of white acceleration added."""
    t = abs(dt_s)
    sign = 1.0 if dt_s >= 0.0 else -1.0
    out = cov.copy()
    for i in range(3):
        out[i, i] += q_m2_s3 * t * t * t / 3.0
        out[i, i + 3] += sign * q_m2_s3 * t * t / 2.0
        out[i + 3, i] += sign * q_m2_s3 * t * t / 2.0
        out[i + 3, i + 3] += q_m2_s3 * t
    return out


@jit
def propagate_cov_one(state: Float, cov: Float, dt_s: float, q_m2_s3: float) -> tuple[Float, Float]:
    """State (6,) and covariance (6, 6) after `dt_s` seconds of free flight: Phi P Phi^T + Q."""
    x, phi = transition(state, dt_s)
    spread = phi @ cov @ phi.T
    return x, add_noise(0.5 * (spread + spread.T), dt_s, q_m2_s3)


@jit
def propagate_many(states: Float, dt_s: Float) -> Float:
    """States (n, 6), each after its own `dt_s` (n,) seconds."""
    out = np.empty((states.shape[0], 6))
    for i in range(states.shape[0]):
        out[i] = propagate_one(states[i], dt_s[i])
    return out


@jit
def propagate_cov_many(states: Float, covs: Float, dt_s: Float, q_m2_s3: Float) -> tuple[Float, Float]:
    """States (n, 6) and covariances (n, 6, 6), each after its own `dt_s` (n,) with its own noise (n,)."""
    n = states.shape[0]
    out, out_covs = np.empty((n, 6)), np.empty((n, 6, 6))
    for i in range(n):
        x, p = propagate_cov_one(states[i], covs[i], dt_s[i], q_m2_s3[i])
        out[i] = x
        out_covs[i] = p
    return out, out_covs


@jit
def to_ground(state: Float, cov: Float, q_m2_s3: float, beta_kg_m2: float, max_s: float) -> tuple[int, float, Float, Float]:
    """Fall with drag to height 0 on the ellipsoid: (status, seconds, state (6,), covariance (6, 6)). Within 3 ms and 15 m.

    `beta_kg_m2` not positive or infinite: no drag. The covariance travels by the free-flight transition matrix: drag shortens the
    fall in the state, not in the spread. A state at or below the ground that descends is there: 0 s. Status:
    GROUND_OK; GROUND_NEVER: not within `max_s` nor MAX_SPAN_S, with the last state and a NaN covariance;
    GROUND_BAD_INPUT: not finite, noise below 0, or `max_s` not above 0, with NaN.
    """
    sound = np.isfinite(state).all() and np.isfinite(cov).all()
    if not (sound and max_s > 0.0 and 0.0 <= q_m2_s3 < np.inf):
        return GROUND_BAD_INPUT, np.nan, np.full(6, np.nan), np.full((6, 6), np.nan)
    x, t = state.copy(), 0.0
    alt = quick_altitude_m(x[:3])
    climbing = x[0] * x[3] + x[1] * x[4] + x[2] * x[5] > 0.0
    if alt <= 0.0 and not climbing:
        return GROUND_OK, 0.0, x, cov.copy()
    until_s = min(max_s, MAX_SPAN_S)
    while t < until_s:
        h_s = _FALL_STEP_S if alt > _THIN_AIR_BELOW_M else _THIN_AIR_STEP_S if alt > _AIR_BELOW_M else _AIR_STEP_S
        h_s = min(h_s, until_s - t)
        after = _rk4(x, h_s, beta_kg_m2)
        alt_after = quick_altitude_m(after[:3])
        if alt_after <= 0.0 and (alt > 0.0 or not climbing):
            low, high = 0.0, h_s
            for _ in range(14):  # to 0.03 ms
                middle = 0.5 * (low + high)
                if quick_altitude_m(_rk4(x, middle, beta_kg_m2)[:3]) > 0.0:
                    low = middle
                else:
                    high = middle
            x = _rk4(x, high, beta_kg_m2)
            t += high
            n = 1 + int(t / _SPREAD_STEP_S)
            _, phi = _transition(state, t / n, n)
            spread = phi @ cov @ phi.T
            return GROUND_OK, t, x, add_noise(0.5 * (spread + spread.T), t, q_m2_s3)
        x, alt = after, alt_after
        climbing = x[0] * x[3] + x[1] * x[4] + x[2] * x[5] > 0.0
        t += h_s
    return GROUND_NEVER, t, x, np.full((6, 6), np.nan)
