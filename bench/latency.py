"""`triwarn bench latency`: from a new launch in a frame to a receiver that holds the alert, over a real broker.

The source (this process), the fusion worker and the receiver are processes of their own, as in an exercise. A frame with one new
launch is due every 1/rate seconds, and the clock starts at the instant it was due, so that a stall counts against every frame it
delayed. It stops when the receiver has decoded the alert and holds it.

The floor, in turns with it: the bytes of such a frame and of such an alert through the same broker, from socket to socket to
socket with nothing done in between (`bench.floor`).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry

from bench.floor import Floor
from bench.links import link_maker
from bench.settings import Settings
from bus import recording
from bus.columns import Reports, pack_cov
from bus.messages import Alert, Status, TrackDropped, TrackFrame, decode, encode
from bus.metrics import Metrics
from bus.pace import until_wall
from bus.party import Party
from bus.release import EVERYONE, Nation
from bus.topics import ALL_STATUS, Address, feed_events, feed_tracks, parse_topic
from fusion.engine import FusionEngine, Inbound

RATES_HZ: Final = (20, 100, 1000)
SECONDS: Final = 10.0
MOST_LAUNCHES: Final = 4000
WARM_UP: Final = 300
SOURCE: Final[Nation] = "usa"
SOURCE_BIT: Final = 11  # the catalogue's GEO infrared A; another nation's sensor would make an echo of every launch
RECEIVER: Final[Nation] = "usa"  # the last of the three recipients that the worker serves: the worst case
_SETTLE_S: Final = 0.5
_TURN_S: Final = 2.0
_READY_WITHIN_S: Final = 300.0  # a slow machine without any kernel compiled needs some minutes
_IN_BATCHES_OF: Final = 200
_BUILD_NS: Final = 200_000  # ample for making one launch's columns ahead of time


class Percentiles(Struct, frozen=True):
    """Microseconds of wall time."""

    p50: float
    p99: float
    p999: float


class Row(Struct, frozen=True, kw_only=True):
    """One rate: the floor, the warning, and the warning as a multiple of the floor."""

    rate_hz: int
    launches: int
    missed: int
    floor_us: Percentiles
    warning_us: Percentiles
    ratio: Percentiles


class Latency(Struct, frozen=True, kw_only=True):
    """The whole measurement, with what it was measured on."""

    broker: str
    machine: dict[str, str | int]
    seconds: float
    rows: list[Row]


def percentiles(seconds: NDArray[np.float64]) -> Percentiles:
    """The percentiles of durations in seconds, in microseconds."""
    p50, p99, p999 = (round(float(q) * 1e6, 1) for q in np.percentile(seconds, (50, 99, 99.9)))
    return Percentiles(p50, p99, p999)


def launch_report(track: int, valid_ns: int) -> Reports:
    """The first report of a launch: boosting, seen in infrared, somewhere within some hundred kilometres; by track number."""
    rng = np.random.default_rng(track)
    site = np.array([-2.89e6, 4.03e6, 4.01e6])
    up = site / np.linalg.norm(site)
    position = site + 2.5e4 * up + rng.normal(scale=2e5, size=3) * (1.0 - up**2)
    position *= (np.linalg.norm(site) + 2.5e4) / np.linalg.norm(position)
    sigma = np.array([1500.0, 1500.0, 1500.0, 120.0, 120.0, 120.0])
    return Reports(
        track=np.array([track], np.uint32),
        valid_ns=np.array([valid_ns], np.int64),
        state=np.hstack([position, 900.0 * up])[None, :],
        cov=pack_cov(np.diag(sigma**2)[None, :, :]),
        phase=np.array([[255, 0, 0]], np.uint8),
        quality=np.array([7], np.uint8),
        phenomenology=np.array([2], np.uint8),
        pedigree=np.array([1 << SOURCE_BIT], np.uint32),
        detected_age_ms=np.array([10_000], np.uint32),
        tracked_age_ms=np.array([1_000], np.uint32),
    )


async def measure(
    settings: Settings, url: str, rates_hz: tuple[int, ...], seconds: float, tell: Callable[[str], None]
) -> list[Row]:
    """One row a rate. Starts and stops its own fusion worker and receiver on the broker at `url`."""
    with tempfile.TemporaryDirectory(prefix="triwarn-latency-") as temporary:
        directory = Path(temporary)
        party = Party("feed", SOURCE, link_maker(settings, url=url), Metrics(CollectorRegistry(), settings.budgets))
        ready: set[str] = set()

        def note(address: Address, message: object, delivery: object) -> None:
            if isinstance(message, Status):
                (ready.add if message.state == "ready" else ready.discard)(message.role)

        party.listen(party.urgent, ALL_STATUS, note, qos=1)
        tell("starting a fusion worker and a receiver")
        rounds: list[_Rounds] = []
        async with contextlib.AsyncExitStack() as stack:
            await party.start()
            stack.push_async_callback(party.stop)
            for arguments in (["receive", RECEIVER], ["fuse"]):
                stack.push_async_callback(await _start([*arguments, "--broker", url, "--record", temporary]))
            await _until(lambda: {"fusion", "receiver"} <= ready, "the fusion worker and the receiver")
            await _fire(party, 1, WARM_UP, 100.0)
            first = 1 + WARM_UP
            for rate in rates_hz:
                count = min(int(rate * seconds), MOST_LAUNCHES)
                tell(f"{count} launches at {rate} a second, and as many of the floor's, in turns")
                rounds.append(await _in_turns(party, url, rate, first, count))
                first += count
        alerts = _alerts(directory / f"{RECEIVER}.capture")
    return [_row(each, alerts) for each in rounds]


class _Rounds(NamedTuple):
    """One rate's launches by track number, and the floor's durations."""

    rate_hz: int
    first: int
    launches: int
    floor_s: NDArray[np.float64]


async def _in_turns(party: Party, url: str, rate: int, first: int, count: int) -> _Rounds:
    """Launches and the floor's frames in turns of some seconds, so that both meet the machine in the same moods."""
    at_once = max(1, int(rate * _TURN_S))
    frame, alert = _one_launch()
    with Floor(url, encode(frame), encode(alert), WARM_UP + count) as floor:
        floor.fire(float(rate), WARM_UP)
        for done in range(0, count, at_once):
            n = min(at_once, count - done)
            await _fire(party, first + done, n, float(rate))
            floor.fire(float(rate), n)
        return _Rounds(rate, first, count, floor.seconds()[WARM_UP:])


