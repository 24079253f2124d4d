"""The transport port: what every way of carrying messages does. Adapters: `bus.mqtt`, `bus.aiomqtt`, `bus.memory`.

Rules, the same for every adapter (the contract suite in tests/bus holds them to it):

- Handlers are plain functions, called in the order of arrival, on the loop's thread. A handler that raises is logged and
  counted; delivery goes on. Each handler whose filter matches is called once a message, however filters overlap.
- `publish` never blocks and never raises for a lost link; it returns False for a message dropped or refused at once.
- QoS 0 while the link is down is dropped (`qos0_link_down`). Behind a full socket it waits in a bounded queue; a new
  message pushes out the oldest (`qos0_overflow`): tracks supersede one another.
- QoS 1 waits in a bounded queue through an outage and is sent again until the broker has it. When that queue is full the
  new message is refused (`qos1_full`). What the broker itself refuses is dropped (`refused`).
- A message larger than the broker takes is dropped (`oversized`), one that expired while it waited too (`expired`). Every
  drop is counted by reason; none is silent.
- Order is kept per topic and QoS. QoS 1 is at least once: duplicates are possible, and the layers above expect them.
- After a lost link an adapter reconnects with backoff, resumes its session where the broker still has it, and subscribes
  again: a broker that was killed may bring back a session older than its subscriptions. A session lives as long as its
  transport: `start` begins a new one, `stop` ends it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple, Protocol

QoS = Literal[0, 1]
LinkState = Literal["connected", "resumed", "lost", "closed"]

DROP_REASONS: Final = ("qos0_overflow", "qos0_link_down", "qos1_full", "oversized", "expired", "refused", "incoming_full")


class Delivery(NamedTuple):
    """One message as it arrived. The first `seal` bytes of the payload are around it, once that is known (`bus.seals`)."""

    topic: str
    payload: bytes
    qos: int = 0
    retained: bool = False
    duplicate: bool = False
    seal: int = 0

    @property
    def message(self) -> bytes:
        """The message alone: what a recording keeps."""
        return self.payload[self.seal :] if self.seal else self.payload


class Will(NamedTuple):
    """What the broker publishes for a client that vanished (always QoS 1, retained)."""

    topic: str
    payload: bytes


Handler = Callable[[Delivery], None]
LinkHandler = Callable[[LinkState], None]


@dataclass(slots=True)
class TransportStats:
    """Counters of one transport since its making; each only grows, but for the depths."""

    published: int = 0
    received: int = 0
    bytes_out: int = 0
    bytes_in: int = 0
    reconnects: int = 0
    dropped: dict[str, int] = field(default_factory=lambda: dict.fromkeys(DROP_REASONS, 0))
    handler_errors: int = 0
    malformed: int = 0
    queue_depth: int = 0
    in_flight: int = 0


class Transport(Protocol):
    """One connection to the bus."""

    @property
    def stats(self) -> TransportStats: ...

    @property
    def connected(self) -> bool: ...

    def subscribe(self, topic_filter: str, handler: Handler, qos: QoS = 0) -> None:
        """Call `handler` for every delivery that matches. Before or after `start`; remembered across reconnects."""

    def on_link(self, handler: LinkHandler) -> None:
        """Call `handler` at each change of the link: connected (a new session), resumed, lost, closed."""

    async def start(self) -> None:
        """Connect, and return once every subscription made so far is granted.

        Raises Unreachable or Refused, and may then be tried again.
        """

    def publish(self, topic: str, payload: bytes, *, qos: QoS = 0, retain: bool = False, expiry_s: int | None = None) -> bool:
        """Send, or queue by the rules above. False where the message was refused or dropped at once."""

    def together(self) -> AbstractContextManager[None]:
        """What is published inside the block goes to the socket as one piece when it ends: one system call for a few messages."""

    async def flush(self, timeout_s: float = 5.0) -> bool:
        """Wait until the broker has every accepted QoS 1 message; False when time runs out first."""

    async def stop(self) -> None:
        """Disconnect cleanly (no will) and release everything. Safe to call twice."""
