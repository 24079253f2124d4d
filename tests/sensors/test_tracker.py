"""One national tracker, fed with scans made by hand: what ends a tentative track, and which detections are whose."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
from numpy.typing import NDArray

import sensors.tracker
from physics.frames import geodetic_to_ecef
from sensors.detect import Scan
from sensors.filter import combined
from sensors.instruments import INFRARED, RADAR
from sensors.motion import COAST, MODELS
from sensors.tracker import DOUBT, RADAR_HITS, SWAPPED_M_S, TENTATIVE_MISSES, NationalTracker, impact_of, none_cost

Float = NDArray[np.float64]

_BIT, _EYE = 4, 12
_SITE = geodetic_to_ecef(math.radians(39.2), math.radians(125.7), 40e3)
_UP = _SITE / np.linalg.norm(_SITE)
_EAST = np.cross([0.0, 0.0, 1.0], _UP) / np.linalg.norm(np.cross([0.0, 0.0, 1.0], _UP))
_SPEED_M_S = 1200.0


def scan(at_s: float, places: int, *, verify: bool = False) -> Scan:
    """A radar's scan with one detection over Sunan, or none."""
    position = np.array([geodetic_to_ecef(math.radians(39.2), math.radians(125.7), 40e3)] * places).reshape(-1, 3)
    return Scan(
        int(at_s * 1e9),
        _BIT,
        RADAR,
        position,
        np.array([np.eye(3) / 100.0**2] * places).reshape(-1, 3, 3),
        np.zeros((places, 3, 6)),
        position / 6.4e6,
        np.zeros(places, np.int64),
        np.zeros(places, np.bool_),
        np.zeros(0, np.int64),
        verify,
    )


def seen(at_s: float, places: list[Float], *, apart_m: float = 0.0, phenomenology: int = RADAR) -> Scan:
    """A scan of these places; where `apart_m` is given, each holds several objects so far apart to the east."""
    n, east = len(places), np.outer(_EAST, _EAST)
    across = np.eye(3) - np.outer(_UP, _UP)  # seen from straight above
    return Scan(
        int(at_s * 1e9),
        _BIT if phenomenology == RADAR else _EYE,
        phenomenology,
        np.array(places),
        np.array([np.linalg.inv(30.0**2 * np.eye(3) + apart_m**2 * east) if phenomenology == RADAR else across / 800.0**2] * n),
        np.array([np.hstack([np.zeros((3, 3)), apart_m * east])] * n),
        np.array([-_UP] * n),
        np.arange(n),
        np.full(n, apart_m > 0.0),
        np.arange(n),
        verify=False,
    )


def flying(at_s: float, east_m: float) -> Float:
    """Where one of a pair is, that rises side by side."""
    place: Float = _SITE + _SPEED_M_S * at_s * _UP + east_m * _EAST
    return place


def pair(apart_m: float, until_s: int) -> NationalTracker:
    """A tracker that has seen two, so far apart, once a second."""
    tracker = NationalTracker([_BIT, _EYE])
    for t in range(until_s):
        tracker.step(seen(t, [flying(t, 0.0), flying(t, apart_m)]))
    return tracker


def test_a_merged_detection_is_of_all_the_tracks_that_it_may_hold() -> None:
    """Given to one of them alone, it starved the other, which then took a third one's detections."""
    tracker = pair(3000.0, 12)
    assert [track.number for track in tracker.live()] == [1, 2]
    for t in range(12, 22):
        tracker.step(seen(t, [flying(t, 1500.0)], apart_m=1500.0))
    assert [track.number for track in tracker.live()] == [1, 2]
    assert all(track.seen_ns == track.at_ns for track in tracker.live())
    for track, east_m in zip(tracker.live(), (0.0, 3000.0), strict=True):
        state, cov = combined(track.x, track.cov, track.mu)
        off = state[:3] - flying(21.0, east_m)
        assert off @ np.linalg.solve(cov[:3, :3], off) < 12.0
    tracker.step(seen(22, [flying(22, 0.0), flying(22, 3000.0)]))
    assert len(tracker.tracks) == 2


