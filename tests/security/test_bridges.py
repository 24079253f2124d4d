"""Bridges between brokers: nobody else's certificate takes over their sessions, and what waits in those is lost to nobody."""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from bench.topology import bridge_keys, bridges, network, opened
from bus.access import access_list, every_release
from bus.bridges import HUB, Remote
from bus.broker import free_port
from bus.certificates import make_keys, renew
from bus.credentials import load_credentials
from bus.errors import BadInput
from bus.mosquitto import MOSQUITTO, NO_MOSQUITTO, SecuredMosquitto
from bus.mqtt import MqttTransport
from bus.release import NATIONS
from bus.topics import feed_events, picture_alert, picture_alerts
from bus.transport import Delivery
from tests.bus.gate import Gate
from tests.bus.rigs import QUICK
from tests.security.conftest import WORKERS
from tests.security.raw import RawClient, context_of

PLACES: Final = {name: Remote(name, "127.0.0.1", port) for port, name in enumerate((HUB, *NATIONS), 1)}
GUESSES: Final = ("bridge-jpn-hub", "bridge-jpn-hub-local", "bridge-jpn-hub-remote")  # whatever can be told without the key


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
    assert sum("remote_clientid bridge-" in text for text in found.values()) == 3


@pytest.mark.mosquitto
@pytest.mark.skipif(MOSQUITTO is None, reason=NO_MOSQUITTO)
async def test_who_asks_for_a_bridges_session_by_all_that_is_known_of_it_gets_nothing_and_no_message_is_lost(keys: Path) -> None:
    """Of what comes in, with the intruders there; and of what waits to go out."""
    access, heard, changed = access_list(every_release(), WORKERS), list[str](), asyncio.Event()

    def take(delivery: Delivery) -> None:
        heard.append(delivery.topic)
        changed.set()

    async def until(topic: str) -> None:
        async with asyncio.timeout(20.0):
            while topic not in heard:
                changed.clear()
                await changed.wait()

    first, second = (picture_alert("jpn", name) for name in ("first", "second"))
    event = feed_events("jpn", ("jpn", "usa"))
    with SecuredMosquitto(keys, access) as hub:
        gate = Gate(hub.port)
        await gate.open()
        places = {HUB: Remote(HUB, "127.0.0.1", gate.port), "jpn": Remote("jpn", "127.0.0.1", free_port())}
        lines = bridges(network("hub", "fusion-1"), "jpn", places, every_release(), bridge_keys(keys, "jpn"))
        with SecuredMosquitto(keys, access, lines, places["jpn"].port) as spoke:
            feed, receiver = link(spoke, keys, "feed.jpn"), link(spoke, keys, "receiver.jpn")
            fusion = link(hub, keys, "fusion.fusion-1")
            receiver.subscribe(picture_alerts("jpn"), take, 1)
            fusion.subscribe(event, take, 1)
            for each in (feed, receiver, fusion):
                await each.start()
            fusion.publish(first, b"alert", qos=1, retain=True)  # found by the bridge whenever it comes
            await until(first)

            with intruders(keys, hub, "bridge.kor"), intruders(keys, spoke, "operator.jpn"):
                fusion.publish(second, b"alert", qos=1)
                await until(second)
                await gate.shut()
                feed.publish(event, b"event", qos=1)
                assert await feed.flush()
            with intruders(keys, hub, "bridge.kor"), intruders(keys, spoke, "operator.jpn"):
                pass
            await gate.open()
            await until(event)
            for each in (feed, receiver, fusion):
                await each.stop()
        await gate.shut()
    assert heard.count(second) == heard.count(event) == 1


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
