"""Places on the ground and how well they are known: moves, spreads, ellipses, and where an uncertain path meets the ground.

A spread is the covariance of a point on the ground, east and north. Ellipses are of 95 percent: 2.448 sigma in two dimensions
(chi-square, 5.991). Here is geometry only: what is launched where is in `physics.origin`, what falls where in `physics.fall`.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from physics.compile import jit
from physics.constants import EARTH_MEAN_RADIUS_M
from physics.frames import ecef_to_geodetic, enu_matrix, geodetic_to_ecef

Float = NDArray[np.float64]
Spread = tuple[float, float, float]  # variances and covariance of a point on the ground, m2: east, east-north, north

ELLIPSE_95: Final = math.sqrt(5.991464547)
_MOST_M: Final = 1e7  # half-axes are cut here: half round the Earth says nothing
_MOST_RAD: Final = 1.5  # the longest move, as an angle: the tangent plane sees no further
_LEAST_M_S: Final = 30.0  # a path that crosses the ground flatter than this is taken to cross it so


@jit
def moved(lat_rad: float, lon_rad: float, east_m: float, north_m: float) -> tuple[float, float]:
    """Latitude and longitude, rad, of the point that many metres off along the great circle that begins in that direction.

    By the tangent plane, pulled down to the ellipsoid: within 1e-4 of the distance to 1,000 km, near the poles too.
    """
    angle = min(math.sqrt(east_m * east_m + north_m * north_m) / EARTH_MEAN_RADIUS_M, _MOST_RAD)
    stretch = math.tan(angle) / angle if angle > 1e-6 else 1.0
    r, turn = geodetic_to_ecef(lat_rad, lon_rad, 0.0), enu_matrix(lat_rad, lon_rad)
    for i in range(3):
        r[i] += stretch * (turn[0, i] * east_m + turn[1, i] * north_m)
    there = ecef_to_geodetic(r)
    return there[0], there[1]


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
def crossing(v: Float) -> tuple[Float, float]:
    """How the point (2,) where a path crosses the ground moves with its position there, (2, 3), and its speed upwards, m/s.

    `v` (3,): velocity east, north, up. An error upwards moves the point along the path, and the time by one over that speed.
    """
    steep = v[2] if abs(v[2]) > _LEAST_M_S else (_LEAST_M_S if v[2] >= 0.0 else -_LEAST_M_S)
    slope = np.zeros((2, 3))
    for i in range(2):
        slope[i, i] = 1.0
        slope[i, 2] = -v[i] / steep
    return slope, steep


@jit
def spread_of(slope: Float, cov: Float) -> Spread:
    """The spread of a point on the ground, from its slope (2, n) with n numbers and their covariance (n, n)."""
    east, both, north = 0.0, 0.0, 0.0
    for i in range(slope.shape[1]):
        for j in range(slope.shape[1]):
            east += slope[0, i] * cov[i, j] * slope[0, j]
            both += slope[0, i] * cov[i, j] * slope[1, j]
            north += slope[1, i] * cov[i, j] * slope[1, j]
    return east, both, north


@jit
def ellipse(spread: Spread) -> tuple[float, float, float]:
    """Half-axes m (major, minor) and the major one's bearing, deg, of the 95-percent ellipse."""
    east, both, north = spread
    middle, half = 0.5 * (east + north), math.hypot(0.5 * (east - north), both)
    bearing = math.degrees(0.5 * math.atan2(2.0 * both, north - east))  # clockwise from north
    major, minor = ELLIPSE_95 * math.sqrt(max(middle + half, 0.0)), ELLIPSE_95 * math.sqrt(max(middle - half, 0.0))
    return min(major, _MOST_M), min(minor, _MOST_M), bearing % 180.0


@jit
def heading_deg(state: Float) -> float:
    """Direction of the horizontal velocity, degrees clockwise from north in [0, 360)."""
    geodetic = ecef_to_geodetic(state[:3])
    turn = enu_matrix(geodetic[0], geodetic[1])
    east = turn[0, 0] * state[3] + turn[0, 1] * state[4] + turn[0, 2] * state[5]
    north = turn[1, 0] * state[3] + turn[1, 1] * state[4] + turn[1, 2] * state[5]
    turned = math.degrees(math.atan2(east, north)) % 360.0
    return turned if turned >= 0.0 else 0.0
