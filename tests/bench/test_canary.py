"""The canary: what it plays, what it counts, that it makes way, and what it tells of real exercises."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Final

import pytest
from msgspec.structs import replace
from prometheus_client import CollectorRegistry

from bench import canary, observer
from bench.anees import Anees
from bench.canary import CanaryService
from bench.gain import Gain, alone
from bench.receiver import ReceiverService
from bench.simulate import simulate
from bench.world import play_out
from bus.memory import MemoryBus, MemoryTransport
from bus.messages import Alert, AlertTimes, ExerciseClock, PictureFrame, Place, Status, decode, encode
from bus.metrics import Budgets, Metrics
from bus.party import MakeTransport
from bus.recording import Entry
from bus.release import NATIONS, Nation
from bus.topics import CANARY_CLOCK, EVERYTHING, EXERCISE_CLOCK, parse_topic, picture_alert, picture_tracks, status
from bus.transport import Delivery
from fusion.service import FusionWorker
from fusion.settings import FusionSettings, WorkerSettings
from sensors.scenario import Scenario, load_scenario, parse_scenario
from sensors.service import FeedService
from sensors.truth import build_truth
from tests.bench.worlds import one_missile
from tests.security.parties import WARNING

SECOND: Final = 10**9
START_NS: Final = load_scenario("canary").start_ns


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """No waits that are for other machines."""
    for name, seconds in (("_HEAD_START_S", 0.1), ("_SETTLE_S", 0.0), ("_LOOK_EVERY_S", 0.01)):
        monkeypatch.setattr(canary, name, seconds)
    monkeypatch.setattr(observer, "_LEAST_PRIORITY", os.getpriority(os.PRIO_PROCESS, 0))


class Bus:
    """A bus in memory with the canary on it, and everything that is said there."""

    def __init__(self) -> None:
        self.memory, self.registry, self.stopping = MemoryBus(), CollectorRegistry(), asyncio.Event()
        self.link: MemoryTransport = self.memory.transport("others")
        self.link.connect_nowait()
        self.said: list[Delivery] = []
        self.link.subscribe(EVERYTHING, self.said.append, qos=1)
        self.service: CanaryService
        self.also: dict[str, MakeTransport] = {}
        self._seq = itertools.count(1)

    @contextlib.asynccontextmanager
    async def playing(self, *, speed: float = 1000.0, every_s: float = 0.01) -> AsyncIterator[None]:
        scenario = load_scenario("canary")
        metrics = Metrics(self.registry, Budgets())
        self.service = CanaryService(self.memory.transport, metrics, scenario, every_s=every_s, speed=speed, also=self.also)
        running = asyncio.create_task(self.service.run(self.stopping))
        try:
            yield
        finally:
            self.stopping.set()
            await running

    def ready(self) -> None:
        """Everybody announces itself."""
        for role, name in (*itertools.product(("feed", "receiver"), NATIONS), ("fusion", "fusion-1")):
            told = Status(session=9, seq=next(self._seq), role=role, name=name, state="ready")  # type: ignore[arg-type]
            self.link.publish(status(told.role, name), encode(told), qos=1, retain=True)

    def clocks(self) -> list[ExerciseClock]:
        """What the canary has said, and nothing empty."""
        said = [
            decode(parse_topic(each.topic), each.payload) for each in self.said if each.topic == CANARY_CLOCK and each.payload
        ]
        return [each for each in said if isinstance(each, ExerciseClock)]

    def exercise(self, state: str, scenario: Scenario) -> None:
        told = ExerciseClock(
            session=8,
            seq=next(self._seq),
            exercise="real",
            scenario=scenario.text,
            seed=1,
            speed=1.0,
            start_ns=scenario.start_ns,
            start_wall_ns=time.time_ns(),
            state=state,  # type: ignore[arg-type]
        )
        self.link.publish(EXERCISE_CLOCK, encode(told), qos=1, retain=True)

    def warn(self, *nations: Nation) -> None:
        """The canary's launch, told to these."""
        point = Place(
            lat_deg=0.0, lon_deg=0.0, semi_major_m=1.0, semi_minor_m=1.0, bearing_deg=0.0, time_ns=START_NS, time_sigma_s=1.0
        )
        at_ns = START_NS + 50 * SECOND
        for nation in nations:
            times = AlertTimes(valid_ns=at_ns, detected_ns=at_ns, tracked_ns=at_ns, released_ns=at_ns)
            alert = replace(WARNING, seq=next(self._seq), recipient=nation, purpose="canary", times=times, launch=point)
            self.link.publish(picture_alert(nation, alert.id), encode(alert), qos=1)

    def say(self, message: PictureFrame | Alert) -> None:
        """What fusion tells a recipient, now; of an alert, that its report has just been released."""
        if isinstance(message, PictureFrame):
            topic = picture_tracks(message.recipient)
        else:
            topic = picture_alert(message.recipient, message.id)
            message = replace(message, times=replace(message.times, due_ns=time.time_ns()))
        self.link.publish(topic, encode(replace(message, seq=next(self._seq))), qos=1)

    def value(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, labels)

    def rounds(self, outcome: str) -> list[float | None]:
        return [self.value("triwarn_canary_rounds_total", recipient=nation, outcome=outcome) for nation in NATIONS]


