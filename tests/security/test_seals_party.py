"""Parties with seals: nothing leaves unsealed, nothing enters that is not authentic, what is forged costs nothing valid."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest
from prometheus_client import CollectorRegistry

from bench.audit import judge
from bench.live import Watch
from bench.tap import as_line
from bus.audit import audited
from bus.broker import EmbeddedBroker
from bus.memory import MemoryBus, MemoryTransport
from bus.messages import AnyMessage, encode
from bus.metrics import Budgets, Metrics
from bus.mosquitto import MOSQUITTO, NO_MOSQUITTO, MosquittoBroker
from bus.mqtt import MqttTransport
from bus.party import Party
from bus.seals import Seals, SecurityEvent
from bus.topics import ALL_FEED_EVENTS, ALL_FEED_TRACKS, ALL_STATUS, EVERYTHING, Address, Role
from bus.transport import Delivery, Will
from tests.bus.rigs import until
from tests.security.parties import ALERT, BORN, DROPPED, EVENTS, FRAME, STATUS, TRACKS, WARNING, numbered, sealed, seals

REASONS: Final = ("unsealed", "unknown_key", "forged", "relabelled", "expired", "replayed", "attribution")


def party(bus: MemoryBus, role: Role, name: str, session: int = 7) -> Party:
    metrics = Metrics(CollectorRegistry(), Budgets())
    return Party(role, name, bus.transport, metrics, session=session, seals=seals(f"{role}.{name}"))


def counted(whose: Party, metric: str, reason: str) -> float:
    return whose.metrics.registry.get_sample_value(f"triwarn_{metric}_total", {"reason": reason}) or 0.0


async def connected(bus: MemoryBus, name: str) -> MemoryTransport:
    transport = bus.transport(name)
    await transport.start()
    return transport


def keep(into: list[AnyMessage]) -> Callable[[Address, AnyMessage, Delivery], None]:
    return lambda address, message, delivery: into.append(message)


async def test_every_forgery_is_dropped_and_counted_and_no_valid_message_is_lost() -> None:
    bus, taken, events = MemoryBus(), list[AnyMessage](), list[SecurityEvent]()
    worker, feed = party(bus, "fusion", "fusion-1"), party(bus, "feed", "jpn")
    worker.listen(worker.urgent, ALL_FEED_EVENTS, keep(taken), qos=1)
    assert worker.seals is not None
    worker.seals.on_event(events.append)
    await worker.start()
    await feed.start()
    seen = list[bytes]()
    attacker, wiretap = await connected(bus, "attacker"), await connected(bus, "wiretap")
    wiretap.subscribe(ALL_FEED_EVENTS, lambda delivery: seen.append(delivery.payload))
    kor, operator = seals("feed.kor"), seals("operator.jpn")

    def said(by: Seals, sent_ns: int) -> bytes:
        return by.seal(EVENTS, encode(numbered(DROPPED, 2**40, sent_ns)), time.time_ns())

    forge: list[Callable[[bytes], tuple[str, bytes]]] = [
        lambda genuine: (EVENTS, genuine),
        lambda genuine: (EVENTS, genuine[:-1]),
        lambda genuine: (EVENTS, genuine[:30] + bytes([genuine[30] ^ 1]) + genuine[31:]),
        lambda genuine: (EVENTS, b"\xc1"),
        lambda genuine: (EVENTS.replace("jpn-kor-usa", "jpn-kor"), genuine),
        lambda genuine: (EVENTS, encode(numbered(DROPPED, 2**40, time.time_ns()))),
        lambda genuine: (EVENTS, said(kor, time.time_ns())),
        lambda genuine: (EVENTS, said(operator, time.time_ns())),
        lambda genuine: (EVENTS, said(seals("feed.jpn"), 1)),
    ]
    for _ in range(20):
        feed.publish(feed.urgent, EVENTS, DROPPED, kind="events", qos=1)
        genuine = seen[0]
        for each in forge:
            attacker.publish(*each(genuine), qos=1)
        seen.clear()
    assert [message.seq for message in taken] == list(range(1, 21))
    assert (worker.incoming.gaps, worker.incoming.duplicates) == (0, 0)
    assert sum(counted(worker, "security_events", reason) for reason in REASONS) == len(events) == 20 * len(forge)
    assert all(counted(worker, "security_events", reason) == counted(worker, "rejected", reason) for reason in REASONS)
    await feed.stop()
    await worker.stop()


async def test_what_is_handed_on_and_recorded_is_the_message_without_its_seal() -> None:
    bus, payloads = MemoryBus(), list[bytes]()
    worker, feed = party(bus, "fusion", "fusion-1"), party(bus, "feed", "jpn")
    worker.listen(worker.urgent, ALL_FEED_EVENTS, lambda address, message, delivery: payloads.append(delivery.message), qos=1)
    await worker.start()
    await feed.start()
    feed.publish(feed.urgent, EVENTS, DROPPED, kind="events", qos=1)
    assert payloads[0][0] != 0xC1
    assert feed.seals is not None
    assert bus.retained[STATUS][0] == 0xC1
    await feed.stop()
    await worker.stop()


async def test_births_and_deaths_are_sealed_and_a_death_may_come_again_after_the_next_birth() -> None:
    bus, states = MemoryBus(), list[str]()
    feed, receiver = party(bus, "feed", "jpn"), party(bus, "receiver", "jpn")
    receiver.listen(receiver.urgent, ALL_STATUS, lambda _, message, __: states.append(getattr(message, "state", "")), qos=1)
    await receiver.start()
    states.clear()
    await feed.start()
    assert isinstance(feed.urgent, MemoryTransport)
    for _ in range(2):
        feed.urgent.cut()
        feed.urgent.restore()
    assert states == ["starting", "offline", "starting", "offline", "starting"]
    assert counted(receiver, "security_events", "replayed") == 0
    await feed.stop()
    await receiver.stop()


async def test_an_unsealed_party_hears_of_each_lost_link_too() -> None:
    """A last will has no number: the second death was taken for a duplicate of the first."""
    bus, states = MemoryBus(), list[str]()
    feed = Party("feed", "jpn", bus.transport, Metrics(CollectorRegistry(), Budgets()))
    receiver = Party("receiver", "jpn", bus.transport, Metrics(CollectorRegistry(), Budgets()))
    receiver.listen(receiver.urgent, STATUS, lambda _, message, __: states.append(getattr(message, "state", "")), qos=1)
    await receiver.start()
    await feed.start()
    assert isinstance(feed.urgent, MemoryTransport)
    for _ in range(2):
        feed.urgent.cut()
        feed.urgent.restore()
    assert states == ["starting", "offline", "starting", "offline", "starting"]
    await feed.stop()
    await receiver.stop()


async def test_what_stands_is_said_again_with_a_new_number_and_time() -> None:
    bus, calls = MemoryBus(), list[bool]()
    feed = party(bus, "feed", "jpn")
    feed.on_repeat(lambda: calls.append(True))
    await feed.start()
    before = bus.retained[STATUS]
    feed.repeat()
    conductor = seals("conductor")
    first, second = (conductor.read(Delivery(STATUS, each), time.time_ns()).message for each in (before, bus.retained[STATUS]))
    assert (first.seq, second.seq, calls) == (1, 2, [True])
    await feed.stop()


async def test_what_stands_and_is_said_again_is_counted_as_a_duplicate_and_as_nothing_else() -> None:
    bus, taken = MemoryBus(), list[AnyMessage]()
    receiver, broker = party(bus, "receiver", "kor"), await connected(bus, "broker")
    receiver.listen(receiver.urgent, STATUS, keep(taken), qos=1)
    await receiver.start()
    said = sealed(seals("feed.jpn"), STATUS, numbered(BORN, 1, time.time_ns()))
    for _ in range(3):
        broker.publish(STATUS, said, qos=1)
    assert len(taken) == 1
    assert receiver.metrics.registry.get_sample_value("triwarn_duplicates_total", {"stream": "feed jpn status"}) == 2
    assert counted(receiver, "security_events", "replayed") == counted(receiver, "rejected", "replayed") == 0
    await receiver.stop()


@pytest.fixture(params=["embedded", pytest.param("mosquitto", marks=pytest.mark.mosquitto)])
def broker(request: pytest.FixtureRequest) -> Iterator[EmbeddedBroker | MosquittoBroker]:
    if request.param == "mosquitto" and MOSQUITTO is None:
        pytest.skip(NO_MOSQUITTO)
    with MosquittoBroker() if request.param == "mosquitto" else EmbeddedBroker() as running:
        yield running


async def test_over_a_real_broker_one_that_says_everything_again_costs_nothing(broker: EmbeddedBroker | MosquittoBroker) -> None:
    """An attacker hears all and says it again, as it was, with a bit flipped, and under another release."""

    def make(client_id: str, will: Will | None) -> MqttTransport:
        return MqttTransport(broker.url, client_id=client_id, will=will)

    def on_the_bus(role: Role, name: str) -> Party:
        return Party(role, name, make, Metrics(CollectorRegistry(), Budgets()), seals=seals(f"{role}.{name}"))

    attacker, taken, said = make("attacker", None), list[AnyMessage](), set[bytes]()

    def say_again(delivery: Delivery) -> None:
        if delivery.payload not in said:
            payload = delivery.payload
            broken = payload[:50] + bytes([payload[50] ^ 1]) + payload[51:]
            said.update((payload, broken))
            other = delivery.topic.replace("jpn-kor-usa", "jpn-kor")
            for topic, each in ((delivery.topic, payload), (delivery.topic, broken), (other, payload)):
                attacker.publish(topic, each, qos=1)

    attacker.subscribe(EVERYTHING, say_again, qos=1)
    await attacker.start()
    worker, feed = on_the_bus("fusion", "fusion-1"), on_the_bus("feed", "jpn")
    worker.listen(worker.urgent, ALL_FEED_EVENTS, keep(taken), qos=1)
    worker.listen(worker.urgent, ALL_FEED_TRACKS, keep(taken))
    await worker.start()
    await feed.start()
    for _ in range(50):
        feed.publish(feed.urgent, EVENTS, DROPPED, kind="events", qos=1)
        feed.publish(feed.bulk, TRACKS, FRAME, kind="tracks")
    await until(lambda: len(taken) >= 100 and sum(counted(worker, "security_events", reason) for reason in REASONS) >= 300)
    assert sorted(message.seq for message in taken) == sorted([*range(1, 51)] * 2)
    assert {reason for reason in REASONS if counted(worker, "security_events", reason)} == {"forged", "relabelled", "replayed"}
    assert (worker.incoming.gaps, worker.urgent.stats.handler_errors) == (0, 0)
    for each in (feed, worker):
        await each.stop()
    await attacker.stop()


def test_the_conductor_counts_nothing_that_is_forged_and_clears_what_cannot_be_believed() -> None:
    watch = Watch({("feed", "jpn")}, seals=seals("conductor"))
    now_ns = time.time_ns()
    watch.take(Delivery(STATUS, encode(numbered(BORN, 1, now_ns)), 1))
    watch.take(Delivery(ALERT, encode(numbered(WARNING, 1, now_ns)), 1, retained=True))
    assert watch.missing() == ["feed jpn"]
    assert (watch.alerts, watch.standing) == ({}, {ALERT})
    watch.take(Delivery(STATUS, sealed(seals("feed.jpn"), STATUS, numbered(BORN, 1, now_ns)), 1))
    assert watch.missing() == []


def test_the_conductor_logs_what_it_refuses(tmp_path: Path) -> None:
    with audited(str(tmp_path), "conductor") as audit:
        watch, now_ns = Watch({("feed", "jpn")}, seals=seals("conductor"), audit=audit), time.time_ns()
        genuine, newer = (sealed(seals("feed.jpn"), STATUS, numbered(BORN, seq, now_ns)) for seq in (1, 2))
        for delivery in (
            Delivery(STATUS, encode(numbered(BORN, 1, now_ns)), 1),
            Delivery(ALERT, encode(numbered(WARNING, 1, now_ns)), 1, retained=True),
            Delivery(STATUS, genuine, 1),
            Delivery(STATUS, newer, 1),
            Delivery(STATUS, newer, 1),
            Delivery(STATUS, genuine, 1),
            Delivery(STATUS, genuine, 1),
            Delivery("mw/v1/nothing", b"x", 1),
            Delivery(STATUS, b"", 1),
        ):
            watch.take(delivery)
    (path,) = tmp_path.iterdir()
    entries = [json.loads(line[65:]) for line in path.read_bytes().splitlines()]
    assert [each["kind"] for each in entries] == ["begin", *["rejection"] * 4, "end"]
    assert [tuple(each["facts"].values()) for each in entries[1:-1]] == [
        ("replayed", STATUS, 2),
        ("topic", "mw/v1/nothing", 1),
        ("unsealed", STATUS, 1),
        ("unsealed", ALERT, 1),
    ]
    assert (path.name, judge([tmp_path]).sound) == ("conductor.000001.audit", True)


def test_tap_shows_sealed_messages_and_says_what_is_not_authentic() -> None:
    conductor, now_ns = seals("conductor"), time.time_ns()
    payload, newer = (sealed(seals("feed.jpn"), STATUS, numbered(BORN, seq, now_ns)) for seq in (1, 2))
    for each in (payload, newer):
        assert as_line(Delivery(STATUS, each), conductor).endswith("feed jpn is ready")
    assert "REJECTED replayed" in as_line(Delivery(STATUS, payload), conductor)
    assert "REJECTED unsealed" in as_line(Delivery(STATUS, encode(BORN)), conductor)


@pytest.mark.parametrize("sealing", [True, False])
async def test_a_party_without_seals_and_one_with_them_take_nothing_of_each_other(sealing: bool) -> None:
    bus, taken = MemoryBus(), list[AnyMessage]()
    plain = Party("feed", "jpn", bus.transport, Metrics(CollectorRegistry(), Budgets()))
    speaking = party(bus, "feed", "jpn") if sealing else plain
    listening = (
        Party("fusion", "fusion-1", bus.transport, Metrics(CollectorRegistry(), Budgets()))
        if sealing
        else party(bus, "fusion", "fusion-1")
    )
    listening.listen(listening.urgent, ALL_FEED_EVENTS, keep(taken), qos=1)
    await listening.start()
    await speaking.start()
    speaking.publish(speaking.urgent, EVENTS, DROPPED, kind="events", qos=1)
    assert taken == []
    assert counted(listening, "rejected", "malformed" if sealing else "unsealed") == 1
    await speaking.stop()
    await listening.stop()
