"""National tracks are as good as they say, by nation and phase: seeded runs against the bands that the README's 200 runs show."""

from __future__ import annotations

import math
from functools import cache

import pytest

from bench.consistency import PhaseFigures
from bench.feeds import measure_feeds

# ANEES as measured over 200 runs is inside; what is too careful there is let be: the US in boost (0.73), re-entry (0.79 and up).
BANDS = {"boost": (0.65, 1.3), "coast": (0.9, 1.1), "re-entry": (0.78, 1.3)}
SPREAD = {"boost": 0.6, "coast": 0.35, "re-entry": 0.6}  # standard deviation of one run's ANEES, over the same 200 runs
RUNS = {"published-flights": 13, "salvo-2024-05-30": 4}

pytestmark = pytest.mark.long


@cache
def measured(scenario: str) -> list[PhaseFigures]:
    """Every published flight once, or four salvos."""
    return measure_feeds(RUNS[scenario], (scenario,)).phases


@pytest.mark.parametrize("scenario", RUNS)
def test_anees_is_in_its_band_within_three_standard_errors(scenario: str) -> None:
    """By the spread of the 200 runs, not of these: a track that diverges here would hide in its own width."""
    for row in measured(scenario):
        (low, high), error = BANDS[row.phase], SPREAD[row.phase] / math.sqrt(RUNS[scenario])
        assert low - 3.0 * error < row.anees < high + 3.0 * error, row
        assert row.outside_999 < 0.05, row


@pytest.mark.parametrize("scenario", RUNS)
def test_ellipses_of_launch_and_impact_hold_the_true_points(scenario: str) -> None:
    """At least 80 of 100: a run's reports share their errors, and 13 runs are few for 95."""
    for row in measured(scenario):
        for coverage in (row.lpe_coverage, row.ipp_coverage):
            assert coverage is None or coverage > 0.8, row
        assert (row.ipp_coverage is None) == (row.phase == "boost")
