"""Partitions of tracks into objects: against trying everything, against a general solver, compiled and uncompiled."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from bus.columns import pack_cov
from fusion.associate import Associator
from fusion.clusters import Clusters
from fusion.matching import match
from fusion.partition import partition, solve
from fusion.relaxation import Component, component_of, relax, seat, settle
from fusion.search import search
from fusion.settings import FusionSettings
from fusion.tables import ReportTable, SystemTable
from tests import oracles_fusion as oracle
from tests.plain import both_ways

Float = NDArray[np.float64]
Rows = NDArray[np.int64]

SETTINGS = FusionSettings()
NONE = -1
EXACT = 1e9  # every regret to the end


def problem(rng: np.random.Generator, sides: tuple[int, ...], filled: float) -> tuple[Rows, Float, int, int]:
    """Groups (g, 3) at random over so many tracks a side, their gains, how many are pairs, and how many tracks there are.

    Of triples, two pairs are there; tracks have their numbers in no order.
    """
    n = sum(sides)
    number = np.split(rng.permutation(n), np.cumsum(sides)[:-1])
    near = {(s, t): rng.random((sides[s], sides[t])) < filled for s in range(3) for t in range(s + 1, 3)}
    pairs = [(s, t, i, j) for (s, t), there in near.items() for i, j in np.argwhere(there)]
    members = np.full((len(pairs), 3), NONE)
    for row, (s, t, i, j) in enumerate(pairs):
        members[row, s], members[row, t] = number[s][i], number[t][j]
    count = near[0, 1][:, :, None].astype(int) + near[0, 2][:, None, :] + near[1, 2][None, :, :]
    triples = [(number[0][i], number[1][j], number[2][k]) for i, j, k in np.argwhere(count >= 2) if rng.random() < 0.8]
    gain = np.concatenate([rng.uniform(1.0, 30.0, len(pairs)), rng.uniform(10.0, 68.0, len(triples))])
    return np.concatenate([members, np.array(triples, np.int64).reshape(-1, 3)]), gain, len(pairs), n


def groups_of(members: Rows, gain: Float) -> list[tuple[frozenset[int], float]]:
    return [(frozenset(row[row != NONE].tolist()), value) for row, value in zip(members, gain.tolist(), strict=True)]


small = st.tuples(st.integers(0, 10_000), st.tuples(*[st.integers(1, 3)] * 3), st.floats(0.2, 1.0))


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), rows=st.integers(1, 8), columns=st.integers(1, 8), filled=st.floats(0.0, 1.0))
@both_ways(match)
def test_match_is_the_best_there_is_and_its_prices_prove_it(seed: int, rows: int, columns: int, filled: float) -> None:
    rng = np.random.default_rng(seed)
    table = np.where(rng.random((rows, columns)) < filled, rng.uniform(-5.0, 30.0, (rows, columns)), -np.inf)
    row, column = np.nonzero(np.isfinite(table))
    start = np.searchsorted(row, np.arange(rows + 1))
    taken, row_price, column_price = match(start, column, table[row, column], columns)
    edges = taken[taken != NONE]
    assert (row[edges] == np.flatnonzero(taken != NONE)).all()
    assert len(set(column[edges].tolist())) == len(edges)
    total = table[row[edges], column[edges]].sum()
    worth = np.maximum(table, 0.0)
    assert total == pytest.approx(worth[linear_sum_assignment(-worth)].sum())
    assert row_price.sum() + column_price.sum() == pytest.approx(total)
    assert (row_price[:, None] + column_price[None, :] >= table - 1e-9).all()
    assert min(row_price.min(), column_price.min()) >= -1e-9


@settings(max_examples=40, deadline=None)
@given(drawn=small, price=st.floats(0.0, 40.0))
@both_ways(relax, component_of)
def test_no_partition_gains_more_than_all_prices_together(drawn: tuple[int, tuple[int, ...], float], price: float) -> None:
    rng = np.random.default_rng(drawn[0])
    members, gain, _, _ = problem(rng, drawn[1], drawn[2])
    if not len(gain):
        return
    c, own = component_of(members, gain)
    barred = rng.random(len(gain)) < 0.2
    given_prices = np.where(np.arange(c.tracks) >= c.first + c.second, rng.uniform(0.0, price + 1e-9, c.tracks), 0.0)
    prices, taken = relax(c, barred, given_prices)
    left = [group for group, out in zip(groups_of(members[own], gain[own]), barred.tolist(), strict=True) if not out]
    assert prices.sum() >= oracle.partitions(left)[0][0] - 1e-9
    assert prices.min() >= -1e-9
    for group in range(len(gain)):
        held = c.members[group][c.members[group] != NONE]
        assert barred[group] or prices[held].sum() >= c.gain[group] - 1e-9
    groups, total = settle(c, barred, *seat(c, barred, taken, 2))
    held = c.members[groups][c.members[groups] != NONE]
    assert len(set(held.tolist())) == len(held)
    assert not barred[groups].any()
    assert total == pytest.approx(c.gain[groups].sum())


@settings(max_examples=40, deadline=None)
@given(drawn=small)
@both_ways(search)
def test_search_ends_with_the_best_of_all_partitions(drawn: tuple[int, tuple[int, ...], float]) -> None:
    members, gain, _, _ = problem(np.random.default_rng(drawn[0]), drawn[1], drawn[2])
    if not len(gain):
        return
    c, _ = component_of(members, gain)
    none = np.zeros(len(gain), np.bool_)
    prices, _ = relax(c, none, np.zeros(c.tracks))
    ended, found, most = search(c, none, prices, np.empty(0, np.int64), 0.0, 100_000)
    assert ended
    assert most == pytest.approx(oracle.partitions(groups_of(members, gain))[0][0])
    assert most == pytest.approx(c.gain[found].sum())
    assert not search(c, none, prices, np.empty(0, np.int64), 0.0, 0)[0]


@settings(max_examples=60, deadline=None)
@given(drawn=small)
@both_ways(partition)
def test_partition_and_its_regrets_agree_with_trying_everything(drawn: tuple[int, tuple[int, ...], float]) -> None:
    members, gain, pairs, tracks = problem(np.random.default_rng(drawn[0]), drawn[1], drawn[2])
    regret, gap = partition(members, gain, pairs, tracks, EXACT)
    groups = groups_of(members, gain)
    ways = oracle.partitions(groups)
    for (pair, _), told in zip(groups[:pairs], regret.tolist(), strict=True):
        without = next(total for total, taken in ways if not oracle.together(taken, pair))
        assert told == pytest.approx(ways[0][0] - without, abs=1e-6)
    assert gap == 0.0


@settings(max_examples=60, deadline=None)
@given(drawn=small, side=st.integers(0, 2))
@both_ways(seat, settle)
def test_seating_one_side_anew_is_the_best_of_all_ways_to(drawn: tuple[int, tuple[int, ...], float], side: int) -> None:
    """Twin: every partition of the groups that hold what is kept together whole; settled is where no side's seating gains."""
    rng = np.random.default_rng(drawn[0])
    members, gain, _, _ = problem(rng, drawn[1], drawn[2])
    if not len(gain):
        return
    c, _ = component_of(members, gain)
    barred = rng.random(len(gain)) < 0.2
    own = groups_of(c.members, c.gain)
    left = [group for group, out in zip(own, barred.tolist(), strict=True) if not out]
    sides = [frozenset(range(c.seats[s], c.seats[s + 1])) for s in range(3)]
    shuffled = list(enumerate(own))
    rng.shuffle(shuffled)
    given_groups, beside = [], frozenset[int]()
    for g, (tracks, _) in shuffled:  # of `side` a track may be in many of them
        if not barred[g] and not (tracks - sides[side]) & beside:
            given_groups.append(g)
            beside |= tracks - sides[side]
    groups, total = seat(c, barred, np.array(given_groups, np.int64), side)
    assert total == pytest.approx(oracle.seated(left, [own[g][0] for g in given_groups], sides, side))
    partitioned(c, barred, groups, total)
    better, most = settle(c, barred, groups, total)
    partitioned(c, barred, better, most)
    assert most >= total - 1e-6
    for again in range(3):
        assert oracle.seated(left, [own[g][0] for g in better.tolist()], sides, again) == pytest.approx(most)


