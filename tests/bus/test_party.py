"""A party on the bus: whose time it keeps, and when."""

from __future__ import annotations

from typing import Final, Literal

from prometheus_client import CollectorRegistry

from bus.memory import MemoryBus
from bus.messages import ExerciseClock, encode
from bus.metrics import Budgets, Metrics
from bus.party import Party
from bus.topics import EXERCISE_CLOCK

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
