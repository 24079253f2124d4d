"""Detections: noise of the size that is stated, horizons, outages, and random streams that do not disturb one another."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import chi2

from bus.errors import BadInput
from physics.frames import enu_matrix, geodetic_to_ecef, range_az_el
from sensors.detect import Scan, Scanner, apparent_elevation_rad
from sensors.instruments import INFRARED, Infrared, Radar, find_sensors, sensor_catalogue
from sensors.scenario import load_scenario, parse_scenario
from sensors.truth import build_truth

SALVO = load_scenario("salvo-2024-05-30")
TRUTH = build_truth(SALVO)


def scans(name: str, seed: int = 1) -> list[Scan]:
    sensor = sensor_catalogue()[name]
    return list(Scanner(sensor, SALVO, TRUTH, sensor.nation, seed).scans())


def test_no_two_sensors_share_a_pedigree_bit() -> None:
    bits = [sensor.bit for sensor in sensor_catalogue().values()]
    assert len(set(bits)) == len(bits)


@pytest.mark.parametrize("name", ["Green Pine B 1", "AN/TPY-2 Kyogamisaki", "GEO infrared B"])
def test_errors_are_of_the_size_that_the_information_matrix_states(name: str) -> None:
    """Over many sensors' lives (seeds, so that the bias is drawn anew) the squared error is chi-square by 3 (2 for a sight)."""
    squares = []
    for seed in range(40):
        scan = next(s for s in scans(name, seed) if (s.origin >= 0).sum() >= 3)
        for k in np.flatnonzero(scan.origin >= 0)[:1]:
            error = scan.position[k] - TRUTH.states_at(scan.at_ns)[scan.origin[k], :3]
            squares.append(error @ scan.information[k] @ error)
    freedom = len(squares) * (2 if isinstance(sensor_catalogue()[name], Infrared) else 3)
    assert chi2.ppf(0.0005, freedom) < sum(squares) < chi2.ppf(0.9995, freedom)


def test_an_infrared_detection_says_nothing_of_the_distance() -> None:
    scan = next(s for s in scans("GEO infrared B") if (s.origin >= 0).any())
    assert scan.phenomenology == INFRARED
    for k in np.flatnonzero(scan.origin >= 0):
        sight = scan.sight[k]
        assert np.linalg.norm(scan.information[k] @ sight) < 1e-12 * np.trace(scan.information[k]) + 1e-15


def test_infrared_sees_only_what_burns_above_the_clouds() -> None:
    burn = {i for scan in scans("GEO infrared B") for i in scan.origin.tolist() if i >= 0}
    assert burn == set(range(18))
    for scan in scans("GEO infrared B"):
        for i in scan.origin[scan.origin >= 0]:
            assert TRUTH.thrusting_at(scan.at_ns)[i]


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


def test_refraction_lets_a_radar_see_a_quarter_further_down() -> None:
    """At 1,000 km the ground lies 78.5 km under the horizontal, and 58.9 km over an Earth 4/3 as large: 19.6 km less."""
    gained = 1_000e3 / (8.0 * 6_371_008.8)
    assert apparent_elevation_rad(-gained, 1_000e3) == pytest.approx(0.0, abs=1e-5)
    assert gained * 1_000e3 == pytest.approx(19.6e3, rel=0.01)


def test_japan_sees_nothing_under_50_km_near_sunan_and_the_republic_of_korea_does() -> None:
    lowest: dict[str, float] = {}
    for name, sensor in sensor_catalogue().items():
        if isinstance(sensor, Radar):
            for scan in scans(name):
                for i in scan.origin[scan.origin >= 0]:
                    state = TRUTH.states_at(scan.at_ns)[i]
                    height = np.linalg.norm(state[:3]) - 6_369e3
                    if TRUTH.phase_at(scan.at_ns)[i] == 0:
                        lowest[sensor.nation] = min(lowest.get(sensor.nation, math.inf), float(height))
    assert "jpn" not in lowest  # the boost ends below every Japanese horizon
    assert lowest["kor"] < 40e3


def test_adding_a_sensor_changes_no_others_noise() -> None:
    """Streams hang on the seed and the sensor alone, not on who else there is."""
    one, again = scans("Green Pine B 1"), scans("Green Pine B 1")
    for a, b in zip(one, again, strict=True):
        np.testing.assert_array_equal(a.position, b.position)
    other = scans("Green Pine B 2")
    assert not np.allclose(one[60].position[:1], other[60].position[:1])


def test_an_outage_blinds_the_kind_it_names_from_the_time_it_names() -> None:
    text = SALVO.text + '\n[[outage]]\nkind = "radar"\nnation = "kor"\nfrom_s = 100.0\nto_s = 200.0\n'
    scenario = parse_scenario(text, "outage.toml")
    truth = build_truth(scenario)
    sensor = sensor_catalogue()["Green Pine B 1"]
    seen = [(s.at_ns - truth.start_ns) / 1e9 for s in Scanner(sensor, scenario, truth, "kor", 1).scans() if (s.origin >= 0).any()]
    assert not [t for t in seen if 100.0 <= t < 200.0]
    assert [t for t in seen if t < 100.0]
    assert [t for t in seen if t >= 200.0]


def test_an_unknown_sensor_is_refused_with_the_nations_own() -> None:
    with pytest.raises(BadInput, match=r"my.toml: nations.kor.sensors\[1\]: no sensor 'Cobra Dane' of kor .*Sejong-class Aegis"):
        find_sensors(["green pine b 1", "Cobra Dane"], "kor", "my.toml")
