"""Single processes and the broker that they wait for at their start."""

from __future__ import annotations

import asyncio
import time

import mqtt5
import pytest
from prometheus_client import CollectorRegistry

from bench import single
from bench.receiver import ReceiverService
from bus.broker import free_port
from bus.errors import Refused, Unreachable
from bus.metrics import Budgets, Metrics
from bus.mqtt import MqttTransport
from bus.transport import Transport, Will
from tests.bus.fake_broker import FakeBroker, Session
from tests.bus.rigs import QUICK


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(single, "_TRY_AGAIN_S", 0.01)


async def dies_as_it_is_greeted(session: Session) -> None:
    await session.next(mqtt5.ConnectPacket)


async def dies_as_it_is_subscribed_to(session: Session) -> None:
    await session.greet()
    await session.next(mqtt5.SubscribePacket)


async def says_no(session: Session) -> None:
    await session.next(mqtt5.ConnectPacket)
    session.send(mqtt5.ConnAckPacket(reason_code=mqtt5.ConnAckReasonCode.NOT_AUTHORIZED))


async def lives(session: Session) -> None:
    await session.greet()
    while (packet := await session.next()) is not None:
        if isinstance(packet, mqtt5.SubscribePacket):
            session.send(mqtt5.SubAckPacket(packet.packet_id, [mqtt5.SubAckReasonCode.GRANTED_QOS_AT_LEAST_ONCE]))
        elif isinstance(packet, mqtt5.PublishPacket) and packet.packet_id is not None:
            session.send(mqtt5.PubAckPacket(packet.packet_id))
        elif isinstance(packet, mqtt5.DisconnectPacket):
            return


def link(url: str) -> MqttTransport:
    made = MqttTransport(url, client_id="receiver", settings=QUICK)
    made.subscribe("t", print, 1)
    return made


async def test_a_broker_that_goes_before_the_first_session_is_waited_for() -> None:
    async with FakeBroker(dies_as_it_is_greeted, dies_as_it_is_subscribed_to, dies_as_it_is_greeted, lives) as broker:
        waiting = link(broker.url)
        await single._begun(waiting, asyncio.Event(), wait_s=0.0)
        assert (broker.connections, waiting.connected) == (4, True)
        await waiting.stop()


async def test_a_broker_that_goes_between_a_partys_two_links_is_waited_for_and_the_end_of_that_is_told_as_ever() -> None:
    other = free_port()
    async with FakeBroker(lives) as broker:

        def make(client_id: str, will: Will | None) -> Transport:
            url = broker.url if will is None else f"mqtt://127.0.0.1:{other}"
            return MqttTransport(url, client_id=client_id, will=will, settings=QUICK)

        service = ReceiverService(make, Metrics(CollectorRegistry(), Budgets()), "kor")
        service.party.begin = lambda link: single._begun(link, asyncio.Event(), 0.05)
        begun_s = time.monotonic()
        with pytest.raises(Unreachable, match=rf"^no broker at 127\.0\.0\.1:{other} in 0\.05 s: Conn"):
            await service.run(asyncio.Event())
        assert time.monotonic() - begun_s > 0.05
        assert service.party.bulk.connected
        for each in service.party.links.values():
            await each.stop()


async def test_a_broker_that_says_no_is_not_waited_for() -> None:
    async with FakeBroker(says_no) as broker:
        with pytest.raises(Refused, match="not authorized"):
            await single._begun(link(broker.url), asyncio.Event(), wait_s=0.0)
        assert broker.connections == 2  # one that dies may say nothing either


async def test_who_is_stopped_while_there_is_no_broker_stops() -> None:
    stopping = asyncio.Event()
    stopping.set()
    with pytest.raises(single._Stopped):
        await single._begun(link(f"mqtt://127.0.0.1:{free_port()}"), stopping, wait_s=0.0)
