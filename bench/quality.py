"""`triwarn bench quality`: how good the fused picture is, over seeded runs, with national reports as they are and distorted.

Each case distorts what the three feeds release (`bench.distort`) and gives it to a fusion engine of its own, in order of time;
one recipient's picture is held against truth (`bench.fused`). The bound is a centralised tracker on the scans of all sensors
(`bench.centralised`), whose tracks go through an engine as the only feed; no distortion of reports touches it. A run is one
sample: standard errors are by runs.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from functools import cache, partial
from itertools import count
from typing import Final, Literal

import numpy as np
from msgspec import Struct

from bench.busload import machine
from bench.centralised import centralised
from bench.distort import Arrival, arrivals_of, displaced, fed_back, mistimed, twice
from bench.fused import FusedScore, Sums
from bench.population import flyable
from bench.qualityrows import Quality, row_of
from bench.result import GOSPA_CUTOFF_M
from bench.workers import workers
from bench.world import World, play_out
from bus.clock import SimulatedClock
from bus.errors import BadInput
from bus.release import NATIONS, Nation
from fusion.engine import FusionEngine, Inbound
from sensors.scenario import Scenario, load_scenario, parse_scenario
from sensors.service import outgoing

SALVO: Final = "salvo-2024-05-30"
SHIPPED_M: Final = 400.0
ALONE_A_RUN: Final = 3  # published flights that a run flies, one after the other: five runs fly all fifteen
FEEDS_BACK: Final[Nation] = NATIONS[0]
MISTIMED: Final[Nation] = NATIONS[1]
_TICK_NS: Final = 500_000_000
_S: Final = 1_000_000_000

Flies = Literal["salvo", "abreast", "alone"]
Run = tuple[list[Sums], list[float]]  # of one case: its sums, one a flight, and its bound, centralised GOSPA second by second, m


class Case(Struct, frozen=True, kw_only=True):
    """What is flown, and what becomes of the reports.

    `feedback`: one nation, FEEDS_BACK, also releases what is fused as tracks of its own, which tell their sensors or do not;
    `blind`: it releases nothing else, for it has no track of its own. `clock_s`: by how much another's, MISTIMED, clock is ahead.
    """

    name: str
    flies: Flies = "salvo"
    spacing_m: float = SHIPPED_M
    bias_sigmas: float = 0.0
    clock_s: float = 0.0
    twice: bool = False
    feedback: Literal["none", "known", "unknown"] = "none"
    blind: bool = False


CASES: Final[tuple[Case, ...]] = (
    Case(name="salvo"),
    Case(name="salvo, bias 2 sigma", bias_sigmas=2.0),
    Case(name="salvo, bias 5 sigma", bias_sigmas=5.0),
    Case(name="salvo, bias 10 sigma", bias_sigmas=10.0),
    Case(name="salvo, a clock 0.2 s ahead", clock_s=0.2),
    Case(name="salvo, a clock 1 s ahead", clock_s=1.0),
    Case(name="salvo, duplicates", twice=True),
    Case(name="salvo, fed back, pedigree known", feedback="known"),
    Case(name="salvo, fed back, pedigree unknown", feedback="unknown"),
    Case(name="salvo, fed back by the blind, pedigree known", feedback="known", blind=True),
    Case(name="salvo, fed back by the blind, pedigree unknown", feedback="unknown", blind=True),
    Case(name="salvo, 50 m apart", spacing_m=50.0),
    Case(name="salvo, 1 km apart", spacing_m=1000.0),
    Case(name="salvo, 5 km apart", spacing_m=5000.0),
    Case(name="abreast, 400 m apart", flies="abreast"),
    Case(name="abreast, 1 km apart", flies="abreast", spacing_m=1000.0),
    Case(name="abreast, 1 km apart, bias 10 sigma", flies="abreast", spacing_m=1000.0, bias_sigmas=10.0),
    Case(name="alone", flies="alone"),
    Case(name="alone, duplicates", flies="alone", twice=True),
    Case(name="alone, fed back, pedigree known", flies="alone", feedback="known"),
    Case(name="alone, fed back, pedigree unknown", flies="alone", feedback="unknown"),
    Case(name="alone, fed back by the blind, pedigree known", flies="alone", feedback="known", blind=True),
    Case(name="alone, fed back by the blind, pedigree unknown", flies="alone", feedback="unknown", blind=True),
)


def find_cases(names: tuple[str, ...]) -> tuple[Case, ...]:
    """The cases of these names, all without any; BadInput lists what there is."""
    for name in names:
        if name not in {case.name for case in CASES}:
            raise BadInput("bench quality", "--case", f"no such case {name!r}", "; ".join(case.name for case in CASES))
    return tuple(case for case in CASES if case.name in names or not names)


def measure_quality(runs: int, seed: int, tell: Callable[[str], None], cases: tuple[Case, ...] = CASES, jobs: int = 1) -> Quality:
    """Seeds from `seed`; cases that fly the same share their worlds. Up to `jobs` runs at once: what they find stays the same."""
    found: dict[str, list[Run]] = {case.name: [] for case in cases}
    jobs = min(jobs, runs)
    tell(f"{runs} runs of {len(cases)} cases, {jobs} at once")
    with workers(jobs) if jobs > 1 else nullcontext() as pool:
        each = map if pool is None else pool.map
        for run, of_cases in enumerate(each(partial(_fly_all, cases), range(seed, seed + runs)), seed):
            tell(f"seed {run}: {run - seed + 1} of {runs} runs")
            for name, one in of_cases.items():
                found[name].append(one)
    return Quality(machine=machine(), runs=runs, seed=seed, rows=[row_of(name, each_run) for name, each_run in found.items()])


def _fly_all(cases: tuple[Case, ...], run: int) -> dict[str, Run]:
    """One run of each case, by name."""
    found: dict[str, Run] = {}
    for flies, spacing_m in dict.fromkeys((case.flies, case.spacing_m) for case in cases):
        sharing = [case for case in cases if (case.flies, case.spacing_m) == (flies, spacing_m)]
        sums: dict[str, list[Sums]] = {case.name: [] for case in sharing}
        bound: list[float] = []
        for scenario in scenarios_of(flies, spacing_m, run):
            world = play_out(scenario, run, scored=True)
            bound += centralised_gospa_m(world)
            for case in sharing:
                sums[case.name].append(fly(world, case))
        found |= {name: (of_case, bound) for name, of_case in sums.items()}
    return found


def scenarios_of(flies: Flies, spacing_m: float, run: int) -> list[Scenario]:
    """What a run flies: the salvo one after the other or abreast, or some published flights in their turn."""
    if flies != "alone":
        return [salvo_of(spacing_m, abreast=flies == "abreast")]
    flights = flyable(glide=False)
    return [flights[(ALONE_A_RUN * (run - 1) + k) % len(flights)] for k in range(ALONE_A_RUN)]


@cache
def salvo_of(spacing_m: float, *, abreast: bool = False) -> Scenario:
    """The shipped salvo with so many metres between launchers; `abreast`: all at one instant and in one direction."""
    text = load_scenario(SALVO).text.replace(f"spacing_m = {SHIPPED_M}", f"spacing_m = {spacing_m}")
    if abreast:
        text = text.replace("interval_s = 2.5", "interval_s = 0.0").replace(
            "azimuth_spread_deg = 6.0", "azimuth_spread_deg = 0.0"
        )
    return parse_scenario(text, f"{SALVO}, {spacing_m:g} m")


def fly(world: World, case: Case) -> Sums:
    """One run of a case: what its seconds add up to."""
    sums = Sums()
    for _, score in seconds_of(world, case):
        sums = score.sums
    return sums


def seconds_of(world: World, case: Case) -> Iterator[tuple[int, FusedScore]]:
    """A case through an engine: every release as it arrives, and the clock's tick; the score at each whole second, sampled."""
    random = np.random.default_rng((world.seed, 1))
    arrivals = [each for each in arrivals_of(world) if not (case.blind and each.nation == FEEDS_BACK)]
    if case.bias_sigmas:
        arrivals = displaced(arrivals, case.bias_sigmas, random)
    if case.clock_s:
        arrivals = mistimed(arrivals, MISTIMED, case.clock_s)
    if case.twice:
        arrivals = twice(arrivals, random)
    yield from _through_fusion(world, arrivals, case)


