"""Which tracks of two feeds are the same objects, where one feed is displaced against the other by an unknown offset.

Global nearest pattern: offset and assignment are sought together, and what explains both feeds best wins (Levedahl, Explicit
pattern matching assignment algorithm, SPIE 4728, 2002). A few tracks of the first feed propose, with each of the second whose
velocity agrees, the offset that would make both one object (multi-start); the assignment under it makes a better offset, and
so on. How much better the best is than the best of those that differ from it tells whether it is to be believed: a row of
missiles is like itself, shifted by one.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fusion.assign import assign
from physics.compile import jit

Float = NDArray[np.float64]
Rows = NDArray[np.int64]

_ROUNDS = 4
_PROPOSE: Final = 8  # tracks of the first feed: that the second misses all of them is out of the question
_LOG_2PI_6: Final = 6.0 * np.log(2.0 * np.pi)
_VELOCITY_CHI2: Final = 16.3  # 3 degrees of freedom; leaves out 1 in 1,000
_FURTHEST_CHI2: Final = 21.1  # of an offset under its prior; 1 in 10,000
_DISTINCT_CHI2: Final = 21.1  # two offsets so far apart are two
# By one pair: missiles in a row are seldom missed, but a row shifted by one place is no likelier for that.
_MOST_GAIN: Final = 16.3
_MOST_RIVAL: Final = 0.75  # of what the best explains: more than that is explained by a row shifted against itself


class Pattern(NamedTuple):
    """An offset (3,), m, of the first feed's positions against the second's; pairs (k, 2) of rows; and by how much less the next
    best explains both (twice a log-likelihood; infinite where there is no other).
    """

    offset_m: Float
    pairs: Rows
    margin: float


def find_pattern(
    states_a: Float, covs_a: Float, states_b: Float, covs_b: Float, prior_var_m2: float, bias_var: Float, miss: float
) -> Pattern | None:
    """The best offset and pairs of estimates (n, 6), (m, 6) at one time with covariances (n, 6, 6), (m, 6, 6); None without any.

    `prior_var_m2`: variance of the offset on each axis. `bias_var` (2,) and `miss`: as of `fusion.gate` and `fusion.assign`.
    """
    apart = states_a[:, None, :] - states_b[None, :, :]
    spread = covs_a[:, None] + covs_b[None, :] + np.diag(np.repeat(bias_var, 3))
    fast, slow = apart[..., 3:], spread[..., 3:, 3:]
    agree = (fast * np.linalg.solve(slow, fast[..., None])[..., 0]).sum(axis=-1) < _VELOCITY_CHI2
    near = spread[..., :3, :3] + prior_var_m2 * np.eye(3)
    far2 = (apart[..., :3] * np.linalg.solve(near, apart[..., :3, None])[..., 0]).sum(axis=-1)
    starts = apart[:_PROPOSE][(agree & (far2 < _FURTHEST_CHI2))[:_PROPOSE]][:, :3]
    if not len(starts):
        return None
    information: Float = np.linalg.inv(spread).astype(np.float64)
    log_det: Float = np.linalg.slogdet(spread)[1].astype(np.float64) + _LOG_2PI_6
    priced = np.maximum(log_det, miss - _MOST_GAIN)
    offsets, scores, sharp = settle(np.ascontiguousarray(starts), apart, information, priced, prior_var_m2, miss)
    best = int(np.argmin(scores))
    away = offsets - offsets[best]
    distinct = np.einsum("ki,ij,kj->k", away, sharp[best], away) > _DISTINCT_CHI2
    margin = float((scores[distinct]).min() - scores[best]) if distinct.any() else np.inf
    explained = miss * len(states_a) - scores[best]
    if margin < (1.0 - _MOST_RIVAL) * explained:
        return None
    left = apart.copy()
    left[..., :3] -= offsets[best]
    costs = np.einsum("abi,abij,abj->ab", left, information, left) + log_det
    rows, columns = np.nonzero(costs < miss)
    pairs = [(match.row, match.column) for match in assign(rows, columns, costs[rows, columns], miss)]
    return Pattern(offsets[best], np.array(pairs, np.int64).reshape(-1, 2), margin)


@jit
def settle(
    starts: Float, apart: Float, information: Float, log_det: Float, prior_var_m2: float, miss: float
) -> tuple[Float, Float, Float]:
    """From offsets (k, 3): those that assignment and least squares by turns lead to, what each explains (k,), less is better, and
    its information (k, 3, 3).

    Of pairs (n, m): differences (n, m, 6), their information (n, m, 6, 6) and log det (n, m). Rows are assigned in turn, each to
    the best column that is left.
    """
    n, m = log_det.shape
    offsets, scores, sharp = starts.copy(), np.zeros(len(starts)), np.zeros((len(starts), 3, 3))
    left, taken, y = np.empty(6), np.empty(m, np.bool_), np.empty(3)
    for k in range(len(starts)):
        for _ in range(_ROUNDS):
            offset, total = offsets[k].copy(), 0.0
            taken[:] = False
            y[:] = 0.0
            weight = np.eye(3) / prior_var_m2
            for i in range(n):
                best, choice = miss, -1
                for j in range(m):
                    if taken[j]:
                        continue
                    cost = log_det[i, j]
                    if cost >= best:
                        continue
                    for a in range(6):
                        left[a] = apart[i, j, a] - (offset[a] if a < 3 else 0.0)
                    for a in range(6):
                        for b in range(6):
                            cost += left[a] * information[i, j, a, b] * left[b]
                    if cost < best:
                        best, choice = cost, j
                total += best
                if choice >= 0:
                    taken[choice] = True
                    for a in range(3):
                        for b in range(6):
                            y[a] += information[i, choice, a, b] * apart[i, choice, b]
                            if b < 3:
                                weight[a, b] += information[i, choice, a, b]
            scores[k] = total + (offset * offset).sum() / prior_var_m2
            sharp[k] = weight
            after = np.linalg.solve(weight, y)
            moved = np.abs(after - offset).max()
            offsets[k] = after
            if moved < 1.0:
                break
    return offsets, scores, sharp
