"""`triwarn fly`: one flight, solved for a wanted apogee and range, and everything that follows from it."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import click
import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from bus.errors import BadInput
from bus.settings import from_tree
from physics.frames import ecef_to_geodetic, ground_distance_m
from sensors.flight import STEP_S, Flight, Unreachable, fly, solve
from sensors.kepler import Ellipse, minimum_energy, over
from sensors.missiles import find_site, find_type, type_key
from sensors.quantities import Degrees, Kilometres, Seconds

_SOURCE: Final = "fly"
_EPOCH: Final = "2000-01-01T00:00:00Z"  # CZML wants a date: the flight begins at this one


class Wanted(Struct, frozen=True, kw_only=True):
    """The numbers of a flight as the user gives them, with a scenario's limits: no search ends on NaN or infinity."""

    range_km: Kilometres
    apogee_km: Kilometres | None
    azimuth_deg: Degrees | None
    flight_time_s: Seconds | None


class Prediction(Struct, frozen=True, kw_only=True):
    """A flight in figures. Speeds are relative to the Earth, heights above the ellipsoid, ranges along it.

    `kepler_time_s` is the time of the ellipse with this apogee and range: no flight is faster. The last three are there where a
    flight time was claimed: the claim, and by how much it differs from the prediction.
    """

    type: str
    site: str
    azimuth_deg: float
    apogee_km: float
    range_km: float
    flight_time_s: float
    burnout_time_s: float
    burnout_speed_m_s: float
    burnout_altitude_km: float
    impact_lat_deg: float
    impact_lon_deg: float
    kepler_time_s: float
    claimed_time_s: float | None = None
    claim_differs_s: float | None = None
    claim_differs_percent: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Path3d:
    """Where the flight is, a row a step: seconds, degrees, degrees, metres, and ECEF metres (n, 3)."""

    seconds: NDArray[np.float64]
    lat_deg: NDArray[np.float64]
    lon_deg: NDArray[np.float64]
    altitude_m: NDArray[np.float64]
    ecef_m: NDArray[np.float64]


def predict(
    type_name: str,
    site_name: str,
    range_km: float,
    apogee_km: float | None = None,
    azimuth_deg: float | None = None,
    claimed_s: float | None = None,
) -> tuple[Prediction, Flight]:
    """Solve and fly.

    BadInput for an unknown type or site, a number out of its limits, a pair out of reach, or a time that no flight can keep.
    """
    _check({"range_km": range_km, "apogee_km": apogee_km, "azimuth_deg": azimuth_deg, "flight_time_s": claimed_s})
    missile, site = find_type(type_name, _SOURCE, "--type"), find_site(site_name, _SOURCE, "--site")
    ellipse = _ellipse(range_km, apogee_km)
    if claimed_s is not None and claimed_s < ellipse.time_s:
        raise BadInput(
            _SOURCE,
            "--flight-time-s",
            f"no flight with apogee {ellipse.apogee_m / 1e3:g} km and range {range_km:g} km takes {claimed_s:g} s: "
            f"from the ground to the ground the Kepler ellipse alone takes {ellipse.time_s:.0f} s",
            f"above {ellipse.time_s:.0f}",
        )
    azimuth = site.usual_azimuth_deg if azimuth_deg is None else azimuth_deg
    try:
        steering = solve(missile, site.lat_deg, site.lon_deg, ellipse.apogee_m, range_km * 1e3, azimuth)
    except Unreachable as error:
        raise BadInput(_SOURCE, "--apogee-km, --range-km", str(error), "a pair that the type can fly") from None
    flight = fly(missile, math.radians(site.lat_deg), math.radians(site.lon_deg), steering)
    at_burnout = flight.states[min(round(flight.burnout_s / STEP_S), len(flight.states) - 1)]
    differs_s = None if claimed_s is None else claimed_s - flight.flight_s
    prediction = Prediction(
        type=type_key(type_name),
        site=site.name,
        azimuth_deg=round(azimuth % 360.0, 3),
        apogee_km=round(flight.apogee_m / 1e3, 3),
        range_km=round(flight.range_m / 1e3, 3),
        flight_time_s=round(flight.flight_s, 2),
        burnout_time_s=round(flight.burnout_s, 2),
        burnout_speed_m_s=round(float(np.linalg.norm(at_burnout[3:])), 2),
        burnout_altitude_km=round(float(ecef_to_geodetic(at_burnout[:3])[2]) / 1e3, 3),
        impact_lat_deg=round(math.degrees(flight.impact_geodetic[0]), 5),
        impact_lon_deg=round(math.degrees(flight.impact_geodetic[1]), 5),
        kepler_time_s=round(ellipse.time_s, 2),
        claimed_time_s=claimed_s,
        claim_differs_s=None if differs_s is None else round(differs_s, 2),
        claim_differs_percent=None if differs_s is None else round(100.0 * differs_s / flight.flight_s, 2),
    )
    return prediction, flight


