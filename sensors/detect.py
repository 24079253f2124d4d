"""Detections: what one sensor measures in one scan, with noise, bias, misses, merged objects, false alarms and outages.

A radar's detection is a position: range and two angles turned into ECEF, its covariance long across the line of sight. An
infrared detection is a direction: the same with no knowledge along the line of sight, so that its information is singular.
Both are linear in the target's position, so one filter takes both (converted measurements: Lerro and Bar-Shalom, IEEE Trans. AES
29(3), 1993; at these angles their debiasing term is below 2 m at 1,000 km).

What a sensor can see and with what signal is in `sensors.radar` and `sensors.infrared`; what it cannot tell apart, in
`sensors.resolution`. Biases are constant in the sensor's own range and angles for an exercise; a detection says how a unit of
each moves it, and the tracker has to live with not knowing them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bus.release import Nation
from physics.compile import jit
from physics.frames import altitude_m, geodetic_to_ecef
from sensors.infrared import InfraredEye
from sensors.instruments import INFRARED, RADAR, Radar, Sensor
from sensors.radar import RadarEye
from sensors.resolution import resolve
from sensors.scenario import Outage, Scenario
from sensors.truth import Truth

Float = NDArray[np.float64]

_NS: Final = 1_000_000_000
# False alarms are spread over the air and sea around the peninsula, where the sensors look.
_CLUTTER_LAT_DEG: Final = (35.0, 42.0)
_CLUTTER_LON_DEG: Final = (123.0, 138.0)
_CLUTTER_HEIGHT_M: Final = (5e3, 150e3)
_FALSE: Final = -1
REFERENCE_HEIGHT_M: Final = 25e3  # where an infrared detection is put on its line of sight: mid-boost of most
ANY_HEIGHT: Final = (REFERENCE_HEIGHT_M, 15e3)  # and how far from there, one sigma


@dataclass(frozen=True, slots=True, eq=False)
class Scan:
    """One scan's detections.

    For the scorer only: `origin`, the index of the launch each came from, of several merged the strongest, -1 for a false alarm;
    `visible`, the launches in reach.

    position: (n, 3) ECEF m, for infrared at the reference height on the line of sight. information: (n, 3, 3) 1/m2, inverse of
    the noise's covariance (infrared: only across the line of sight). bias: (n, 3, 6) m, its columns what one sigma of each of the
    sensor's three biases (range and two angles) adds to the position, and what the place of an object among those that are
    detected as one may add. sight: (n, 3) unit vectors. merged: whether it is of several. verify: a radar's short look at what it
    has just found, and at nothing else. first_seen: height m, and one sigma, of a plume that this satellite had not seen before.
    """

    at_ns: int
    bit: int
    phenomenology: int
    position: Float
    information: Float
    bias: Float
    sight: Float
    origin: NDArray[np.int64]
    merged: NDArray[np.bool_]
    visible: NDArray[np.int64]
    verify: bool
    first_seen: tuple[float, float] = ANY_HEIGHT


class Scanner:
    """One sensor with its own random stream: adding a sensor changes no other's noise."""

    def __init__(self, sensor: Sensor, scenario: Scenario, truth: Truth, nation: Nation, seed: int) -> None:
        self.sensor, self._truth = sensor, truth
        plan = scenario.nations[nation]
        self._outages = [outage for outage in scenario.outages if _concerns(outage, sensor, nation)]
        self._false_alarms = sensor.false_alarms * plan.false_alarms
        self._random = np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(sensor.bit,))))
        self._eye = RadarEye(sensor, len(truth.launches)) if isinstance(sensor, Radar) else InfraredEye(sensor)
        self._first_seen = ANY_HEIGHT if isinstance(sensor, Radar) else sensor.first_seen
        self._bias_sigma = self._eye.bias_sigma * plan.bias
        self._bias = self._random.standard_normal(3)

    def scans(self) -> Iterator[Scan]:
        """Every scan of the exercise in order of time. The first is at a phase of the sensor's own."""
        interval_ns = int(self.sensor.interval_s * _NS)
        step_ns = interval_ns // self._eye.looks_an_interval
        at_ns = self._truth.start_ns + (self.sensor.bit * 7919 % 97) * interval_ns // 97
        while at_ns <= self._truth.end_ns:
            look = self._eye.look()
            if look is not None:
                yield self._scan(at_ns, verify=look == "verify")
            at_ns += step_ns

    def _scan(self, at_ns: int, *, verify: bool) -> Scan:
        n, eye, truth = len(self._truth.launches), self._eye, self._truth
        luck, noise = self._random.random(n), self._random.standard_normal((n, 4))
        eye.move_to((at_ns - truth.start_ns) / 1e9)
        states = truth.states_at(at_ns)
        signature = truth.rcs_m2_of(states, at_ns) if isinstance(self.sensor, Radar) else truth.plume_w_sr_at(at_ns)
        geometry = eye.geometry(states)
        visible = eye.visible(geometry) & (signature > 0.0)
        down = self._down(at_ns)
        if self._outages:
            visible &= ~np.array([down or self._blind(launch, at_ns) for launch in range(n)], np.bool_)
        powers = eye.powers(geometry, signature, luck, visible)
        hit = np.flatnonzero(powers)
        strongest, places, power, spread = resolve(
            eye.site, states[hit, :3], powers[hit], noise[hit, 3], eye.cell_m, eye.beam_rad
        )
        false = np.empty((0, 3)) if verify else self._clutter()
        if down:  # drawn all the same, so that an outage leaves the stream where it was
            false = false[:0]
        made = _measure(
            eye.site,
            eye.axis,
            np.vstack([places, false]),
            np.vstack([noise[hit[strongest], :3], np.zeros_like(false)]),
            eye.sigmas(np.concatenate([power, np.full(len(false), eye.threshold)])),
            self._bias,
            self._bias_sigma,
            np.concatenate([spread, np.zeros((len(false), 3, 3))]),
        )
        return Scan(
            at_ns,
            self.sensor.bit,
            RADAR if isinstance(self.sensor, Radar) else INFRARED,
            *made,
            np.concatenate([hit[strongest], np.full(len(false), _FALSE)]).astype(np.int64),
            np.concatenate([spread.any(axis=(1, 2)), np.zeros(len(false), np.bool_)]),
            np.flatnonzero(visible),
            verify,
            self._first_seen,
        )

    def _down(self, at_ns: int) -> bool:
        """Whether it sees nothing at all: an outage by time."""
        since_s = (at_ns - self._truth.start_ns) / 1e9
        return any(outage.after_burnout_s is None and outage.from_s <= since_s < outage.to_s for outage in self._outages)

    def _blind(self, launch: int, at_ns: int) -> bool:
        """Whether it sees no more of a launch: an outage after burnout."""
        since_s = (at_ns - self._truth.launches[launch].burnout_ns) / 1e9
        return any(outage.after_burnout_s is not None and since_s > outage.after_burnout_s for outage in self._outages)

    def _clutter(self) -> Float:
        """Positions (n, 3) of this scan's false alarms: for a radar what it could see there; for infrared glints at any place."""
        n = int(self._random.poisson(self._false_alarms))
        if n == 0:
            return np.empty((0, 3))
        lat = np.radians(self._random.uniform(*_CLUTTER_LAT_DEG, size=n))
        lon = np.radians(self._random.uniform(*_CLUTTER_LON_DEG, size=n))
        height = self._random.uniform(*_CLUTTER_HEIGHT_M, size=n)
        points = np.array([geodetic_to_ecef(lat[i], lon[i], height[i]) for i in range(n)])
        return points[self._eye.visible(self._eye.geometry(points))] if isinstance(self._eye, RadarEye) else points


