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
from physics.motion import ballistic_gradient, drag_rate, free_fall

Float = NDArray[np.float64]
Numbers = tuple[float, float, float, float, float, float]

MAX_STEP_S = 10.0
MAX_SPAN_S = 86_400.0


@jit
def numbers(state: Float) -> Numbers:
    """A state (6,) as six numbers: what takes many steps makes no arrays of them, which cost more than the step."""
    return state[0], state[1], state[2], state[3], state[4], state[5]


@jit
def rate(x: Numbers, drag_1_s: float) -> Numbers:
    """The rate of a state in free flight, with drag as a share of its velocity, 1/s (`motion.drag_rate`)."""
    a0, a1, a2 = free_fall(x)
    return x[3], x[4], x[5], a0 + drag_1_s * x[3], a1 + drag_1_s * x[4], a2 + drag_1_s * x[5]


@jit
def _ahead(x: Numbers, k: Numbers, h_s: float) -> Numbers:
    return x[0] + h_s * k[0], x[1] + h_s * k[1], x[2] + h_s * k[2], x[3] + h_s * k[3], x[4] + h_s * k[4], x[5] + h_s * k[5]


@jit
def rk4_from(x: Numbers, k1: Numbers, h_s: float, beta_kg_m2: float) -> Numbers:
    """The state after one step of `h_s` seconds, by its rate `k1` at first."""
    second = _ahead(x, k1, 0.5 * h_s)
    k2 = rate(second, drag_rate(second, beta_kg_m2))
    third = _ahead(x, k2, 0.5 * h_s)
    k3 = rate(third, drag_rate(third, beta_kg_m2))
    last = _ahead(x, k3, h_s)
    k4 = rate(last, drag_rate(last, beta_kg_m2))
    return _ahead(x, _ahead(_ahead(_ahead(k1, k2, 2.0), k3, 2.0), k4, 1.0), h_s / 6.0)


@jit
def rk4(state: Float, h_s: float, beta_kg_m2: float) -> Float:
    """State (6,) after one step of `h_s` seconds, with drag for a ballistic coefficient as of `drag_acceleration`."""
    x = numbers(state)
    return np.array(rk4_from(x, rate(x, drag_rate(x, beta_kg_m2)), h_s, beta_kg_m2))


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
    x = numbers(state)
    for _ in range(n):
        x = rk4_from(x, rate(x, 0.0), h_s, 0.0)
    return np.array(x)


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
    x = state.copy()
    phi = np.eye(6)
    for _ in range(n):
        half = rk4(x, 0.5 * h_s, 0.0)
        done = rk4(x, h_s, 0.0)
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
