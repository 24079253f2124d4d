"""Assesses an object: is it boosting, where was it launched, where and when will it come down. Pure.

Launch, from the earliest report. While it boosts, from rest on a rising path that pitches over: the flight so far is 2 h / v_up
at constant vertical acceleration, and speed / a at a usual acceleration a, weighted by their variances; the ground covered is a
third of v_horizontal times that (a horizontal speed that grows with the square of time). The ellipse holds the report's
covariance and the model's error, which is larger. First seen in coast: back along the ballistic path to the ground, with a wide
ellipse, because the boost it replaces is unknown. Where the phase is not sure, both, as the two parts of a mixture.

Impact, only while it does not boost: the fall with drag at a nominal ballistic coefficient, what is unknown of it in the ellipse.

Ellipses are of 95 percent: 2.448 sigma in two dimensions (chi-square, 5.991). Does not decide when to assess.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bus.messages import Place
from fusion.settings import Assessment
from physics.compile import jit
from physics.constants import EARTH_MEAN_RADIUS_M
from physics.frames import ecef_to_geodetic, enu_matrix
from physics.propagate import GROUND_OK, propagate_cov_one, propagate_one, to_ground

Float = NDArray[np.float64]
Spread = tuple[float, float, float]  # variances and covariance of a point on the ground, m2: east, east-north, north

ELLIPSE_95: Final = math.sqrt(5.991464547)
BOOSTING: Final = 0.5  # an object is held to boost from this probability on
SURE: Final = 0.8  # a first report is read as one from the boost alone from this probability on, from the coast alone below the
UNLIKELY: Final = 0.1  # other; between them as either: a tracker is slow to be sure
_MOST_M: Final = 1e7  # half-axes are cut here: half round the Earth says nothing
_MOST_S: Final = 1e6
_BOOST_MOST_S: Final = 400.0
_BACK_STEP_S = 10.0
_BACK_MOST_S = 4500.0  # longer than the longest lofted flight has been in coast


@jit
def moved(lat_rad: float, lon_rad: float, east_m: float, north_m: float) -> tuple[float, float]:
    """Latitude and longitude, rad, that many metres to the east and the north, on a sphere."""
    cos_lat = max(math.cos(lat_rad), 1e-3)
    lon = lon_rad + east_m / (EARTH_MEAN_RADIUS_M * cos_lat)
    return min(max(lat_rad + north_m / EARTH_MEAN_RADIUS_M, -math.pi / 2), math.pi / 2), (lon + math.pi) % (
        2.0 * math.pi
    ) - math.pi


@jit
def ground_state(state: Float, cov: Float) -> tuple[Float, Float, Float]:
    """Geodetic position (3,), velocity east, north, up (3,) and the covariance in that frame (6, 6).

    Plain loops: a library's matrix product would be one more thing to bring into a cold cache.
    """
    geodetic = ecef_to_geodetic(state[:3])
    turn = enu_matrix(geodetic[0], geodetic[1])
    v, half, out = np.zeros(3), np.zeros((6, 6)), np.zeros((6, 6))
    for i in range(3):
        for k in range(3):
            v[i] += turn[i, k] * state[3 + k]
            for j in range(6):
                half[i, j] += turn[i, k] * cov[k, j]
                half[3 + i, j] += turn[i, k] * cov[3 + k, j]
    for i in range(6):
        for j in range(3):
            for k in range(3):
                out[i, j] += half[i, k] * turn[j, k]
                out[i, 3 + j] += half[i, 3 + k] * turn[j, k]
    return geodetic, v, out


@jit
def boost_origin(state: Float, cov: Float, thrust_m_s2: float) -> tuple[float, float, float, float, Spread]:
    """Of a boosting object: seconds since launch, their sigma, the launch point's latitude and longitude (rad), its spread."""
    geodetic, v, p = ground_state(state, cov)
    h = max(geodetic[2], 0.0)
    speed = math.sqrt(v[0] * v[0] + v[1] * v[1] + v[2] * v[2])
    across = math.sqrt(v[0] * v[0] + v[1] * v[1])
    by_speed = speed / thrust_m_s2
    var_speed = (0.4 * by_speed) ** 2 + (p[3, 3] + p[4, 4] + p[5, 5]) / (3.0 * thrust_m_s2**2) + 4.0
    t, var = by_speed, var_speed
    if v[2] > 50.0:
        by_height = 2.0 * h / v[2]
        var_height = (0.25 * by_height) ** 2 + 4.0 * p[2, 2] / v[2] ** 2 + (by_height / v[2]) ** 2 * p[5, 5] + 1.0
        var = 1.0 / (1.0 / var_speed + 1.0 / var_height)
        t = var * (by_speed / var_speed + by_height / var_height)
    t = min(max(t, 0.0), _BOOST_MOST_S)
    share = t / 3.0
    model = (0.5 * share * across) ** 2 + 0.02 * h * h + 1e6
    east = p[0, 0] - 2.0 * share * p[0, 3] + share * share * p[3, 3] + model
    north = p[1, 1] - 2.0 * share * p[1, 4] + share * share * p[4, 4] + model
    both = p[0, 1] - share * (p[0, 4] + p[1, 3]) + share * share * p[3, 4]
    lat, lon = moved(geodetic[0], geodetic[1], -share * v[0], -share * v[1])
    return t, math.sqrt(var), lat, lon, (east, both, north)