def _concerns(outage: Outage, sensor: Sensor, nation: Nation) -> bool:
    kind = "radar" if isinstance(sensor, Radar) else "infrared"
    return outage.kind in ("all", kind) and outage.nation in (None, nation)


@jit
def _across(sight: Float, axis: Float) -> tuple[Float, Float]:
    """Two unit vectors (3,) across a unit line of sight (3,): level with regard to an axis (3,), and towards it."""
    level = np.cross(sight, axis)
    length = np.sqrt((level**2).sum())
    if length < 1e-6:  # along the axis every direction is level
        level = np.cross(sight, np.array([axis[1], axis[2], axis[0]]))
        length = np.sqrt((level**2).sum())
    level = level / length
    return level, np.cross(level, sight)


@jit
def symmetric_root(spread: Float) -> Float:
    """The symmetric square root of a covariance (3, 3): it turns as the covariance does, and never flips."""
    values, vectors = np.linalg.eigh(spread)
    root: Float = vectors @ np.diag(np.sqrt(np.maximum(values, 0.0))) @ vectors.T
    return root


@jit
def widened(information: Float, root: Float) -> Float:
    """Information (3, 3), which may be singular, with an independent error too, of covariance root root^T, root (3, m)."""
    pulled = information @ root  # Woodbury: (I^-1 + U U^T)^-1 = I - I U (1 + U^T I U)^-1 U^T I
    out: Float = information - pulled @ np.linalg.solve(np.eye(root.shape[1]) + root.T @ pulled, pulled.T)
    return 0.5 * (out + out.T)


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
    site: Float, axis: Float, points: Float, drawn: Float, sigmas: Float, bias: Float, bias_sigma: Float, spread: Float
) -> tuple[Float, Float, Float, Float]:
    """Measured positions (n, 3), information (n, 3, 3), what the biases do (n, 3, 6) and lines of sight (n, 3).

    From true points (n, 3) with unit noise `drawn` (n, 3) of one-sigma `sigmas` (n, 2): range m, or 0 where it is not measured,
    and each angle, rad; unit biases (3,) of one-sigma `bias_sigma` (2,); and how far apart the objects of each are, spread (n, 3,
    3) m2.
    """
    n = points.shape[0]
    positions, sights = np.empty((n, 3)), np.empty((n, 3))
    information, biased = np.empty((n, 3, 3)), np.zeros((n, 3, 6))
    for i in range(n):
        offset = points[i] - site
        distance = np.sqrt((offset**2).sum())
        sight = offset / distance
        level, upward = _across(sight, axis)
        measures_range = sigmas[i, 0] > 0.0
        cross_m = distance * sigmas[i, 1]
        information[i] = (np.outer(level, level) + np.outer(upward, upward)) / cross_m**2
        if measures_range:
            information[i] += np.outer(sight, sight) / sigmas[i, 0] ** 2
        if spread[i].any():
            apart = symmetric_root(spread[i])
            information[i] = widened(information[i], apart)
            biased[i, :, 3:] = apart
        biased[i, :, 0] = bias_sigma[0] * sight
        biased[i, :, 1] = distance * bias_sigma[1] * level
        biased[i, :, 2] = distance * bias_sigma[1] * upward
        positions[i] = points[i] + sigmas[i, 0] * drawn[i, 0] * sight + cross_m * (drawn[i, 1] * level + drawn[i, 2] * upward)
        for k in range(3):
            positions[i] += biased[i, :, k] * bias[k]
        if not measures_range:
            positions[i] = _at_height(site, positions[i], REFERENCE_HEIGHT_M)
        sights[i] = sight
    return positions, information, biased, sights