def _one_launch() -> tuple[TrackFrame, Alert]:
    """A frame with one launch, and the alert that fusion makes of it: for their sizes."""
    now_ns = time.time_ns()
    frame = TrackFrame(
        session=1,
        seq=1,
        sent_ns=now_ns,
        nation=SOURCE,
        released_ns=now_ns,
        due_ns=now_ns,
        n=1,
        columns=launch_report(1, now_ns).to_wire(),
    )
    (alert,) = FusionEngine(recipients=(RECEIVER,)).step([Inbound(frame, EVERYONE, now_ns)], now_ns)
    times = msgspec.structs.replace(alert.times, fused_ns=now_ns, alerted_ns=now_ns)
    return frame, msgspec.structs.replace(alert, session=1, seq=1, sent_ns=now_ns, times=times)


async def _start(arguments: list[str]) -> Callable[[], Awaitable[None]]:
    """Start a process; returns what stops it."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench", *arguments, "--with-parent",
        stdin=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL, env=dict(os.environ),
    )  # fmt: skip

    async def stop() -> None:
        if process.returncode is None:
            process.terminate()
        await process.wait()

    return stop


async def _until(done: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + _READY_WITHIN_S
    while not done():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not come up within {_READY_WITHIN_S:g} s")
        await asyncio.sleep(0.02)


async def _fire(party: Party, first: int, count: int, rate_hz: float) -> None:
    """Publish `count` launches, one a frame, each when it is due; then end the tracks and let the bus settle."""
    topic = feed_tracks(SOURCE, EVERYONE)
    start_ns = time.time_ns() + 200_000_000 + count * _BUILD_NS
    due = [start_ns + int(index * 1e9 / rate_hz) for index in range(count)]
    columns = [launch_report(first + index, due_ns).to_wire() for index, due_ns in enumerate(due)]
    for index, due_ns in enumerate(due):
        await until_wall(due_ns)
        frame = TrackFrame(session=0, seq=0, nation=SOURCE, released_ns=due_ns, due_ns=due_ns, n=1, columns=columns[index])
        party.publish(party.bulk, topic, frame, kind="tracks")
    await asyncio.sleep(_SETTLE_S)
    for begin in range(first, first + count, _IN_BATCHES_OF):
        tracks = list(range(begin, min(begin + _IN_BATCHES_OF, first + count)))
        dropped = TrackDropped(session=0, seq=0, nation=SOURCE, released_ns=time.time_ns(), tracks=tracks, reason="false")
        party.publish(party.urgent, feed_events(SOURCE, EVERYONE), dropped, kind="events", qos=1)
        await asyncio.sleep(0.05)
    await asyncio.sleep(_SETTLE_S)


def _alerts(capture: Path) -> dict[int, tuple[float, Alert]]:
    """For each launch (track number) the seconds from due to held of its first alert, and that alert."""
    first: dict[int, tuple[float, Alert]] = {}
    for entry in recording.read(capture):
        address = parse_topic(entry.topic)
        if address.kind == "alert":
            alert = decode(address, entry.payload)
            assert isinstance(alert, Alert)
            if alert.times.due_ns:
                first.setdefault(alert.members[0].track, ((entry.wall_ns - alert.times.due_ns) / 1e9, alert))
    return first


def _row(rounds: _Rounds, alerts: dict[int, tuple[float, Alert]]) -> Row:
    rate, count = rounds.rate_hz, rounds.launches
    held = [alerts[track] for track in range(rounds.first, rounds.first + count) if track in alerts]
    if not held:
        raise RuntimeError(f"no alert of {count} launches at {rate} a second reached the receiver")
    floor, warning = percentiles(rounds.floor_s), percentiles(np.array([seconds for seconds, _ in held]))
    pairs = zip((warning.p50, warning.p99, warning.p999), (floor.p50, floor.p99, floor.p999), strict=True)
    ratio = Percentiles(*(round(ours / theirs, 2) for ours, theirs in pairs))
    return Row(rate_hz=rate, launches=count, missed=count - len(held), floor_us=floor, warning_us=warning, ratio=ratio)
