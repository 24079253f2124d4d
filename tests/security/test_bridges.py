"""Bridges between brokers: nobody else's certificate takes over their sessions, and what waits in those is lost to nobody."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from bench.topology import access, bridge_keys, bridges, network, opened
from bus.access import every_release
from bus.bridges import Remote
from bus.broker import free_port
from bus.certificates import make_keys, renew
from bus.credentials import load_credentials
from bus.errors import BadInput
from bus.mosquitto import MOSQUITTO, NO_MOSQUITTO, SecuredMosquitto
from bus.mqtt import MqttTransport
from bus.release import NATIONS
from bus.security import HUB
from bus.topics import feed_events, picture_alert, picture_alerts
from bus.transport import Delivery
from tests.bus.gate import Gate
from tests.bus.rigs import QUICK, Inbox, until
from tests.security.parties import ALERT, BORN, STATUS, WARNING, numbered, sealed, seals
from tests.security.raw import RawClient, context_of

PLACES: Final = {name: Remote(name, "127.0.0.1", port) for port, name in enumerate((HUB, *NATIONS), 1)}
SIDES: Final = ("", "-local", "-remote")
GUESSES: Final = [f"bridge-{name}{side}" for name in ("jpn-hub", "hub-jpn") for side in SIDES]  # what can be told without the key


def client_ids(lines: tuple[str, ...]) -> dict[str, str]:
    """By which client id a broker's bridges are known, by what they are connected to and the side that knows it."""
    found, name = dict[str, str](), ""
    for word, _, value in (line.partition(" ") for line in lines):
        if word == "connection":
            name = value
        elif word in ("remote_clientid", "local_clientid"):
            found[f"{name} {word}"] = value
    return found


def ids_of(keys: Path) -> dict[str, str]:
    return client_ids(bridges(network("mesh", "fusion-1"), "jpn", PLACES, every_release(), bridge_keys(keys, "jpn")))


def test_a_bridges_client_ids_hold_a_secret_part_that_is_another_at_each_broker(keys: Path) -> None:
    found = ids_of(keys)
    assert len(found) == 4
    secret = {client_id.rpartition("-")[2] for client_id in found.values()}
    assert len(secret) == 4
    assert all(len(bytes.fromhex(part)) == 16 for part in secret)


def test_they_stay_the_same_until_the_key_is_another(tmp_path: Path) -> None:
    make_keys(tmp_path / "one", ["bridge.jpn"])
    make_keys(tmp_path / "other", ["bridge.jpn"])
    before = ids_of(tmp_path / "one")
    renew(tmp_path / "one")
    assert ids_of(tmp_path / "one") == before
    assert not set(ids_of(tmp_path / "other").values()) & set(before.values())


def test_where_the_key_is_missing_the_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"bridge\.jpn/tls\.key: cannot be read"):
        bridge_keys(tmp_path, "jpn")


