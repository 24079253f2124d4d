"""Frames against pymap3d, an independent implementation."""

from __future__ import annotations

import math

import numpy as np
import pymap3d
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from physics.frames import bearing_rad, ecef_to_geodetic, enu_matrix, geodetic_to_ecef, ground_distance_m, range_az_el

lats = st.floats(-89.9, 89.9)
lons = st.floats(-179.9, 179.9)
alts = st.floats(-5e3, 3.6e7)


@settings(deadline=None)
@given(lats, lons, alts)
def test_geodetic_to_ecef_agrees_with_pymap3d(lat: float, lon: float, alt: float) -> None:
    ours = geodetic_to_ecef(math.radians(lat), math.radians(lon), alt)
    np.testing.assert_allclose(ours, pymap3d.geodetic2ecef(lat, lon, alt), rtol=0, atol=1e-6)


@settings(deadline=None)
@given(lats, lons, alts)
def test_ecef_to_geodetic_undoes_it(lat: float, lon: float, alt: float) -> None:
    back = ecef_to_geodetic(geodetic_to_ecef(math.radians(lat), math.radians(lon), alt))
    np.testing.assert_allclose(np.degrees(back[:2]), [lat, lon], rtol=0, atol=1e-9)
    assert back[2] == pytest.approx(alt, abs=1e-5)


@settings(deadline=None)
@given(st.floats(-80.0, 80.0), lons, st.floats(-1.0, 1.0), st.floats(-1.0, 1.0), st.floats(1e3, 1e6))
def test_range_azimuth_elevation_agree_with_pymap3d(lat: float, lon: float, dlat: float, dlon: float, alt: float) -> None:
    site = geodetic_to_ecef(math.radians(lat), math.radians(lon), 100.0)
    point = geodetic_to_ecef(math.radians(lat + dlat), math.radians(lon + dlon), alt)
    distance, az, el = range_az_el(site, enu_matrix(math.radians(lat), math.radians(lon)), point)
    az_ref, el_ref, distance_ref = pymap3d.geodetic2aer(lat + dlat, lon + dlon, alt, lat, lon, 100.0)
    assert distance == pytest.approx(distance_ref, abs=1e-3)
    assert math.degrees(el) == pytest.approx(el_ref, abs=1e-6)
    turn = math.radians(float(az_ref)) - az
    assert abs(math.sin(turn / 2.0)) * math.cos(el) < 1e-6


@settings(deadline=None)
@given(st.floats(-60.0, 60.0), st.floats(-60.0, 60.0), st.floats(-60.0, 60.0), st.floats(-60.0, 60.0))
def test_ground_distance_is_within_its_stated_error(lat1: float, lon1: float, lat2: float, lon2: float) -> None:
    from pymap3d.vincenty import vdist

    reference, _ = vdist(lat1, lon1, lat2, lon2)
    ours = ground_distance_m(*map(math.radians, (lat1, lon1, lat2, lon2)))
    assert ours == pytest.approx(float(reference), rel=0.0057, abs=1.0)


def test_bearings_follow_the_compass() -> None:
    one = math.radians(1.0)
    for bearing, (dlat, dlon) in {0.0: (one, 0.0), 90.0: (0.0, one), 180.0: (-one, 0.0), 270.0: (0.0, -one)}.items():
        assert math.degrees(bearing_rad(0.0, 0.0, dlat, dlon)) == pytest.approx(bearing, abs=1e-9)