def test_a_merged_detection_is_no_more_than_one_tentative_tracks() -> None:
    tracker = NationalTracker([_BIT, _EYE])
    tracker.step(seen(0.0, [flying(0.0, 0.0), flying(0.0, 300.0)]))
    tracker.step(seen(0.1, [flying(0.1, 150.0)], apart_m=150.0))
    assert sorted(track.hits for track in tracker.tracks) == [1, 2]


def test_a_track_takes_no_detection_that_is_hardly_its_own() -> None:
    """Where another track is likelier to have made it, it is left to that one, and the track goes without."""
    tracker = pair(3000.0, 12)
    tracker.step(seen(12, [flying(12, 3000.0)]))
    first, second = tracker.live()
    assert first.seen_ns < second.seen_ns == first.at_ns


def test_lines_of_sight_that_may_be_of_several_missiles_give_the_first_radar_hit_little_velocity() -> None:
    """Strung together from a ripple, they made a velocity that was wrong by 1.5 km/s and sure to 0.1 km/s."""
    sigmas = []
    for doubted in (False, True):
        tracker = NationalTracker([_BIT, _EYE])
        for t in range(0, 12, 3):
            tracker.step(seen(t, [flying(t, 0.0)], phenomenology=INFRARED))
        (track,) = tracker.live()
        track.sights = 0.5 if doubted else track.sights
        tracker.step(seen(12.0, [flying(12.0, 0.0)]))
        _, cov = combined(track.x, track.cov, track.mu)
        sigmas.append(math.sqrt(np.trace(cov[3:, 3:])))
    assert sigmas[1] > sigmas[0] + 300.0


def test_a_doubtful_choice_leaves_the_velocity_no_surer_than_the_doubt() -> None:
    """A track that went over to its neighbour was turned by 1.5 km/s, and sure of it to 0.2."""
    tracker = pair(1500.0, 20)
    first, _ = tracker.live()
    known = np.trace(first.cov[0, 3:6, 3:6]) / 3.0
    first.doubt_choice(RADAR, 1.0 - 0.5 * DOUBT)  # hardly a doubt
    first.doubt_choice(INFRARED, 0.3)  # has a doubt of its own
    assert np.trace(first.cov[0, 3:6, 3:6]) / 3.0 == known
    for _ in range(3):
        first.doubt_choice(RADAR, 0.4)
    assert np.trace(first.cov[0, 3:6, 3:6]) / 3.0 == pytest.approx(0.6 * SWAPPED_M_S**2)


def test_a_detection_between_two_tracks_leaves_the_one_that_takes_it_in_doubt(monkeypatch: pytest.MonkeyPatch) -> None:
    sigmas = []
    for swapped_m_s in (SWAPPED_M_S, 0.0):
        monkeypatch.setattr(sensors.tracker, "SWAPPED_M_S", swapped_m_s)
        tracker = pair(300.0, 20)
        tracker.step(seen(20, [flying(20, 150.0)]))
        (took,) = [track for track in tracker.live() if track.seen_ns == track.at_ns]
        sigmas.append(math.sqrt(np.trace(took.cov[0, 3:6, 3:6])))
    assert sigmas[0] > sigmas[1] + 50.0


def test_a_track_that_two_radars_feed_from_two_missiles_follows_neither() -> None:
    tracker = pair(3000.0, 12)
    track, _ = tracker.live()
    track.latest.extend([7, 7, 7])
    assert track.follows() == 7
    track.latest.extend([7, 8])
    assert track.follows() == -1
    track.phenomenology = INFRARED
    assert track.follows() == 7
    track.latest.extend([9, 7])
    assert track.follows() == -1


