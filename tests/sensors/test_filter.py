"""The filter's kernels against their plain twins."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from sensors.filter import combined, gate_all, innovation, predict, spread_of, square_root, update
from sensors.motion import BOOST, COAST, MODELS, REENTRY
from tests.oracles_sensors import across, schmidt_update

Float = NDArray[np.float64]
Track = tuple[Float, Float, Float, Float]
SENSORS = 2


def track(seed: int) -> Track:
    """A track in space (9 states, all models but those of the air awake) that two sensors' biases have got into."""
    rng = np.random.default_rng(seed)
    x = np.concatenate([np.array([-3.1e6, 4.0e6, 4.1e6]) * 1.02, rng.normal(scale=800.0, size=3), rng.normal(scale=20.0, size=3)])
    scale = np.array([300.0] * 3 + [30.0] * 3 + [10.0] * 3)
    covs, crosses = [], []
    for _ in range(MODELS):
        root = rng.normal(size=(9, 9 + 3 * SENSORS)) * scale[:, None]
        covs.append(root @ root.T + np.diag(scale**2) * 0.1)
        crosses.append(root[:, 9:])  # the last columns are the unit biases themselves
    mu = np.zeros(MODELS)
    mu[BOOST], mu[COAST] = 0.6, 0.4
    return x + rng.normal(size=(MODELS, 9)), np.stack(covs), np.stack(crosses), mu


def one(track: Track, z: Float, information: Float, bias: Float, sensor: int) -> Track:
    information, bias = np.ascontiguousarray(information), np.ascontiguousarray(bias)
    return update(*track, 0, np.ones(1), z[None], information[None], bias[None], sensor)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), st.integers(0, SENSORS - 1))
def test_an_update_with_a_position_is_that_of_the_augmented_state(seed: int, sensor: int) -> None:
    rng = np.random.default_rng(seed)
    x, cov, cross, mu = track(seed)
    root, bias = rng.normal(size=(3, 3)) * 100.0, rng.normal(size=(3, 3)) * 80.0
    noise = root @ root.T + np.eye(3) * 100.0
    z = x[0, :3] + rng.normal(scale=300.0, size=3)
    got, got_cov, got_cross, got_mu = one((x, cov, cross, mu), z, np.asarray(np.linalg.inv(noise)), bias, sensor)
    likes = np.full(MODELS, -np.inf)
    for j in (BOOST, COAST):
        want, want_cov, want_cross, likes[j] = schmidt_update(x[j], cov[j], cross[j], np.eye(3), z, noise, bias, 3 * sensor)
        np.testing.assert_allclose(got[j], want, rtol=0, atol=1e-3)
        np.testing.assert_allclose(got_cov[j], want_cov, rtol=1e-6, atol=1e-6 * np.abs(want_cov).max())
        np.testing.assert_allclose(got_cross[j], want_cross, rtol=1e-6, atol=1e-6 * np.abs(want_cross).max())
    want_mu = mu * np.exp(likes - likes.max())
    np.testing.assert_allclose(got_mu, want_mu / want_mu.sum(), rtol=1e-3, atol=1e-5)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6))
