"""An operator's word outlives the worker that heard it: the broker retains it, and hands it to whoever comes later."""

from __future__ import annotations

import random
import time
from typing import Final

from msgspec.structs import replace
from prometheus_client import CollectorRegistry

from bus.clock import SimulatedClock
from bus.memory import MemoryBus, MemoryTransport
from bus.messages import Decorrelation, ExerciseClock, encode
from bus.metrics import Budgets, Metrics
from bus.release import EVERYONE, NATIONS, Nation, Release
from bus.topics import EXERCISE_CLOCK, feed_decorrelation, feed_tracks
from fusion.decorrelation import MOST_WORDS
from fusion.service import FusionWorker
from fusion.settings import FusionSettings, WorkerSettings
from tests.fusion.scenes import JPN, KOR, START_NS, S, decorrelation, one

AT_S: Final = 80.0  # after the launch: the missile flies freely
LATER_S: Final = 60  # an exercise has run for so long


class World:
    """A bus in memory with two feeds that see one missile, an operator, and workers that come and go."""

    def __init__(self) -> None:
        self.bus = MemoryBus()
        self.link: MemoryTransport = self.bus.transport("world")
        self.link.connect_nowait()
        self.begun_ns = time.time_ns() - LATER_S * S
        self.seq = 0

    def worker(self) -> tuple[FusionWorker, CollectorRegistry]:
        registry = CollectorRegistry()
        settings = WorkerSettings(picture_ms=0.0)
        worker = FusionWorker(self.bus.transport, Metrics(registry, Budgets()), settings, FusionSettings())
        worker.party.clock = SimulatedClock(START_NS + int(AT_S * S))
        for link in (worker.party.bulk, worker.party.urgent):
            link.connect_nowait()  # type: ignore[attr-defined]
        return worker, registry

    def say(
        self,
        tracks: str = "jpn/1 kor/1",
        *,
        by: Nation = "kor",
        due_ns: int = 0,
        sent_ns: int = 0,
        apart: bool = True,
        to: Release = EVERYONE,
    ) -> None:
        word = decorrelation(by, tracks, AT_S - 1.0 if apart else AT_S - 0.5, apart=apart).message
        assert isinstance(word, Decorrelation)
        self.seq += 1
        told = replace(word, seq=self.seq, sent_ns=sent_ns or due_ns, due_ns=due_ns)
        self.link.publish(feed_decorrelation(by, to, *word.pair), encode(told), qos=1, retain=True)

    def begin(self, exercise: str) -> None:
        self.seq += 1
        clock = ExerciseClock(
            session=1,
            seq=self.seq,
            exercise=exercise,
            scenario="",
            seed=1,
            speed=1.0,
            start_ns=START_NS + int(AT_S - LATER_S) * S,
            start_wall_ns=self.begun_ns,
        )
        self.link.publish(EXERCISE_CLOCK, encode(clock), qos=1, retain=True)

    def report(self) -> None:
        for eye in (JPN, KOR):
            self.seq += 1
            message = one(eye.nation, AT_S, eye=eye).message
            self.link.publish(feed_tracks(eye.nation, EVERYONE), encode(replace(message, seq=self.seq)))


def apart(worker: FusionWorker, registry: CollectorRegistry) -> dict[Nation, float | None]:
    """How many pairs of tracks each recipient's picture keeps apart."""
    worker.tick()
    return {to: registry.get_sample_value("triwarn_decorrelations", {"recipient": to}) for to in NATIONS}


def test_a_worker_that_starts_later_keeps_apart_what_was_declared_before() -> None:
    world = World()
    world.say()
    world.report()
    worker, registry = world.worker()
    world.report()
    assert apart(worker, registry) == dict.fromkeys(NATIONS, 1.0)


def test_a_later_worker_hears_the_newest_word_of_each_release() -> None:
    """Taken back for Japan and Korea alone: the United States' picture still keeps them apart."""
    world = World()
    world.say()
    world.say(apart=False, to=("jpn", "kor"))
    worker, registry = world.worker()
    world.report()
    assert apart(worker, registry) == {"jpn": 0.0, "kor": 0.0, "usa": 1.0}


def test_words_that_come_before_the_exercises_clock_count_in_it() -> None:
    world = World()
    worker, registry = world.worker()
    world.say(due_ns=world.begun_ns + S)
    world.begin("one")
    world.report()
    assert apart(worker, registry) == dict.fromkeys(NATIONS, 1.0)


def test_a_word_of_the_exercise_before_is_not_about_the_next_ones_tracks() -> None:
    """A feed that goes on numbers them anew, in the same session."""
    for early in (True, False):
        world = World()
        if early:
            world.say(due_ns=world.begun_ns - 1)
        world.begin("two")
        worker, registry = world.worker()
        if not early:
            world.say(due_ns=world.begun_ns - 1)
        world.report()
        assert apart(worker, registry) == dict.fromkeys(NATIONS, 0.0)


def test_old_words_are_no_load_and_no_latency() -> None:
    world = World()
    for number in range(1, 10):
        world.say(f"jpn/{number} kor/{number}", due_ns=world.begun_ns)
    _, registry = world.worker()
    assert registry.get_sample_value("triwarn_shedding") == 0.0
    assert registry.get_sample_value("triwarn_stage_seconds_count", {"stage": "transit"}) in (None, 0.0)


FLOOD: Final = 5 * MOST_WORDS


def test_what_a_worker_remembers_of_words_is_bounded_and_the_newest_stay_whatever_their_order() -> None:
    world = World()
    worker, _ = world.worker()
    for number in random.Random(3).sample(range(1, FLOOD + 1), FLOOD):
        world.say(f"jpn/{number} kor/1", sent_ns=number)
    kept = worker._words["kor", EVERYONE]
    assert len(kept) == MOST_WORDS
    assert min(word.message.sent_ns for word in kept.values()) == FLOOD - MOST_WORDS + 1


def test_one_nations_flood_of_words_pushes_out_no_other_nations() -> None:
    world = World()
    worker, registry = world.worker()
    world.say(by="jpn")
    for number in range(2, FLOOD):
        world.say(f"kor/{number} usa/1")
    world.begin("one")
    world.report()
    assert apart(worker, registry) == dict.fromkeys(NATIONS, 1.0)


def test_words_to_some_push_out_none_that_are_to_others() -> None:
    """What the United States' picture keeps apart depends on nothing that they may not see."""
    world = World()
    worker, registry = world.worker()
    world.say()
    for number in range(2, FLOOD):
        world.say(f"jpn/{number} kor/1", to=("jpn", "kor"))
    world.begin("one")
    world.report()
    assert apart(worker, registry)["usa"] == 1.0
