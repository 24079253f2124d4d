"""The national tracker's filter: two models of motion, boost and coast, mixed by their probabilities (IMM). Kernels.

State (9,): ECEF position m, velocity m/s, thrust acceleration m/s2. Boost: free flight plus a thrust acceleration that wanders
(white jerk). Coast: free flight, no thrust, small process noise, larger where drag bites. Interacting multiple models: Blom and
Bar-Shalom, IEEE Trans. AC 33(8), 1988. Updates are in Joseph form, from a detection's position and information matrix, which
may be singular (an infrared line of sight). Nothing here knows about sensors, or which detection belongs to which track.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from physics.compile import jit
from physics.motion import drag_acceleration
from physics.propagate import transition

Float = NDArray[np.float64]

BOOST, COAST = 0, 1
_JERK_PSD = 160.0  # m2/s5: thrust acceleration wanders by about 13 m/s2 in a second
_COAST_PSD = 0.01  # m2/s3: what the ballistic model leaves out
_DRAG_BETA_KG_M2 = 5_000.0  # drag of an unknown body is of the size that this ballistic coefficient gives ...
_DRAG_S = 4.0  # ... and steady for some seconds: the PSD is the drag squared times this
_THRUST_SIGMA_M_S2 = 30.0  # of thrust, each axis, where it may begin or its direction is not known
_REST_SIGMA_M_S2 = 0.05  # of thrust in coast: none
_BURN_S = 60.0  # mean burn left
_RELIGHT_S = 3000.0  # mean coast before a next stage
_SMALL = 1e-12


@jit
def _coast_psd(state: Float) -> float:
    """Process noise of free flight, m2/s3: small in space, the square of the drag where there is air."""
    drag = drag_acceleration(state, _DRAG_BETA_KG_M2)
    psd: float = _COAST_PSD + _DRAG_S * (drag[0] ** 2 + drag[1] ** 2 + drag[2] ** 2)
    return psd


@jit
def _move(x: Float, cov: Float, dt_s: float, model: int) -> tuple[Float, Float]:
    """One model's prediction of state (9,) and covariance (9, 9) over dt_s >= 0 seconds."""
    flown, phi = transition(x[:6], dt_s)
    f = np.zeros((9, 9))
    f[:6, :6] = phi
    q = np.zeros((9, 9))
    t = dt_s
    out = np.zeros(9)
    out[:6] = flown
    if model == BOOST:
        for i in range(3):
            f[i, i + 6] = 0.5 * t * t
            f[i + 3, i + 6] = t
            f[i + 6, i + 6] = 1.0
            out[i] += 0.5 * t * t * x[i + 6]
            out[i + 3] += t * x[i + 6]
            out[i + 6] = x[i + 6]
            q[i, i] = _JERK_PSD * t**5 / 20.0
            q[i + 3, i + 3] = _JERK_PSD * t**3 / 3.0
            q[i + 6, i + 6] = _JERK_PSD * t
            q[i, i + 3] = _JERK_PSD * t**4 / 8.0
            q[i, i + 6] = _JERK_PSD * t**3 / 6.0
            q[i + 3, i + 6] = _JERK_PSD * t**2 / 2.0
            q[i + 3, i] = q[i, i + 3]
            q[i + 6, i] = q[i, i + 6]
            q[i + 6, i + 3] = q[i + 3, i + 6]
    else:
        psd = _coast_psd(flown)
        for i in range(3):
            q[i, i] = psd * t**3 / 3.0
            q[i, i + 3] = psd * t * t / 2.0
            q[i + 3, i] = q[i, i + 3]
            q[i + 3, i + 3] = psd * t
            q[i + 6, i + 6] = _REST_SIGMA_M_S2**2
    spread = f @ cov @ f.T + q
    return out, 0.5 * (spread + spread.T)


@jit
def predict(x: Float, cov: Float, mu: Float, dt_s: float) -> tuple[Float, Float, Float]:
    """Mix and predict one track: x (2, 9), cov (2, 9, 9), mu (2,) model probabilities, over dt_s >= 0 seconds."""
    if dt_s <= 0.0:
        return x.copy(), cov.copy(), mu.copy()
    stay = np.empty((2, 2))
    stay[BOOST, COAST] = 1.0 - math.exp(-dt_s / _BURN_S)
    stay[COAST, BOOST] = 1.0 - math.exp(-dt_s / _RELIGHT_S)
    stay[BOOST, BOOST] = 1.0 - stay[BOOST, COAST]
    stay[COAST, COAST] = 1.0 - stay[COAST, BOOST]
    ahead = mu @ stay
    out, out_cov = np.empty((2, 9)), np.empty((2, 9, 9))
    for j in range(2):
        mixed, mixed_cov = np.zeros(9), np.zeros((9, 9))
        for i in range(2):
            mixed += mu[i] * stay[i, j] / ahead[j] * x[i]
        for i in range(2):
            d = x[i] - mixed
            mixed_cov += mu[i] * stay[i, j] / ahead[j] * (cov[i] + np.outer(d, d))
        if j == BOOST and mu[BOOST] < 0.5:
            for k in range(6, 9):  # a stage that lights now thrusts with any strength in any direction
                mixed_cov[k, k] += _THRUST_SIGMA_M_S2**2 * mu[COAST] * stay[COAST, BOOST] / ahead[j]
        moved, moved_cov = _move(mixed, mixed_cov, dt_s, j)
        out[j] = moved
        out_cov[j] = moved_cov
    return out, out_cov, ahead


@jit
def square_root(information: Float) -> Float:
    """L (3, 3) with L L^T the information matrix (3, 3), which may be singular."""
    values, vectors = np.linalg.eigh(information)
    root = np.zeros((3, 3))
    for i in range(3):
        root[:, i] = vectors[:, i] * math.sqrt(max(values[i], 0.0))
    return root


