"""A link to a broker: its address, its settings, and how long to wait before trying again.

It opens no connection. The settings belong to every adapter that speaks to a real broker; what an adapter cannot honour
its own docstring names.
"""

from __future__ import annotations

from random import Random
from typing import Annotated, Final, NamedTuple
from urllib.parse import unquote, urlsplit

from msgspec import Meta, Struct

from bus.errors import BadInput

PORTS: Final = {"mqtt": 1883, "mqtts": 8883}  # by scheme
URL_FORM: Final = "mqtt://[user[:password]@]host[:port], or mqtts:// over TLS"

Seconds = Annotated[float, Meta(gt=0.0, le=3600.0, description="seconds, above 0, at most 3600")]
Messages = Annotated[int, Meta(ge=1, le=1_000_000, description="messages, 1 to 1000000")]
Bytes = Annotated[int, Meta(ge=1024, le=2**30, description="bytes, 1024 to 1 GiB")]


class LinkSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How a link behaves. The defaults suit a broker on the same machine or the same site."""

    keepalive_s: Annotated[
        int, Meta(ge=2, le=3600, description="s of silence before the link is lost; some brokers refuse 0")
    ] = 15
    connect_timeout_s: Seconds = 5.0
    backoff_first_s: Annotated[Seconds, Meta(description="s before the first try again; it doubles, with jitter")] = 0.1
    backoff_most_s: Annotated[Seconds, Meta(description="s, the longest wait between tries; an outage costs that more")] = 3.0
    session_expiry_s: Annotated[
        int, Meta(ge=0, le=86_400, description="s the broker keeps the session of a lost link: longer than its restart takes")
    ] = 300
    in_flight: Annotated[int, Meta(ge=1, le=32_768, description="QoS 1 messages sent, not yet acknowledged; or the broker's")] = (
        256
    )
    qos0_queue: Annotated[Messages, Meta(description="QoS 0 messages held while the socket is full; then the oldest goes")] = 1000
    qos1_queue: Annotated[Messages, Meta(description="QoS 1 messages held, in flight or not; then new ones are refused")] = 10_000
    queue_bytes: Annotated[Bytes, Meta(description="payload bytes either queue holds: bounds memory where they are large")] = (
        2**26
    )
    incoming_queue: Annotated[Messages, Meta(description="messages arrived, not yet handled, where an adapter queues them")] = (
        100_000
    )
    largest_packet: Annotated[Bytes, Meta(description="bytes of the largest packet taken: four times the largest payload")] = (
        2**20
    )
    write_buffer: Annotated[Bytes, Meta(description="bytes handed to the socket before its backpressure counts")] = 2**18


class BrokerUrl(NamedTuple):
    """Where a broker is, and whether it is spoken to over TLS."""

    host: str
    port: int
    username: str | None
    password: str | None
    tls: bool = False

    def __str__(self) -> str:
        """Host and port alone: a password never gets into a log."""
        return f"{self.host}:{self.port}"


def parse_url(url: str) -> BrokerUrl:
    """The parts of a broker's URL; BadInput says what is wrong with it."""
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        raise BadInput("broker", "url", f"the port of {shown(url)!r} is not a number up to 65535", URL_FORM) from None
    if (
        parts.scheme not in PORTS
        or not parts.hostname
        or parts.path not in ("", "/")
        or parts.query
        or parts.fragment
        or port == 0
    ):
        raise BadInput("broker", "url", f"{shown(url)!r} is not a broker's address", URL_FORM)
    username = unquote(parts.username) if parts.username is not None else None
    password = unquote(parts.password) if parts.password is not None else None
    return BrokerUrl(parts.hostname, port or PORTS[parts.scheme], username, password, tls=parts.scheme == "mqtts")


def shown(url: str) -> str:
    """The URL as it may be shown: without what stands before the @."""
    head, at, tail = url.rpartition("@")
    return f"{head.partition('://')[0]}://{tail}" if at else url


class Backoff:
    """Waits between tries: doubling from first to most, each with jitter so that clients do not return as one."""

    def __init__(self, first_s: float, most_s: float, rng: Random) -> None:
        self._first_s, self._most_s, self._rng = first_s, most_s, rng
        self._tries = 0

    def next_s(self) -> float:
        """The next wait, s: between half of and the whole of the doubled time."""
        whole = min(self._most_s, self._first_s * 2.0 ** min(self._tries, 30))
        self._tries += 1
        return whole * (0.5 + 0.5 * self._rng.random())

    def reset(self) -> None:
        """Begin again: the link held."""
        self._tries = 0
