"""`triwarn bench sensors`: how good the three national feeds are, and how fast they are computed.

Many seeded runs of the shipped launches, from truth to national tracks. Each released row is held against truth: NEES by nation
and phase (Bar-Shalom, Li and Kirubarajan, 2001, section 5.4; divided by 6, so that 1 is consistent), the error of the position,
and when each nation first detected and first reported a launch.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from typing import Final, Literal

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray
from rich.table import Table

from bench.busload import machine
from bench.world import World, play_out
from bus.columns import unpack_cov
from bus.release import NATIONS, Nation
from sensors.scenario import load_scenario
from sensors.truth import PHASE_BOOST, PHASE_COAST, PHASE_REENTRY

SCENARIOS: Final = ("salvo-2024-05-30", "overflight", "lofted-2022-11-18")
_PHASES: Final = {PHASE_BOOST: "boost", PHASE_COAST: "coast", PHASE_REENTRY: "re-entry"}

Phase = Literal["boost", "coast", "re-entry"]
Float = NDArray[np.float64]


class Consistency(Struct, frozen=True, kw_only=True):
    """The reports of one nation in one phase: how many, ANEES, and the root mean square error of the position, m."""

    scenario: str
    nation: Nation
    phase: Phase
    reports: int
    anees: float
    position_rms_m: float


class FirstSeen(Struct, frozen=True, kw_only=True):
    """Medians over launches and runs, s after launch, None where never; and the share of launches that were reported."""

    scenario: str
    nation: Nation
    detected_after_s: float | None
    reported_after_s: float | None
    reported_share: float


class Speed(Struct, frozen=True, kw_only=True):
    """From the scenario to every national track, all three nations on one core, flights already solved; median of the runs."""

    scenario: str
    cpu_s: float
    times_real_time: float


class FeedQuality(Struct, frozen=True, kw_only=True):
    """The whole measurement, with what it was measured on."""

    machine: dict[str, str | int]
    runs: int
    consistency: list[Consistency]
    first: list[FirstSeen]
    speed: list[Speed]


def measure_feeds(
    runs: int, scenarios: tuple[str, ...] = SCENARIOS, tell: Callable[[str], None] = lambda line: None
) -> FeedQuality:
    """Play every scenario `runs` times, with seeds from 1."""
    consistency: list[Consistency] = []
    first: list[FirstSeen] = []
    speed: list[Speed] = []
    for name in scenarios:
        tell(f"{name}, {runs} runs")
        scenario = load_scenario(name)
        play_out(scenario, 0)  # compiles, and solves the flights
        errors: dict[tuple[Nation, int], list[Float]] = defaultdict(list)
        seen: dict[Nation, list[tuple[float, float]]] = {nation: [] for nation in NATIONS}
        spent: list[float] = []
        for seed in range(1, runs + 1):
            begun = time.process_time()
            world = play_out(scenario, seed)
            spent.append(time.process_time() - begun)
            for nation in NATIONS:
                _collect(world, nation, errors)
                seen[nation] += _first(world, nation)
        seconds = (world.truth.end_ns - world.truth.start_ns) / 1e9
        consistency += _consistency(name, errors)
        first += [_medians(name, nation, np.array(times)) for nation, times in seen.items()]
        cpu_s = float(np.median(spent))
        speed.append(Speed(scenario=name, cpu_s=round(cpu_s, 3), times_real_time=round(seconds / cpu_s, 1)))
    return FeedQuality(machine=machine(), runs=runs, consistency=consistency, first=first, speed=speed)


def _collect(world: World, nation: Nation, errors: dict[tuple[Nation, int], list[Float]]) -> None:
    """For each released row that follows a launch: NEES / 6 and the squared error of the position, by the true phase."""
    places = {launch.launch_id: index for index, launch in enumerate(world.truth.launches)}
    for release in world.releases[nation]:
        block = release.reports
        if release.kind != "frame" or block is None:
            continue
        origins = [world.origin(nation, track) for track in block.track.tolist()]
        rows = np.array([row for row, origin in enumerate(origins) if origin is not None], np.int64)
        if not len(rows):
            continue
        launch = np.array([places[origin] for origin in origins if origin is not None])
        at_ns = int(block.valid_ns[0])  # a feed's frame holds at one instant
        off = block.state[rows] - world.truth.states_at(at_ns)[launch]
        scaled = np.linalg.solve(unpack_cov(block.cov[rows]), off[..., None])[..., 0]
        values = np.stack([(off * scaled).sum(axis=1) / 6.0, (off[:, :3] ** 2).sum(axis=1)], axis=1)
        phase = world.truth.phase_at(at_ns)[launch]
        for key in _PHASES:
            if (phase == key).any():
                errors[nation, key].append(values[phase == key])


def _first(world: World, nation: Nation) -> list[tuple[float, float]]:
    """For each launch: seconds to this nation's first detection and to its first report, NaN where there was none."""
    feed, reported = world.feeds[nation], dict[str, int]()
    for release in world.releases[nation]:
        for track in release.reports.track.tolist() if release.reports is not None else ():
            origin = world.origin(nation, track)
            if origin is not None:
                reported.setdefault(origin, release.released_ns)
    times = []
    for launch in world.truth.launches:
        detected_ns = feed.first_seen.get(launch.launch_id, (0, 0))[1]
        both = (detected_ns, reported.get(launch.launch_id, 0))
        times.append(tuple((at_ns - launch.launch_ns) / 1e9 if at_ns else np.nan for at_ns in both))
    return [(float(one), float(other)) for one, other in times]


