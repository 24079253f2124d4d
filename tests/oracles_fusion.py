"""Slow, obvious twins of the fusion kernels, in plain numpy and scipy."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from fractions import Fraction
from functools import reduce
from operator import or_
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import Bounds, LinearConstraint, milp, minimize

from bus.columns import unpack_cov
from fusion.align import SLOW_M_S
from physics.motion import ballistic_acceleration

Float = NDArray[np.float64]
Rows = NDArray[np.int64]


def fly(state: Float, dt_s: float, push: Float, steps: int = 400) -> Float:
    """Flight under a constant acceleration (3,) beside gravity, by the midpoint rule in many small steps."""
    x, h = state.copy(), dt_s / steps
    for _ in range(steps):
        middle = x + 0.5 * h * np.hstack([x[3:], ballistic_acceleration(x) + push])
        x = x + h * np.hstack([middle[3:], ballistic_acceleration(middle) + push])
    return x


def align(state: Float, cov: Float, dt_s: float, push: tuple[float, float, float, float]) -> tuple[Float, Float]:
    """Flight under thrust along the velocity, with the transition matrix by central differences, and all that is not known of
    the push as one random constant.
    """
    thrust, along_var, across_var, sigma = push
    spread = np.trace(cov[3:, 3:]) + SLOW_M_S**2

    def direction(x: Float) -> Float:
        return np.asarray(x[3:] / np.sqrt(x[3:] @ x[3:] + spread))

    def end(x: Float) -> Float:
        return fly(x, dt_s, thrust * direction(x))

    steps = np.array([10.0, 10.0, 10.0, 0.1, 0.1, 0.1])
    phi = np.array([(end(state + d) - end(state - d)) / (2.0 * d.sum()) for d in np.diag(steps)]).T
    line = np.outer(direction(state), direction(state))
    any_way = (thrust * SLOW_M_S) ** 2 / 3.0 / (state[3:] @ state[3:] + spread)
    inside = along_var * line + across_var * (np.eye(3) - line) + (any_way + sigma**2) * np.eye(3)
    gain = np.vstack([0.5 * dt_s**2 * np.eye(3), dt_s * np.eye(3)])
    return end(state), phi @ cov @ phi.T + gain @ inside @ gain.T


def distance(x1: Float, p1: Float, x2: Float, p2: Float, bias_var: Float) -> tuple[float, float]:
    """Mahalanobis d2 and log det(2 pi S) by numpy's solver."""
    s = p1 + p2 + np.diag(np.repeat(bias_var, 3))
    off = x1 - x2
    return float(off @ np.linalg.solve(s, off)), float(np.linalg.slogdet(2.0 * np.pi * s)[1])


def best_log_det(covs: Float) -> float:
    """The largest log det of the weighted information over the simplex, by a general optimiser from several starts."""
    infos = np.linalg.inv(covs)

    def loss(logits: Float) -> float:
        w = np.exp(logits - logits.max())
        return -float(np.linalg.slogdet(np.tensordot(w / w.sum(), infos, axes=1))[1])

    starts = [np.zeros(len(covs)), *(8.0 * np.eye(len(covs)))]
    return -min(
        float(minimize(loss, start, method="Nelder-Mead", options={"xatol": 1e-6, "fatol": 1e-9}).fun) for start in starts
    )


def information_fusion(states: Float, covs: Float) -> tuple[Float, Float]:
    """Independent estimates by weighted least squares on the stacked system."""
    k = len(states)
    design, joint = np.tile(np.eye(6), (k, 1)), np.zeros((6 * k, 6 * k))
    for i in range(k):
        joint[6 * i : 6 * i + 6, 6 * i : 6 * i + 6] = covs[i]
    weights = np.linalg.solve(joint, design)
    p = np.linalg.inv(design.T @ weights)
    return p @ weights.T @ states.ravel(), p


def kin(pedigree: list[int]) -> list[int]:
    """For each, the first one reached from it over shared bits."""
    linked = [[i == j or bool(a & b) for j, b in enumerate(pedigree)] for i, a in enumerate(pedigree)]
    first = []
    for start in range(len(pedigree)):
        reached, waiting = {start}, [start]
        while waiting:
            here = waiting.pop()
            more = {other for other in range(len(pedigree)) if linked[here][other]} - reached
            reached |= more
            waiting += more
        first.append(min(reached))
    return first


def assignments(costs: dict[tuple[int, int], float], rows: int, miss: float) -> list[tuple[float, frozenset[tuple[int, int]]]]:
    """Every way to pair rows with columns or with nothing, with its cost, cheapest first."""
    choices = [[None, *(column for (r, column) in costs if r == row)] for row in range(rows)]
    ways = []
    for way in itertools.product(*choices):
        taken = [column for column in way if column is not None]
        if len(taken) == len(set(taken)):
            pairs = frozenset((row, column) for row, column in enumerate(way) if column is not None)
            ways.append((sum(costs[pair] for pair in pairs) + miss * (rows - len(pairs)), pairs))
    return sorted(ways, key=lambda way: (way[0], sorted(way[1])))