def partitioned(c: Component, barred: NDArray[np.bool_], groups: Rows, total: float) -> None:
    """Hold groups to be a partition that gains so much."""
    held = c.members[groups][c.members[groups] != NONE]
    assert len(set(held.tolist())) == len(held)
    assert not barred[groups].any()
    assert total == pytest.approx(c.gain[groups].sum())


@settings(max_examples=20, deadline=None)
@given(drawn=small)
def test_a_regret_is_told_up_to_what_is_enough(drawn: tuple[int, tuple[int, ...], float]) -> None:
    problem_of = problem(np.random.default_rng(drawn[0]), drawn[1], drawn[2])
    exact, _ = partition(*problem_of, EXACT)
    told, _ = partition(*problem_of, 5.0)
    np.testing.assert_allclose(np.minimum(told, 5.0), np.minimum(exact, 5.0), atol=1e-6)
    assert (told <= exact + 1e-6).all()


@pytest.mark.parametrize("sides", [(12, 12, 12), (5, 30, 20), (25, 25, 25)])
def test_large_components_promise_no_more_than_is_true(sides: tuple[int, ...]) -> None:
    """Gains at random over many groups, as hard as can be, against a general solver."""
    members, gain, pairs, tracks = problem(np.random.default_rng(sum(sides)), sides, 0.3 if sum(sides) > 50 else 0.6)
    groups = groups_of(members, gain)
    most, taken = oracle.best_partition(groups)
    c, _ = component_of(members, gain)
    _, bound, _, total = solve(c, np.zeros(len(gain), np.bool_), np.zeros(c.tracks), 0.0, 30, 150)
    assert total - 1e-6 <= most <= bound + 1e-6
    assert bound - total <= 0.05 * bound
    regret, _ = partition(members, gain, pairs, tracks, 30.0)
    won = np.flatnonzero(regret > 1e-6).tolist()
    assert all(oracle.together(taken, groups[pair][0]) for pair in won)
    for pair in won[:3]:
        assert regret[pair] <= most - oracle.best_partition(groups, apart=groups[pair][0])[0] + 1e-6


