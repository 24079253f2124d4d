"""Brokers that stand apart and are bridged: which topics cross, and the lines of a Mosquitto's configuration for it. No I/O.

- Hub and spokes: each nation has a broker, its spoke, bridged to a hub where fusion is. To the hub go the nation's statuses and
  what it releases to somebody else; from the hub come its own picture and alerts, the clocks, and the others' statuses.
- Mesh: each nation has a broker and a fusion worker of its own. To each other nation's broker goes the feed's status and what is
  released to that nation.

What a nation keeps to itself crosses nowhere. Every topic crosses one way, so that nothing goes in circles.

A bridge is made by the broker that speaks, and carries outward alone. So QoS 1 waits there for a broker that is away: a bridge of
MQTT 5 asks for no session that outlasts its connection (Mosquitto 2.0), and of what it fetches, what was said meanwhile would be
lost. At each try Mosquitto 2.0 queues what is retained as well, so that it comes as often as was tried.

A broker hands a session, with what waits in it, to whoever it lets in under its client id, and lets go of who had it. So both ids
of a bridge end in a part that nobody else is told, another at each broker. It is made from the bridge's private key: who starts
again, with a renewed certificate too, goes on under the same ids.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from hashlib import blake2b
from pathlib import Path
from typing import Final, Literal, NamedTuple

from bus.release import NATIONS, Nation, Release
from bus.topics import (
    CANARY_CLOCK,
    EXERCISE_CLOCK,
    feed_decorrelations,
    feed_events,
    feed_tracks,
    picture_alerts,
    picture_tracks,
    status,
)

_SESSIONS: Final = b"triwarn bridge 1"


class Crossing(NamedTuple):
    """A topic or filter that crosses a bridge, away from the broker that makes it; at most at this QoS."""

    topic: str
    qos: Literal[0, 1]


class Remote(NamedTuple):
    """The broker at the other end of a bridge."""

    name: str
    host: str
    port: int


class BridgeKeys(NamedTuple):
    """By which files a bridge proves who it is, and checks the broker at its other end; and what its client ids are made from."""

    authority: Path
    certificate: Path
    key: Path
    secret: bytes


def session_secret(private_key: bytes) -> bytes:
    """What the client ids of a bridge are made from, 32 bytes: the same for the same key, which it tells nothing of."""
    return blake2b(private_key, digest_size=32, person=_SESSIONS).digest()


def to_hub(nation: Nation, releases: Collection[Release]) -> tuple[Crossing, ...]:
    """What goes from a nation's broker to the hub."""
    said = (Crossing(status("feed", nation), 1), Crossing(status("receiver", nation), 1))
    return (*said, *_released(nation, [to for to in releases if to != (nation,)]))


def from_hub(nation: Nation) -> tuple[Crossing, ...]:
    """What goes from the hub to a nation's broker."""
    said = [EXERCISE_CLOCK, CANARY_CLOCK, status("fusion", "+"), *(status("feed", other) for other in NATIONS if other != nation)]
    return (Crossing(picture_alerts(nation), 1), *(Crossing(each, 1) for each in said), Crossing(picture_tracks(nation), 0))


def to_partner(nation: Nation, partner: Nation, releases: Collection[Release]) -> tuple[Crossing, ...]:
    """What goes from a nation's broker to a partner's."""
    return (Crossing(status("feed", nation), 1), *_released(nation, [to for to in releases if partner in to]))


def _released(nation: Nation, releases: Iterable[Release]) -> list[Crossing]:
    crossings: list[Crossing] = []
    for to in releases:
        crossings += [Crossing(feed_tracks(nation, to), 0), Crossing(feed_events(nation, to), 1)]
        crossings.append(Crossing(feed_decorrelations(nation, to), 1))
    return crossings


def bridge_lines(broker: str, remote: Remote, crossings: Iterable[Crossing], keys: BridgeKeys | None = None) -> tuple[str, ...]:
    """The lines of one bridge of a broker's Mosquitto, valid on 2.0 and 2.1; with keys, over TLS 1.3.

    A remote broker that is away is tried again every second. With keys the lines are secret: they hold the client ids.
    """
    secured = () if keys is None else _secured(keys)
    name = f"{broker}-{remote.name}"
    return (
        f"connection {name}",
        f"address {remote.host}:{remote.port}",
        "bridge_protocol_version mqttv50",
        f"remote_clientid {_client_id(name, 'remote', keys)}",
        f"local_clientid {_client_id(name, 'local', keys)}",
        "cleansession false",
        "start_type automatic",
        "restart_timeout 1 1",
        "try_private false",  # a dialect of Mosquitto's own for MQTT 3; in MQTT 5 subscriptions can say what it says
        "notifications false",
        "bridge_attempt_unsubscribe false",
        *secured,
        *(f"topic {each.topic} out {each.qos}" for each in crossings),
    )


def _client_id(name: str, side: Literal["remote", "local"], keys: BridgeKeys | None) -> str:
    """Another at each broker, so that none can take over a session at the others."""
    if keys is None:
        return f"bridge-{name}-{side}"
    return f"bridge-{name}-{side}-{blake2b(f'{name} {side}'.encode(), digest_size=16, key=keys.secret).hexdigest()}"


def _secured(keys: BridgeKeys) -> tuple[str, ...]:
    return (
        f"bridge_cafile {keys.authority}",
        f"bridge_certfile {keys.certificate}",
        f"bridge_keyfile {keys.key}",
        "bridge_tls_version tlsv1.3",
    )