@jit
def coast_origin(state: Float, cov: Float) -> tuple[bool, float, Float, Float]:
    """Back along the ballistic path, no air: (found, seconds since it left the ground, state (6,) there, covariance (6, 6))."""
    x = state.copy()
    t = 0.0
    if not ecef_to_geodetic(x[:3])[2] > 0.0:
        return True, 0.0, x, cov.copy()
    while t < _BACK_MOST_S:
        before = propagate_one(x, -_BACK_STEP_S)
        if not ecef_to_geodetic(before[:3])[2] > 0.0:
            low, high = 0.0, _BACK_STEP_S
            for _ in range(12):
                middle = 0.5 * (low + high)
                if ecef_to_geodetic(propagate_one(x, -middle)[:3])[2] > 0.0:
                    low = middle
                else:
                    high = middle
            t += high
            there, spread = propagate_cov_one(state, cov, -t, 0.0)
            return True, t, there, spread
        x = before
        t += _BACK_STEP_S
    return False, t, x, cov.copy()


@jit
def on_ground(state: Float, cov: Float) -> tuple[Spread, float]:
    """The spread of where a path crosses the ground, and the sigma of the time; from its state there."""
    _, v, p = ground_state(state, cov)
    steep = v[2] if abs(v[2]) > 30.0 else (30.0 if v[2] >= 0.0 else -30.0)
    cross = np.zeros((2, 3))
    for i in range(2):
        cross[i, i] = 1.0
        cross[i, 2] = -v[i] / steep
    spread = cross @ p[:3, :3].copy() @ cross.T
    return (spread[0, 0], spread[0, 1], spread[1, 1]), math.sqrt(max(p[2, 2], 0.0)) / abs(steep)


@jit
def heading_deg(state: Float) -> float:
    """Direction of the horizontal velocity, degrees clockwise from north in [0, 360)."""
    geodetic = ecef_to_geodetic(state[:3])
    turn = enu_matrix(geodetic[0], geodetic[1])
    east = turn[0, 0] * state[3] + turn[0, 1] * state[4] + turn[0, 2] * state[5]
    north = turn[1, 0] * state[3] + turn[1, 1] * state[4] + turn[1, 2] * state[5]
    turned = math.degrees(math.atan2(east, north)) % 360.0
    return turned if turned >= 0.0 else 0.0


def boosting(phase: Float) -> bool:
    """Whether an object has to be taken to boost; also where nothing is known of its phase."""
    boost, coast, reentry = phase.tolist()
    return bool(boost >= BOOSTING or boost + coast + reentry <= 0.0)


@jit
def ellipse(spread: Spread) -> tuple[float, float, float]:
    """Half-axes m (major, minor) and the major one's bearing, deg, of the 95-percent ellipse."""
    east, both, north = spread
    middle, half = 0.5 * (east + north), math.hypot(0.5 * (east - north), both)
    bearing = math.degrees(0.5 * math.atan2(2.0 * both, north - east))  # clockwise from north
    major, minor = ELLIPSE_95 * math.sqrt(max(middle + half, 0.0)), ELLIPSE_95 * math.sqrt(max(middle - half, 0.0))
    return min(major, _MOST_M), min(minor, _MOST_M), bearing % 180.0


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


def widened(spread: Spread, sigma_m: float) -> Spread:
    """The spread with an independent error of `sigma_m` an axis added."""
    return spread[0] + sigma_m**2, spread[1], spread[2] + sigma_m**2


class Origin(NamedTuple):
    """Where and how long ago an object left the ground: rad, m2, s."""

    lat_rad: float
    lon_rad: float
    spread: Spread
    back_s: float
    sigma_s: float


