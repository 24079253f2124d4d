"""Brokers that stand apart: which topics cross is what the releases say, over real Mosquittos too."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path

import msgspec
import pytest

from bench.comparison import Told, comparison_rows
from bench.result import Result
from bench.topology import TOPOLOGIES, Topology, access, bridges, network, opened
from bus.access import Releases
from bus.bridges import Remote, from_hub
from bus.certificates import make_keys
from bus.credentials import load_credentials
from bus.mosquitto import MOSQUITTO, NO_MOSQUITTO
from bus.mqtt import MqttTransport
from bus.release import NATIONS, Nation
from bus.security import HUB, principals
from bus.topics import (
    CANARY_CLOCK,
    EVERYTHING,
    EXERCISE_CLOCK,
    feed_decorrelation,
    feed_events,
    feed_tracks,
    picture_alert,
    picture_tracks,
    status,
)
from bus.tracks import parse_pair
from bus.transport import Delivery

RELEASES: Releases = {"jpn": [("jpn", "usa"), ("jpn",)], "kor": [("kor", "usa")], "usa": [("jpn", "kor", "usa"), ("kor", "usa")]}
PLACES = {name: Remote(name, "127.0.0.1", port) for port, name in enumerate((HUB, *NATIONS), 1)}

needs_mosquitto = pytest.mark.skipif(MOSQUITTO is None, reason=NO_MOSQUITTO)


@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_everybody_has_a_place_and_every_picture_is_made_once(topology: Topology) -> None:
    net = network(topology, "fusion-1")
    assert {*net.spoke.values(), *(worker.broker for worker in net.workers), *net.watched} <= set(net.brokers)
    assert sorted(recipient for worker in net.workers for recipient in worker.recipients) == sorted(NATIONS)


def test_one_broker_makes_no_bridge() -> None:
    assert bridges(network("single", "f"), "broker", PLACES, RELEASES, None) == ()


@pytest.mark.parametrize("topology", ["hub", "mesh"])
def test_a_bridge_fetches_nothing(topology: Topology) -> None:
    net = network(topology, "f")
    crossing = [line for each in net.brokers for line in bridges(net, each, PLACES, RELEASES, None) if line.startswith("topic")]
    assert len(crossing) > 20
    assert {line.split()[2] for line in crossing} == {"out"}


@pytest.mark.parametrize("nation", NATIONS)
def test_a_hubs_bridge_may_write_what_crosses_to_a_nation_there_and_nothing_else_or_elsewhere(nation: Nation) -> None:
    def listed(broker: str) -> set[str]:
        theirs = access(network("hub", "f"), broker, RELEASES).partition("user bridge.hub\n")[2].partition("\n\n")[0]
        return set(theirs.splitlines())

    assert listed(nation) == {f"topic write {crossing.topic}" for crossing in from_hub(nation)}
    assert listed(HUB) == set()
    assert "bridge.hub" not in access(network("mesh", "f"), nation, RELEASES)


@pytest.mark.parametrize("topology", ["hub", "mesh"])
def test_what_a_nation_keeps_to_itself_crosses_nowhere(topology: Topology) -> None:
    lines = bridges(network(topology, "f"), "jpn", PLACES, RELEASES, None)
    assert not [line for line in lines if "/jpn out" in line or line.endswith("/jpn 0")]
    assert f"topic {feed_tracks('jpn', ('jpn', 'usa'))} out 0" in lines


def test_in_a_mesh_only_what_is_released_to_a_partner_goes_to_its_broker() -> None:
    lines = bridges(network("mesh", "f"), "usa", PLACES, RELEASES, None)
    to_jpn, to_kor = " ".join(lines).split("connection usa-")[1:]
    assert "feed/usa/tracks/jpn-kor-usa" in to_jpn
    assert "feed/usa/tracks/jpn-kor-usa" in to_kor
    assert "feed/usa/tracks/kor-usa" in to_kor
    assert "feed/usa/tracks/kor-usa" not in to_jpn


def said_by_all() -> list[tuple[str, str]]:
    """On which broker of a hub's network what is said: everything that a nation's parties and fusion say."""
    found = [(HUB, EXERCISE_CLOCK), (HUB, CANARY_CLOCK), (HUB, status("fusion", "fusion-1"))]
    for nation in NATIONS:
        found += [(nation, status("feed", nation)), (nation, status("receiver", nation))]
        found += [(HUB, picture_tracks(nation)), (HUB, picture_alert(nation, "5-1"))]
        for to in RELEASES[nation]:
            found += [(nation, feed_tracks(nation, to)), (nation, feed_events(nation, to))]
            found.append((nation, feed_decorrelation(nation, to, *parse_pair(["jpn/4", "usa/7"]))))
    return found


def meant_for(broker: str, home: str, topic: str) -> bool:
    """Whether what is said at home reaches a broker of a hub's network."""
    match topic.split("/"):
        case ["mw", "v1", "picture", nation, *_]:
            return broker in (HUB, nation)
        case ["mw", "v1", "feed", nation, "tracks" | "events" | "decorrelations", to, *_]:
            return broker == nation or (broker == HUB and to != nation)
        case ["mw", "v1", "receiver", nation, "status"]:
            return broker in (HUB, nation)
    return True


