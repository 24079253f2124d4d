"""One run of the bus benchmark: a publisher and a subscriber, each its own process, over a broker.

The subscriber gives credit: the publisher is never more than a window of messages ahead of what has been handled, so the pace
is that of the slowest of publisher, broker and subscriber, and nothing need be lost. What is lost all the same is counted.
"""

from __future__ import annotations

import asyncio
import itertools
import multiprocessing
import os
import time
from collections.abc import Awaitable, Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from bus.aiomqtt import AiomqttTransport
from bus.columns import Reports, pack_cov
from bus.errors import BusError
from bus.link import LinkSettings
from bus.messages import MAX_FRAME_ROWS, TrackFrame, decode, encode, reports_of
from bus.mqtt import MqttTransport
from bus.release import EVERYONE
from bus.seals import Seals, SealSettings, read
from bus.topics import feed_tracks, parse_topic
from bus.transport import Delivery, QoS, Transport

AdapterName = Literal["mqtt", "aiomqtt"]
PayloadName = Literal["256 B", "4 kB", "frame"]
Measured = Literal["delivered", "decoded"]

ADAPTERS: Final[dict[AdapterName, type[MqttTransport] | type[AiomqttTransport]]] = {
    "mqtt": MqttTransport,
    "aiomqtt": AiomqttTransport,
}
WARM_S: Final = 0.5
_SETTINGS: Final = LinkSettings(qos0_queue=10_000)  # more than any window: what the queue drops is not measured here
_PATIENCE_S: Final = 30.0
_SILENCE_S: Final = 2.0  # after the end, nothing more comes
_CREDITS_A_WINDOW: Final = 4
_TRACKS: Final = feed_tracks("jpn", EVERYONE)
_CENTRE_ECEF_M: Final = (-3.3e6, 4.2e6, 4.1e6)  # over the Sea of Japan


class Case(Struct, frozen=True, kw_only=True):
    """What is run: `seconds` of measurement after the warm-up.

    A `numbered` frame is encoded anew each time, as a feed does; with a folder of `keys` it is sealed and opened too.
    """

    adapter: AdapterName
    qos: QoS
    payload: PayloadName
    measured: Measured
    seconds: float
    numbered: bool = False
    keys: str = ""


class Load(Struct, frozen=True):
    """A payload, its window (messages; at most the adapters' queues), and the reports in it."""

    make: Callable[[], bytes]
    window: int
    reports: int


def frame_of_reports(rows: int = MAX_FRAME_ROWS) -> bytes:
    """A sound track frame as a feed sends it: distinct tracks, with correlated covariances."""
    rng = np.random.default_rng(1)
    root = rng.normal(size=(rows, 6, 6)) * np.array([300.0] * 3 + [20.0] * 3)[:, None]
    position = np.array(_CENTRE_ECEF_M) + rng.normal(scale=1e5, size=(rows, 3))
    velocity = rng.uniform(-2e3, 2e3, size=(rows, 3))
    block = Reports(
        track=np.arange(1, rows + 1, dtype=np.uint32),
        valid_ns=np.full(rows, 1_700_000_000_000_000_000, dtype=np.int64),
        state=np.hstack((position, velocity)),
        cov=pack_cov(root @ root.transpose(0, 2, 1) + np.eye(6)),
        phase=np.tile(np.array([10, 240, 5], dtype=np.uint8), (rows, 1)),
        quality=np.full(rows, 12, dtype=np.uint8),
        phenomenology=np.ones(rows, dtype=np.uint8),
        pedigree=np.ones(rows, dtype=np.uint32),
        detected_age_ms=np.full(rows, 30_000, dtype=np.uint32),
        tracked_age_ms=np.full(rows, 20_000, dtype=np.uint32),
    )
    return encode(TrackFrame(session=1, seq=1, nation="jpn", released_ns=0, n=rows, columns=block.to_wire()))


LOADS: Final[dict[PayloadName, Load]] = {
    "256 B": Load(lambda: bytes(256), 2000, 0),
    "4 kB": Load(lambda: bytes(4096), 400, 0),
    "frame": Load(frame_of_reports, 40, MAX_FRAME_ROWS),
}


def run_once(url: str, case: Case) -> tuple[float, int]:
    """Messages a second at the subscriber, and how many of all that were sent never came. Raises BusError."""
    spawn = multiprocessing.get_context("spawn")
    topic = f"bench/{os.getpid():x}-{time.time_ns():x}"
    ends, parties = [], []
    try:
        for role in (_subscribe, _publish):  # the subscriber first: it must be there before the first message
            ours, theirs = spawn.Pipe()
            party = spawn.Process(target=_party, args=(role, url, topic, case, theirs), daemon=True)
            party.start()
            theirs.close()
            ends.append(ours)
            parties.append(party)
            _hear(ours, case)
        sent = _hear(ends[1], case)
        rate, received = _hear(ends[0], case)
    finally:
        for party in parties:
            party.terminate()
            party.join()
    return rate, sent - received


