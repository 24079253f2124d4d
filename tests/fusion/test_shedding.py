"""Under load picture work waits and alert work does not: in the engine, and in the worker on a bus in memory.

The worker's machine is made up: a wall clock that a picture frame moves on by COST_MS for its making and sending, and on which a
burst of messages waits until the worker gets to each.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import pytest
from msgspec.structs import replace as with_fields
from prometheus_client import CollectorRegistry

from bus.clock import Clock, SimulatedClock
from bus.columns import Reports, pack_cov
from bus.memory import MemoryBus
from bus.messages import Alert, PictureFrame, TrackDropped, decode, encode, reports_of, system_tracks_of
from bus.metrics import WORKS, Budgets, Metrics
from bus.release import EVERYONE, NATIONS, Nation
from bus.topics import feed_events, feed_tracks, parse_topic, picture_alerts, picture_tracks
from bus.transport import Delivery
from fusion.engine import FusionEngine, Inbound
from fusion.service import FusionWorker
from fusion.settings import FusionSettings, Shedding, WorkerSettings
from tests.fusion.scenes import JPN, KOR, START_NS, S, Scene, frame_of, one
from tests.standing import StandingClock

COST_MS: Final = 8
MS: Final = 1_000_000
STALL_S: Final = (40.0, 60.0)  # what is sent between these arrives at the later one, all at once
END_S: Final = 100.0


def slow(nation: Nation, t_s: float, east_m: float) -> Inbound:
    """A report of what is too slow to be alerted."""
    inbound = one(nation, t_s, east_m=east_m, eye=KOR if nation == "kor" else JPN)
    block, _ = reports_of(inbound.message)  # type: ignore[arg-type]
    state = np.array(block.state)
    state[:, 3:] *= 0.2
    fields = {name: getattr(block, name) for name in Reports.COLUMNS} | {"state": state}
    return Inbound(frame_of(Reports(**fields), nation, inbound.message.released_ns), NATIONS)


def test_upkeep_that_no_alert_needs_is_put_off_and_counted_and_done_later() -> None:
    """Two feeds' tracks of one slow object that were apart at first, so that only a look can join them."""
    engine = FusionEngine()
    for t_s, apart_m in ((80.0, 3e4), (86.0, 0.0)):
        for nation, east_m in (("jpn", apart_m), ("kor", 0.0)):
            now_ns = START_NS + int(t_s * S)
            assert engine.step([slow(nation, t_s, east_m)], now_ns) == []  # type: ignore[arg-type]
            assert engine.catch_up(now_ns, shed=True) == []
    assert engine.shed == {"looks": 4, "impacts": 2}
    assert engine.system_tracks["jpn"] == 2
    engine.step((), now_ns)
    engine.catch_up(now_ns)
    assert engine.system_tracks["jpn"] == 1
    assert engine.shed == {"looks": 4, "impacts": 2}


def test_a_look_that_may_confirm_an_alert_is_taken_at_once() -> None:
    engine = FusionEngine()
    states: list[str] = []
    for t_s, apart_m in ((80.0, 3e4), (86.0, 0.0), (88.0, 0.0)):
        for nation, eye, east_m in (("kor", KOR, 0.0), ("jpn", JPN, apart_m)):
            now_ns = START_NS + int(t_s * S)
            engine.step([one(nation, t_s, east_m=east_m, eye=eye)], now_ns)  # type: ignore[arg-type]
            states += [alert.state for alert in engine.catch_up(now_ns, shed=True)]
    assert {"confirmed", "retracted"} <= set(states)
    assert engine.shed["looks"] == 0


def poor(inbound: Inbound, quality: int) -> Inbound:
    """A report of a quality that is reason enough for an alert, or is not."""
    block, _ = reports_of(inbound.message)  # type: ignore[arg-type]
    fields = {name: getattr(block, name) for name in Reports.COLUMNS} | {"quality": np.full(len(block), quality, np.uint8)}
    return Inbound(frame_of(Reports(**fields), inbound.message.nation, inbound.message.released_ns), NATIONS)


def place_alone(inbound: Inbound) -> Inbound:
    """A report that tells of no velocity."""
    block, _ = reports_of(inbound.message)  # type: ignore[arg-type]
    state = block.state.copy()
    state[:, 3:] = 0.0
    cov = pack_cov(np.diag(np.repeat([100.0**2, 6000.0**2], 3))[None])
    fields = {name: getattr(block, name) for name in Reports.COLUMNS} | {"state": state, "cov": cov}
    return Inbound(frame_of(Reports(**fields), inbound.message.nation, inbound.message.released_ns), NATIONS)