@pytest.mark.mosquitto
@needs_mosquitto
@pytest.mark.parametrize("secured", [False, True])
async def test_over_a_real_hub_each_broker_has_what_is_meant_for_it_and_nothing_else(secured: bool, tmp_path: Path) -> None:
    """Heard by a witness on each broker; where it is secured, by the bridges' own way in and the hub's access list."""
    net = network("hub", "fusion-1")
    keys = tmp_path / "keys" if secured else None
    if keys is not None:
        make_keys(keys, principals(["fusion-1"]))
    make = maker(keys)
    changed = asyncio.Event()
    heard: dict[str, set[str]] = {broker: set() for broker in net.brokers}
    with opened(net, RELEASES, keys) as urls:
        witnesses = {}
        for broker, url in urls.items():
            witnesses[broker] = make(url, "conductor", f"witness-{broker}")
            witnesses[broker].subscribe(EVERYTHING, partial(took, heard[broker], changed), 1)
            await witnesses[broker].start()
        speakers: dict[tuple[str, str], MqttTransport] = {}
        for broker, topic in said_by_all():
            who = speaker_of(topic)
            if (broker, who) not in speakers:
                speakers[broker, who] = make(urls[broker], who, f"{broker}-{who}")
                await speakers[broker, who].start()
            assert speakers[broker, who].publish(topic, b"said", qos=1, retain=True)
        for link in speakers.values():
            assert await link.flush()
        wanted = {broker: {topic for home, topic in said_by_all() if meant_for(broker, home, topic)} for broker in net.brokers}
        async with asyncio.timeout(20.0):
            while any(wanted[broker] - heard[broker] for broker in net.brokers):
                changed.clear()
                await changed.wait()
        assert heard == wanted
        for link in (*speakers.values(), *witnesses.values()):
            await link.stop()


def maker(keys: Path | None) -> Callable[[str, str, str], MqttTransport]:
    def make(url: str, who: str, client_id: str) -> MqttTransport:
        return MqttTransport(url, client_id=client_id, credentials=load_credentials(keys, who) if keys else None)

    return make


def took(heard: set[str], changed: asyncio.Event, delivery: Delivery) -> None:
    heard.add(delivery.topic)
    changed.set()


def speaker_of(topic: str) -> str:
    match topic.split("/"):
        case ["mw", "v1", "exercise", *_]:
            return "conductor"
        case ["mw", "v1", "canary", *_]:
            return "canary"
        case ["mw", "v1", "picture", *_] | ["mw", "v1", "fusion", *_]:
            return "fusion.fusion-1"
        case ["mw", "v1", role, nation, *_]:
            return f"{role}.{nation}"
    raise AssertionError(topic)


def a_result() -> Result:
    stage = {"p50": None, "p99": None, "budget": 20.0, "over": None}
    warned = {"warned_after_s": 30.0, "confirmed_after_s": 40.0, "machine_ms": 5.0}
    launch = {"launch_id": "L01", "type": "KN-25", "impact_after_s": 325.0, "recipients": {"jpn": warned, "kor": {}}}
    launch |= {"range_class": "short-range", "classes": {"jpn": "short-range"}}
    body = {
        "scenario": "short", "seed": 1, "speed": 10.0, "broker": "x", "wall_s": 1.0, "scenario_s": 1.0, "complete": True,
        "lost": [], "launches": [launch], "raids": {}, "bus": {},
        "alerts": {"false": 0, "missed": 0, "retracted": 0, "confirmed": 1, "standing": 0},
        "stages": {f"{name}_ms": stage for name in ("publish", "transit", "fuse", "alert", "total")},
        "tracks": {"reports": 1, "system_tracks": 1, "correct_association": None, "anees": None, "gospa_m": None},
    }  # fmt: skip
    return msgspec.convert(body, Result)


def test_a_comparison_has_a_row_a_topology_and_recipient() -> None:
    told: dict[Topology, Told] = {"single": Told(a_result(), {"jpn": {"usa"}}), "mesh": Told(a_result(), {})}
    rows = list(comparison_rows(told))
    assert [row[:2] for row in rows] == [[topology, nation] for topology in ("single", "mesh") for nation in NATIONS]
    assert rows[0][2:] == ["1 of 1", "30.0", "40.0", "-", "5.00", "-", "usa"]
    assert rows[1][2:4] == ["0 of 1", "-"]
    assert rows[3][-1] == "-"
