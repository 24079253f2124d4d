"""The likeliest offsets of feeds, and what stays open, against the same told without information matrices; and against chance."""

from __future__ import annotations

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


@pytest.mark.parametrize("scale", [0.1, 0.3, 0.6])
def test_offsets_are_as_unsure_as_is_said_though_nobody_tells_their_scale(scale: float) -> None:
    """Each axis of each feed, over 300 draws: what no difference tells is in it, by a scale that six numbers told."""
    rng, off = np.random.default_rng(1), []
    for _ in range(300):
        true = rng.normal(size=(3, WIDTH)) * WIDEST * np.array([scale, scale, scale, 0.1])
        found = likeliest(pairs_of(true, rng, [(0, 1), (0, 2), (1, 2)]), WIDEST)
        off.append((found.mean - true).ravel() / np.sqrt(np.diag(found.cov)))
    squares = np.square(off).reshape(-1, 3, WIDTH)
    assert 0.8 < squares[:, :, :3].mean() < 1.25


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
