"""What the MQTT 5 client does that no well-behaved broker would show."""

from __future__ import annotations

import asyncio
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path

import mqtt5
import pytest
import uvloop

from bus.credentials import load_credentials
from bus.errors import Refused, Unreachable
from bus.link import LinkSettings
from bus.mosquitto import ANONYMOUS, MOSQUITTO, NO_MOSQUITTO, MosquittoBroker, SecuredMosquitto
from bus.mqtt import MqttTransport
from bus.security import CONDUCTOR
from bus.transport import Delivery, LinkState, Will
from tests.bus.fake_broker import FakeBroker, Session
from tests.bus.gate import Gate
from tests.bus.rigs import QUICK, Inbox, until


def message(payload: bytes, number: int = 1, **options: object) -> mqtt5.PublishPacket:
    return mqtt5.PublishPacket("t", payload, subscription_ids=[number], **options)  # type: ignore[arg-type]


async def idle(session: Session) -> None:
    """Answer pings until the client leaves."""
    while not isinstance(await session.next(), mqtt5.DisconnectPacket):
        session.send(mqtt5.PingRespPacket())


async def serve(session: Session) -> None:
    await session.greet()
    await session.grant()
    session.send(message(b"fine"))
    await idle(session)


BROKEN = {
    "no packet type": b"\x00\x00",
    "a length without end": b"\x30\xff\xff\xff\xff\x01",
    "a length that lies": b"\x30\x04\x00\x10ab",
    "larger than we take": b"\x30\xff\xff\xff\x7f",
    "a topic that is not UTF-8": b"\x30\x05\x00\x02\xc1\xc1\x00",
    "a packet only clients send": mqtt5.PingReqPacket().write(),
}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # what the codec's panic leaves behind
@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN.keys())
async def test_a_malformed_packet_costs_the_connection_and_not_what_came_before(broken: bytes) -> None:
    async def misbehave(session: Session) -> None:
        await session.greet()
        await session.grant()
        session.send(message(b"before"), broken)
        await session.next()

    async with FakeBroker(misbehave, serve) as broker:
        inbox, states = Inbox(), list[LinkState]()
        client = MqttTransport(broker.url, client_id="c", settings=QUICK)
        client.subscribe("t", inbox, 1)
        client.on_link(states.append)
        await client.start()
        await inbox.count(2)
        assert inbox.payloads == [b"before", b"fine"]
        assert (client.stats.malformed, client.stats.reconnects) == (1, 1)
        assert states == ["connected", "lost", "connected"]
        await client.stop()


async def test_packets_are_put_together_from_single_bytes() -> None:
    async def drip(session: Session) -> None:
        await session.greet()
        await session.grant()
        for byte in message(b"slow").write() + message(bytes(300), qos=mqtt5.QoS.AT_LEAST_ONCE, packet_id=7).write():
            session.send(bytes((byte,)))
            await session.writer.drain()
        assert (await session.next(mqtt5.PubAckPacket)).packet_id == 7
        await idle(session)

    async with FakeBroker(drip) as broker:
        inbox = Inbox()
        client = MqttTransport(broker.url, client_id="c", settings=QUICK)
        client.subscribe("t", inbox, 1)
        await client.start()
        assert [d.payload for d in await inbox.count(2)] == [b"slow", bytes(300)]
        await client.stop()


