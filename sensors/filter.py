"""The national tracker's filter: models of motion mixed by their probabilities (IMM), sensor biases considered. Kernels.

A track is x (5, 9), cov (5, 9, 9), cross (5, 9, 3 s + 3) and mu (5,): by model the state (`sensors.motion`), its covariance, its
covariance with the biases of the nation's s sensors and with its offset, and the model's probability. Interacting multiple
models: Blom and Bar-Shalom, IEEE Trans. AC 33(8), 1988. Biases are considered, not estimated (Schmidt-Kalman: Schmidt, Advances
in Control Systems 3, 1966; Woodbury and Junkins, AIAA 2010-7752): each is of unit variance and stays so, and no number of
detections averages it out of a covariance. So is the offset, how far an object stands off the middle of those that it is
detected as one with; but it fades as they move. Updates are in Joseph form, from a detection's position and information matrix,
which may be singular (an infrared line of sight). Nothing here knows about sensors, or which detection belongs to which track.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from physics.compile import jit
from sensors.motion import (
    BOOST,
    COAST,
    GLIDE,
    LEAST_THRUST_M_S2,
    MODELS,
    MOST_THRUST_M_S2,
    REENTRY,
    STAGING,
    air_share,
    move,
    usual_drag,
)
from sensors.products import inverse3, kept, square_root, through, times_root

Float = NDArray[np.float64]
Ints = NDArray[np.int64]

_BURN_S = 60.0  # mean burn left of a stage whose thrust is not known
# The stronger a stage pushes, the emptier it is: burnouts a second at a thrust, with whose cube they go, and the most. Between
# those of a population of flights and of the published ones: 0.002 and none at 20 to 30 m/s2, 0.03 and 0.01 at 45 to 65, 0.09 and
# 0.06 at 65 to 90, 0.3 and 0.2 above 130.
_BURNOUTS_S, _AT_THRUST_M_S2, _MOST_BURNOUTS_S = 0.02, 55.0, 0.3
_STAGING_S = 3.0  # mean length of a change of stage
_LAST_STAGE = 0.5  # probability that a burnout is the last
_GLIDES = 0.0015  # probability that what enters the air glides
_GLIDE_S, _BALLISTIC_S = 30.0, 15000.0  # mean length of a glide, and mean time until one begins
_RELIGHT_S = 1e13  # mean coast before a next stage: none is known to wait, and what is mixed in widens every coast
_RELIGHT_SIGMA_M_S2 = 30.0  # of the thrust of a stage that lights, each axis
_ASLEEP = 2e-15  # a model less likely than this ahead is not computed
_LEAST = 1e-15  # no model's probability falls below
_COUNTS = 1e-3  # a model less likely than this opens no gate
_BELIEVED = 0.01  # what is less likely a track's does not widen it
_JOINS = 0.02  # a stage that may just have lit does not widen the boost that goes on while it is a smaller part of it than this
_SMALL = 1e-12
_OFFSET_S = 10.0  # an object's offset among those it is merged with is as good as another after so long


@jit
def burnouts_s(thrust2: float, doubt: float) -> float:
    """How often a stage burns out, 1/s, at a thrust (squared, m2/s4) and the variance of it.

    As by thrust so far as that is surely what it is: of one that may be none, or is none that can be, it must not feed on itself.
    """
    known = max(1.0 - doubt / thrust2, 0.0) if LEAST_THRUST_M_S2**2 < thrust2 < MOST_THRUST_M_S2**2 else 0.0
    by_thrust = min(_BURNOUTS_S * (math.sqrt(thrust2) / _AT_THRUST_M_S2) ** 3, _MOST_BURNOUTS_S)
    return known * by_thrust + (1.0 - known) / _BURN_S


@jit
def _switch(burnouts: float, air: float, dt_s: float) -> Float:
    """Markov transition probabilities (5, 5) over dt_s: burnout, so often a second, another stage; coast and re-entry by how much
    air there is.
    """
    out = np.zeros((MODELS, MODELS))
    change = 1.0 - math.exp(-dt_s * burnouts)
    over = 1.0 - math.exp(-dt_s / _STAGING_S)
    over_glide, begin_glide = math.exp(-dt_s / _GLIDE_S), 1.0 - math.exp(-dt_s / _BALLISTIC_S)
    relight = 1.0 - math.exp(-dt_s / _RELIGHT_S)
    out[BOOST, BOOST], out[BOOST, STAGING] = 1.0 - change, change * (1.0 - _LAST_STAGE)
    out[STAGING, STAGING], out[STAGING, BOOST] = 1.0 - over, over * (1.0 - _LAST_STAGE)
    for i in range(MODELS):
        if i >= COAST:
            out[i, STAGING] = relight
        free = 1.0 - out[i, BOOST] - out[i, STAGING]
        glide = over_glide if i == GLIDE else begin_glide if i == REENTRY else _GLIDES
        out[i, COAST], out[i, REENTRY], out[i, GLIDE] = free * (1.0 - air), free * air * (1.0 - glide), free * air * glide
    return out


@jit
def entered(x: Float, cov: Float, cross: Float, i: int, j: int) -> tuple[Float, Float, Float]:
    """A track of model i as it begins in model j: the force is what j begins with, and has to do with nothing before it."""
    y, p, c = x.copy(), cov.copy(), cross.copy()
    if i == j or (i < COAST and j < COAST) or (i > COAST and j > COAST):
        return y, p, c
    y[6:], p[6:, :], p[:, 6:], c[6:, :] = 0.0, 0.0, 0.0, 0.0
    if j > COAST:
        drag, spread = usual_drag(x[:6])
        y[6:] = drag
        p[6:, 6:] = spread
    elif j < COAST:
        p[6:, 6:] = _RELIGHT_SIGMA_M_S2**2 * np.eye(3)
    return y, p, c


@jit
def predict(x: Float, cov: Float, cross: Float, mu: Float, dt_s: float) -> tuple[Float, Float, Float, Float]:
    """Mix and predict one track over dt_s >= 0 seconds."""
    if dt_s <= 0.0:
        return x.copy(), cov.copy(), cross.copy(), mu.copy()
    likely = x[np.argmax(mu)]
    doubt = cov[BOOST, 6, 6] + cov[BOOST, 7, 7] + cov[BOOST, 8, 8]
    switch = _switch(burnouts_s((x[BOOST, 6:] ** 2).sum(), doubt), air_share(likely[:6]), dt_s)
    ahead = mu @ switch
    out, out_cov, out_cross = np.empty_like(x), np.empty_like(cov), np.empty_like(cross)
    for j in range(MODELS):
        if ahead[j] <= _ASLEEP:  # re-entry in vacuum, coast in air, boost long after burnout
            ahead[j] = 0.0
            out[j], out_cov[j], out_cross[j] = x[j], cov[j], cross[j]
            continue
        share = mu * switch[:, j] / ahead[j]
        if j == BOOST and share[STAGING] < _JOINS:
            share[STAGING] = 0.0
            share /= share.sum()
        mixed, mixed_cov, mixed_cross = np.zeros(9), np.zeros((9, 9)), np.zeros(cross.shape[1:])
        begun = np.empty((MODELS, 9))
        for i in range(MODELS):
            if share[i] > 0.0:
                y, p, c = entered(x[i], cov[i], cross[i], i, j)
                begun[i] = y
                mixed += share[i] * y
                mixed_cov += share[i] * p
                mixed_cross += share[i] * c
        for i in range(MODELS):
            if share[i] > 0.0:
                for a in range(9):
                    for b in range(9):
                        mixed_cov[a, b] += share[i] * (begun[i, a] - mixed[a]) * (begun[i, b] - mixed[b])
        moved, f, q = move(mixed, dt_s, j, mixed_cov[6, 6] + mixed_cov[7, 7] + mixed_cov[8, 8])
        spread = through(f, through(f, mixed_cov).T)
        out[j] = moved
        out_cov[j] = 0.5 * (spread + spread.T) + q
        out_cross[j] = through(f, mixed_cross)
        out_cross[j, :, -3:] *= math.exp(-dt_s / _OFFSET_S)
    return out, out_cov, out_cross, ahead / ahead.sum()


@jit
def spread_of(cov: Float, cross: Float, bias: Float, columns: Ints) -> Float:
    """Covariance (3, 3) of a predicted detection less its noise: of the position (its part of `cov`), of the sensor's biases
    (bias (3, m): what a unit of each does), and of what they share (`columns` (m,) of `cross`).
    """
    out = np.empty((3, 3))
    for a in range(3):
        for b in range(3):
            total = cov[a, b]
            for k in range(len(columns)):
                shared = cross[a, columns[k]] * bias[b, k] + bias[a, k] * cross[b, columns[k]]
                total += shared + bias[a, k] * bias[b, k]
            out[a, b] = total
    return out


@jit
def innovation(x: Float, spread: Float, position: Float, root: Float) -> tuple[float, float]:
    """Squared Mahalanobis distance and log-likelihood (less a constant) of a detection under one model's state and spread.

    `root` is the square root L of the detection's information: distance^2 = d^T L (I + L^T S L)^-1 L^T d, singular or not.
    """
    s, w = np.eye(3), np.zeros(3)
    for a in range(3):
        for i in range(3):
            w[a] += root[i, a] * (position[i] - x[i])
            for b in range(3):
                for j in range(3):
                    s[a, b] += root[i, a] * spread[i, j] * root[j, b]
    inverse, det = inverse3(s)
    distance2 = 0.0
    for a in range(3):
        for b in range(3):
            distance2 += w[a] * inverse[a, b] * w[b]
    return distance2, -0.5 * (distance2 + math.log(max(det, _SMALL)))


@jit
def columns_of(bias: Float, sensor: int, total: int) -> Ints:
    """Those of the `total` columns of `cross` that a detection of biases (3, 6) has to do with: the offset's where it has one."""
    own = 3 * sensor + np.arange(3)
    return np.append(own, total - 3 + np.arange(3)) if bias[:, 3:].any() else own


