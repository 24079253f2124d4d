"""Frames against pymap3d, an independent implementation."""

from __future__ import annotations

import math

import numpy as np
import pymap3d
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pymap3d.vincenty import vdist

from physics.frames import (
    altitude_m,
    bearing_rad,
    ecef_to_geodetic,
    enu_matrix,
    geodetic_to_ecef,
    ground_distance_m,
    quick_altitude_m,
    range_az_el,
)
from tests.plain import both_ways

lats = st.floats(-89.9, 89.9)
lons = st.floats(-179.9, 179.9)
alts = st.floats(-5e3, 3.6e7)


@settings(deadline=None)
@given(lats, lons, alts)
@both_ways(geodetic_to_ecef)
def test_geodetic_to_ecef_agrees_with_pymap3d(lat: float, lon: float, alt: float) -> None:
    ours = geodetic_to_ecef(math.radians(lat), math.radians(lon), alt)
    np.testing.assert_allclose(ours, pymap3d.geodetic2ecef(lat, lon, alt), rtol=0, atol=1e-6)


@settings(deadline=None)
@given(lats, lons, alts)
@both_ways(ecef_to_geodetic)
def test_ecef_to_geodetic_undoes_it(lat: float, lon: float, alt: float) -> None:
    back = ecef_to_geodetic(geodetic_to_ecef(math.radians(lat), math.radians(lon), alt))
    np.testing.assert_allclose(np.degrees(back[:2]), [lat, lon], rtol=0, atol=1e-9)
    assert back[2] == pytest.approx(alt, abs=1e-5)


@settings(deadline=None)
@given(lats, lons, st.floats(0.0, 1e6))
@both_ways(altitude_m, quick_altitude_m)
def test_heights_agree_with_pymap3d_within_what_they_state(lat: float, lon: float, alt: float) -> None:
    point = np.array(pymap3d.geodetic2ecef(lat, lon, alt))
    assert altitude_m(point) == pytest.approx(alt, abs=1e-5)
    assert quick_altitude_m(point) == pytest.approx(alt, abs=0.6 if alt <= 100e3 else 5.0)


@settings(deadline=None)
@example(0.0, 0.0, 0.0, 1e-9, 1e3)
@given(st.floats(-80.0, 80.0), lons, st.floats(-1.0, 1.0), st.floats(-1.0, 1.0), st.floats(1e3, 1e6))
@both_ways(range_az_el, enu_matrix)
def test_range_azimuth_elevation_agree_with_pymap3d(lat: float, lon: float, dlat: float, dlon: float, alt: float) -> None:
    site = geodetic_to_ecef(math.radians(lat), math.radians(lon), 100.0)
    point = geodetic_to_ecef(math.radians(lat + dlat), math.radians(lon + dlon), alt)
    distance, az, el = range_az_el(site, enu_matrix(math.radians(lat), math.radians(lon)), point)
    az_ref, el_ref, distance_ref = pymap3d.geodetic2aer(lat + dlat, lon + dlon, alt, lat, lon, 100.0)
    assert distance == pytest.approx(distance_ref, abs=1e-3)
    snapped_deg = math.degrees(1.5e-3 / distance)  # pymap3d takes offsets of less than a millimetre for none
    assert math.degrees(el) == pytest.approx(el_ref, abs=1e-6 + snapped_deg)
    turn = math.radians(float(az_ref)) - az
    assert abs(math.sin(turn / 2.0)) * math.cos(el) < 1e-6


@settings(deadline=None)
@given(st.floats(-60.0, 60.0), st.floats(-60.0, 60.0), st.floats(-40.0, 40.0), st.floats(-40.0, 40.0))
@both_ways(ground_distance_m, bearing_rad)
def test_ground_distance_and_bearing_are_within_their_stated_errors(lat1: float, lon1: float, dlat: float, dlon: float) -> None:
    lat2, lon2 = max(-85.0, min(85.0, lat1 + dlat)), lon1 + dlon
    reference_m, reference_deg = (float(value) for value in vdist(lat1, lon1, lat2, lon2))
    points = [math.radians(value) for value in (lat1, lon1, lat2, lon2)]
    assert ground_distance_m(*points) == pytest.approx(reference_m, rel=2e-6, abs=0.01)
    if reference_m > 1e3:
        turn = bearing_rad(*points) - math.radians(reference_deg)
        assert abs(math.degrees(math.atan2(math.sin(turn), math.cos(turn)))) < 0.3


def test_ground_distance_is_finite_at_the_ends_of_the_earth() -> None:
    quarter = math.pi / 2.0
    assert ground_distance_m(0.6, 2.0, 0.6, 2.0) == 0.0
    assert ground_distance_m(quarter, 0.0, -quarter, 1.0) == pytest.approx(20_003_931.5, rel=3e-4)  # half a meridian
    assert ground_distance_m(0.0, 0.0, 0.0, math.pi) == pytest.approx(20_003_931.5, rel=3.4e-3)  # over a pole is shorter
    assert ground_distance_m(0.0, 0.0, 0.0, quarter) == pytest.approx(quarter * 6_378_137.0, rel=1e-12)  # along the equator


def test_bearings_follow_the_compass() -> None:
    one = math.radians(1.0)
    for bearing, (dlat, dlon) in {0.0: (one, 0.0), 90.0: (0.0, one), 180.0: (-one, 0.0), 270.0: (0.0, -one)}.items():
        assert math.degrees(bearing_rad(0.0, 0.0, dlat, dlon)) == pytest.approx(bearing, abs=1e-9)
