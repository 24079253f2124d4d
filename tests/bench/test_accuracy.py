"""Accuracy measures against their definitions, worked by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.accuracy import gospa, nees


def test_nees_of_errors_drawn_from_their_covariance_is_one() -> None:
    rng = np.random.default_rng(0)
    root = rng.normal(size=(6, 6))
    cov = root @ root.T + np.eye(6)
    errors = rng.multivariate_normal(np.zeros(6), cov, size=3000)
    assert np.mean(nees(errors, np.tile(cov, (3000, 1, 1)))) == pytest.approx(1.0, abs=0.05)


def test_gospa_of_the_papers_cases() -> None:
    """p = 2, alpha = 2: an exact match costs nothing; each missed or false object half the cut-off squared."""
    assert gospa(np.zeros((1, 1)), 10.0) == 0.0
    assert gospa(np.array([[3.0]]), 10.0) == pytest.approx(3.0)
    assert gospa(np.zeros((1, 0)), 10.0) == pytest.approx(np.sqrt(50.0))
    assert gospa(np.zeros((0, 2)), 10.0) == pytest.approx(10.0)
    assert gospa(np.array([[50.0]]), 10.0) == pytest.approx(10.0)  # too far: one missed and one false
    assert gospa(np.array([[1.0, 9.0], [9.0, 2.0]]), 10.0) == pytest.approx(np.sqrt(5.0))


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 4), st.integers(0, 4), st.integers(0, 1000))
def test_gospa_is_the_least_over_all_assignments(n: int, m: int, seed: int) -> None:
    from itertools import permutations

    cutoff, distances = 10.0, np.random.default_rng(seed).uniform(0.0, 15.0, size=(n, m))
    wide = distances if n <= m else distances.T
    best = min(
        sum(min(wide[i, j], cutoff) ** 2 if wide[i, j] < cutoff else cutoff**2 for i, j in enumerate(order))
        + (wide.shape[1] - wide.shape[0]) * cutoff**2 / 2.0
        for order in permutations(range(wide.shape[1]), wide.shape[0])
    )
    assert gospa(distances, cutoff) == pytest.approx(np.sqrt(best))
