"""A missile's flight from launch to impact, and the search for the steering that flies an apogee and a range.

Powered flight: thrust, mass flow and staging by the type, drag by a Mach-dependent coefficient, gravity with J2, rotating Earth,
a short vertical rise and then a thrust direction that tilts from the vertical at a constant rate until cutoff. Then free flight
with drag to the ellipsoid. A type that glides has lift too, once past its apogee, in bands of altitude: upward in the plane of
its velocity, in a fixed ratio to its drag. Three numbers steer a flight: the tilt at cutoff to the east and to the north, and the
share of the burn that is used.

Not modelled: lift under thrust, turns, wind, thrust that changes with altitude.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq, least_squares

from physics.atmosphere import air
from physics.compile import jit
from physics.constants import STANDARD_GRAVITY_M_S2
from physics.frames import altitude_m, bearing_rad, ecef_to_geodetic, enu_matrix, geodetic_to_ecef, ground_distance_m
from physics.motion import ballistic_acceleration, drag_acceleration
from sensors.missiles import MissileType

Float = NDArray[np.float64]

STEP_S: Final = 0.25
_LONGEST_FLIGHT_S: Final = 9000.0
_VERTICAL_S: Final = 4.0
_FADE_M: Final = 2e3
_SEARCH_STEP: Final = 1e-5  # rad, rad, share: absolute, for a tilt to the north starts at nothing when the heading is due east
# A tilt beyond the horizontal at cutoff is a path that pitches over early: how a depressed one is flown.
_BOUNDS: Final = ([-2.3, -2.3, 0.2], [2.3, 2.3, 1.0])
_TILTS_RAD: Final = (0.01, 2.3)  # between them a shorter or longer way up: the apogee falls as the tilt grows
_SHARES: Final = np.linspace(0.2, 1.0, 41)
_TURNS: Final = 3  # the Earth turns a path by a degree or so; each turn leaves a hundredth of the last one's error
_REACHED: Final = 1e-3  # the largest miss, as a share of what was asked, that counts as flown

# Drag coefficient of the V-2 by Mach number: Sutton, Rocket Propulsion Elements, 3rd edition, p. 119.
_MACH: Final = np.array([0.0, 0.6, 0.8, 0.9, 1.0, 1.1, 1.18, 1.3, 1.5, 2.0, 3.0, 4.0, 5.0, 5.5])
_DRAG: Final = np.array([0.15, 0.15, 0.18, 0.23, 0.30, 0.40, 0.42, 0.38, 0.325, 0.24, 0.21, 0.18, 0.155, 0.15])


class Unreachable(ValueError):
    """The type cannot fly what was asked; the text says what it can."""


@dataclass(frozen=True, slots=True)
class Steering:
    """What the search finds: tilt from the vertical at cutoff (rad, east and north parts) and the share of the burn used."""

    tilt_east_rad: float
    tilt_north_rad: float
    burn_share: float

    def turned(self, azimuth_rad: float) -> Steering:
        """The same steering with its heading turned clockwise by `azimuth_rad`."""
        sin, cos = math.sin(azimuth_rad), math.cos(azimuth_rad)
        east, north = self.tilt_east_rad, self.tilt_north_rad
        return Steering(east * cos + north * sin, north * cos - east * sin, self.burn_share)


@dataclass(frozen=True, slots=True, eq=False)
class Flight:
    """One flight: states (n, 6) ECEF at STEP_S from launch on, the last row at impact after `flight_s`."""

    states: Float
    burnout_s: float
    flight_s: float
    apogee_m: float
    range_m: float
    launch_geodetic: Float
    impact_geodetic: Float


def fly(missile: MissileType, lat_rad: float, lon_rad: float, steering: Steering) -> Flight:
    """Fly a type from a place on the ellipsoid with this steering."""
    stages = np.array([[s.propellant_kg, s.stage_mass_kg, s.isp_s, s.burn_s, s.diameter_m] for s in missile.stage])
    glide = np.array([[g.above_km * 1e3, g.below_km * 1e3, g.lift_to_drag] for g in missile.glide]).reshape(-1, 3)
    burnout_s = missile.burn_s * steering.burn_share
    states, rows, last_s = _integrate(
        stages,
        glide,
        missile.payload_kg,
        missile.beta_kg_m2,
        lat_rad,
        lon_rad,
        steering.tilt_east_rad,
        steering.tilt_north_rad,
        burnout_s,
    )
    states = states[:rows]
    heights = np.array([altitude_m(state[:3]) for state in states[:: max(1, rows // 400)]])
    around = int(np.argmax(heights)) * max(1, rows // 400)
    near = states[max(0, around - rows // 400 - 2) : around + rows // 400 + 3]
    apogee_m = max(altitude_m(state[:3]) for state in near)
    launch, impact = ecef_to_geodetic(states[0, :3]), ecef_to_geodetic(states[-1, :3])
    distance_m = ground_distance_m(launch[0], launch[1], impact[0], impact[1])
    return Flight(states, burnout_s, last_s, apogee_m, distance_m, launch, impact)


@lru_cache(maxsize=256)
def solve(missile: MissileType, lat_deg: float, lon_deg: float, apogee_m: float, range_m: float, azimuth_deg: float) -> Steering:
    """The steering that flies this apogee and range with the impact on this bearing from the launch.

    Raises Unreachable, with the nearest that was found, where the miss stays over 0.1 percent.
    """
    aim = _Aim(missile, math.radians(lat_deg), math.radians(lon_deg), apogee_m, range_m, math.radians(azimuth_deg))
    best, nearest = np.inf, np.array([0.0, 0.0, 1.0])
    for guess in aim.guesses():
        found = least_squares(
            aim.miss, guess, jac=aim.slopes, bounds=_BOUNDS, x_scale=[0.05, 0.05, 0.05], xtol=1e-10, max_nfev=60
        )
        worst = float(np.abs(found.fun).max())
        if worst < best:
            best, nearest = worst, found.x
        if best < _REACHED:
            return Steering(*(float(value) for value in nearest))
    flight = aim.flown(nearest)
    raise Unreachable(
        f"{missile.title} cannot fly apogee {apogee_m / 1e3:.1f} km and range {range_m / 1e3:.1f} km from here; "
        f"the nearest found is {flight.apogee_m / 1e3:.1f} km and {flight.range_m / 1e3:.1f} km"
    )


@dataclass(frozen=True, slots=True)
class _Aim:
    """What is to be flown, and how far a steering (tilt east rad, tilt north rad, share of the burn) misses it."""

    missile: MissileType
    lat_rad: float
    lon_rad: float
    apogee_m: float
    range_m: float
    azimuth_rad: float

    def flown(self, x: Float) -> Flight:
        return fly(self.missile, self.lat_rad, self.lon_rad, Steering(x[0], x[1], x[2]))

    def off_course(self, flight: Flight) -> float:
        """By how much the impact's bearing is clockwise of the wanted one, rad."""
        return bearing_rad(self.lat_rad, self.lon_rad, *flight.impact_geodetic[:2]) - self.azimuth_rad

    def miss(self, x: Float) -> Float:
        """Misses (3,) in apogee, in range, and across it, as shares of what is wanted."""
        flight = self.flown(x)
        off = self.off_course(flight)
        along, across = flight.range_m * math.cos(off), flight.range_m * math.sin(off)
        return np.array(
            [(flight.apogee_m - self.apogee_m) / self.apogee_m, (along - self.range_m) / self.range_m, across / self.range_m]
        )

    def slopes(self, x: Float) -> Float:
        """Gradient (3, 3) of the misses, a column a coordinate of the steering."""
        here = self.miss(x)
        return np.column_stack([(here - self.miss(x - step)) / _SEARCH_STEP for step in _SEARCH_STEP * np.eye(3)])

    def guesses(self) -> Iterator[Float]:
        """Where to begin the search: near a parabola's launch angle; then where a look over all shares of the burn crosses it.

        The look is for paths that no gradient leads to: a glider's range all but jumps where it skips once more. For each share
        there is one tilt that flies the apogee; between two shares with ranges on either side of the wanted one is a flight.
        """
        loft = math.atan2(4.0 * self.apogee_m, self.range_m)  # launch elevation of a parabola
        for share in (0.8, 0.95, 0.6):
            yield self._headed(min((math.pi / 2.0 - loft) * 1.2, 1.4), share, 0.0)
        looks = [(share, self._at_apogee(share, 0.0)) for share in _SHARES]
        flown = [(share, steering, self._beyond(steering)) for share, steering in looks if steering is not None]
        for (share, _, short), (more, _, far) in pairwise(flown):
            if short * far < 0.0:
                yield from self._crossings(share, more)
        yield from (steering for _, steering, _ in sorted(flown, key=lambda look: abs(look[2]))[:1])

    def _headed(self, tilt_rad: float, share: float, turn_rad: float) -> Float:
        azimuth = self.azimuth_rad + turn_rad
        return np.array([tilt_rad * math.sin(azimuth), tilt_rad * math.cos(azimuth), share])

    def _beyond(self, x: Float) -> float:
        return (self.flown(x).range_m - self.range_m) / self.range_m

    def _at_apogee(self, share: float, turn_rad: float) -> Float | None:
        """The steering that flies the apogee with this share of the burn and this turn of its heading."""

        def above(tilt_rad: float) -> float:
            return self.flown(self._headed(tilt_rad, share, turn_rad)).apogee_m - self.apogee_m

        if above(_TILTS_RAD[0]) < 0.0 or above(_TILTS_RAD[1]) > 0.0:
            return None
        return self._headed(brentq(above, *_TILTS_RAD, xtol=1e-9), share, turn_rad)

    def _crossings(self, share: float, more: float) -> Iterator[Float]:
        """Steerings between two shares where the range passes through the wanted one, each turned closer to the bearing."""
        turn_rad = 0.0

        def beyond(between: float) -> float:
            steering = self._at_apogee(between, turn_rad)
            return math.nan if steering is None else self._beyond(steering)

        for _ in range(_TURNS):
            if not beyond(share) * beyond(more) < 0.0:
                return
            steering = self._at_apogee(brentq(beyond, share, more, xtol=1e-12), turn_rad)
            if steering is not None:
                yield steering
                turn_rad -= self.off_course(self.flown(steering))


