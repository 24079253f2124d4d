"""The filter's kernels against their plain twins."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from physics.motion import ballistic_acceleration
from sensors.filter import burnouts_s, columns_of, combined, gate_all, innovation, predict, predict_all, spread_of, update
from sensors.flight import STEP_S
from sensors.motion import BOOST, COAST, MODELS, REENTRY, STAGING
from sensors.products import square_root
from tests.oracles_sensors import across, schmidt_update
from tests.physics.population import population
from tests.plain import both_ways

Float = NDArray[np.float64]
Track = tuple[Float, Float, Float, Float]
SENSORS = 2
COLUMNS = 3 * SENSORS + 3  # of the covariance with the biases: three a sensor, and the offset's
OFFSET = [COLUMNS - 3, COLUMNS - 2, COLUMNS - 1]


def track(seed: int) -> Track:
    """A track in space (9 states, all models but those of the air awake) that two sensors' biases and an offset have got into."""
    rng = np.random.default_rng(seed)
    x = np.concatenate([np.array([-3.1e6, 4.0e6, 4.1e6]) * 1.02, rng.normal(scale=800.0, size=3), rng.normal(scale=20.0, size=3)])
    scale = np.array([300.0] * 3 + [30.0] * 3 + [10.0] * 3)
    covs, crosses = [], []
    for _ in range(MODELS):
        root = rng.normal(size=(9, 9 + COLUMNS)) * scale[:, None]
        covs.append(root @ root.T + np.diag(scale**2) * 0.1)
        crosses.append(root[:, 9:])  # the last columns are the unit biases themselves
    mu = np.zeros(MODELS)
    mu[BOOST], mu[COAST] = 0.6, 0.4
    return x + rng.normal(size=(MODELS, 9)), np.stack(covs), np.stack(crosses), mu


def alone(bias: Float) -> Float:
    """What a sensor's biases (..., 3, 3) add to a detection that is of one object: no offset."""
    return np.concatenate([bias, np.zeros_like(bias)], axis=-1)


def one(track: Track, z: Float, information: Float, bias: Float, sensor: int) -> Track:
    return update(*track, 0, np.ones(1), z[None], np.ascontiguousarray(information)[None], bias[None], sensor, 0.0)


def columns(sensor: int) -> list[int]:
    return [3 * sensor, 3 * sensor + 1, 3 * sensor + 2]


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), st.integers(0, SENSORS - 1))
@both_ways(update)
def test_an_update_with_a_position_is_that_of_the_augmented_state(seed: int, sensor: int) -> None:
    rng = np.random.default_rng(seed)
    x, cov, cross, mu = track(seed)
    root, bias = rng.normal(size=(3, 3)) * 100.0, rng.normal(size=(3, 3)) * 80.0
    noise = root @ root.T + np.eye(3) * 100.0
    z = x[0, :3] + rng.normal(scale=300.0, size=3)
    got, got_cov, got_cross, got_mu = one((x, cov, cross, mu), z, np.asarray(np.linalg.inv(noise)), alone(bias), sensor)
    likes = np.full(MODELS, -np.inf)
    for j in (BOOST, COAST):
        want, want_cov, want_cross, likes[j] = schmidt_update(x[j], cov[j], cross[j], np.eye(3), z, noise, bias, columns(sensor))
        np.testing.assert_allclose(got[j], want, rtol=0, atol=1e-3)
        np.testing.assert_allclose(got_cov[j], want_cov, rtol=1e-6, atol=1e-6 * np.abs(want_cov).max())
        np.testing.assert_allclose(got_cross[j], want_cross, rtol=1e-6, atol=1e-6 * np.abs(want_cross).max())
    want_mu = mu * np.exp(likes - likes.max())
    np.testing.assert_allclose(got_mu, want_mu / want_mu.sum(), rtol=1e-3, atol=1e-5)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6))
