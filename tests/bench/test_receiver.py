"""A receiver in an exercise that began with it, and in one that it came late to."""

from __future__ import annotations

import asyncio
import time

import pytest
from msgspec.structs import replace
from prometheus_client import CollectorRegistry

from bench import receiver
from bench.receiver import ReceiverService
from bench.warning import Flight
from bus.memory import MemoryBus
from bus.messages import ExerciseClock, encode
from bus.metrics import Budgets, Metrics
from bus.topics import EXERCISE_CLOCK

SECOND = 10**9
FLIGHT = Flight(1 * SECOND, 5 * SECOND)


@pytest.mark.parametrize(("late_s", "missed"), [(-1.0, 1.0), (100.0, 0.0)])
async def test_a_receiver_misses_no_launch_of_before_it_was_there(
    late_s: float, missed: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receiver, "_flights", lambda exercise: [FLIGHT])
    bus, registry = MemoryBus(), CollectorRegistry()
    service = ReceiverService(bus.transport, Metrics(registry, Budgets()), "jpn")
    await service.party.start()
    speed, conductor = 1000.0, bus.transport("conductor")
    conductor.connect_nowait()
    clock = ExerciseClock(
        session=1,
        seq=1,
        exercise="one",
        scenario="",
        seed=1,
        speed=speed,
        start_ns=0,
        start_wall_ns=time.time_ns() - int(late_s * SECOND / speed),
    )
    conductor.publish(EXERCISE_CLOCK, encode(clock), qos=1, retain=True)
    await asyncio.get_running_loop().shutdown_default_executor()  # the flights are known
    while service.party.clock.now_ns() < FLIGHT.impact_ns:
        pass
    conductor.publish(EXERCISE_CLOCK, encode(replace(clock, seq=2, state="stopped")), qos=1, retain=True)
    told = registry.get_sample_value("triwarn_missed_launches_total", {"recipient": "jpn", "purpose": "exercise"})
    await service.party.stop()
    assert told == missed
