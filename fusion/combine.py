"""Combines reports of one object: pedigree decides how much of their errors may be the same.

- Reports with a sensor in common may have any errors in common: covariance intersection over them
  all at once. P = (sum w_i P_i^-1)^-1 and x = P sum w_i P_i^-1 x_i, with the weights on the simplex that maximise log det of the
  information (Julier and Uhlmann, 1997, in the batch form). That is the D-optimal design problem, solved by the multiplicative
  rule w_i <- w_i tr(P P_i^-1) / 6 (Silvey, Titterington and Torsney, 1978): it starts from equal weights, so where the objective
  is flat the weights stay equal, and never leaves the simplex. Consistent if every member is.
- What is left has no sensor in common: information fusion. National trackers share what their object does, and so part of their
  process noise: their normalised errors correlate by at most some r, more under thrust and in air, and where air is first felt.
  For m of them the true joint covariance is then at most (1 + (m - 1) r) times the block diagonal one (Reece and Roberts, 2005),
  and so much wider is P = (1 + (m - 1) r) (sum P_i^-1)^-1. For r = 1 that is intersection with equal weights.
- Reports that tell of no sensor may be made of all the others: they are intersected with what comes of those. So they may
  add to it, and never take away: that two others are independent stays so whoever repeats them.

Members stand in a fixed order (a column a nation), so the result does not depend on the order of arrival.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from fusion.settings import Combination
from physics.compile import jit

Float = NDArray[np.float64]
Rows = NDArray[np.int64]

SOME_DRAG_M_S2 = 30.0
FIRST_DRAG_M_S2 = 0.01
_ROUNDS = 60
_ENOUGH = 0.005  # stop where no member's gradient is more than this share above the optimum's


@jit
def inverse(a: Float) -> tuple[bool, Float]:
    """Inverse (n, n) of a symmetric positive definite matrix, and whether it has one: by its Cholesky factor, in one array.

    It is scaled to a unit diagonal first.
    """
    n = a.shape[0]
    out, scale = np.empty((n, n)), np.empty(n)
    sound = True
    for i in range(n):
        sound = sound and a[i, i] > 0.0 and np.isfinite(a[i, i])
        scale[i] = 1.0 / math.sqrt(a[i, i]) if sound else np.nan
    for i in range(n):  # the factor in the lower triangle, its diagonal inverted
        for j in range(i + 1):
            total = a[i, j] * scale[i] * scale[j]
            for k in range(j):
                total -= out[i, k] * out[j, k]
            if i > j:
                out[i, j] = total * out[j, j]
            else:
                sound = sound and total > 0.0
                out[i, i] = 1.0 / math.sqrt(total) if sound else np.nan
    for j in range(n):  # the factor's inverse, in its place
        for i in range(j + 1, n):
            total = 0.0
            for k in range(j, i):
                total -= out[i, k] * out[k, j]
            out[i, j] = total * out[i, i]
    largest = 0.0
    for i in range(n):  # the product of its transpose with it, above the diagonal
        for j in range(i, n):
            total = 0.0
            for k in range(j, n):
                total += out[k, i] * out[k, j]
            out[i, j] = total * scale[i] * scale[j]
            largest = max(largest, abs(out[i, j])) if out[i, j] == out[i, j] else np.inf
    for i in range(n):
        for j in range(i):
            out[i, j] = out[j, i]
    return sound and largest < np.inf, out


@jit
def intersect(states: Float, covs: Float) -> tuple[bool, Float, Float, Float]:
    """Covariance intersection of (k, 6) states and (k, 6, 6) covariances: (sound, weights (k,), state (6,), covariance (6, 6)).

    Where the numbers cannot be inverted: the member with the smallest position variance alone, and not sound.
    """
    k = states.shape[0]
    weights = np.full(k, 1.0 / k)
    if k == 1:
        return True, weights, states[0].copy(), covs[0].copy()
    infos = np.empty((k, 6, 6))
    sound = True
    for i in range(k):
        fine, info = inverse(covs[i])
        sound = sound and fine
        infos[i] = info
    p = np.empty((6, 6))
    if sound:
        for _ in range(_ROUNDS):
            total = np.zeros((6, 6))
            for i in range(k):
                total += weights[i] * infos[i]
            sound, p = inverse(total)
            if not sound:
                break
            gains = np.empty(k)
            for i in range(k):
                gain = 0.0
                for r in range(6):
                    for c in range(6):
                        gain += p[r, c] * infos[i, r, c]
                gains[i] = gain / 6.0
            if not gains.max() > 1.0 + _ENOUGH:
                break
            weights = weights * gains
            weights = weights / weights.sum()
    if sound:
        y = np.zeros(6)
        for i in range(k):
            for r in range(6):
                for c in range(6):
                    y[r] += weights[i] * infos[i, r, c] * (states[i, c] - states[0, c])
        x = states[0].copy()
        for r in range(6):
            for c in range(6):
                x[r] += p[r, c] * y[c]
        if np.isfinite(x).all():
            return True, weights, x, p
    best = 0
    for i in range(1, k):
        if covs[i, 0, 0] + covs[i, 1, 1] + covs[i, 2, 2] < covs[best, 0, 0] + covs[best, 1, 1] + covs[best, 2, 2]:
            best = i
    weights[:] = 0.0
    weights[best] = 1.0
    return False, weights, states[best].copy(), covs[best].copy()


@jit
def kin(pedigree: Rows) -> Rows:
    """By member (k,), the first of those that share a sensor with it, directly or through others."""
    k = pedigree.shape[0]
    first = np.arange(k)
    for _ in range(k):
        for i in range(k):
            for j in range(i):
                if pedigree[i] & pedigree[j]:
                    least = min(first[i], first[j])
                    first[i] = first[j] = least
    return first


@jit
def combine(states: Float, covs: Float, pedigree: Rows, correlation: float) -> tuple[bool, Float, Float]:
    """(sound, state (6,), covariance (6, 6)) of one object's reports: states (k, 6), covariances (k, 6, 6), sensors (k,) as bits.

    `correlation` bounds that of the normalised errors of reports without a sensor in common. Where the numbers cannot be
    inverted: the member with the smallest position variance alone, and not sound.
    """
    k = states.shape[0]
    if k == 1:
        return True, states[0].copy(), covs[0].copy()
    told = np.flatnonzero(pedigree != 0)
    if len(told) == k:
        return _combine_told(states, covs, pedigree, correlation)
    untold = np.flatnonzero(pedigree == 0)
    if len(told) == 0:
        sound, _, x, p = intersect(states, covs)
        return sound, x, p
    xs, ps = np.empty((1 + len(untold), 6)), np.empty((1 + len(untold), 6, 6))
    fine, xs[0], ps[0] = _combine_told(states[told], covs[told], pedigree[told], correlation)
    xs[1:], ps[1:] = states[untold], covs[untold]
    sound, _, x, p = intersect(xs, ps)
    return sound and fine, x, p


@jit
def _combine_told(states: Float, covs: Float, pedigree: Rows, correlation: float) -> tuple[bool, Float, Float]:
    """`combine` of reports that all tell their sensors."""
    k = states.shape[0]
    if k == 1:
        return True, states[0].copy(), covs[0].copy()
    first = kin(pedigree)
    info, y, groups, sound = np.zeros((6, 6)), np.zeros(6), 0, True
    for head in range(k):
        if first[head] != head:
            continue
        x, p = states[head], covs[head]
        if (first == head).sum() > 1:
            members = np.flatnonzero(first == head)
            sound, _, x, p = intersect(states[members], covs[members])
            if len(members) == k:
                return sound, x, p
        fine, one = inverse(p)
        sound = sound and fine
        if not sound:
            break
        groups += 1
        for r in range(6):
            for c in range(6):
                info[r, c] += one[r, c]
                y[r] += one[r, c] * (x[c] - states[0, c])
    if sound:
        sound, p = inverse(info)
        wider = 1.0 + (groups - 1.0) * correlation
        x = states[0].copy()
        for r in range(6):
            for c in range(6):
                x[r] += p[r, c] * y[c]
                p[r, c] *= wider
        if sound and np.isfinite(x.sum()):
            return True, x, p
    best = 0
    for i in range(1, k):
        if covs[i, 0, 0] + covs[i, 1, 1] + covs[i, 2, 2] < covs[best, 0, 0] + covs[best, 1, 1] + covs[best, 2, 2]:
            best = i
    return False, states[best].copy(), covs[best].copy()


def bounds_of(shared: Combination) -> Float:
    """What `correlation_of` goes by (4,): the bounds by phase, and that of thin air."""
    return np.array([shared.boost, shared.coast, shared.reentry, shared.thin_air])


@jit
def correlation_of(phase: Float, drag_m_s2: float, sinks: bool, correlations: Float) -> float:
    """The bound for an object in phases (3,), from those of `bounds_of` (4,); no phase known counts as boost.

    That of re-entry is of what drag does to all errors alike: as much of it counts as the drag (a usual body's) is of itself and
    SOME_DRAG_M_S2. That of thin air is of what comes down (`sinks`): of drag that no tracker has measured yet all think the same.
    It counts in full at FIRST_DRAG_M_S2; ten times less is lost in the noise, ten times more has been measured: a third of it.
    """
    total = phase[0] + phase[1] + phase[2]
    if not total > 0.0:
        return float(correlations[0])
    falls = phase[2] * drag_m_s2 / (drag_m_s2 + SOME_DRAG_M_S2)
    bound = (phase[0] * correlations[0] + phase[1] * correlations[1] + falls * correlations[2]) / total
    if sinks:
        begins = drag_m_s2 / FIRST_DRAG_M_S2
        bound += correlations[3] * 4.0 * begins / (1.0 + begins) ** 2 * (phase[1] + phase[2]) / total
    return float(min(bound, 1.0))
