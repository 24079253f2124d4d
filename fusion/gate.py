"""Gates: how far two estimates are apart, and which pairs are worth asking.

The distance is Mahalanobis on S = P1 + P2 + B, B being what sensors disagree by beyond their noise; a pair's cost is
d2 + log det(2 pi S), minus twice the log of the likelihood that both are one object (Bar-Shalom, Willett and Tian, Tracking and
Data Fusion, 2011, section 9.4). Whole states have 6 degrees of freedom; where one is partial, there are as many as their
difference tells of directions (`fusion.partial`), with a gate of their own. The older estimate is brought to the newer one's
time first.

Pairs come from a sweep along one axis with a bound on how far the estimates can be from each other, never from all pairs; few
against many are scanned with the same bound. Partial estimates would reach everywhere: they are asked of everything, past a
look at how far they are beside one another. Does not decide.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from fusion.align import MOST_DRAG_M_S2, flown
from fusion.blocks import Symmetric, factor, plus, raised, weighed
from fusion.partial import TOLD, WHOLE, apart, room, room_of
from fusion.triangle import place_of, square, traces, velocity_of
from physics.compile import inlined, jit

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
def compare(x1: Float, p1: Float, x2: Float, p2: Float, bias_var: Float, prior_var: Float) -> tuple[float, float, int]:
    """`distance` and its degrees of freedom: of two whole states 6; fewer, and over those alone, where one is partial.

    `prior_var` (2,): of what is not known (`fusion.partial.prior_of`).
    """
    taken = room(p1, prior_var) + room(p2, prior_var) + 3.0 * (bias_var[0] / prior_var[0] + bias_var[1] / prior_var[1])
    if not taken < TOLD:
        d2, log_det, freedom = apart(x1, p1, x2, p2, bias_var, prior_var)
        if freedom < WHOLE:
            return d2, log_det, freedom
    d2, log_det = distance(x1, p1, x2, p2, bias_var)
    return d2, log_det, WHOLE


@jit
def _reach_m(cov: Float, bias_var: Float) -> float:
    place, _ = traces(cov)
    return _BOUND_SIGMAS * math.sqrt(place + 3.0 * bias_var[0])


@jit
def _place_d2(state_a: Float, cov_a: Float, state_b: Float, cov_b: Float, var_m2: float) -> float:
    """How far two places of one time are apart, d2: no further than whole states are of which the difference is whole too."""
    return _d2(
        state_b[0] - state_a[0],
        state_b[1] - state_a[1],
        state_b[2] - state_a[2],
        raised(plus(place_of(cov_a), place_of(cov_b)), var_m2),
    )


@inlined
def _d2(x: float, y: float, z: float, spread: Symmetric) -> float:
    f = factor(spread)
    y -= f[0] * x
    z -= f[1] * x + f[2] * y
    return x * x * f[3] + y * y * f[4] + z * z * f[5]


@jit
def _beside(state_a: Float, cov_a: Float, state_b: Float, cov_b: Float, dt_s: float, var_m2: float) -> float:
    """Less than how far two places are apart when one flies on for `dt_s` to the other's time, d2: a bound without a flight.

    The spread of a place after a flight is at most twice those of the place and of the way made; `var_m2` is added on each axis.
    """
    mean, way2 = 0.5 * dt_s, dt_s * dt_s
    x = state_b[0] - state_a[0] - mean * (state_a[3] + state_b[3])
    y = state_b[1] - state_a[1] - mean * (state_a[4] + state_b[4])
    z = state_b[2] - state_a[2] - mean * (state_a[5] + state_b[5])
    spread = weighed(plus(place_of(cov_a), place_of(cov_b)), way2, plus(velocity_of(cov_a), velocity_of(cov_b)))
    return _d2(x, y, z, raised(plus(spread, spread), var_m2))


@jit
def _compare(
    valid_a: int,
    x_a: Float,
    p_a: Float,
    phase_a: Float,
    whole_a: bool,
    valid_b: int,
    x_b: Float,
    p_b: Float,
    phase_b: Float,
    whole_b: bool,
    motion: Float,
    bias_var: Float,
    prior_var: Float,
) -> tuple[float, float, int]:
    dt_s = (valid_b - valid_a) * 1e-9
    if dt_s > 0.0:
        x, p = flown(x_a, p_a, phase_a[0], phase_a[1], phase_a[2], dt_s, motion, whole_a, 0.0)
        return compare(x, p, x_b, p_b, bias_var, prior_var)
    if dt_s < 0.0:
        x, p = flown(x_b, p_b, phase_b[0], phase_b[1], phase_b[2], -dt_s, motion, whole_b, 0.0)
        return compare(x_a, p_a, x, p, bias_var, prior_var)
    return compare(x_a, p_a, x_b, p_b, bias_var, prior_var)


@jit
def pairs_within(
    rows_a: Rows,
    valid_a: Rows,
    state_a: Float,
    cov_a: Float,
    phase_a: Float,
    mask_a: Rows,
    whole_a: NDArray[np.bool_],
    rows_b: Rows,
    valid_b: Rows,
    state_b: Float,
    cov_b: Float,
    phase_b: Float,
    mask_b: Rows,
    whole_b: NDArray[np.bool_],
    motion: Float,
    bias_var: Float,
    prior_var: Float,
    gates: Float,
    longest_ns: int,
) -> tuple[Rows, Rows, Float]:
    """Pairs (indices into rows_a, into rows_b, cost) inside the gate, of estimates with no nation in common.

    Only the named rows of the tables are looked at. Estimates more than `longest_ns` apart are not compared. `gates` (7,) are by
    degrees of freedom (`fusion.partial.quantiles`), `prior_var` as of `compare`; those not `whole` are partial.
    """
    n_a, n_b = len(rows_a), len(rows_b)
    most = MOST_DRAG_M_S2 * math.sqrt(1.0 + motion.max() ** 2)  # more than thrust, give or take, ever is
    out_a, out_b, out_cost = [0 for _ in range(0)], [0 for _ in range(0)], [0.0 for _ in range(0)]
    if n_a and n_b:
        biases = 3.0 * (bias_var[0] / prior_var[0] + bias_var[1] / prior_var[1])
        sweep = n_a * n_b > _SWEEP_FROM
        x_b = np.empty(n_b)
        far = 0.0
        fastest = 0.0
        newest = valid_b[rows_b[0]]
        oldest = newest
        swept = n_b  # first come those that are swept, then those that are partial
        for j in range(n_b):
            b = rows_b[j]
            x_b[j] = state_b[b, 0]
            newest = max(newest, valid_b[b])
            oldest = min(oldest, valid_b[b])
            if sweep and not whole_b[b]:
                x_b[j] = np.inf
                swept -= 1
                continue
            far = max(far, _reach_m(cov_b[b], bias_var))
            fastest = max(fastest, abs(state_b[b, 3]))
        order = np.argsort(x_b, kind="mergesort") if sweep else np.arange(n_b)
        x_sorted = x_b[order][:swept]
        for i in range(n_a):
            a = rows_a[i]
            reach_a = _reach_m(cov_a[a], bias_var)
            first, last = 0, swept
            if sweep and whole_a[a]:
                apart_s = max(abs(newest - valid_a[a]), abs(valid_a[a] - oldest)) * 1e-9
                speed = max(abs(state_a[a, 3]), fastest)
                reached = reach_a + far + (speed + most * 3.0 * apart_s + 10.0 * apart_s) * apart_s
                first = np.searchsorted(x_sorted, state_a[a, 0] - reached)
                last = np.searchsorted(x_sorted, state_a[a, 0] + reached, side="right")
            for k in range(last - first + n_b - swept):
                j = order[first + k if k < last - first else swept + k - (last - first)]
                b = rows_b[j]
                if mask_a[a] & mask_b[b]:
                    continue
                apart_ns = valid_b[b] - valid_a[a]
                if abs(apart_ns) > longest_ns:
                    continue
                dt_s = apart_ns * 1e-9
                mean = 0.5 * dt_s
                off2 = 0.0
                for axis in range(3):
                    d = state_b[b, axis] - state_a[a, axis] - mean * (state_a[a, 3 + axis] + state_b[b, 3 + axis])
                    off2 += d * d
                reach = reach_a + _reach_m(cov_b[b], bias_var)
                spread = math.sqrt(traces(cov_a[a])[1] + traces(cov_b[b])[1])
                reach += (_BOUND_SIGMAS * spread + (3.0 * most + 10.0) * abs(dt_s)) * abs(dt_s)
                if off2 > reach * reach:
                    continue
                if dt_s == 0.0 and room_of(cov_a[a], prior_var) + room_of(cov_b[b], prior_var) + biases < TOLD:
                    if _place_d2(state_a[a], cov_a[a], state_b[b], cov_b[b], bias_var[0]) > gates[WHOLE]:
                        continue
                else:
                    strayed = (3.0 * most + 10.0) * dt_s * dt_s
                    beside = _beside(state_a[a], cov_a[a], state_b[b], cov_b[b], dt_s, 2.0 * bias_var[0] + strayed * strayed)
                    if beside > gates[WHOLE] + _BOUND_SIGMAS * _BOUND_SIGMAS + 2.0:
                        continue
                d2, log_det, freedom = _compare(
                    valid_a[a],
                    state_a[a],
                    square(cov_a[a]),
                    phase_a[a],
                    whole_a[a],
                    valid_b[b],
                    state_b[b],
                    square(cov_b[b]),
                    phase_b[b],
                    whole_b[b],
                    motion,
                    bias_var,
                    prior_var,
                )
                if d2 <= gates[freedom]:
                    out_a.append(i)
                    out_b.append(int(j))
                    out_cost.append(d2 + log_det)
    return np.array(out_a, dtype=np.int64), np.array(out_b, dtype=np.int64), np.array(out_cost, dtype=np.float64)