@pytest.mark.mosquitto
@pytest.mark.skipif(MOSQUITTO is None, reason=NO_MOSQUITTO)
def test_nobody_else_reads_the_configuration_that_holds_them(keys: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = os.umask(0)
    try:
        with opened(network("hub", "fusion-1"), every_release(), keys):
            found = {path: path.read_text(encoding="utf-8") for path in tmp_path.rglob("mosquitto.conf")}
            assert [path.stat().st_mode & 0o777 for path in found] == [0o600] * 4
    finally:
        os.umask(before)
    assert sum("remote_clientid bridge-" in text for text in found.values()) == 4


@pytest.mark.mosquitto
@pytest.mark.skipif(MOSQUITTO is None, reason=NO_MOSQUITTO)
async def test_who_asks_for_a_bridges_session_by_all_that_is_known_of_it_gets_nothing_and_no_message_is_lost(keys: Path) -> None:
    """Of what comes in and of what goes out, with the intruders there as it passes, and while it waits."""
    alerts, events = picture_alert("jpn", "5-1"), feed_events("jpn", ("jpn", "usa"))
    told, said = Inbox(), Inbox()
    async with hub_and_spoke(keys) as at:
        feed, receiver = link(at.spoke, keys, "feed.jpn"), link(at.spoke, keys, "receiver.jpn")
        fusion = link(at.hub, keys, "fusion.fusion-1")
        receiver.subscribe(alerts, told, 1)
        fusion.subscribe(events, said, 1)
        async with linked(feed, receiver, fusion):
            with intruders(keys, at.hub, "bridge.kor"), intruders(keys, at.spoke, "operator.jpn"):
                fusion.publish(alerts, b"first", qos=1)
                feed.publish(events, b"first", qos=1)
                for inbox in (told, said):
                    await inbox.count(1)
                await at.shut()
                fusion.publish(alerts, b"second", qos=1)
                feed.publish(events, b"second", qos=1)
                assert await fusion.flush()
                assert await feed.flush()
            with intruders(keys, at.hub, "bridge.kor"), intruders(keys, at.spoke, "operator.jpn"):
                pass
            await at.open()
            await told.until(lambda: b"second" in told.payloads)
            await said.until(lambda: b"second" in said.payloads)
    assert told.payloads.count(b"second") == said.payloads.count(b"second") == 1


class Hub(NamedTuple):
    """A hub with one spoke: the broker of each, and the gates that the bridges between them go through."""

    hub: SecuredMosquitto
    spoke: SecuredMosquitto
    gates: tuple[Gate, ...]

    async def open(self) -> None:
        for gate in self.gates:
            await gate.open()

    async def shut(self) -> None:
        for gate in self.gates:
            await gate.shut()


@contextlib.asynccontextmanager
async def hub_and_spoke(keys: Path) -> AsyncIterator[Hub]:
    """As `opened` makes them, with Japan's broker for all nations' and a gate at either end of the link."""
    net, ports, releases = network("hub", "fusion-1"), {HUB: free_port(), "jpn": free_port()}, every_release()
    gates = {name: Gate(port) for name, port in ports.items()}
    places = {name: Remote(name, "127.0.0.1", gates[name].port if name in gates else free_port()) for name in net.brokers}
    made = {
        name: SecuredMosquitto(
            keys, access(net, name, releases), bridges(net, name, places, releases, bridge_keys(keys, name)), ports[name]
        )
        for name in ports
    }
    found = Hub(made[HUB], made["jpn"], tuple(gates.values()))
    await found.open()
    try:
        with found.spoke, found.hub:
            yield found
    finally:
        await found.shut()


@contextlib.asynccontextmanager
async def linked(*links: MqttTransport) -> AsyncIterator[None]:
    async with contextlib.AsyncExitStack() as stack:
        for each in links:
            await each.start()
            stack.push_async_callback(each.stop)
        yield


def alerts_held_by(spoke: SecuredMosquitto, keys: Path) -> list[bytes]:
    """What a nation's broker retains of alerts: who comes late finds it."""
    with RawClient(spoke.port, context_of(keys, "operator.jpn"), "late") as late:
        late.subscribe(picture_alerts("jpn"))
        return [packet.payload for packet in late.heard()]


@pytest.mark.mosquitto
@pytest.mark.skipif(MOSQUITTO is None, reason=NO_MOSQUITTO)
@pytest.mark.parametrize("outage", ["the link", "the nation's broker", "the hub"])
async def test_a_nation_hears_the_end_of_what_ended_in_an_outage_and_its_broker_holds_it_no_more(outage: str, keys: Path) -> None:
    """It went on standing there, for good: a bridge that the nation's broker made found what the hub retained, nothing else.

    Brokers are killed, and come back empty. The link is back once the nation's parties are: their broker keeps no last word.
    """
    alert, other, heard = picture_alert("jpn", "5-1"), picture_alert("jpn", "5-2"), Inbox()
    async with hub_and_spoke(keys) as at:
        receiver, fusion = link(at.spoke, keys, "receiver.jpn"), link(at.hub, keys, "fusion.fusion-1")
        receiver.subscribe(picture_alerts("jpn"), heard, 1)
        async with linked(receiver, fusion):
            fusion.publish(alert, b"stands", qos=1, retain=True)
            fusion.publish(other, b"goes on", qos=1, retain=True)
            await heard.until(lambda: {b"stands", b"goes on"} <= set(heard.payloads))

            broker = {"the link": None, "the nation's broker": at.spoke, "the hub": at.hub}[outage]
            await at.shut()
            if broker is not None:
                broker.kill()
                await until(lambda: not (receiver.connected and fusion.connected))
            fusion.publish(alert, b"is over", qos=1)
            fusion.publish(alert, b"", qos=1, retain=True)
            if broker is not None:
                broker.start()
                await until(lambda: receiver.connected and fusion.connected)
            assert await fusion.flush()
            await at.open()

            await heard.until(lambda: b"is over" in heard.payloads)
            await until(lambda: alerts_held_by(at.spoke, keys) == [b"goes on"])


@pytest.mark.mosquitto
@pytest.mark.skipif(MOSQUITTO is None, reason=NO_MOSQUITTO)
async def test_what_a_bridge_that_is_made_again_says_again_is_no_security_event(keys: Path) -> None:
    """At each try it says all that is retained, and the other broker hands it on as if it were new."""
    now_ns = time.time_ns()
    said = {
        ALERT: sealed(seals("fusion.fusion-1"), ALERT, numbered(WARNING, 1, now_ns)),
        STATUS: sealed(seals("feed.jpn"), STATUS, numbered(BORN, 1, now_ns)),
    }
    readers = {ALERT: seals("receiver.jpn"), STATUS: seals("conductor")}
    heard: dict[str, list[Delivery]] = {topic: [] for topic in said}
    async with hub_and_spoke(keys) as at:
        receiver, feed = link(at.spoke, keys, "receiver.jpn"), link(at.spoke, keys, "feed.jpn")
        fusion, conductor = link(at.hub, keys, "fusion.fusion-1"), link(at.hub, keys, "conductor")
        for reader, topic in ((receiver, ALERT), (conductor, STATUS)):
            reader.subscribe(topic, heard[topic].append, 1)
        async with linked(receiver, feed, fusion, conductor):
            for speaker, topic in ((fusion, ALERT), (feed, STATUS)):
                speaker.publish(topic, said[topic], qos=1, retain=True)
            await until(lambda: all(heard.values()))
            await at.shut()
            await at.open()
            await until(lambda: all(len(each) > 1 for each in heard.values()))
    for topic, deliveries in heard.items():
        assert not any(delivery.retained or delivery.duplicate for delivery in deliveries)
        assert [readers[topic].read(each, now_ns).again for each in deliveries] == [at > 0 for at in range(len(deliveries))]
        assert readers[topic].events == {}


def link(broker: SecuredMosquitto, keys: Path, who: str) -> MqttTransport:
    return MqttTransport(broker.url, client_id=who, settings=QUICK, credentials=load_credentials(keys, who))


@contextlib.contextmanager
def intruders(keys: Path, broker: SecuredMosquitto, who: str) -> Iterator[None]:
    """A party with a certificate of its own, there under every client id that can be guessed; it was given no session."""
    with contextlib.ExitStack() as stack:
        clients = [RawClient(broker.port, context_of(keys, who), guess, clean_start=False) for guess in GUESSES]
        for each in clients:
            stack.enter_context(each)
            assert not each.resumed
        yield
        assert [packet for each in clients for packet in each.heard()] == []
