"""Detections: noise of the size that is stated, horizons, outages, and random streams that do not disturb one another."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import chi2

from bus.errors import BadInput
from physics.frames import altitude_m, geodetic_to_ecef
from sensors.detect import REFERENCE_HEIGHT_M, Scan, Scanner, _measure, symmetric_root, widened
from sensors.instruments import INFRARED, Infrared, Radar, find_sensors, sensor_catalogue
from sensors.radar import RadarEye
from sensors.scenario import load_scenario, parse_scenario
from sensors.truth import build_truth
from tests.plain import both_ways

SALVO = load_scenario("salvo-2024-05-30")
TRUTH = build_truth(SALVO)


def scans(name: str, seed: int = 1) -> list[Scan]:
    sensor = sensor_catalogue()[name]
    return list(Scanner(sensor, SALVO, TRUTH, sensor.nation, seed).scans())


def test_no_two_sensors_share_a_pedigree_bit() -> None:
    bits = [sensor.bit for sensor in sensor_catalogue().values()]
    assert len(set(bits)) == len(bits)


@pytest.mark.parametrize("name", ["Green Pine B 1", "AN/TPY-2 Kyogamisaki", "GEO infrared B"])
def test_errors_are_of_the_size_that_noise_and_biases_state(name: str) -> None:
    """Over many sensors' lives (seeds, so that the bias is drawn anew) the squared error is chi-square by 3 (2 for a sight)."""
    squares = []
    for seed in range(60):
        scan = next(s for s in scans(name, seed) if (s.origin >= 0).sum() >= 3)
        k = int(np.flatnonzero(scan.origin >= 0)[0])
        error = scan.position[k] - TRUTH.states_at(scan.at_ns)[scan.origin[k], :3]
        information = widened(scan.information[k], scan.bias[k])
        squares.append(error @ information @ error)
    freedom = len(squares) * (2 if isinstance(sensor_catalogue()[name], Infrared) else 3)
    assert chi2.ppf(0.0005, freedom) < sum(squares) < chi2.ppf(0.9995, freedom)


@both_ways(widened)
def test_information_widens_as_covariances_add() -> None:
    rng = np.random.default_rng(1)
    one, other = (root @ root.T for root in rng.normal(size=(2, 3, 3)))
    np.testing.assert_allclose(widened(np.linalg.inv(one), np.linalg.cholesky(other)), np.linalg.inv(one + other), rtol=1e-9)
    flat = np.diag([1.0, 0.25, 0.0])  # nothing is known along the third axis, and nothing more is after
    np.testing.assert_allclose(widened(flat, math.sqrt(3.0) * np.eye(3)), np.diag([1 / 4, 1 / 7, 0.0]), atol=1e-12)


def test_a_detection_of_merged_objects_says_so() -> None:
    """Somewhere in the salvo a radar's cell holds two missiles: how far apart they are is in its noise, and as an offset."""
    sensor = sensor_catalogue()["J/FPS-5 Sado"]
    assert isinstance(sensor, Radar)
    widest, offset = 0.0, 0.0
    for scan in scans("J/FPS-5 Sado"):
        for k in np.flatnonzero(scan.origin >= 0):
            distance = np.linalg.norm(scan.position[k] - RadarEye(sensor, 0).site)
            sigma = np.sqrt(np.linalg.eigvalsh(np.linalg.inv(scan.information[k]))[-1])
            assert scan.merged[k] == scan.bias[k, :, 3:].any()
            beam_m = distance * np.radians(sensor.beam_deg)
            widest = max(widest, float(sigma / beam_m))
            offset = max(offset, float(np.linalg.norm(scan.bias[k, :, 3:], 2) / beam_m))
    assert widest > 0.25  # of a beam; its own noise at the threshold is a tenth
    assert 0.25 < offset <= widest


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


def in_clutter(name: str, outage: str = "") -> list[Scan]:
    """The salvo's scans by a sensor that gives a hundred times its false alarms."""
    sensor = sensor_catalogue()[name]
    scenario = parse_scenario(f"{SALVO.text}\n[nations.{sensor.nation}]\nfalse_alarms = 100.0\n{outage}", "clutter.toml")
    return list(Scanner(sensor, scenario, build_truth(scenario), sensor.nation, 1).scans())


