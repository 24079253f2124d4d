"""Detections: what one sensor measures in one scan, with noise, bias, misses, false alarms and outages.

A radar's detection is a position: range and two angles turned into ECEF, its covariance long across the line of sight. An
infrared detection is a direction: the same with no knowledge along the line of sight, so that its information is singular.
Both are linear in the target's position, so one filter takes both (converted measurements: Lerro and Bar-Shalom, IEEE Trans. AES
29(3), 1993; at these angles their debiasing term is below 2 m at 1,000 km).

A radar sees what is in its face and reach and above its horizon: refraction bends rays as if the Earth were 4/3 as large.
Infrared sees what burns above the cloud break and is not behind the Earth. Neither resolves nor confuses two objects.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bus.release import Nation
from physics.compile import jit
from physics.constants import EARTH_MEAN_RADIUS_M
from physics.frames import altitude_m, geodetic_to_ecef, range_az_el
from sensors.instruments import INFRARED, RADAR, Infrared, Radar, Sensor, earth_hides
from sensors.scenario import Outage, Scenario
from sensors.truth import Truth

Float = NDArray[np.float64]

_NS: Final = 1_000_000_000
_REFRACTION: Final = 4.0 / 3.0
# False alarms are spread over the air and sea around the peninsula, where the sensors look.
_CLUTTER_LAT_DEG: Final = (35.0, 42.0)
_CLUTTER_LON_DEG: Final = (123.0, 138.0)
_CLUTTER_HEIGHT_M: Final = (5e3, 150e3)
_FALSE: Final = -1
REFERENCE_HEIGHT_M: Final = 25e3  # where an infrared detection is put on its line of sight: mid-boost of most


@dataclass(frozen=True, slots=True, eq=False)
class Scan:
    """One scan's detections. `origin` is the index of the launch each came from, -1 for a false alarm (for the scorer only).

    position: (n, 3) ECEF m, for infrared at the reference height on the line of sight. information: (n, 3, 3) 1/m2, inverse
    of the covariance of noise and bias together; bias_cov: (n, 3, 3) m2 (infrared: only across the line of sight);
    sight: (n, 3) unit vectors.
    """

    at_ns: int
    bit: int
    phenomenology: int
    position: Float
    information: Float
    bias_cov: Float
    sight: Float
    origin: NDArray[np.int64]


class Scanner:
    """One sensor with its own random stream: adding a sensor changes no other's noise."""

    def __init__(self, sensor: Sensor, scenario: Scenario, truth: Truth, nation: Nation, seed: int) -> None:
        self.sensor, self._truth, self._nation = sensor, truth, nation
        plan = scenario.nations[nation]
        self._outages = [outage for outage in scenario.outages if _concerns(outage, sensor, nation)]
        self._false_alarms = sensor.false_alarms * plan.false_alarms
        self._random = np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(sensor.bit,))))
        self._position = sensor.position
        drawn = self._random.standard_normal(3)
        if isinstance(sensor, Radar):
            self._noise = np.array([sensor.range_sigma_m, sensor.angle_sigma_mrad / 1e3])
            self._bias_sigma = np.array([sensor.range_bias_m, sensor.angle_bias_mrad / 1e3]) * plan.bias
        else:
            self._noise = np.array([0.0, sensor.angle_sigma_urad / 1e6])
            self._bias_sigma = np.array([0.0, sensor.angle_bias_urad / 1e6]) * plan.bias
        self._bias = drawn * self._bias_sigma[[0, 1, 1]]

    def scans(self) -> Iterator[Scan]:
        """Every scan of the exercise in order of time. The first is at a phase of the sensor's own."""
        interval_ns = int(self.sensor.interval_s * _NS)
        at_ns = self._truth.start_ns + (self.sensor.bit * 7919 % 97) * interval_ns // 97
        while at_ns <= self._truth.end_ns:
            yield self._scan(at_ns)
            at_ns += interval_ns

    def sees(self, at_ns: int) -> NDArray[np.int64]:
        """The launches (indices) that this sensor could detect at an instant."""
        states = self._truth.states_at(at_ns)
        candidates = np.flatnonzero(np.isfinite(states[:, 0]))
        sensor = self.sensor
        if isinstance(sensor, Radar):
            enu = sensor.enu
            seen = [i for i in candidates if _in_reach(sensor, self._position, enu, states[i])]
        else:
            burning = self._truth.thrusting_at(at_ns)
            seen = [i for i in candidates if burning[i] and _bright(sensor, self._position, states[i])]
        return np.array([i for i in seen if not self._blind(int(i), at_ns)], dtype=np.int64)

    def _blind(self, launch: int, at_ns: int) -> bool:
        since_s = (at_ns - self._truth.start_ns) / 1e9
        burnout_ns = self._truth.launches[launch].burnout_ns
        return any(
            outage.from_s <= since_s < outage.to_s
            if outage.after_burnout_s is None
            else (at_ns - burnout_ns) / 1e9 > outage.after_burnout_s
            for outage in self._outages
        )

    def _scan(self, at_ns: int) -> Scan:
        seen = self.sees(at_ns)
        lucky = self._random.random(len(self._truth.launches)) < self.sensor.detection
        noise = self._random.standard_normal((len(self._truth.launches), 3))
        hit = seen[lucky[seen]] if len(seen) else seen
        true = self._truth.states_at(at_ns)[hit, :3]
        false = self._clutter()
        points = np.vstack([true, false])
        origin = np.concatenate([hit, np.full(len(false), _FALSE)]).astype(np.int64)
        drawn = np.vstack([noise[hit], np.zeros_like(false)])
        infrared = isinstance(self.sensor, Infrared)
        made = _measure(self._position, points, drawn, self._bias, self._noise, self._bias_sigma, infrared)
        return Scan(at_ns, self.sensor.bit, INFRARED if infrared else RADAR, *made, origin)

    def _clutter(self) -> Float:
        """Positions (n, 3) of this scan's false alarms: for a radar what it could see there; for infrared glints at any place."""
        n = int(self._random.poisson(self._false_alarms))
        lat = np.radians(self._random.uniform(*_CLUTTER_LAT_DEG, size=n))
        lon = np.radians(self._random.uniform(*_CLUTTER_LON_DEG, size=n))
        height = self._random.uniform(*_CLUTTER_HEIGHT_M, size=n)
        points = [geodetic_to_ecef(lat[i], lon[i], height[i]) for i in range(n)]
        if isinstance(self.sensor, Radar):
            enu, still = self.sensor.enu, np.zeros(3)
            points = [p for p in points if _in_reach(self.sensor, self._position, enu, np.concatenate([p, still]))]
        return np.array(points).reshape(-1, 3)