async def until(done: Callable[[], bool]) -> None:
    for _ in range(6000):
        if done():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it did not happen")


def running(bus: Bus) -> bool:
    return bus.service.party.runs is not None


def test_the_shipped_canary_is_one_launch_and_takes_less_than_a_minute() -> None:
    scenario = load_scenario("canary")
    truth = build_truth(scenario)
    assert "CANARY" in scenario.title
    assert len(truth.launches) == 1
    assert (truth.end_ns - truth.start_ns) / 1e9 / canary.SPEED < 60.0
    held = simulate(play_out(scenario, scenario.seed), FusionSettings()).received
    for entries in held.values():
        alerts = [message for each in entries if isinstance(message := decode(parse_topic(each.topic), each.payload), Alert)]
        assert [alert.state for alert in alerts][:2] == ["quick", "confirmed"]


async def test_a_round_over_real_parties_warns_everyone_and_leaves_no_real_alert() -> None:
    bus, registry = Bus(), CollectorRegistry()
    make, scenario = bus.memory.transport, load_scenario("canary")
    receivers = [
        ReceiverService(make, Metrics(registry if to == "kor" else CollectorRegistry(), Budgets()), to) for to in NATIONS
    ]
    worker = FusionWorker(make, Metrics(CollectorRegistry(), Budgets()), WorkerSettings(), FusionSettings())
    feeds = [FeedService(make, Metrics(CollectorRegistry(), Budgets()), nation, []) for nation in NATIONS]
    for feed in feeds:
        feed.prepare(scenario.text, scenario.seed)
    async with bus.playing(speed=40.0, every_s=60.0):
        services: list[ReceiverService | FusionWorker | FeedService] = [*receivers, worker, *feeds]
        running = [asyncio.create_task(each.run(bus.stopping)) for each in services]
        await until(lambda: bus.rounds("warned") == [1.0] * 3)
        assert bus.rounds("missed") == [0.0] * 3
        for each in receivers:
            assert each.holdings.alerts == {}
            assert {alert.state for alert in each.held["canary"].alerts.values()} == {"confirmed"}
        for purpose, count in (("canary", 1.0), ("exercise", 0.0)):
            labels = {"recipient": "kor", "purpose": purpose}
            assert registry.get_sample_value("triwarn_warning_time_seconds_count", labels) == count
            assert registry.get_sample_value("triwarn_missed_launches_total", labels) == 0.0
        assert not any("/alerts/" in topic for topic in bus.memory.retained)
        bus.stopping.set()
        await asyncio.gather(*running)


async def test_who_is_not_warned_of_a_round_is_missed_until_one_is_well(caplog: pytest.LogCaptureFixture) -> None:
    bus = Bus()
    bus.ready()
    async with bus.playing(speed=200.0):
        await until(lambda: running(bus))
        bus.warn("kor", "usa")
        with caplog.at_level(logging.WARNING):
            await until(lambda: bus.rounds("missed") == [1.0, 0.0, 0.0])
        assert [bus.value("triwarn_canary_missed", recipient=nation) for nation in NATIONS] == [1.0, 0.0, 0.0]
        assert len(caplog.messages) == 1
        assert caplog.messages[0].startswith("the canary was missed: no alert of canary-")
        assert caplog.messages[0].endswith("reached jpn")
        await until(lambda: running(bus))
        bus.warn(*NATIONS)
        await until(lambda: bus.rounds("warned") == [1.0, 2.0, 2.0])
        assert [bus.value("triwarn_canary_missed", recipient=nation) for nation in NATIONS] == [0.0] * 3


