"""The contract of `bus.transport`, held to by every adapter on every broker."""

from __future__ import annotations

import asyncio

import pytest

from bus.broker import free_port
from bus.errors import Refused, Unreachable
from bus.link import LinkSettings
from bus.mosquitto import CLOSED, MOSQUITTO, NO_MOSQUITTO, MosquittoBroker
from bus.transport import Delivery, LinkState, QoS, Transport, Will
from tests.bus.rigs import ADAPTERS, QUICK, BrokerRig, Inbox, Rig, until


async def pair(rig: Rig, topic_filter: str, qos: QoS = 1) -> tuple[Transport, Transport, Inbox]:
    """A publisher, a subscriber, and what the subscriber got."""
    inbox = Inbox()
    subscriber = rig.make("sub")
    subscriber.subscribe(rig.topic(topic_filter), inbox, qos)
    await subscriber.start()
    return await rig.started("pub"), subscriber, inbox


async def paced(publisher: Transport, inbox: Inbox, topics: list[str], n: int, qos: QoS) -> None:
    """Publish n numbered messages over the topics in turn, at most 200 ahead of their arrival."""
    for i in range(n):
        assert publisher.publish(topics[i % len(topics)], b"%d" % i, qos=qos)
        if i % 200 == 199:
            await inbox.count(i - 100)
    await inbox.count(n)


@pytest.mark.parametrize("qos", [0, 1])
async def test_a_message_arrives_as_it_was_sent(rig: Rig, qos: QoS) -> None:
    publisher, subscriber, inbox = await pair(rig, "a/+", qos)
    assert publisher.publish(rig.topic("a/b"), b"\x00payload\xff", qos=qos)
    assert (await inbox.count(1))[0] == Delivery(rig.topic("a/b"), b"\x00payload\xff", qos)
    assert (publisher.stats.published, publisher.stats.bytes_out) == (1, 9)
    assert (subscriber.stats.received, subscriber.stats.bytes_in) == (1, 9)


async def test_qos_is_the_lower_of_publisher_and_subscriber(rig: Rig) -> None:
    publisher, _, inbox = await pair(rig, "a", 1)
    publisher.publish(rig.topic("a"), b"x", qos=0)
    arrived = (await inbox.count(1))[0].qos
    assert arrived == 0 or (arrived == 1 and rig.limit("qos kept"))


@pytest.mark.parametrize("qos", [0, 1])
async def test_order_is_kept_per_topic(rig: Rig, qos: QoS) -> None:
    publisher, _, inbox = await pair(rig, "order/#", qos)
    await paced(publisher, inbox, [rig.topic("order/a"), rig.topic("order/b")], 2000, qos)
    for parity, name in enumerate("ab"):
        numbers = [int(d.payload) for d in inbox.got if d.topic == rig.topic(f"order/{name}")]
        assert numbers == list(range(parity, 2000, 2))


@pytest.mark.parametrize("qos", [0, 1])
async def test_what_is_published_together_arrives_whole_and_in_order(rig: Rig, qos: QoS) -> None:
    publisher, _, inbox = await pair(rig, "piece", qos)
    with publisher.together():
        for i in range(20):
            assert publisher.publish(rig.topic("piece"), b"%d" % i, qos=qos)
    publisher.publish(rig.topic("piece"), b"20", qos=qos)
    await inbox.count(21)
    assert [int(payload) for payload in inbox.payloads] == list(range(21))


async def test_overlapping_filters_each_get_a_message_once(rig: Rig) -> None:
    one, many, all_ = Inbox(), Inbox(), Inbox()
    subscriber = rig.make("sub")
    subscriber.subscribe(rig.topic("o/x"), one, 1)
    subscriber.subscribe(rig.topic("o/+"), many, 0)
    await subscriber.start()
    subscriber.subscribe(rig.topic("#"), all_, 1)
    publisher = await rig.started("pub")
    last = Inbox()
    subscriber.subscribe(rig.topic("last"), last, 1)
    await _granted(publisher, last, rig.topic("last"))
    publisher.publish(rig.topic("o/x"), b"1", qos=1)
    publisher.publish(rig.topic("o/y"), b"2", qos=1)
    publisher.publish(rig.topic("last"), b"3", qos=1)
    await all_.until(lambda: b"3" in all_.payloads)
    await many.count(2)
    everything = [payload for payload in all_.payloads if payload != b"?"]
    assert (one.payloads, many.payloads, everything) == ([b"1"], [b"1", b"2"], [b"1", b"2", b"3"])