def anything_goes(random: np.random.Generator, n: int) -> tuple[Rows, Float, int, int]:
    """`n` tracks a side, of which any two and any three may be one, and no group tells of another: the hardest there is."""
    sides = np.indices((n + 1, n + 1, n + 1)).reshape(3, -1).T
    there = sides < n
    size = there.sum(axis=1)
    some = np.flatnonzero(size >= 2)
    some = some[np.argsort(size[some], kind="stable")]
    members = np.where(there, sides + n * np.arange(3), NONE)[some].astype(np.int64)
    return members, random.uniform(0.0, size[some] - 1.0), int((size == 2).sum()), 3 * n


@pytest.mark.parametrize("n", [12, 20, 22])  # and with 22 a side more triples than a look asks of
def test_the_gap_is_one_percent_at_most_where_any_may_be_one_with_any(n: int) -> None:
    """Bound and partition were 1.7 percent apart: rounds ran out, and what nearly was the best one was not settled."""
    for seed in range(6):
        _, gap = partition(*anything_goes(np.random.default_rng(seed), n), 30.0)
        assert 0.0 <= gap <= 0.01


@pytest.mark.parametrize(("objects", "spread_m"), [(18, 3000.0), (18, 500.0), (18, 100.0), (60, 3000.0)])
def test_the_gap_of_dense_clusters_is_one_percent_at_most(objects: int, spread_m: float) -> None:
    """Objects closer than the worst of three nations sees: all may be one with many."""
    for seed in range(20):
        members, gain, pairs, tracks = dense(np.random.default_rng(seed), objects, spread_m)
        assert len(gain) > 10 * objects
        regret, gap = partition(members, gain, pairs, tracks, 30.0)
        assert gap <= 0.01
        if seed >= 3:
            continue
        c, _ = component_of(members, gain)
        _, bound, _, total = solve(c, np.zeros(len(gain), np.bool_), np.zeros(c.tracks), 0.0, 100, 150)
        most, taken = oracle.best_partition(groups_of(members, gain))
        assert total - 1e-6 <= most <= bound + 1e-6
        ends = [frozenset(row[row != NONE].tolist()) for row in members[:pairs][regret > 1e-6]]
        assert all(oracle.together(taken, pair) for pair in ends)


class Uncrowded(Associator):
    """Neighbours make no pair dearer: more pairs to ask of than there are where they do."""

    def _crowding(
        self, one: ReportTable | SystemTable, rows: Rows, other: SystemTable, others: Rows, first: Rows, second: Rows
    ) -> Float:
        return np.zeros(len(first))


def dense(rng: np.random.Generator, objects: int, spread_m: float) -> tuple[Rows, Float, int, int]:
    """Groups as `problem` has them, of tracks of three nations within the gate, whoever is beside them."""
    home = np.array([-3.05e6, 4.05e6, 4.05e6, 900.0, -700.0, 1500.0])
    true = home + rng.normal(size=(objects, 6)) * np.repeat([spread_m, spread_m / 20.0], 3)
    sigmas = np.repeat(np.array([[200.0, 12.0], [80.0, 8.0], [1500.0, 90.0]]), 3, axis=1)
    clusters, associator = Clusters(SETTINGS.timing), Uncrowded(SETTINGS)
    table = clusters.systems
    for nation, sigma in enumerate(sigmas):
        for i in rng.permutation(objects):
            row = table.take()
            table.number[row], table.mask[row], table.phase[row] = row + 1, 1 << nation, (0.0, 1.0, 0.0)
            table.state[row], table.cov[row] = true[i] + rng.normal(size=6) * sigma, pack_cov(np.diag(sigma**2))
    waiting = np.flatnonzero(table.mask)
    members, gain, pairs = associator.groups(table, waiting)
    return members, gain, pairs, len(waiting)


def test_order_of_tracks_and_of_groups_does_not_matter() -> None:
    rng = np.random.default_rng(5)
    for _ in range(30):
        members, gain, pairs, tracks = problem(rng, (3, 4, 3), 0.5)
        regret, _ = partition(members, gain, pairs, tracks, EXACT)
        number = np.append(rng.permutation(tracks), NONE)
        order = np.concatenate([rng.permutation(pairs), pairs + rng.permutation(len(gain) - pairs)])
        again, _ = partition(number[members[order]], gain[order], pairs, tracks, EXACT)
        np.testing.assert_allclose(again, regret[order[:pairs]], atol=1e-6)


def test_nothing_to_join_is_no_trouble() -> None:
    regret, gap = partition(np.empty((0, 3), np.int64), np.empty(0), 0, 7, 30.0)
    assert len(regret) == 0
    assert gap == 0.0
