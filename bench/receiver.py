"""A recipient's receiver: the stand-in for a nation's command system. Holds the picture and the alerts, takes arrival times.

`Holdings` is the pure part: what a recipient holds after each message. `ReceiverService` is the shell around it: it exports
metrics and writes what it saw to a recording. It never writes to the bus but its own birth and death.

What the canary brings is held and counted apart, by its own mark: it is never among what an exercise, or nobody, has alerted of.

A receiver that comes in mid-exercise is not the first: no exercise begins without one. It counts the launches that no earlier
life has counted, which the audit logs of those tell, where they kept any (`bench.lives`).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import get_args

from bench.lives import held_before
from bench.warning import Flight, Held, WarningMeter, flights_of
from bus.audit import AuditLog
from bus.clock import ScaledClock
from bus.columns import SystemTracks
from bus.errors import Rejected
from bus.messages import PURPOSES, Alert, AlertState, AnyMessage, ExerciseClock, PictureFrame, Purpose, system_tracks_of
from bus.metrics import Metrics
from bus.party import MakeTransport, Party
from bus.recording import Entry
from bus.release import Nation
from bus.seals import Seals
from bus.topics import Address, picture_alerts, picture_tracks
from bus.transport import Delivery

log = logging.getLogger(__name__)

_LOOK_EVERY_S = 1.0
_MOST_UNMEASURED = 10_000  # alerts kept until the launches are known; outside an exercise they never are
_OVER = ("closed", "retracted")


@dataclass(slots=True)
class Holdings:
    """What one recipient holds: the newest word on each alert, and where each system track stands."""

    alerts: dict[str, Alert] = field(default_factory=dict)
    tracks: dict[int, tuple[SystemTracks, int]] = field(default_factory=dict)

    def take_alert(self, alert: Alert) -> bool:
        """Hold an alert; False where it is old news (a duplicate, or overtaken by a later revision)."""
        held = self.alerts.get(alert.id)
        if held is not None and held.session == alert.session and held.revision >= alert.revision:
            return False
        self.alerts[alert.id] = alert
        return True

    def take_picture(self, block: SystemTracks, dropped: list[int]) -> None:
        """Hold the newest row of each system track; forget those that ended."""
        for row, system in enumerate(block.system.tolist()):
            self.tracks[system] = (block, row)
        for system in dropped:
            self.tracks.pop(system, None)

    def standing(self) -> list[Alert]:
        """The alerts that are neither closed nor retracted."""
        return [alert for alert in self.alerts.values() if alert.state not in _OVER]


def _flights(exercise: ExerciseClock) -> list[Flight]:
    """The flights of an exercise; in a thread, with the compiler that a receiver does without."""
    from sensors.scenario import parse_scenario
    from sensors.truth import build_truth

    return flights_of(build_truth(parse_scenario(exercise.scenario, "the exercise's scenario")), exercise.purpose)


def _meter(exercise: ExerciseClock, since_wall_ns: int, log_path: Path | None) -> WarningMeter:
    """What measures the exercise, for a process that is there since then. Its own audit log is at `log_path`, if it keeps one."""
    flights = _flights(exercise)
    if since_wall_ns <= exercise.start_wall_ns:
        return WarningMeter(flights)
    held: list[Held] | None = None
    if log_path is not None:
        try:
            held = held_before(log_path, exercise)
        except OSError as error:
            log.warning("what was held before in exercise %s cannot be known: %s", exercise.exercise, error)
    if held is not None:
        return WarningMeter(flights, held)
    clock = ScaledClock(exercise.start_ns, exercise.start_wall_ns, exercise.speed)
    return WarningMeter(flights, since_ns=clock.scenario_at(since_wall_ns))


class ReceiverService:
    """One recipient's receiver on the bus."""

    def __init__(
        self,
        make: MakeTransport,
        metrics: Metrics,
        recipient: Nation,
        record: Callable[[Entry], None] | None = None,
        seals: Seals | None = None,
    ) -> None:
        self.recipient: Nation = recipient
        self.party = Party("receiver", recipient, make, metrics, seals=seals)
        self.held: dict[Purpose, Holdings] = {purpose: Holdings() for purpose in PURPOSES}
        self._metrics = metrics
        self._write = record
        self._since_wall_ns = self.party.clock.wall_ns()
        self._meter: WarningMeter | None = None
        self._unmeasured: deque[tuple[Alert, float]] = deque(maxlen=_MOST_UNMEASURED)
        for purpose in PURPOSES:  # there from the start, so that a rate over them is a number
            for counted in (metrics.warning_time, metrics.lead_time, metrics.missed_launches):
                counted.labels(recipient, purpose)
            for state in get_args(AlertState):
                metrics.alerts_received.labels(recipient, state, purpose)
        self.party.on_exercise(self._begin)  # heard before the alerts that stand in it: it begins with none
        self.party.listen(self.party.bulk, picture_tracks(recipient), self._take_picture)
        self.party.listen(self.party.urgent, picture_alerts(recipient), self._take_alert, qos=1)

    @property
    def holdings(self) -> Holdings:
        """What the recipient holds; nothing of the canary's is in it."""
        return self.held["exercise"]

    @property
    def _purpose(self) -> Purpose:
        return "exercise" if self.party.exercise is None else self.party.exercise.purpose

    async def run(self, stopping: asyncio.Event) -> None:
        """Connect and receive, until `stopping` is set."""
        await self.party.start()
        self.party.announce("ready")
        try:
            while not stopping.is_set():
                self.party.note_silence()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stopping.wait(), _LOOK_EVERY_S)
        finally:
            await self.party.stop()

    def _begin(self, exercise: ExerciseClock) -> None:
        if exercise.state == "running":
            self.held[exercise.purpose] = Holdings()
            self._meter = None
            self._unmeasured.clear()
            path = None if self.party.audit is None else self.party.audit.path
            computed = asyncio.get_running_loop().run_in_executor(None, _meter, exercise, self._since_wall_ns, path)
            computed.add_done_callback(lambda done: self._know_flights(exercise, done))
        elif self._meter is not None:
            missed = self._meter.missed(self.party.clock.now_ns())
            self._metrics.missed_launches.labels(self.recipient, exercise.purpose).inc(missed)

    def _know_flights(self, exercise: ExerciseClock, done: asyncio.Future[WarningMeter]) -> None:
        """The exercise's launches have been computed, while alerts may have come already."""
        if done.cancelled() or self.party.exercise is None or self.party.exercise.exercise != exercise.exercise:
            return
        if (error := done.exception()) is not None:
            self.party.reject("scenario")
            log.error("receiver %s cannot compute the launches of exercise %s: %s", self.recipient, exercise.exercise, error)
            return
        self._meter = done.result()
        self._measure()

    def _measure(self) -> None:
        if self._meter is not None:
            for alert, held_s in self._unmeasured:
                warning_s = self._meter.take(alert, held_s)
                if warning_s is not None:
                    self._metrics.warning_time.labels(self.recipient, self._purpose).observe(warning_s)
            self._unmeasured.clear()

    def _take_alert(self, address: Address, message: AnyMessage, delivery: Delivery) -> None:
        if not isinstance(message, Alert):
            return
        held_ns = self.party.clock.wall_ns()
        holdings = self.held[message.purpose]
        before = holdings.alerts.get(message.id)
        predicted = before is not None and before.impact is not None
        if not holdings.take_alert(message):
            return
        self._record(held_ns, delivery)
        self.party.log(partial(AuditLog.alert, alert=message, kind="held"))
        times = message.times
        machine_s = (held_ns - times.due_ns) / 1e9 if times.due_ns else 0.0
        if times.due_ns:
            self._metrics.stage("alert", (held_ns - times.fused_ns) / 1e9)
            self._metrics.stage("total", machine_s)
        if message.purpose == self._purpose:
            self._unmeasured.append((message, times.released_ns / 1e9 + machine_s))
            self._measure()
        if message.impact is not None and not predicted and message.state not in _OVER:  # an end leaves no time to tell
            lead_s = (message.impact.time_ns - times.released_ns) / 1e9 - machine_s
            self._metrics.lead_time.labels(self.recipient, message.purpose).observe(lead_s)
        self._metrics.alerts_received.labels(self.recipient, message.state, message.purpose).inc()

    def _take_picture(self, address: Address, message: AnyMessage, delivery: Delivery) -> None:
        if not isinstance(message, PictureFrame):
            return
        try:
            block, rejected = system_tracks_of(message)
        except Rejected as error:
            self.party.reject(error.reason)
            return
        for reason, count in rejected.items():
            self.party.reject(reason, count)
        self.held[message.purpose].take_picture(block, message.dropped)
        self._metrics.reports.labels("in").inc(len(block))
        self._metrics.system_tracks.labels(self.recipient).set(len(self.holdings.tracks))
        self._record(self.party.clock.wall_ns(), delivery)

    def _record(self, wall_ns: int, delivery: Delivery) -> None:
        if self._write:
            self._write(Entry(wall_ns, self.party.clock.now_ns(), delivery.topic, delivery.message))
