"""What is worth telling of an impact prediction."""

from __future__ import annotations

import numpy as np
import pytest

from bus.messages import Place
from fusion.alert import Case, may_be_plausible, news_of
from fusion.settings import Alerting

RULES = Alerting()
TOLD_NS = 1_000_000_000_000
LATER_NS = TOLD_NS + int(RULES.update_every_s * 1e9)
NORTH_M = 111_195.0  # metres a degree on the mean sphere


def ellipse(semi_major_m: float, north_m: float = 0.0, bearing_deg: float = 0.0) -> Place:
    return Place(
        lat_deg=38.0 + north_m / NORTH_M,
        lon_deg=129.0,
        semi_major_m=semi_major_m,
        semi_minor_m=semi_major_m / 5.0,
        bearing_deg=bearing_deg,
        time_ns=2 * TOLD_NS,
        time_sigma_s=1.0,
    )


def told(impact: Place | None, fresh: Place | None) -> Case:
    return Case("kor-1-2", 0, impact=fresh, told_impact=impact, told_ns=TOLD_NS, state="updated")


@pytest.mark.parametrize(
    ("before", "fresh", "news"),
    [
        (None, ellipse(6000.0), "impact predicted"),
        (ellipse(6000.0), None, None),
        (ellipse(6000.0), ellipse(3100.0), None),
        (ellipse(6000.0), ellipse(2900.0), "impact prediction surer"),
        (ellipse(390.0), ellipse(10.0), None),  # surer than anybody asks
        (ellipse(410.0), ellipse(10.0), "impact prediction surer"),
        (ellipse(3000.0), ellipse(5900.0), None),
        (ellipse(3000.0), ellipse(6100.0), "impact prediction widened"),
        (ellipse(10.0), ellipse(390.0), None),
        (ellipse(10.0), ellipse(410.0), "impact prediction widened"),
        (ellipse(6000.0), ellipse(4000.0, 3200.0), None),  # along it a sigma is 2.448th part of the half-axis: 1,634 m
        (ellipse(6000.0), ellipse(4000.0, 3400.0), "impact prediction moved"),
        (ellipse(6000.0), ellipse(4000.0, -3400.0), "impact prediction moved"),
        (ellipse(4000.0), ellipse(6000.0, 3400.0), "impact prediction moved"),  # beyond what was told
        (ellipse(6000.0, 0.0, 90.0), ellipse(4000.0, 640.0, 90.0), None),  # across it a fifth of that: 327 m
        (ellipse(6000.0, 0.0, 90.0), ellipse(4000.0, 680.0, 90.0), "impact prediction moved"),
        (ellipse(10.0), ellipse(10.0, 160.0), None),
        (ellipse(10.0), ellipse(10.0, 170.0), "impact prediction moved"),
    ],
)
def test_an_impact_is_news_where_it_moved_widened_or_became_much_surer(
    before: Place | None, fresh: Place | None, news: str | None
) -> None:
    case = told(before, fresh)
    assert news_of(case, RULES, LATER_NS) == news
    case.state = "closed"
    assert news_of(case, RULES, LATER_NS) is None


def test_a_class_by_range_is_news_once() -> None:
    case = told(ellipse(6000.0), ellipse(6000.0))
    case.range_class = "medium-range"
    assert news_of(case, RULES, LATER_NS) == "medium-range by its energy"
    assert news_of(case, RULES, LATER_NS - 1) is None
    case.told_class = "medium-range"
    assert news_of(case, RULES, LATER_NS) is None


def test_no_impact_is_told_again_too_soon() -> None:
    assert news_of(told(ellipse(6000.0), ellipse(100.0)), RULES, LATER_NS - 1) is None


@pytest.mark.parametrize("least_m", [300.0, 450.0, 4000.0, 1e5])
def test_an_ellipse_that_comes_and_goes_by_less_than_a_factor_of_two_is_not_told_to_and_fro(least_m: float) -> None:
    for before in (least_m, 1.9 * least_m):
        for fresh in (least_m, 1.9 * least_m):
            assert news_of(told(ellipse(before), ellipse(fresh)), RULES, LATER_NS) is None


def test_what_boosts_is_fast_or_hides_its_speed_may_be_plausible() -> None:
    """A slow one that coasts and tells a whole state is none."""
    phase = np.array([[0.0, 1.0, 0.0], [0.6, 0.4, 0.0], [0.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 1.0, 0.0]])
    state = np.zeros((5, 6))
    state[3, 3:] = Alerting().speed_m_s
    whole = np.array([True, True, True, True, False])
    assert may_be_plausible(phase, state, whole, Alerting()).tolist() == [False, True, True, True, True]
