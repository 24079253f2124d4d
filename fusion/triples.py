"""Triples: which three tracks may be one object, and what that gains.

What a group of tracks gains is twice the log of how much likelier they are one object than each one of its own. For a pair that
is the price of one object more in sight less the pair's cost (`fusion.gate`). For three it is not the sum over their pairs, in
which each would speak twice: the first two are fused, and the third is held against both,

    gain(a, b, c) = 2 miss - cost(a, b) - cost(a and b fused, c),

which is the joint likelihood of three independent estimates of one state of which nothing is known beforehand, whatever their
order (Deb, Yeddanapudi, Pattipati and Bar-Shalom, IEEE TAES 33, 1997, section II, with estimates in place of measurements).
What sensors disagree by is shared out evenly, so that two tracks are as far apart as in `fusion.gate`.

A triple is worth asking where at least two of its pairs are within the gate and all three are within that of two comparisons, and
is left out where one of its pairs gains as much by itself. Does not decide.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from fusion.align import flown
from fusion.combine import combine, inverse
from fusion.gate import compare
from fusion.partial import WHOLE, whole
from fusion.triangle import square
from physics.compile import jit

Float = NDArray[np.float64]
Rows = NDArray[np.int64]

NONE = -1
_MOST = 10_000  # triples asked in a look, at some us each


@jit
def joint_cost(
    a: int,
    b: int,
    c: int,
    valid_ns: Rows,
    state: Float,
    cov: Float,
    phase: Float,
    motion: Float,
    bias_var: Float,
    prior_var: Float,
    gates: Float,
) -> float:
    """The cost of rows a, b and c of a table being one object, at the newest one's time; infinite where d2 is above two gates.

    `prior_var` and `gates` (7,) as of `fusion.gate.pairs_within`.
    """
    at_ns = max(valid_ns[a], valid_ns[b], valid_ns[c])
    rows = (a, b, c)
    xs, ps, none = np.empty((3, 6)), np.empty((3, 6, 6)), np.zeros(2)
    for k in range(3):
        r = rows[k]
        p = square(cov[r])
        all_told = whole(p, prior_var)
        dt_s = (at_ns - valid_ns[r]) * 1e-9
        x, p = flown(state[r], p, phase[r, 0], phase[r, 1], phase[r, 2], dt_s, motion, all_told, 0.0)
        for i in range(6):
            p[i, i] += 0.5 * bias_var[i // 3]
        xs[k], ps[k] = x, p
        if k == 1:
            d2, log_det, freedom = compare(xs[0], ps[0], xs[1], ps[1], none, prior_var)
            if not d2 <= gates[freedom] + gates[WHOLE]:
                return np.inf
    sound, x, p = _fused(xs[0], ps[0], xs[1], ps[1], prior_var)
    if not sound:
        return np.inf
    more_d2, more_log_det, more_freedom = compare(x, p, xs[2], ps[2], none, prior_var)
    if not d2 + more_d2 <= gates[freedom] + gates[more_freedom]:
        return np.inf
    return d2 + log_det + more_d2 + more_log_det


@jit
def _fused(x1: Float, p1: Float, x2: Float, p2: Float, prior_var: Float) -> tuple[bool, Float, Float]:
    """Whether two independent estimates can be fused, state (6,) and covariance (6, 6). Where one is partial, by information:
    what a long covariance loses of a small one's digits would be all that is left in the difference.
    """
    if not (whole(p1, prior_var) and whole(p2, prior_var)):
        return combine(np.stack((x1, x2)), np.stack((p1, p2)), np.array((1, 2)), 0.0)
    sound, weight = inverse(p1 + p2)
    x, p, share = x1.copy(), p1.copy(), np.zeros((6, 6))  # the share of the second in what both are fused to
    if not sound:
        return False, x, p
    for i in range(6):
        for k in range(6):
            for j in range(6):
                share[i, j] += p1[i, k] * weight[k, j]
    for i in range(6):
        for k in range(6):
            x[i] += share[i, k] * (x2[k] - x1[k])
            for j in range(6):
                p[i, j] -= share[i, k] * p1[k, j]
    return True, x, p


@jit
def candidates(pairs: Rows, gains: Float, alone: NDArray[np.bool_], most: int) -> tuple[Rows, Float]:
    """Triples (t, 3) of which at least two pairs are among `pairs` (p, 3), and the most that one of its pairs gains (t,).

    A track of each side, NONE for the side that a pair has none of; `alone` are the tracks (n,) of one nation. Were they more
    than `most`, then a pair counts only where both hold it for one of their best of that side.
    """
    n = len(alone)
    side, used, degree = np.zeros(n, np.int64), np.zeros(len(pairs), np.bool_), np.zeros((n, 3), np.int64)
    ends = np.empty((len(pairs), 2), np.int64)
    for e in range(len(pairs)):
        s = 0 if pairs[e, 0] != NONE else 1
        t = 2 if pairs[e, 2] != NONE else 1
        ends[e, 0], ends[e, 1] = pairs[e, s], pairs[e, t]
        used[e] = alone[ends[e, 0]] and alone[ends[e, 1]]
        if used[e]:
            side[ends[e, 0]], side[ends[e, 1]] = s, t
            degree[ends[e, 0], t] += 1
            degree[ends[e, 1], s] += 1
    if (degree[:, 0] * degree[:, 1] + degree[:, 0] * degree[:, 2] + degree[:, 1] * degree[:, 2]).sum() > most:
        best = max(1, int(math.sqrt(most / (degree.sum(axis=1) > 0).sum())))
        degree[:] = 0
        for e in np.argsort(-gains, kind="mergesort"):
            if used[e]:
                a, b = ends[e]
                used[e] = degree[a, side[b]] < best and degree[b, side[a]] < best
                degree[a, side[b]] += 1
                degree[b, side[a]] += 1
    start = np.zeros(n + 1, np.int64)
    for e in range(len(pairs)):
        if used[e]:
            start[ends[e] + 1] += 1
    start = np.cumsum(start)
    fill, partner, worth = start[:-1].copy(), np.empty(start[-1], np.int64), np.empty(start[-1])
    for e in range(len(pairs)):
        if used[e]:
            for k in range(2):
                v = ends[e, k]
                partner[fill[v]], worth[fill[v]] = ends[e, 1 - k], gains[e]
                fill[v] += 1
    found, bests = [(0, 0, 0) for _ in range(0)], [0.0 for _ in range(0)]
    near, beside, gained = np.full(n, NONE), np.full(n, NONE), np.zeros(n)
    for i in range(n):
        if side[i] != 0:
            continue
        for e in range(start[i], start[i + 1]):
            near[partner[e]], gained[partner[e]] = i, worth[e]
        for e in range(start[i], start[i + 1]):
            j = partner[e]
            for f in range(start[j], start[j + 1]):
                k = partner[f]
                if side[j] == 1 and side[k] == 2:  # the second is near both the others
                    beside[k] = j
                    found.append((i, j, k))
                    bests.append(max(worth[e], worth[f], gained[k] if near[k] == i else 0.0))
                elif side[j] == 2 and side[k] == 1 and near[k] != i:  # the third is, and the others are far apart
                    found.append((i, k, j))
                    bests.append(max(worth[e], worth[f]))
            for f in range(start[i], start[i + 1]):
                k = partner[f]
                if side[j] == 1 and side[k] == 2 and beside[k] != j:  # only the first is
                    found.append((i, j, k))
                    bests.append(max(worth[e], worth[f]))
    triples = np.empty((len(found), 3), np.int64)
    for t in range(len(found)):
        triples[t, 0], triples[t, 1], triples[t, 2] = found[t]
    return triples, np.array(bests, dtype=np.float64)


@jit
def triples_within(
    pairs: Rows,
    gains: Float,
    rows: Rows,
    mask: Rows,
    valid_ns: Rows,
    state: Float,
    cov: Float,
    phase: Float,
    motion: Float,
    bias_var: Float,
    prior_var: Float,
    gates: Float,
    miss: float,
) -> tuple[Rows, Float]:
    """Triples (t, 3) worth asking, of tracks one of each side, and their gains (t,).

    `pairs` (p, 3) and `gains` (p,): as `candidates` has them. Track i is the row rows[i] of the table.
    """
    held = mask[rows]
    asked, bests = candidates(pairs, gains, held & (held - 1) == 0, _MOST)
    triples, joint = np.empty_like(asked), np.empty(len(asked))
    n = 0
    for t in range(len(asked)):
        a, b, c = rows[asked[t, 0]], rows[asked[t, 1]], rows[asked[t, 2]]
        cost = joint_cost(a, b, c, valid_ns, state, cov, phase, motion, bias_var, prior_var, gates)
        if 2.0 * miss - cost > max(bests[t], 0.0):
            triples[n], joint[n] = asked[t], 2.0 * miss - cost
            n += 1
    return triples[:n].copy(), joint[:n].copy()
