"""The bus in memory: the transport port without a network, for exercises on a simulated clock and for tests.

- Delivery is synchronous and deterministic: a message is delivered inside `publish`, to its subscribers in the order of
  subscription. What a handler publishes is delivered after the present message has reached everybody: one queue, in order.
- Retained messages, wills, and QoS 1 sessions over a cut link (`cut`, `restore`) behave as on a broker.
- It needs no event loop: `connect_nowait` and `disconnect_nowait` are `start` and `stop` without a wait. The coroutines
  never wait either.
- There is no clock: `expiry_s` is taken and ignored, since nothing waits but behind a cut link.
"""

from __future__ import annotations

import contextlib
from collections import deque
from typing import NamedTuple, TypeVar

from bus.dispatch import Dispatch
from bus.link import LinkSettings
from bus.routing import Route, Routes, check_topic, matches
from bus.transport import Delivery, Handler, LinkHandler, LinkState, QoS, TransportStats, Will

T = TypeVar("T")


class _Post(NamedTuple):
    """A message on its way to one transport; `route` where it is retained and meant for that subscription alone."""

    to: MemoryTransport
    delivery: Delivery
    route: Route | None = None


class MemoryBus:
    """What a broker is to the other adapters: connected transports and retained messages."""

    def __init__(self) -> None:
        self.retained: dict[str, bytes] = {}
        self._members: list[MemoryTransport] = []
        self._queue: deque[_Post] = deque()
        self._delivering = False

    def transport(self, client_id: str, will: Will | None = None, settings: LinkSettings | None = None) -> MemoryTransport:
        """A new transport on this bus, not yet connected."""
        return MemoryTransport(self, client_id, will, settings or LinkSettings())

    def join(self, member: MemoryTransport) -> None:
        if member not in self._members:
            self._members.append(member)

    def leave(self, member: MemoryTransport) -> None:
        self._members.remove(member)

    def route(self, topic: str, payload: bytes, qos: QoS, retain: bool) -> None:
        """Take a message for everybody; deliver unless a delivery is already under way."""
        if retain:
            if payload:
                self.retained[topic] = payload
            else:
                self.retained.pop(topic, None)
        delivery = Delivery(topic, payload, qos)
        for member in self._members:
            if member.wants(topic):
                self._queue.append(_Post(member, delivery))
        self.deliver()

    def send_retained(self, to: MemoryTransport, route: Route) -> None:
        """What was retained for a new subscription."""
        for topic, payload in self.retained.items():
            if matches(route.topic_filter, topic):
                self._queue.append(_Post(to, Delivery(topic, payload, route.qos, True), route))
        self.deliver()

    def deliver(self) -> None:
        if self._delivering:
            return
        self._delivering = True
        try:
            while self._queue:
                post = self._queue.popleft()
                post.to.take(post.delivery, post.route)
        finally:
            self._delivering = False


class MemoryTransport:
    """One transport of a MemoryBus; see the module's text and the port's rules."""

    def __init__(self, bus: MemoryBus, client_id: str, will: Will | None, settings: LinkSettings) -> None:
        self.client_id = client_id
        self._bus, self._will, self._settings = bus, will, settings
        self._routes = Routes()
        self._stats = TransportStats()
        self._dispatch = Dispatch(client_id, self._stats)
        self._state: LinkState | None = None
        self._waiting_in: deque[tuple[Delivery, Route | None]] = deque()
        self._waiting_out: deque[tuple[str, bytes, bool]] = deque()

    # The port ------------------------------------------------------------------------------------------------------

    @property
    def stats(self) -> TransportStats:
        self._stats.queue_depth = len(self._waiting_out)
        return self._stats

    @property
    def connected(self) -> bool:
        return self._state in ("connected", "resumed")

    def subscribe(self, topic_filter: str, handler: Handler, qos: QoS = 0) -> None:
        route = self._routes.add(topic_filter, handler, qos)
        if self.connected:
            self._grant(route)

    def on_link(self, handler: LinkHandler) -> None:
        self._dispatch.on_link(handler)

    def publish(self, topic: str, payload: bytes, *, qos: QoS = 0, retain: bool = False, expiry_s: int | None = None) -> bool:
        check_topic(topic)
        if not self.connected:
            if qos == 0 or self._state == "closed":
                self._stats.dropped["qos0_link_down" if qos == 0 else "qos1_full"] += 1
                return False
            if len(self._waiting_out) >= self._settings.qos1_queue:
                self._stats.dropped["qos1_full"] += 1
                return False
            self._waiting_out.append((topic, payload, retain))
        self._stats.published += 1
        self._stats.bytes_out += len(payload)
        if self.connected:
            self._bus.route(topic, payload, qos, retain)
        return True

    async def start(self) -> None:
        self.connect_nowait()

    def together(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()

    async def flush(self, timeout_s: float = 5.0) -> bool:
        return not self._waiting_out

    async def stop(self) -> None:
        self.disconnect_nowait()

    # Without a loop, and what can go wrong ---------------------------------------------------------------------------

    def connect_nowait(self) -> None:
        """`start`, at once."""
        if self._state is not None:
            raise RuntimeError("a transport starts once")
        self._bus.join(self)
        self._enter("connected")

    def disconnect_nowait(self) -> None:
        """`stop`, at once: a clean end, no will. Safe to call twice."""
        if self._state != "closed":
            if self._state is not None:
                self._bus.leave(self)
            self._tell("closed")

    def vanish(self) -> None:
        """The process has died: its will is published, its session ends."""
        if self._state is not None and self._state != "closed":
            self._bus.leave(self)
            self._state = "closed"
            self._publish_will()

    def cut(self) -> None:
        """The link is lost, the session kept: the will is published, QoS 1 waits on both sides for `restore`."""
        if self.connected:
            self._tell("lost")
            self._publish_will()

    def restore(self) -> None:
        """The link is back, and the session resumed."""
        if self._state == "lost":
            self._stats.reconnects += 1
            self._enter("resumed")

    # The bus's side ------------------------------------------------------------------------------------------------

    def wants(self, topic: str) -> bool:
        return bool(self._routes.handlers_for(topic))

    def take(self, delivery: Delivery, route: Route | None) -> None:
        """Hand a message to the handlers, or keep it for a link that is cut."""
        if not self.connected:
            if self._state == "lost" and delivery.qos and len(self._waiting_in) < self._settings.incoming_queue:
                self._waiting_in.append((delivery, route))
            elif self._state == "lost":
                self._stats.dropped["incoming_full" if delivery.qos else "qos0_link_down"] += 1
            return
        self._dispatch.deliver(delivery, self._routes.handlers_for(delivery.topic) if route is None else route.handlers)

    def _enter(self, state: LinkState) -> None:
        self._tell(state)
        for route in self._routes.waiting():
            self._grant(route)
        for delivery, kept_route in _emptied(self._waiting_in):
            self.take(delivery, kept_route)
        for topic, payload, retain in _emptied(self._waiting_out):
            self._bus.route(topic, payload, 1, retain)

    def _grant(self, route: Route) -> None:
        route.granted = True
        self._bus.send_retained(self, route)

    def _publish_will(self) -> None:
        if self._will is not None:
            self._bus.route(self._will.topic, self._will.payload, 1, True)

    def _tell(self, state: LinkState) -> None:
        self._state = state
        self._dispatch.tell(state)


def _emptied(queue: deque[T]) -> list[T]:
    items = list(queue)
    queue.clear()
    return items
