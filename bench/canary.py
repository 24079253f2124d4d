"""`triwarn canary`: while no exercise runs, a notional launch again and again, so that it is known that warnings still come.

A round is a short exercise of its own kind: the canary says its own clock, feeds, fusion and receivers do as in any exercise, and
all that they say bears the mark of the canary. An exercise ends it at once, since every party puts an exercise first; the round
counts for nothing then. It goes on some seconds after the exercise is over.

A recipient that was not told of the launch by the end of a round was missed: this is logged, counted, and stands in
`triwarn_canary_missed` until a round is well.

It knows the truth of every exercise, and is on nobody's way: so it is who tells, while an exercise runs, how the pictures stand
against it. That is computed in a thread that gives way to everything else on the machine.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

import msgspec

from bench.anees import Anees
from bench.warning import WarningMeter, flights_of
from bench.world import World, follow
from bus.errors import Rejected
from bus.messages import Alert, AnyMessage, ExerciseClock, PictureFrame, Status
from bus.metrics import Metrics
from bus.party import MakeTransport, Party
from bus.release import NATIONS, Nation
from bus.seals import Seals
from bus.security import CANARY
from bus.topics import ALL_STATUS, CANARY_CLOCK, Address, picture_alerts, picture_tracks
from bus.transport import Delivery, LinkState
from sensors.scenario import Scenario, parse_scenario
from sensors.truth import Truth, build_truth

log = logging.getLogger(__name__)

EVERY_S: Final = 60.0
SPEED: Final = 2.0

_LOOK_EVERY_S: Final = 0.2
_HEAD_START_S: Final = 1.0  # from saying the clock to its start, so that every process has it
_SETTLE_S: Final = 10.0  # from the end of an exercise or a round to the next round: an exercise may follow another
_PATIENCE_S: Final = 120.0  # for parties that have never been ready: what starts together need not be there at once
_LEAST_PRIORITY: Final = 19
_MOST_FRAMES: Final = 4096  # pictures that wait until the truth is known
_WANTED: Final = {(role, nation) for role in ("feed", "receiver") for nation in NATIONS}


@dataclass(slots=True)
class Round:
    """One round: its clock, and for each recipient what it was told."""

    clock: ExerciseClock
    end_wall_ns: int
    meters: dict[Nation, WarningMeter]

    def take(self, alert: Alert, held_ns: int) -> None:
        """An alert of the canary's, held now."""
        times = alert.times
        machine_s = (held_ns - times.due_ns) / 1e9 if times.due_ns else 0.0
        self.meters[alert.recipient].take(alert, times.released_ns / 1e9 + machine_s)

    def missed(self) -> list[Nation]:
        """Who was not told of every launch by the end."""
        return [nation for nation, meter in self.meters.items() if meter.missed(self.clock.end_ns)]