@jit
def _drag_coefficient(mach: float) -> float:
    return float(np.interp(mach, _MACH, _DRAG))


@jit
def _thrust(stages: Float, payload_kg: float, t_s: float) -> tuple[float, float, float]:
    """Thrust N, mass kg and drag area m2 at `t_s` of an uncut burn; after the last stage: no thrust, the payload."""
    above = payload_kg
    for i in range(stages.shape[0]):
        above += stages[i, 1]
    start = 0.0
    for i in range(stages.shape[0]):
        propellant, total, isp, burn, diameter = stages[i, 0], stages[i, 1], stages[i, 2], stages[i, 3], stages[i, 4]
        if t_s < start + burn:
            flow = propellant / burn
            area = math.pi * diameter * diameter / 4.0
            return flow * isp * STANDARD_GRAVITY_M_S2, above - flow * (t_s - start), area
        start += burn
        above -= total
    return 0.0, payload_kg, 0.0


@jit
def _powered(state: Float, thrust_n: float, mass_kg: float, area_m2: float, direction: Float) -> Float:
    """Rate (6,) of the state under thrust along `direction` (3,) and drag along the velocity."""
    out = np.empty(6)
    a = ballistic_acceleration(state)
    density, sound = air(altitude_m(state[:3]))
    speed = math.sqrt(state[3] ** 2 + state[4] ** 2 + state[5] ** 2)
    drag = 0.5 * density * speed * _drag_coefficient(speed / sound) * area_m2 / mass_kg
    for i in range(3):
        out[i] = state[3 + i]
        out[3 + i] = a[i] + thrust_n / mass_kg * direction[i] - drag * state[3 + i]
    return out


