"""A state to propagate and to drop."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from physics.frames import enu_matrix, geodetic_to_ecef

Float = NDArray[np.float64]


def shot(speed_m_s: float = 3000.0, elevation_deg: float = 45.0, azimuth_deg: float = 80.0, alt_m: float = 100e3) -> Float:
    """A state over Korea: speed relative to the Earth at an elevation and azimuth."""
    lat, lon, el, az = math.radians(39.0), math.radians(126.0), math.radians(elevation_deg), math.radians(azimuth_deg)
    local = speed_m_s * np.array([math.cos(el) * math.sin(az), math.cos(el) * math.cos(az), math.sin(el)])
    return np.concatenate([geodetic_to_ecef(lat, lon, alt_m), local @ enu_matrix(lat, lon)])
