"""Infrared satellites: plumes by thrust, distance and cloud, a threshold in noise, nothing after burnout."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import binomtest, norm

from physics.frames import geodetic_to_ecef
from sensors.infrared import InfraredEye, _in_view, earth_hides
from sensors.instruments import Infrared, sensor_catalogue
from sensors.missiles import missile_types
from sensors.scenario import load_scenario
from sensors.truth import build_truth
from tests.plain import both_ways


def satellite(name: str) -> Infrared:
    found = sensor_catalogue()[name]
    assert isinstance(found, Infrared)
    return found


SATELLITE = satellite("GEO infrared B")


def test_a_plume_is_as_bright_as_its_thrust_and_gone_at_burnout() -> None:
    truth = build_truth(load_scenario("lofted-2022-11-18"))
    launch, stages = truth.launches[0], missile_types()["hwasong-17"].stage
    at = [launch.launch_ns + int(1e9 * s) for s in (10.0, stages[0].burn_s + 10.0)]
    first, second = (truth.plume_w_sr_at(t)[0] for t in at)
    assert first == pytest.approx(stages[0].plume_w_sr)
    assert second == pytest.approx(stages[1].plume_w_sr)
    thrust_n = [s.propellant_kg / s.burn_s * s.isp_s for s in stages]
    assert first / second == pytest.approx(thrust_n[0] / thrust_n[1])
    assert truth.plume_w_sr_at(launch.burnout_ns + 1)[0] == 0.0


def test_a_faint_plume_is_detected_as_often_as_its_signal_crosses_the_threshold() -> None:
    eye = InfraredEye(SATELLITE)
    state = np.concatenate([geodetic_to_ecef(math.radians(39.2), math.radians(125.7), 20e3), np.zeros(3)])[None]
    distance = np.linalg.norm(state[0, :3] - eye.site)
    rng = np.random.default_rng(2)
    for snr in (5.0, 6.0, 7.5):
        plume = np.array([snr * SATELLITE.noise_kw_sr * 1e3 * (distance / 38e6) ** 2])
        hits = sum(eye.powers(state, plume, rng.random(1), np.ones(1, np.bool_))[0] > 0.0 for _ in range(3000))
        assert binomtest(int(hits), 3000, float(norm.sf(SATELLITE.threshold - snr))).pvalue > 1e-3


def test_errors_shrink_with_signal_down_to_the_pointing() -> None:
    eye = InfraredEye(SATELLITE)
    weak, strong = eye.sigmas(np.array([6.0, 1e6]))
    assert weak[0] == strong[0] == 0.0
    assert weak[1] == pytest.approx(math.hypot(SATELLITE.pixel_urad / 6.0, SATELLITE.angle_floor_urad) / 1e6)
    assert strong[1] == pytest.approx(SATELLITE.angle_floor_urad / 1e6)


def test_clouds_and_the_earth_hide() -> None:
    eye = InfraredEye(SATELLITE)
    states = np.zeros((3, 6))
    states[0, :3] = geodetic_to_ecef(math.radians(39.2), math.radians(125.7), SATELLITE.cloud_break_km * 1e3 - 100.0)
    states[1, :3] = geodetic_to_ecef(math.radians(39.2), math.radians(125.7), SATELLITE.cloud_break_km * 1e3 + 100.0)
    states[2, :3] = geodetic_to_ecef(math.radians(39.2), math.radians(-54.3), 20e3)  # the other side
    assert eye.visible(states).tolist() == [False, True, False]
    assert earth_hides(eye.site, states[2, :3])


@both_ways(_in_view, earth_hides)
def test_what_is_in_view_is_above_the_clouds_with_no_earth_on_any_point_between() -> None:
    rng, satellite = np.random.default_rng(1), geodetic_to_ecef(0.0, math.radians(105.0), 35_786e3)
    lat, lon = np.radians(rng.uniform(-80.0, 80.0, 60)), np.radians(rng.uniform(-180.0, 180.0, 60))
    height = rng.uniform(0.0, 3e5, 60)
    states = np.zeros((61, 6))
    states[:60, :3] = [geodetic_to_ecef(*each) for each in zip(lat, lon, height, strict=True)]
    states[60] = np.nan
    between = satellite + np.linspace(0.0, 1.0, 20_001)[:, None, None] * (states[:60, :3] - satellite)
    nearest = np.linalg.norm(between, axis=2).min(axis=0)
    clear = np.abs(nearest - 6.37e6) > 50e3  # which way the limb is taken is the instrument's
    seen = _in_view(satellite, states, 10e3)
    assert clear.sum() > 30
    np.testing.assert_array_equal(seen[:60][clear], (nearest > 6.37e6)[clear] & (height > 10e3)[clear])
    assert not seen[60]
    assert {True, False} == set(seen[:60][clear].tolist())
