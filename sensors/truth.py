"""Truth: where every missile of a scenario is at any instant. A pure function of the scenario; it never travels on the bus."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from bus.errors import BadInput
from physics.compile import jit
from physics.constants import EARTH_MEAN_RADIUS_M
from physics.frames import altitude_m
from sensors.flight import STEP_S, Flight, Unreachable, fly, solve
from sensors.kepler import minimum_energy
from sensors.missiles import MissileType, Site, find_site, find_type, missile_types, type_key
from sensors.scenario import LaunchPlan, Scenario, parse_scenario

Float = NDArray[np.float64]

PHASE_NONE, PHASE_BOOST, PHASE_COAST, PHASE_REENTRY = -1, 0, 1, 2
_REENTRY_BELOW_M = 80e3
_AFTER_LAST_IMPACT_S = 60.0
_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class LaunchTruth:
    """One missile's flight in figures: instants in ns since the epoch, places in degrees, apogee and ground range in km."""

    launch_id: str
    type: str
    launch_ns: int
    burnout_ns: int
    impact_ns: int
    launch_lat_deg: float
    launch_lon_deg: float
    impact_lat_deg: float
    impact_lon_deg: float
    apogee_km: float
    range_km: float


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """Every launch of a scenario, and its state at any instant."""

    start_ns: int
    end_ns: int
    launches: tuple[LaunchTruth, ...]
    _table: Float  # (rows of all flights, 6)
    _first: NDArray[np.int64]  # where each flight begins in the table, and the table's end
    _launch_s: Float  # seconds since start_ns
    _burnout_s: Float
    _impact_s: Float
    _rcs_m2: Float  # (n, 3) by phase
    _plumes: tuple[Float, ...]  # by launch: rows of a stage's end, seconds since start_ns, and its radiant intensity, W/sr

    def _since_start_s(self, t_ns: int) -> float:
        return (t_ns - self.start_ns) / 1e9

    def states_at(self, t_ns: int) -> Float:
        """ECEF states (n, 6) m, m/s at an instant; NaN where not in flight."""
        return _states(self._table, self._first, self._launch_s, self._impact_s, self._since_start_s(t_ns))

    def thrusting_at(self, t_ns: int) -> NDArray[np.bool_]:
        """Which launches burn at an instant, (n,)."""
        t = self._since_start_s(t_ns)
        return (self._launch_s <= t) & (t < self._burnout_s)

    def phase_at(self, t_ns: int) -> NDArray[np.int8]:
        """Phase (n,) at an instant: -1 not in flight, 0 boost, 1 coast, 2 re-entry (descending below 80 km)."""
        return _phases(self.states_at(t_ns), self.thrusting_at(t_ns))

    def rcs_m2_of(self, states: Float, t_ns: int) -> Float:
        """Mean radar cross-sections (n,), m2, of the states (n, 6) at an instant; 0 where not in flight."""
        phase = _phases(states, self.thrusting_at(t_ns))
        return np.where(phase >= 0, self._rcs_m2[np.arange(len(phase)), np.maximum(phase, 0)], 0.0)

    def plume_w_sr_at(self, t_ns: int) -> Float:
        """Radiant intensities (n,) at an instant, W/sr; 0 where nothing burns."""
        t = self._since_start_s(t_ns)
        burning = self.thrusting_at(t_ns)
        out = np.zeros(len(burning))
        for i in np.flatnonzero(burning):
            stages = self._plumes[i]
            out[i] = stages[min(int(np.searchsorted(stages[:, 0], t, side="right")), len(stages) - 1), 1]
        return out


def build_truth(scenario: Scenario) -> Truth:
    """Solve and fly every launch of a scenario; BadInput where a type cannot fly what is asked."""
    return _build(scenario.text, scenario.source)


@lru_cache(maxsize=4)
def _build(text: str, source: str) -> Truth:
    scenario = parse_scenario(text, source)
    launches: list[LaunchTruth] = []
    flights: list[Flight] = []
    for index, plan in enumerate(scenario.launches):
        for at_s, flight in _salvo(plan, scenario.source, f"launch[{index}]"):
            launches.append(_figures(f"L{len(launches) + 1:02d}", type_key(plan.type), scenario.start_ns, at_s, flight))
            flights.append(flight)
    last_ns = max((launch.impact_ns for launch in launches), default=scenario.start_ns)
    end_ns = last_ns + int(_AFTER_LAST_IMPACT_S * _NS)
    if scenario.duration_s is not None:
        end_ns = scenario.start_ns + int(scenario.duration_s * _NS)
    seconds = np.array([[x.launch_ns, x.burnout_ns, x.impact_ns] for x in launches], dtype=np.int64).reshape(-1, 3)
    first = np.cumsum([0, *(len(flight.states) for flight in flights)]).astype(np.int64)
    table = np.vstack([flight.states for flight in flights]) if flights else np.empty((0, 6))
    launch_s, burnout_s, impact_s = (np.ascontiguousarray(column) for column in ((seconds - scenario.start_ns) / 1e9).T)
    missiles = [missile_types()[launch.type] for launch in launches]
    rcs_m2 = np.array([[m.rcs_m2.boost, m.rcs_m2.coast, m.rcs_m2.reentry] for m in missiles]).reshape(-1, 3)
    plumes = tuple(_plume(missile, begin_s) for missile, begin_s in zip(missiles, launch_s.tolist(), strict=True))
    times = (launch_s, burnout_s, impact_s)
    return Truth(scenario.start_ns, end_ns, tuple(launches), table, first, *times, rcs_m2, plumes)