@jit
def _corrected(
    x: Float, cov: Float, cross: Float, position: Float, root: Float, bias: Float, columns: Ints
) -> tuple[Float, Float, Float, float]:
    """One model's state (9,), covariances (9, 9) and (9, 3 s + 3) after a detection, and its log-likelihood less a constant.

    `root` is the square root of the detection's information, and whitens it: noise of root^T z is I on what is measured.
    `columns` (m,) are those of `cross` that `bias` (3, m) stands for.
    """
    m = len(columns)
    biased, shared = np.empty((3, m)), np.empty((9, m))
    for k in range(m):
        for a in range(3):
            biased[a, k] = root[0, a] * bias[0, k] + root[1, a] * bias[1, k] + root[2, a] * bias[2, k]
        for i in range(9):
            shared[i, k] = cross[i, columns[k]]
    seen = times_root(cov, root)  # (9, 3): what each number of the state has to do with the whitened detection
    spread = np.eye(3)
    for a in range(3):
        for b in range(3):
            for i in range(3):
                spread[a, b] += root[i, a] * seen[i, b]
            for k in range(m):
                by_a = root[0, a] * shared[0, k] + root[1, a] * shared[1, k] + root[2, a] * shared[2, k]
                by_b = root[0, b] * shared[0, k] + root[1, b] * shared[1, k] + root[2, b] * shared[2, k]
                spread[a, b] += by_a * biased[b, k] + biased[a, k] * by_b + biased[a, k] * biased[b, k]
    for i in range(9):
        for a in range(3):
            for k in range(m):
                seen[i, a] += shared[i, k] * biased[a, k]
    inverse, det = inverse3(spread)
    gain, change = np.zeros((9, 3)), np.zeros((9, m))
    for i in range(9):
        for a in range(3):
            gain[i, a] = seen[i, 0] * inverse[0, a] + seen[i, 1] * inverse[1, a] + seen[i, 2] * inverse[2, a]
        for k in range(m):
            change[i, k] = gain[i, 0] * biased[0, k] + gain[i, 1] * biased[1, k] + gain[i, 2] * biased[2, k]
    kept_shared, after_cross = kept(shared, gain, root), kept(cross, gain, root)
    half = kept(cov, gain, root)
    after = half - times_root(half, root) @ gain.T  # Joseph form: both sides are kept alike
    for i in range(9):
        for j in range(9):
            for a in range(3):
                after[i, j] += gain[i, a] * gain[j, a]
            for k in range(m):
                after[i, j] += change[i, k] * change[j, k] - kept_shared[i, k] * change[j, k] - change[i, k] * kept_shared[j, k]
        for k in range(m):
            after_cross[i, columns[k]] -= change[i, k]
    d, moved, distance2 = np.zeros(3), x.copy(), 0.0
    for a in range(3):
        for i in range(3):
            d[a] += root[i, a] * (position[i] - x[i])
    for a in range(3):
        for i in range(9):
            moved[i] += gain[i, a] * d[a]
        for b in range(3):
            distance2 += d[a] * inverse[a, b] * d[b]
    return moved, 0.5 * (after + after.T), after_cross, -0.5 * (distance2 + math.log(max(det, _SMALL)))


