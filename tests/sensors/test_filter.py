"""The filter's kernels against their plain twins, and as compiled and uncompiled."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from sensors.filter import COAST, combined, gate_all, innovation, predict, square_root, update
from tests.oracles_sensors import direction_update, kalman_update

Float = NDArray[np.float64]


def track(seed: int) -> tuple[Float, Float, Float]:
    rng = np.random.default_rng(seed)
    x = np.concatenate([[-3.1e6, 4.0e6, 4.1e6], rng.normal(scale=800.0, size=3), rng.normal(scale=20.0, size=3)])
    scale = np.array([300.0] * 3 + [30.0] * 3 + [10.0] * 3)
    covs = []
    for _ in range(2):
        root = rng.normal(size=(9, 9)) * scale[:, None]
        covs.append(root @ root.T + np.diag(scale**2) * 0.1)
    return np.stack([x, x + rng.normal(size=9)]), np.stack(covs), np.array([0.6, 0.4])


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6))
def test_an_update_with_a_position_is_the_textbooks(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, cov, mu = track(seed)
    root = rng.normal(size=(3, 3)) * 100.0
    noise = root @ root.T + np.eye(3) * 100.0
    z = x[0, :3] + rng.normal(scale=300.0, size=3)
    got, got_cov, got_mu = update(x, cov, mu, z, np.asarray(np.linalg.inv(noise), dtype=np.float64))
    likes = []
    for j in range(2):
        want, want_cov, like = kalman_update(x[j], cov[j], z, noise)
        np.testing.assert_allclose(got[j], want, rtol=0, atol=1e-4)
        np.testing.assert_allclose(got_cov[j], want_cov, rtol=1e-6, atol=1e-6 * np.abs(want_cov).max())
        likes.append(like)
    want_mu = mu * np.exp(np.array(likes) - max(likes))
    np.testing.assert_allclose(got_mu, np.maximum(want_mu, 1e-6) / np.maximum(want_mu, 1e-6).sum(), rtol=1e-3, atol=1e-5)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6))
def test_an_update_with_a_direction_is_the_two_row_textbooks(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, cov, mu = track(seed)
    sight = rng.normal(size=3)
    sight /= np.linalg.norm(sight)
    information = (np.eye(3) - np.outer(sight, sight)) / 900.0**2
    z = x[0, :3] + rng.normal(scale=500.0, size=3) + 5e4 * sight  # anywhere along the sight: it must not matter
    got, got_cov, _ = update(x, cov, mu, z, information)
    want, want_cov = direction_update(x[0], cov[0], z, sight, 900.0)
    np.testing.assert_allclose(got[0], want, rtol=0, atol=1e-2)
    np.testing.assert_allclose(got_cov[0], want_cov, rtol=1e-5, atol=1e-5 * np.abs(want_cov).max())


def test_prediction_keeps_covariances_symmetric_and_positive() -> None:
    x, cov, mu = track(3)
    for _ in range(200):
        x, cov, mu = predict(x, cov, mu, 0.5)
        assert np.linalg.eigvalsh(cov[0]).min() > 0.0
        np.testing.assert_array_equal(cov[0], cov[0].T)
    assert mu.sum() == 1.0 or abs(mu.sum() - 1.0) < 1e-12


def test_coast_has_no_thrust() -> None:
    x, _, _ = predict(*track(4), 1.0)
    assert np.abs(x[COAST, 6:]).max() == 0.0


def test_no_time_changes_nothing() -> None:
    for before, after in zip(track(5), predict(*track(5), 0.0), strict=True):
        np.testing.assert_array_equal(before, after)


def test_the_combined_estimate_covers_both_models() -> None:
    x, cov, mu = track(6)
    mean, spread = combined(x, cov, mu)
    np.testing.assert_allclose(mean, mu[0] * x[0, :6] + mu[1] * x[1, :6])
    within = mu[0] * cov[0, :6, :6] + mu[1] * cov[1, :6, :6]
    assert np.linalg.eigvalsh(spread - within).min() > -1e-6


def test_the_gate_leaves_out_what_is_far_and_prices_what_is_near() -> None:
    x, cov, mu = track(7)
    information = np.stack([np.eye(3) / 100.0**2] * 2)
    positions = np.stack([x[0, :3], x[0, :3] + 5e4])
    cost = gate_all(x[None], cov[None], mu[None], positions, information, 28.0, 30e3)
    assert np.isfinite(cost[0, 0])
    assert np.isinf(cost[0, 1])
    _, like = innovation(x[0], cov[0], positions[0], square_root(information[0]))
    assert cost[0, 0] >= -like - 50.0


def test_a_direction_is_gated_whatever_its_distance() -> None:
    """A line of sight that passes through a track belongs to it, however far along the reference point lies."""
    x, cov, mu = track(8)
    sight = np.array([0.0, 0.6, 0.8])
    information = (np.eye(3) - np.outer(sight, sight))[None] / 900.0**2
    cost = gate_all(x[None], cov[None], mu[None], (x[0, :3] + 1e5 * sight)[None], information, 28.0, np.inf)
    assert np.isfinite(cost[0, 0])
