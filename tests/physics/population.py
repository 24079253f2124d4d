"""A population of flights, instants of them and reports of them, to hold estimates of launch and impact to.

Every type of the catalogue that does not glide, in turn, with a steering, a place and an azimuth at random; kept when the flight
is a missile's: an apogee of 50 to 7,700 km, a range of 150 km or more, at least 10 degrees of climb at burnout, above 15 km.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Final, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from physics.constants import EARTH_MEAN_RADIUS_M
from physics.frames import altitude_m, ecef_to_geodetic, enu_matrix, geodetic_to_ecef
from physics.ground import ELLIPSE_95, Spread
from sensors.flight import STEP_S, Flight, Steering, fly
from sensors.missiles import missile_types

Float = NDArray[np.float64]
Regime = Literal["boost", "burnout", "apogee", "descent", "reentry"]
Sensor = Literal["radar", "infrared"]

REGIMES: Final[tuple[Regime, ...]] = get_args(Regime)
SENSORS: Final[tuple[Sensor, ...]] = get_args(Sensor)
INSIDE: Final = ELLIPSE_95**2
LN_BETA: Final = np.log([m.beta_kg_m2 for m in missile_types().values() if not m.glide])


class Shot(NamedTuple):
    """One flight at one instant: seconds since launch, the state (6,) then, and what flew."""

    at_s: float
    state: Float
    flight: Flight


@cache
def population(n: int, seed: int) -> tuple[Flight, ...]:
    """`n` flights."""
    rng = np.random.default_rng(seed)
    types = [missile for missile in missile_types().values() if not missile.glide]
    flights: list[Flight] = []
    while len(flights) < n:
        tilt, azimuth, share = rng.uniform(0.15, 2.0), rng.uniform(0.0, 2.0 * math.pi), rng.uniform(0.5, 1.0)
        lat, lon = math.asin(rng.uniform(-0.9, 0.9)), rng.uniform(-math.pi, math.pi)
        steering = Steering(tilt * math.sin(azimuth), tilt * math.cos(azimuth), share)
        flight = fly(types[len(flights) % len(types)], lat, lon, steering)
        if _is_a_missiles(flight):
            flights.append(flight)
    return tuple(flights)


def _is_a_missiles(flight: Flight) -> bool:
    burnout = flight.states[int(flight.burnout_s / STEP_S)]
    lat, lon, height = ecef_to_geodetic(burnout[:3])
    east, north, up = enu_matrix(lat, lon) @ burnout[3:]
    climbs = math.degrees(math.atan2(up, math.hypot(east, north))) >= 10.0
    down = bool(altitude_m(flight.states[-1, :3]) < 1e3)
    return climbs and down and height >= 15e3 and 50e3 <= flight.apogee_m <= 7700e3 and flight.range_m >= 150e3


def shots(flights: tuple[Flight, ...], regime: Regime, seed: int) -> list[Shot]:
    """One instant of each flight: in boost from 20 s on and above 8 km, within 10 s of burnout, around the apogee, descending
    above 80 km, or descending below. Flights that have no such instant are left out.
    """
    rng = np.random.default_rng(seed)
    out = []
    for flight in flights:
        states = flight.states
        radius = np.sqrt((states[:, :3] ** 2).sum(axis=1))
        burnout, top, last = math.ceil(flight.burnout_s / STEP_S) + 1, int(np.argmax(radius)), len(states) - 2
        first, end = {
            "boost": (int(20.0 / STEP_S), burnout - 2),
            "burnout": (burnout, burnout + 40),
            "apogee": (max(top - 40, burnout), top + 40),
            "descent": (top + 1, last),
            "reentry": (top + 1, last),
        }[regime]
        rows = np.arange(first, min(end, last))
        ground = np.array([radius[0] + (radius[-1] - radius[0]) * row / last for row in rows])  # the ellipsoid, nearly
        height = radius[rows] - ground
        keep = {"boost": height > 8e3, "descent": height > 80e3, "reentry": height < 80e3}.get(regime, height > 0.0)
        if keep.any():
            row = int(rng.choice(rows[keep]))
            out.append(Shot(row * STEP_S, states[row], flight))
    return out


def reported(state: Float, sensor: Sensor, rng: np.random.Generator) -> tuple[Float, Float]:
    """The state with an error, and the covariance (6, 6) that the error is of.

    Radar: 50 to 500 m and 3 to 50 m/s an axis, errors of place and velocity tied. Infrared: 1 to 10 km along one line, 0.1 to
    1 km across it; 100 to 500 m/s an axis.
    """
    turn, _ = np.linalg.qr(rng.standard_normal((3, 3)))
    if sensor == "radar":
        place, speed = 50.0 * 10.0 ** rng.uniform(0.0, 1.0, 3), 3.0 * (50.0 / 3.0) ** rng.uniform(0.0, 1.0, 3)
    else:
        place = np.array([1e3, 1e2, 1e2]) * 10.0 ** rng.uniform(0.0, 1.0, 3)
        speed = 100.0 * 5.0 ** rng.uniform(0.0, 1.0, 3)
    tie = rng.uniform(-0.7, 0.7, 3)
    cov = np.block(
        [
            [turn @ np.diag(place**2) @ turn.T, turn @ np.diag(tie * place * speed) @ turn.T],
            [turn @ np.diag(tie * place * speed) @ turn.T, turn @ np.diag(speed**2) @ turn.T],
        ]
    )
    return state + np.linalg.cholesky(cov) @ rng.standard_normal(6), cov


def apart2(lat_rad: float, lon_rad: float, spread: Spread, to_rad: Float) -> float:
    """Squared distance of a place to another, (2,) or more, by the place's spread: 5.99 is the edge of the 95-percent ellipse."""
    east, both, north = spread
    d = offset_m(lat_rad, lon_rad, to_rad)
    return float(d @ np.linalg.solve(np.array([[east, both], [both, north]]), d))


def offset_m(lat_rad: float, lon_rad: float, to_rad: Float) -> Float:
    """East and north (2,), m, of the second place in the tangent plane of the first, stretched to distances on the ground."""
    d = enu_matrix(lat_rad, lon_rad) @ (geodetic_to_ecef(to_rad[0], to_rad[1], 0.0) - geodetic_to_ecef(lat_rad, lon_rad, 0.0))
    flat = math.hypot(d[0], d[1])
    angle = math.atan2(flat, EARTH_MEAN_RADIUS_M + d[2])
    stretch = angle * EARTH_MEAN_RADIUS_M / flat if flat > 1.0 else 1.0
    return stretch * np.array([d[0], d[1]])


def told(name: str, far2: list[float], late: list[float], half_axes: list[tuple[float, float]]) -> tuple[float, float]:
    """The shares inside the 95-percent ellipse and within one sigma of the time; printed with the usual sizes."""
    inside, timely = float(np.mean(np.array(far2) < INSIDE)), float(np.mean(np.abs(late) < 1.0))
    major, minor = np.median(np.array(half_axes), axis=0) / 1e3
    print(f"{name}: {len(far2)} shots, inside {inside:.3f}, timely {timely:.3f}, half-axes {major:.1f} and {minor:.1f} km")
    return inside, timely