def _plume(missile: MissileType, launch_s: float) -> Float:
    """Rows (stages, 2): when each stage ends, s, and its radiant intensity, W/sr."""
    ends_s = launch_s + np.cumsum([stage.burn_s for stage in missile.stage])
    return np.column_stack([ends_s, [stage.plume_w_sr for stage in missile.stage]])


def _salvo(plan: LaunchPlan, source: str, key: str) -> list[tuple[float, Flight]]:
    """The flights of one launch plan with their launch times, s: solved once, then turned and moved for each missile."""
    missile, site = find_type(plan.type, source, f"{key}.type"), find_site(plan.site, source, f"{key}.site")
    range_m = plan.range_km * 1e3
    apogee_m = minimum_energy(range_m).apogee_m if plan.apogee_km is None else plan.apogee_km * 1e3
    azimuth_deg = site.usual_azimuth_deg if plan.azimuth_deg is None else plan.azimuth_deg
    try:
        steering = solve(missile, site.lat_deg, site.lon_deg, apogee_m, range_m, azimuth_deg)
    except Unreachable as error:
        raise BadInput(source, f"{key}.range_km", str(error), "an apogee and range that the type can fly") from None
    flights = []
    for number in range(plan.count):
        place = _launcher(site, azimuth_deg, (number - (plan.count - 1) / 2.0) * plan.spacing_m)
        turn_deg = 0.0 if plan.count == 1 else plan.azimuth_spread_deg * _fan(number, plan.count)
        turned = steering.turned(math.radians(turn_deg))
        flight = fly(missile, math.radians(place.lat_deg), math.radians(place.lon_deg), turned)
        flights.append((plan.at_s + number * plan.interval_s, flight))
    return flights


def _fan(number: int, count: int) -> float:
    """Share of the azimuth spread, -0.5 to 0.5, of one missile: neighbours in time fly to different sides."""
    order = number // 2 if number % 2 == 0 else count - 1 - number // 2
    return order / (count - 1) - 0.5


def _launcher(site: Site, azimuth_deg: float, offset_m: float) -> Site:
    """A launcher `offset_m` to the right of the line of fire."""
    across = math.radians(azimuth_deg) + math.pi / 2.0
    lat_deg = site.lat_deg + math.degrees(offset_m * math.cos(across) / EARTH_MEAN_RADIUS_M)
    per_lon_m = EARTH_MEAN_RADIUS_M * math.cos(math.radians(site.lat_deg))
    return replace(site, lat_deg=lat_deg, lon_deg=site.lon_deg + math.degrees(offset_m * math.sin(across) / per_lon_m))


def _figures(launch_id: str, type_name: str, start_ns: int, at_s: float, flight: Flight) -> LaunchTruth:
    launch_ns = start_ns + round(at_s * _NS)
    launch, impact = np.degrees(flight.launch_geodetic), np.degrees(flight.impact_geodetic)
    return LaunchTruth(
        launch_id=launch_id,
        type=type_name,
        launch_ns=launch_ns,
        burnout_ns=launch_ns + round(flight.burnout_s * _NS),
        impact_ns=launch_ns + round(flight.flight_s * _NS),
        launch_lat_deg=float(launch[0]),
        launch_lon_deg=float(launch[1]),
        impact_lat_deg=float(impact[0]),
        impact_lon_deg=float(impact[1]),
        apogee_km=flight.apogee_m / 1e3,
        range_km=flight.range_m / 1e3,
    )


@jit
def _states(table: Float, first: NDArray[np.int64], launch_s: Float, impact_s: Float, t_s: float) -> Float:
    """States (n, 6) by cubic Hermite interpolation between the rows of each flight; the last step is shorter."""
    n = launch_s.shape[0]
    out = np.full((n, 6), np.nan)
    for i in range(n):
        if not launch_s[i] <= t_s <= impact_s[i]:
            continue
        rows = first[i + 1] - first[i]
        since = t_s - launch_s[i]
        row = min(int(since / STEP_S), rows - 2)
        h = STEP_S if row < rows - 2 else max(impact_s[i] - launch_s[i] - row * STEP_S, 1e-9)
        u = min((since - row * STEP_S) / h, 1.0)
        a, b = table[first[i] + row], table[first[i] + row + 1]
        for k in range(3):
            p0, p1, v0, v1 = a[k], b[k], a[k + 3] * h, b[k + 3] * h
            c2, c3 = 3.0 * (p1 - p0) - 2.0 * v0 - v1, 2.0 * (p0 - p1) + v0 + v1
            out[i, k] = p0 + u * (v0 + u * (c2 + u * c3))
            out[i, k + 3] = (v0 + u * (2.0 * c2 + u * 3.0 * c3)) / h
    return out


@jit
def _phases(states: Float, thrusting: NDArray[np.bool_]) -> NDArray[np.int8]:
    n = states.shape[0]
    out = np.empty(n, dtype=np.int8)
    for i in range(n):
        x = states[i]
        if np.isnan(x[0]):
            out[i] = PHASE_NONE
        elif thrusting[i]:
            out[i] = PHASE_BOOST
        elif x[0] * x[3] + x[1] * x[4] + x[2] * x[5] < 0.0 and altitude_m(x[:3]) < _REENTRY_BELOW_M:
            out[i] = PHASE_REENTRY
        else:
            out[i] = PHASE_COAST
    return out