def pattern(
    states_a: Float, covs_a: Float, states_b: Float, covs_b: Float, prior_var_m2: float, bias_var: Float, miss: float
) -> tuple[float, Float, frozenset[tuple[int, int]]]:
    """Of every way to pair two feeds, each with the offset that least squares gives: the cheapest, its offset and its pairs."""
    bias, to = np.diag(np.repeat(bias_var, 3)), np.vstack([np.eye(3), np.zeros((3, 3))])
    best: tuple[float, Float, frozenset[tuple[int, int]]] | None = None
    every = {(i, j): 0.0 for i in range(len(states_a)) for j in range(len(states_b))}
    for _, pairs in assignments(every, len(states_a), 0.0):
        weight, value = np.eye(3) / prior_var_m2, np.zeros(3)
        for i, j in pairs:
            info = np.linalg.inv(covs_a[i] + covs_b[j] + bias)
            weight, value = weight + to.T @ info @ to, value + to.T @ info @ (states_a[i] - states_b[j])
        offset = np.linalg.solve(weight, value)
        cost = float(offset @ offset) / prior_var_m2 + miss * (len(states_a) - len(pairs))
        for i, j in pairs:
            cost += sum(distance(states_a[i] - to @ offset, covs_a[i], states_b[j], covs_b[j], bias_var))
        if best is None or cost < best[0]:
            best = cost, np.asarray(offset, np.float64), pairs
    assert best is not None
    return best