async def test_nothing_is_played_before_everybody_has_come_but_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    bus = Bus()
    async with bus.playing():
        await until(lambda: bus.service.party.ready)
        assert bus.clocks() == []
        bus.ready()
        await until(lambda: len(bus.clocks()) > 0)
    monkeypatch.setattr(canary, "_PATIENCE_S", 0.0)
    alone = Bus()
    async with alone.playing():
        await until(lambda: alone.rounds("missed") >= [1.0] * 3)


async def test_an_exercise_ends_the_round_at_once_and_the_canary_goes_on_afterwards() -> None:
    bus = Bus()
    bus.ready()
    async with bus.playing(speed=1.0):
        await until(lambda: running(bus))
        bus.exercise("running", load_scenario("overflight"))
        bus.said.clear()
        await until(lambda: [clock.state for clock in bus.clocks()] == ["stopped"])
        assert CANARY_CLOCK not in bus.memory.retained
        assert bus.service.party.runs is not None
        assert bus.service.party.runs.purpose == "exercise"
        for _ in range(20):
            await asyncio.sleep(0.0)
        assert len(bus.clocks()) == 1
        bus.exercise("stopped", load_scenario("overflight"))
        await until(lambda: [clock.state for clock in bus.clocks()] == ["stopped", "running"])
        assert bus.rounds("missed") == bus.rounds("warned") == [0.0] * 3
    assert [clock.state for clock in bus.clocks()] == ["stopped", "running", "stopped"]
    assert CANARY_CLOCK not in bus.memory.retained


async def test_a_round_is_said_again_to_a_broker_that_has_lost_it() -> None:
    bus = Bus()
    bus.ready()
    async with bus.playing(speed=1.0):
        await until(lambda: running(bus))
        begun = len(bus.clocks())
        bus.service._say_again("resumed")
        assert len(bus.clocks()) == begun
        bus.service._say_again("connected")
        assert [clock.exercise for clock in bus.clocks()][begun - 1 :] == [bus.clocks()[begun - 1].exercise] * 2


async def test_in_a_mesh_every_broker_hears_the_same_and_alerts_count_from_each() -> None:
    bus, far = Bus(), Bus()
    bus.ready()
    bus.also = {"far": far.memory.transport}
    async with bus.playing(speed=200.0):
        await until(lambda: running(bus))
        bus.warn("jpn", "usa")
        far.warn("kor")
        await until(lambda: bus.rounds("warned") == [1.0] * 3)
    assert [each for each in far.said if each.topic == CANARY_CLOCK] == [each for each in bus.said if each.topic == CANARY_CLOCK]
    assert [clock.seq for clock in far.clocks()] == list(range(1, len(far.clocks()) + 1))
    assert CANARY_CLOCK not in far.memory.retained


async def test_while_an_exercise_runs_it_is_held_against_the_truth() -> None:
    """What comes before the truth is computed counts too; what a canary brings, and what the broker has kept, never."""
    world = one_missile()
    scenario = parse_scenario(world.scenario.text, "short-1")
    heard = list(messages(simulate(world, FusionSettings()).received["kor"]))
    twin, gain = Anees(world), Gain(world, alone(world, FusionSettings()))
    for message in heard:
        if isinstance(message, PictureFrame):
            twin.take(message)
        else:
            gain.take(message, 0, 0)
    bus = Bus()
    async with bus.playing():
        await until(lambda: bus.service.party.ready)
        bus.exercise("running", scenario)
        for message in heard:
            for purpose in ("canary", "exercise"):
                bus.say(replace(message, purpose=purpose))
        await until(lambda: bus.value("triwarn_anees", recipient="kor", phase="coast") is not None)
        told = {key: bus.value("triwarn_anees", recipient=key[0], phase=key[1]) for key in twin.told()}
        assert told == pytest.approx(twin.told())
        assert bus.value("triwarn_anees", recipient="jpn", phase="coast") is None
        assert bus.value("triwarn_sharing_gain_seconds", recipient="kor") == pytest.approx(gain.told()["kor"].gain_s, abs=1.0)
        assert bus.value("triwarn_launches_only_shared", recipient="kor") == 0.0
        assert bus.value("triwarn_sharing_gain_seconds", recipient="jpn") is None
        assert bus.clocks() == []


def messages(entries: list[Entry]) -> Iterator[PictureFrame | Alert]:
    for entry in entries:
        message = decode(parse_topic(entry.topic), entry.payload)
        if isinstance(message, PictureFrame | Alert):
            yield message
