"""What a report honestly tells: nothing that it does not know, and a class that air does not take away."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from bus.columns import Reports, pack_cov
from physics.frames import geodetic_to_ecef
from sensors.facts import FactFinder, range_class
from tests.rows import reports

BOOST, COAST, REENTRY = [250, 5, 0], [0, 255, 0], [0, 0, 255]
NAMES = {0: "one", 3: "other"}


def block(speed_m_s: float, phase: list[int], sigma_m_s: float = 5.0, pedigree: int = 1) -> Reports:
    """One report of track 1, 100 km over Pyongyang."""
    place = geodetic_to_ecef(math.radians(39.0), math.radians(125.75), 100e3)
    return replace(
        reports(1),
        state=np.hstack([place, speed_m_s * place / np.linalg.norm(place)])[None, :],
        cov=pack_cov(np.diag(np.repeat([1e4, sigma_m_s**2], 3)))[None, :],
        phase=np.array([phase], np.uint8),
        pedigree=np.array([pedigree], np.uint32),
    )


def range_class_of(finder: FactFinder, speed_m_s: float, phase: list[int], sigma_m_s: float = 5.0) -> str:
    return finder.of(block(speed_m_s, phase, sigma_m_s), [False])[0].range_class


@pytest.mark.parametrize(
    ("speed_m_s", "name"),
    [(1500.0, "short-range"), (3500.0, "medium-range"), (5200.0, "intermediate-range"), (7e3, "intercontinental")],
)
def test_the_class_of_a_flight_is_that_of_its_energy_however_steep(speed_m_s: float, name: str) -> None:
    assert range_class_of(FactFinder(NAMES), speed_m_s, COAST) == name


def test_what_is_not_a_number_has_no_class() -> None:
    assert range_class(np.full(6, math.nan), np.eye(6)) == "unknown"


def test_what_may_still_boost_has_no_class() -> None:
    assert range_class_of(FactFinder(NAMES), 1500.0, BOOST) == "unknown"
    assert range_class_of(FactFinder(NAMES), 1500.0, [6, 249, 0]) == "unknown"
    assert range_class_of(FactFinder(NAMES), 1500.0, [5, 250, 0]) == "short-range"
    assert range_class_of(FactFinder(NAMES), 1500.0, [0, 0, 0]) == "unknown"
    wavering = FactFinder(NAMES)
    told = [range_class_of(wavering, 1500.0, phase) for phase in ([60, 195, 0], COAST, [60, 195, 0], BOOST)]
    assert told == ["unknown", "short-range", "short-range", "unknown"]


def test_a_speed_that_may_be_of_two_classes_is_of_none() -> None:
    assert range_class_of(FactFinder(NAMES), 1500.0, COAST, sigma_m_s=1000.0) == "unknown"


def test_air_does_not_take_the_class_away_and_a_later_stage_raises_it() -> None:
    finder = FactFinder(NAMES)
    told = [
        range_class_of(finder, *each)
        for each in ((1500.0, COAST), (2500.0, BOOST), (7e3, COAST), (1500.0, COAST), (900.0, REENTRY))
    ]
    assert told == ["short-range", "unknown", "intercontinental", "intercontinental", "intercontinental"]
    assert range_class_of(FactFinder(NAMES), 900.0, REENTRY) == "unknown"  # first seen coming down


def test_what_once_seemed_to_glide_glides() -> None:
    assert FactFinder(NAMES).of(block(1500.0, COAST), [True])[0].range_class == "gliding"


@pytest.mark.parametrize(
    ("pedigree", "sensors"), [(0b1, {"one"}), (0b1001, {"one", "other"}), (0, None), (0b11, None), (1 << 31, None)]
)
def test_sensors_are_known_only_where_all_are(pedigree: int, sensors: set[str] | None) -> None:
    assert FactFinder(NAMES).of(block(1500.0, COAST, pedigree=pedigree), [False])[0].sensors == sensors


def test_phase_and_position_are_the_reports() -> None:
    facts = FactFinder(NAMES).of(block(1500.0, BOOST), [False])[0]
    assert facts.phase == "boost"
    assert facts.lat_deg == pytest.approx(39.0)
    assert facts.lon_deg == pytest.approx(125.75)
    nowhere = replace(block(1500.0, BOOST), state=np.full((1, 6), math.nan))
    assert math.isnan(FactFinder(NAMES).of(nowhere, [False])[0].lat_deg)