async def _granted(publisher: Transport, inbox: Inbox, topic: str) -> None:
    """Until a subscription made on a live link works."""
    while not inbox.got:
        publisher.publish(topic, b"?", qos=1)
        await publisher.flush()
        try:
            async with asyncio.timeout(0.5):
                await inbox.count(1)
        except TimeoutError:
            continue
    inbox.got.clear()


async def test_two_handlers_of_one_filter_both_get_it(rig: Rig) -> None:
    first, second = Inbox(), Inbox()
    subscriber = rig.make("sub")
    subscriber.subscribe(rig.topic("a"), first, 0)
    subscriber.subscribe(rig.topic("a"), second, 1)
    await subscriber.start()
    publisher = await rig.started("pub")
    publisher.publish(rig.topic("a"), b"x", qos=1)
    assert (await first.count(1))[0].qos == 1
    assert len(await second.count(1)) == 1


async def test_a_retained_message_reaches_who_comes_later_and_says_so(rig: Rig) -> None:
    publisher, _, live = await pair(rig, "r/+")
    publisher.publish(rig.topic("r/a"), b"old", qos=1, retain=True)
    publisher.publish(rig.topic("r/a"), b"kept", qos=1, retain=True)
    await publisher.flush()
    assert [d.retained for d in await live.count(2)] == [False, False]
    late = Inbox()
    newcomer = rig.make("late")
    newcomer.subscribe(rig.topic("r/+"), late, 1)
    await newcomer.start()
    assert (await late.count(1))[0] == Delivery(rig.topic("r/a"), b"kept", 1, retained=True)


async def test_an_empty_payload_clears_what_was_retained(rig: Rig) -> None:
    publisher, _, live = await pair(rig, "r/+")
    for payload in (b"kept", b""):
        publisher.publish(rig.topic("r/a"), payload, qos=1, retain=True)
    publisher.publish(rig.topic("r/b"), b"other", qos=1, retain=True)
    assert await publisher.flush()
    assert [d.payload for d in await live.count(3)] == [b"kept", b"", b"other"]
    late = Inbox()
    newcomer = rig.make("late")
    newcomer.subscribe(rig.topic("r/+"), late, 1)
    await newcomer.start()
    assert [d.payload for d in await late.count(1)] == [b"other"]


async def test_the_will_of_a_vanished_client_is_published_and_retained(rig: Rig) -> None:
    _, _, inbox = await pair(rig, "status/+")
    mortal = await rig.started("mortal", Will(rig.topic("status/m"), b"offline"), gated=True)
    await rig.vanish(mortal)
    assert (await inbox.count(1))[0].payload == b"offline"
    late = Inbox()
    newcomer = rig.make("late")
    newcomer.subscribe(rig.topic("status/m"), late, 1)
    await newcomer.start()
    assert (await late.count(1))[0].retained


async def test_a_clean_stop_leaves_no_will_and_may_be_repeated(rig: Rig) -> None:
    publisher, _, inbox = await pair(rig, "status/+")
    states: list[LinkState] = []
    mortal = rig.make("mortal", Will(rig.topic("status/m"), b"offline"))
    mortal.on_link(states.append)
    await mortal.start()
    await mortal.stop()
    await mortal.stop()
    assert states == ["connected", "closed"]
    assert not mortal.connected
    assert not mortal.publish(rig.topic("status/m"), b"x", qos=1)
    assert not mortal.publish(rig.topic("status/m"), b"x")
    publisher.publish(rig.topic("status/end"), b"end", qos=1)
    assert [d.payload for d in await inbox.count(1)] == [b"end"]


async def test_qos1_published_while_a_subscriber_was_cut_off_arrives_after_it_resumes(rig: Rig) -> None:
    if reason := rig.limit("keeps sessions"):
        pytest.skip(reason)
    inbox, states = Inbox(), list[LinkState]()
    subscriber = rig.make("sub", gated=True)
    subscriber.subscribe(rig.topic("a"), inbox, 1)
    subscriber.on_link(states.append)
    await subscriber.start()
    publisher = await rig.started("pub")
    publisher.publish(rig.topic("a"), b"before", qos=1)
    await inbox.count(1)
    await rig.cut(subscriber)
    missed = [b"%d" % i for i in range(50)]
    for payload in missed:
        publisher.publish(rig.topic("a"), payload, qos=1)
    assert await publisher.flush()
    await rig.restore(subscriber)
    await inbox.until(lambda: set(missed) <= set(inbox.payloads))
    assert list(dict.fromkeys(inbox.payloads)) == [b"before", *missed]
    assert states == ["connected", "lost", "connected" if rig.limit("tells resumed") else "resumed"]
    assert subscriber.stats.reconnects == 1


