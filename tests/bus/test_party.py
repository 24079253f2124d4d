"""A party on the bus: whose time it keeps, and when; and which streams it holds to be silent."""

from __future__ import annotations

import time
from typing import Final, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from bus.clock import WallClock
from bus.memory import MemoryBus
from bus.messages import PURPOSES, ExerciseClock, Purpose, TrackFrame, encode
from bus.metrics import Budgets, Metrics
from bus.party import Party
from bus.release import NATIONS
from bus.topics import ALL_FEED_TRACKS, CANARY_CLOCK, EXERCISE_CLOCK, feed_tracks

_START_NS: Final = 1_700_000_000_000_000_000


def clock(state: Literal["running", "stopped"], seq: int) -> bytes:
    return encode(
        ExerciseClock(
            session=1, seq=seq, exercise="one", scenario="", seed=1, speed=1.0, start_ns=_START_NS, start_wall_ns=2, state=state
        )
    )


async def test_scenario_time_does_not_jump_when_the_exercise_stops() -> None:
    bus = MemoryBus()
    registry = CollectorRegistry()
    party = Party("receiver", "jpn", bus.transport, Metrics(registry, Budgets()))
    heard: list[tuple[str, int]] = []
    party.on_exercise(lambda exercise: heard.append((exercise.state, party.clock.now_ns())))
    await party.start()
    conductor = bus.transport("conductor", None)
    await conductor.start()
    assert registry.get_sample_value("triwarn_exercise_running") == 0.0
    conductor.publish(EXERCISE_CLOCK, clock("running", 1), qos=1, retain=True)
    assert registry.get_sample_value("triwarn_exercise_running") == 1.0
    conductor.publish(EXERCISE_CLOCK, clock("stopped", 2), qos=1, retain=True)
    conductor.publish(EXERCISE_CLOCK, clock("stopped", 2), qos=1, retain=True)
    assert registry.get_sample_value("triwarn_exercise_running") == 0.0
    assert [state for state, _ in heard] == ["running", "stopped"]
    (_, begun_ns), (_, stopped_ns) = heard
    assert 0 <= stopped_ns - begun_ns < 10**9
    await party.stop()
    await conductor.stop()


def told(
    purpose: Purpose, state: Literal["running", "stopped"], seq: int, *, end_ns: int = 0, exercise: str = ""
) -> tuple[str, bytes]:
    """A clock of either purpose, on its topic; it has run for a minute. One that is told to end has been over for 59 s."""
    message = ExerciseClock(
        session=1 if purpose == "exercise" else 2,
        seq=seq,
        exercise=exercise or f"{purpose}-1",
        scenario="",
        seed=1,
        speed=1.0,
        start_ns=_START_NS,
        start_wall_ns=time.time_ns() - 60 * 10**9,
        end_ns=end_ns,
        state=state,
        purpose=purpose,
    )
    return EXERCISE_CLOCK if purpose == "exercise" else CANARY_CLOCK, encode(message)


Step = tuple[Purpose, Literal["running", "stopped"]]


@settings(deadline=None, max_examples=60)
@given(steps=st.lists(st.tuples(st.sampled_from(PURPOSES), st.sampled_from(["running", "stopped"])), max_size=8))
def test_the_canary_counts_only_while_no_exercise_runs(steps: list[Step]) -> None:
    """Whatever is heard in whatever order: the twin looks at the exercise first, then at what the canary said since."""
    bus, registry = MemoryBus(), CollectorRegistry()
    party = Party("receiver", "jpn", bus.transport, Metrics(registry, Budgets()))
    party.on_exercise(lambda _: None)
    party.urgent.connect_nowait()  # type: ignore[attr-defined]
    link = bus.transport("others", None)
    link.connect_nowait()
    exercise: str | None = None
    in_force: Step | None = None
    for seq, (purpose, state) in enumerate(steps, start=1):
        topic, payload = told(purpose, state, seq)
        link.publish(topic, payload, qos=1)
        if purpose == "exercise":
            exercise = state
        if purpose == "exercise" or exercise != "running":
            in_force = purpose, state
        assert (None if party.exercise is None else (party.exercise.purpose, party.exercise.state)) == in_force
        assert registry.get_sample_value("triwarn_canary") == (in_force == ("canary", "running"))
        assert registry.get_sample_value("triwarn_exercise_running") == (in_force is not None and in_force[1] == "running")