@both_ways(update)
def test_an_update_with_a_direction_is_that_of_two_measured_offsets(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, cov, cross, mu = track(seed)
    sight = rng.normal(size=3)
    sight /= np.linalg.norm(sight)
    rows = across(sight)
    information = rows.T @ rows / 900.0**2
    bias = np.column_stack([np.zeros(3), 200.0 * rows.T])
    z = x[0, :3] + rng.normal(scale=500.0, size=3) + 5e4 * sight  # anywhere along the sight: it must not matter
    got, got_cov, got_cross, _ = one((x, cov, cross, mu), z, information, alone(bias), 1)
    want, want_cov, want_cross, _ = schmidt_update(x[0], cov[0], cross[0], rows, z, 900.0**2 * np.eye(2), bias, columns(1))
    np.testing.assert_allclose(got[0], want, rtol=0, atol=1e-2)
    np.testing.assert_allclose(got_cov[0], want_cov, rtol=1e-5, atol=1e-5 * np.abs(want_cov).max())
    np.testing.assert_allclose(got_cross[0], want_cross, rtol=1e-5, atol=1e-5 * np.abs(want_cross).max())


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), st.integers(0, SENSORS - 1))
@both_ways(update)
def test_an_update_with_a_merged_detection_considers_the_offset_too(seed: int, sensor: int) -> None:
    rng = np.random.default_rng(seed)
    x, cov, cross, mu = track(seed)
    bias = rng.normal(size=(3, 6)) * np.repeat([30.0, 900.0], 3)
    z = x[0, :3] + rng.normal(scale=900.0, size=3)
    got, got_cov, got_cross, _ = one((x, cov, cross, mu), z, np.eye(3) / 200.0**2, bias, sensor)
    noise = 200.0**2 * np.eye(3)
    want, want_cov, want_cross, _ = schmidt_update(x[0], cov[0], cross[0], np.eye(3), z, noise, bias, columns(sensor) + OFFSET)
    np.testing.assert_allclose(got[0], want, rtol=0, atol=1e-3)
    np.testing.assert_allclose(got_cov[0], want_cov, rtol=1e-6, atol=1e-6 * np.abs(want_cov).max())
    np.testing.assert_allclose(got_cross[0], want_cross, rtol=1e-6, atol=1e-6 * np.abs(want_cross).max())


def test_a_stage_that_may_have_lit_widens_the_boost_only_where_it_is_likely() -> None:
    """A part in a hundred that thrust has just become any other outweighed all else that widens a boost."""
    x, cov, cross, mu = track(12)
    x[:], cov[:] = x[BOOST], cov[BOOST]
    cov[STAGING] *= 100.0

    def boost_after(staging: float) -> Float:
        mu[BOOST], mu[STAGING], mu[COAST] = 1.0 - staging, staging, 0.0
        after: Float = predict(x, cov, cross, mu, 1.0)[1][BOOST]
        return after

    np.testing.assert_array_equal(boost_after(0.01), boost_after(0.0))
    assert np.trace(boost_after(0.5)) > 2.0 * np.trace(boost_after(0.0))


def test_burnouts_come_as_often_as_those_of_a_population_at_each_thrust() -> None:
    """Within a factor of two from 20 to 90 m/s2: one in a minute, whatever the thrust, is far too many where it is weak."""
    edges = np.array([20.0, 30.0, 45.0, 65.0, 90.0])
    burnt, spent, sums = np.zeros(4), np.zeros(4), np.zeros(4)
    for flight in population(90, 21):
        rows = flight.states[int(30.0 / STEP_S) : int(flight.burnout_s / STEP_S)]
        force = np.diff(rows[:, 3:], axis=0) / STEP_S - np.array([ballistic_acceleration(row) for row in rows[:-1]])
        thrust = np.sqrt((force**2).sum(axis=1))
        ends = np.append(thrust[1:] < 0.8 * thrust[:-1], True)  # of a stage, and of the last
        for band, size, end in zip(np.searchsorted(edges, thrust) - 1, thrust, ends, strict=True):
            if 0 <= band < 4:
                burnt[band] += end
                spent[band] += STEP_S
                sums[band] += STEP_S * size
    assert burnt.min() >= 3
    for often, thrust in zip(burnt / spent, sums / spent, strict=True):
        assert 0.5 < burnouts_s(thrust**2, 0.0) / often < 2.0