async def test_qos1_published_while_the_publisher_was_cut_off_is_sent_after_it_returns(rig: Rig) -> None:
    inbox = Inbox()
    subscriber = rig.make("sub")
    subscriber.subscribe(rig.topic("a"), inbox, 1)
    await subscriber.start()
    publisher = await rig.started("pub", gated=True)
    await rig.cut(publisher)
    kept = [b"%d" % i for i in range(300)]
    assert all(publisher.publish(rig.topic("a"), payload, qos=1) for payload in kept)
    assert publisher.stats.queue_depth == 300
    assert not await publisher.flush(timeout_s=0.01)
    await rig.restore(publisher)
    assert await publisher.flush()
    await inbox.until(lambda: set(kept) <= set(inbox.payloads))
    assert list(dict.fromkeys(inbox.payloads)) == kept


async def test_queues_are_bounded_and_every_refusal_is_counted(rig: Rig) -> None:
    settings = LinkSettings(qos1_queue=10, backoff_first_s=0.02, backoff_most_s=0.2)
    publisher = await rig.started("pub", settings=settings, gated=True)
    await rig.cut(publisher)
    taken = [publisher.publish(rig.topic("a"), b"x", qos=1) for _ in range(15)]
    assert taken == [True] * 10 + [False] * 5
    assert not publisher.publish(rig.topic("a"), b"x", qos=0)
    dropped = {reason: n for reason, n in publisher.stats.dropped.items() if n}
    assert dropped == {"qos1_full": 5, "qos0_link_down": 1}
    assert publisher.stats.published == 10


async def test_a_flood_of_qos0_loses_nothing_uncounted_and_keeps_the_newest(rig: Rig) -> None:
    _, _, inbox = await pair(rig, "flood", 0)
    publisher = await rig.started("flooder", gated=True)  # the gate reads nothing while this test does not wait
    n, payload = 20_000, bytes(1000)
    for i in range(n):
        publisher.publish(rig.topic("flood"), b"%06d" % i + payload)
    dropped = publisher.stats.dropped["qos0_overflow"]
    await inbox.until(lambda: len(inbox.got) >= n - dropped)
    assert len(inbox.got) + dropped == n
    assert int(inbox.got[-1].payload[:6]) == n - 1
    assert dropped > 0 or rig.limit("overflow")


@pytest.mark.parametrize("qos", [0, 1])
async def test_a_payload_of_256_kb_arrives_whole(rig: Rig, qos: QoS) -> None:
    publisher, _, inbox = await pair(rig, "big", qos)
    payload = bytes(range(256)) * 1024
    for tail in (b"1", b"2", b"3"):
        assert publisher.publish(rig.topic("big"), payload + tail, qos=qos)
    assert [d.payload for d in await inbox.count(3)] == [payload + tail for tail in (b"1", b"2", b"3")]


