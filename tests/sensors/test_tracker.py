"""One national tracker, fed with scans made by hand: what ends a tentative track, and what does not."""

from __future__ import annotations

import math

import numpy as np

from physics.frames import geodetic_to_ecef
from sensors.detect import Scan
from sensors.instruments import RADAR
from sensors.tracker import TENTATIVE_MISSES, NationalTracker

_BIT = 4


def scan(at_s: float, places: int, *, verify: bool = False) -> Scan:
    """A radar's scan with one detection over Sunan, or none."""
    position = np.array([geodetic_to_ecef(math.radians(39.2), math.radians(125.7), 40e3)] * places).reshape(-1, 3)
    return Scan(
        int(at_s * 1e9),
        _BIT,
        RADAR,
        position,
        np.array([np.eye(3) / 100.0**2] * places).reshape(-1, 3, 3),
        np.zeros((places, 3, 3)),
        position / 6.4e6,
        np.zeros(places, np.int64),
        np.zeros(places, np.bool_),
        np.zeros(0, np.int64),
        verify,
    )


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