def _check(numbers: dict[str, float | None]) -> None:
    """BadInput names the option whose number cannot be taken."""
    try:
        from_tree(numbers, _SOURCE, Wanted)
    except BadInput as error:
        raise BadInput(_SOURCE, f"--{error.key.replace('_', '-')}", error.problem, error.allowed) from None


def _ellipse(range_km: float, apogee_km: float | None) -> Ellipse:
    try:
        return minimum_energy(range_km * 1e3) if apogee_km is None else over(apogee_km * 1e3, range_km * 1e3)
    except ValueError:
        raise BadInput(
            _SOURCE, "--apogee-km, --range-km", "not a flight over the Earth", "0.1 to 20000, and a range below 20000"
        ) from None


def path_of(flight: Flight) -> Path3d:
    """The flight's path; the last step, up to the impact, is shorter than the others."""
    seconds = STEP_S * np.arange(len(flight.states), dtype=np.float64)
    seconds[-1] = flight.flight_s
    geodetic = np.array([ecef_to_geodetic(state[:3]) for state in flight.states])
    return Path3d(seconds, np.degrees(geodetic[:, 0]), np.degrees(geodetic[:, 1]), geodetic[:, 2], flight.states[:, :3])


def _thinned(path: Path3d, every_s: float) -> NDArray[np.int64]:
    """Rows about `every_s` apart, the first and the last among them."""
    rows = np.arange(0, len(path.seconds), max(1, round(every_s / STEP_S)))
    return np.unique(np.append(rows, len(path.seconds) - 1))


def to_geojson(prediction: Prediction, path: Path3d) -> str:
    """A feature collection (RFC 7946): the path with altitudes in metres, the launch point and the impact point."""
    line = np.column_stack([path.lon_deg, path.lat_deg, path.altitude_m, path.seconds])[_thinned(path, 2.0)]
    pieces = _cut(line)
    coordinates = [[_position(row) for row in piece] for piece in pieces]
    seconds = [[round(float(row[3]), 3) for row in piece] for piece in pieces]
    features = [
        _feature("LineString", coordinates[0], {"name": "path", "seconds": seconds[0]})
        if len(pieces) == 1
        else _feature("MultiLineString", coordinates, {"name": "path", "seconds": seconds}),
        _feature("Point", _position(line[0]), {"name": "launch"}),
        _feature("Point", _position(line[-1]), {"name": "impact", "seconds": prediction.flight_time_s}),
    ]
    return json.dumps({"type": "FeatureCollection", "features": features, "properties": msgspec.to_builtins(prediction)})


def _cut(line: NDArray[np.float64]) -> list[list[NDArray[np.float64]]]:
    """Rows (n, 4) of longitude, latitude, altitude and seconds, in pieces: none crosses 180 degrees (RFC 7946, 3.1.9)."""
    pieces = [[line[0]]]
    for here, there in pairwise(line):
        if abs(there[0] - here[0]) > 180.0:
            side = math.copysign(180.0, here[0])
            step = there - here + np.array([2.0 * side, 0.0, 0.0, 0.0])  # the short way round
            cut = here + step * (side - here[0]) / step[0]
            pieces[-1].append(np.array([side, *cut[1:]]))
            pieces.append([np.array([-side, *cut[1:]])])
        pieces[-1].append(there)
    return pieces


def _position(row: NDArray[np.float64]) -> list[float]:
    """Longitude, latitude and altitude, to about a metre."""
    return [round(float(row[0]), 5), round(float(row[1]), 5), round(float(row[2]), 1)]


def _feature(kind: str, coordinates: list[Any], properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "Feature", "geometry": {"type": kind, "coordinates": coordinates}, "properties": properties}


def to_czml(prediction: Prediction, path: Path3d) -> str:
    """A CZML document for globes: one packet that moves along the path, fixed to the Earth."""
    rows = _thinned(path, 2.0)
    cartesian = [float(value) for i in rows for value in (path.seconds[i], *path.ecef_m[i].round(1))]
    end = (np.datetime64(_EPOCH[:-1], "ms") + np.timedelta64(round(prediction.flight_time_s * 1e3), "ms")).astype(str) + "Z"
    interval = f"{_EPOCH}/{end}"
    name = f"{prediction.type} from {prediction.site}"
    packets = [
        {
            "id": "document",
            "name": name,
            "version": "1.0",
            "clock": {"interval": interval, "currentTime": _EPOCH, "multiplier": 10},
        },
        {
            "id": "flight",
            "name": name,
            "availability": interval,
            "position": {
                "epoch": _EPOCH,
                "referenceFrame": "FIXED",
                "interpolationAlgorithm": "LAGRANGE",
                "interpolationDegree": 5,
                "cartesian": cartesian,
            },
            "point": {"pixelSize": 8, "color": {"rgba": [255, 80, 40, 255]}},
            "path": {"width": 2, "leadTime": 0, "material": {"solidColor": {"color": {"rgba": [255, 80, 40, 200]}}}},
        },
    ]
    return json.dumps(packets)