def _consistency(name: str, errors: dict[tuple[Nation, int], list[Float]]) -> list[Consistency]:
    rows = []
    for (nation, phase), parts in sorted(errors.items()):
        values = np.concatenate(parts)
        rows.append(
            Consistency(
                scenario=name,
                nation=nation,
                phase=_PHASES[phase],  # type: ignore[arg-type]
                reports=len(values),
                anees=round(float(values[:, 0].mean()), 3),
                position_rms_m=round(float(np.sqrt(values[:, 1].mean())), 1),
            )
        )
    return rows


def _medians(name: str, nation: Nation, times: Float) -> FirstSeen:
    medians = [None if np.isnan(column).all() else round(float(np.nanmedian(column)), 2) for column in times.T]
    return FirstSeen(
        scenario=name,
        nation=nation,
        detected_after_s=medians[0],
        reported_after_s=medians[1],
        reported_share=round(float(np.isfinite(times[:, 1]).mean()), 4),
    )


def feed_tables(result: FeedQuality) -> list[Table]:
    """Consistency, first reports, and speed, for a terminal."""
    kinds: list[tuple[str, list[str], list[list[str]]]] = [
        (
            f"National tracks against truth, {result.runs} runs",
            ["scenario", "nation", "phase", "reports", "ANEES", "position rms m"],
            [
                [row.scenario, row.nation, row.phase, f"{row.reports:,}", f"{row.anees:.2f}", f"{row.position_rms_m:,.0f}"]
                for row in result.consistency
            ],
        ),
        (
            "Seconds after launch, medians",
            ["scenario", "nation", "detected", "reported", "share reported"],
            [
                [
                    row.scenario,
                    row.nation,
                    _or_dash(row.detected_after_s),
                    _or_dash(row.reported_after_s),
                    f"{row.reported_share:.3f}",
                ]
                for row in result.first
            ],
        ),
        (
            "Truth to national tracks on one core",
            ["scenario", "CPU s", "times real time"],
            [[row.scenario, f"{row.cpu_s:.2f}", f"{row.times_real_time:,.0f}"] for row in result.speed],
        ),
    ]
    tables = []
    for title, headings, rows in kinds:
        table = Table(title=title, header_style="bold")
        for heading in headings:
            table.add_column(heading, justify="left" if heading in ("scenario", "nation", "phase") else "right")
        for row in rows:
            table.add_row(*row)
        tables.append(table)
    return tables


def _or_dash(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"
