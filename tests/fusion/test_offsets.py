"""The likeliest offsets of feeds, and what stays open, against the same told without information matrices; and against chance."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fusion.offsets import NO_OFFSETS, WIDTH, Offsets, Told, likeliest, open_of, with_open
from tests import oracles_fusion as oracle
from tests.plain import both_ways

Float = NDArray[np.float64]

WIDEST = np.array([[1000.0, 1000.0, 1000.0, 0.2], [3000.0, 3000.0, 3000.0, 0.2], [2000.0, 2000.0, 2000.0, 0.2]])
CHI2_95_3 = 7.815
SIGMA = np.array([30.0, 30.0, 30.0, 0.02])  # of what a pair tells


def pairs_of(offsets: Float, rng: np.random.Generator, pairs: list[tuple[int, int]]) -> dict[tuple[int, int], Told]:
    """What pairs of feeds tell of offsets (3, 4): their differences, with noise."""
    weight = np.asarray(np.diag(1.0 / SIGMA**2), np.float64)
    told = {}
    for one, other in pairs:
        difference = offsets[one] - offsets[other] + rng.normal(size=WIDTH) * SIGMA
        told[one, other] = Told(weight, np.asarray(weight @ difference, np.float64))
    return told


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([[(0, 1)], [(0, 1), (1, 2)], [(0, 2), (0, 1), (1, 2)]]))
def test_the_likeliest_offsets_are_those_of_a_mixture_of_plain_gaussians(seed: int, pairs: list[tuple[int, int]]) -> None:
    rng = np.random.default_rng(seed)
    told = pairs_of(rng.normal(size=(3, WIDTH)) * WIDEST * rng.uniform(0.02, 1.0), rng, pairs)
    found = likeliest(told, WIDEST)
    seen = {pair: np.asarray(each.weighed * SIGMA**2, np.float64) for pair, each in told.items()}
    mean, cov = oracle.likeliest_offsets(seen, SIGMA, WIDEST)
    np.testing.assert_allclose(found.mean, mean, rtol=1e-5, atol=1e-5 * np.abs(mean).max())
    np.testing.assert_allclose(found.cov, cov, rtol=1e-5, atol=1e-6 * np.abs(cov).max())


def drawn(rng: np.random.Generator, sigmas: float, *, of_one_length: bool) -> Float:
    """Offsets (3, 4), m and s, of so many of the feeds' sigmas (a tenth of the widest): all of one length, or Gaussian."""
    places = rng.normal(size=(3, 3))
    places *= np.sqrt(3.0) / np.linalg.norm(places, axis=1, keepdims=True) if of_one_length else 1.0
    return np.hstack([places * sigmas / np.sqrt(3.0) * 0.1 * WIDEST[:, :3], 0.1 * rng.normal(size=(3, 1)) * WIDEST[:, 3:]])


@pytest.mark.parametrize("sigmas", [2.0, 5.0, 10.0])
@pytest.mark.parametrize("of_one_length", [True, False])
@pytest.mark.parametrize("columns", [(0, 1), (0, 1, 2)])
def test_95_of_100_fused_places_are_within_what_stays_open(sigmas: float, of_one_length: bool, columns: tuple[int, ...]) -> None:
    """Though nobody tells the scale: three numbers of two feeds do, six of three."""
    rng, own_var, held = np.random.default_rng(1), (0.1 * WIDEST[:, 0]) ** 2, []
    for _ in range(400):
        true = drawn(rng, sigmas, of_one_length=of_one_length)
        found = likeliest(pairs_of(true, rng, list(itertools.combinations(columns, 2))), WIDEST)
        left = open_of(found, found.mean, own_var, columns)[sum(1 << column for column in columns)][:3, :3]
        weights = 1.0 / own_var[list(columns)]
        off = weights @ (true - found.mean)[list(columns), :3] / weights.sum()
        held.append(off @ np.linalg.solve(left, off) < CHI2_95_3)
    assert 0.91 <= np.mean(held) <= 1.0


@pytest.mark.parametrize("ahead_s", [0.2, 0.5, 1.0, 1.3])
@pytest.mark.parametrize("columns", [(0, 1), (0, 1, 2)])
def test_one_clock_that_is_far_off_is_told_of_all_that_it_may_be_shared_among(ahead_s: float, columns: tuple[int, ...]) -> None:
    """Whose it is nothing tells, and so all are held to be off by a part of it: a second was told with a third of that."""
    true, own_var = np.zeros((3, WIDTH)), np.ones(3)
    true[1, 3] = ahead_s
    found = likeliest(pairs_of(true, np.random.default_rng(3), list(itertools.combinations(columns, 2))), WIDEST)
    left = open_of(found, found.mean, own_var, columns)[sum(1 << column for column in columns)]
    off_s = np.mean((true - found.mean)[list(columns), 3])
    assert abs(off_s) == pytest.approx(ahead_s / len(columns), abs=0.05)
    assert off_s**2 < 4.0 * left[3, 3]
    assert left[3, 3] < (2.0 * ahead_s) ** 2


def test_feeds_that_agree_are_held_to_be_off_by_little_and_feeds_far_apart_by_much() -> None:
    rng, said = np.random.default_rng(2), []
    for apart_m in (100.0, 1000.0, 5000.0):
        true = np.zeros((3, WIDTH))
        true[0, 0] = apart_m
        found = likeliest(pairs_of(true, rng, [(0, 1), (0, 2), (1, 2)]), WIDEST)
        said.append(np.sqrt(np.diag(found.cov)[0]))
    assert said[0] < 0.5 * said[1] < 0.25 * said[2]


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_what_stays_open_of_a_system_track_is_that_of_its_members_mean(seed: int) -> None:
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(12, 12))
    offsets, taken = Offsets(rng.normal(size=(3, WIDTH)), root @ root.T), rng.normal(size=(3, WIDTH))
    own_var, displaced = rng.uniform(0.5, 2.0, 3), [column for column in range(3) if rng.random() < 0.7]
    found = open_of(offsets, taken, own_var, displaced)
    second = offsets.cov + np.outer((offsets.mean - taken).ravel(), (offsets.mean - taken).ravel())
    assert not found[0].any()
    for number in range(1, 8):
        members = [column for column in range(3) if number >> column & 1]
        total = sum(1.0 / own_var[column] for column in members)
        mean = np.zeros((WIDTH, 12))
        for column in members:
            if column in displaced:
                mean[:, WIDTH * column : WIDTH * (column + 1)] = np.eye(WIDTH) / own_var[column] / total
        np.testing.assert_allclose(found[number], mean @ second @ mean.T, atol=1e-12)


def test_nothing_stays_open_where_nothing_is_off() -> None:
    assert not open_of(NO_OFFSETS, NO_OFFSETS.mean, np.ones(3), []).any()


@settings(deadline=None)  # the first example compiles
@given(st.integers(0, 2**32 - 1))
@both_ways(with_open)
def test_what_stays_open_is_added_to_place_and_to_what_time_makes_of_it(seed: int) -> None:
    rng = np.random.default_rng(seed)
    state = np.hstack([rng.normal(size=3) * 2e6 + 5e6, rng.normal(size=3) * 2e3])
    root, small = rng.normal(size=(6, 6)), rng.normal(size=(WIDTH, WIDTH))
    cov, left_open = root @ root.T, small @ small.T
    np.testing.assert_allclose(with_open(state, cov, left_open), oracle.with_open(state, cov, left_open), rtol=1e-9, atol=1e-6)