@jit
def update(
    x: Float,
    cov: Float,
    cross: Float,
    mu: Float,
    chosen: int,
    belief: Float,
    positions: Float,
    information: Float,
    bias: Float,
    sensor: int,
    dark: float,
) -> tuple[Float, Float, Float, Float]:
    """Update one track with the `chosen` one of n detections of its nation's `sensor`-th sensor, or with none (-1).

    The estimate goes where the chosen detection takes it; the covariance is the mean square about that estimate over all that may
    be the track's, belief (n,), and over none being, the rest: an ambiguous choice stays a wide one. `dark` is the log-likelihood
    that the sensor detects what does not burn.
    """
    may = np.flatnonzero(belief >= _BELIEVED)
    if chosen >= 0 and belief[chosen] < _BELIEVED:
        may = np.append(may, chosen)
    n = len(may)
    none = max(1.0 - belief[may].sum(), 0.0)
    none = 0.0 if none < _BELIEVED and chosen >= 0 else none
    states, covs, crosses = np.empty((n + 1, MODELS, 9)), np.empty((n + 1, MODELS, 9, 9)), np.empty((n + 1, *cross.shape))
    share = np.zeros((n + 1, MODELS))
    states[n], covs[n], crosses[n] = x, cov, cross
    share[n] = none * mu
    at = n
    for m in range(n):
        k = may[m]
        at = m if k == chosen else at
        root = square_root(information[k])
        columns = columns_of(bias[k], sensor, cross.shape[2])
        biased = np.ascontiguousarray(bias[k, :, : len(columns)])
        likes = np.full(MODELS, -np.inf)
        for j in range(MODELS):
            if mu[j] > 0.0:
                a, b, c, likes[j] = _corrected(x[j], cov[j], cross[j], positions[k], root, biased, columns)
                states[m, j], covs[m, j], crosses[m, j] = a, b, c
                likes[j] += dark if j >= COAST else 0.0
        like = np.where(mu > 0.0, np.maximum(mu * np.exp(likes - likes.max()), _LEAST), 0.0)
        share[m] = max(belief[k], 1e-3) * like / like.sum()
    out, out_cov, out_cross, out_mu = x.copy(), cov.copy(), cross.copy(), np.zeros(MODELS)
    for j in range(MODELS):
        if mu[j] <= 0.0:
            continue
        total = share[:, j].sum()
        out_mu[j] = total
        out[j] = states[at, j]
        out_cov[j] = 0.0
        out_cross[j] = 0.0
        for m in range(n + 1):
            if share[m, j] > 0.0:
                d = states[m, j] - out[j]
                out_cov[j] += share[m, j] / total * (covs[m, j] + np.outer(d, d))
                out_cross[j] += share[m, j] / total * crosses[m, j]
    return out, out_cov, out_cross, out_mu / out_mu.sum()


