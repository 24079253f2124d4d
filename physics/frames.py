"""Frames: geodetic, Earth-centred Earth-fixed (ECEF, WGS-84), and local east-north-up. All positions in m, angles in rad.

Neglected: polar motion, length of day, geoid undulation (heights are above the ellipsoid), tides.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from physics.compile import jit
from physics.constants import EARTH_A_M, EARTH_B_M, EARTH_E2, EARTH_F

Float = NDArray[np.float64]


@jit
def geodetic_to_ecef(lat_rad: float, lon_rad: float, alt_m: float) -> Float:
    """ECEF position (3,) of geodetic coordinates (NGA.STND.0036, equation 4-14)."""
    sin_lat = math.sin(lat_rad)
    cos_lat = math.cos(lat_rad)
    normal_m = EARTH_A_M / math.sqrt(1.0 - EARTH_E2 * sin_lat * sin_lat)
    out = np.empty(3)
    out[0] = (normal_m + alt_m) * cos_lat * math.cos(lon_rad)
    out[1] = (normal_m + alt_m) * cos_lat * math.sin(lon_rad)
    out[2] = (normal_m * (1.0 - EARTH_E2) + alt_m) * sin_lat
    return out


@jit
def ecef_to_geodetic(r_ecef_m: Float) -> Float:
    """Geodetic latitude rad, longitude rad and height m (3,) of an ECEF position (3,).

    Bowring's formula iterated on the reduced latitude (Survey Review 23, 1976): below 1e-9 m from -10 km to 50,000 km in three
    rounds. NaN at the Earth's centre.
    """
    x, y, z = r_ecef_m[0], r_ecef_m[1], r_ecef_m[2]
    p = math.sqrt(x * x + y * y)
    second_e2 = EARTH_E2 / (1.0 - EARTH_E2)
    reduced = math.atan2(z * EARTH_A_M, p * EARTH_B_M)
    lat = 0.0
    for _ in range(4):
        sin_b, cos_b = math.sin(reduced), math.cos(reduced)
        lat = math.atan2(z + second_e2 * EARTH_B_M * sin_b**3, p - EARTH_E2 * EARTH_A_M * cos_b**3)
        reduced = math.atan2(EARTH_B_M * math.sin(lat), EARTH_A_M * math.cos(lat))
    sin_lat, cos_lat = math.sin(lat), math.cos(lat)
    normal_m = EARTH_A_M / math.sqrt(1.0 - EARTH_E2 * sin_lat * sin_lat)
    out = np.empty(3)
    out[0] = lat
    out[1] = math.atan2(y, x)
    out[2] = p * cos_lat + z * sin_lat - EARTH_A_M * EARTH_A_M / normal_m
    if x == 0.0 and y == 0.0 and z == 0.0:
        out[:] = np.nan
    return out


@jit
def enu_matrix(lat_rad: float, lon_rad: float) -> Float:
    """Rotation (3, 3) from ECEF to local east-north-up: its rows are east, north and up in ECEF."""
    sin_lat, cos_lat = math.sin(lat_rad), math.cos(lat_rad)
    sin_lon, cos_lon = math.sin(lon_rad), math.cos(lon_rad)
    out = np.empty((3, 3))
    out[0, 0], out[0, 1], out[0, 2] = -sin_lon, cos_lon, 0.0
    out[1, 0], out[1, 1], out[1, 2] = -sin_lat * cos_lon, -sin_lat * sin_lon, cos_lat
    out[2, 0], out[2, 1], out[2, 2] = cos_lat * cos_lon, cos_lat * sin_lon, sin_lat
    return out


@jit
def range_az_el(r_site_ecef_m: Float, enu: Float, r_ecef_m: Float) -> Float:
    """Range m, azimuth rad clockwise from north in [0, 2 pi), elevation rad (3,) of a point seen from a site. No refraction."""
    d = r_ecef_m[:3] - r_site_ecef_m
    east = enu[0, 0] * d[0] + enu[0, 1] * d[1] + enu[0, 2] * d[2]
    north = enu[1, 0] * d[0] + enu[1, 1] * d[1] + enu[1, 2] * d[2]
    up = enu[2, 0] * d[0] + enu[2, 1] * d[1] + enu[2, 2] * d[2]
    out = np.empty(3)
    out[0] = math.sqrt(east * east + north * north + up * up)
    out[1] = math.atan2(east, north) % (2.0 * math.pi)
    out[2] = math.atan2(up, math.sqrt(east * east + north * north))
    return out


@jit
def altitude_m(r_ecef_m: Float) -> float:
    """Height above the ellipsoid, m, of an ECEF position."""
    height: float = ecef_to_geodetic(r_ecef_m)[2]
    return height


@jit
def quick_altitude_m(r_ecef_m: Float | tuple[float, ...]) -> float:
    """Height above the ellipsoid, m, to second order in the flattening: within 0.6 m up to 100 km, 5 m at 1,000 km."""
    xy2 = r_ecef_m[0] * r_ecef_m[0] + r_ecef_m[1] * r_ecef_m[1]
    r2 = xy2 + r_ecef_m[2] * r_ecef_m[2]
    s2 = r_ecef_m[2] * r_ecef_m[2] / r2
    height: float = math.sqrt(r2) - EARTH_A_M * (1.0 - EARTH_F * s2 * (1.0 + 1.5 * EARTH_F * (1.0 - s2)))
    return height


@jit
def ground_distance_m(lat1_rad: float, lon1_rad: float, lat2_rad: float, lon2_rad: float) -> float:
    """Geodesic distance, m, on the ellipsoid, by Lambert's formula: within 2e-6 of it to 10,000 km, 2e-3 anywhere.

    Lambert's correction of the great circle between the reduced latitudes (Thomas, Spheroidal Geodesics, US Naval Oceanographic
    Office SP-138, 1970). No iteration: nearly opposite points, where the error is, cost no more.
    """
    reduced1 = math.atan((1.0 - EARTH_F) * math.tan(lat1_rad))
    reduced2 = math.atan((1.0 - EARTH_F) * math.tan(lat2_rad))
    sin2_mean, sin2_half = math.sin((reduced1 + reduced2) / 2.0) ** 2, math.sin((reduced2 - reduced1) / 2.0) ** 2
    near = min(1.0, sin2_half + math.cos(reduced1) * math.cos(reduced2) * math.sin((lon2_rad - lon1_rad) / 2.0) ** 2)
    if near == 0.0:
        return 0.0
    far = max(1.0 - near, 1e-300)
    angle = 2.0 * math.asin(math.sqrt(near))
    outer = (angle - math.sin(angle)) * sin2_mean * (1.0 - sin2_half) / far
    inner = (angle + math.sin(angle)) * (1.0 - sin2_mean) * sin2_half / near
    return EARTH_A_M * (angle - EARTH_F / 2.0 * (outer + inner))


@jit
def bearing_rad(lat1_rad: float, lon1_rad: float, lat2_rad: float, lon2_rad: float) -> float:
    """Initial great-circle bearing, rad clockwise from north in [0, 2 pi), from the first point to the second.

    On a sphere: within 0.3 degrees of the geodesic's, but for nearly opposite points, where bearing means little.
    """
    east = math.sin(lon2_rad - lon1_rad) * math.cos(lat2_rad)
    north = math.cos(lat1_rad) * math.sin(lat2_rad) - math.sin(lat1_rad) * math.cos(lat2_rad) * math.cos(lon2_rad - lon1_rad)
    return math.atan2(east, north) % (2.0 * math.pi)