def plot(prediction: Prediction, path: Path3d, file: Path) -> None:
    """Altitude against time and against ground range, burnout and apogee marked, as a PNG."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise BadInput("flag --plot", "", "needs matplotlib, which is not installed here") from None

    range_km = _from_launch_km(path)
    burnout, top = int(np.searchsorted(path.seconds, prediction.burnout_time_s)), int(np.argmax(path.altitude_m))
    figure = Figure(figsize=(10.0, 4.5), layout="constrained")
    figure.suptitle(
        f"{prediction.type} from {prediction.site}: apogee {prediction.apogee_km:,.0f} km, range {prediction.range_km:,.0f} km, "
        f"{prediction.flight_time_s:,.0f} s"
    )
    for axes, x, label in zip(
        figure.subplots(1, 2, sharey=True), (path.seconds, range_km), ("time, s", "ground range, km"), strict=True
    ):
        axes.plot(x, path.altitude_m / 1e3, color="tab:blue")
        axes.plot(
            x[burnout], path.altitude_m[burnout] / 1e3, "o", color="tab:red", label=f"burnout, {prediction.burnout_time_s:.0f} s"
        )
        axes.plot(x[top], path.altitude_m[top] / 1e3, "^", color="tab:green", label="apogee")
        axes.set_xlabel(label)
        axes.grid(alpha=0.3)
        axes.set_ylim(bottom=0.0)
        axes.set_xlim(left=0.0)
    figure.axes[0].set_ylabel("altitude, km")
    figure.axes[0].legend(loc="upper right")
    figure.savefig(file, dpi=120, format="png")


def _from_launch_km(path: Path3d) -> NDArray[np.float64]:
    """Ground distance of each row from the launch point, km."""
    lat, lon = np.radians(path.lat_deg), np.radians(path.lon_deg)
    metres = [ground_distance_m(lat[0], lon[0], one, other) for one, other in zip(lat, lon, strict=True)]
    return np.array(metres) / 1e3


def run_fly(
    prediction: Prediction, flight: Flight, plot_file: Path | None, czml: Path | None, geojson: Path | None, *, as_json: bool
) -> None:
    """Write the files and print the figures."""
    path = path_of(flight)
    for file, text in ((czml, to_czml), (geojson, to_geojson)):
        if file is not None:
            _write(file, text(prediction, path))
    if plot_file is not None:
        _drawn(prediction, path, plot_file)
    click.echo(msgspec.json.encode(prediction).decode() if as_json else as_text(prediction))


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise BadInput(str(file), "", f"cannot be written: {error.strerror}") from None
    click.echo(f"wrote {file}", err=True)


def _drawn(prediction: Prediction, path: Path3d, file: Path) -> None:
    try:
        plot(prediction, path, file)
    except OSError as error:
        raise BadInput(str(file), "", f"cannot be written: {error.strerror}") from None
    click.echo(f"wrote {file}", err=True)


def as_text(prediction: Prediction) -> str:
    """The figures, a line each, with their units."""
    p = prediction
    lines = [
        f"{p.type} from {p.site}, azimuth {p.azimuth_deg:g} deg",
        f"apogee    {p.apogee_km:,.1f} km",
        f"range     {p.range_km:,.1f} km",
        f"flight    {p.flight_time_s:,.1f} s (the Kepler ellipse alone: {p.kepler_time_s:,.1f} s)",
        f"burnout   {p.burnout_time_s:,.1f} s, {p.burnout_speed_m_s:,.0f} m/s, {p.burnout_altitude_km:,.1f} km high",
        f"impact    {_named(p.impact_lat_deg, 'NS')} {_named(p.impact_lon_deg, 'EW')}",
    ]
    if p.claim_differs_s is not None:
        claim = f"{p.claim_differs_s:+,.1f} s, {p.claim_differs_percent:+.1f} percent of the prediction"
        lines.append(f"claimed   {p.claimed_time_s:,.0f} s: {claim}")
    return "\n".join(lines)


def _named(degrees: float, sides: str) -> str:
    return f"{abs(degrees):.4f} {sides[degrees < 0.0]}"