async def test_the_brokers_window_is_respected_and_ids_are_kept_on_resuming() -> None:
    first: list[tuple[int, bytes]] = []
    again: list[tuple[int, bytes, bool]] = []

    async def take_two_and_die(session: Session) -> None:
        await session.greet(receive_max=2)
        for _ in range(2):
            packet = await session.next(mqtt5.PublishPacket)
            first.append((packet.packet_id, packet.payload))
        session.send(mqtt5.PubAckPacket(first[0][0]))
        packet = await session.next(mqtt5.PublishPacket)
        first.append((packet.packet_id, packet.payload))
        with pytest.raises(TimeoutError):  # two are in flight: no third comes
            async with asyncio.timeout(0.2):
                await session.next(mqtt5.PublishPacket)

    async def resume(session: Session) -> None:
        hello = await session.greet(session_present=True, receive_max=10)
        assert not hello.clean_start
        for _ in range(4):
            packet = await session.next(mqtt5.PublishPacket)
            again.append((packet.packet_id, packet.payload, packet.duplicate))
            session.send(mqtt5.PubAckPacket(packet.packet_id))
        await idle(session)

    async with FakeBroker(take_two_and_die, resume) as broker:
        states: list[LinkState] = []
        client = MqttTransport(broker.url, client_id="c", settings=QUICK)
        client.on_link(states.append)
        await client.start()
        for i in range(5):
            client.publish("t", b"%d" % i, qos=1)
        await until(lambda: len(again) == 4)
        assert await client.flush()
        assert [payload for _, payload in first] == [b"0", b"1", b"2"]
        assert [(payload, duplicate) for _, payload, duplicate in again] == [
            (b"1", True),
            (b"2", True),
            (b"3", False),
            (b"4", False),
        ]
        assert [packet_id for packet_id, *_ in again[:2]] == [packet_id for packet_id, _ in first[1:]]
        assert len({packet_id for packet_id, *_ in again}) == 4
        assert states == ["connected", "lost", "resumed"]
        await client.stop()


async def test_a_resumed_session_is_subscribed_again_without_its_retained_messages() -> None:
    """A broker killed before it saved brings back a session that knows nothing of the latest subscriptions."""
    asked: list[tuple[str, bool, bool]] = []

    async def look(session: Session, *, resumed: bool) -> None:
        await session.greet(session_present=resumed)
        (wanted,) = (await session.grant()).topic_filters
        asked.append((wanted.pattern, resumed, wanted.retain_handling == mqtt5.RetainHandling.SEND_ALWAYS))

    async with FakeBroker(lambda s: look(s, resumed=False), lambda s: look(s, resumed=True), serve) as broker:
        inbox = Inbox()
        client = MqttTransport(broker.url, client_id="c", settings=QUICK)
        client.subscribe("t", inbox, 1)
        await client.start()
        await inbox.count(1)
        assert asked == [("t", False, True), ("t", True, False)]
        await client.stop()


async def test_a_session_left_by_an_earlier_run_is_not_taken_over() -> None:
    goodbyes: list[mqtt5.DisconnectPacket] = []

    async def has_one(session: Session) -> None:
        hello = await session.greet(session_present=True)
        assert not hello.clean_start
        session.send(message(b"of the earlier run"))
        goodbyes.append(await session.next(mqtt5.DisconnectPacket))

    async def begin(session: Session) -> None:
        hello = await session.greet()
        assert hello.clean_start
        await session.grant()
        session.send(message(b"new"))
        await idle(session)

    async with FakeBroker(has_one, begin) as broker:
        inbox = Inbox()
        client = MqttTransport(broker.url, client_id="c", settings=QUICK, will=Will("w", b"dead"))
        client.subscribe("t", inbox, 1)
        await client.start()
        assert [d.payload for d in await inbox.count(1)] == [b"new"]
        assert len(goodbyes) == 1  # a clean goodbye: no will for a run that never began
        await client.stop()


async def test_a_message_goes_to_every_subscription_that_the_broker_names() -> None:
    async def overlap(session: Session) -> None:
        await session.greet()
        for _ in range(2):
            await session.grant()
        session.send(mqtt5.PublishPacket("t", b"both", subscription_ids=[1, 2]))
        session.send(mqtt5.PublishPacket("t", b"none named"))
        session.send(mqtt5.PublishPacket("t", b"second", subscription_ids=[2]))
        await idle(session)

    async with FakeBroker(overlap) as broker:
        one, two = Inbox(), Inbox()
        client = MqttTransport(broker.url, client_id="c", settings=QUICK)
        client.subscribe("t", one)
        client.subscribe("#", two)
        await client.start()
        await two.count(3)
        assert (one.payloads, two.payloads) == ([b"both", b"none named"], [b"both", b"none named", b"second"])
        await client.stop()


