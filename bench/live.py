"""An exercise over a real broker: every party its own process, at a speed that a wall clock keeps.

The conductor starts the processes, waits until each has announced that it is ready, publishes the exercise clock, watches, and at
the end (or at the first Ctrl-C) stops every process it started and gathers what the receivers recorded.

Who is lost at the end it knows of its own processes by their exit. Of others', where it attaches, by their statuses: who is not
ready then, most often by a last will. Who was away for a time and is ready again is not lost; that it was away is only said.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import os
import secrets
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from bench.simulate import Outcome
from bench.topology import ALONE, Network, called, opened
from bus import recording
from bus.access import Releases
from bus.audit import AuditLog, kept
from bus.broker import EmbeddedBroker
from bus.clock import Clock, ScaledClock, WallClock
from bus.errors import BusError, Rejected
from bus.messages import Alert, AnyMessage, ExerciseClock, Status, TrackFrame, encode, of_canary
from bus.party import MakeTransport, Summary, new_session
from bus.recording import Entry
from bus.release import NATIONS, Nation
from bus.seals import Seals, read
from bus.topics import EXERCISE_CLOCK, parse_topic
from bus.transport import Delivery, LinkState, Transport
from sensors.truth import Truth

log = logging.getLogger(__name__)

_READY_WITHIN_S: Final = 300.0  # a slow machine without any kernel compiled needs some minutes
_NAMED_AFTER_S: Final = 5.0  # of waiting: most often nobody is missing by then
_HEAD_START_S: Final = 1.0  # from publishing the clock to its start, so that every process has it
_DRAIN_S: Final = 0.5
_STOP_WITHIN_S: Final = 10.0


class ExerciseFailed(Exception):
    """The exercise could not be run: a process did not come up, or the broker is not there."""


@dataclass(slots=True)
class Watch:
    """What the conductor sees of the exercise while it runs. What is the canary's it does not see; what it refuses it logs."""

    wanted: set[tuple[str, str]]
    clock: Clock = field(default_factory=WallClock)
    ready: set[tuple[str, str]] = field(default_factory=set)
    reports: int = 0
    alerts: dict[tuple[str, str], str] = field(default_factory=dict)  # (recipient, alert id) -> state
    standing: set[str] = field(default_factory=set)  # topics of alerts that the broker keeps
    first: Callable[[Alert], None] = lambda _: None
    moved: Callable[[], None] = lambda: None
    entries: dict[Nation, list[Entry]] = field(default_factory=dict)  # pictures and alerts as they passed, where kept
    seals: Seals | None = None
    audit: AuditLog | None = None

    def take(self, delivery: Delivery) -> None:
        """Count one message of the bus."""
        if not delivery.payload:
            self.standing.discard(delivery.topic)
            return
        try:
            if delivery.retained and parse_topic(delivery.topic).kind == "alert":
                self.standing.add(delivery.topic)  # believed or not: before an exercise begins it is cleared
            address, message, delivery, again = read(delivery, self.seals, time.time_ns())
        except Rejected as rejected:
            kept(self.audit, partial(AuditLog.reject, reason=rejected.reason, topic=delivery.topic))
            return
        if of_canary(message):
            self.standing.discard(delivery.topic)  # it is fusion's to clear, and nothing to wait for
            return
        if again:
            return
        if isinstance(message, Alert) and message.state not in ("closed", "retracted"):
            self.standing.add(delivery.topic)
        if not (isinstance(message, Alert) and delivery.retained):
            self._count(message)
            if address.kind in ("picture", "alert"):
                for nation, entries in self.entries.items():
                    if nation == address.owner:
                        entries.append(Entry(time.time_ns(), self.clock.now_ns(), delivery.topic, delivery.message))

    def _count(self, message: AnyMessage) -> None:
        match message:
            case Status():
                who = (message.role, message.name)
                (self.ready.add if message.state == "ready" else self.ready.discard)(who)
            case TrackFrame():
                self.reports += message.n
            case Alert():
                new = not any(recipient == message.recipient for recipient, _ in self.alerts)
                self.alerts[(message.recipient, message.id)] = message.state
                if new:
                    self.first(message)

    def missing(self) -> list[str]:
        """The parties that have not announced that they are ready."""
        return sorted(" ".join(who) for who in self.wanted - self.ready)

    def counts(self, recipient: str) -> Counter[str]:
        """Alerts of one recipient by state."""
        return Counter(state for (owner, _), state in self.alerts.items() if owner == recipient)


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run, and where."""

    scenario_name: str
    scenario_text: str
    seed: int
    speed: float
    broker_url: str | None
    directory: Path
    settings_file: Path | None
    net: Network
    releases: Releases  # what each nation may release, by which topics cross and the access lists are made
    attach: bool = False
    audit_folder: str = ""
    mosquitto: bool = False  # brokers are Mosquittos of the exercise's own
    keys: Path | None = None  # the key folder of a secured exercise


@contextlib.contextmanager
def brokers_for(plan: Plan) -> Iterator[dict[str, str]]:
    """The URLs of the brokers to use by name: the one that was given, or some for the length of the exercise."""
    if plan.broker_url:
        yield {ALONE: plan.broker_url}
    elif plan.mosquitto:
        with opened(plan.net, plan.releases, plan.keys) as urls:
            yield urls
    else:
        with EmbeddedBroker() as broker:
            yield {ALONE: broker.url}


async def conduct(
    plan: Plan,
    urls: Mapping[str, str],
    truth: Truth,
    make: Callable[[str], MakeTransport],
    watch: Watch,
    stopping: asyncio.Event,
    tell: Callable[[str], None],
) -> Outcome:
    """Run the exercise over brokers by name (URLs) and return what it left behind. Raises ExerciseFailed; every process it
    started is stopped by then.
    """
    buses: dict[str, Transport] = {}
    try:
        for broker, filters in plan.net.watched.items():
            bus = make(urls[broker])(f"triwarn-conductor-{secrets.token_hex(4)}", None)
            for each in filters:
                bus.subscribe(each, watch.take, qos=1)
            await bus.start()
            buses[broker] = bus
        async with _processes(plan, urls, watch) as processes:
            tell("waiting for every process to be ready")
            await _all_ready(watch, processes, stopping, tell)
            end_ns, gone = truth.start_ns, list[str]()
            if not stopping.is_set():
                end_ns = await _run(plan, truth, buses, watch, processes, stopping, tell)
                gone = watch.missing() if plan.attach else []
            lost = [*gone, *(process.name for process in processes if process.handle.returncode is not None)]
            lost += [called(broker) for broker, bus in buses.items() if not bus.connected]
        await _clear(buses, watch.standing)
    except BusError as error:
        raise ExerciseFailed(str(error)) from error
    finally:
        for bus in buses.values():
            await bus.stop()
    if plan.attach:
        return Outcome(watch.entries, None, end_ns, lost)
    received = {nation: _recorded(plan.directory / f"{nation}.capture") for nation in NATIONS}
    summaries = [msgspec.json.decode(path.read_bytes(), type=Summary) for path in sorted(plan.directory.glob("*.summary.json"))]
    return Outcome(received, summaries, end_ns, lost)


def _recorded(capture: Path) -> list[Entry]:
    """What a receiver recorded; nothing where it was stopped before it began."""
    return list(recording.read(capture)) if capture.exists() else []


async def _clear(buses: Mapping[str, Transport], topics: set[str]) -> None:
    """Clear retained alerts: what a fusion worker that died, or an earlier exercise, has left on a broker."""
    if topics:
        await asyncio.sleep(_DRAIN_S)  # the worker's own clearing first
    for bus in buses.values():
        if topics and bus.connected:
            for topic in sorted(topics):
                bus.publish(topic, b"", qos=1, retain=True)
            await bus.flush()


@dataclass(slots=True)
class _Process:
    name: str
    handle: asyncio.subprocess.Process
    log_path: Path
    told: bool = False

    def last_words(self) -> str:
        lines = self.log_path.read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"


@contextlib.asynccontextmanager
async def _processes(plan: Plan, urls: Mapping[str, str], watch: Watch) -> AsyncIterator[list[_Process]]:
    """Start every party; on the way out stop them all, by SIGTERM and then by SIGKILL."""
    processes: list[_Process] = []
    try:
        if not plan.attach:
            for command in _commands(plan):
                processes.append(await _start(plan, command, urls[command.broker]))  # noqa: PERF401 - known, should the next fail
        yield processes
    finally:
        for process in processes:
            if process.handle.returncode is None:
                process.handle.terminate()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_STOP_WITHIN_S):
                await asyncio.gather(*(process.handle.wait() for process in processes))
        for process in processes:
            if process.handle.returncode is None:
                log.warning("%s did not stop within %g s and was killed", process.name, _STOP_WITHIN_S)
                process.handle.kill()
                await process.handle.wait()


class _Command(NamedTuple):
    """How a process is called here, what starts it, the broker that it is on, and settings of its own."""

    name: str
    arguments: list[str]
    broker: str
    settings: dict[str, str] = {}  # noqa: RUF012 - never changed


def _commands(plan: Plan) -> Iterator[_Command]:
    scenario, spoke = str(plan.directory / "scenario.toml"), plan.net.spoke
    for nation in NATIONS:
        yield _Command(f"receiver {nation}", ["receive", nation], spoke[nation])
    for worker in plan.net.workers:
        own = {"TRIWARN_WORKER__NAME": f'"{worker.name}"', "TRIWARN_WORKER__RECIPIENTS": str(list(worker.recipients))}
        yield _Command(f"fusion {worker.name}", ["fuse"], worker.broker, own)
    for nation in NATIONS:
        arguments = ["feed", nation, "--scenario", scenario, "--seed", str(plan.seed)]
        yield _Command(f"feed {nation}", arguments, spoke[nation])


async def _start(plan: Plan, started: _Command, url: str) -> _Process:
    settings = ["--settings", str(plan.settings_file)] if plan.settings_file else []
    ours = ["--record", str(plan.directory), "--endpoint-port", "0", "--with-parent"]
    command = [sys.executable, "-m", "bench", *started.arguments, *settings, *ours]
    environment = {
        **os.environ,
        **started.settings,
        "TRIWARN_BROKER__URL": url,
    }  # no flag: every user of the machine can read those
    if plan.audit_folder:
        environment["TRIWARN_AUDIT__FOLDER"] = plan.audit_folder
    if plan.keys:
        environment["TRIWARN_SECURITY__FOLDER"] = str(plan.keys.resolve())
    log_path = plan.directory / f"{started.name.replace(' ', '-')}.log"
    with log_path.open("wb") as out:
        handle = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.PIPE, stdout=out, stderr=out, start_new_session=True, env=environment
        )
    return _Process(started.name, handle, log_path)


async def _all_ready(watch: Watch, processes: list[_Process], stopping: asyncio.Event, tell: Callable[[str], None]) -> None:
    """Wait until every party is ready; who is still missing after some seconds is named, and again whenever that changes."""
    begun_s, named = time.monotonic(), list[str]()
    while (missing := watch.missing()) and not stopping.is_set():
        for process in processes:
            if process.handle.returncode is not None:
                raise ExerciseFailed(f"{process.name} ended before it was ready: {process.last_words()}")
        waited_s = time.monotonic() - begun_s
        if waited_s > _READY_WITHIN_S:
            raise ExerciseFailed(f"not ready within {_READY_WITHIN_S:g} s: {', '.join(missing)}")
        if waited_s > _NAMED_AFTER_S and missing != named:
            named = missing
            tell(f"still waiting for {', '.join(missing)}")
        await asyncio.sleep(0.05)


def _tell_changes(watch: Watch, gone: list[str], tell: Callable[[str], None]) -> list[str]:
    """Say which parties have gone since, and which are back; who is gone now."""
    missing = watch.missing()
    for party in missing:
        if party not in gone:
            tell(f"{party} is gone; the exercise goes on without it")
    for party in gone:
        if party not in missing:
            tell(f"{party} is back")
    return missing


async def _run(
    plan: Plan,
    truth: Truth,
    buses: Mapping[str, Transport],
    watch: Watch,
    processes: list[_Process],
    stopping: asyncio.Event,
    tell: Callable[[str], None],
) -> int:
    """Publish the clock, wait for the end, publish the stop; the scenario instant at which it ended."""
    await _clear(buses, watch.standing)  # what an earlier exercise left on a broker that keeps things
    start_wall_ns = time.time_ns() + int(_HEAD_START_S * 1e9)
    clock = ExerciseClock(
        session=new_session(),
        seq=0,
        exercise=f"{plan.scenario_name}-{secrets.token_hex(4)}",
        scenario=plan.scenario_text,
        seed=plan.seed,
        speed=plan.speed,
        start_ns=truth.start_ns,
        start_wall_ns=start_wall_ns,
        end_ns=truth.end_ns,
    )

    watch.clock = ScaledClock(truth.start_ns, start_wall_ns, plan.speed)

    numbers = {broker: itertools.count(1) for broker in buses}  # who is on one hears nothing of the others
    seals = watch.seals

    def say(broker: str) -> None:
        bus, now_ns = buses[broker], time.time_ns()
        message = encode(msgspec.structs.replace(clock, seq=next(numbers[broker]), sent_ns=now_ns))
        payload = message if seals is None else seals.seal(EXERCISE_CLOCK, message, now_ns)
        bus.publish(EXERCISE_CLOCK, payload, qos=1, retain=True)

    def note(broker: str, link: LinkState) -> None:
        if link != "closed":
            tell(f"the link to the {called(broker)} is lost; trying again" if link == "lost" else f"the {called(broker)} is back")
        if link == "connected":  # a new broker, or one that came back without its state
            say(broker)

    for broker, bus in buses.items():
        bus.on_link(partial(note, broker))
        say(broker)
    said_s, gone = time.monotonic(), list[str]()
    end_wall_ns = start_wall_ns + int((truth.end_ns - truth.start_ns) / plan.speed)
    while (left_s := (end_wall_ns - time.time_ns()) / 1e9) > 0.0 and not stopping.is_set():
        for process in processes:
            if process.handle.returncode is not None and not process.told:
                process.told = True
                tell(f"{process.name} ended with code {process.handle.returncode}; the exercise goes on without it")
        if plan.attach:
            gone = _tell_changes(watch, gone, tell)
        watch.moved()
        kept(watch.audit, AuditLog.flush)
        if seals is not None and time.monotonic() - said_s > seals.repeat_s:  # who comes later believes no older one
            said_s = time.monotonic()
            for broker in buses:
                say(broker)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stopping.wait(), min(left_s, 0.2))
    end_ns = truth.start_ns + int((min(time.time_ns(), end_wall_ns) - start_wall_ns) * plan.speed)
    await asyncio.sleep(_DRAIN_S)
    clock = msgspec.structs.replace(clock, state="stopped")
    for broker, bus in buses.items():
        say(broker)
        await bus.flush()
        bus.publish(EXERCISE_CLOCK, b"", qos=1, retain=True)
        await bus.flush()
    return max(end_ns, truth.start_ns)
