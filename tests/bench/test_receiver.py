"""A receiver in an exercise that began with it, and in one that it came late to."""

from __future__ import annotations

import asyncio
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from msgspec.structs import replace
from prometheus_client import CollectorRegistry

from bench import receiver
from bench.receiver import ReceiverService
from bench.warning import Flight
from bus.audit import AuditLog
from bus.memory import MemoryBus
from bus.messages import AlertState, AlertTimes, ExerciseClock, Place, encode
from bus.metrics import Budgets, Metrics
from bus.topics import EXERCISE_CLOCK, picture_alert
from tests.security.parties import CLOCK, WARNING

SECOND = 10**9
FLIGHT = Flight(1 * SECOND, 5 * SECOND)
IMPACT = Place(
    lat_deg=39.0, lon_deg=131.0, semi_major_m=1e4, semi_minor_m=5e3, bearing_deg=0.0, time_ns=300 * SECOND, time_sigma_s=2.0
)


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


async def test_a_receiver_that_is_killed_in_a_salvo_counts_each_launch_once_over_both_its_lives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One was warned of before, one as nobody was there, and that counts as late; one never, and is missed."""
    flights = [Flight(at_s * SECOND, (at_s + 3) * SECOND) for at_s in (1, 2, 100)]
    monkeypatch.setattr(receiver, "_flights", lambda exercise: flights)
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
    bus, speed = MemoryBus(), 1000.0
    others = bus.transport("others")
    others.connect_nowait()
    clock = ExerciseClock(
        session=1, seq=1, exercise="one", scenario="", seed=1, speed=speed, start_ns=0, start_wall_ns=time.time_ns() - SECOND // 4
    )
    others.publish(EXERCISE_CLOCK, encode(clock), qos=1, retain=True)

    def raised(id: str, launch_s: int, held_s: int) -> None:
        times = AlertTimes(valid_ns=0, detected_ns=0, tracked_ns=0, released_ns=held_s * SECOND)
        alert = replace(WARNING, id=id, state="confirmed", times=times, launch=replace(IMPACT, time_ns=launch_s * SECOND))
        others.publish(picture_alert("jpn", id), encode(alert), qos=1, retain=True)

    async def life() -> tuple[ReceiverService, CollectorRegistry]:
        registry = CollectorRegistry()
        service = ReceiverService(bus.transport, Metrics(registry, Budgets()), "jpn")
        service.party.audit = AuditLog(tmp_path, service.party.principal)
        await service.party.start()
        await asyncio.to_thread(int)  # behind what computes the flights
        return service, registry

    def counted(registry: CollectorRegistry) -> list[float | None]:
        labels = {"recipient": "jpn", "purpose": "exercise"}
        within = registry.get_sample_value("triwarn_warning_time_seconds_bucket", {**labels, "le": "60.0"})
        names = ("triwarn_warning_time_seconds_count", "triwarn_missed_launches_total")
        return [within, *(registry.get_sample_value(name, labels) for name in names)]

    first, registry = await life()
    raised("a", 1, 31)
    assert counted(registry) == [1.0, 1.0, 0.0]
    assert first.party.audit is not None
    os.close(first.party.audit._file)  # killed
    first.party.audit = None
    await first.party.stop()
    raised("b", 2, 95)
    second, registry = await life()
    others.publish(EXERCISE_CLOCK, encode(replace(clock, seq=2, state="stopped")), qos=1, retain=True)
    assert counted(registry) == [0.0, 1.0, 1.0]
    await second.party.stop()


@pytest.mark.parametrize(("state", "told"), [("updated", 1.0), ("closed", 0.0)])
def test_the_end_of_an_alert_that_was_never_held_counts_for_no_lead_time(state: AlertState, told: float) -> None:
    bus, registry = MemoryBus(), CollectorRegistry()
    service = ReceiverService(bus.transport, Metrics(registry, Budgets()), "jpn")
    service.party.urgent.connect_nowait()  # type: ignore[attr-defined]
    fusion = bus.transport("fusion")
    fusion.connect_nowait()
    alert = replace(WARNING, recipient="jpn", state=state, impact=IMPACT)
    fusion.publish(picture_alert("jpn", alert.id), encode(alert), qos=1)
    assert [each.state for each in service.holdings.alerts.values()] == [state]
    assert registry.get_sample_value("triwarn_lead_time_seconds_count", {"recipient": "jpn", "purpose": "exercise"}) == told


async def test_a_receiver_that_comes_late_holds_the_alerts_that_stand(monkeypatch: pytest.MonkeyPatch) -> None:
    """It took them before the exercise that is retained too, and forgot them as that began."""
    monkeypatch.setattr(receiver, "_flights", lambda exercise: [FLIGHT])
    bus = MemoryBus()
    others = bus.transport("others")
    others.connect_nowait()
    others.publish(picture_alert("jpn", WARNING.id), encode(WARNING), qos=1, retain=True)
    others.publish(EXERCISE_CLOCK, encode(CLOCK), qos=1, retain=True)
    service = ReceiverService(bus.transport, Metrics(CollectorRegistry(), Budgets()), "jpn")
    await service.party.start()
    assert service.holdings.standing() == [WARNING]
    await service.party.stop()