@both_ways(burnouts_s)
def test_where_thrust_is_not_known_a_burnout_is_as_likely_as_on_the_mean() -> None:
    """One line of sight makes 1,000 m/s2 of it, give or take 700: burnout was held likely, and headings were 10 sigma off."""
    known, halfway, unknown = (burnouts_s(900.0, doubt) for doubt in (0.0, 450.0, 900.0))
    assert unknown == pytest.approx(1.0 / 60.0)
    assert halfway == pytest.approx(0.5 * (known + unknown))
    assert known < 0.3 * unknown
    for none in (0.0, 1000.0**2):
        assert burnouts_s(none, 1.0) == pytest.approx(1.0 / 60.0)


def test_an_offset_fades_and_a_bias_stays() -> None:
    x, cov, cross, _ = track(10)
    _, _, after, _ = predict(x, cov, cross, np.eye(MODELS)[COAST], 10.0)
    before = cross[COAST]
    faded = np.abs(before[3:6, OFFSET].T) * np.exp(-1.0)
    np.testing.assert_allclose(np.abs(after[COAST, 3:6, OFFSET]), faded, rtol=0.05, atol=2.0)
    np.testing.assert_allclose(after[COAST, 3:6, :3], before[3:6, :3], rtol=0.05, atol=2.0)


def test_what_shines_only_while_it_burns_tells_that_it_burns() -> None:
    x, cov, cross, mu = track(11)
    cross = np.zeros_like(cross)
    x[:], cov[:] = x[0], cov[0]  # both models alike: nothing but the light tells them apart
    for dark, share in ((0.0, 0.6), (np.log(1e-3), 0.6 / (0.6 + 0.4e-3))):
        bias, at = np.zeros((1, 3, 6)), x[:1, :3]
        after = update(x, cov, cross, mu, 0, np.ones(1), at, np.eye(3)[None] / 1e4, bias, 0, dark)[3]
        assert abs(after[BOOST] - share) < 1e-9


def test_burnt_out_models_do_not_leak_into_a_long_coast() -> None:
    """The least probabilities, mixed in every second, added 1e-6 m2/s2 a second to the velocity: five times all else."""
    x, cov, cross, _ = track(12)
    mu, cross = np.full(MODELS, 1e-15), np.zeros_like(cross)
    mu[COAST] = 1.0
    x[COAST, 3:6] = 0.0
    speed = np.linalg.norm(x[COAST, :3]) * 1.1e-3
    x[COAST, 3:6] = speed * np.array([4.0, 3.1, 0.0]) / 5.06  # across the radius: it stays out of the air
    cov[COAST] = np.diag([10.0**2] * 3 + [1e-3**2] * 3 + [1e-6] * 3)
    for _ in range(100):
        x, cov, cross, mu = predict(x, cov, cross, mu, 1.0)
        x[:COAST, :6] = x[COAST, :6]
    alone = 10.0**2 * 1e-5 + 100.0 * 1e-6  # what gravity's gradient makes of the position, and a tenth of what leaked
    assert np.trace(cov[COAST, 3:6, 3:6]) < 3.0 * (1e-3**2 + alone)


def test_no_number_of_detections_averages_a_bias_out() -> None:
    """A thousand detections with noise of 10 m and a bias of 100 m an axis leave 100 m an axis."""
    x, cov, cross, mu = track(2)
    cross = np.zeros_like(cross)
    states = (x, cov, cross, mu)
    for _ in range(1000):
        states = one(states, x[0, :3], np.eye(3) / 10.0**2, alone(100.0 * np.eye(3)), 0)
    np.testing.assert_allclose(np.sqrt(np.diag(states[1][BOOST])[:3]), 100.0, rtol=0.01)


def test_an_ambiguous_choice_stays_wide_and_keeps_its_estimate() -> None:
    """A track follows the chosen one of two detections; its covariance is the mean square about that over both."""
    x, cov, cross, mu = track(4)
    mu = np.eye(MODELS)[COAST]
    zs = np.stack([x[COAST, :3] + 300.0, x[COAST, :3] - 300.0])
    information, bias = np.stack([np.eye(3) / 50.0**2] * 2), np.zeros((2, 3, 6))
    sure = update(x, cov, cross, mu, 0, np.array([1.0, 0.0]), zs, information, bias, 0, 0.0)
    unsure = update(x, cov, cross, mu, 0, np.array([0.6, 0.4]), zs, information, bias, 0, 0.0)
    other = update(x, cov, cross, mu, 1, np.array([0.0, 1.0]), zs, information, bias, 0, 0.0)
    np.testing.assert_allclose(unsure[0][COAST], sure[0][COAST])
    d = other[0][COAST] - sure[0][COAST]
    np.testing.assert_allclose(unsure[1][COAST], sure[1][COAST] + 0.4 * np.outer(d, d), rtol=1e-9, atol=1e-6)