@pytest.mark.parametrize("shed", [False, True])
def test_a_look_that_may_raise_a_first_alert_is_taken_at_once(shed: bool) -> None:
    """One feed is poor, the other is good and tells places alone: neither is warned of, both together are."""
    engine, first = FusionEngine(), dict[str, float]()
    for t_s in range(80, 100):
        now_ns = START_NS + t_s * S
        for east_m in (0.0, 400.0):
            track = 1 + int(east_m > 0.0)
            fast = poor(one("jpn", t_s, track=track, east_m=east_m, eye=JPN), 3)
            for inbound in (fast, place_alone(one("kor", t_s, track=track, east_m=east_m))):
                alerts = engine.step([inbound], now_ns) + engine.catch_up(now_ns, shed=shed)
                first.update({alert.state: t_s for alert in alerts if alert.state not in first})
        engine.step((), now_ns)
        engine.catch_up(now_ns, shed=shed)
    assert first["confirmed"] <= 90
    assert engine.system_tracks["jpn"] == 2
    assert engine.shed["looks"] == 0


def test_alerts_are_the_same_at_the_same_times_though_all_picture_work_is_shed() -> None:
    """But for impacts told again: predictions are made at other instants, and one may be news some seconds sooner or later."""
    told: list[list[tuple[int, str, str, str]]] = []
    again: list[int] = []
    for shed in (False, True):
        engine, tick_ns, alerts = FusionEngine(), START_NS, list[tuple[int, str, str, str]]()
        for at_ns, inbound in Scene(6).messages():
            while tick_ns < at_ns:
                found = engine.step((), tick_ns) + engine.catch_up(tick_ns, shed=shed)
                alerts += [(tick_ns, alert.id, alert.state, alert.reason) for alert in found]
                tick_ns += S // 2
            found = engine.step([inbound], at_ns) + engine.catch_up(at_ns, shed=shed)
            alerts += [(at_ns, alert.id, alert.state, alert.reason) for alert in found]
        told.append([alert for alert in alerts if not alert[3].startswith("impact prediction ")])
        again.append(len(alerts) - len(told[-1]))
        assert (engine.shed["impacts"] > 0) == shed
    assert len(told[0]) > 60
    assert told[1] == told[0]
    assert again[0] > 0
    assert abs(again[1] - again[0]) <= 0.3 * again[0]


def test_what_a_drawing_left_comes_with_the_next_in_its_newest_state() -> None:
    often, once = FusionEngine(), FusionEngine()
    held: dict[int, bytes] = {}
    for at_ns, inbound in Scene(4).messages():
        for engine in (often, once):
            engine.step([inbound], at_ns)
            engine.catch_up(at_ns)
        show(held, often.draw(at_ns))
    late: dict[int, bytes] = {}
    show(late, once.draw(at_ns))
    assert late == held
    assert not once.undrawn


def show(held: dict[int, bytes], frames: Iterable[PictureFrame]) -> None:
    """What one recipient makes of frames: the rows of its system tracks."""
    for frame in frames:
        if frame.recipient == NATIONS[0]:
            block, _ = system_tracks_of(frame)
            for i, number in enumerate(block.system.tolist()):
                held[number] = b"".join(getattr(block, name)[i].tobytes() for name in SAME)
            for number in frame.dropped:
                held.pop(number, None)


SAME: Final = ("valid_ns", "state", "cov", "phase", "quality", "phenomenology", "pedigree", "members")


@dataclass
class Run:
    """What came of a scene: alerts in order with the wall time of their leaving, the picture, and what was counted."""

    alerts: list[tuple[int, Alert]] = field(default_factory=list)
    picture: dict[int, bytes] = field(default_factory=dict)
    frames: int = 0
    shed: dict[str, float] = field(default_factory=dict)
    burst_ns: int = 0  # when the last message of the burst had been worked off


def started(bus: MemoryBus, clock: Clock, metrics: Metrics, settings: WorkerSettings) -> FusionWorker:
    """A worker on the bus."""
    worker = FusionWorker(bus.transport, metrics, settings, FusionSettings())
    worker.party.clock = clock
    for link in (worker.party.bulk, worker.party.urgent):
        link.connect_nowait()  # type: ignore[attr-defined]
    return worker


def run(scene: Scene, budgets: Budgets, *, stalls: bool) -> Run:
    """A worker takes the messages of a scene, a tick every half second, and a while after the last."""
    bus, machine, told, registry = MemoryBus(), StandingClock(START_NS), Run(), CollectorRegistry()
    worker = started(bus, machine, Metrics(registry, budgets), WorkerSettings(picture_ms=0.0))

    def take_alert(delivery: Delivery) -> None:
        if delivery.payload:
            told.alerts.append((machine.at_ns, decode(parse_topic(delivery.topic), delivery.payload)))  # type: ignore[arg-type]

    def take_picture(delivery: Delivery) -> None:
        machine.at_ns += COST_MS * MS
        told.frames += 1
        show(told.picture, [decode(parse_topic(delivery.topic), delivery.payload)])  # type: ignore[list-item]

    world = bus.transport("world")
    world.connect_nowait()
    for nation in NATIONS:
        world.subscribe(picture_alerts(nation), take_alert, qos=1)
        world.subscribe(picture_tracks(nation), take_picture)
    begun, ended = (START_NS + int(at_s * S) for at_s in STALL_S)
    tick_ns, seq = START_NS, 0
    for sent_ns, inbound in itertools.takewhile(lambda message: message[0] < START_NS + END_S * S, scene.messages()):
        due_ns = ended if stalls and begun <= sent_ns < ended else sent_ns
        while tick_ns < due_ns:
            machine.at_ns = max(machine.at_ns, tick_ns)
            worker.tick()
            tick_ns += S // 2
        machine.at_ns, seq = max(machine.at_ns, due_ns), seq + 1
        message = with_fields(inbound.message, seq=seq, sent_ns=sent_ns)
        topic = (feed_events if isinstance(message, TrackDropped) else feed_tracks)(message.nation, EVERYONE)
        world.publish(topic, encode(message), qos=1)
        if due_ns == ended:
            told.burst_ns = machine.at_ns
    while tick_ns < START_NS + (END_S + 5.0) * S:
        machine.at_ns = max(machine.at_ns, tick_ns)
        worker.tick()
        tick_ns += S // 2
    told.shed = {work: registry.get_sample_value("triwarn_shed_total", {"work": work}) or 0.0 for work in WORKS}
    return told


