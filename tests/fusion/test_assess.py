"""What becomes of a report: places of launch and impact in a message."""

from __future__ import annotations

import numpy as np
import pytest

from bus.messages import Place
from fusion.assess import apogee_of, class_of, impact_of, launch_of, may_lift, sigmas_apart
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


@pytest.mark.parametrize("seed", range(20))
def test_places_are_apart_by_sigmas_of_the_surer_along_the_axes_of_either(seed: int) -> None:
    """Against the inverse covariance of each ellipse, its half-axes no shorter than the least."""
    rng, least_m, degree_m = np.random.default_rng(seed), 200.0, np.radians(1.0) * 6_371_008.8
    lat_deg = 40.0 * rng.uniform(-1.0, 1.0)
    east_m, north_m = rng.normal(scale=2000.0, size=2)
    places, told = [], []
    for k in range(2):
        major, minor = rng.uniform(300.0, 6000.0), rng.uniform(20.0, 300.0)
        bearing = rng.uniform(0.0, 360.0)
        lon_deg = (179.999 + k * east_m / (degree_m * np.cos(np.radians(lat_deg))) + 180.0) % 360.0 - 180.0
        lat = lat_deg + k * north_m / degree_m
        axes = {"semi_major_m": major, "semi_minor_m": minor, "bearing_deg": bearing}
        places.append(Place(lat_deg=lat, lon_deg=lon_deg, time_ns=0, time_sigma_s=1.0, **axes))
        along = np.array([np.sin(np.radians(bearing)), np.cos(np.radians(bearing))])
        across = np.array([along[1], -along[0]])
        sigmas = np.maximum([major, minor], least_m) / np.sqrt(5.991)
        cov = sigmas[0] ** 2 * np.outer(along, along) + sigmas[1] ** 2 * np.outer(across, across)
        off = np.array([east_m, north_m])
        told.append(np.sqrt(off @ np.linalg.inv(cov) @ off))
    assert sigmas_apart(places[0], places[1], least_m) == pytest.approx(max(told), rel=2e-3)