@jit
def _inverse3(s: Float) -> tuple[Float, float]:
    """Inverse and determinant of a symmetric positive definite matrix (3, 3), by cofactors."""
    out = np.empty((3, 3))
    out[0, 0] = s[1, 1] * s[2, 2] - s[1, 2] * s[2, 1]
    out[0, 1] = s[0, 2] * s[2, 1] - s[0, 1] * s[2, 2]
    out[0, 2] = s[0, 1] * s[1, 2] - s[0, 2] * s[1, 1]
    out[1, 1] = s[0, 0] * s[2, 2] - s[0, 2] * s[2, 0]
    out[1, 2] = s[0, 2] * s[1, 0] - s[0, 0] * s[1, 2]
    out[2, 2] = s[0, 0] * s[1, 1] - s[0, 1] * s[1, 0]
    out[1, 0], out[2, 0], out[2, 1] = out[0, 1], out[0, 2], out[1, 2]
    det = s[0, 0] * out[0, 0] + s[0, 1] * out[1, 0] + s[0, 2] * out[2, 0]
    return out / det, det


@jit
def innovation(x: Float, cov: Float, position: Float, root: Float) -> tuple[float, float]:
    """Squared Mahalanobis distance and log-likelihood (less a constant) of a detection under one model's state and covariance.

    `root` is the square root L of the detection's information: distance^2 = d^T L (I + L^T P L)^-1 L^T d, singular or not.
    """
    s, w = np.eye(3), np.zeros(3)
    for a in range(3):
        for i in range(3):
            w[a] += root[i, a] * (position[i] - x[i])
            for b in range(3):
                for j in range(3):
                    s[a, b] += root[i, a] * cov[i, j] * root[j, b]
    inverse, det = _inverse3(s)
    distance2 = 0.0
    for a in range(3):
        for b in range(3):
            distance2 += w[a] * inverse[a, b] * w[b]
    return distance2, -0.5 * (distance2 + math.log(max(det, _SMALL)))


@jit
def update(x: Float, cov: Float, mu: Float, position: Float, information: Float) -> tuple[Float, Float, Float]:
    """Update one track (shapes as in `predict`) with one detection, Joseph form; mu by the likelihoods."""
    out, out_cov, weight = np.empty((2, 9)), np.empty((2, 9, 9)), np.empty(2)
    root = square_root(information)
    for j in range(2):
        h = np.zeros((3, 9))  # whitened: the noise of root^T z is I on the directions that are measured
        h[:, :3] = root.T
        s = np.eye(3) + h @ cov[j] @ h.T
        gain = np.linalg.solve(s, h @ cov[j]).T
        d = root.T @ (position - x[j, :3])
        out[j] = x[j] + gain @ d
        keep = np.eye(9) - gain @ h
        after = keep @ cov[j] @ keep.T + gain @ gain.T
        out_cov[j] = 0.5 * (after + after.T)
        weight[j] = -0.5 * ((d * np.linalg.solve(s, d)).sum() + math.log(max(np.linalg.det(s), _SMALL)))
    top = weight.max()
    after_mu = np.empty(2)
    for j in range(2):
        after_mu[j] = max(mu[j] * math.exp(weight[j] - top), 1e-6)
    return out, out_cov, after_mu / after_mu.sum()


@jit
def combined(x: Float, cov: Float, mu: Float) -> tuple[Float, Float]:
    """Position and velocity (6,) and covariance (6, 6) of a track over both models."""
    mean = mu[0] * x[0, :6] + mu[1] * x[1, :6]
    spread = np.zeros((6, 6))
    for j in range(2):
        d = x[j, :6] - mean
        spread += mu[j] * (cov[j, :6, :6] + np.outer(d, d))
    return mean, spread


@jit
def predict_all(x: Float, cov: Float, mu: Float, dt_s: Float) -> tuple[Float, Float, Float]:
    """`predict` for n tracks: x (n, 2, 9), cov (n, 2, 9, 9), mu (n, 2), dt_s (n,)."""
    out, out_cov, out_mu = np.empty_like(x), np.empty_like(cov), np.empty_like(mu)
    for i in range(x.shape[0]):
        a, b, c = predict(x[i], cov[i], mu[i], dt_s[i])
        out[i] = a
        out_cov[i] = b
        out_mu[i] = c
    return out, out_cov, out_mu


@jit
def gate_all(x: Float, cov: Float, mu: Float, positions: Float, information: Float, gate: float, near_m: float) -> Float:
    """Cost (tracks, detections) of each pair: -log-likelihood over both models; inf outside the gate (squared distance).

    Pairs further apart than `near_m` and six sigma are out without the algebra; for lines of sight `near_m` is infinite, as a
    position on one says nothing of the distance.
    """
    tracks, detections = x.shape[0], positions.shape[0]
    cost = np.full((tracks, detections), np.inf)
    for k in range(detections):
        root = square_root(information[k])
        for i in range(tracks):
            gap2 = 0.0
            for a in range(3):
                gap2 += (positions[k, a] - x[i, 0, a]) ** 2
            spread = math.sqrt(cov[i, 0, 0, 0] + cov[i, 0, 1, 1] + cov[i, 0, 2, 2])
            if math.sqrt(gap2) > near_m + 6.0 * spread:
                continue
            near0, like0 = innovation(x[i, 0], cov[i, 0], positions[k], root)
            near1, like1 = innovation(x[i, 1], cov[i, 1], positions[k], root)
            if min(near0, near1) <= gate:
                top = max(like0, like1)
                cost[i, k] = -top - math.log(mu[i, 0] * math.exp(like0 - top) + mu[i, 1] * math.exp(like1 - top) + 1e-300)
    return cost
