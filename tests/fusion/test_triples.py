"""Candidate triples: which are asked, and what three tracks cost as one object."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bus.columns import TRIANGLE, pack_cov
from fusion.gate import distance
from fusion.triples import candidates, joint_cost, triples_within
from tests import oracles_fusion as oracle
from tests.fusion.test_kernels import BIAS, GATES, MOTION, PRIOR, STATE, random_cov
from tests.fusion.test_partition import NONE
from tests.plain import both_ways

Float = NDArray[np.float64]
Rows = NDArray[np.int64]

COAST = np.tile([0.0, 1.0, 0.0], (3, 1))
NOW = np.zeros(3, np.int64)
ANY = np.full(7, np.inf)


def three(seed: int) -> tuple[Float, Float]:
    """Estimates (3, 6) of one object, each with its covariance, one of them far less sure."""
    rng = np.random.default_rng(seed)
    covs = np.array([random_cov(rng, scale) for scale in (0.3, 1.0, 10.0)])[rng.permutation(3)]
    return STATE + np.array([rng.multivariate_normal(np.zeros(6), cov, method="cholesky") for cov in covs]), covs


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), order=st.permutations([0, 1, 2]))
@both_ways(joint_cost)
def test_cost_of_three_is_their_joint_likelihood_in_any_order(seed: int, order: list[int]) -> None:
    (first, second, third), (states, covs) = order, three(seed)
    told = joint_cost(first, second, third, NOW, states, pack_cov(covs), COAST, MOTION, BIAS, PRIOR, ANY)
    assert told == pytest.approx(oracle.joint_cost(states, covs, BIAS), rel=1e-7)


def test_cost_of_three_is_that_of_two_where_the_third_tells_nothing() -> None:
    """But for the room in which an object that is not seen is expected, which is the price of one."""
    states, covs = three(1)
    covs[2] = 1e12 * np.eye(6)
    pair = sum(distance(states[0], covs[0], states[1], covs[1], BIAS))
    told = joint_cost(0, 1, 2, NOW, states, pack_cov(covs), COAST, MOTION, BIAS, PRIOR, ANY)
    assert told - pair == pytest.approx(3.0 * np.log(PRIOR).sum())


def test_three_that_are_too_far_apart_are_no_triple() -> None:
    states, covs = three(2)
    far = states + np.array([[0.0], [0.0], [1.0]]) * 1e5
    assert joint_cost(0, 1, 2, NOW, far, pack_cov(covs), COAST, MOTION, BIAS, PRIOR, GATES) == np.inf
    assert joint_cost(2, 1, 0, NOW, far, pack_cov(covs), COAST, MOTION, BIAS, PRIOR, GATES) == np.inf
    assert joint_cost(0, 1, 2, NOW, states, np.full((3, TRIANGLE), np.nan), COAST, MOTION, BIAS, PRIOR, GATES) == np.inf


def some_pairs(rng: np.random.Generator, sides: tuple[int, int, int], filled: float) -> tuple[Rows, Float, NDArray[np.bool_]]:
    """Pairs (p, 3) at random over tracks numbered in no order, what they gain, and which tracks hold one nation."""
    number = np.split(rng.permutation(sum(sides)), np.cumsum(sides)[:-1])
    pairs = []
    for s, t in itertools.combinations(range(3), 2):
        for i, j in itertools.product(number[s].tolist(), number[t].tolist()):
            if rng.random() < filled:
                pairs.append([i if side == s else j if side == t else NONE for side in range(3)])
    return np.array(pairs, np.int64).reshape(-1, 3), rng.uniform(0.0, 50.0, len(pairs)), rng.random(sum(sides)) < 0.8


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), sides=st.tuples(*[st.integers(1, 5)] * 3), filled=st.floats(0.0, 1.0))
@both_ways(candidates)
def test_triples_asked_are_those_with_two_pairs_within_the_gate(seed: int, sides: tuple[int, int, int], filled: float) -> None:
    pairs, gains, alone = some_pairs(np.random.default_rng(seed), sides, filled)
    near = {frozenset(row[row != NONE].tolist()): gain for row, gain in zip(pairs, gains.tolist(), strict=True)}
    columns = [sorted(set(pairs[:, side].tolist()) - {NONE}) for side in range(3)]
    expected = {}
    for triple in itertools.product(*columns):
        within = [near[frozenset(pair)] for pair in itertools.combinations(triple, 2) if frozenset(pair) in near]
        if len(within) >= 2 and alone[list(triple)].all():
            expected[triple] = max(within)
    found, best = candidates(pairs, gains, alone, 10_000)
    assert dict(zip(map(tuple, found.tolist()), best.tolist(), strict=True)) == expected
    assert len(found) == len(expected)


def test_of_too_many_triples_the_best_partners_of_each_track_are_asked() -> None:
    rng = np.random.default_rng(3)
    pairs, gains, _ = some_pairs(rng, (10, 10, 10), 1.0)
    alone = np.ones(30, np.bool_)
    every = candidates(pairs, gains, alone, 10_000)[0]
    some = candidates(pairs, gains, alone, 500)[0]
    assert len(every) == 1000
    assert 0 < len(some) <= 500
    best = pairs[int(np.argmax(gains))]
    assert any(len(set(best.tolist()) & set(triple)) == 2 for triple in some.tolist())


@both_ways(triples_within)
def test_a_triple_no_better_than_one_of_its_pairs_is_left_out() -> None:
    """The third is of somewhere else, as far as the gate lets it."""
    states, covs = np.tile(STATE, (3, 1)), np.tile(np.diag([1e4] * 3 + [100.0] * 3), (3, 1, 1))
    pairs, gains = np.array([[0, 1, NONE], [NONE, 1, 2]]), np.array([60.0, 1.0])
    table = np.array([1, 2, 4]), NOW, states, pack_cov(covs), COAST, MOTION, BIAS, PRIOR, GATES
    rows, miss = np.arange(3), 123.0
    triples, joint = triples_within(pairs, gains, rows, *table, miss)
    assert triples.tolist() == [[0, 1, 2]]
    assert joint[0] == pytest.approx(2.0 * miss - oracle.joint_cost(states, covs, BIAS))
    assert len(triples_within(pairs, np.array([joint[0] + 1.0, 1.0]), rows, *table, miss)[0]) == 0
    both_held = np.array([1, 6, 4])
    assert len(triples_within(pairs, gains, rows, both_held, *table[1:], miss)[0]) == 0
