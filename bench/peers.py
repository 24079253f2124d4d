"""`triwarn bench peers`: the same job done by this project, by plain numpy and scipy, and by Stone Soup, side by side.

The job and the contenders are in `bench.contenders` and `bench.soup`. All get the same tracks, and all answers are held against
the truth and against this project's. One process, the median of several runs after a warm-up. A contender that would not be done
within its budget is not begun: how long a run would take is foretold from its growth from size to size.

Time is what the processor spends on the process. A run of seconds on a busy machine is interrupted, one of a millisecond hardly
ever, and by the wall clock the slow contenders would look the slower for it.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import math
import platform
import time
from collections.abc import Callable
from typing import Final

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from bench.busload import machine
from bench.contenders import Answer, Contender, Job, job_of, numpy_scipy, triwarn

SIZES: Final = (10, 30, 100, 300, 1000)
BUDGET_S: Final = 20.0
NAMES: Final = ("triwarn", "numpy", "stonesoup", "stonesoup-tpr", "stonesoup-kd")
_WARM_TRACKS: Final = 10
_LEAST_RUNS, _MOST_RUNS, _ENOUGH_S = 5, 201, 3.0
_GROWTH: Final = (1.0, 3.0)  # the least and most power of the size that a time may grow with
_ABSENT: Final = "stonesoup is not installed: pip install .[peers]"


class PeerRow(Struct, frozen=True, kw_only=True):
    """One contender at one size; null, with the reason, what was not measured.

    `median_ms`: processor time of one run; `times_triwarn`: the same over this project's. `in_both`: the objects that both feeds
    see. `right`: of its pairs, the share whose tracks are of one object. `same_pairs`: of the pairs that it or this project made,
    the share that both made. `position_rms_m`: fused estimates of right pairs against the truth. `apart_m`: the largest distance
    of a pair's fused position from this project's.
    """

    contender: str
    tracks_per_feed: int
    in_both: int
    runs: int = 0
    median_ms: float | None = None
    times_triwarn: float | None = None
    pairs: int | None = None
    right: float | None = None
    same_pairs: float | None = None
    position_rms_m: float | None = None
    apart_m: float | None = None
    reason: str = ""


class Peers(Struct, frozen=True, kw_only=True):
    """The whole measurement, and what it was measured on."""

    machine: dict[str, str | int]
    versions: dict[str, str]
    seed: int
    budget_s: float
    rows: list[PeerRow]


def installed() -> bool:
    """Whether the extra `peers` is there."""
    return importlib.util.find_spec("stonesoup") is not None


def measure_peers(sizes: tuple[int, ...], budget_s: float, seed: int, tell: Callable[[str], None]) -> Peers:
    """Each contender for at most about `budget_s` at each size."""
    contenders = _contenders()
    if not contenders["stonesoup"]:
        tell(_ABSENT)
    rows: list[PeerRow] = []
    warm = job_of(_WARM_TRACKS, seed)
    spent = {name: {_WARM_TRACKS: _warmed(contender, warm)} for name, contender in contenders.items() if contender}
    for size in sorted(set(sizes)):
        job = job_of(size, seed)
        ours: tuple[float, Answer] | None = None
        for name, contender in contenders.items():
            blank = PeerRow(contender=name, tracks_per_feed=size, in_both=_in_both(job))
            if contender is None:
                rows.append(replace(blank, reason=_ABSENT))
                continue
            would_s = foretold(spent[name], size)
            if would_s > budget_s:
                rows.append(replace(blank, reason=f"a run would take some {would_s:.2g} s, the budget is {budget_s:g} s"))
                tell(f"{name}, {size:,} x {size:,}: {rows[-1].reason}")
                continue
            tell(f"{name}, {size:,} x {size:,}")
            runs, answer = _runs(contender, job, budget_s)
            spent[name][size] = float(np.median(runs))
            if name == NAMES[0]:
                ours = spent[name][size], answer
            rows.append(row_of(blank, job, runs, answer, ours))
    return Peers(machine=machine(), versions=_versions(), seed=seed, budget_s=budget_s, rows=rows)


def _contenders() -> dict[str, Contender | None]:
    """By name; none where its library is absent."""
    found: list[Contender | None] = [triwarn, numpy_scipy, None, None, None]
    if installed():
        from bench import soup

        found[2:] = [soup.all_pairs, soup.tpr_tree, soup.kd_tree]
    return dict(zip(NAMES, found, strict=True))


def _versions() -> dict[str, str]:
    libraries = ["triwarn", "numpy", "scipy", "numba", *(["stonesoup"] if installed() else [])]
    return {"python": platform.python_version(), **{name: importlib.metadata.version(name) for name in libraries}}


def _warmed(contender: Contender, job: Job) -> float:
    """Seconds of a second run: the first one compiles and loads."""
    _once(contender, job)
    return _once(contender, job)[0]


def _once(contender: Contender, job: Job) -> tuple[float, Answer]:
    prepared = contender(job)
    begun = time.process_time()
    done = prepared.run()
    return time.process_time() - begun, prepared.read(done)


def _runs(contender: Contender, job: Job, budget_s: float) -> tuple[list[float], Answer]:
    """Seconds of each run, and the answer of the last."""
    spent: list[float] = []
    while True:
        took_s, answer = _once(contender, job)
        spent.append(took_s)
        enough = len(spent) >= _LEAST_RUNS and (sum(spent) >= _ENOUGH_S or len(spent) >= _MOST_RUNS)
        if enough or sum(spent) + took_s > budget_s:
            return spent, answer


def foretold(spent: dict[int, float], size: int) -> float:
    """Seconds of a run at a size, from those at other sizes: by the power that joins the two largest, the square of one alone."""
    if size in spent:
        return spent[size]
    *before, last = sorted(spent)
    power = 2.0
    if before:
        power = math.log(spent[last] / spent[before[-1]]) / math.log(last / before[-1])
    grown: float = (size / last) ** min(max(power, _GROWTH[0]), _GROWTH[1])
    return spent[last] * grown


def _in_both(job: Job) -> int:
    return len(np.intersect1d(job.first.objects, job.second.objects))


def row_of(blank: PeerRow, job: Job, runs: list[float], answer: Answer, ours: tuple[float, Answer] | None) -> PeerRow:
    """The row filled in; `ours` are the median seconds and the answer of this project, where there are any."""
    objects = job.first.objects[answer.pairs[:, 0]]
    right = objects == job.second.objects[answer.pairs[:, 1]]
    off = (answer.state - job.truth[objects])[right, :3]
    median_s = float(np.median(runs))
    row = replace(
        blank,
        runs=len(runs),
        median_ms=round(median_s * 1e3, 4),
        pairs=len(answer.pairs),
        right=round(float(right.mean()), 5) if len(right) else None,
        position_rms_m=round(float(np.sqrt((off**2).sum(axis=1).mean())), 3) if right.any() else None,
    )
    if ours is None:
        return row
    same, apart_m = agreement(ours[1], answer)
    return replace(row, times_triwarn=round(median_s / ours[0], 3), same_pairs=round(same, 5), apart_m=apart_m)


def agreement(one: Answer, other: Answer) -> tuple[float, float | None]:
    """The share of the pairs of either that both have, and how far apart their fused positions are at most, m."""
    at_one = {pair: i for i, pair in enumerate(map(tuple, one.pairs.tolist()))}
    at_other = {pair: i for i, pair in enumerate(map(tuple, other.pairs.tolist()))}
    both = sorted(at_one.keys() & at_other.keys())
    if not both:
        return float(at_one == at_other), None
    off = one.state[[at_one[pair] for pair in both], :3] - other.state[[at_other[pair] for pair in both], :3]
    return len(both) / len(at_one.keys() | at_other.keys()), float(np.linalg.norm(off, axis=1).max())


def peer_rows(result: Peers) -> tuple[tuple[str, ...], list[list[str]]]:
    """Headings and cells of its table."""
    headings = ("tracks a feed", "contender", "median ms", "times triwarn", "pairs", "right", "same pairs", "RMS m")
    rows = []
    for row in result.rows:
        times = (row.median_ms, "{:,.2f}"), (row.times_triwarn, "{:,.1f}")
        agreed = (row.right, "{:.3f}"), (row.same_pairs, "{:.3f}"), (row.position_rms_m, "{:.1f}")
        before, after = ([form.format(value) if value is not None else "-" for value, form in each] for each in (times, agreed))
        pairs = "-" if row.pairs is None else f"{row.pairs:,} of {row.in_both:,}"
        rows.append([f"{row.tracks_per_feed:,}", row.contender, *before, pairs, *after])
    return headings, rows