@jit
def _lift_to_drag(state: Float, glide: Float) -> float:
    """The ratio in the bands (above m, below m, ratio) that the state is in; faded at their edges: flights stay smooth."""
    height, ratio = altitude_m(state[:3]), 0.0
    for i in range(glide.shape[0]):
        inside = min((height - glide[i, 0]) / _FADE_M, (glide[i, 1] - height) / _FADE_M, 1.0)
        ratio += glide[i, 2] * max(inside, 0.0)
    return ratio


@jit
def _free(state: Float, beta_kg_m2: float, glide: Float) -> Float:
    """Rate (6,) of the state in free flight: gravity, drag, and lift across the velocity, upward."""
    out = np.empty(6)
    a = ballistic_acceleration(state)
    d = drag_acceleration(state, beta_kg_m2)
    for i in range(3):
        out[i] = state[3 + i]
        out[3 + i] = a[i] + d[i]
    lift_to_drag = _lift_to_drag(state, glide) if glide.shape[0] else 0.0
    if lift_to_drag > 0.0:
        r, v = state[:3], state[3:]
        radius, speed = math.sqrt((r * r).sum()), math.sqrt((v * v).sum())
        climb = (r * v).sum() / (radius * speed)
        across = math.sqrt(max(1.0 - climb * climb, 1e-12))
        lift = lift_to_drag * math.sqrt((d * d).sum())
        for i in range(3):
            out[3 + i] += lift * (r[i] / radius - climb * v[i] / speed) / across
    return out