def left(run: Run) -> dict[tuple[str, str], int]:
    """When each alert first left in each state, wall ns."""
    first: dict[tuple[str, str], int] = {}
    for at_ns, alert in run.alerts:
        first.setdefault((alert.id, alert.state), at_ns)
    return first


def test_a_burst_sheds_pictures_and_delays_no_alert_and_loses_nothing(caplog: pytest.LogCaptureFixture) -> None:
    scene = Scene(8)
    calm = run(scene, Budgets(), stalls=False)
    never = run(scene, Budgets(transit_ms=60_000.0, fuse_ms=60_000.0), stalls=True)
    with caplog.at_level(logging.WARNING, "fusion.service"):
        shedding = run(scene, Budgets(), stalls=True)
    assert calm.shed == never.shed == dict.fromkeys(WORKS, 0.0)
    assert shedding.shed["pictures"] > 10
    assert [record.message for record in caplog.records] == ["late: shedding picture work", "in time again: no work is shed"]
    assert shedding.frames < never.frames
    assert shedding.burst_ns < never.burst_ns
    with_it, without = left(shedding), left(never)
    launched = {
        key for key, at_ns in left(calm).items() if key[1] == "quick" and STALL_S[0] <= (at_ns - START_NS) / S < STALL_S[1]
    }
    assert len(launched) >= 3 * len(NATIONS)
    assert launched <= set(with_it) == set(without)
    assert all(with_it[key] <= without[key] for key in without)
    assert sum(with_it[key] < without[key] for key in launched) >= 2 * len(NATIONS)
    assert shedding.picture == never.picture == calm.picture
    assert shedding.picture


async def test_gathered_pictures_wait_while_work_is_shed_and_leave_when_it_is_over() -> None:
    bus, machine, registry, frames = MemoryBus(), StandingClock(START_NS), CollectorRegistry(), list[Delivery]()
    settings = WorkerSettings(picture_ms=1.0, shedding=Shedding(late_in_a_row=1, calm_s=2.0, picture_ms=5000.0))
    worker = started(bus, machine, Metrics(registry, Budgets()), settings)
    world = bus.transport("world")
    world.connect_nowait()
    world.subscribe(picture_tracks("jpn"), frames.append)
    seen: list[int] = []
    for t_s in (50, 51, 52):
        machine.at_ns = START_NS + t_s * S
        message = with_fields(one("kor", float(t_s)).message, seq=t_s, sent_ns=machine.at_ns - S)
        world.publish(feed_tracks("kor", EVERYONE), encode(message))
        await asyncio.sleep(0.05)
        seen.append(len(frames))
    assert seen == [1, 1, 1]  # the first had waited for nothing
    assert registry.get_sample_value("triwarn_shedding") == 1.0
    assert registry.get_sample_value("triwarn_shed_total", {"work": "pictures"}) == 2.0
    machine.at_ns += 2 * S
    worker.tick()
    await asyncio.sleep(0.05)
    assert registry.get_sample_value("triwarn_shedding") == 0.0
    told = decode(parse_topic(frames[-1].topic), frames[-1].payload)
    block, _ = system_tracks_of(told)  # type: ignore[arg-type]
    assert (len(frames), block.valid_ns.tolist()) == (2, [START_NS + 52 * S])


def test_nothing_is_shed_on_a_simulated_clock_however_much_comes_at_once() -> None:
    bus, registry, clock = MemoryBus(), CollectorRegistry(), SimulatedClock(START_NS)
    budgets = Budgets(transit_ms=1e-6, fuse_ms=1e-6)
    settings = WorkerSettings(picture_ms=0.0, shedding=Shedding(late_in_a_row=1))
    worker = started(bus, clock, Metrics(registry, budgets), settings)
    world = bus.transport("world")
    world.connect_nowait()
    for t_s in range(50, 70):
        clock.advance_to(START_NS + t_s * S)
        world.publish(feed_tracks("kor", EVERYONE), encode(with_fields(one("kor", float(t_s)).message, seq=t_s)))
        worker.tick()
    assert worker.party.received["tracks"] == 20
    assert registry.get_sample_value("triwarn_shedding") == 0.0
    assert all(registry.get_sample_value("triwarn_shed_total", {"work": work}) == 0.0 for work in WORKS)
