"""The catalogue of sensors: radars and infrared satellites, read once, strict. Positions and noise that are not published are
declared notional there; they are scenario parameters, no claim about a real system.
"""

from __future__ import annotations

import math
from functools import cache
from itertools import pairwise
from typing import Annotated, Final

import numpy as np
from msgspec import Meta, Struct
from numpy.typing import NDArray

from bus.errors import BadInput
from bus.release import Nation
from bus.settings import entries_from_toml
from physics.frames import ground_distance_m
from sensors.missiles import CATALOGUE
from sensors.quantities import Degrees, Latitude, Longitude

Float = NDArray[np.float64]

RADAR: Final = 1  # the wire's phenomenology bits
INFRARED: Final = 2
_FILE: Final = "sensors.toml"
_GEO_RADIUS_M: Final = 42_164_000.0
_KNOT_M_S: Final = 1852.0 / 3600.0
_RISES_M_S: Final = 630.0  # how fast what comes through the clouds climbs: of published flights 360 to 1,020
_BREAK_SIGMA_M: Final = 2e3  # of the cloud break, and of what is missed at first

Reach = Annotated[float, Meta(gt=0.0, le=10_000.0, description="kilometres, above 0, at most 10000")]
Interval = Annotated[float, Meta(ge=0.05, le=600.0, description="seconds, 0.05 to 600")]
ErrorM = Annotated[float, Meta(ge=0.0, le=10_000.0, description="metres, 0 to 10000")]
ErrorMrad = Annotated[float, Meta(ge=0.0, le=100.0, description="milliradians, 0 to 100")]
ErrorUrad = Annotated[float, Meta(ge=0.0, le=10_000.0, description="microradians, 0 to 10000")]
FalseAlarms = Annotated[float, Meta(ge=0.0, le=1000.0, description="mean a scan, 0 to 1000")]


