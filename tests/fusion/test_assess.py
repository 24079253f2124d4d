"""What becomes of a report: places of launch and impact in a message."""

from __future__ import annotations

import numpy as np
import pytest

from fusion.assess import apogee_of, class_of, impact_of, launch_of, may_lift
from fusion.settings import Assessment
from physics.fall import impact
from physics.origin import launch_origin
from tests.fusion.scenes import flight

COV = np.diag([500.0**2] * 3 + [50.0**2] * 3)
RULES = Assessment()
AT_NS = 1_000_000_000_000


def test_a_launch_is_a_place_by_the_share_of_the_phase() -> None:
    state = flight(100)[70]
    for phase, boosts in (([255.0, 0.0, 0.0], 1.0), ([0.0, 0.0, 0.0], 1.0), ([51.0, 51.0, 0.0], 0.5), ([0.0, 255.0, 0.0], 0.0)):
        place = launch_of(AT_NS, state, COV, np.array(phase), RULES)
        origin = launch_origin(state, COV, boosts, RULES.beta_kg_m2, RULES.beta_sigma)
        assert place is not None
        assert origin is not None
        assert np.radians(place.lat_deg) == pytest.approx(origin.lat_rad)
        assert (AT_NS - place.time_ns) / 1e9 == pytest.approx(origin.back_s)
        assert place.time_sigma_s == pytest.approx(origin.sigma_s)


def test_an_impact_is_a_place_and_what_never_comes_down_has_none() -> None:
    state = flight(100)[70]
    place = impact_of(AT_NS, state, COV, RULES)
    _, fall_s, sigma_s, lat, lon, _ = impact(state, COV, RULES.beta_kg_m2, RULES.beta_sigma, RULES.fall_max_s)
    assert place is not None
    assert (np.radians(place.lat_deg), np.radians(place.lon_deg)) == pytest.approx((lat, lon))
    assert (place.time_ns - AT_NS) / 1e9 == pytest.approx(fall_s)
    assert place.time_sigma_s == pytest.approx(sigma_s)
    assert impact_of(AT_NS, np.full(6, np.nan), COV, RULES) is None


def test_an_apogee_is_kept_through_re_entry_where_drag_would_lower_it() -> None:
    state, coast, reentry = flight(100)[70], np.array([0.0, 255.0, 0.0]), np.array([0.0, 0.0, 255.0])
    slow = state * np.repeat([1.0, 0.5], 3)
    high = apogee_of(state, coast, None)
    assert apogee_of(slow, coast, high) < high
    assert apogee_of(slow, reentry, high) == high
    assert apogee_of(slow, reentry, None) == apogee_of(slow, coast, None)


def test_a_class_shows_in_free_flight_alone_and_stays() -> None:
    """By the energy of the path, however steep: a lofted 1,000 km of 6,000 km apogee is what flies between continents."""
    state, sure = flight(100)[70], np.diag([100.0**2] * 3 + [5.0**2] * 3)
    coast, wavers, boost, falls, nothing = ([0, 255, 0], [5, 250, 0], [6, 249, 0], [0, 100, 155], [0, 0, 0])
    told = [class_of(state, sure, np.array(phase) / 255.0, "unknown", 0.02) for phase in (coast, wavers, boost, falls, nothing)]
    assert told == ["short-range", "short-range", "unknown", "unknown", "unknown"]
    fast = state * np.repeat([1.0, 15.0], 3)
    assert class_of(fast, sure, np.array([0.0, 1.0, 0.0]), "short-range", 0.02) == "intercontinental"
    assert class_of(state, sure, np.array([0.0, 1.0, 0.0]), "intercontinental", 0.02) == "intercontinental"
    assert class_of(state, np.diag([100.0**2] * 3 + [2000.0**2] * 3), np.array([0.0, 1.0, 0.0]), "unknown", 0.02) == "unknown"


def test_what_stays_in_the_air_may_lift() -> None:
    assert may_lift(59e3)
    assert not may_lift(61e3)
    assert may_lift(float("nan"))
