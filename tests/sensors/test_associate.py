"""Association probabilities against the enumeration of every joint hypothesis."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sensors.associate import SHARED, YIELDS, choose, marginals
from tests.oracles_sensors import every_marginal
from tests.plain import both_ways


@pytest.mark.parametrize("tracks", [1, 2, 3, 4])
@pytest.mark.parametrize("detections", [1, 2, 3, 4])
def test_probabilities_are_near_those_of_every_hypothesis(tracks: int, detections: int) -> None:
    """Belief propagation is approximate where pairs form loops: off by 0.02 at most as a rule, by 0.25 at worst."""
    off = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        odds = np.exp(rng.normal(scale=3.0, size=(tracks, detections))) * (rng.random((tracks, detections)) < 0.7)
        got, want = marginals(odds), every_marginal(odds)
        off.append(np.abs(got - want).max())
        assert got.sum(axis=1).max() <= 1.0 + 1e-3
        assert got.sum(axis=0).max() <= 1.0 + 1e-2
    assert np.mean(off) < 0.02
    assert max(off) < 0.15


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), st.integers(1, 5))
@both_ways(marginals)
def test_probabilities_are_exact_along_a_chain(seed: int, tracks: int) -> None:
    """Each track shares a detection with the next: pairs without a loop."""
    rng = np.random.default_rng(seed)
    odds = np.zeros((tracks, tracks + 1))
    for i in range(tracks):
        odds[i, i], odds[i, i + 1] = np.exp(rng.normal(scale=2.0, size=2))
    np.testing.assert_allclose(marginals(odds), every_marginal(odds), atol=2e-3)


def test_what_cannot_be_has_no_probability() -> None:
    odds = np.array([[3.0, 0.0], [0.0, 0.0]])
    np.testing.assert_allclose(marginals(odds), [[0.75, 0.0], [0.0, 0.0]], atol=1e-6)


def test_the_likeliest_joint_choice_is_taken_and_what_is_unlikely_is_not() -> None:
    """The third track could have the second's detection, but hardly: it goes without, as it would beside none at all."""
    cost = np.array([[1.0, 6.0], [5.0, 2.0], [np.inf, 9.0]])
    taken, belief = choose(cost, np.ones(3, np.bool_), np.zeros(2, np.bool_), np.full(3, 16.0))
    assert taken.tolist() == [0, 1, -1]
    assert (belief.argmax(axis=1)[:2] == [0, 1]).all()
    assert belief[2, 1] < 0.05


def test_several_confirmed_tracks_take_one_merged_detection_and_tentative_ones_do_not_share() -> None:
    cost, merged = np.full((SHARED + 2, 1), 1.0), np.array([True])
    confirmed, none = np.ones(SHARED + 2, np.bool_), np.full(SHARED + 2, 16.0)
    assert (choose(cost, confirmed, merged, none).taken == 0).sum() == SHARED
    assert (choose(cost, ~confirmed, merged, none).taken == 0).sum() == 1
    assert (choose(cost, confirmed, ~merged, none).taken == 0).sum() == 1


def test_a_tentative_track_yields_to_a_confirmed_one() -> None:
    cost, merged = np.array([[1.0], [1.0 - 0.5 * YIELDS]]), np.array([False])
    none = np.full(2, 16.0)
    assert choose(cost, np.array([True, False]), merged, none).taken.tolist() == [0, -1]
    assert choose(cost, np.array([False, False]), merged, none).taken.tolist() == [-1, 0]
    assert choose(cost[1:], np.array([False]), merged, none[1:]).taken.tolist() == [0]


def test_copies_of_a_merged_detection_make_one_belief() -> None:
    """What is no track's but may be of every one leaves each nearly sure of it."""
    belief = choose(np.zeros((3, 1)), np.ones(3, np.bool_), np.array([True]), np.full(3, 16.0)).belief
    assert belief.shape == (3, 1)
    assert belief.min() > 0.95


def test_a_track_that_may_well_have_none_doubts_what_it_takes() -> None:
    cost, merged, confirmed = np.array([[14.0]]), np.array([False]), np.array([True])
    rare, common = (choose(cost, confirmed, merged, np.array([none])) for none in (16.0, 13.0))
    assert rare.belief[0, 0] == pytest.approx(1.0 / (1.0 + np.exp(-2.0)))
    assert common.belief[0, 0] == pytest.approx(1.0 / (1.0 + np.exp(1.0)))


def test_what_is_hardly_a_tracks_is_left_to_begin_another() -> None:
    """Nothing else competes for it: it was taken at a probability of a hundredth."""
    merged, confirmed, none = np.array([False]), np.array([True]), np.array([16.0])
    assert choose(np.array([[20.0]]), confirmed, merged, none).taken.tolist() == [-1]
    assert choose(np.array([[15.0]]), confirmed, merged, none).taken.tolist() == [0]
