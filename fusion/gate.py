"""Gates: how far two estimates are apart, and which pairs are worth asking.

The distance is Mahalanobis on S = P1 + P2 + B (6 degrees of freedom), B being what sensors disagree by beyond their noise;
a pair's cost is d2 + log det(2 pi S), minus twice the log of the likelihood that both are one object (Bar-Shalom, Willett and
Tian, Tracking and Data Fusion, 2011, section 9.4). The older estimate is brought to the newer one's time first.

Pairs come from a sweep along one axis with a bound on how far the estimates can be from each other, never from all pairs; few
against many are scanned with the same bound. Does not decide.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from fusion.align import MOST_DRAG_M_S2, acceleration_sigma, align_one
from physics.compile import jit

Float = NDArray[np.float64]
Rows = NDArray[np.int64]

_LOG_2PI_6 = 6.0 * math.log(2.0 * math.pi)
_BOUND_SIGMAS = 6.0
_SWEEP_FROM = 500  # pairs; below, scanning is cheaper than sorting


@jit
def distance(x1: Float, p1: Float, x2: Float, p2: Float, bias_var: Float) -> tuple[float, float]:
    """Mahalanobis d2 of two estimates (6,) at one time, and log det(2 pi S). Infinite where S has no factor.

    `bias_var` is the variance (2,) of position and velocity that is added on each axis.
    """
    low, y = np.empty((6, 6)), np.empty(6)
    d2, log_det, pivots = 0.0, _LOG_2PI_6, 1.0
    for i in range(6):
        off = x1[i] - x2[i]
        for j in range(i + 1):
            total = p1[i, j] + p2[i, j]
            if i == j:
                total += bias_var[i // 3]
            for k in range(j):
                total -= low[i, k] * low[j, k]
            if j < i:
                low[i, j] = total * low[j, j]  # the diagonal is kept inverted
                off -= low[i, j] * y[j]
            elif total > 0.0 and np.isfinite(total):
                low[i, i] = 1.0 / math.sqrt(total)
                pivots *= total
            else:
                return np.inf, np.inf
        y[i] = off * low[i, i]
        d2 += y[i] * y[i]
        if i % 3 == 2:  # a logarithm for three pivots
            log_det += math.log(pivots)
            pivots = 1.0
    if not np.isfinite(d2):
        return np.inf, np.inf
    return d2, log_det


@jit
def _reach_m(cov: Float, bias_var: Float) -> float:
    return _BOUND_SIGMAS * math.sqrt(cov[0, 0] + cov[1, 1] + cov[2, 2] + 3.0 * bias_var[0])


@jit
def _compare(
    valid_a: int,
    x_a: Float,
    p_a: Float,
    phase_a: Float,
    valid_b: int,
    x_b: Float,
    p_b: Float,
    phase_b: Float,
    sigmas_m_s2: Float,
    bias_var: Float,
) -> tuple[float, float]:
    dt_s = (valid_b - valid_a) * 1e-9
    if dt_s > 0.0:
        x, p = align_one(x_a, p_a, dt_s, acceleration_sigma(x_a, phase_a[0], phase_a[1], phase_a[2], sigmas_m_s2))
        return distance(x, p, x_b, p_b, bias_var)
    if dt_s < 0.0:
        x, p = align_one(x_b, p_b, -dt_s, acceleration_sigma(x_b, phase_b[0], phase_b[1], phase_b[2], sigmas_m_s2))
        return distance(x_a, p_a, x, p, bias_var)
    return distance(x_a, p_a, x_b, p_b, bias_var)


@jit
def pairs_within(
    rows_a: Rows,
    valid_a: Rows,
    state_a: Float,
    cov_a: Float,
    phase_a: Float,
    mask_a: Rows,
    rows_b: Rows,
    valid_b: Rows,
    state_b: Float,
    cov_b: Float,
    phase_b: Float,
    mask_b: Rows,
    sigmas_m_s2: Float,
    bias_var: Float,
    gate_chi2: float,
    longest_ns: int,
) -> tuple[Rows, Rows, Float]:
    """Pairs (indices into rows_a, into rows_b, cost) inside the gate, of estimates with no nation in common.

    Only the named rows of the tables are looked at. Estimates more than `longest_ns` apart are not compared.
    """
    n_a, n_b = len(rows_a), len(rows_b)
    most = math.hypot(sigmas_m_s2.max(), MOST_DRAG_M_S2)
    out_a, out_b, out_cost = [0 for _ in range(0)], [0 for _ in range(0)], [0.0 for _ in range(0)]
    if n_a and n_b:
        sweep = n_a * n_b > _SWEEP_FROM
        x_b = np.empty(n_b)
        far = 0.0
        fastest = 0.0
        newest = valid_b[rows_b[0]]
        oldest = newest
        for j in range(n_b):
            b = rows_b[j]
            x_b[j] = state_b[b, 0]
            far = max(far, _reach_m(cov_b[b], bias_var))
            fastest = max(fastest, abs(state_b[b, 3]))
            newest = max(newest, valid_b[b])
            oldest = min(oldest, valid_b[b])
        order = np.argsort(x_b, kind="mergesort") if sweep else np.arange(n_b)
        x_sorted = x_b[order]
        for i in range(n_a):
            a = rows_a[i]
            reach_a = _reach_m(cov_a[a], bias_var)
            first, last = 0, n_b
            if sweep:
                apart_s = max(abs(newest - valid_a[a]), abs(valid_a[a] - oldest)) * 1e-9
                speed = max(abs(state_a[a, 3]), fastest)
                room = reach_a + far + (speed + most * 3.0 * apart_s + 10.0 * apart_s) * apart_s
                first = np.searchsorted(x_sorted, state_a[a, 0] - room)
                last = np.searchsorted(x_sorted, state_a[a, 0] + room, side="right")
            for j in range(first, last):
                b = rows_b[order[j]]
                if mask_a[a] & mask_b[b]:
                    continue
                apart_ns = valid_b[b] - valid_a[a]
                if abs(apart_ns) > longest_ns:
                    continue
                dt_s = apart_ns * 1e-9
                mean = 0.5 * dt_s
                off2 = 0.0
                for k in range(3):
                    d = state_b[b, k] - state_a[a, k] - mean * (state_a[a, 3 + k] + state_b[b, 3 + k])
                    off2 += d * d
                reach = reach_a + _reach_m(cov_b[b], bias_var)
                spread = math.sqrt(
                    cov_a[a, 3, 3] + cov_a[a, 4, 4] + cov_a[a, 5, 5] + cov_b[b, 3, 3] + cov_b[b, 4, 4] + cov_b[b, 5, 5]
                )
                reach += (_BOUND_SIGMAS * spread + (3.0 * most + 10.0) * abs(dt_s)) * abs(dt_s)
                if off2 > reach * reach:
                    continue
                d2, log_det = _compare(
                    valid_a[a],
                    state_a[a],
                    cov_a[a],
                    phase_a[a],
                    valid_b[b],
                    state_b[b],
                    cov_b[b],
                    phase_b[b],
                    sigmas_m_s2,
                    bias_var,
                )
                if d2 <= gate_chi2:
                    out_a.append(i)
                    out_b.append(int(order[j]))
                    out_cost.append(d2 + log_det)
    return np.array(out_a, dtype=np.int64), np.array(out_b, dtype=np.int64), np.array(out_cost, dtype=np.float64)
