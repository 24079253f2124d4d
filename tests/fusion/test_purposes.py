"""An exercise and the canary are never mixed in fusion: not what goes in, not what comes out, not in what is counted."""

from __future__ import annotations

import itertools
import time
from typing import Final

import pytest
from msgspec.structs import replace
from prometheus_client import CollectorRegistry

from bus.clock import SimulatedClock
from bus.memory import MemoryBus, MemoryTransport
from bus.messages import Alert, ExerciseClock, PictureFrame, Purpose, TrackFrame, decode, encode
from bus.metrics import Budgets, Metrics
from bus.release import EVERYONE, NATIONS
from bus.topics import CANARY_CLOCK, EXERCISE_CLOCK, feed_tracks, parse_topic, picture_alerts, picture_tracks
from bus.transport import Delivery
from fusion.service import FusionWorker
from fusion.settings import FusionSettings, WorkerSettings
from tests.fusion.scenes import JPN, KOR, START_NS, S, one

AT_S: Final = 80.0  # after the launch: it is alerted at once
CLOCKS: Final[dict[Purpose, str]] = {"exercise": EXERCISE_CLOCK, "canary": CANARY_CLOCK}


class World:
    """A worker on a bus in memory, two feeds that see one missile, and what a recipient hears."""

    def __init__(self) -> None:
        self.bus, self.registry = MemoryBus(), CollectorRegistry()
        self.alerts: list[Alert] = []
        self.pictures: list[PictureFrame] = []
        self.worker = FusionWorker(
            self.bus.transport, Metrics(self.registry, Budgets()), WorkerSettings(picture_ms=0.0), FusionSettings()
        )
        self.link: MemoryTransport = self.bus.transport("world")
        self.link.subscribe(picture_alerts("usa"), self._hear, qos=1)
        self.link.subscribe(picture_tracks("usa"), self._hear)
        for link in (self.worker.party.bulk, self.worker.party.urgent, self.link):
            link.connect_nowait()  # type: ignore[attr-defined]
        self._seq = itertools.count(1)

    def _hear(self, delivery: Delivery) -> None:
        if delivery.payload:
            message = decode(parse_topic(delivery.topic), delivery.payload)
            if isinstance(message, Alert):
                self.alerts.append(message)
            elif isinstance(message, PictureFrame):
                self.pictures.append(message)

    def clock(self, purpose: Purpose, state: str = "running") -> None:
        told = ExerciseClock(
            session=1,
            seq=next(self._seq),
            exercise=f"{purpose}-1",
            scenario="",
            seed=1,
            speed=1.0,
            start_ns=START_NS,
            start_wall_ns=time.time_ns() - int(AT_S * S),
            state=state,  # type: ignore[arg-type]
            purpose=purpose,
        )
        self.link.publish(CLOCKS[purpose], encode(told), qos=1)
        self.worker.party.clock = SimulatedClock(START_NS + int(AT_S * S))

    def report(self, purpose: Purpose) -> None:
        for eye in (JPN, KOR):
            message = one(eye.nation, AT_S, eye=eye).message
            assert isinstance(message, TrackFrame)
            told = replace(message, seq=next(self._seq), purpose=purpose)
            self.link.publish(feed_tracks(eye.nation, EVERYONE), encode(told))

    def value(self, name: str, **labels: str) -> float | None:
        self.worker.tick()
        return self.registry.get_sample_value(name, labels)


@pytest.mark.parametrize("purpose", ["exercise", "canary"])
def test_what_fusion_says_bears_the_purpose_of_the_clock(purpose: Purpose) -> None:
    world = World()
    world.clock(purpose)
    world.report(purpose)
    assert {alert.state for alert in world.alerts} >= {"confirmed"}
    assert {each.purpose for each in world.alerts} == {each.purpose for each in world.pictures} == {purpose}
    assert len(world.pictures) > 0


@pytest.mark.parametrize(("runs", "other"), [("exercise", "canary"), ("canary", "exercise")])
def test_reports_of_the_other_purpose_are_left_out_and_counted(runs: Purpose, other: Purpose) -> None:
    world = World()
    world.clock(runs)
    world.report(other)
    assert (world.alerts, world.pictures) == ([], [])
    assert world.value("triwarn_rejected_total", reason="purpose") == 2.0
    assert world.value("triwarn_reports_total", direction="in") == 0.0


def test_an_exercise_clears_the_canarys_picture_and_its_retained_alerts_at_once() -> None:
    world = World()
    world.clock("canary")
    world.report("canary")
    assert any("/alerts/" in topic for topic in world.bus.retained)
    said = len(world.alerts)
    world.clock("exercise")
    assert not any("/alerts/" in topic for topic in world.bus.retained)
    world.report("canary")  # on its way when the exercise began
    assert len(world.alerts) == said
    assert world.value("triwarn_system_tracks", recipient="usa") == 0.0
    world.report("exercise")
    assert {alert.purpose for alert in world.alerts[said:]} == {"exercise"}


def test_what_the_canary_left_undrawn_is_drawn_as_the_canarys() -> None:
    """The last picture is drawn when the next exercise begins, and is not of it."""
    world = World()
    world.clock("canary")
    world.worker._draw_in_time = lambda: None  # type: ignore[method-assign]
    world.report("canary")
    assert world.pictures == []
    world.clock("exercise")
    assert {(picture.n, picture.purpose) for picture in world.pictures} == {(1, "canary")}


def test_the_canary_counts_as_no_alert_and_no_missile() -> None:
    world = World()
    world.clock("canary")
    world.report("canary")
    assert world.value("triwarn_system_tracks", recipient="usa") == 1.0
    for state in ("quick", "confirmed", "updated"):
        assert world.value("triwarn_alerts", recipient="usa", state=state) == 0.0
    assert world.value("triwarn_raid_count", recipient="usa") == 0.0
    world.clock("canary", "stopped")
    world.clock("exercise")
    world.report("exercise")
    alerted = [world.value("triwarn_alerts", recipient="usa", state=state) for state in ("quick", "confirmed", "updated")]
    assert sum(filter(None, alerted)) == 1.0
    world.clock("exercise", "stopped")
    assert [world.value("triwarn_alerts", recipient="usa", state=state) for state in ("quick", "confirmed", "updated")] == [
        0.0
    ] * 3


def test_after_a_canary_reports_outside_any_exercise_are_taken_again() -> None:
    world = World()
    world.clock("canary")
    world.clock("canary", "stopped")
    world.report("canary")
    assert world.alerts == []
    world.report("exercise")
    assert {alert.purpose for alert in world.alerts} == {"exercise"}
    assert {alert.recipient for alert in world.alerts} <= set(NATIONS)