def _concerns(outage: Outage, sensor: Sensor, nation: Nation) -> bool:
    kind = "radar" if isinstance(sensor, Radar) else "infrared"
    return outage.kind in ("all", kind) and outage.nation in (None, nation)


def apparent_elevation_rad(elevation_rad: float, range_m: float) -> float:
    """Elevation with refraction: the ray rises by the difference of the Earth's curvature and that of an Earth 4/3 as large."""
    return elevation_rad + range_m * math.cos(elevation_rad) / (2.0 * EARTH_MEAN_RADIUS_M) * (1.0 - 1.0 / _REFRACTION)


def _in_reach(radar: Radar, position: Float, enu: Float, state: Float) -> bool:
    distance, az, el = range_az_el(position, enu, state)
    if distance > radar.range_km * 1e3 or apparent_elevation_rad(el, distance) < math.radians(radar.el_min_deg):
        return False
    width = (radar.az_max_deg - radar.az_min_deg) % 360.0 or 360.0
    return (math.degrees(az) - radar.az_min_deg) % 360.0 <= width


def _bright(satellite: Infrared, position: Float, state: Float) -> bool:
    return altitude_m(state[:3]) > satellite.cloud_break_km * 1e3 and not earth_hides(position, state[:3])


@jit
def _across(sight: Float) -> tuple[Float, Float]:
    """Two unit vectors (3,) that stand across a unit line of sight (3,) and on each other."""
    axis = np.zeros(3)
    axis[np.argmin(np.abs(sight))] = 1.0
    one = np.cross(sight, axis)
    one = one / np.sqrt((one**2).sum())
    return one, np.cross(sight, one)


@jit
def _at_height(site: Float, point: Float, height_m: float) -> Float:
    """The point (3,) at a height on the line from a satellite through a point: what is left when the distance is not known."""
    out = point.copy()
    sight = point - site
    sight = sight / np.sqrt((sight**2).sum())
    for _ in range(6):
        down = -(out * sight).sum() / np.sqrt((out**2).sum())
        out = out + (altitude_m(out) - height_m) / max(down, 0.05) * sight
    return out


@jit
def _measure(
    site: Float, points: Float, drawn: Float, bias: Float, noise_sigma: Float, bias_sigma: Float, infrared: bool
) -> tuple[Float, Float, Float, Float]:
    """Measured positions (n, 3), information (n, 3, 3), bias covariances (n, 3, 3) and lines of sight (n, 3)."""
    n = points.shape[0]
    positions, sights = np.empty((n, 3)), np.empty((n, 3))
    information, bias_cov = np.empty((n, 3, 3)), np.empty((n, 3, 3))
    for i in range(n):
        offset = points[i] - site
        distance = np.sqrt((offset**2).sum())
        sight = offset / distance
        one, other = _across(sight)
        r = noise_sigma[0] * drawn[i, 0] + bias[0]
        a = distance * (noise_sigma[1] * drawn[i, 1] + bias[1])
        b = distance * (noise_sigma[1] * drawn[i, 2] + bias[2])
        positions[i] = points[i] + r * sight + a * one + b * other
        if infrared:
            positions[i] = _at_height(site, positions[i], REFERENCE_HEIGHT_M)
        along = np.outer(sight, sight)
        across = np.outer(one, one) + np.outer(other, other)
        cross_var = distance**2 * (noise_sigma[1] ** 2 + bias_sigma[1] ** 2)
        information[i] = across / cross_var
        if not infrared:
            information[i] += along / (noise_sigma[0] ** 2 + bias_sigma[0] ** 2)
        bias_cov[i] = along * bias_sigma[0] ** 2 + across * (distance * bias_sigma[1]) ** 2
        sights[i] = sight
    return positions, information, bias_cov, sights
