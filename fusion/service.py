"""The fusion worker's shell: frames in from the bus, one engine step each, alerts and pictures out.

A frame is fused inside the handler that delivers it: no queue, no task, no tick stands between a report and its alert. Alerts
go out first, on the urgent link; then the engine catches up, and what alerts that brings go out; the pictures follow on the bulk
link, gathered over some milliseconds. A slow clock tick only ages tracks and alerts when nothing arrives. While messages are
late, pictures gather for longer, and catching up leaves what no alert needs. It decides nothing itself: what is fused, in
`fusion.engine`; when work is shed, in `fusion.load`.

Operators' words are retained by the broker, which may hand them out before the exercise's clock. So the worker keeps the newest,
and an exercise begins with those that were said in it. It keeps as many as a picture does of each nation's each release: no
nation's words push out another's, nor what some may see what others may.

What is fused is of one purpose, the exercise clock's, and all that leaves bears it: reports of the other, which were on their way
when it ended, are left out, and of a canary nothing is counted as an alert.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, get_args

import msgspec

from bus.audit import AuditLog
from bus.messages import (
    Alert,
    AlertState,
    AnyMessage,
    Decorrelation,
    ExerciseClock,
    FeedMessage,
    Purpose,
    TrackDropped,
    TrackFrame,
)
from bus.metrics import Metrics, Stage
from bus.party import MakeTransport, Party
from bus.recording import Entry
from bus.release import NATIONS, Nation, Release
from bus.seals import Seals
from bus.topics import ALL_FEED_DECORRELATIONS, ALL_FEED_EVENTS, ALL_FEED_TRACKS, Address, picture_alert, picture_tracks
from bus.transport import Delivery, LinkState
from fusion.decorrelation import MOST_WORDS
from fusion.engine import FusionEngine, Inbound
from fusion.load import Load
from fusion.settings import FusionSettings, WorkerSettings
from fusion.warm import warm_up

log = logging.getLogger(__name__)

_MOST_ENDED: Final = 1024  # alerts whose last word is said again
_CANARY_EXPIRY_S: Final = 600  # a broker keeps a canary's alert no longer, should its worker die: nobody needs it then


class FusionWorker:
    """One fusion worker on the bus."""

    def __init__(
        self,
        make: MakeTransport,
        metrics: Metrics,
        worker: WorkerSettings,
        fusion: FusionSettings,
        record: Callable[[Entry], None] | None = None,
        seals: Seals | None = None,
    ) -> None:
        self.party = Party("fusion", worker.name, make, metrics, seals=seals)
        self._metrics, self._worker, self._fusion, self._recipients = metrics, worker, fusion, _in_order(worker.recipients)
        self._reports_in, self._reports_out = (metrics.reports.labels(direction) for direction in ("in", "out"))
        self._drawing: asyncio.TimerHandle | None = None
        self._drawn_ns = 0
        self._load = Load(worker.shedding, {stage: metrics.budgets.seconds(stage) for stage in ("transit", "fuse")})
        self._write = record
        self._retained: set[str] = set()  # topics of the alerts that the broker holds for us
        self._ended: dict[str, Alert] = {}  # last words by topic, the newest
        self._words: dict[tuple[str, Release], dict[str, Inbound]] = defaultdict(dict)  # of who to whom, by topic
        self._engine = FusionEngine(fusion, self._recipients)
        self._purpose: Purpose = "exercise"  # of what the engine holds
        self.party.listen(self.party.bulk, ALL_FEED_TRACKS, self._take)
        self.party.listen(self.party.urgent, ALL_FEED_EVENTS, self._take, qos=1)
        self.party.listen(self.party.urgent, ALL_FEED_DECORRELATIONS, self._take_word, qos=1)
        self.party.on_exercise(self._begin_exercise)
        self.party.urgent.on_link(self._republish)
        self.party.on_repeat(self._republish)

    async def run(self, stopping: asyncio.Event) -> None:
        """Warm up, connect, serve, until `stopping` is set."""
        warm_up()
        await self.party.start()
        self.party.announce("ready")
        try:
            while not stopping.is_set():
                try:
                    await asyncio.wait_for(stopping.wait(), self._worker.tick_s)
                except TimeoutError:
                    self.tick()
        finally:
            self._draw()
            self._clear_retained()
            await self.party.stop()

    def tick(self) -> None:
        """Age tracks and alerts where nothing arrived."""
        self.party.note_silence()
        now_ns = self.party.clock.now_ns()
        self._tell(self._engine.step((), now_ns))
        self._note(self._load.rest(self.party.clock.wall_ns()))
        self._catch_up(now_ns)
        self._export()

    def _take(self, address: Address, message: AnyMessage, delivery: Delivery) -> None:
        if not isinstance(message, FeedMessage):
            return
        if isinstance(message, TrackFrame | TrackDropped) and message.purpose != self._purpose:
            self.party.reject("purpose", topic=delivery.topic)
            return
        clock = self.party.clock
        received_ns, now_ns = clock.wall_ns(), clock.now_ns()
        fused_ns = self._tell(self._engine.step([Inbound(message, address.release, received_ns)], now_ns), received_ns)
        spent_s: dict[Stage, float] = {"transit": (received_ns - message.sent_ns) / 1e9, "fuse": (fused_ns - received_ns) / 1e9}
        self._note(self._load.take(fused_ns, spent_s))
        self._catch_up(now_ns, received_ns)
        if self._write:
            self._write(Entry(received_ns, now_ns, delivery.topic, delivery.message))
        for stage, seconds in spent_s.items():
            self._metrics.stage(stage, seconds)
        if address.kind == "tracks" and isinstance(message, TrackFrame):  # a launch's rows come in a frame too
            self._reports_in.inc(message.n)

    def _take_word(self, address: Address, message: AnyMessage, delivery: Delivery) -> None:
        if not isinstance(message, Decorrelation):
            return
        word, kept = Inbound(message, address.release), self._words[address.owner, address.release]
        kept[delivery.topic] = word
        if len(kept) > MOST_WORDS:
            del kept[min(kept, key=lambda topic: kept[topic].message.sent_ns)]
        if delivery.retained:
            self._honour(word)
        elif self._is_of_this_exercise(word):
            self._take(address, message, delivery)

    def _honour(self, word: Inbound) -> None:
        """Take a word that was said some time ago: how long it was on its way says nothing of the load."""
        if self._is_of_this_exercise(word):
            now_ns = self.party.clock.now_ns()
            self._tell(self._engine.step([word], now_ns))
            self._catch_up(now_ns)

    def _is_of_this_exercise(self, word: Inbound) -> bool:
        """A feed that goes on into the next exercise numbers its tracks anew: what was said before is not about those."""
        exercise, due_ns = self.party.exercise, word.message.due_ns
        return exercise is None or due_ns == 0 or due_ns >= exercise.start_wall_ns

    def _catch_up(self, now_ns: int, received_ns: int = 0) -> None:
        """What follows a step once its alerts are out: the upkeep, its alerts, the pictures."""
        self._tell(self._engine.catch_up(now_ns, shed=self._load.sheds), received_ns)
        if not self._worker.picture_ms:
            self._draw_in_time()
        elif self._drawing is None:
            self._drawing = asyncio.get_running_loop().call_later(self._worker.picture_ms / 1e3, self._draw_in_time)

    def _note(self, changed: bool) -> None:
        """Say when work begins to be shed, and when that is over."""
        if changed:
            self._metrics.shedding.set(self._load.sheds)
            log.warning("late: shedding picture work" if self._load.sheds else "in time again: no work is shed")

    def _tell(self, alerts: list[Alert], received_ns: int = 0) -> int:
        """Send alerts that have just been decided; the wall time when they were.

        `received_ns` is the arrival of the report before them, 0 for a tick of the clock.
        """
        fused_ns = self.party.clock.wall_ns()
        if alerts:
            with self.party.urgent.together():  # one system call for all recipients: it costs as much as all the rest of sending
                for alert in alerts:
                    self._send(alert, fused_ns, by_report=alert.times.received_ns == received_ns)
            for alert in alerts:  # once they are on their way
                self.party.log(partial(AuditLog.alert, alert=alert))
        return fused_ns

    def _draw_in_time(self) -> None:
        """Draw, a moment after the alerts, so that these have the machine; under load, leave it to one of the next times."""
        self._drawing = None
        since_ns = self.party.clock.wall_ns() - self._drawn_ns
        if self._load.sheds and 0 <= since_ns < self._worker.shedding.picture_ms * 1e6:
            self._metrics.shed.labels("pictures").inc(self._engine.undrawn)
        else:
            self._draw()

    def _draw(self) -> None:
        """Send what changed in the pictures since the last time."""
        self._drawn_ns = fused_ns = self.party.clock.wall_ns()
        for picture in self._engine.draw(self.party.clock.now_ns()):
            stamped = msgspec.structs.replace(picture, fused_ns=fused_ns, purpose=self._purpose)
            self.party.publish(self.party.bulk, picture_tracks(picture.recipient), stamped, kind="picture")
            self._reports_out.inc(picture.n)

    def _send(self, alert: Alert, fused_ns: int, *, by_report: bool) -> None:
        """An alert is retained while it stands; its last word is not, and clears what was retained.

        One that no report caused (it aged, or is published again) carries no machine times: there is no latency to measure.
        """
        topic = picture_alert(alert.recipient, alert.id)
        if by_report:
            times = msgspec.structs.replace(alert.times, fused_ns=fused_ns, alerted_ns=self.party.clock.wall_ns())
        else:
            times = msgspec.structs.replace(alert.times, due_ns=0, sent_ns=0, received_ns=0)
        over = alert.state in ("closed", "retracted")
        stamped = msgspec.structs.replace(alert, times=times, purpose=self._purpose)
        expiry_s = _CANARY_EXPIRY_S if self._purpose == "canary" else None
        self.party.publish(  # a full queue counts
            self.party.urgent, topic, stamped, kind="alert", qos=1, retain=not over, expiry_s=expiry_s
        )
        if over:
            self.party.urgent.publish(topic, b"", qos=1, retain=True)
            self._retained.discard(topic)
            self._ended[topic] = alert
            if len(self._ended) > _MOST_ENDED:
                del self._ended[next(iter(self._ended))]
        else:
            self._retained.add(topic)

    def _export(self) -> None:
        for recipient, count in self._engine.system_tracks.items():
            self._metrics.system_tracks.labels(recipient).set(count)
        for recipient, count in self._engine.decorrelations.items():
            self._metrics.decorrelations.labels(recipient).set(count)
        real = self._purpose == "exercise"
        for recipient, raid in self._engine.raids.items():
            self._metrics.raid_count.labels(recipient).set(raid.in_flight.expected if raid and real else 0.0)
            self._metrics.raid_count_sigma.labels(recipient).set(raid.in_flight.sigma if raid and real else 0.0)
        alerts = self._engine.alerts_by_state if real else {}
        for recipient in self._recipients:
            for state in get_args(AlertState):
                self._metrics.alerts.labels(recipient, state).set(alerts.get((recipient, state), 0))
        for recipient, gap in self._engine.gaps.items():
            self._metrics.association_gap.labels(recipient).set(gap)
        for feeds, offset in self._engine.offsets.items():
            self._metrics.offset_m.labels(*feeds).set(math.hypot(*offset.position_m.tolist()))
            self._metrics.offset_sigma_m.labels(*feeds).set(offset.sigma_m)
            self._metrics.offset_s.labels(*feeds).set(offset.time_s)
            self._metrics.offset_sigma_s.labels(*feeds).set(offset.sigma_s)
        for reason, count in self._engine.rejected.items():
            self.party.reject(reason, count)
        self._engine.rejected.clear()
        for work, count in self._engine.shed.items():
            self._metrics.shed.labels(work).inc(count)
        self._engine.shed.clear()
        for recipient, count in self._engine.redone.items():
            self._metrics.redone.labels(recipient).inc(count)
        self._engine.redone.clear()

    def _begin_exercise(self, exercise: ExerciseClock) -> None:
        self._draw()
        self._clear_retained()
        self._ended.clear()
        self._engine = FusionEngine(self._fusion, self._recipients)
        self._purpose = exercise.purpose if exercise.state == "running" else "exercise"
        self._export()
        for word in itertools.chain.from_iterable(kept.values() for kept in self._words.values()):
            self._honour(word)

    def _clear_retained(self) -> None:
        for topic in sorted(self._retained):
            self.party.urgent.publish(topic, b"", qos=1, retain=True)
        self._retained.clear()

    def _republish(self, link: LinkState = "connected") -> None:
        """Publish every standing alert again: a broker that came back without its state has lost what it retained.

        With seals, what it has is believed for a time only. And the last word of those that are over: no broker retains it, and
        who was away, or whose broker was, would hold the alert for good.
        """
        if link == "connected":
            for alert in (*self._ended.values(), *self._engine.standing_alerts()):
                self._send(alert, 0, by_report=False)


def _in_order(nations: Sequence[Nation]) -> tuple[Nation, ...]:
    return tuple(nation for nation in NATIONS if nation in nations)
