"""What a track begins with: held against where published flights are when a satellite may see them first."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.population import flyable
from physics.frames import altitude_m, geodetic_to_ecef
from physics.motion import ballistic_acceleration
from sensors.detect import ANY_HEIGHT, REFERENCE_HEIGHT_M, Scan
from sensors.initiate import PARTED, RISING, Begins, begun
from sensors.instruments import INFRARED, Infrared, sensor_catalogue
from sensors.motion import BOOST
from sensors.tracker import NationalTracker
from sensors.truth import build_truth

Float = NDArray[np.float64]

_EYE = 12
_SATELLITE = geodetic_to_ecef(0.0, math.radians(160.0), 35_786e3)
_CHI2_999 = 10.83  # of one degree of freedom


def sights(at_s: float, *degrees_east: float) -> Scan:
    """A satellite's scan of plumes at the reference height, so far east of Sunan."""
    places = [geodetic_to_ecef(math.radians(39.2), math.radians(125.7 + east), REFERENCE_HEIGHT_M) for east in degrees_east]
    lines = [(place - _SATELLITE) / np.linalg.norm(place - _SATELLITE) for place in places]
    n = len(places)
    return Scan(
        int(at_s * 1e9),
        _EYE,
        INFRARED,
        np.array(places),
        np.array([(np.eye(3) - np.outer(line, line)) / 800.0**2 for line in lines]),
        np.zeros((n, 3, 6)),
        np.array(lines),
        np.arange(n),
        np.zeros(n, np.bool_),
        np.arange(n),
        verify=False,
        first_seen=(9e3, 3e3),
    )


@pytest.mark.parametrize(("rising", "height_m", "sigma_m", "begins"), [(True, 9e3, 3e3, RISING), (False, *ANY_HEIGHT, PARTED)])
def test_a_line_of_sight_begins_at_the_height_that_it_is_likely_to_be_at(
    rising: bool, height_m: float, sigma_m: float, begins: Begins
) -> None:
    scan = sights(0.0, 0.0)
    x, cov, _, mu = begun(scan, 0, 0, 1, rising=rising)
    place, line = x[BOOST, :3], scan.sight[0]
    assert altitude_m(place) == pytest.approx(height_m, abs=300.0)
    assert np.linalg.norm(np.cross(place - scan.position[0], line)) < 1.0, "it left the line of sight"
    up = place / np.linalg.norm(place)
    down = -float(up @ line)
    assert math.sqrt(float(line @ cov[BOOST, :3, :3] @ line)) * down == pytest.approx(sigma_m, rel=0.02)
    assert float(x[BOOST, 3:6] @ up) == pytest.approx(begins.climbs_m_s, rel=0.01)
    assert mu[BOOST] == pytest.approx(0.9)


def test_a_plume_away_from_all_tracks_rises_and_one_beside_a_track_may_have_parted_from_it() -> None:
    tracker = NationalTracker([_EYE])
    tracker.step(sights(0.0, 0.0))
    tracker.step(sights(3.0, 0.0, 0.02, 3.0))  # two kilometres and three degrees away
    assert len(tracker.tracks) == 3
    heights = [altitude_m(track.x[BOOST, :3]) for track in tracker.tracks[1:]]
    assert heights == [pytest.approx(REFERENCE_HEIGHT_M, abs=1e3), pytest.approx(9e3, abs=1e3)]


def test_a_plume_of_several_begins_at_any_height() -> None:
    tracker = NationalTracker([_EYE])
    tracker.step(replace(sights(0.0, 0.0), merged=np.ones(1, np.bool_)))
    assert altitude_m(tracker.tracks[0].x[BOOST, :3]) == pytest.approx(REFERENCE_HEIGHT_M, abs=1e3)


def test_published_flights_are_where_a_rising_plume_is_taken_to_be() -> None:
    """Each halfway through the scan in which a satellite may see it first, in sigmas of what a track begins with."""
    off: list[list[float]] = []
    for satellite in [sensor for sensor in sensor_catalogue().values() if isinstance(sensor, Infrared)]:
        height_m, sigma_m = satellite.first_seen
        for scenario in flyable(glide=False):
            truth = build_truth(scenario)
            at_ns = next(
                at
                for at in range(truth.start_ns, truth.end_ns, 100_000_000)
                if altitude_m(truth.states_at(at)[0, :3]) > satellite.cloud_break_km * 1e3
            )
            at_ns += int(0.5e9 * satellite.scan_s)
            state, after = truth.states_at(at_ns)[0], truth.states_at(at_ns + 100_000_000)[0]
            up = state[:3] / np.linalg.norm(state[:3])
            thrust = (after[3:] - state[3:]) / 0.1 - ballistic_acceleration(state)
            velocity = (state[3:] - RISING.climbs_m_s * up) / RISING.sigma_m_s
            push = (thrust - RISING.thrust_m_s2 * up) / RISING.sigma_m_s2
            off.append([(altitude_m(state[:3]) - height_m) / sigma_m, *velocity, *push])
    squares = np.array(off) ** 2
    assert squares.max() < _CHI2_999
    assert 0.1 < squares.mean() < 1.0