def test_an_update_with_a_direction_is_that_of_two_measured_offsets(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, cov, cross, mu = track(seed)
    sight = rng.normal(size=3)
    sight /= np.linalg.norm(sight)
    rows = across(sight)
    information = rows.T @ rows / 900.0**2
    bias = np.column_stack([np.zeros(3), 200.0 * rows.T])
    z = x[0, :3] + rng.normal(scale=500.0, size=3) + 5e4 * sight  # anywhere along the sight: it must not matter
    got, got_cov, got_cross, _ = one((x, cov, cross, mu), z, information, bias, 1)
    want, want_cov, want_cross, _ = schmidt_update(x[0], cov[0], cross[0], rows, z, 900.0**2 * np.eye(2), bias, 3)
    np.testing.assert_allclose(got[0], want, rtol=0, atol=1e-2)
    np.testing.assert_allclose(got_cov[0], want_cov, rtol=1e-5, atol=1e-5 * np.abs(want_cov).max())
    np.testing.assert_allclose(got_cross[0], want_cross, rtol=1e-5, atol=1e-5 * np.abs(want_cross).max())


def test_no_number_of_detections_averages_a_bias_out() -> None:
    """A thousand detections with noise of 10 m and a bias of 100 m an axis leave 100 m an axis."""
    x, cov, cross, mu = track(2)
    cross = np.zeros_like(cross)
    states = (x, cov, cross, mu)
    for _ in range(1000):
        states = one(states, x[0, :3], np.eye(3) / 10.0**2, 100.0 * np.eye(3), 0)
    np.testing.assert_allclose(np.sqrt(np.diag(states[1][BOOST])[:3]), 100.0, rtol=0.01)


def test_an_ambiguous_choice_stays_wide_and_keeps_its_estimate() -> None:
    """A track follows the chosen one of two detections; its covariance is the mean square about that over both."""
    x, cov, cross, mu = track(4)
    mu = np.eye(MODELS)[COAST]
    zs = np.stack([x[COAST, :3] + 300.0, x[COAST, :3] - 300.0])
    information, bias = np.stack([np.eye(3) / 50.0**2] * 2), np.zeros((2, 3, 3))
    sure = update(x, cov, cross, mu, 0, np.array([1.0, 0.0]), zs, information, bias, 0)
    unsure = update(x, cov, cross, mu, 0, np.array([0.6, 0.4]), zs, information, bias, 0)
    other = update(x, cov, cross, mu, 1, np.array([0.0, 1.0]), zs, information, bias, 0)
    np.testing.assert_allclose(unsure[0][COAST], sure[0][COAST])
    d = other[0][COAST] - sure[0][COAST]
    np.testing.assert_allclose(unsure[1][COAST], sure[1][COAST] + 0.4 * np.outer(d, d), rtol=1e-9, atol=1e-6)


def test_prediction_keeps_covariances_symmetric_and_positive_with_the_biases_in_them() -> None:
    x, cov, cross, mu = track(3)
    for _ in range(200):
        x, cov, cross, mu = predict(x, cov, cross, mu, 0.5)
        for j in np.flatnonzero(mu):
            whole = np.block([[cov[j], cross[j]], [cross[j].T, np.eye(3 * SENSORS)]])
            assert np.linalg.eigvalsh(whole).min() > -1e-9
            np.testing.assert_array_equal(cov[j], cov[j].T)
    assert abs(mu.sum() - 1.0) < 1e-12


def test_coast_has_no_force_and_no_re_entry_is_awake_in_space() -> None:
    x, _, _, mu = predict(*track(4), 1.0)
    assert np.abs(x[COAST, 6:]).max() == 0.0
    assert mu[REENTRY] == 0.0


def test_no_time_changes_nothing() -> None:
    for before, after in zip(track(5), predict(*track(5), 0.0), strict=True):
        np.testing.assert_array_equal(before, after)


def test_the_combined_estimate_covers_every_model() -> None:
    x, cov, _, mu = track(6)
    mean, spread = combined(x, cov, mu)
    np.testing.assert_allclose(mean, mu @ x[:, :6])
    within = np.einsum("j,jab->ab", mu, cov[:, :6, :6])
    assert np.linalg.eigvalsh(spread - within).min() > -1e-6


def test_the_gate_leaves_out_what_is_far_and_prices_what_is_near() -> None:
    x, cov, cross, mu = track(7)
    information, bias = np.stack([np.eye(3) / 100.0**2] * 2), np.stack([30.0 * np.eye(3)] * 2)
    positions = np.stack([x[0, :3], x[0, :3] + 5e4])
    cost = gate_all(x[None], cov[None], cross[None], mu[None], positions, information, bias, 1, 28.0, 30e3)
    assert np.isfinite(cost[0, 0])
    assert np.isinf(cost[0, 1])
    root = square_root(information[0])
    likes = [innovation(x[j], spread_of(cov[j], cross[j][:3, 3:], bias[0]), positions[0], root)[1] for j in (BOOST, COAST)]
    np.testing.assert_allclose(cost[0, 0], -np.log(0.6 * np.exp(likes[0]) + 0.4 * np.exp(likes[1])), rtol=1e-9)


def test_a_direction_is_gated_whatever_its_distance() -> None:
    """A line of sight that passes through a track belongs to it, however far along the reference point lies."""
    x, cov, cross, mu = track(8)
    sight = np.array([0.0, 0.6, 0.8])
    information = (np.eye(3) - np.outer(sight, sight))[None] / 900.0**2
    bias = np.zeros((1, 3, 3))
    far = (x[0, :3] + 1e5 * sight)[None]
    assert np.isfinite(gate_all(x[None], cov[None], cross[None], mu[None], far, information, bias, 0, 28.0, np.inf)[0, 0])


def test_mixing_changes_no_mean_and_no_covariance_with_the_biases() -> None:
    """Over no time to speak of, position and velocity over all models stay, and so does what biases have to do with them."""
    x, cov, cross, mu = track(9)
    after_x, _, after_cross, after_mu = predict(x, cov, cross, mu, 1e-6)
    np.testing.assert_allclose(after_mu @ after_x[:, :6], mu @ x[:, :6], rtol=0, atol=0.01)
    total, after = (np.einsum("j,jab->ab", m, c[:, :6]) for m, c in ((mu, cross), (after_mu, after_cross)))
    np.testing.assert_allclose(after, total, atol=1e-3 * np.abs(total).max())
