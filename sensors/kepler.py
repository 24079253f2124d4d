"""Flights in closed form: an ellipse over a spherical Earth at rest, without air and without a boost. Pure.

For bounds and checks: what starts at rest, with an engine that pushes for a while, takes longer than the ellipse of the same
apogee and range. Wheelon, Free Flight of a Ballistic Missile, ARS Journal 29, 1959; Bate, Mueller and White, Fundamentals of
Astrodynamics, 1971, chapter 6.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from physics.constants import EARTH_GM_M3_S2, EARTH_MEAN_RADIUS_M


class Ellipse(NamedTuple):
    """The part of a Kepler ellipse from the ground to the ground: apogee and ground range m, burnout speed m/s, time s."""

    apogee_m: float
    range_m: float
    speed_m_s: float
    time_s: float


def over(apogee_m: float, range_m: float) -> Ellipse:
    """The flight with this apogee and ground range, both above 0; a range below half round the Earth."""
    half = range_m / EARTH_MEAN_RADIUS_M / 2.0
    if not (apogee_m > 0.0 and 0.0 < half < math.pi / 2.0):
        raise ValueError(f"an apogee above 0 and a range below a quarter of the Earth each way; got {apogee_m} m and {range_m} m")
    ground, top = EARTH_MEAN_RADIUS_M, EARTH_MEAN_RADIUS_M + apogee_m
    # the ground is met at the true anomalies pi -+ half: r = a (1 - e^2) / (1 - e cos half), and a (1 + e) = top
    eccentricity = apogee_m / (top - ground * math.cos(half))
    semi_major_m = top / (1.0 + eccentricity)
    # eccentric anomaly where it leaves the ground, and Kepler's equation from there up to the apogee, twice
    cos_e = (1.0 - ground / semi_major_m) / eccentricity
    anomaly = math.acos(min(1.0, max(-1.0, cos_e)))
    mean_motion = math.sqrt(EARTH_GM_M3_S2 / semi_major_m**3)
    time_s = 2.0 * (math.pi - anomaly + eccentricity * math.sin(anomaly)) / mean_motion
    speed_m_s = math.sqrt(EARTH_GM_M3_S2 * (2.0 / ground - 1.0 / semi_major_m))
    return Ellipse(apogee_m, range_m, speed_m_s, time_s)


def minimum_energy(range_m: float) -> Ellipse:
    """The flight that reaches a ground range with the least speed: its climb angle is pi/4 less a quarter of the range angle."""
    half = range_m / EARTH_MEAN_RADIUS_M / 2.0
    gamma = math.pi / 4.0 - half / 2.0
    energy = 2.0 * math.sin(half) / (1.0 + math.sin(half))  # v^2 r / GM
    semi_major_m = EARTH_MEAN_RADIUS_M / (2.0 - energy)
    eccentricity = math.sqrt(max(0.0, 1.0 - energy * (2.0 - energy) * math.cos(gamma) ** 2))
    return over(semi_major_m * (1.0 + eccentricity) - EARTH_MEAN_RADIUS_M, range_m)