def test_prediction_keeps_covariances_symmetric_and_positive_with_the_biases_in_them() -> None:
    x, cov, cross, mu = track(3)
    for _ in range(200):
        x, cov, cross, mu = predict(x, cov, cross, mu, 0.5)
        for j in np.flatnonzero(mu):
            whole = np.block([[cov[j], cross[j]], [cross[j].T, np.eye(COLUMNS)]])
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


@both_ways(combined)
def test_the_combined_estimate_covers_every_model() -> None:
    x, cov, _, mu = track(6)
    mean, spread = combined(x, cov, mu)
    np.testing.assert_allclose(mean, mu @ x[:, :6])
    within = np.einsum("j,jab->ab", mu, cov[:, :6, :6])
    assert np.linalg.eigvalsh(spread - within).min() > -1e-6


@both_ways(gate_all, innovation, spread_of, columns_of)
def test_the_gate_leaves_out_what_is_far_and_prices_what_is_near() -> None:
    x, cov, cross, mu = track(7)
    information, bias = np.stack([np.eye(3) / 100.0**2] * 2), alone(np.stack([30.0 * np.eye(3)] * 2))
    positions = np.stack([x[0, :3], x[0, :3] + 5e4])
    cost = gate_all(x[None], cov[None], cross[None], mu[None], positions, information, bias, 1, 0.0, 28.0, 30e3)
    assert np.isfinite(cost[0, 0])
    assert np.isinf(cost[0, 1])
    root, of = square_root(information[0]), columns_of(bias[0], 1, COLUMNS)
    likes = [innovation(x[j], spread_of(cov[j], cross[j], bias[0], of), positions[0], root)[1] for j in (BOOST, COAST)]
    np.testing.assert_allclose(cost[0, 0], -np.log(0.6 * np.exp(likes[0]) + 0.4 * np.exp(likes[1])), rtol=1e-9)


def test_a_direction_is_gated_whatever_its_distance() -> None:
    """A line of sight that passes through a track belongs to it, however far along the reference point lies."""
    x, cov, cross, mu = track(8)
    sight = np.array([0.0, 0.6, 0.8])
    information = (np.eye(3) - np.outer(sight, sight))[None] / 900.0**2
    bias = np.zeros((1, 3, 6))
    far = (x[0, :3] + 1e5 * sight)[None]
    cost = gate_all(x[None], cov[None], cross[None], mu[None], far, information, bias, 0, 0.0, 28.0, np.inf)
    assert np.isfinite(cost[0, 0])


@both_ways(predict)
def test_mixing_changes_no_mean_and_no_covariance_with_the_biases() -> None:
    """Over no time to speak of, position and velocity over all models stay, and so does what biases have to do with them."""
    x, cov, cross, mu = track(9)
    after_x, _, after_cross, after_mu = predict(x, cov, cross, mu, 1e-6)
    np.testing.assert_allclose(after_mu @ after_x[:, :6], mu @ x[:, :6], rtol=0, atol=0.01)
    total, after = (np.einsum("j,jab->ab", m, c[:, :6]) for m, c in ((mu, cross), (after_mu, after_cross)))
    np.testing.assert_allclose(after, total, atol=1e-3 * np.abs(total).max())


@both_ways(predict_all)
def test_many_tracks_are_each_predicted_as_one() -> None:
    tracks, dt_s = [track(seed) for seed in (20, 21, 22)], np.array([0.0, 0.5, 2.0])
    x, cov, cross, mu = (np.stack(each) for each in zip(*tracks, strict=True))
    together = predict_all(x, cov, cross, mu, dt_s)
    for i, one_track in enumerate(tracks):
        for told, alone_told in zip(together, predict(*one_track, dt_s[i]), strict=True):
            np.testing.assert_allclose(told[i], alone_told, rtol=1e-12)