class Waypoint(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A place that a ship sails by."""

    lat_deg: Latitude
    lon_deg: Longitude


class Radar(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="radar", tag_field="kind"):
    """One radar: place, face and reach; what it detects, how well it measures, what it resolves, and how often it looks.

    A target of 1 m2 has a signal-to-noise ratio of 13 dB at `one_m2_km`. `cell_m` and `beam_deg` are its resolution in range and
    in angle; errors shrink with signal down to the floors; biases are one-sigma and hold for an exercise. It looks at what it
    tracks every `track_s`, and at each part of its face every `search_s`. A ship sails by `path` and back, for ever.
    """

    nation: Nation
    bit: Annotated[int, Meta(ge=0, le=31, description="pedigree bit, 0 to 31, one a sensor")]
    source: str
    lat_deg: Latitude
    lon_deg: Longitude
    height_m: Annotated[float, Meta(ge=0, le=5000, description="metres, 0 to 5000: not under the ground")] = 100.0
    path: tuple[Waypoint, ...] = ()
    speed_kn: Annotated[float, Meta(ge=0, le=60, description="knots, 0 to 60")] = 0.0
    az_min_deg: Degrees = 0.0
    az_max_deg: Degrees = 360.0
    el_min_deg: Annotated[float, Meta(ge=0, lt=90, description="degrees, 0 to 90")] = 1.0
    el_max_deg: Annotated[float, Meta(gt=0, le=90, description="degrees, above 0, at most 90")] = 90.0
    range_km: Reach
    one_m2_km: Reach
    false_alarm: Annotated[float, Meta(gt=0, lt=0.1, description="probability a look, above 0, below 0.1")] = 1e-6
    cell_m: Annotated[float, Meta(ge=0.1, le=10_000.0, description="metres, 0.1 to 10000")]
    beam_deg: Annotated[float, Meta(ge=0.01, le=30, description="degrees, 0.01 to 30")]
    range_floor_m: ErrorM
    angle_floor_mrad: ErrorMrad
    range_bias_m: ErrorM
    angle_bias_mrad: ErrorMrad
    track_s: Interval
    search_s: Interval
    false_alarms: FalseAlarms

    @property
    def interval_s(self) -> float:
        """Seconds between its scans."""
        return self.track_s

    def place_at(self, since_s: float) -> tuple[float, float]:
        """Latitude and longitude, rad, so many seconds into an exercise: at sea, on straight lines between the waypoints."""
        here = Waypoint(lat_deg=self.lat_deg, lon_deg=self.lon_deg)
        legs = list(pairwise((here, *self.path)))
        lengths_m = [_apart_m(one, other) for one, other in legs]
        whole_m = sum(lengths_m)
        if whole_m <= 0.0 or self.speed_kn <= 0.0:
            return math.radians(self.lat_deg), math.radians(self.lon_deg)
        sailed_m = max(since_s, 0.0) * self.speed_kn * _KNOT_M_S % (2.0 * whole_m)
        sailed_m = min(sailed_m, 2.0 * whole_m - sailed_m)
        leg = 0
        while leg < len(legs) - 1 and sailed_m > lengths_m[leg]:
            sailed_m -= lengths_m[leg]
            leg += 1
        (one, other), share = legs[leg], min(sailed_m / max(lengths_m[leg], 1e-9), 1.0)
        lat_deg = one.lat_deg + share * (other.lat_deg - one.lat_deg)
        return math.radians(lat_deg), math.radians(one.lon_deg + share * (other.lon_deg - one.lon_deg))


class Infrared(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="infrared", tag_field="kind"):
    """One geostationary infrared satellite: longitude, sensitivity, resolution, errors, scan, and the cloud break.

    `noise_kw_sr` is the radiant intensity that its noise equals at 38,000 km. Errors of each angle shrink with signal down to
    the floor; the bias is one-sigma and holds for an exercise.
    """

    nation: Nation
    bit: Annotated[int, Meta(ge=0, le=31, description="pedigree bit, 0 to 31, one a sensor")]
    source: str
    lon_deg: Longitude
    noise_kw_sr: Annotated[float, Meta(ge=0.001, le=1000.0, description="kilowatts a steradian, 0.001 to 1000")]
    threshold: Annotated[float, Meta(ge=3, le=20, description="signal-to-noise ratio, 3 to 20")] = 6.0
    pixel_urad: Annotated[float, Meta(ge=0.1, le=10_000.0, description="microradians, 0.1 to 10000")]
    angle_floor_urad: ErrorUrad
    angle_bias_urad: ErrorUrad
    cloud_break_km: Annotated[float, Meta(ge=0.0, le=100.0, description="kilometres, 0 to 100")]
    scan_s: Interval
    false_alarms: FalseAlarms

    @property
    def interval_s(self) -> float:
        """Seconds between its scans."""
        return self.scan_s

    @property
    def first_seen(self) -> tuple[float, float]:
        """Height m, and one sigma, of a plume that it sees for the first time: come through the clouds since its last scan."""
        half_m = 0.5 * self.scan_s * _RISES_M_S
        return self.cloud_break_km * 1e3 + half_m, _BREAK_SIGMA_M + half_m

    @property
    def position(self) -> Float:
        """ECEF position (3,), m: over the equator, at rest in this frame."""
        lon = math.radians(self.lon_deg)
        return np.array([_GEO_RADIUS_M * math.cos(lon), _GEO_RADIUS_M * math.sin(lon), 0.0])


Sensor = Radar | Infrared
_KINDS: Final[dict[str, type[Sensor]]] = {"radar": Radar, "infrared": Infrared}


def parse_sensors(text: str, source: str) -> dict[str, Sensor]:
    """Sensors by name. BadInput names `source`, the key and what is allowed; also where two share a pedigree bit."""
    found = entries_from_toml(text, source, _KINDS, "kind")
    bits: dict[int, str] = {}
    for name, sensor in found.items():
        if sensor.bit in bits:
            raise BadInput(source, f"{name}.bit", f"{sensor.bit} is already that of {bits[sensor.bit]}", "a bit of its own")
        bits[sensor.bit] = name
        if isinstance(sensor, Radar) and sensor.el_max_deg <= sensor.el_min_deg:
            raise BadInput(
                source, f"{name}.el_max_deg", f"{sensor.el_max_deg:g} is not above el_min_deg", f"above {sensor.el_min_deg:g}"
            )
        if isinstance(sensor, Radar) and sensor.search_s < sensor.track_s:
            raise BadInput(source, f"{name}.search_s", f"{sensor.search_s:g} is below track_s", f"from {sensor.track_s:g}")
        if isinstance(sensor, Radar) and bool(sensor.path) != (sensor.speed_kn > 0.0):
            raise BadInput(source, f"{name}.speed_kn", "a path and a speed go together", "both, or neither")
    return found


@cache
def sensor_catalogue() -> dict[str, Sensor]:
    """Every sensor of the catalogue by its name."""
    return parse_sensors((CATALOGUE / _FILE).read_text(encoding="utf-8"), _FILE)


def find_sensors(names: list[str], nation: Nation, source: str, key: str) -> dict[str, Sensor]:
    """The named sensors of a nation. BadInput names `source` and the place in the list at `key`, and lists the nation's own,
    where one is unknown or another's.
    """
    catalogue = {name.lower(): (name, sensor) for name, sensor in sensor_catalogue().items() if sensor.nation == nation}
    chosen: dict[str, Sensor] = {}
    for index, wanted in enumerate(names):
        if wanted.lower() not in catalogue:
            allowed = ", ".join(name for name, _ in catalogue.values())
            raise BadInput(source, f"{key}[{index}]", f"no sensor {wanted!r} of {nation}", allowed)
        name, sensor = catalogue[wanted.lower()]
        chosen[name] = sensor
    return chosen


def _apart_m(one: Waypoint, other: Waypoint) -> float:
    return ground_distance_m(*(math.radians(x) for x in (one.lat_deg, one.lon_deg, other.lat_deg, other.lon_deg)))