def _hear(end: Connection, case: Case) -> Any:
    """What a party says next; its failure is ours."""
    try:
        said = end.recv() if end.poll(_PATIENCE_S + case.seconds) else BusError("a party of the benchmark fell silent")
    except EOFError:
        said = BusError("a party of the benchmark ended early")
    if isinstance(said, BusError):
        raise said
    return said


_Role = Callable[[Transport, str, Case, Connection], Awaitable[None]]


def _party(role: _Role, url: str, topic: str, case: Case, end: Connection) -> None:
    async def live() -> None:
        transport = ADAPTERS[case.adapter](
            url, client_id=f"{topic.replace('/', '-')}-{role.__name__.strip('_')}", settings=_SETTINGS
        )
        try:
            await role(transport, topic, case, end)
        except BusError as error:
            end.send(error)
        finally:
            await transport.stop()

    asyncio.run(live())


async def _publish(transport: Transport, topic: str, case: Case, end: Connection) -> None:
    """Keep a window ahead of the credit until time is up, then say how many were sent."""
    load, qos = LOADS[case.payload], case.qos
    make, data_topic = _payloads(case), f"{topic}/data"
    sent, allowed, running = 0, load.window, True

    def fill() -> None:
        nonlocal sent
        while running and sent < allowed:
            transport.publish(data_topic, make(), qos=qos)
            sent += 1

    def on_credit(delivery: Delivery) -> None:
        nonlocal allowed
        allowed = int(delivery.payload) + load.window
        fill()

    transport.subscribe(f"{topic}/credit", on_credit)
    await transport.start()
    end.send("ready")
    fill()
    await asyncio.sleep(WARM_S + case.seconds)
    running = False
    transport.publish(f"{topic}/end", b"%d" % sent, qos=1)
    await transport.flush()
    end.send(sent)
    await asyncio.sleep(_PATIENCE_S)  # until terminated: a clean end would take what still waits with it


def _payloads(case: Case) -> Callable[[], bytes]:
    """What makes the next payload to send."""
    payload = LOADS[case.payload].make()
    if not case.numbered:
        return lambda: payload
    frame, numbers = decode(parse_topic(_TRACKS), payload), itertools.count(1)
    seals = Seals.of(Path(case.keys), "feed.jpn", SealSettings()) if case.keys else None

    def make() -> bytes:
        now_ns = time.time_ns()
        message = encode(replace(frame, seq=next(numbers), sent_ns=now_ns))
        return message if seals is None else seals.seal(_TRACKS, message, now_ns)

    return make


async def _subscribe(transport: Transport, topic: str, case: Case, end: Connection) -> None:
    """Handle, give credit, and say the rate and the count once everything has come, or nothing more does."""
    step = LOADS[case.payload].window // _CREDITS_A_WINDOW
    decoding = case.measured == "decoded"
    seals = Seals.of(Path(case.keys), "fusion.fusion-1", SealSettings()) if case.keys else None
    received, due = 0, -1
    marks: list[tuple[float, int]] = []

    def take(delivery: Delivery) -> None:
        nonlocal received
        if decoding:
            frame = read(delivery._replace(topic=_TRACKS), seals, time.time_ns()).message
            assert isinstance(frame, TrackFrame)
            reports, bad = reports_of(frame)
            assert len(reports) == frame.n, bad
        received += 1
        if received % step == 0:
            marks.append((time.perf_counter(), received))
            transport.publish(f"{topic}/credit", b"%d" % received)

    def on_end(delivery: Delivery) -> None:
        nonlocal due
        due = int(delivery.payload)

    transport.subscribe(f"{topic}/data", take, case.qos)
    transport.subscribe(f"{topic}/end", on_end, 1)
    await transport.start()
    end.send("ready")
    quiet_since, seen = time.perf_counter(), -1
    while due < 0 or (received < due and time.perf_counter() - quiet_since < _SILENCE_S):
        if received != seen:
            quiet_since, seen = time.perf_counter(), received
        await asyncio.sleep(0.05)
    warm = [mark for mark in marks if mark[0] >= marks[0][0] + WARM_S]
    if len(warm) < 2:
        raise BusError(f"too few messages to tell a rate: {received}")
    (begin, first), (finish, last) = warm[0], warm[-1]
    end.send(((last - first) / (finish - begin), received))
    await asyncio.sleep(_PATIENCE_S)
