"""Free flight against an independent integrator, conserved quantities, and the known traps."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from physics.propagate import (
    propagate_cov_many,
    propagate_cov_one,
    propagate_many,
    propagate_one,
    transition,
)
from tests.oracles_physics import free_flight, jacobi
from tests.physics.states import shot
from tests.plain import both_ways

Float = NDArray[np.float64]


shots = st.builds(
    shot,
    speed_m_s=st.floats(500.0, 7000.0),
    elevation_deg=st.floats(5.0, 90.0),
    azimuth_deg=st.floats(0.0, 360.0),
    alt_m=st.floats(80e3, 900e3),
)


@settings(deadline=None, max_examples=25)
@given(shots, st.floats(-300.0, 600.0))
@both_ways(propagate_one, few=1)
def test_free_flight_agrees_with_an_independent_integrator_to_a_metre(state: Float, seconds: float) -> None:
    # Below the surface the field is stiffer than any flight meets: hold the comparison to where things fly.
    reference = free_flight(state, seconds)
    if np.linalg.norm(reference[:3]) > 6.3e6:
        assert np.linalg.norm(propagate_one(state, seconds)[:3] - reference[:3]) < 1.0


@settings(deadline=None, max_examples=50)
@given(shots)
def test_the_jacobi_integral_is_kept(state: Float) -> None:
    assert jacobi(propagate_one(state, 60.0)) == pytest.approx(jacobi(state), rel=1e-9)


@settings(deadline=None, max_examples=25)
@given(shots, st.floats(1.0, 120.0))
def test_flying_forth_and_back_returns(state: Float, seconds: float) -> None:
    back = propagate_one(propagate_one(state, seconds), -seconds)
    np.testing.assert_allclose(back, state, rtol=0, atol=0.1)


@settings(deadline=None, max_examples=15)
@given(shots, st.floats(-60.0, 120.0))
@both_ways(transition, few=1)
def test_the_transition_matrix_is_the_derivative_of_the_flight(state: Float, seconds: float) -> None:
    _, phi = transition(state, seconds)
    steps = np.array([10.0, 10.0, 10.0, 0.01, 0.01, 0.01])
    for i in range(6):
        change = np.zeros(6)
        change[i] = steps[i]
        column = (propagate_one(state + change, seconds) - propagate_one(state - change, seconds)) / (2.0 * steps[i])
        np.testing.assert_allclose(phi[:, i], column, rtol=2e-4, atol=2e-4 * np.abs(column).max())


def test_the_covariance_of_a_cloud_of_flights_is_the_one_predicted() -> None:
    rng = np.random.default_rng(1)
    state, cov = shot(), np.diag([100.0**2] * 3 + [5.0**2] * 3)
    cloud = propagate_many(rng.multivariate_normal(state, cov, size=4000), np.full(4000, 100.0))
    _, predicted = propagate_cov_one(state, cov, 100.0, 0.0)
    nees = np.einsum("ni,ij,nj->n", cloud - cloud.mean(axis=0), np.linalg.inv(predicted), cloud - cloud.mean(axis=0))
    assert nees.mean() / 6.0 == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize(("left_out", "known_m"), [("j2", 26.0), ("spin_rad_s", 726.0)])
def test_leaving_out_a_force_errs_by_the_known_amount(left_out: str, known_m: float) -> None:
    """At 100 km and 3 km/s, after 60 s: 26 m without J2, some 0.7 km without the Earth's turning, by the heading."""
    errors = []
    for azimuth_deg in range(0, 360, 30):
        state = shot(azimuth_deg=float(azimuth_deg))
        lacking = free_flight(state, 60.0, **{left_out: 0.0})
        errors.append(float(np.linalg.norm(propagate_one(state, 60.0)[:3] - lacking[:3])))
    assert min(errors) * 0.9 < known_m < max(errors) * 1.1


@pytest.mark.parametrize(("seconds", "published_m"), [(1.0, 4.7), (10.0, 474.0), (60.0, 16_900.0)])
def test_linear_extrapolation_errs_by_the_known_amount(seconds: float, published_m: float) -> None:
    """At 100 km and 3 km/s a straight line is off by 4.7 m, 474 m and 16.9 km: the reason for the ballistic model."""
    state = shot()
    straight = state[:3] + seconds * state[3:]
    error = np.linalg.norm(propagate_one(state, seconds)[:3] - straight)
    assert error == pytest.approx(published_m, rel=0.1)


@both_ways(propagate_many, propagate_cov_many)
def test_many_are_each_flown_as_one() -> None:
    states = np.stack([shot(azimuth_deg=a) for a in (0.0, 90.0, 200.0)])
    covs, dt, q = np.stack([np.eye(6) * k for k in (1.0, 2.0, 3.0)]), np.array([1.0, -5.0, 30.0]), np.array([0.0, 1.0, 2.0])
    got, got_covs = propagate_cov_many(states, covs, dt, q)
    np.testing.assert_array_equal(propagate_many(states, dt), [propagate_one(x, t) for x, t in zip(states, dt, strict=True)])
    for i in range(3):
        one, one_cov = propagate_cov_one(states[i], covs[i], dt[i], q[i])
        np.testing.assert_array_equal(got[i], one)
        np.testing.assert_array_equal(got_covs[i], one_cov)


def test_noise_widens_in_both_directions_of_time() -> None:
    state, cov = shot(), np.eye(6)
    for dt in (-20.0, 20.0):
        _, quiet = propagate_cov_one(state, cov, dt, 0.0)
        _, noisy = propagate_cov_one(state, cov, dt, 1.0)
        assert np.linalg.eigvalsh(noisy - quiet).min() > -1e-6
        assert np.trace(noisy) > np.trace(quiet)


@pytest.mark.parametrize("seconds", [20.0, -20.0])
@both_ways(propagate_cov_one, few=1)
def test_noise_is_white_acceleration_carried_along_the_flight(seconds: float) -> None:
    """Twin: the accelerations of 400 short spans, each carried by the transition matrix to the end and added up."""
    state, q, spans = shot(), 2.0, 400
    expected, width = np.zeros((6, 6)), seconds / spans
    for k in range(spans):
        _, phi = transition(propagate_one(state, (k + 0.5) * width), seconds - (k + 0.5) * width)
        expected += phi[:, 3:] @ phi[:, 3:].T * q * abs(width)
    _, got = propagate_cov_one(state, np.zeros((6, 6)), seconds, q)
    scale = np.sqrt(np.outer(np.diag(expected), np.diag(expected)))
    np.testing.assert_allclose(got / scale, expected / scale, rtol=0, atol=5e-3)


@pytest.mark.parametrize("seconds", [math.nan, math.inf, -math.inf, 1e9, -1e18])
def test_a_time_out_of_bounds_gives_nan_at_once(seconds: float) -> None:
    state, cov = propagate_cov_one(shot(), np.eye(6), seconds, 1.0)
    assert np.isnan(propagate_one(shot(), seconds)).all()
    assert np.isnan(state).all()
    assert np.isnan(cov).all()


def test_arguments_are_never_changed_and_may_be_read_only() -> None:
    state, cov = shot(), np.eye(6)
    for array in (state, cov):
        array.setflags(write=False)
    propagate_cov_one(state, cov, 10.0, 1.0)
