"""Radars: signal by the radar equation, Swerling I, accuracy by signal, looks by search and track, horizons, ships."""

from __future__ import annotations

import math

import numpy as np
import pytest
from msgspec.structs import replace
from scipy.stats import binomtest

from physics.frames import enu_matrix, geodetic_to_ecef, range_az_el
from sensors.instruments import Radar, Waypoint, sensor_catalogue
from sensors.radar import LOST_LOOKS, VERIFY_LOOKS, VERIFY_SHARE, RadarEye, apparent_elevation_rad, look, signal_to_noise
from tests.plain import both_ways


def radar(name: str) -> Radar:
    found = sensor_catalogue()[name]
    assert isinstance(found, Radar)
    return found


PINE = radar("Green Pine B 1")


def above(lat_deg: float, lon_deg: float, height_m: float) -> np.ndarray:
    return np.concatenate([geodetic_to_ecef(math.radians(lat_deg), math.radians(lon_deg), height_m), np.zeros(3)])


def test_a_square_metre_has_13_db_at_the_catalogues_range_and_a_sixteenth_at_twice_that() -> None:
    at, twice = signal_to_noise(PINE, np.array([1.0, 2.0]) * PINE.one_m2_km * 1e3, np.ones(2))
    assert 10.0 * math.log10(at) == pytest.approx(13.0)
    assert at / twice == pytest.approx(16.0)


@pytest.mark.parametrize("db", [6.0, 10.0, 13.0, 20.0])
def test_detection_follows_swerling_i(db: float) -> None:
    """Pd = Pfa^(1 / (1 + SNR)): Swerling 1960, as in Skolnik, Introduction to Radar Systems, 3rd edition, section 2.8."""
    eye = RadarEye(PINE, 1)
    state = above(39.2, 125.7, 60e3)[None]
    distance = np.linalg.norm(state[0, :3] - eye.site)
    snr = 10.0 ** (db / 10.0)
    rcs_m2 = np.array([snr / 10.0**1.3 * (distance / (PINE.one_m2_km * 1e3)) ** 4])
    rng = np.random.default_rng(1)
    hits = 0
    for _ in range(4000):
        eye._looks, eye._tracked[:] = 1, True
        hits += int(eye.powers(eye.geometry(state), rcs_m2, rng.random(1), np.ones(1, np.bool_))[0] > 0.0)
    assert binomtest(hits, 4000, PINE.false_alarm ** (1.0 / (1.0 + snr))).pvalue > 1e-3


def test_errors_halve_with_four_times_the_power_down_to_the_floor() -> None:
    sharp = replace(PINE, range_floor_m=0.0, angle_floor_mrad=0.0)
    one, four = RadarEye(sharp, 1).sigmas(np.array([20.0, 80.0]))
    np.testing.assert_allclose(one / four, 2.0)
    np.testing.assert_allclose(
        one, np.array([PINE.cell_m / math.sqrt(40.0), math.radians(PINE.beam_deg) / (1.6 * math.sqrt(40.0))])
    )
    np.testing.assert_allclose(
        RadarEye(PINE, 1).sigmas(np.array([1e12]))[0], np.array([PINE.range_floor_m, PINE.angle_floor_mrad / 1e3]), rtol=1e-4
    )


def test_a_new_object_waits_for_the_search_and_then_gets_short_looks_and_one_an_interval() -> None:
    eye = RadarEye(PINE, 1)
    state, sure, seen = above(39.2, 125.7, 60e3)[None], np.full(1, 1e-9), np.ones(1, np.bool_)
    every = range(40 * VERIFY_SHARE)
    instants = [k for k in every if eye.look() is not None and eye.powers(eye.geometry(state), np.ones(1), sure, seen)[0] > 0.0]
    first = instants[0]
    assert first % VERIFY_SHARE == 0
    assert first < PINE.search_s / PINE.track_s * VERIFY_SHARE
    quick = [first + k for k in range(VERIFY_LOOKS + 1)]
    assert instants[: len(quick)] == quick
    assert all(instant % VERIFY_SHARE == 0 for instant in instants[len(quick) :])
    assert np.diff(instants[len(quick) :]).max() == VERIFY_SHARE


def test_an_object_missed_too_often_has_to_be_searched_for_again() -> None:
    eye = RadarEye(PINE, 1)
    state, seen = above(39.2, 125.7, 60e3)[None], np.ones(1, np.bool_)
    for _ in range(20 * VERIFY_SHARE):
        if eye.look() is not None:
            eye.powers(eye.geometry(state), np.ones(1), np.full(1, 1e-9), seen)
    assert eye._tracked[0]
    for _ in range(LOST_LOOKS * VERIFY_SHARE):
        if eye.look() is not None:
            eye.powers(eye.geometry(state), np.ones(1), np.full(1, 1.0 - 1e-12), seen)
    assert not eye._tracked[0]