async def test_qos1_is_acknowledged_after_its_handlers_ran() -> None:
    order: list[str] = []

    async def send(session: Session) -> None:
        await session.greet()
        await session.grant()
        session.send(message(b"x", qos=mqtt5.QoS.AT_LEAST_ONCE, packet_id=9, duplicate=True))
        await session.next(mqtt5.PubAckPacket)
        order.append("acknowledged")
        await idle(session)

    async with FakeBroker(send) as broker:
        inbox = Inbox()
        client = MqttTransport(broker.url, client_id="c", settings=QUICK)
        client.subscribe("t", lambda delivery: order.append("handled"), 1)
        client.subscribe("t", inbox, 1)
        await client.start()
        assert (await inbox.count(1))[0] == Delivery("t", b"x", 1, duplicate=True)
        await until(lambda: len(order) == 2)
        assert order == ["handled", "acknowledged"]
        await client.stop()


async def test_what_the_broker_will_not_take_is_counted_and_does_not_block_the_rest() -> None:
    async def small(session: Session) -> None:
        await session.greet(max_packet_size=200)
        packet = await session.next(mqtt5.PublishPacket)
        session.send(mqtt5.PubAckPacket(packet.packet_id, reason_code=mqtt5.PubAckReasonCode.NOT_AUTHORIZED))
        packet = await session.next(mqtt5.PublishPacket)
        session.send(mqtt5.PubAckPacket(packet.packet_id, reason_code=mqtt5.PubAckReasonCode.NO_MATCHING_SUBSCRIBERS))
        await idle(session)

    async with FakeBroker(small) as broker:
        client = MqttTransport(broker.url, client_id="c", settings=QUICK)
        await client.start()
        assert not client.publish("t", bytes(500))
        client.publish("t", bytes(500), qos=1)
        client.publish("t", b"forbidden", qos=1)
        client.publish("t", b"fine", qos=1)
        assert await client.flush()
        dropped = {reason: n for reason, n in client.stats.dropped.items() if n}
        assert dropped == {"oversized": 2, "refused": 1}
        await client.stop()


async def test_a_refused_subscription_fails_the_start() -> None:
    async def refuse(session: Session) -> None:
        await session.greet()
        asked = await session.next(mqtt5.SubscribePacket)
        session.send(mqtt5.SubAckPacket(asked.packet_id, [mqtt5.SubAckReasonCode.NOT_AUTHORIZED]))
        await idle(session)

    async with FakeBroker(refuse) as broker:
        client = MqttTransport(broker.url, client_id="c", settings=QUICK)
        client.subscribe("secret/#", print)
        with pytest.raises(Refused, match="secret/#"):
            await client.start()
        await client.stop()


async def test_something_that_is_no_mqtt5_broker_is_refused_or_unreachable() -> None:
    async def older(session: Session) -> None:
        await session.next()
        session.send(b"\x20\x02\x00\x01")  # CONNACK of MQTT 3.1.1: unacceptable protocol version
        await session.next()

    async def mute(session: Session) -> None:
        await session.next()
        await session.next()

    for script, kind in ((older, Refused), (mute, Unreachable)):
        async with FakeBroker(script) as broker:
            client = MqttTransport(broker.url, client_id="c", settings=LinkSettings(connect_timeout_s=0.3))
            with pytest.raises(kind):
                await client.start()
            await client.stop()


async def test_a_link_that_falls_silent_is_lost_after_the_keepalive_and_comes_back() -> None:
    async with FakeBroker(serve) as broker:
        gate = Gate(broker.port)
        await gate.open()
        inbox, states = Inbox(), list[LinkState]()
        client = MqttTransport(gate.url, client_id="c", settings=LinkSettings(keepalive_s=2, backoff_first_s=0.02))
        client.subscribe("t", inbox, 1)
        client.on_link(states.append)
        await client.start()
        await inbox.count(1)
        gate.stall()
        await until(lambda: "lost" in states, within_s=4.0)
        await gate.shut()
        await gate.open()
        await inbox.count(2)
        await client.stop()
        await gate.shut()


