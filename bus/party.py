"""A party: one process on the bus. Its two links, its session, its birth and death, the exercise it takes part in.

Track frames and pictures travel on the `bulk` link; launches, alerts, status and the exercise clock on the `urgent` link, so that
an alert never waits behind tracks. Sequence numbers count per stream: a topic is a stream, but for alerts, where all the alerts
of one recipient are one.

With seals it says nothing that is not sealed, takes nothing that is not authentic, and says what stands again and again: its
status, and by `on_repeat` what else it keeps on the broker.

An exercise's clock runs on after its stop, until another exercise begins: what is still on its way then belongs to its time. The
canary's clock counts only while no exercise runs, whichever is heard first.

It does not know what the process does: feeds, fusion and receivers build on it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

import msgspec
from msgspec.structs import replace

from bus.audit import AuditHead, AuditLog, kept
from bus.clock import Clock, ScaledClock, WallClock
from bus.errors import Rejected
from bus.loop import settle
from bus.messages import DECORRELATION_EXPIRY_S, AnyMessage, ExerciseClock, Status, encode
from bus.metrics import Metrics
from bus.seals import Seals, read
from bus.security import principal
from bus.session import SequenceTracker
from bus.skew import ClockSkew
from bus.topics import CANARY_CLOCK, EXERCISE_CLOCK, Address, Role, parse_topic, status, stream_of
from bus.transport import Delivery, LinkState, QoS, Transport, Will

log = logging.getLogger(__name__)

_SILENT_AFTER_NS = 10_000_000_000  # ten report intervals
_OVERDUE_NS = 30_000_000_000  # behind its end an exercise that nobody has stopped is over: its conductor was killed
_STEADY = ("tracks", "picture")  # streams that speak steadily, if at all
_EXPIRY_S = dict.fromkeys(_STEADY, 10) | {"decorrelation": DECORRELATION_EXPIRY_S}  # what is superseded soon is not kept long

MakeTransport = Callable[[str, Will | None], Transport]
Take = Callable[[Address, AnyMessage, Delivery], None]
OnExercise = Callable[[ExerciseClock], None]


async def begun(link: Transport) -> None:
    """Connect a link for the first time, or not at all."""
    await link.start()


def new_session() -> int:
    """A session id that no other run of any process has."""
    return secrets.randbits(52)


@dataclass(slots=True)
class Streams:
    """Outgoing sequence numbers, one count a stream."""

    session: int
    counts: Counter[str] = field(default_factory=Counter)

    def next(self, stream: str) -> int:
        """The stream's next number, from 1."""
        number = self.counts[stream] + 1
        self.counts[stream] = number
        return number


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """The counters of one process: messages by kind, and what went wrong on the way."""

    role: Role
    name: str
    published: dict[str, int]
    received: dict[str, int]
    gaps: int
    duplicates: int
    reconnects: int
    dropped: int
    audit: AuditHead | None = None


