"""Accelerations and their slopes against the textbook's vectors."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from physics.motion import ballistic_acceleration, ballistic_gradient, drag_acceleration, drag_rate, free_fall
from tests import oracles_physics as oracle
from tests.physics.states import shot
from tests.plain import both_ways

shots = st.builds(
    shot,
    speed_m_s=st.floats(100.0, 7000.0),
    elevation_deg=st.floats(-90.0, 90.0),
    azimuth_deg=st.floats(0.0, 360.0),
    alt_m=st.floats(1e3, 80e3),
)


@settings(deadline=None)
@given(shots)
@both_ways(ballistic_acceleration, free_fall)
def test_free_fall_is_gravity_with_oblateness_on_a_turning_earth(state: np.ndarray) -> None:
    wanted = oracle.acceleration(state)
    np.testing.assert_allclose(ballistic_acceleration(state), wanted, rtol=0, atol=1e-7)
    np.testing.assert_allclose(free_fall(tuple(state)), wanted, rtol=0, atol=1e-7)


@settings(deadline=None)
@given(shots)
@both_ways(ballistic_gradient)
def test_the_gradient_is_the_difference_of_accelerations(state: np.ndarray) -> None:
    steps = np.eye(6)[:3] * 100.0
    slopes = np.array([(oracle.acceleration(state + d) - oracle.acceleration(state - d)) / 200.0 for d in steps]).T
    np.testing.assert_allclose(ballistic_gradient(state[:3]), slopes, rtol=0, atol=1e-5 * np.abs(slopes).max())


@settings(deadline=None)
@given(shots, st.floats(1e3, 2e4))
@both_ways(drag_acceleration, drag_rate)
def test_drag_is_against_the_velocity_by_the_air_and_the_coefficient(state: np.ndarray, beta_kg_m2: float) -> None:
    drag = oracle.drag(state, beta_kg_m2)
    np.testing.assert_allclose(drag_acceleration(state, beta_kg_m2), drag, rtol=2e-3, atol=1e-6)
    speed = float(np.linalg.norm(state[3:]))
    assert -drag_rate(state, beta_kg_m2) == pytest.approx(float(np.linalg.norm(drag)) / speed, rel=2e-3, abs=1e-9)