async def test_credentials_of_the_url_reach_the_broker() -> None:
    seen: list[tuple[str | None, bytes | None]] = []

    async def look(session: Session) -> None:
        hello = await session.greet()
        seen.append((hello.username, hello.password))
        await idle(session)

    async with FakeBroker(look) as broker:
        client = MqttTransport(broker.url.replace("//", "//feed-jpn:s%40crét@"), client_id="c", settings=QUICK)
        await client.start()
        await client.stop()
    assert seen == [("feed-jpn", "s@crét".encode())]


@pytest.mark.mosquitto
@pytest.mark.skipif(MOSQUITTO is None, reason=NO_MOSQUITTO)
@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_bursts_over_tls_arrive_whole_without_nagles_delay(loop: Callable[[], asyncio.AbstractEventLoop], keys: Path) -> None:
    """On the loop of the services too: the socket is set up through TLS, and its backpressure is felt.

    The publisher is behind a gate on the same loop, which reads nothing while it publishes, however quick the broker is.
    """
    pieces = [b"%d " % i + bytes(20_000) for i in range(900)]

    async def exchange(port: int) -> None:
        inbox, credentials, gate = Inbox(), load_credentials(keys, CONDUCTOR), Gate(port)
        await gate.open()
        ways = (("sub", port), ("pub", gate.port))
        subscriber, publisher = (
            MqttTransport(f"mqtts://127.0.0.1:{port}", client_id=name, credentials=credentials) for name, port in ways
        )
        subscriber.subscribe("t", inbox)
        await subscriber.start()
        await publisher.start()
        assert publisher._connection is not None
        assert publisher._connection._socket is not None
        assert publisher._connection._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
        with publisher.together():
            assert all(publisher.publish("t", piece) for piece in pieces)
        assert publisher.stats.queue_depth > 0  # 18 MB at once: what is over waits in the queue
        assert [delivery.payload for delivery in await inbox.count(len(pieces))] == pieces
        await publisher.stop()
        await subscriber.stop()
        await gate.shut()

    with SecuredMosquitto(keys, access=None) as broker, asyncio.Runner(loop_factory=loop) as runner:
        runner.run(exchange(broker.port))


@pytest.mark.mosquitto
@pytest.mark.skipif(MOSQUITTO is None, reason=NO_MOSQUITTO)
async def test_a_session_outlives_a_killed_broker_that_persists() -> None:
    """With persistence the session is back with the broker: the subscriber resumes, and hears."""
    with tempfile.TemporaryDirectory(prefix="triwarn-mosquitto-") as folder:
        Path(folder).chmod(0o777)  # noqa: ASYNC240  # nothing else runs yet. Started as root, Mosquitto becomes another user before it writes
        await _kill_and_resume(Path(folder))


async def _kill_and_resume(store: Path) -> None:
    durable = (
        *ANONYMOUS,
        "persistence true",
        f"persistence_location {store}/",
        "autosave_on_changes true",
        "autosave_interval 1",
    )
    with MosquittoBroker(durable) as broker:
        inbox, states = Inbox(), list[LinkState]()
        subscriber = MqttTransport(broker.url, client_id="sub", settings=QUICK)
        subscriber.subscribe("t", inbox, 1)
        subscriber.on_link(states.append)
        await subscriber.start()
        await until(lambda: (store / "mosquitto.db").exists())
        broker.kill()
        await until(lambda: not subscriber.connected)
        broker.start()
        await until(lambda: subscriber.connected)
        publisher = MqttTransport(broker.url, client_id="pub", settings=QUICK)
        await publisher.start()
        publisher.publish("t", b"x", qos=1)
        await inbox.count(1)
        assert states == ["connected", "lost", "resumed"]
        await publisher.stop()
        await subscriber.stop()
