"""`triwarn bench throughput`: how many track reports a second the fusion core takes, and where its time goes.

A cycle is one second of a sky (`bench.sky`): every feed reports all of its tracks, in frames of at most 256, and the engine takes
each decoded frame to system tracks and alerts, catches up after each, and draws the pictures once a feed. One process, one core,
the garbage collector as in a service. The first cycle, in which every track is new, is told apart; the others count. Then come
cycles with a new launch in their last frame, and the clock runs from that frame to its alerts. Each size runs in a process of its
own, so that memory is its own. The cycles after the first, until objects have coasted for long enough that impacts are predicted,
do not count. The clock's ticks, with what they catch up, are told apart: four a cycle, as a worker has, whatever comes; one of
them keeps a copy of the picture, up to 4,000 national tracks, for what may come out of order.

Shares of the steps come from cycles of their own with a clock around each step, which costs some time; they are of that time.
"""

from __future__ import annotations

import math
import resource
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import numpy as np
from msgspec import Struct

import fusion.engine
from bench.busload import machine
from bench.sky import Sky, launches
from bench.workers import workers
from bus.loop import collect_seldom, settle
from bus.messages import PictureFrame, system_tracks_of
from bus.release import NATIONS
from fusion.associate import Associator
from fusion.casebook import Casebook
from fusion.clusters import Clusters
from fusion.engine import FusionEngine
from fusion.lifecycle import Lifecycle
from fusion.settings import FusionSettings
from fusion.warm import warm_up

SIZES: Final = (18, 100, 1000, 10_000, 100_000)
SECONDS: Final = 10.0
_LEAST_CYCLES, _MOST_CYCLES = 5, 100
_UNTIL_PREDICTED: Final = math.ceil(FusionSettings().assessment.coast_for_s) + 1  # cycles in which no impact is predicted yet
_CLOCKED_CYCLES: Final = 3
_LAUNCHES: Final = 20
_TICKS: Final = 4  # a cycle
_S: Final = 1_000_000_000

# What is timed, by the name of the step: where each function is looked up when it is called.
_STEPS: Final[tuple[tuple[str, Any, str], ...]] = (
    ("check", fusion.engine, "reports_of"),
    ("hold", Clusters, "take"),
    ("associate", Associator, "place"),
    ("associate", Associator, "look"),
    ("estimate", Lifecycle, "estimate"),
    ("open", Casebook, "open"),
    ("judge", Casebook, "judge"),
    ("predict", Casebook, "predict"),
    ("draw", fusion.engine, "frames_of"),
)


class ThroughputRow(Struct, frozen=True, kw_only=True):
    """One size. `reports_per_s` by the median cycle; `shares` of a cycle's time by step, the rest as `other`.

    `joined_share`: of the objects that two or more feeds see, those in one system track that holds all of their tracks and no
    other, at the end.
    """

    tracks_per_feed: int
    reports_per_s: float
    first_cycle_ms: float
    cycle_p50_ms: float
    cycle_p99_ms: float
    cycles: int
    launch_p50_ms: float
    launch_p99_ms: float
    tick_p50_ms: float
    tick_p99_ms: float
    rss_mb: float
    system_tracks: int
    joined_share: float
    shares: dict[str, float]


class Throughput(Struct, frozen=True, kw_only=True):
    """The whole measurement, and what it was measured on."""

    machine: dict[str, str | int]
    seconds: float
    rows: list[ThroughputRow]


def measure_throughput(sizes: tuple[int, ...], seconds: float, tell: Callable[[str], None]) -> Throughput:
    """Each size for about `seconds` of cycles."""
    result = Throughput(machine=machine(), seconds=seconds, rows=[])
    for size in sizes:
        tell(f"3 x {size:,} tracks")
        with workers(1) as pool:
            result.rows.append(pool.submit(measure_size, size, seconds).result())
    return result


def throughput_rows(result: Throughput) -> tuple[tuple[str, ...], list[list[str]]]:
    """Headings and cells of its table; of the steps those that take a hundredth or more."""
    headings = (
        "tracks",
        "reports/s",
        "first ms",
        "p50 ms",
        "p99 ms",
        "launch p50 ms",
        "tick p50 ms",
        "p99 ms",
        "RSS MB",
        "joined",
        "time, percent",
    )
    rows = []
    for row in result.rows:
        shares = sorted(row.shares.items(), key=lambda share: -share[1])
        cycles = row.first_cycle_ms, row.cycle_p50_ms, row.cycle_p99_ms
        times = (f"{value:,.1f}" for value in (*cycles, row.launch_p50_ms, row.tick_p50_ms, row.tick_p99_ms, row.rss_mb))
        where = ", ".join(f"{step} {100.0 * share:.0f}" for step, share in shares if share >= 0.01)
        rows.append([f"3 x {row.tracks_per_feed:,}", f"{row.reports_per_s:,.0f}", *times, f"{row.joined_share:.3f}", where])
    return headings, rows