def test_nothing_is_seen_outside_the_face_the_range_or_under_the_horizon() -> None:
    eye = RadarEye(PINE, 4)
    states = np.stack([above(39.2, 125.7, 60e3), above(33.5, 127.0, 60e3), above(39.2, 125.7, 2e3), above(48.0, 127.0, 200e3)])
    assert eye.visible(eye.geometry(states)).tolist() == [True, False, False, False]


def test_nothing_is_seen_over_the_top_of_the_face() -> None:
    over = above(PINE.lat_deg, PINE.lon_deg, 300e3)[None]
    for el_max_deg, sees in ((85.0, False), (90.0, True)):
        eye = RadarEye(replace(PINE, el_max_deg=el_max_deg, az_min_deg=0.0, az_max_deg=360.0), 1)
        assert eye.visible(eye.geometry(over))[0] == sees


def test_a_ship_sails_to_its_last_waypoint_and_back() -> None:
    ship = replace(PINE, lat_deg=37.0, lon_deg=131.0, path=(Waypoint(lat_deg=38.0, lon_deg=131.0),), speed_kn=30.0)
    leg_s = 60.0 / 30.0 * 3600.0  # a degree of latitude is 60 nautical miles, but for the Earth's shape
    lat = [math.degrees(ship.place_at(share * leg_s)[0]) for share in (0.0, 0.5, 1.0, 1.5, 2.0)]
    np.testing.assert_allclose(lat, [37.0, 37.5, 38.0, 37.5, 37.0], atol=0.01)
    eye = RadarEye(ship, 0)
    before = eye.site.copy()
    eye.move_to(600.0)
    assert np.linalg.norm(eye.site - before) == pytest.approx(600.0 * 30.0 * 1852.0 / 3600.0, rel=0.01)


# Lowest visible altitude above Sunan at 0 and 3 degrees of elevation, without refraction, km.
@pytest.mark.parametrize(
    ("site", "lat_deg", "lon_deg", "at_0_km", "at_3_km"),
    [
        ("Seongju", 36.05, 128.22, 14, 36),
        ("Shimokoshikijima", 31.66, 129.71, 66, 115),
        ("Kyogamisaki", 35.767, 135.195, 67, 117),
        ("Sado", 38.08, 138.39, 98, 158),
        ("Shariki", 40.888, 140.338, 127, 196),
        ("Ominato", 41.30, 141.07, 140, 213),
    ],
)
def test_the_lowest_visible_altitude_above_sunan_is_the_published_one(
    site: str, lat_deg: float, lon_deg: float, at_0_km: float, at_3_km: float
) -> None:
    lat, lon = math.radians(lat_deg), math.radians(lon_deg)
    place, enu = geodetic_to_ecef(lat, lon, 0.0), enu_matrix(lat, lon)

    def elevation_deg(height_km: float) -> float:
        point = geodetic_to_ecef(math.radians(39.2), math.radians(125.673), height_km * 1e3)
        return math.degrees(range_az_el(place, enu, point)[2])

    assert elevation_deg(at_0_km - 3.0) < 0.0 < elevation_deg(at_0_km + 3.0), site
    assert elevation_deg(at_3_km - 3.0) < 3.0 < elevation_deg(at_3_km + 3.0), site


@both_ways(apparent_elevation_rad)
def test_refraction_lets_a_radar_see_a_quarter_further_down() -> None:
    """At 1,000 km the ground lies 78.5 km under the horizontal, and 58.9 km over an Earth 4/3 as large: 19.6 km less."""
    gained = 1_000e3 / (8.0 * 6_371_008.8)
    assert apparent_elevation_rad(-gained, 1_000e3) == pytest.approx(0.0, abs=1e-5)
    assert gained * 1_000e3 == pytest.approx(19.6e3, rel=0.01)


@both_ways(look)
def test_a_look_is_range_azimuth_and_apparent_elevation_of_each_that_is_there() -> None:
    states = np.stack([above(39.2, 125.7, 60e3), np.full(6, np.nan), above(38.0, 128.0, 200e3)])
    site, enu = geodetic_to_ecef(0.63, 2.2, 100.0), enu_matrix(0.63, 2.2)
    seen = look(site, enu, states)
    assert np.isnan(seen[1]).all()
    for i in (0, 2):
        east, north, up = enu @ (states[i, :3] - site)
        far = math.sqrt(east**2 + north**2 + up**2)
        elevation = math.asin(up / far)
        bent = elevation + 0.25 * far * math.cos(elevation) / (2.0 * 6_371_008.8)
        np.testing.assert_allclose(seen[i], [far, math.atan2(east, north) % (2.0 * math.pi), bent], rtol=1e-9)