def test_each_doubtful_line_of_sight_adds_to_the_doubt() -> None:
    tracker = NationalTracker([_BIT, _EYE])
    for t in range(0, 9, 3):
        tracker.step(seen(t, [flying(t, 0.0)], phenomenology=INFRARED))
    (track,) = tracker.live()
    alone = track.sights
    assert alone > 0.8
    tracker.step(seen(9.0, [flying(9.0, -2500.0), flying(9.0, 2500.0)], phenomenology=INFRARED))
    assert track.sights < 0.7 * alone


def test_infrared_goes_to_what_burns_and_not_to_what_has_burnt_out() -> None:
    tracker = pair(3000.0, 12)
    first, second = tracker.live()
    first.mu = np.array([1e-15, 1e-15, 1.0, 0.0, 0.0])
    second.mu = np.array([1.0, 0.0, 1e-15, 0.0, 0.0])
    tracker.step(seen(12, [flying(12, 1400.0)], phenomenology=INFRARED))  # nearer to the first
    assert (first.phenomenology, second.phenomenology) == (RADAR, RADAR | INFRARED)


def test_what_has_just_burnt_out_takes_no_plume_of_the_next_missile() -> None:
    """In a ripple each track went on with the missile behind its own, and told a state of neither."""
    tracker = NationalTracker([_BIT, _EYE])
    for t in range(12):
        tracker.step(seen(t, [flying(t, 0.0)], phenomenology=INFRARED))
    (track,) = tracker.live()
    taken: list[bool] = []
    for likely_dark in (1e-9, 0.3):
        one = copy.deepcopy(tracker)
        one.tracks[0].mu = np.array([1.0 - likely_dark, 0.0, likely_dark, 0.0, 0.0])
        one.step(seen(13.0, [flying(13.0, 4400.0)], phenomenology=INFRARED))
        taken.append(one.tracks[0].hits > track.hits)
    assert taken == [True, False]


def test_to_see_nothing_costs_what_burns_and_hardly_what_does_not() -> None:
    seen_by_both, radar_only = np.array([False, False, False, False]), np.array([True, False, False, False])
    dark = np.array([0.0, 0.0, 0.5, 1.0])
    np.testing.assert_allclose(none_cost(RADAR, radar_only, dark), [13.0, 16.0, 16.0, 16.0])
    np.testing.assert_allclose(
        none_cost(INFRARED, seen_by_both, dark), [9.0, 9.0, 4.0 - math.log(0.5 + 0.5 * math.exp(-5.0)), 4.0]
    )


def test_what_may_have_boosted_some_seconds_ago_has_no_impact_prediction() -> None:
    """A weak second stage that had just lit was taken for coast for up to 7 s, and for what would come down at once."""
    track, _ = pair(3000.0, 12).live()
    track.mu, track.apogee_m, track.boosted_ns = np.eye(MODELS)[COAST], 120e3, track.at_ns
    told = []
    for _ in range(2):
        track.at_ns += 7_000_000_000
        told.append(impact_of(track, track.at_ns) is not None)
    assert told == [False, True]


def test_a_track_is_confirmed_by_its_hits() -> None:
    tracker = NationalTracker([_BIT])
    for t in range(RADAR_HITS):
        assert not tracker.live()
        tracker.step(seen(t, [flying(t, 0.0)]))
    assert len(tracker.live()) == 1


def test_scans_that_see_nothing_end_a_tentative_track() -> None:
    tracker = NationalTracker([_BIT])
    tracker.step(scan(0.0, 1))
    assert len(tracker.tracks) == 1
    for k in range(TENTATIVE_MISSES):
        tracker.step(scan(1.0 + k, 0))
    assert tracker.tracks == []


def test_short_looks_at_other_objects_are_no_misses() -> None:
    tracker = NationalTracker([_BIT])
    tracker.step(scan(0.0, 1))
    for k in range(3 * TENTATIVE_MISSES):
        tracker.step(scan(0.2 * (k + 1), 0, verify=True))
    assert len(tracker.tracks) == 1
