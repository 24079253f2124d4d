"""Assesses an object: is it boosting, where was it launched, where and when will it come down. Pure.

Class, from its energy in free flight (`physics.reach`). Launch, from the earliest report, by the phase that it tells
(`physics.origin`); impact, only while it does not boost, and where its path leaves the air (`physics.fall`). Here the two become
places of a message, at times since the epoch.

Ellipses are of 95 percent: 2.448 sigma in two dimensions (chi-square, 5.991). Does not decide when to assess.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bus.classes import RangeClass, class_between, higher
from bus.messages import Place
from fusion.settings import Assessment
from physics.constants import EARTH_MEAN_RADIUS_M
from physics.fall import GROUND_OK, LIFTS_BELOW_M, apogee_m, impact
from physics.ground import ELLIPSE_95, Spread, ellipse
from physics.origin import launch_origin
from physics.reach import reaches_m

Float = NDArray[np.float64]

BOOSTING: Final = 0.5  # an object is held to boost from this probability on
_MOST_S: Final = 1e6
_SIGMAS: Final = 2.0


def boosting(phase: Float) -> bool:
    """Whether an object of this phase (3,) has to be taken to boost; also where nothing is known of it."""
    boost, coast, reentry = phase.tolist()
    return bool(boost >= BOOSTING or boost + coast + reentry <= 0.0)


def apogee_of(state: Float, phase: Float, before_m: float | None) -> float:
    """Height of its path's apogee, m, as of its last state (6,) out of re-entry: drag lowers it from there on."""
    _, _, reentry = phase.tolist()
    return before_m if before_m is not None and reentry > 0.0 else float(apogee_m(state))


def class_of(state: Float, cov: Float, phase: Float, before: RangeClass, boost_most: float) -> RangeClass:
    """The class that it has shown, of its state (6,) and covariance (6, 6), and of that `before`.

    Only free flight shows it, and the furthest stays: air takes energy away. By the greatest range of its energy, where that
    is of one class within two sigma of the speed: a lofted flight is of the class of what flies it.
    """
    boost, coast, reentry = phase.tolist()
    if boost > boost_most or coast < reentry or coast <= 0.0:
        return before
    return higher(before, class_between(*reaches_m(state, cov, _SIGMAS)))


def may_lift(apogee_m: float) -> bool:
    """Whether its path stays in the air, where no ballistic prediction is honest."""
    return not apogee_m >= LIFTS_BELOW_M


def place(lat_rad: float, lon_rad: float, spread: Spread, time_ns: int, time_sigma_s: float) -> Place | None:
    """The message's form; None where the numbers are not finite."""
    if not math.isfinite(lat_rad + lon_rad + sum(spread) + time_sigma_s):
        return None
    major, minor, bearing = ellipse(spread)
    return Place(
        lat_deg=min(max(math.degrees(lat_rad), -90.0), 90.0),
        lon_deg=min(max(math.degrees(lon_rad), -180.0), 180.0),
        semi_major_m=major,
        semi_minor_m=minor,
        bearing_deg=bearing,
        time_ns=min(max(time_ns, 0), 2**63 - 1),
        time_sigma_s=min(time_sigma_s, _MOST_S),
    )


def launch_of(valid_ns: int, state: Float, cov: Float, phase: Float, settings: Assessment) -> Place | None:
    """The launch point estimate from one report; None where its path never left the ground.

    By the phase of the report: boost, coast and re-entry (3,), not scaled; none known counts as boost.
    """
    boost, coast, reentry = phase.tolist()
    total = boost + coast + reentry
    origin = launch_origin(state, cov, boost / total if total > 0.0 else 1.0, settings.beta_kg_m2, settings.beta_sigma)
    if origin is None or not math.isfinite(origin.back_s):
        return None
    return place(origin.lat_rad, origin.lon_rad, origin.spread, valid_ns - int(origin.back_s * 1e9), origin.sigma_s)


def impact_of(valid_ns: int, state: Float, cov: Float, settings: Assessment) -> Place | None:
    """The impact prediction from one estimate; None where it does not come down in time."""
    beta, sigma = settings.beta_kg_m2, settings.beta_sigma
    status, fall_s, sigma_s, lat, lon, spread = impact(state, cov, beta, sigma, settings.fall_max_s)
    if status != GROUND_OK:
        return None
    return place(lat, lon, spread, valid_ns + int(fall_s * 1e9), sigma_s)


def sigmas_apart(one: Place, other: Place, least_m: float) -> float:
    """How far two places are apart in sigmas of the surer one, along the axes of either ellipse; half-axes below `least_m` count
    as that.

    Flat Earth: a measure of news, no more.
    """
    north = math.radians(other.lat_deg - one.lat_deg) * EARTH_MEAN_RADIUS_M
    turned = (other.lon_deg - one.lon_deg + 180.0) % 360.0 - 180.0
    east = math.radians(turned) * EARTH_MEAN_RADIUS_M * math.cos(math.radians(one.lat_deg))
    return max(_sigmas_off(north, east, one, least_m), _sigmas_off(north, east, other, least_m))


def _sigmas_off(north_m: float, east_m: float, place: Place, least_m: float) -> float:
    """How many sigmas of a place's ellipse a point so far from its middle is."""
    bearing = math.radians(place.bearing_deg)
    along = north_m * math.cos(bearing) + east_m * math.sin(bearing)
    across = east_m * math.cos(bearing) - north_m * math.sin(bearing)
    return math.hypot(along / max(place.semi_major_m, least_m), across / max(place.semi_minor_m, least_m)) * ELLIPSE_95