def launch_of(valid_ns: int, state: Float, cov: Float, phase: Float, settings: Assessment) -> Place | None:
    """The launch point estimate from one report; None where its path never left the ground."""
    origin = origin_of(state, cov, phase, settings)
    if origin is None or not math.isfinite(origin.back_s):
        return None
    return place(origin.lat_rad, origin.lon_rad, origin.spread, valid_ns - int(origin.back_s * 1e9), origin.sigma_s)


def origin_of(state: Float, cov: Float, phase: Float, settings: Assessment) -> Origin | None:
    """By the phase of the first report: boost, coast and re-entry (3,), not scaled; none known counts as boost."""
    boost, coast, reentry = phase.tolist()
    total = boost + coast + reentry
    boosts = boost / total if total > 0.0 else 1.0
    x, y, z, vx, vy, vz = state.tolist()
    if boosts < UNLIKELY or x * vx + y * vy + z * vz <= 0.0:  # what comes down has not just been launched
        return _from_coast(state, cov, settings)
    back_s, sigma_s, lat, lon, spread = boost_origin(state, cov, settings.thrust_m_s2)
    boosted = Origin(lat, lon, spread, back_s, sigma_s)
    coasted = _from_coast(state, cov, settings) if boosts < SURE else None
    return boosted if coasted is None else mixture(boosted, coasted, boosts)


def _from_coast(state: Float, cov: Float, settings: Assessment) -> Origin | None:
    found, back_s, there, cov_there = coast_origin(state, cov)
    if not found or not np.isfinite(there).all():
        return None
    spread, sigma_s = on_ground(there, cov_there)
    lat, lon, _ = ecef_to_geodetic(there[:3]).tolist()
    speed_m_s = float(np.linalg.norm(there[3:]))
    boost_s = speed_m_s / settings.thrust_m_s2  # what the ballistic path replaces by an instant
    spread = widened(spread, 0.15 * speed_m_s * boost_s)
    return Origin(lat, lon, spread, back_s + 0.4 * boost_s, math.hypot(sigma_s, 0.3 * boost_s))


def mixture(one: Origin, other: Origin, share: float) -> Origin:
    """The mean and the spread of two possibilities, the first with probability `share` (flat Earth between the two)."""
    rest = 1.0 - share
    east = (other.lon_rad - one.lon_rad + math.pi) % (2.0 * math.pi) - math.pi
    east *= EARTH_MEAN_RADIUS_M * math.cos(one.lat_rad)
    north = (other.lat_rad - one.lat_rad) * EARTH_MEAN_RADIUS_M
    between = (east * east, east * north, north * north)
    a, b, c = (share * p + rest * q + share * rest * d for p, q, d in zip(one.spread, other.spread, between, strict=True))
    lat, lon = moved(one.lat_rad, one.lon_rad, rest * east, rest * north)
    back_s = share * one.back_s + rest * other.back_s
    var_s = share * one.sigma_s**2 + rest * other.sigma_s**2 + share * rest * (other.back_s - one.back_s) ** 2
    return Origin(lat, lon, (a, b, c), back_s, math.sqrt(var_s))


def impact_of(valid_ns: int, state: Float, cov: Float, settings: Assessment) -> Place | None:
    """The impact prediction from one estimate; None where it does not come down in time or has no spread worth naming."""
    status, fall_s, there, cov_there = to_ground(state, cov, 0.0, settings.beta_kg_m2, settings.fall_max_s)
    if status != GROUND_OK:
        return None
    spread, sigma_s = on_ground(there, cov_there)
    lat, lon, _ = ecef_to_geodetic(there[:3]).tolist()
    share = min(fall_s / 120.0, 1.0)  # what is left of the air to fall through, roughly: its error fades towards the ground
    spread = widened(spread, settings.beta_m * share)
    return place(lat, lon, spread, valid_ns + int(fall_s * 1e9), math.hypot(sigma_s, settings.beta_time_s * share))


def sigmas_apart(one: Place, other: Place) -> float:
    """How far two places are apart in units of their common sigma (major half-axes; flat Earth: a measure of news, no more)."""
    north = math.radians(other.lat_deg - one.lat_deg) * EARTH_MEAN_RADIUS_M
    turned = (other.lon_deg - one.lon_deg + 180.0) % 360.0 - 180.0
    east = math.radians(turned) * EARTH_MEAN_RADIUS_M * math.cos(math.radians(one.lat_deg))
    sigma = max(one.semi_major_m, other.semi_major_m, 1.0) / ELLIPSE_95
    return math.hypot(north, east) / sigma