def centralised_gospa_m(world: World) -> list[float]:
    """The bound: GOSPA, m, second by second, of a centralised tracker's picture."""
    arrivals = [Arrival(each.released_ns, FEEDS_BACK, each) for each in centralised(world)]
    return [score.sums.gospa_m for _, score in _through_fusion(world, arrivals, Case(name="centralised"))][-1]


def _through_fusion(world: World, arrivals: list[Arrival], case: Case) -> Iterator[tuple[int, FusedScore]]:
    engine, score, number = FusionEngine(), FusedScore(world, GOSPA_CUTOFF_M), count()
    waiting = [(arrival.at_ns, next(number), arrival) for arrival in arrivals]
    clock, before = SimulatedClock(world.truth.start_ns), set[int]()
    delay_ns = round(world.scenario.nations[FEEDS_BACK].release_delay_s * _S)
    for at_ns in range(world.truth.start_ns + _TICK_NS, world.truth.end_ns + _TICK_NS, _TICK_NS):
        while waiting and waiting[0][0] <= at_ns:
            due_ns, _, arrival = heapq.heappop(waiting)
            score.hear(arrival)
            _fuse(engine, score, [_inbound(arrival, clock)], due_ns)
        _fuse(engine, score, [], at_ns)
        if (at_ns - world.truth.start_ns) % _S == 0:
            score.sample(at_ns)
            yield at_ns, score
            if case.feedback != "none":
                for arrival in _feedback(score, before, at_ns + delay_ns, pedigree_known=case.feedback == "known"):
                    heapq.heappush(waiting, (arrival.at_ns, next(number), arrival))


def _fuse(engine: FusionEngine, score: FusedScore, messages: list[Inbound], now_ns: int) -> None:
    """A step with all that follows it, scored."""
    alerts = engine.step(messages, now_ns) + engine.catch_up(now_ns)
    score.take(alerts, engine.draw(now_ns))


def _inbound(arrival: Arrival, clock: SimulatedClock) -> Inbound:
    return Inbound(outgoing(arrival.release, arrival.nation, clock), arrival.release.to)


def _feedback(score: FusedScore, before: set[int], at_ns: int, *, pedigree_known: bool) -> Iterator[Arrival]:
    """What FEEDS_BACK sends of the picture that it holds; `before` is brought up to date."""
    picture = score.picture()
    if picture is None:
        return
    follows = [score.seen_of(system) for system in picture.system.tolist()]
    for sent in fed_back(picture, follows, before, FEEDS_BACK, at_ns, pedigree_known=pedigree_known):
        if sent.reports is not None:
            before |= set(sent.reports.track.tolist())
        before -= set(sent.tracks)
        yield Arrival(at_ns, FEEDS_BACK, sent)
