"""Flights against published figures: the model is solved for apogee and range alone, and predicts the time of flight."""

from __future__ import annotations

import math

import pytest

from sensors.flight import Flight, Unreachable, fly, minimum_energy_apogee_m, solve
from sensors.missiles import find_site, find_type


def flown(type_name: str, site_name: str, apogee_km: float, range_km: float, azimuth_deg: float | None = None) -> Flight:
    missile, site = find_type(type_name, "test", "type"), find_site(site_name, "test", "site")
    azimuth = site.usual_azimuth_deg if azimuth_deg is None else azimuth_deg
    steering = solve(missile, site.lat_deg, site.lon_deg, apogee_km * 1e3, range_km * 1e3, azimuth)
    return fly(missile, math.radians(site.lat_deg), math.radians(site.lon_deg), steering)


# Published flights (CNS/NTI data at github nagix/nk-missile-tests@a0cc658; B: CSIS Beyond Parallel): type, site, apogee km,
# range km, flight time s. The 2022-01-30 time is 30 minutes to the minute, so within 60 s.
PUBLISHED = [
    ("hwasong-12", "N.Kusong", 2111.5, 787.0, 1800.0, 0.02),
    ("hwasong-12", "Mupyong-ni", 2000.0, 800.0, 1800.0, 60.0 / 1800.0 + 0.01),
    ("hwasong-17", "Sunan", 6040.9, 999.2, 4135.0, 0.02),
    ("hwasong-17", "Sunan", 6045.0, 1000.2, 4151.0, 0.02),
]


@pytest.mark.parametrize(("type_name", "site", "apogee_km", "range_km", "seconds", "within"), PUBLISHED)
def test_a_published_flight_takes_the_published_time(
    type_name: str, site: str, apogee_km: float, range_km: float, seconds: float, within: float
) -> None:
    assert flown(type_name, site, apogee_km, range_km).flight_s == pytest.approx(seconds, rel=within)


@pytest.mark.parametrize(
    ("type_name", "site", "apogee_km", "range_km"),
    [("kn-25", "Sunan", 100.0, 350.0), ("kn-25", "Sunan", 90.0, 320.0), ("notional-irbm", "Mupyong-ni", 850.0, 4000.0)],
)
def test_the_search_hits_apogee_and_range(type_name: str, site: str, apogee_km: float, range_km: float) -> None:
    flight = flown(type_name, site, apogee_km, range_km)
    assert flight.apogee_m == pytest.approx(apogee_km * 1e3, rel=1e-3)
    assert flight.range_m == pytest.approx(range_km * 1e3, rel=1e-3)


def test_a_v2_reaches_320_km_with_an_apogee_of_80_to_90_km() -> None:
    """Published: 80 to 90 km at 320 km (Sutton, Rocket Propulsion Elements, 3rd edition)."""
    assert flown("v-2", "Hodo", 85.0, 320.0).range_m == pytest.approx(320e3, rel=2e-3)


# Closed-form minimum-energy trajectories on a spherical, non-rotating Earth without air: range km, apogee km.
@pytest.mark.parametrize(
    ("range_km", "apogee_km"), [(300, 74), (500, 123), (1000, 240), (3000, 655), (5500, 1041), (10000, 1319)]
)
def test_the_minimum_energy_apogee_is_the_closed_form(range_km: float, apogee_km: float) -> None:
    assert minimum_energy_apogee_m(range_km * 1e3) == pytest.approx(apogee_km * 1e3, rel=0.01)


def test_what_a_type_cannot_fly_is_refused_with_what_it_can() -> None:
    with pytest.raises(Unreachable, match=r"Scud-B cannot fly apogee 900.0 km .* nearest found is"):
        flown("Scud-B", "Hodo", 900.0, 3000.0)