def measure_size(size: int, seconds: float) -> ThroughputRow:
    """One size, in this process."""
    warm_up()
    collect_seldom()
    settle()
    sky, engine = Sky(size), FusionEngine()
    first_s = _cycle(sky, engine, [])
    for _ in range(_UNTIL_PREDICTED):
        _cycle(sky, engine, [])
    spent: list[float] = []
    ticks: list[float] = []
    while len(spent) < _LEAST_CYCLES or (sum(spent) < seconds and len(spent) < _MOST_CYCLES):
        spent.append(_cycle(sky, engine, ticks))
    with _clocked() as clock:
        clocked_s = sum(_cycle(sky, engine, None) for _ in range(_CLOCKED_CYCLES))
    shares = {step: spent_s / clocked_s for step, spent_s in clock.items()}
    picture: dict[int, tuple[int, ...]] = {}
    _cycle(sky, engine, [], picture)
    to_alert = _to_alert(sky, engine)
    reports, p50_s = sum(len(seen) for seen in sky.seen.values()), float(np.median(spent))
    return ThroughputRow(
        tracks_per_feed=size,
        reports_per_s=round(reports / p50_s, 1),
        first_cycle_ms=round(first_s * 1e3, 3),
        cycle_p50_ms=round(p50_s * 1e3, 3),
        cycle_p99_ms=round(float(np.quantile(spent, 0.99)) * 1e3, 3),
        cycles=len(spent),
        launch_p50_ms=round(float(np.median(to_alert)) * 1e3, 3),
        launch_p99_ms=round(float(np.quantile(to_alert, 0.99)) * 1e3, 3),
        tick_p50_ms=round(float(np.median(ticks)) * 1e3, 3),
        tick_p99_ms=round(float(np.quantile(ticks, 0.99)) * 1e3, 3),
        rss_mb=round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0, 1),
        system_tracks=len(picture),
        joined_share=round(joined_share(sky, picture), 4),
        shares={step: round(share, 4) for step, share in (shares | {"other": 1.0 - sum(shares.values())}).items()},
    )


def _cycle(sky: Sky, engine: FusionEngine, ticks: list[float] | None, picture: dict[int, tuple[int, ...]] | None = None) -> float:
    """Wall seconds of one cycle; those of the ticks after it are added to `ticks`, with None there are none. Where a picture is
    given, it is brought up to date: members by number of system track.
    """
    spent = 0.0
    for at_ns, frames in sky.cycle():
        begun = time.perf_counter()
        for inbound in frames:
            engine.step([inbound], at_ns)
            engine.catch_up(at_ns)
        drawn = engine.draw(at_ns)
        spent += time.perf_counter() - begun
        if picture is not None:
            _show(picture, drawn)
    if ticks is not None:
        ticks += [_tick(engine, at_ns + tick * _S // _TICKS) for tick in range(_TICKS)]
    return spent


def _tick(engine: FusionEngine, now_ns: int) -> float:
    """Wall seconds of a tick of the clock."""
    begun = time.perf_counter()
    engine.step([], now_ns)
    engine.catch_up(now_ns)
    return time.perf_counter() - begun


def _to_alert(sky: Sky, engine: FusionEngine) -> list[float]:
    """Wall seconds from a frame with a new launch to its alerts, for some launches."""
    spent = []
    for before, (at_ns, inbound) in launches(sky, _LAUNCHES):
        for earlier_ns, frame in before:
            engine.step([frame], earlier_ns)
            engine.catch_up(earlier_ns)
        assert engine.draw(at_ns)
        begun = time.perf_counter()
        alerts = engine.step([inbound], at_ns)
        spent.append(time.perf_counter() - begun)
        engine.catch_up(at_ns)
        assert len(alerts) >= len(NATIONS)
    return spent


def _show(picture: dict[int, tuple[int, ...]], drawn: list[PictureFrame]) -> None:
    """What one recipient makes of the frames."""
    for frame in drawn:
        if frame.recipient == NATIONS[0]:
            block, _ = system_tracks_of(frame)
            picture.update(zip(block.system.tolist(), map(tuple, block.members.tolist()), strict=True))
            for number in frame.dropped:
                picture.pop(number, None)


@contextmanager
def _clocked() -> Iterator[dict[str, float]]:
    """While it lasts, seconds spent in each step, what it calls of other steps not counted."""
    spent: dict[str, float] = defaultdict(float)
    inside: list[str] = []
    since = time.perf_counter()

    def timed(step: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            nonlocal since
            now = time.perf_counter()
            if inside:
                spent[inside[-1]] += now - since
            inside.append(step)
            since = now
            try:
                return function(*args, **kwargs)
            finally:
                now = time.perf_counter()
                spent[inside.pop()] += now - since
                since = now

        return call

    before = [(owner, name, getattr(owner, name)) for _, owner, name in _STEPS]
    for step, owner, name in _STEPS:
        setattr(owner, name, timed(step, getattr(owner, name)))
    try:
        yield spent
    finally:
        for owner, name, function in before:
            setattr(owner, name, function)


def joined_share(sky: Sky, picture: dict[int, tuple[int, ...]]) -> float:
    """Of the objects that two or more feeds see, the share in a system track of exactly their tracks (`ThroughputRow`)."""
    tracks = np.zeros((sky.n, len(NATIONS)), np.int64)
    for column, nation in enumerate(NATIONS):
        tracks[sky.seen[nation], column] = np.arange(1, len(sky.seen[nation]) + 1)
    wanted = {tuple(row) for row in tracks[(tracks > 0).sum(axis=1) >= 2].tolist()}
    return len(wanted & set(picture.values())) / len(wanted)