class CanaryService:
    """The canary on the bus; see the module's text."""

    def __init__(
        self,
        make: MakeTransport,
        metrics: Metrics,
        scenario: Scenario,
        *,
        every_s: float = EVERY_S,
        speed: float = SPEED,
        seals: Seals | None = None,
    ) -> None:
        self.party = Party("canary", CANARY, make, metrics, seals=seals)
        self._metrics, self._scenario, self._every_s, self._speed = metrics, scenario, every_s, speed
        self._round: Round | None = None
        self._next_s = 0.0  # monotonic
        self._ready: set[tuple[str, str]] = set()
        self._complete = False  # whether everybody has been ready at once
        self._observed = ""  # the exercise that is held against its truth
        self._anees: Anees | None = None
        self._frames: deque[PictureFrame] = deque(maxlen=_MOST_FRAMES)
        for nation in NATIONS:
            metrics.canary_missed.labels(nation).set(0.0)
            for outcome in ("warned", "missed"):  # there from the start, so that a rate over them is a number
                metrics.canary_rounds.labels(nation, outcome)
            self.party.listen(self.party.urgent, picture_alerts(nation), self._take_alert, qos=1)
            self.party.listen(self.party.bulk, picture_tracks(nation), self._take_picture)
        self.party.listen(self.party.urgent, ALL_STATUS, self._take_status, qos=1)
        self.party.on_exercise(self._take_exercise)
        self.party.urgent.on_link(self._say_again)
        self.party.on_repeat(self._say)

    async def run(self, stopping: asyncio.Event) -> None:
        """Solve the flight, connect, and play round after round, until `stopping` is set."""
        truth = await asyncio.to_thread(build_truth, self._scenario)
        await self.party.start()
        self.party.announce("ready")
        patient_until_s = time.monotonic() + _PATIENCE_S
        try:
            while not stopping.is_set():
                self.party.note_silence()
                self._export()
                if self._round is not None:
                    self._watch(self._round)
                elif self._may_begin(time.monotonic() > patient_until_s):
                    self._begin(truth)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stopping.wait(), _LOOK_EVERY_S)
        finally:
            self._observed = ""
            self._end()
            await self.party.stop()

    def _may_begin(self, impatient: bool) -> bool:
        """Whether it is time, the bus is there, and nothing runs; and at first, whether everybody has come."""
        now_s = time.monotonic()
        if self._foreign is not None:
            self._next_s = max(self._next_s, now_s + _SETTLE_S)
        self._complete |= impatient or (self._ready >= _WANTED and any(role == "fusion" for role, _ in self._ready))
        return self._complete and now_s >= self._next_s and self.party.runs is None and self.party.ready

    @property
    def _foreign(self) -> ExerciseClock | None:
        """The exercise that runs, if one does."""
        runs = self.party.runs
        return runs if runs is not None and runs.purpose == "exercise" else None

    def _begin(self, truth: Truth) -> None:
        start_wall_ns = time.time_ns() + int(_HEAD_START_S * 1e9)
        self._next_s = time.monotonic() + self._every_s
        clock = ExerciseClock(
            session=0,
            seq=0,
            exercise=f"{self._scenario.name}-{secrets.token_hex(4)}",
            scenario=self._scenario.text,
            seed=self._scenario.seed,
            speed=self._speed,
            start_ns=truth.start_ns,
            start_wall_ns=start_wall_ns,
            end_ns=truth.end_ns,
            purpose="canary",
        )
        end_wall_ns = start_wall_ns + int((truth.end_ns - truth.start_ns) / self._speed)
        meters = {nation: WarningMeter(flights_of(truth, "canary")) for nation in NATIONS}
        self._round = Round(clock, end_wall_ns, meters)
        self._say()

    def _watch(self, played: Round) -> None:
        """Whether the round is over, by itself or because an exercise has begun."""
        if (foreign := self._foreign) is not None:
            log.info("the canary makes way for exercise %s", foreign.exercise)
            self._end()
        elif time.time_ns() > played.end_wall_ns:
            missed = played.missed()
            if missed:
                log.warning("the canary was missed: no alert of %s reached %s", played.clock.exercise, ", ".join(missed))
            for nation in NATIONS:
                outcome = "missed" if nation in missed else "warned"
                self._metrics.canary_rounds.labels(nation, outcome).inc()
                self._metrics.canary_missed.labels(nation).set(nation in missed)
            self._end()

    def _end(self) -> None:
        """Say that the round is over, and leave nothing of it on the broker."""
        played, self._round = self._round, None
        if played is not None:
            self._next_s = max(self._next_s, time.monotonic() + _SETTLE_S)
            self._publish(msgspec.structs.replace(played.clock, state="stopped"))
            self.party.urgent.publish(CANARY_CLOCK, b"", qos=1, retain=True)

    def _say(self) -> None:
        if self._round is not None:
            self._publish(self._round.clock)

    def _say_again(self, link: LinkState) -> None:
        """A broker that came back without its state has lost the clock."""
        if link == "connected":
            self._say()

    def _publish(self, clock: ExerciseClock) -> None:
        self.party.publish(self.party.urgent, CANARY_CLOCK, clock, kind="clock", qos=1, retain=True)

    # What is heard ---------------------------------------------------------------------------------------------------------

    def _take_status(self, address: Address, message: AnyMessage, delivery: Delivery) -> None:
        if isinstance(message, Status):
            who = (message.role, message.name)
            (self._ready.add if message.state == "ready" else self._ready.discard)(who)

    def _take_alert(self, address: Address, message: AnyMessage, delivery: Delivery) -> None:
        if self._round is not None and isinstance(message, Alert) and message.purpose == "canary" and not delivery.retained:
            self._round.take(message, time.time_ns())

    def _take_picture(self, address: Address, message: AnyMessage, delivery: Delivery) -> None:
        if self._observed and isinstance(message, PictureFrame) and message.purpose == "exercise":
            self._frames.append(message)
            self._score()

    # Pictures against truth ------------------------------------------------------------------------------------------------

    def _take_exercise(self, exercise: ExerciseClock) -> None:
        if exercise.purpose == "exercise" and exercise.state == "running" and exercise.exercise != self._observed:
            self._observed, self._anees = exercise.exercise, None
            self._frames.clear()
            self._metrics.anees.clear()
            stopped = partial(self._is_other_than, exercise.exercise)
            computed = asyncio.get_running_loop().run_in_executor(None, _world, exercise, stopped)
            computed.add_done_callback(lambda done: self._know_world(exercise.exercise, done))

    def _is_other_than(self, exercise: str) -> bool:
        return self._observed != exercise

    def _know_world(self, exercise: str, done: asyncio.Future[World]) -> None:
        """The exercise's world has been computed, while pictures may have come already."""
        if done.cancelled() or self._observed != exercise:
            return
        if (error := done.exception()) is not None:
            self.party.reject("scenario")
            log.error("the canary cannot compute the truth of exercise %s: %s", exercise, error)
            return
        self._anees = Anees(done.result())
        self._score()

    def _score(self) -> None:
        while self._anees is not None and self._frames:
            try:
                self._anees.take(self._frames.popleft())
            except Rejected as rejected:
                self.party.reject(rejected.reason)

    def _export(self) -> None:
        if self._anees is not None:
            for key, anees in self._anees.told().items():
                self._metrics.anees.labels(*key).set(anees)


def _world(exercise: ExerciseClock, stopped: Callable[[], bool]) -> World:
    """The world of an exercise, in a thread that gives way to all others."""
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, _LEAST_PRIORITY)  # of this thread alone
    return follow(parse_scenario(exercise.scenario, "the exercise's scenario"), exercise.seed, stopped)
