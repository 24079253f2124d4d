"""`triwarn canary`: while no exercise runs, a notional launch again and again, so that it is known that warnings still come.

A round is a short exercise of its own kind: the canary says its own clock, feeds, fusion and receivers do as in any exercise, and
all that they say bears the mark of the canary. An exercise ends it at once, since every party puts an exercise first; the round
counts for nothing then. It goes on some seconds after the exercise is over.

A recipient that was not told of the launch by the end of a round was missed: this is logged, counted, and stands in
`triwarn_canary_missed` until a round is well.

In a mesh, where each nation has a broker and fusion of its own, it says the same clock on all of them.

It is on nobody's way: so while an exercise runs it is who tells how that stands against the truth (`bench.observer`).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from bench.observer import Observer
from bench.warning import WarningMeter, flights_of
from bus.messages import Alert, AnyMessage, ExerciseClock, Status
from bus.metrics import Metrics
from bus.party import MakeTransport, Party
from bus.release import NATIONS, Nation
from bus.seals import Seals
from bus.security import CANARY
from bus.topics import ALL_STATUS, CANARY_CLOCK, Address, picture_alerts, picture_tracks, status
from bus.transport import Delivery, LinkState
from fusion.settings import FusionSettings
from sensors.scenario import Scenario
from sensors.truth import Truth, build_truth

log = logging.getLogger(__name__)

EVERY_S: Final = 60.0
SPEED: Final = 2.0
NOWHERE: Final[Mapping[str, MakeTransport]] = {}
AS_SHIPPED: Final = FusionSettings()

_LOOK_EVERY_S: Final = 0.2
_HEAD_START_S: Final = 1.0  # from saying the clock to its start, so that every process has it
_SETTLE_S: Final = 10.0  # from the end of an exercise or a round to the next round: an exercise may follow another
_PATIENCE_S: Final = 120.0  # for parties that have never been ready: what starts together need not be there at once
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
        fusion: FusionSettings = AS_SHIPPED,
        also: Mapping[str, MakeTransport] = NOWHERE,
    ) -> None:
        self.party = Party("canary", CANARY, make, metrics, seals=seals)
        self._metrics, self._scenario, self._every_s, self._speed = metrics, scenario, every_s, speed
        self._round: Round | None = None
        self._next_s = 0.0  # monotonic
        self._ready: set[tuple[str, str]] = set()
        self._complete = False  # whether everybody has been ready at once
        unique = f"triwarn-canary-{self.party.streams.session:x}"
        self._beyond = {name: makes(unique, None) for name, makes in also.items()}  # links to the other brokers of a mesh
        self.party.links.update(self._beyond)
        self._observer = Observer(self.party, fusion)
        for nation in NATIONS:
            metrics.canary_missed.labels(nation).set(0.0)
            for outcome in ("warned", "missed"):  # there from the start, so that a rate over them is a number
                metrics.canary_rounds.labels(nation, outcome)
            for urgent, bulk in ((self.party.urgent, self.party.bulk), *((link, link) for link in self._beyond.values())):
                self.party.listen(urgent, picture_alerts(nation), self._take_alert, qos=1)
                self.party.listen(bulk, picture_tracks(nation), self._observer.take)
        self.party.listen(self.party.urgent, ALL_STATUS, self._take_status, qos=1)
        for link in self._beyond.values():  # feeds' statuses cross to every broker, the others' do not
            self.party.listen(link, status("receiver", "+"), self._take_status, qos=1)
            self.party.listen(link, status("fusion", "+"), self._take_status, qos=1)
        for link in (self.party.urgent, *self._beyond.values()):
            link.on_link(self._say_again)
        self.party.on_repeat(self._say)

    async def run(self, stopping: asyncio.Event) -> None:
        """Solve the flight, connect, and play round after round, until `stopping` is set."""
        truth = await asyncio.to_thread(build_truth, self._scenario)
        await self.party.start()
        for link in self._beyond.values():
            await self.party.begin(link)
        self.party.announce("ready")
        patient_until_s = time.monotonic() + _PATIENCE_S
        try:
            while not stopping.is_set():
                self.party.note_silence()
                self._observer.export()
                if self._round is not None:
                    self._watch(self._round)
                elif self._may_begin(time.monotonic() > patient_until_s):
                    self._begin(truth)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stopping.wait(), _LOOK_EVERY_S)
        finally:
            self._observer.stop()
            self._end()
            for link in self._beyond.values():
                await link.flush()
                await link.stop()
            await self.party.stop()

    def _may_begin(self, impatient: bool) -> bool:
        """Whether it is time, the bus is there, and nothing runs; and at first, whether everybody has come."""
        now_s = time.monotonic()
        if self._foreign is not None:
            self._next_s = max(self._next_s, now_s + _SETTLE_S)
        self._complete |= impatient or (self._ready >= _WANTED and any(role == "fusion" for role, _ in self._ready))
        linked = self.party.ready and all(link.connected for link in self._beyond.values())
        return self._complete and now_s >= self._next_s and self.party.runs is None and linked

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
            for link in (self.party.urgent, *self._beyond.values()):
                link.publish(CANARY_CLOCK, b"", qos=1, retain=True)

    def _say(self) -> None:
        if self._round is not None:
            self._publish(self._round.clock)

    def _say_again(self, link: LinkState) -> None:
        """A broker that came back without its state has lost the clock."""
        if link == "connected":
            self._say()

    def _publish(self, clock: ExerciseClock) -> None:
        """The same bytes everywhere: who is on one broker hears nothing of the others, and misses no number."""
        payload = self.party.stamped(CANARY_CLOCK, clock)
        self.party.published["clock"] += 1
        for link in (self.party.urgent, *self._beyond.values()):
            link.publish(CANARY_CLOCK, payload, qos=1, retain=True)

    def _take_status(self, address: Address, message: AnyMessage, delivery: Delivery) -> None:
        if isinstance(message, Status):
            who = (message.role, message.name)
            (self._ready.add if message.state == "ready" else self._ready.discard)(who)

    def _take_alert(self, address: Address, message: AnyMessage, delivery: Delivery) -> None:
        self._observer.take(address, message, delivery)
        if self._round is not None and isinstance(message, Alert) and message.purpose == "canary" and not delivery.retained:
            self._round.take(message, time.time_ns())