async def test_a_handler_that_raises_is_counted_and_delivery_goes_on(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    inbox = Inbox()

    def broken(delivery: Delivery) -> None:
        raise RuntimeError("handler's own fault")

    subscriber = rig.make("sub")
    subscriber.subscribe(rig.topic("a"), broken, 1)
    subscriber.subscribe(rig.topic("a"), inbox, 1)
    await subscriber.start()
    publisher = await rig.started("pub")
    for i in range(3):
        publisher.publish(rig.topic("a"), b"%d" % i, qos=1)
    assert [d.payload for d in await inbox.count(3)] == [b"0", b"1", b"2"]
    assert subscriber.stats.handler_errors == 3
    assert "handler's own fault" in caplog.text


async def test_a_handler_may_publish_and_subscribe(rig: Rig) -> None:
    inbox, echoed = Inbox(), Inbox()
    node = rig.make("node")

    def echo(delivery: Delivery) -> None:
        node.subscribe(rig.topic("extra"), inbox, 1)
        node.publish(rig.topic("echo"), delivery.payload + b"!", qos=1)

    node.subscribe(rig.topic("a"), echo, 1)
    node.subscribe(rig.topic("echo"), echoed, 1)
    await node.start()
    node.publish(rig.topic("a"), b"x", qos=1)
    assert (await echoed.count(1))[0].payload == b"x!"


async def test_what_is_no_topic_or_filter_is_the_callers_error(rig: Rig) -> None:
    node = await rig.started("node")
    for topic_filter in ("", "a/#/b", "a+", "a/b#"):
        with pytest.raises(ValueError, match="filter"):
            node.subscribe(topic_filter, print)
    for topic in ("", "a/+", "#"):
        with pytest.raises(ValueError, match="topic"):
            node.publish(topic, b"x", qos=1)


async def test_a_transport_starts_once(rig: Rig) -> None:
    node = await rig.started("node")
    with pytest.raises(RuntimeError):
        await node.start()


async def test_a_start_that_found_no_broker_may_be_tried_again(rig: Rig) -> None:
    if why := rig.limit("unreachable"):
        pytest.skip(why)
    assert isinstance(rig, BrokerRig)
    await rig.gate.shut()
    inbox, node = Inbox(), rig.make("node", gated=True)
    node.subscribe(rig.topic("a"), inbox, 1)
    with pytest.raises(Unreachable):
        await node.start()
    await rig.gate.open()
    await node.start()
    node.publish(rig.topic("a"), b"x", qos=1)
    assert (await inbox.count(1))[0].payload == b"x"


async def test_qos1_outlives_a_killed_broker(own_rig: BrokerRig) -> None:
    """SIGKILL in mid-stream: whatever the broker had not acknowledged arrives once it is back, in order."""
    rig = own_rig
    inbox, states = Inbox(), list[LinkState]()
    subscriber = rig.make("sub")
    subscriber.subscribe(rig.topic("a"), inbox, 1)
    subscriber.on_link(states.append)
    await subscriber.start()
    publisher = await rig.started("pub", gated=True)
    for i in range(100):
        assert publisher.publish(rig.topic("a"), b"%d" % i, qos=1)
    await inbox.count(100)
    assert await publisher.flush()
    rig.gate.stall()  # from here on no acknowledgement can come back
    for i in range(100, 400):
        assert publisher.publish(rig.topic("a"), b"%d" % i, qos=1)
    await until(lambda: publisher.stats.in_flight > 0)
    rig.real.kill()
    await until(lambda: not subscriber.connected)
    await rig.gate.shut()
    for i in range(400, 500):
        assert publisher.publish(rig.topic("a"), b"%d" % i, qos=1)
    rig.real.start()
    await until(lambda: subscriber.connected)
    assert states == ["connected", "lost", "connected"]  # the broker lost the session: subscribed anew
    await _subscribed_again(rig, inbox)
    await rig.gate.open()
    assert await publisher.flush(15.0)
    expected = [b"%d" % i for i in range(500)]
    await inbox.until(lambda: set(expected) <= set(inbox.payloads))
    assert [p for p in dict.fromkeys(inbox.payloads) if p != b"?"] == expected
    assert (subscriber.stats.reconnects, publisher.stats.reconnects) == (1, 1)
    assert not any(publisher.stats.dropped.values())


async def _subscribed_again(rig: Rig, inbox: Inbox) -> None:
    probe = await rig.started("probe")
    kept = list(inbox.got)
    inbox.got.clear()
    await _granted(probe, inbox, rig.topic("a"))
    inbox.got[:0] = kept


@pytest.mark.mosquitto
@pytest.mark.skipif(MOSQUITTO is None, reason=NO_MOSQUITTO)
@pytest.mark.parametrize("adapter", ADAPTERS)
async def test_a_refusing_broker_is_told_from_an_unreachable_one(adapter: str) -> None:
    with MosquittoBroker(CLOSED) as broker:
        transport = ADAPTERS[adapter](broker.url, client_id="nobody", will=None, settings=QUICK)
        with pytest.raises(Refused, match=r"(?i)not authori[sz]ed"):
            await transport.start()
        await transport.stop()


@pytest.mark.parametrize("adapter", ADAPTERS)
async def test_an_unreachable_broker_is_named_by_host_and_port(adapter: str) -> None:
    port = free_port()
    transport = ADAPTERS[adapter](f"mqtt://127.0.0.1:{port}", client_id="nobody", will=None, settings=QUICK)
    with pytest.raises(Unreachable, match=rf"127\.0\.0\.1:{port}"):
        await transport.start()
    await transport.stop()