@jit
def _direction(up: Float, east: Float, north: Float, tilt_east: float, tilt_north: float, share: float) -> Float:
    """Thrust direction (3,) after a share of the tilting: turned from the vertical by share times the tilt at cutoff."""
    tilt = math.sqrt(tilt_east * tilt_east + tilt_north * tilt_north)
    if tilt < 1e-12:
        return up.copy()
    angle = tilt * share
    return math.cos(angle) * up + math.sin(angle) * (tilt_east * east + tilt_north * north) / tilt


@jit
def _integrate(
    stages: Float,
    glide: Float,
    payload_kg: float,
    beta_kg_m2: float,
    lat_rad: float,
    lon_rad: float,
    tilt_east: float,
    tilt_north: float,
    cutoff_s: float,
) -> tuple[Float, int, float]:
    """States at STEP_S from launch to impact, how many rows, and the impact's time. RK4; thrust is held over a step.

    The step in which thrust is cut is taken in two parts: flights change smoothly with the time of cutoff.
    """
    rows = int(_LONGEST_FLIGHT_S / STEP_S) + 2
    out = np.empty((rows, 6))
    enu = enu_matrix(lat_rad, lon_rad)
    east, north, up = enu[0].copy(), enu[1].copy(), enu[2].copy()
    x = np.zeros(6)
    x[:3] = geodetic_to_ecef(lat_rad, lon_rad, 0.0)
    out[0] = x
    t, n = 0.0, 1
    falling, no_glide = False, glide[:0]
    tilting_s = max(cutoff_s - _VERTICAL_S, 1.0)
    while n < rows - 1:
        powered_s = min(max(cutoff_s - t, 0.0), STEP_S)
        after = x
        if powered_s > 0.0:
            middle = t + powered_s / 2.0
            thrust, mass, area = _thrust(stages, payload_kg, middle)
            share = min(1.0, max(0.0, (middle - _VERTICAL_S) / tilting_s))
            d = _direction(up, east, north, tilt_east, tilt_north, share)
            after = _powered_step(after, powered_s, thrust, mass, area, d)
        if powered_s < STEP_S:
            falling = falling or after[0] * after[3] + after[1] * after[4] + after[2] * after[5] < 0.0
            after = _free_step(after, STEP_S - powered_s, beta_kg_m2, glide if falling else no_glide)
        height = altitude_m(after[:3])
        if height <= 0.0 and t > 1.0:
            before = altitude_m(x[:3])
            part = STEP_S * before / max(before - height, 1e-9)
            out[n] = x + (after - x) * (part / STEP_S)
            return out, n + 1, t + part
        x = after
        t += STEP_S
        out[n] = x
        n += 1
    return out, n, t


@jit
def _powered_step(x: Float, h: float, thrust_n: float, mass_kg: float, area_m2: float, direction: Float) -> Float:
    k1 = _powered(x, thrust_n, mass_kg, area_m2, direction)
    k2 = _powered(x + 0.5 * h * k1, thrust_n, mass_kg, area_m2, direction)
    k3 = _powered(x + 0.5 * h * k2, thrust_n, mass_kg, area_m2, direction)
    k4 = _powered(x + h * k3, thrust_n, mass_kg, area_m2, direction)
    return x + h / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + k4)


@jit
def _free_step(x: Float, h: float, beta_kg_m2: float, glide: Float) -> Float:
    k1 = _free(x, beta_kg_m2, glide)
    k2 = _free(x + 0.5 * h * k1, beta_kg_m2, glide)
    k3 = _free(x + 0.5 * h * k2, beta_kg_m2, glide)
    k4 = _free(x + h * k3, beta_kg_m2, glide)
    return x + h / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + k4)
