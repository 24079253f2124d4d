"""Association probabilities against the enumeration of every joint hypothesis."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from sensors.associate import marginals
from tests.oracles_sensors import every_marginal


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10**6), st.integers(1, 4), st.integers(1, 4))
def test_probabilities_are_near_those_of_every_hypothesis(seed: int, tracks: int, detections: int) -> None:
    """Belief propagation is approximate where pairs form loops, and leans to the sure side: a tenth is what it may be off."""
    rng = np.random.default_rng(seed)
    odds = np.exp(rng.normal(scale=3.0, size=(tracks, detections))) * (rng.random((tracks, detections)) < 0.7)
    got, want = marginals(odds), every_marginal(odds)
    assert np.abs(got - want).max() < 0.15
    assert np.abs(got - want).mean() < 0.05
    assert got.sum(axis=1).max() <= 1.0 + 1e-3
    assert got.sum(axis=0).max() <= 1.0 + 1e-2


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), st.integers(1, 5))
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
