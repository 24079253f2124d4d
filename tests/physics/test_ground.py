"""Places on the ground: moves against the geodesic, ellipses against samples."""

from __future__ import annotations

import math

import numpy as np
import pymap3d
import pytest

from physics.frames import bearing_rad, ground_distance_m
from physics.ground import crossing, ellipse, ground_state, heading_deg, moved, spread_of
from tests.physics.states import shot
from tests.plain import both_ways


@pytest.mark.parametrize("lat_deg", [-89.9, -40.0, 0.0, 39.0, 80.0])
@pytest.mark.parametrize("far_m", [1.0, 1e4, 3e5, 1e6])
@both_ways(moved)
def test_a_move_goes_that_far_in_that_direction(lat_deg: float, far_m: float) -> None:
    for azimuth in np.radians([0.0, 45.0, 100.0, 200.0, 300.0]):
        lat, lon = math.radians(lat_deg), 3.1
        there = moved(lat, lon, far_m * math.sin(azimuth), far_m * math.cos(azimuth))
        assert ground_distance_m(lat, lon, *there) == pytest.approx(far_m, rel=2e-4)
        turned = (bearing_rad(lat, lon, *there) - azimuth + math.pi) % (2.0 * math.pi) - math.pi
        assert abs(turned) < math.radians(0.5)


@both_ways(ellipse)
def test_an_ellipse_holds_95_of_100_samples() -> None:
    cov = np.array([[9e6, 2e6], [2e6, 1e6]])
    east, north = np.random.default_rng(2).multivariate_normal([0.0, 0.0], cov, 100_000).T
    major, minor, bearing_deg = ellipse((cov[0, 0], cov[0, 1], cov[1, 1]))
    bearing = math.radians(bearing_deg)
    along, across = east * math.sin(bearing) + north * math.cos(bearing), east * math.cos(bearing) - north * math.sin(bearing)
    assert np.mean((along / major) ** 2 + (across / minor) ** 2 < 1.0) == pytest.approx(0.95, abs=0.003)
    assert along.std() > across.std()


@both_ways(crossing, spread_of)
def test_an_error_upwards_moves_where_a_path_crosses_the_ground() -> None:
    slope, steep_m_s = crossing(np.array([300.0, 400.0, -1000.0]))
    east, both, north = spread_of(slope, np.diag([0.0, 0.0, 100.0]))
    assert steep_m_s == -1000.0
    assert (east, both, north) == pytest.approx((9.0, 12.0, 16.0))
    assert crossing(np.array([300.0, 400.0, 0.0]))[1] == 30.0


@both_ways(heading_deg)
def test_the_heading_is_clockwise_from_north() -> None:
    assert heading_deg(shot(3000.0, 20.0, 80.0)) == pytest.approx(80.0)


@pytest.mark.parametrize("azimuth_deg", [0.0, 80.0, 250.0])
@both_ways(ground_state)
def test_a_state_seen_from_the_ground_is_that_of_pymap3d(azimuth_deg: float) -> None:
    state, root = shot(3000.0, 20.0, azimuth_deg), np.random.default_rng(1).normal(size=(6, 6))
    geodetic, v, cov = ground_state(state, root @ root.T)
    lat, lon, alt = pymap3d.ecef2geodetic(*state[:3])
    np.testing.assert_allclose([*np.degrees(geodetic[:2]), geodetic[2]], [lat, lon, alt], rtol=0, atol=1e-6)
    turn = np.array([pymap3d.ecef2enuv(*axis, lat, lon) for axis in np.eye(3)]).T
    np.testing.assert_allclose(v, turn @ state[3:], rtol=1e-9, atol=1e-9)
    both = np.kron(np.eye(2), turn) @ root
    np.testing.assert_allclose(cov, both @ both.T, rtol=1e-7, atol=1e-9)
