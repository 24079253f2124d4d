"""The catalogue of sensors: radars and infrared satellites, read once, strict. Positions and noise that are not published are
declared notional there; they are scenario parameters, no claim about a real system.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Annotated, Final

import numpy as np
from msgspec import Meta, Struct
from numpy.typing import NDArray

from bus.errors import BadInput
from bus.release import Nation
from bus.settings import from_toml
from physics.constants import EARTH_A_M
from physics.frames import enu_matrix, geodetic_to_ecef
from sensors.missiles import CATALOGUE

Float = NDArray[np.float64]

RADAR: Final = 1  # the wire's phenomenology bits
INFRARED: Final = 2
_FILE: Final = "sensors.toml"
_GEO_RADIUS_M: Final = 42_164_000.0

Positive = Annotated[float, Meta(gt=0.0, description="a number above 0")]
NotNegative = Annotated[float, Meta(ge=0.0, description="a number from 0")]


class Radar(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="radar", tag_field="kind"):
    """One radar: place, face, reach, one-sigma noise and bias of range (m) and of each angle (mrad), and its scan."""

    nation: Nation
    bit: Annotated[int, Meta(ge=0, le=31, description="pedigree bit, 0 to 31, one a sensor")]
    source: str
    lat_deg: Annotated[float, Meta(ge=-90, le=90, description="degrees, -90 to 90")]
    lon_deg: Annotated[float, Meta(ge=-180, le=180, description="degrees, -180 to 180")]
    height_m: Annotated[float, Meta(ge=0, le=5000, description="metres, 0 to 5000: not under the ground")] = 100.0
    az_min_deg: float = 0.0
    az_max_deg: float = 360.0
    el_min_deg: Annotated[float, Meta(ge=0, lt=90, description="degrees, 0 to 90")] = 1.0
    range_km: Positive
    range_sigma_m: Positive
    angle_sigma_mrad: Positive
    range_bias_m: NotNegative
    angle_bias_mrad: NotNegative
    interval_s: Positive
    detection: Annotated[float, Meta(gt=0, le=1, description="probability a scan, above 0, at most 1")]
    false_alarms: NotNegative

    @property
    def position(self) -> Float:
        """ECEF position (3,), m."""
        return geodetic_to_ecef(math.radians(self.lat_deg), math.radians(self.lon_deg), self.height_m)

    @property
    def enu(self) -> Float:
        """Rotation (3, 3) from ECEF to the radar's east, north, up."""
        return enu_matrix(math.radians(self.lat_deg), math.radians(self.lon_deg))


class Infrared(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="infrared", tag_field="kind"):
    """One geostationary infrared satellite: longitude, one-sigma noise and bias of each angle (urad), scan, cloud break."""

    nation: Nation
    bit: Annotated[int, Meta(ge=0, le=31, description="pedigree bit, 0 to 31, one a sensor")]
    source: str
    lon_deg: Annotated[float, Meta(ge=-180, le=180, description="degrees, -180 to 180")]
    angle_sigma_urad: Positive
    angle_bias_urad: NotNegative
    cloud_break_km: NotNegative
    interval_s: Positive
    detection: Annotated[float, Meta(gt=0, le=1, description="probability a scan, above 0, at most 1")]
    false_alarms: NotNegative

    @property
    def position(self) -> Float:
        """ECEF position (3,), m: over the equator, at rest in this frame."""
        lon = math.radians(self.lon_deg)
        return np.array([_GEO_RADIUS_M * math.cos(lon), _GEO_RADIUS_M * math.sin(lon), 0.0])


Sensor = Radar | Infrared


@cache
def sensor_catalogue() -> dict[str, Sensor]:
    """Every sensor by its name. BadInput where the file is wrong or two sensors share a pedigree bit."""
    found = from_toml((CATALOGUE / _FILE).read_text(encoding="utf-8"), _FILE, dict[str, Sensor])
    bits: dict[int, str] = {}
    for name, sensor in found.items():
        if sensor.bit in bits:
            raise BadInput(_FILE, f"{name}.bit", f"{sensor.bit} is already that of {bits[sensor.bit]}", "a bit of its own")
        bits[sensor.bit] = name
    return found


def find_sensors(names: list[str], nation: Nation, source: str) -> dict[str, Sensor]:
    """The named sensors of a nation; BadInput lists the nation's own where one is unknown or another's."""
    catalogue = {name.lower(): (name, sensor) for name, sensor in sensor_catalogue().items() if sensor.nation == nation}
    chosen: dict[str, Sensor] = {}
    for index, wanted in enumerate(names):
        if wanted.lower() not in catalogue:
            allowed = ", ".join(name for name, _ in catalogue.values())
            raise BadInput(source, f"nations.{nation}.sensors[{index}]", f"no sensor {wanted!r} of {nation}", allowed)
        name, sensor = catalogue[wanted.lower()]
        chosen[name] = sensor
    return chosen


def earth_hides(satellite_m: Float, point_m: Float) -> bool:
    """Whether the Earth (a sphere of the equatorial radius less 22 km) stands between a satellite and a point."""
    along = point_m - satellite_m
    share = -float(satellite_m @ along) / float(along @ along)
    nearest = satellite_m + min(max(share, 0.0), 1.0) * along
    return bool(np.linalg.norm(nearest) < EARTH_A_M - 22e3)
