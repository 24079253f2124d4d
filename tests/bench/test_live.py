"""The conductor attached over a bus in memory: who is missing is named, before the exercise and at its end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
import pytest

from bench import live
from bench.live import Plan, Watch, conduct
from bench.simulate import Outcome
from bench.topology import ALONE, network
from bus.memory import MemoryBus, MemoryTransport
from bus.messages import ExerciseClock, Status, decode, encode
from bus.release import NATIONS
from bus.topics import EXERCISE_CLOCK, Role, parse_topic, status
from bus.transport import Delivery, Will
from sensors.truth import Truth

PARTIES: Final[tuple[tuple[Role, str], ...]] = (
    *(("feed", nation) for nation in NATIONS),
    ("fusion", "fusion-1"),
    *(("receiver", nation) for nation in NATIONS),
)
NONE: Final = np.empty(0)
HALF_A_SECOND: Final = Truth(0, 500_000_000, (), np.empty((0, 6)), np.zeros(1, np.int64), NONE, NONE, NONE, np.empty((0, 3)), ())


def born(bus: MemoryBus, role: Role, name: str) -> MemoryTransport:
    """A party's link: ready, with its last will."""
    topic = status(role, name)
    offline, ready = (encode(Status(session=1, seq=0, role=role, name=name, state=state)) for state in ("offline", "ready"))
    link = bus.transport(f"{role}-{name}", Will(topic, offline))
    link.connect_nowait()
    link.publish(topic, ready, qos=1, retain=True)
    return link


class Exercise:
    """An exercise of half a second that attaches to whoever is on the bus; `at_start` is called
    as its clock is heard, `at_word` with what it says."""

    def __init__(
        self, bus: MemoryBus, at_start: Callable[[], None] = lambda: None, at_word: Callable[[str], None] = lambda _: None
    ) -> None:
        self.said: list[str] = []
        self.stopping = asyncio.Event()
        self.watch = Watch(set(PARTIES), entries={nation: [] for nation in NATIONS})
        self._bus, self._at_start, self._at_word = bus, at_start, at_word

    def _say(self, what: str) -> None:
        self.said.append(what)
        self._at_word(what)

    def _hear(self, delivery: Delivery) -> None:
        clock = decode(parse_topic(delivery.topic), delivery.payload) if delivery.payload else None
        if isinstance(clock, ExerciseClock) and clock.state == "running":
            self._at_start()

    async def run(self, folder: Path) -> Outcome:
        listener = self._bus.transport("listener")
        listener.subscribe(EXERCISE_CLOCK, self._hear, qos=1)
        listener.connect_nowait()
        plan = Plan("none", "", 1, 1.0, "memory", folder, None, network("single", "fusion-1"), {}, attach=True)
        make = self._bus.transport
        return await conduct(plan, {ALONE: "memory"}, HALF_A_SECOND, lambda _: make, self.watch, self.stopping, self._say)


async def test_who_goes_in_an_exercise_that_attached_and_stays_away_is_lost_and_who_comes_back_is_not(tmp_path: Path) -> None:
    bus = MemoryBus()
    links = {f"{role} {name}": born(bus, role, name) for role, name in PARTIES}

    def kill() -> None:
        for party in ("feed jpn", "receiver kor", "fusion fusion-1"):
            links[party].cut()

    def start_again(what: str) -> None:
        if what.startswith("receiver kor is gone"):
            born(bus, "receiver", "kor")

    exercise = Exercise(bus, kill, start_again)
    outcome = await exercise.run(tmp_path)
    assert outcome.lost == ["feed jpn", "fusion fusion-1"]
    assert "feed jpn is gone; the exercise goes on without it" in exercise.said
    assert exercise.said[-1] == "receiver kor is back"


async def test_an_exercise_that_attached_and_that_nobody_left_has_lost_nobody(tmp_path: Path) -> None:
    bus = MemoryBus()
    for role, name in PARTIES:
        born(bus, role, name)
    exercise = Exercise(bus)
    assert (await exercise.run(tmp_path)).lost == []
    assert exercise.said == ["waiting for every process to be ready"]


async def test_an_exercise_stopped_while_it_waits_for_parties_has_lost_nobody(tmp_path: Path) -> None:
    exercise = Exercise(MemoryBus())
    exercise.stopping.set()
    assert (await exercise.run(tmp_path)).lost == []


async def test_who_is_missing_is_named_after_a_while_and_again_when_that_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "_NAMED_AFTER_S", 0.0)
    bus = MemoryBus()
    absent: list[tuple[Role, str]] = [("feed", "kor"), ("receiver", "usa")]
    for role, name in PARTIES:
        if (role, name) not in absent:
            born(bus, role, name)

    def come(what: str) -> None:
        if what.startswith("still waiting"):
            born(bus, *absent.pop())

    exercise = Exercise(bus, at_word=come)
    await exercise.run(tmp_path)
    waiting = ["still waiting for feed kor, receiver usa", "still waiting for feed kor"]
    assert exercise.said == ["waiting for every process to be ready", *waiting]
