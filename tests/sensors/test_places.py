"""National launch points and impact predictions: one satellite, two, and a filter that has felt the drag."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import pytest

from bus.columns import unpack_cov
from bus.release import Nation
from physics.constants import USUAL_BETA_KG_M2, USUAL_BETA_SIGMA
from physics.frames import bearing_rad, geodetic_to_ecef, ground_distance_m
from physics.ground import ellipse, ground_state
from physics.motion import drag_acceleration
from sensors.feed import NationalFeed, Release
from sensors.places import GroundPoint, felt_beta
from sensors.scenario import load_scenario, parse_scenario
from sensors.truth import Truth, build_truth


@cache
def seen_by(sensors: str, seed: int) -> tuple[Truth, list[Release]]:
    """The frames of an overflight that the US sees with these sensors alone."""
    text = load_scenario("overflight").text + f"\n[nations.usa]\nsensors = [{sensors}]\n"
    scenario = parse_scenario(text, "places.toml")
    truth = build_truth(scenario)
    releases = NationalFeed(scenario, truth, "usa", seed, scored=True).releases()
    return truth, [release for release in releases if release.kind == "frame"]


ONE, TWO = '"GEO infrared B"', '"GEO infrared A", "GEO infrared B"'


def test_one_satellite_gives_a_launch_point_and_heading_with_a_long_ellipse_that_holds_the_truth() -> None:
    inside, long, turned, off_deg = [], [], [], []
    for seed in range(1, 31):
        truth, frames = seen_by(ONE, seed)
        launch, point = truth.launches[0], frames[10].known[0].launch
        assert point is not None
        lat, lon = math.radians(launch.launch_lat_deg), math.radians(launch.launch_lon_deg)
        east, both, north = point.spread
        bearing = bearing_rad(point.lat_rad, point.lon_rad, lat, lon)
        off = ground_distance_m(point.lat_rad, point.lon_rad, lat, lon) * np.array([math.sin(bearing), math.cos(bearing)])
        inside.append(off @ np.linalg.solve([[east, both], [both, north]], off) < 5.99)
        major, minor, _ = ellipse(point.spread)
        long.append(major / minor)
        last = frames[-1].reports
        assert last is not None
        _, v, p = ground_state(last.state[0], unpack_cov(last.cov)[0])
        _, true, _ = ground_state(truth.states_at(int(last.valid_ns[0]))[0], np.eye(6))
        turn = math.atan2(v[0] * true[1] - v[1] * true[0], v[0] * true[0] + v[1] * true[1])
        level = math.hypot(v[0], v[1])
        sigma = math.sqrt(np.array([v[1], -v[0]]) @ p[3:5, 3:5] @ np.array([v[1], -v[0]])) / level**2
        turned.append(turn / sigma)
        off_deg.append(math.degrees(turn))
    assert sum(inside) >= 26
    assert np.median(long) > 2.0
    assert np.mean(np.abs(turned) < 2.0) >= 0.85
    assert np.median(np.abs(off_deg)) < 40.0


def test_a_second_satellite_makes_a_track_of_it() -> None:
    """The position along the line of sight, which one satellite does not measure, becomes as good as that across it."""
    widths = {}
    for sensors in (ONE, TWO):
        _, frames = seen_by(sensors, 1)
        late = frames[40].reports
        assert late is not None
        widths[sensors] = math.sqrt(np.linalg.eigvalsh(unpack_cov(late.cov)[0][:3, :3])[-1])
    assert widths[TWO] < 0.4 * widths[ONE]


def test_a_boosting_track_has_no_impact_prediction_and_a_coasting_one_has() -> None:
    scenario = load_scenario("overflight")
    truth = build_truth(scenario)
    frames = [release for release in NationalFeed(scenario, truth, "kor", 1, scored=True).releases() if release.kind == "frame"]
    burnout_ns = truth.launches[0].burnout_ns
    asked = [(f.reports.valid_ns[0] - burnout_ns, f.known[0].impact) for f in frames if f.reports is not None]
    assert not [impact for since_ns, impact in asked if since_ns < 0 and impact is not None]
    assert [impact for since_ns, impact in asked if since_ns > 15e9 and impact is not None]


def impacts(launch: str, nation: Nation) -> list[GroundPoint]:
    """Every impact point that a nation tells of one launch."""
    text = f"""
name = "one"
title = "One launch"
start = 2024-01-01T00:00:00Z

[[launch]]
at_s = 10.0
{launch}
"""
    scenario = parse_scenario(text, "one.toml")
    feed = NationalFeed(scenario, build_truth(scenario), nation, 1, scored=True)
    frames = [release for release in feed.releases() if release.kind == "frame"]
    assert len(frames) > 50
    return [known.impact for frame in frames for known in frame.known if known.impact is not None]


@pytest.mark.parametrize("nation", ["kor", "usa"])
def test_what_never_leaves_the_air_has_no_impact_prediction(nation: Nation) -> None:
    """It may pull up, and does."""
    assert not impacts('type = "KN-24"\nsite = "Hungnam"\napogee_km = 48.0\nrange_km = 400.0', nation)
    assert impacts('type = "KN-25"\nsite = "Hungnam"\napogee_km = 97.0\nrange_km = 380.0', nation)


def test_a_track_that_felt_lift_has_no_impact_prediction_from_then_on() -> None:
    """Of the skip glider, above the air for a while, the ROK tells a ballistic impact at first, as of any other."""
    told = impacts('type = "Hwasong-16B"\nsite = "Samsok-T"\napogee_km = 101.1\nrange_km = 1000.0', "kor")
    assert 0 < len(told) < 12


@pytest.mark.parametrize("beta_kg_m2", [5_000.0, 8_000.0, 19_000.0])
def test_drag_that_is_felt_tells_the_ballistic_coefficient(beta_kg_m2: float) -> None:
    x = np.zeros(9)
    x[:3] = geodetic_to_ecef(0.68, 2.2, 20e3)
    x[3:6] = -1500.0 * x[:3] / np.linalg.norm(x[:3])
    x[6:] = drag_acceleration(x[:6], beta_kg_m2)
    felt, sigma = felt_beta(x, np.eye(9) * 0.1**2)
    assert felt == pytest.approx(beta_kg_m2, rel=1e-6)
    assert sigma == pytest.approx(max(0.1 / np.linalg.norm(x[6:]), 0.03))
    assert felt_beta(x, np.eye(9) * 20.0**2) == (USUAL_BETA_KG_M2, USUAL_BETA_SIGMA)