class Party:
    """One process on the bus; see the module's text."""

    def __init__(
        self,
        role: Role,
        name: str,
        make: MakeTransport,
        metrics: Metrics,
        *,
        sensors: list[str] | None = None,
        session: int | None = None,
        seals: Seals | None = None,
    ) -> None:
        self.role, self.name, self.metrics, self.seals = role, name, metrics, seals
        self.streams = Streams(new_session() if session is None else session)
        self.exercise: ExerciseClock | None = None
        self.audit: AuditLog | None = None
        self.clock: Clock = WallClock()
        self.incoming = SequenceTracker()
        self.received: Counter[str] = Counter()
        self.published: Counter[str] = Counter()
        self._heard: set[str] = set()
        self._skew = ClockSkew()
        self._sensors = sensors or []
        self._topic = status(role, name)
        self._state: Status | None = None
        self._on_exercise: list[OnExercise] = []
        self._on_repeat: list[Callable[[], None]] = []
        self._repeating: asyncio.TimerHandle | None = None
        will = Will(self._topic, self._sealed(self._topic, replace(self._status("offline", {}), sent_ns=self.clock.wall_ns())))
        if seals is not None:
            seals.on_event(lambda event: metrics.security_events.labels(event.reason).inc())
        unique = f"triwarn-{role}-{name}-{self.streams.session:x}"
        self.bulk = make(f"{unique}-bulk", None)
        self.urgent = make(f"{unique}-urgent", will)
        self.urgent.on_link(self._announce_again)
        self.begin: Callable[[Transport], Awaitable[None]] = begun  # a link's first connection: who waits for a broker sets it
        self.links: dict[str, Transport] = {"bulk": self.bulk, "urgent": self.urgent}  # whose counters are exported
        metrics.exercise_running.set_function(lambda: self.runs is not None)  # at each scrape: it may be over and nobody says so
        metrics.canary.set_function(lambda: self.runs is not None and self.runs.purpose == "canary")
        metrics.watch(self.links, {"in": self.received, "out": self.published}, lambda: self._skew.ahead_s(time.time_ns()))

    def on_exercise(self, handler: OnExercise) -> None:
        """Call `handler` when an exercise starts or stops; the clock is already set."""
        self._on_exercise.append(handler)
        if len(self._on_exercise) == 1:
            for clock in (EXERCISE_CLOCK, CANARY_CLOCK):
                self.listen(self.urgent, clock, self._take_clock, qos=1)

    def listen(self, link: Transport, topic_filter: str, take: Take, qos: QoS = 0) -> None:
        """Hand every sound message that matches to `take`; count and drop the others, and what comes twice."""

        def handle(delivery: Delivery) -> None:
            if not delivery.payload:  # an empty retained message only clears what was retained
                return
            now_ns = self.clock.wall_ns()
            try:
                address, message, opened, again = read(delivery, self.seals, now_ns)
            except Rejected as rejected:
                self.reject(rejected.reason, topic=delivery.topic)
                log.debug("dropped a message on %s: %s", delivery.topic, rejected)
                return
            self.received[address.kind] += 1
            if again or (not delivery.retained and not self._in_sequence(address, message)):
                if again:
                    self.metrics.duplicates.labels(stream_of(address)).inc()
                return
            take(address, message, opened)
            if message.seq and not delivery.retained and message.session != self.streams.session:
                self._skew.hear(address, message.sent_ns, now_ns)

        link.subscribe(topic_filter, handle, qos)

    def reject(self, reason: str, count: int = 1, topic: str = "") -> None:
        """Count messages or rows that were dropped."""
        self.metrics.rejected.labels(reason).inc(count)
        self.log(lambda audit: audit.reject(reason, topic, count))

    def log(self, write: Callable[[AuditLog], None]) -> None:
        """Write into the audit log, where one is kept. One that takes nothing more (a full disk) stops nothing; it is counted."""
        if not kept(self.audit, write):
            self.metrics.audit_failures.inc()

    def _in_sequence(self, address: Address, message: AnyMessage) -> bool:
        """Note what its number says; False for what came twice. A last will has none (0), and may come after each lost link."""
        if not message.seq:
            return True
        stream = stream_of(address)
        seen = self.incoming.observe(stream, message.session, message.seq, self.clock.wall_ns())
        if seen == "duplicate":
            self.metrics.duplicates.labels(stream).inc()
        elif seen != "next":
            self.metrics.gaps.labels(stream).set(self.incoming.gaps_of(stream))
        if address.kind in _STEADY:
            self._heard.add(stream)
        return seen != "duplicate"

    def note_silence(self) -> None:
        """Export which streams have been silent for too long; called now and then. What was rejected is logged by then."""
        self.log(lambda audit: audit.flush())
        silent = set(self.incoming.stale(self.clock.wall_ns(), _SILENT_AFTER_NS)) if self.runs else set()
        for stream in self._heard:
            self.metrics.stale.labels(stream).set(stream in silent)

    @property
    def runs(self) -> ExerciseClock | None:
        """The exercise, or the canary, that runs now."""
        told = self.exercise
        if told is None or told.state != "running":
            return None
        over = told.end_ns and self.clock.wall_ns() > self.clock.wall_at(told.end_ns) + _OVERDUE_NS
        return None if over else told

    def publish(
        self,
        link: Transport,
        topic: str,
        message: AnyMessage,
        *,
        kind: str,
        qos: QoS = 0,
        retain: bool = False,
        expiry_s: int | None = None,
    ) -> bool:
        """Number, stamp and send a message; whether the link took it. Kept for `expiry_s`, or as long as its kind is."""
        payload = self.stamped(topic, message)
        taken = link.publish(topic, payload, qos=qos, retain=retain, expiry_s=expiry_s or _EXPIRY_S.get(kind))
        self.published[kind] += 1
        return taken

    def stamped(self, topic: str, message: AnyMessage) -> bytes:
        """The payload of a message, numbered, stamped and sealed: for who says the same over several links."""
        number = self.streams.next(stream_of(parse_topic(topic)))
        return self._sealed(topic, replace(message, session=self.streams.session, seq=number, sent_ns=self.clock.wall_ns()))

    def _sealed(self, topic: str, message: AnyMessage) -> bytes:
        payload = encode(message)
        return payload if self.seals is None else self.seals.seal(topic, payload, message.sent_ns)

    def on_repeat(self, handler: Callable[[], None]) -> None:
        """Call `handler` whenever what stands is to be said again: with seals, retained messages are believed for a time only."""
        self._on_repeat.append(handler)

    def repeat(self) -> None:
        """Say again what stands."""
        if self._state is not None:
            self.announce(self._state.state, self._state.load)
        for handler in self._on_repeat:
            handler()
        self._repeat_later()

    def _repeat_later(self) -> None:
        if self._repeating is not None:
            self._repeating.cancel()
        if self.seals is not None:
            self._repeating = asyncio.get_running_loop().call_later(self.seals.repeat_s, self.repeat)

    async def start(self) -> None:
        """Connect both links and announce `starting`. Raises Unreachable or Refused."""
        await self.begin(self.bulk)
        await self.begin(self.urgent)
        self.announce("starting")
        self._repeat_later()

    def announce(self, state: str, load: Mapping[str, float] | None = None) -> None:
        """Publish this process's state, retained."""
        if state == "ready" and not (self._state is not None and self._state.state == state):
            settle()
        self._state = self._status(state, dict(load or {}))
        self.metrics.ready.set(state == "ready")
        self.publish(self.urgent, self._topic, self._state, kind="status", qos=1, retain=True)

    def summary(self) -> Summary:
        """What this process has counted so far."""
        links, audit = (self.bulk.stats, self.urgent.stats), self.audit
        return Summary(
            role=self.role,
            name=self.name,
            published=dict(self.published),
            received=dict(self.received),
            gaps=self.incoming.gaps,
            duplicates=self.incoming.duplicates,
            reconnects=sum(stats.reconnects for stats in links),
            dropped=sum(sum(stats.dropped.values()) for stats in links),
            audit=None if audit is None else audit.told(),
        )

    @property
    def principal(self) -> str:
        """Who this is, in one word: `feed.jpn`."""
        return principal(self.role, self.name)

    @property
    def ready(self) -> bool:
        """Announced ready, and connected now."""
        return self._state is not None and self._state.state == "ready" and self.bulk.connected and self.urgent.connected

    async def stop(self) -> None:
        """Announce the end, let what was accepted reach the broker, and disconnect."""
        if self._repeating is not None:
            self._repeating.cancel()
        self.announce("offline")
        await self.urgent.flush()
        await self.bulk.flush()
        await self.urgent.stop()
        await self.bulk.stop()

    def _status(self, state: str, load: dict[str, float]) -> Status:
        body = {"session": self.streams.session, "seq": 0, "role": self.role, "name": self.name, "state": state}
        return msgspec.convert({**body, "sensors": self._sensors, "load": load}, Status)

    def _announce_again(self, link: LinkState) -> None:
        """A broker that lost its state lost our birth, and one that lost us has published our death: say it again."""
        if link in ("connected", "resumed") and self._state is not None:
            self.announce(self._state.state, self._state.load)

    def _take_clock(self, address: Address, message: AnyMessage, delivery: Delivery) -> None:
        if not isinstance(message, ExerciseClock):
            return
        known = self.exercise
        if known is not None and _what_runs(known) == _what_runs(message):
            return
        runs = self.runs
        if message.purpose == "canary" and runs is not None and runs.purpose == "exercise":
            return
        if message.state == "running":  # who has not spoken in it is not silent
            for stream in self._heard:
                self.metrics.stale.labels(stream).set(0.0)
            self._heard.clear()
        self.exercise = message
        self.clock = ScaledClock(message.start_ns, message.start_wall_ns, message.speed)
        log.info("%s %s %s at speed %g", message.purpose, message.exercise, message.state, message.speed)
        for handler in self._on_exercise:
            handler(message)


def _what_runs(clock: ExerciseClock) -> tuple[str, str, str]:
    """By which clocks are told apart; its purpose too, lest a canary of the same name keeps a party out of an exercise."""
    return clock.purpose, clock.exercise, clock.state


def stop_on_signals(*, with_parent: bool = False) -> asyncio.Event:
    """An event that SIGTERM and SIGINT set, so that a process ends by its own clean way.

    `with_parent` also sets it when standard input closes: a parent that was killed takes its children with it.
    """
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stopping.set)
    if with_parent:

        def look() -> None:
            if not os.read(0, 4096):
                loop.remove_reader(0)
                stopping.set()

        loop.add_reader(0, look)
    return stopping