def test_a_canary_of_an_exercises_name_keeps_nobody_out_of_it() -> None:
    bus = MemoryBus()
    party = Party("receiver", "jpn", bus.transport, Metrics(CollectorRegistry(), Budgets()))
    begun: list[str] = []
    party.on_exercise(lambda clock: begun.append(clock.purpose))
    party.urgent.connect_nowait()  # type: ignore[attr-defined]
    link = bus.transport("others", None)
    link.connect_nowait()
    for topic, payload in (told("canary", "running", 1, exercise="salvo-1"), told("exercise", "running", 1, exercise="salvo-1")):
        link.publish(topic, payload, qos=1)
    assert begun == ["canary", "exercise"]


async def test_an_exercise_whose_conductor_was_killed_is_over_some_time_after_its_end() -> None:
    for end_s, purpose in ((1, "canary"), (45, "exercise"), (100, "exercise")):
        bus = MemoryBus()
        party = Party("receiver", "jpn", bus.transport, Metrics(CollectorRegistry(), Budgets()))
        party.on_exercise(lambda _: None)
        await party.start()
        link = bus.transport("others", None)
        await link.start()
        for topic, payload in (told("exercise", "running", 1, end_ns=_START_NS + end_s * 10**9), told("canary", "running", 1)):
            link.publish(topic, payload, qos=1)
        assert party.exercise is not None
        assert party.exercise.purpose == purpose
        await party.stop()


@pytest.mark.parametrize(("end_s", "runs"), [(29, 0.0), (31, 1.0)])
def test_an_exercise_that_is_over_and_whose_stop_was_not_heard_is_told_as_over(end_s: int, runs: float) -> None:
    """As behind a bridge that went down in it: every rule took it for one that runs, for good."""
    bus, registry = MemoryBus(), CollectorRegistry()
    party = Party("feed", "jpn", bus.transport, Metrics(registry, Budgets()))
    party.on_exercise(lambda _: None)
    party.urgent.connect_nowait()  # type: ignore[attr-defined]
    link = bus.transport("others", None)
    link.connect_nowait()
    for purpose in ("canary", "exercise"):
        link.publish(*told(purpose, "running", 1, end_ns=_START_NS + end_s * 10**9), qos=1)
        assert registry.get_sample_value("triwarn_exercise_running") == runs
        assert registry.get_sample_value("triwarn_canary") == (runs if purpose == "canary" else 0.0)


def test_who_has_not_spoken_in_an_exercise_is_not_silent_in_it() -> None:
    """Before the first report of each canary every stream of the last one has been silent for long."""
    bus, registry = MemoryBus(), CollectorRegistry()
    party = Party("fusion", "fusion-1", bus.transport, Metrics(registry, Budgets()))
    wall = Wall()
    party.on_exercise(lambda _: setattr(party, "clock", wall))
    party.listen(party.bulk, ALL_FEED_TRACKS, lambda *_: None)
    for link in (party.bulk, party.urgent):
        link.connect_nowait()  # type: ignore[attr-defined]
    feed = bus.transport("feed", None)
    feed.connect_nowait()
    topic = feed_tracks("jpn", NATIONS)

    def stale() -> float | None:
        party.note_silence()
        return registry.get_sample_value("triwarn_stream_stale", {"stream": "jpn tracks jpn-kor-usa"})

    feed.publish(*told("canary", "running", 1), qos=1)
    feed.publish(topic, encode(TrackFrame(session=3, seq=1, nation="jpn", released_ns=1, n=0, columns={})))
    assert stale() == 0.0
    wall.at_ns += 20 * 10**9
    assert stale() == 1.0
    feed.publish(*told("canary", "stopped", 2), qos=1)
    assert stale() == 0.0
    feed.publish(*told("exercise", "running", 1), qos=1)
    assert stale() == 0.0


class Wall(WallClock):
    """Stands where it was put."""

    def __init__(self) -> None:
        self.at_ns = time.time_ns()

    def wall_ns(self) -> int:
        return self.at_ns