@jit
def combined(x: Float, cov: Float, mu: Float) -> tuple[Float, Float]:
    """Position and velocity (6,) and covariance (6, 6) of a track over all models."""
    mean, spread = np.zeros(6), np.zeros((6, 6))
    for j in range(MODELS):
        mean += mu[j] * x[j, :6]
    for j in range(MODELS):
        d = x[j, :6] - mean
        spread += mu[j] * (cov[j, :6, :6] + np.outer(d, d))
    return mean, spread


@jit
def predict_all(x: Float, cov: Float, cross: Float, mu: Float, dt_s: Float) -> tuple[Float, Float, Float, Float]:
    """`predict` for n tracks, each over its own dt_s (n,)."""
    out, out_cov, out_cross, out_mu = np.empty_like(x), np.empty_like(cov), np.empty_like(cross), np.empty_like(mu)
    for i in range(x.shape[0]):
        a, b, c, d = predict(x[i], cov[i], cross[i], mu[i], dt_s[i])
        out[i] = a
        out_cov[i] = b
        out_cross[i] = c
        out_mu[i] = d
    return out, out_cov, out_cross, out_mu


@jit
def gate_all(
    x: Float,
    cov: Float,
    cross: Float,
    mu: Float,
    positions: Float,
    information: Float,
    bias: Float,
    sensor: int,
    dark: float,
    gate: float,
    near_m: float,
) -> Float:
    """Cost (tracks, detections) of each pair: -log-likelihood over the models; inf outside the gate (squared distance).

    Pairs further apart than `near_m` and six sigma are out without the algebra; for lines of sight `near_m` is infinite, as a
    position on one says nothing of the distance. `dark` as in `update`.
    """
    tracks, detections = x.shape[0], positions.shape[0]
    cost = np.full((tracks, detections), np.inf)
    for k in range(detections):
        root = square_root(information[k])
        columns = columns_of(bias[k], sensor, cross.shape[3])
        for i in range(tracks):
            gap2 = 0.0
            for a in range(3):
                gap2 += (positions[k, a] - x[i, 0, a]) ** 2
            wide = math.sqrt(cov[i, 0, 0, 0] + cov[i, 0, 1, 1] + cov[i, 0, 2, 2])
            if math.sqrt(gap2) > near_m + 6.0 * wide:
                continue
            nearest, likes = np.inf, np.empty(MODELS)
            for j in range(MODELS):
                if mu[i, j] <= 0.0:
                    likes[j] = -np.inf
                    continue
                spread = spread_of(cov[i, j], cross[i, j], bias[k], columns)
                near, likes[j] = innovation(x[i, j], spread, positions[k], root)
                likes[j] += dark if j >= COAST else 0.0
                nearest = min(nearest, near) if mu[i, j] > _COUNTS else nearest
            if nearest <= gate:
                top = likes.max()
                cost[i, k] = -top - math.log((mu[i] * np.exp(likes - top)).sum() + 1e-300)
    return cost
