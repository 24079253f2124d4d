"""`triwarn bench order`: whether the picture depends on the order in which reports arrive.

The messages of an exercise up to some instant, less some that are lost, are fused once in the order of their release, and again
each with a delay of its own, some of them twice; with feeds as they claim to be, and with displaced ones. Once the last has
arrived and the clock has ticked, both pictures ought to be the same: the same national tracks held together, and the same
estimates. What is compared is what a recipient is sent.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from bench.busload import machine
from bench.distort import Arrival, arrivals_of, displaced
from bench.world import play_out
from bus.clock import SimulatedClock
from bus.columns import unpack_cov
from bus.messages import PictureFrame, system_tracks_of
from bus.release import NATIONS
from fusion.engine import FusionEngine, Inbound
from sensors.scenario import load_scenario
from sensors.service import outgoing

Float = NDArray[np.float64]
Message = tuple[int, Inbound]
Members = tuple[int, ...]
Compared = tuple[int, list[tuple[bool, float]]]  # system tracks in order, and those of both pictures: `compared`

JITTER_S: Final = (0.02, 0.5, 3.0, 10.0)  # the longest delay; the last is the lag window that is promised
BIAS_SIGMAS: Final = (0.0, 10.0)
LOST, TWICE = 0.05, 0.10
_UPTO_S: Final = (70, 110, 150, 220)  # boost, and tracks joined one by one; burnout; coast; re-entry
_SETTLE_S: Final = 12  # the longest delay, and some ticks
_TICK_NS: Final = 500_000_000


class Estimate(NamedTuple):
    """A system track as a recipient last heard of it."""

    valid_ns: int
    state: Float
    cov: Float


class OrderRow(Struct, frozen=True, kw_only=True):
    """One bias of every feed and one longest delay. `same_members`: the share of system tracks that hold the same national tracks
    as in order; of these, `identical` is the share that is the same to the bit, and `worst_difference` the largest relative one
    of state or covariance.
    """

    bias_sigmas: float
    jitter_s: float
    pictures: int
    system_tracks: int
    same_members: float
    identical: float
    worst_difference: float


class Order(Struct, frozen=True, kw_only=True):
    """The whole measurement, and what it was measured on."""

    machine: dict[str, str | int]
    scenario: str
    runs: int
    lost_share: float
    twice_share: float
    rows: list[OrderRow]


def measure_order(scenario: str, runs: int, tell: Callable[[str], None]) -> Order:
    """Seeds from 1; four pictures a run, bias and delay."""
    found: dict[tuple[float, float], list[Compared]] = {case: [] for case in itertools.product(BIAS_SIGMAS, JITTER_S)}
    for seed in range(1, runs + 1):
        tell(f"{scenario}, seed {seed}")
        world = play_out(load_scenario(scenario), seed)
        for bias_sigmas in BIAS_SIGMAS:
            random = np.random.default_rng(seed)
            arrivals = displaced(arrivals_of(world), bias_sigmas, random) if bias_sigmas else arrivals_of(world)
            messages = list(messages_of(arrivals, world.truth.start_ns))
            for upto_s in _UPTO_S:
                for jitter_s, pictures in _compare(messages, world.truth.start_ns, upto_s, random):
                    found[bias_sigmas, jitter_s].append(pictures)
    rows = [_row(*case, each) for case, each in found.items()]
    return Order(machine=machine(), scenario=scenario, runs=runs, lost_share=LOST, twice_share=TWICE, rows=rows)


def _compare(
    messages: list[Message], start_ns: int, upto_s: int, random: np.random.Generator
) -> Iterator[tuple[float, Compared]]:
    """For each longest delay how many system tracks the picture of `upto_s` has in order, and those of both."""
    end_ns = start_ns + upto_s * 1_000_000_000
    sent = [message for message in messages if message[0] <= end_ns and random.random() >= LOST]
    settled_ns = end_ns + _SETTLE_S * 1_000_000_000
    wanted = picture_of(sent, start_ns, settled_ns)
    for jitter_s in JITTER_S:
        yield jitter_s, (len(wanted), compared(wanted, picture_of(delayed(sent, jitter_s, random), start_ns, settled_ns)))


def messages_of(arrivals: list[Arrival], start_ns: int) -> Iterator[Message]:
    """The messages of feeds, each when it arrives; the exercise begins at `start_ns`."""
    clock = SimulatedClock(start_ns)
    for at_ns, nation, release in arrivals:
        yield at_ns, Inbound(outgoing(release, nation, clock), release.to)


def delayed(messages: list[Message], jitter_s: float, random: np.random.Generator) -> list[Message]:
    """The messages in the order of their arrival: each after a delay of its own, some a second time after another."""
    again = [message for message in messages if random.random() < TWICE]
    late = [(at_ns + int(random.uniform(0.0, jitter_s) * 1e9), inbound) for at_ns, inbound in messages + again]
    return sorted(late, key=lambda message: message[0])


def picture_of(messages: list[Message], start_ns: int, end_ns: int) -> dict[Members, Estimate]:
    """What one recipient holds at the end, by the national tracks held together."""
    engine, held = FusionEngine(), dict[int, tuple[Members, Estimate]]()
    tick_ns = start_ns
    for at_ns, inbound in [*messages, (end_ns, None)]:
        while tick_ns <= at_ns:
            _show(held, _after(engine, (), tick_ns))
            tick_ns += _TICK_NS
        if inbound is not None:
            _show(held, _after(engine, [inbound], at_ns))
    return {members: estimate for members, estimate in held.values() if any(members)}


def _after(engine: FusionEngine, messages: Sequence[Inbound], now_ns: int) -> list[PictureFrame]:
    """The pictures that a step leads to."""
    engine.step(messages, now_ns)
    engine.catch_up(now_ns)
    return engine.draw(now_ns)


def _show(held: dict[int, tuple[Members, Estimate]], frames: list[PictureFrame]) -> None:
    for frame in frames:
        if frame.recipient == NATIONS[0]:
            block, _ = system_tracks_of(frame)
            covs = unpack_cov(block.cov)
            for i, system in enumerate(block.system.tolist()):
                estimate = Estimate(int(block.valid_ns[i]), block.state[i], covs[i])
                held[system] = (tuple(block.members[i].tolist()), estimate)
            for system in frame.dropped:
                held.pop(system, None)


def compared(wanted: dict[Members, Estimate], got: dict[Members, Estimate]) -> list[tuple[bool, float]]:
    """For each system track of both: whether it is the same to the bit, and the largest relative difference."""
    pairs = [(wanted[members], got[members]) for members in sorted(wanted.keys() & got.keys())]
    return [(_identical(one, other), relative_difference(one, other)) for one, other in pairs]


def _identical(one: Estimate, other: Estimate) -> bool:
    return one.valid_ns == other.valid_ns and bool((one.state == other.state).all() and (one.cov == other.cov).all())


def relative_difference(one: Estimate, other: Estimate) -> float:
    """Of the parts of state and covariance, each as a share of its largest; infinite where they hold at different times."""
    if one.valid_ns != other.valid_ns:
        return float("inf")
    parts = [(one.state[:3], other.state[:3]), (one.state[3:], other.state[3:]), (one.cov, other.cov)]
    return max(float(np.abs(a - b).max() / np.abs(a).max()) for a, b in parts)


def _row(bias_sigmas: float, jitter_s: float, pictures: list[Compared]) -> OrderRow:
    tracks = sum(count for count, _ in pictures)
    pairs = [pair for _, each in pictures for pair in each]
    return OrderRow(
        bias_sigmas=bias_sigmas,
        jitter_s=jitter_s,
        pictures=len(pictures),
        system_tracks=tracks,
        same_members=round(len(pairs) / max(tracks, 1), 5),
        identical=round(sum(same for same, _ in pairs) / max(len(pairs), 1), 5),
        worst_difference=max((difference for _, difference in pairs), default=0.0),
    )


def order_rows(result: Order) -> tuple[tuple[str, ...], list[list[str]]]:
    """Headings and cells of its table."""
    headings = (
        "bias",
        "delay up to",
        "pictures",
        "system tracks",
        "same members",
        "identical to the bit",
        "worst relative difference",
    )
    rows = []
    for row in result.rows:
        worst = f"{row.worst_difference:.1e}" if row.worst_difference else "0"
        shares = f"{row.same_members:.4f}", f"{row.identical:.4f}"
        rows.append(
            [f"{row.bias_sigmas:g} sigma", f"{row.jitter_s:g} s", str(row.pictures), f"{row.system_tracks:,}", *shares, worst]
        )
    return headings, rows
