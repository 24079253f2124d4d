"""The MQTT 5 transport: our client on the sans-I/O codec `mqtt5`. The rules are the port's (`bus.transport`).

- `publish` writes straight to the socket; only a burst within one loop iteration is gathered (`bus.framing`).
- Handlers run inside the read; QoS 1 is acknowledged after they ran, all of one read together. There is no task a message.
- Every subscription has its MQTT identifier, so a message goes to the handlers of its subscription without matching.
- A packet that is malformed, or larger than the settings allow, costs the connection (counted), never the process.
- The link is pinged at half the keepalive; when nothing at all came between two pings, it is lost.

It speaks no QoS 2 and no topic aliases, and takes no part in what a message means. TLS is its connection's (`bus.opening`).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import struct
import time
from collections.abc import Callable, Iterable, Iterator
from random import Random
from typing import Final

import mqtt5
from mqtt5 import PubAckPacket, PublishPacket

from bus.credentials import Credentials, check_scheme
from bus.dispatch import Dispatch
from bus.errors import BusError, Refused, Unreachable
from bus.framing import Connection
from bus.link import Backoff, BrokerUrl, LinkSettings, parse_url
from bus.opening import open_connection, refusal
from bus.outbox import Outbox, Outgoing, deadline
from bus.routing import Route, Routes, check_topic
from bus.transport import Delivery, Handler, LinkHandler, LinkState, QoS, TransportStats, Will

log = logging.getLogger(__name__)

_RETAINED: Final = (mqtt5.RetainHandling.SEND_ALWAYS, mqtt5.RetainHandling.SEND_IF_SUBSCRIPTION_NOT_EXISTS)
_QOS: Final = (mqtt5.QoS.AT_MOST_ONCE, mqtt5.QoS.AT_LEAST_ONCE)
_PUBACK: Final = struct.Struct(">HH")  # 0x4002, then the packet id: a success needs no more
_PUBACK_HEAD: Final = 0x4002
_FIRST_FAILURE: Final = 128  # MQTT 5: every reason code from here on is an error
_GOODBYE: Final = mqtt5.DisconnectPacket(session_expiry_interval=0).write()
_PING: Final = mqtt5.PingReqPacket().write()


class MqttTransport:
    """One MQTT 5 connection to the bus; see the module's text and the port's rules."""

    def __init__(
        self,
        url: str,
        *,
        client_id: str,
        will: Will | None = None,
        settings: LinkSettings | None = None,
        credentials: Credentials | None = None,
        rng: Random | None = None,
    ) -> None:
        self.settings = settings or LinkSettings()
        self._broker: BrokerUrl = parse_url(url)
        self._credentials = credentials
        check_scheme(self._broker, keys=credentials is not None)
        self._client_id, self._will = client_id, will
        self._stats = TransportStats()
        self._routes = Routes()
        self._outbox = Outbox(self.settings, self._stats)
        self._dispatch = Dispatch(client_id, self._stats)
        self._backoff = Backoff(self.settings.backoff_first_s, self.settings.backoff_most_s, rng or Random())
        self._connection: Connection | None = None  # set only between CONNACK and the loss
        self._writable = False
        self._largest_out = self.settings.largest_packet
        self._subscribing: dict[int, Route] = {}
        self._refusal = ""
        self._changed = asyncio.Event()
        self._runner: asyncio.Task[None] | None = None
        self._stopped = False
        self._begun = self._left_over = False
        self._take: Final[dict[type, Callable[..., None]]] = {
            PubAckPacket: self._take_puback,
            mqtt5.SubAckPacket: self._take_suback,
            mqtt5.PingRespPacket: self._take_pong,
            mqtt5.DisconnectPacket: self._take_disconnect,
        }

    # The port ------------------------------------------------------------------------------------------------------

    @property
    def stats(self) -> TransportStats:
        self._stats.queue_depth = len(self._outbox)
        self._stats.in_flight = len(self._outbox.in_flight)
        return self._stats

    @property
    def connected(self) -> bool:
        return self._connection is not None

    def subscribe(self, topic_filter: str, handler: Handler, qos: QoS = 0) -> None:
        route = self._routes.add(topic_filter, handler, qos)
        if self._connection is not None:
            self._ask_for(route)

    def on_link(self, handler: LinkHandler) -> None:
        self._dispatch.on_link(handler)

    async def start(self) -> None:
        if self._runner is not None or self._stopped:
            raise RuntimeError("a transport starts once")
        await self._connect(clean=False)
        if self._left_over:
            await self._connect(clean=True)
        try:
            await self._all_granted()
        except BaseException:
            self._drop_connection()
            raise
        self._runner = asyncio.create_task(self._keep_connected(), name=f"mqtt {self._client_id}")

    def publish(self, topic: str, payload: bytes, *, qos: QoS = 0, retain: bool = False, expiry_s: int | None = None) -> bool:
        check_topic(topic)
        if qos:
            return self._publish_qos1(topic, payload, retain, expiry_s)
        if self._writable:
            packet = PublishPacket(topic, payload, retain=retain, message_expiry_interval=expiry_s).write()
            if len(packet) > self._largest_out:
                return self._dropped("oversized")
            self._send(packet)
        elif self._connection is None:
            return self._dropped("qos0_link_down")
        elif not self._outbox.hold_qos0(Outgoing(topic, payload, retain, deadline(expiry_s))):
            return False
        self._stats.published += 1
        self._stats.bytes_out += len(payload)
        return True

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        connection = self._connection
        if connection is None:
            yield
            return
        connection.gather()
        try:
            yield
        finally:
            connection.let_go()

    async def flush(self, timeout_s: float = 5.0) -> bool:
        try:
            async with asyncio.timeout(timeout_s):
                while self._outbox.unacknowledged:
                    await self._next_change()
        except TimeoutError:
            return False
        return True

    async def stop(self) -> None:
        if self._stopped:
            return
        self._stopped = True
        if self._runner is not None:
            self._runner.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._runner
        connection = self._connection
        if connection is not None:
            connection.write(_GOODBYE)
            connection.close()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.settings.connect_timeout_s):
                    await connection.wait_lost()
            self._drop_connection()
        if self._outbox.unacknowledged:
            log.warning("%s: stopped with %d messages not acknowledged", self._client_id, self._outbox.unacknowledged)
        self._tell("closed")

    # The link ------------------------------------------------------------------------------------------------------

    async def _connect(self, *, clean: bool) -> None:
        """Open a connection and greet the broker. Raises Unreachable, Untrusted or Refused."""
        broker, settings = self._broker, self.settings
        hello = mqtt5.ConnectPacket(
            self._client_id,
            username=broker.username,
            password=None if broker.password is None else broker.password.encode(),
            clean_start=clean,
            will=self._will and mqtt5.Will(self._will.topic, payload=self._will.payload, qos=_QOS[1], retain=True),
            keep_alive=settings.keepalive_s,
            session_expiry_interval=settings.session_expiry_s,
            max_packet_size=settings.largest_packet,
        )
        self._refusal = ""
        connection = Connection(mqtt5.read, settings.largest_packet, self._on_packets, self._on_writable, self._on_lost)
        await open_connection(connection, broker, self._credentials, settings, hello.write())
        if self._connection is not connection and not self._left_over:
            raise refusal(connection, broker, self._credentials, self._client_id, self._refusal)

    def _take_connack(self, connection: Connection, packet: object) -> None:
        """The broker's first word: a session begun or resumed, or a refusal.

        A new transport asks for a session without asking for a clean one: rumqttd takes "clean" as MQTT 3 did, and
        would not keep it. Where an earlier run under the same client id left one, it is asked again, for a clean one.
        """
        if not isinstance(packet, mqtt5.ConnAckPacket):
            raise ValueError(f"{type(packet).__name__} before CONNACK")
        if int(packet.reason_code) >= _FIRST_FAILURE:
            self._refusal = " ".join(filter(None, (packet.reason_code.name.lower().replace("_", " "), packet.reason_str)))
            connection.close()
            return
        self._left_over = packet.session_present and not self._begun
        if self._left_over:
            connection.write(_GOODBYE)  # without it the broker would publish our will
            connection.close()
            return
        self._stats.reconnects += self._begun
        self._connection, self._writable, self._begun = connection, True, True
        self._largest_out = packet.max_packet_size or 2**28
        self._outbox.window = min(self.settings.in_flight, packet.receive_max)
        connection.greeted(_PING, (packet.server_keep_alive or self.settings.keepalive_s) / 2.0)
        self._routes.forget_grants()
        for route in self._routes.waiting():
            self._ask_for(route, again=packet.session_present)
        self._tell("resumed" if packet.session_present else "connected")
        self._pump()

    def _on_lost(self, connection: Connection, why: str) -> None:
        self._stats.malformed += connection.malformed
        if self._connection is connection:
            self._drop_connection()
            if not self._stopped:
                log.warning("%s: link to %s lost: %s", self._client_id, self._broker, why or "closed by the broker")
                self._tell("lost")

    def _drop_connection(self) -> None:
        connection, self._connection, self._writable = self._connection, None, False
        if connection is not None:
            connection.abort()
        self._subscribing.clear()
        self._outbox.link_lost()
        self._changed.set()

    async def _keep_connected(self) -> None:
        """Reconnect for as long as the transport lives."""
        while True:
            connection, since = self._connection, time.monotonic()
            if connection is not None:
                await connection.wait_lost()
            if time.monotonic() - since > self.settings.backoff_most_s:
                self._backoff.reset()
            failures: set[str] = set()
            while self._connection is None:
                await asyncio.sleep(self._backoff.next_s())
                try:
                    await self._connect(clean=False)
                except BusError as error:
                    if str(error) not in failures:  # log a state once, not every try
                        failures.add(str(error))
                        log.warning("%s: %s; trying again", self._client_id, error)
            log.info("%s: link to %s is back", self._client_id, self._broker)

    def _tell(self, state: LinkState) -> None:
        self._dispatch.tell(state)
        self._changed.set()

    # Out -----------------------------------------------------------------------------------------------------------

    def _send(self, packet: bytes) -> None:
        if self._connection is not None:
            self._connection.write(packet)

    def _publish_qos1(self, topic: str, payload: bytes, retain: bool, expiry_s: int | None) -> bool:
        if self._stopped or not self._outbox.accept_qos1(Outgoing(topic, payload, retain, deadline(expiry_s))):
            return False
        self._stats.published += 1
        self._stats.bytes_out += len(payload)
        if self._writable:
            self._pump()
        return True

    def _on_writable(self, writable: bool) -> None:
        self._writable = writable and self._connection is not None
        if self._writable:
            self._pump()

    def _pump(self) -> None:
        """Send what waits, alerts before tracks, as far as the window and the socket go."""
        now_s, outbox = time.monotonic(), self._outbox
        while self._writable and (message := outbox.next_qos1(now_s, self._subscribing)) is not None:
            packet = self._packet(message, now_s, qos=1)
            if len(packet) > self._largest_out:
                outbox.acknowledge(message.packet_id)
                self._dropped("oversized")
                continue
            message.sent_before = True
            self._send(packet)
        while self._writable and (message := outbox.next_qos0(now_s)) is not None:
            packet = self._packet(message, now_s, qos=0)
            if len(packet) > self._largest_out:
                self._dropped("oversized")
            else:
                self._send(packet)

    def _packet(self, message: Outgoing, now_s: float, qos: QoS) -> bytes:
        return PublishPacket(
            message.topic,
            message.payload,
            qos=_QOS[qos],
            retain=message.retain,
            packet_id=message.packet_id or None,
            duplicate=message.sent_before,
            message_expiry_interval=message.expiry_s(now_s),
        ).write()

    def _dropped(self, reason: str) -> bool:
        self._stats.dropped[reason] += 1
        return False

    # In ------------------------------------------------------------------------------------------------------------

    def _on_packets(self, connection: Connection, packets: list[object]) -> None:
        """Everything one read held, in order. Raises ValueError where the broker breaks the protocol."""
        by_number, handlers_for, deliver = self._routes.by_number, self._routes.handlers_for, self._dispatch.deliver
        acks: list[bytes] = []
        for packet in packets:
            if type(packet) is PublishPacket:
                topic, packet_id, numbers = packet.topic, packet.packet_id, packet.subscription_ids
                handlers: Iterable[Handler]
                if len(numbers) == 1 and (route := by_number.get(numbers[0])) is not None:
                    handlers = route.handlers
                elif numbers:
                    handlers = [h for n in numbers if n in by_number for h in by_number[n].handlers]
                else:
                    handlers = handlers_for(topic)
                qos = 0 if packet_id is None else 1
                deliver(Delivery(topic, packet.payload, qos, packet.retain, packet.duplicate), handlers)
                if packet_id is not None:
                    acks.append(_PUBACK.pack(_PUBACK_HEAD, packet_id))
            elif self._connection is not connection:
                self._take_connack(connection, packet)
                if self._connection is not connection:
                    return
            else:
                take = self._take.get(type(packet))
                if take is None:
                    raise ValueError(f"unexpected {type(packet).__name__}")
                take(packet)
        if acks and self._connection is connection:
            self._send(b"".join(acks))

    def _take_puback(self, packet: PubAckPacket) -> None:
        message = self._outbox.acknowledge(packet.packet_id)
        if message is None:
            return  # acknowledged twice: harmless
        if int(packet.reason_code) >= _FIRST_FAILURE:
            if self._stats.dropped["refused"] == 0:
                log.warning("%s: the broker refuses %s: %s", self._client_id, message.topic, packet.reason_code.name.lower())
            self._dropped("refused")
        if self._outbox.unacknowledged == 0:
            self._changed.set()
        elif self._writable:
            self._pump()

    def _take_suback(self, packet: mqtt5.SubAckPacket) -> None:
        route = self._subscribing.pop(packet.packet_id, None)
        if route is None:
            return
        if int(packet.reason_codes[0]) >= _FIRST_FAILURE:
            self._refusal = f"subscription to {route.topic_filter}: {packet.reason_codes[0].name.lower()}"
            log.error("%s: the broker refuses the %s", self._client_id, self._refusal)
        else:
            route.granted = True
        self._changed.set()

    def _take_pong(self, packet: mqtt5.PingRespPacket) -> None:
        """Any byte from the broker shows that it lives; the connection has noted it."""

    def _take_disconnect(self, packet: mqtt5.DisconnectPacket) -> None:
        if self._connection is not None:
            self._connection.abort(f"the broker says {packet.reason_code.name.lower()} {packet.reason_str or ''}".rstrip())

    def _ask_for(self, route: Route, *, again: bool = False) -> None:
        """Subscribe; `again` on a resumed session, which may be older than the subscription: then retained messages are
        wanted only if the broker has lost it."""
        wanted = mqtt5.TopicFilter(
            route.topic_filter, max_qos=_QOS[route.qos], retain_as_published=False, retain_handling=_RETAINED[again]
        )
        packet_id = self._outbox.new_id(self._subscribing)
        self._subscribing[packet_id] = route
        self._send(mqtt5.SubscribePacket(packet_id, [wanted], subscription_id=route.number).write())

    async def _all_granted(self) -> None:
        try:
            async with asyncio.timeout(self.settings.connect_timeout_s):
                while self._subscribing and self._connection is not None:
                    await self._next_change()
        except TimeoutError:
            raise Unreachable(f"the broker at {self._broker} does not answer a subscription") from None
        if waiting := self._routes.waiting():
            if self._refusal:
                raise Refused(f"the broker at {self._broker}: {self._refusal}")
            raise Unreachable(f"the broker at {self._broker} is gone: lost while subscribing to {waiting[0].topic_filter}")

    async def _next_change(self) -> None:
        self._changed.clear()
        await self._changed.wait()
