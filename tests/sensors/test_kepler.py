"""Closed forms against published figures, and against an integration that knows none of them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from physics.constants import EARTH_GM_M3_S2, EARTH_MEAN_RADIUS_M
from sensors.kepler import minimum_energy, over
from tests.reference.read import rows


@pytest.mark.parametrize("row", rows("minimum-energy.csv"), ids=lambda row: row["range_km"])
def test_minimum_energy_flights_are_the_published_ones(row: dict[str, str]) -> None:
    flight = minimum_energy(float(row["range_km"]) * 1e3)
    assert flight.apogee_m == pytest.approx(float(row["apogee_km"]) * 1e3, rel=0.01)
    assert flight.speed_m_s == pytest.approx(float(row["burnout_speed_km_s"]) * 1e3, rel=0.01)
    assert flight.time_s == pytest.approx(float(row["flight_time_s"]), rel=0.01)


@pytest.mark.parametrize(("apogee_km", "range_km"), [(100.0, 350.0), (850.0, 4000.0), (6040.9, 999.2), (1300.0, 9000.0)])
def test_an_ellipse_has_the_apogee_range_and_time_of_the_integrated_flight(apogee_km: float, range_km: float) -> None:
    """A plane, a point mass, scipy's DOP853: from the ground at the ellipse's speed and angle until it is down again."""
    ellipse = over(apogee_km * 1e3, range_km * 1e3)
    top = EARTH_MEAN_RADIUS_M + ellipse.apogee_m
    momentum = top * math.sqrt(ellipse.speed_m_s**2 - 2.0 * EARTH_GM_M3_S2 * (1.0 / EARTH_MEAN_RADIUS_M - 1.0 / top))
    across = momentum / EARTH_MEAN_RADIUS_M
    start = [EARTH_MEAN_RADIUS_M, 0.0, math.sqrt(ellipse.speed_m_s**2 - across**2), across]

    def rate(_: float, y: np.ndarray) -> np.ndarray:
        return np.hstack([y[2:], -EARTH_GM_M3_S2 * y[:2] / np.hypot(y[0], y[1]) ** 3])

    def down(t: float, y: np.ndarray) -> float:
        return float(np.hypot(y[0], y[1]) - EARTH_MEAN_RADIUS_M) if t > 1.0 else 1.0

    down.terminal = True  # type: ignore[attr-defined]
    flown = solve_ivp(
        rate, (0.0, 2e4), start, method="DOP853", rtol=1e-11, atol=1e-6, events=down, max_step=ellipse.time_s / 2000
    )
    path = np.hypot(flown.y[0], flown.y[1])
    angle = math.atan2(flown.y[1, -1], flown.y[0, -1])
    assert flown.t[-1] == pytest.approx(ellipse.time_s, rel=1e-6)
    assert path.max() - EARTH_MEAN_RADIUS_M == pytest.approx(ellipse.apogee_m, rel=1e-5)
    assert angle * EARTH_MEAN_RADIUS_M == pytest.approx(ellipse.range_m, rel=1e-6)


def test_of_all_flights_over_a_range_the_minimum_energy_one_is_the_slowest_off_the_ground() -> None:
    best = minimum_energy(1.0e6)
    for factor in (0.5, 0.9, 0.99, 1.01, 1.1, 2.0):
        assert over(best.apogee_m * factor, 1.0e6).speed_m_s > best.speed_m_s


@pytest.mark.parametrize(("apogee_m", "range_m"), [(0.0, 1e6), (-1.0, 1e6), (1e5, 0.0), (1e5, 3e7), (math.nan, 1e6)])
def test_what_is_no_flight_is_refused(apogee_m: float, range_m: float) -> None:
    with pytest.raises(ValueError, match="apogee"):
        over(apogee_m, range_m)