# The satellite's outage is amid the boosts. The radar's ends before it detects: a detection brings further looks, and draws.
@pytest.mark.parametrize(("name", "from_s", "to_s"), [("Green Pine B 1", 5.0, 40.0), ("GEO infrared B", 50.0, 80.0)])
def test_a_sensor_in_an_outage_gives_no_false_alarm_and_the_same_noise_after_it(name: str, from_s: float, to_s: float) -> None:
    without, through = in_clutter(name), in_clutter(name, f"[[outage]]\nfrom_s = {from_s}\nto_s = {to_s}\n")
    silenced = 0
    for as_ever, scan in zip(without, through, strict=True):
        if from_s <= (scan.at_ns - TRUTH.start_ns) / 1e9 < to_s:
            assert len(scan.position) == 0
            silenced += int((as_ever.origin < 0).sum())
        else:
            np.testing.assert_array_equal(scan.position, as_ever.position)
    assert silenced > 5


def test_an_outage_after_burnout_is_a_launchs_own_and_leaves_false_alarms() -> None:
    last_burnout_ns = max(launch.burnout_ns for launch in TRUTH.launches)
    after = [s for s in in_clutter("Green Pine B 1", "[[outage]]\nafter_burnout_s = 0.0\n") if s.at_ns > last_burnout_ns]
    assert not any((scan.origin >= 0).any() for scan in after)
    assert sum(int((scan.origin < 0).sum()) for scan in after) > 100


def test_an_unknown_sensor_is_refused_with_the_nations_own() -> None:
    with pytest.raises(BadInput, match=r"my.toml: nations.kor.sensors\[1\]: no sensor 'Cobra Dane' of kor .*Sejong-class Aegis"):
        find_sensors(["green pine b 1", "Cobra Dane"], "kor", "my.toml", "nations.kor.sensors")


@pytest.mark.parametrize("measures_range", [True, False])
@both_ways(_measure)
def test_a_measurement_is_the_point_moved_along_and_across_the_line_of_sight(measures_range: bool) -> None:
    """Its information is what is left of the noise along three axes, widened by how far apart what it merges is."""
    rng, site, axis = np.random.default_rng(1), geodetic_to_ecef(0.6, 2.2, 0.0), np.array([0.0, 0.0, 1.0])
    if not measures_range:
        site = 6.0 * site
    points = np.array([geodetic_to_ecef(0.65 + 0.01 * i, 2.21, 1e5) for i in range(3)])
    drawn, bias, bias_sigma = rng.normal(size=(3, 3)), rng.normal(size=3), np.array([40.0, 1e-5])
    sigmas = np.tile([30.0 if measures_range else 0.0, 2e-5], (3, 1))
    half = 100.0 * rng.normal(size=(3, 3))
    spread = np.array([np.zeros((3, 3)), half @ half.T, np.zeros((3, 3))])
    positions, information, biased, sights = _measure(site, axis, points, drawn, sigmas, bias, bias_sigma, spread)
    for i, point in enumerate(points):
        far = float(np.linalg.norm(point - site))
        sight = (point - site) / far
        level = np.cross(sight, axis) / np.linalg.norm(np.cross(sight, axis))
        axes, sigma = np.array([sight, level, np.cross(level, sight)]), np.array([sigmas[i, 0], far * 2e-5, far * 2e-5])
        shifts = np.array([40.0, far * 1e-5, far * 1e-5])
        moved = point + axes.T @ (sigma * drawn[i] + shifts * bias)
        np.testing.assert_allclose(sights[i], sight, atol=1e-12)
        np.testing.assert_allclose(biased[i, :, :3], axes.T * shifts, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(biased[i, :, 3:] @ biased[i, :, 3:].T, spread[i], rtol=1e-6, atol=1e-6)
        if measures_range:
            np.testing.assert_allclose(positions[i], moved, rtol=1e-12)
            total = axes.T @ np.diag(sigma**2) @ axes + spread[i]
            np.testing.assert_allclose(np.linalg.inv(information[i]), total, rtol=1e-6, atol=1e-6)
        else:
            along = (positions[i] - site) / np.linalg.norm(positions[i] - site)
            np.testing.assert_allclose(along, (moved - site) / np.linalg.norm(moved - site), atol=1e-9)
            assert altitude_m(positions[i]) == pytest.approx(REFERENCE_HEIGHT_M, abs=100.0)
            assert abs(sight @ information[i] @ sight) < 1e-6 * np.trace(information[i])


@both_ways(symmetric_root)
def test_the_symmetric_root_of_a_covariance_is_symmetric_and_its_square_the_covariance() -> None:
    half = np.random.default_rng(1).normal(size=(3, 3))
    for spread in (half @ half.T, np.zeros((3, 3)), np.outer(half[0], half[0])):
        root = symmetric_root(spread)
        np.testing.assert_allclose(root, root.T, atol=1e-12)
        np.testing.assert_allclose(root @ root, spread, atol=1e-12)