def not_apart(ones: list[list[int]], others: list[list[int]], apart: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Every pair of two sets of members in which no member of the one is apart from a member of the other."""
    both = {*apart, *((y, x) for x, y in apart)}
    return [
        (i, j)
        for i, one in enumerate(ones)
        for j, other in enumerate(others)
        if not any((x, y) in both for x in one for y in other)
    ]


def same(first: Rows, second: Rows, log_odds: Float, surest_log: float, rounds: int, settled: float) -> Float:
    """Belief propagation over pairs that may be one (`fusion.raid.same`), all messages of a round at once."""
    if len(np.unique(first)) > len(np.unique(second)):
        first, second = second, first
    surest = np.full(int(first.max()) + 1, surest_log)
    np.maximum.at(surest, first, log_odds)
    odds = np.exp(log_odds + (surest_log - surest)[first])
    free, chance = np.ones(len(odds)), np.zeros(len(odds))
    for _ in range(rounds):
        open_odds = odds * free
        by_row = np.bincount(first, open_odds)[first]
        chance = open_odds / (1.0 + by_row)
        wanted = odds / (1.0 + np.maximum(by_row - open_odds, 0.0))
        before, free = free, 1.0 / (1.0 + np.maximum(np.bincount(second, wanted)[second] - wanted, 0.0))
        if (np.abs(free - before) < settled * free).all():
            break
    return chance


def distribution(chances: Float) -> Float:
    """The probabilities of each sum of independent Bernoulli terms, one convolution a term."""
    out = np.ones(1)
    for chance in chances:
        out = np.convolve(out, (1.0 - chance, chance))
    return out


def joint_cost(states: Float, covs: Float, bias_var: Float) -> float:
    """Minus twice the log-likelihood that independent estimates (k, 6), (k, 6, 6) are of one state of which nothing is known: of
    what the others differ from the first by, all at once.
    """
    shared = covs + 0.5 * np.diag(np.repeat(bias_var, 3))
    k = len(states) - 1
    spread = np.kron(np.ones((k, k)), shared[0])
    for i in range(k):
        spread[6 * i : 6 * i + 6, 6 * i : 6 * i + 6] += shared[i + 1]
    off = (states[1:] - states[0]).ravel()
    return float(off @ np.linalg.solve(spread, off) + np.linalg.slogdet(2.0 * np.pi * spread)[1])


Groups = Sequence[tuple[frozenset[int], float]]  # tracks that are one object, and what that gains


def partitions(groups: Groups) -> list[tuple[float, frozenset[frozenset[int]]]]:
    """Every way to take groups without a track in common, with what it gains, the most first."""
    ways: list[tuple[float, frozenset[frozenset[int]]]] = [(0.0, frozenset())]
    for tracks, gain in groups:
        ways += [(total + gain, taken | {tracks}) for total, taken in ways if not any(tracks & other for other in taken)]
    return sorted(ways, key=lambda way: -way[0])


def together(taken: Iterable[frozenset[int]], pair: frozenset[int]) -> bool:
    """Whether two tracks are in one group."""
    return any(pair <= tracks for tracks in taken)


def best_partition(groups: Groups, apart: frozenset[int] = frozenset()) -> tuple[float, frozenset[frozenset[int]]]:
    """The most that any way gains, and the way, by a general solver; with a pair that must stay apart, if one is given."""
    used = [(tracks, gain) for tracks, gain in groups if not (apart and apart <= tracks)]
    if not used:
        return 0.0, frozenset()
    index = {track: row for row, track in enumerate(sorted(frozenset().union(*(tracks for tracks, _ in used))))}
    once = np.zeros((len(index), len(used)))
    for column, (tracks, _) in enumerate(used):
        once[[index[track] for track in tracks], column] = 1.0
    found = milp(
        -np.array([gain for _, gain in used]),
        constraints=LinearConstraint(once, -np.inf, 1.0),
        integrality=np.ones(len(used), np.int64),
        bounds=Bounds(0.0, 1.0),
        options={"mip_rel_gap": 0.0},
    )
    assert found.success
    return -float(found.fun), frozenset(tracks for (tracks, _), taken in zip(used, found.x, strict=True) if taken > 0.5)


def cores(taken: Iterable[frozenset[int]], sides: Sequence[frozenset[int]], side: int) -> set[frozenset[int]]:
    """What some groups keep together of the two sides beside `side`: their parts there, and every other track by itself."""
    beside = frozenset().union(*(tracks for other, tracks in enumerate(sides) if other != side))
    together_there = {tracks & beside for tracks in taken if len(tracks & beside) == 2}
    alone = beside - frozenset().union(*together_there)
    return together_there | {frozenset({track}) for track in alone}


def seated(groups: Groups, taken: Iterable[frozenset[int]], sides: Sequence[frozenset[int]], side: int) -> float:
    """The most that any partition gains of groups that hold one core whole and no other track but of `side`."""
    kept = cores(taken, sides, side)
    return partitions([(tracks, gain) for tracks, gain in groups if tracks - sides[side] in kept])[0][0]


Row = dict[str, Any]


def likeliest_offsets(differences: dict[tuple[int, int], Float], sigma: Float, widest: Float) -> tuple[Float, Float]:
    """Offsets of feeds from differences of pairs, each with these sigmas (4,): conditioned Gaussians, over the scales of
    `fusion.offsets`, mixed by how likely they make the differences and, of scales of place, by their width.
    """
    seen = np.hstack(list(differences.values()))
    moves = np.zeros((len(seen), widest.size))
    for k, (one, other) in enumerate(differences):
        moves[4 * k : 4 * k + 4, 4 * one : 4 * one + 4] = np.eye(4)
        moves[4 * k : 4 * k + 4, 4 * other : 4 * other + 4] = -np.eye(4)
    noise = np.diag(np.tile(sigma**2, len(differences)))
    means, covs, likely = [], [], []
    for place in range(6):
        for clock in range(-1, 4):
            prior = np.diag((widest * np.array([2.0**-place] * 3 + [4.0**-clock])).ravel() ** 2)
            spread = moves @ prior @ moves.T + noise
            gain = prior @ moves.T @ np.linalg.inv(spread)
            means.append(gain @ seen)
            covs.append(prior - gain @ moves @ prior)
            weight = -place * np.log(2.0) + (np.log(0.1) if clock < 0 else 0.0)
            likely.append(weight - 0.5 * (seen @ np.linalg.solve(spread, seen) + np.linalg.slogdet(spread)[1]))
    share = np.exp(np.array(likely) - max(likely))
    share /= share.sum()
    mean = sum((w * m for w, m in zip(share, means, strict=True)), np.zeros(widest.size))
    mixed = sum(
        (w * (c + np.outer(m - mean, m - mean)) for w, m, c in zip(share, means, covs, strict=True)), np.zeros((widest.size,) * 2)
    )
    return mean.reshape(widest.shape), mixed


def common_chi2(apart: Float, spread: Float, velocity: Float, pull: Float, clock_var: float) -> float:
    """Of the least-squares offset of place and clock, all errors being one (`fusion.registration.common_chi2`)."""
    information, sum_ = np.diag([0.0, 0.0, 0.0, 1.0 / clock_var]), np.zeros(4)
    for x, p, v, a in zip(apart, spread, velocity, pull, strict=True):
        moves = np.column_stack([np.vstack([np.eye(3), np.zeros((3, 3))]), np.hstack([v, a])])
        weight = np.linalg.inv(p + np.diag(np.repeat([1e-2, 1e-4], 3)))
        information += moves.T @ weight @ moves
        sum_ += moves.T @ weight @ x
    return float(sum_ @ np.linalg.solve(information, sum_)) / len(apart)


def with_open(state: Float, cov: Float, left_open: Float) -> Float:
    """A covariance with what stays open of place and clock (`fusion.offsets.with_open`)."""
    late = np.hstack([state[3:], ballistic_acceleration(state)])
    moves = np.column_stack([np.vstack([np.eye(3), np.zeros((3, 3))]), late])
    return np.asarray(cov + moves @ left_open @ moves.T, np.float64)


def told(system: Row, reports: dict[int, Row], left_open: Float) -> Row:
    """A row of the table of system tracks as a picture tells it, from the rows of its members' reports (`fusion.emit.told`)."""
    held = {column: reports[row] for column, row in enumerate(system["members"]) if row >= 0}
    age_ms = (system["valid_ns"] - system["newest_ns"]) // 1_000_000
    cov = unpack_cov(np.array(system["cov"]))
    cov = with_open(np.array(system["state"]), cov, left_open[system["mask"] or system["seen"]])
    return {
        "system": system["number"],
        "valid_ns": system["valid_ns"],
        "state": list(system["state"]),
        "cov": [cov[i, j] for i in range(6) for j in range(i, 6)],
        "phase": [round(255 * min(max(share, 0.0), 1.0)) for share in system["phase"]],
        "quality": max(max((report["quality"] for report in held.values()), default=0) - age_ms // 2000, 0),
        "phenomenology": reduce(or_, (report["phenomenology"] for report in held.values()), 0),
        "pedigree": reduce(or_, (report["pedigree"] for report in held.values()), 0),
        "members": [held[c]["track"] if c in held and not held[c]["dropped"] else 0 for c in range(3)],
        "age_ms": min(age_ms, 2**32 - 1),
    }


def pattern_from(
    start: Float, apart: Float, information: Float, log_det: Float, prior_var_m2: float, miss: float, rounds: int
) -> tuple[Float, float, Float]:
    """From one offset, by turns: each row to the best column that is left, then least squares (`fusion.pattern.settle`)."""
    offset, to = start, np.vstack([np.eye(3), np.zeros((3, 3))])
    for _ in range(rounds):
        total, free, pairs = 0.0, set(range(log_det.shape[1])), list[tuple[int, int]]()
        for i in range(len(log_det)):
            left = apart[i] - to @ offset
            costs = {j: log_det[i, j] + left[j] @ information[i, j] @ left[j] for j in free}
            best = min(costs, key=lambda j: costs[j], default=None)
            if best is None or costs[best] >= miss:
                total += miss
                continue
            total += costs[best]
            free.remove(best)
            pairs.append((i, best))
        weight = np.eye(3) / prior_var_m2 + sum((to.T @ information[pair] @ to for pair in pairs), np.zeros((3, 3)))
        value = sum((to.T @ information[pair] @ apart[pair] for pair in pairs), np.zeros(3))
        score = total + float(offset @ offset) / prior_var_m2
        before, offset = offset, np.linalg.solve(weight, value)
        if np.abs(offset - before).max() < 1.0:
            break
    return offset, score, weight


def apart(
    x1: Float, p1: Float, x2: Float, p2: Float, bias_var: Float, prior_var: Float, told: float = 0.3
) -> tuple[float, float, int]:
    """The distance, log determinant and degrees of freedom of partial states, from numpy's eigenvectors of S in units of the
    prior.
    """
    unit = np.sqrt(np.repeat(prior_var, 3))
    s = (p1 + p2 + np.diag(np.repeat(bias_var, 3))) / np.outer(unit, unit)
    values, vectors = np.linalg.eigh(s)
    basis = vectors[:, values < told]
    left, off = basis.T @ s @ basis, basis.T @ ((x1 - x2) / unit)
    d2 = float(off @ np.linalg.solve(left, off)) if len(off) else 0.0
    log_det = float(np.linalg.slogdet(2.0 * np.pi * left)[1]) if len(off) else 0.0
    return d2, log_det + 2.0 * float(np.log(unit).sum()), len(off)


def exact_inverse(a: Float) -> Float:
    """The inverse of a matrix by elimination in rational numbers, rounded once."""
    n = len(a)
    rows = [[Fraction(x) for x in row] + [Fraction(int(i == j)) for j in range(n)] for i, row in enumerate(a.tolist())]
    for i in range(n):
        rows[i] = [x / rows[i][i] for x in rows[i]]
        for k in range(n):
            if k != i:
                rows[k] = [x - rows[k][i] * y for x, y in zip(rows[k], rows[i], strict=True)]
    return np.array([[float(x) for x in row[n:]] for row in rows])


def exact_information_fusion(states: Float, covs: Float) -> tuple[Float, Float]:
    """`information_fusion` in rational numbers but for what each inverse is rounded by, beside the first state."""
    infos = [exact_inverse(cov) for cov in covs]
    p = exact_inverse(np.sum(infos, axis=0))
    pull = np.sum([info @ (state - states[0]) for info, state in zip(infos, states, strict=True)], axis=0)
    return states[0] + p @ pull, p
