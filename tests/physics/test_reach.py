"""How far energy carries: held against the minimum-energy flight of a range, whose inverse it is."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from physics.constants import EARTH_MEAN_RADIUS_M
from physics.reach import reach_m, reaches_m
from sensors.kepler import minimum_energy
from tests.plain import both_ways


@pytest.mark.parametrize("range_km", [350.0, 1000.0, 3000.0, 5500.0, 10_000.0, 19_000.0])
@both_ways(reach_m)
def test_the_reach_of_a_speed_is_the_range_of_the_minimum_energy_flight_that_has_it(range_km: float) -> None:
    speed_m_s = minimum_energy(range_km * 1e3).speed_m_s
    assert reach_m(EARTH_MEAN_RADIUS_M, speed_m_s) == pytest.approx(range_km * 1e3, rel=1e-6)


def test_what_leaves_the_earth_reaches_half_round_it_and_what_is_not_a_number_nowhere() -> None:
    assert reach_m(EARTH_MEAN_RADIUS_M, 12e3) == math.pi * EARTH_MEAN_RADIUS_M
    assert math.isnan(reach_m(EARTH_MEAN_RADIUS_M, math.nan))
    assert all(map(math.isnan, reaches_m(np.full(6, math.nan), np.eye(6), 2.0)))
    assert all(map(math.isnan, reaches_m(np.zeros(6), np.eye(6), 2.0)))


@given(st.floats(300.0, 7500.0), st.floats(0.0, 300.0), st.floats(0.0, 2.0))
@both_ways(reaches_m)
def test_reach_is_bracketed_by_the_sigmas_along_the_path_alone(speed_m_s: float, along: float, across: float) -> None:
    state = np.array([EARTH_MEAN_RADIUS_M + 2e5, 0.0, 0.0, 0.0, speed_m_s, 0.0])
    cov = np.diag([1e6, 1e6, 1e6, (along * across) ** 2, along**2, 5e3**2])
    least, most = reaches_m(state, cov, 2.0)
    for reach, speed in ((least, max(speed_m_s - 2.0 * along, 0.0)), (most, speed_m_s + 2.0 * along)):
        assert reach == pytest.approx(reach_m(EARTH_MEAN_RADIUS_M + 2e5, speed), rel=1e-9)
