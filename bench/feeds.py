"""`triwarn bench sensors`: how good the three national feeds are, and how fast they are computed.

Many seeded runs, from truth to national tracks, of the populations in `bench.population`. Each released row is held against
truth (`bench.consistency`), and each launch against when a nation first detected and first reported it.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from typing import Final

import numpy as np
from msgspec import Struct
from msgspec.structs import asdict
from numpy.typing import NDArray

from bench.busload import machine
from bench.consistency import Consistency, Float, Key, PhaseFigures, figures, sums_of_run
from bench.population import MEASURED, Population, find_populations
from bench.world import World, play_out
from bus.release import NATIONS, Nation
from sensors.scenario import load_scenario
from sensors.truth import build_truth

_WARM_UP: Final = "overflight"  # every kind of sensor and every phase, and soon played


class FirstSeen(Struct, frozen=True, kw_only=True):
    """Medians over launches and runs, s after launch, None where never; and the share of launches that were reported."""

    scenario: str
    nation: Nation
    detected_after_s: float | None
    reported_after_s: float | None
    reported_share: float


class Speed(Struct, frozen=True, kw_only=True):
    """From the scenario to every national track, all three nations on one core, flights already solved; medians of the runs."""

    scenario: str
    launches: int
    cpu_s: float
    times_real_time: float


class FeedQuality(Struct, frozen=True, kw_only=True):
    """The whole measurement, and what it was measured on. `phases` is over all but `hundred`, which is there for its load."""

    machine: dict[str, str | int]
    runs: int
    phases: list[PhaseFigures]
    consistency: list[Consistency]
    first: list[FirstSeen]
    speed: list[Speed]


def measure_feeds(
    runs: int,
    scenarios: tuple[str, ...] = MEASURED,
    tell: Callable[[str], None] = lambda line: None,
    step: Callable[[int, int], None] = lambda done, total: None,
) -> FeedQuality:
    """Play every scenario `runs` times, with seeds from 1. `tell` hears what is begun, `step` how many runs of all are done."""
    populations = find_populations(scenarios)
    wanted = [min(runs, population.most_runs or runs) for population in populations]
    done, overall = 0, defaultdict[Key, list[Float]](list)
    result = FeedQuality(machine=machine(), runs=runs, phases=[], consistency=[], first=[], speed=[])
    play_out(load_scenario(_WARM_UP), 0)  # compiles
    for population, count in zip(populations, wanted, strict=True):
        tell(f"{population.name}, {count} run{'' if count == 1 else 's'}")
        sums: dict[Key, list[Float]] = defaultdict(list)
        seen: dict[Nation, list[tuple[float, float]]] = defaultdict(list)
        spent: list[tuple[float, float]] = []
        for seed in range(1, count + 1):
            step(done, sum(wanted))
            world, cpu_s = _played(population, seed)
            spent.append((cpu_s, (world.truth.end_ns - world.truth.start_ns) / 1e9))
            for key, values in sums_of_run(world).items():
                sums[key].append(values)
                if population.counts:
                    overall[key].append(values)
            for nation in NATIONS:
                seen[nation] += _first(world, nation)
            done += 1
        result.consistency.extend(
            Consistency(scenario=population.name, **asdict(figures(key, each))) for key, each in sorted(sums.items())
        )
        result.first.extend(_medians(population.name, nation, np.array(times)) for nation, times in seen.items() if times)
        result.speed.append(_speed(population.name, len(world.truth.launches), np.array(spent)))
    result.phases.extend(figures(key, each) for key, each in sorted(overall.items()))
    return result


def _played(population: Population, seed: int) -> tuple[World, float]:
    """One run, and the CPU time that it took from the flights on, s."""
    scenario = population.scenario(seed)
    build_truth(scenario)
    begun = time.process_time()
    world = play_out(scenario, seed, scored=True)
    return world, time.process_time() - begun


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


def _medians(name: str, nation: Nation, times: NDArray[np.float64]) -> FirstSeen:
    medians = [None if np.isnan(column).all() else round(float(np.nanmedian(column)), 2) for column in times.T]
    return FirstSeen(
        scenario=name,
        nation=nation,
        detected_after_s=medians[0],
        reported_after_s=medians[1],
        reported_share=round(float(np.isfinite(times[:, 1]).mean()), 4),
    )


def _speed(name: str, launches: int, spent: Float) -> Speed:
    """From each run's CPU time and length, s."""
    cpu_s, times = np.median(spent[:, 0]), np.median(spent[:, 1] / spent[:, 0])
    return Speed(scenario=name, launches=launches, cpu_s=round(float(cpu_s), 3), times_real_time=round(float(times), 1))
