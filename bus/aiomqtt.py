"""The transport on `aiomqtt` (paho): the baseline of the benchmarks, and the way to MQTT 3.1.1 brokers. Same port, same rules.

The library has no reconnect, raises on a lost link and makes a task a message; the adapter adds the queues, the reconnect
and the subscriptions' renewal. What it cannot hold of the contract, and why:

- `publish` hands over to a task: a message leaves one loop iteration later at the earliest, and `together` changes nothing.
- QoS 1 is acknowledged when it arrives, before the handlers ran: a crash between loses it (paho acknowledges by itself).
- It cannot tell a resumed session from a new one: every link is told as `connected`, every filter is asked for again, and
  retained messages come again with it. What an earlier run left under the same client id is taken over.
- What arrives faster than it is handled waits in a bounded queue; a full one drops the new message (`incoming_full`).
- Duplicates are not marked, and `stop` leaves the session to expire at the broker.
- What the broker refuses (access, size) is not known here: `refused` and `oversized` are never counted.
- A broker that closes the connection without a reason looks unreachable after a timeout, not refused.
- MQTT 3.1.1 knows neither expiry nor sessions that end: `expiry_s` does nothing there, and what was published while the
  link was down is missed.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from random import Random
from typing import Any, Final, Literal

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from bus.credentials import Credentials, check_scheme, tls_failure
from bus.dispatch import Dispatch
from bus.errors import BusError, Refused, Unreachable
from bus.link import Backoff, LinkSettings, parse_url
from bus.outbox import Outbox, Outgoing, deadline
from bus.routing import Route, Routes, check_topic
from bus.transport import Delivery, Handler, LinkHandler, QoS, TransportStats, Will

log = logging.getLogger(__name__)

Version = Literal["5", "3.1.1"]
_VERSIONS: Final = {"5": aiomqtt.ProtocolVersion.V5, "3.1.1": aiomqtt.ProtocolVersion.V311}
_FIRST_FAILURE: Final = 128
_QUIET: Final = 1_000_000  # pending calls before the library warns: the window bounds them here


class AiomqttTransport:
    """One connection to the bus through aiomqtt; see the module's text and the port's rules."""

    def __init__(
        self,
        url: str,
        *,
        client_id: str,
        will: Will | None = None,
        settings: LinkSettings | None = None,
        credentials: Credentials | None = None,
        version: Version = "5",
        rng: Random | None = None,
    ) -> None:
        self.settings = settings or LinkSettings()
        self._broker = parse_url(url)
        self._credentials = credentials
        check_scheme(self._broker, keys=credentials is not None)
        self._client_id, self._will, self._version = client_id, will, version
        self._stats = TransportStats()
        self._routes = Routes()
        self._outbox = Outbox(self.settings, self._stats)
        self._dispatch = Dispatch(client_id, self._stats)
        self._backoff = Backoff(self.settings.backoff_first_s, self.settings.backoff_most_s, rng or Random())
        self._connected = self._stopped = False
        self._to_send = asyncio.Event()
        self._acknowledged = asyncio.Event()
        self._runner: asyncio.Task[None] | None = None

    # The port ------------------------------------------------------------------------------------------------------

    @property
    def stats(self) -> TransportStats:
        self._stats.queue_depth = len(self._outbox)
        self._stats.in_flight = len(self._outbox.in_flight)
        return self._stats

    @property
    def connected(self) -> bool:
        return self._connected

    def subscribe(self, topic_filter: str, handler: Handler, qos: QoS = 0) -> None:
        self._routes.add(topic_filter, handler, qos)
        self._to_send.set()

    def on_link(self, handler: LinkHandler) -> None:
        self._dispatch.on_link(handler)

    def publish(self, topic: str, payload: bytes, *, qos: QoS = 0, retain: bool = False, expiry_s: int | None = None) -> bool:
        check_topic(topic)
        message = Outgoing(topic, payload, retain, deadline(expiry_s))
        if qos == 0 and not self._connected:
            self._stats.dropped["qos0_link_down"] += 1
            return False
        if self._stopped or not (self._outbox.accept_qos1(message) if qos else self._outbox.hold_qos0(message)):
            return False
        self._stats.published += 1
        self._stats.bytes_out += len(payload)
        self._to_send.set()
        return True

    async def start(self) -> None:
        if self._runner is not None or self._stopped:
            raise RuntimeError("a transport starts once")
        first: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._runner = asyncio.create_task(self._keep_connected(first), name=f"aiomqtt {self._client_id}")
        await asyncio.wait({first, self._runner}, return_when=asyncio.FIRST_COMPLETED)
        if not first.done():
            await self._runner  # it has failed for a reason of its own: let that be seen
        try:
            await first
        except BusError:
            self._runner = None
            raise

    def together(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()

    async def flush(self, timeout_s: float = 5.0) -> bool:
        try:
            async with asyncio.timeout(timeout_s):
                while self._outbox.unacknowledged:
                    self._acknowledged.clear()
                    await self._acknowledged.wait()
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
        self._connected = False
        if self._outbox.unacknowledged:
            log.warning("%s: stopped with %d messages not acknowledged", self._client_id, self._outbox.unacknowledged)
        self._dispatch.tell("closed")

    # The link ------------------------------------------------------------------------------------------------------

    async def _keep_connected(self, first: asyncio.Future[None]) -> None:
        """Connect, serve, and connect again, for as long as the transport lives; `first` takes the first outcome."""
        failures: set[str] = set()
        while True:
            since = time.monotonic()
            try:
                await self._serve(first)
            except BusError as error:
                if not first.done():
                    first.set_exception(error)
                    return
                if str(error) not in failures:
                    failures.add(str(error))
                    log.warning("%s: %s; trying again", self._client_id, error)
            else:
                failures.clear()
            if time.monotonic() - since > self.settings.backoff_most_s:
                self._backoff.reset()
            await asyncio.sleep(self._backoff.next_s())

    async def _serve(self, first: asyncio.Future[None]) -> None:
        """One link, from its making to its loss. Raises Unreachable or Refused where none could be made."""
        async with contextlib.AsyncExitStack() as stack:
            client = self._client()
            try:
                await stack.enter_async_context(client)
                await self._ask_for_all(client)
            except aiomqtt.exceptions.MqttConnectError as error:
                raise Refused(f"the broker at {self._broker} refused {self._client_id!r}: {error}") from None
            except aiomqtt.MqttError as error:
                unreachable = Unreachable(f"no broker at {self._broker}: {error}")
                raise tls_failure(error.__context__, self._broker, self._credentials) or unreachable from None
            self._connected = True
            if first.done():
                self._stats.reconnects += 1
            self._dispatch.tell("connected")
            if not first.done():
                first.set_result(None)
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._receive(client))
                    group.create_task(self._send(client, group))
            except* aiomqtt.MqttError as lost:
                log.warning("%s: link to %s lost: %s", self._client_id, self._broker, lost.exceptions[0])
            finally:
                self._connected = False
                self._outbox.link_lost()
                if not self._stopped:
                    self._dispatch.tell("lost")

    def _client(self) -> aiomqtt.Client:
        settings, broker = self.settings, self._broker
        will = self._will and aiomqtt.Will(self._will.topic, self._will.payload, qos=1, retain=True)
        options: dict[str, Any] = {"clean_session": True}
        if self._version == "5":
            session = _properties(PacketTypes.CONNECT)
            session.SessionExpiryInterval = settings.session_expiry_s
            session.MaximumPacketSize = settings.largest_packet
            options = {"clean_start": False, "properties": session}
        client = aiomqtt.Client(
            broker.host,
            broker.port,
            username=broker.username,
            password=broker.password,
            identifier=self._client_id,
            protocol=_VERSIONS[self._version],
            will=will,
            keepalive=settings.keepalive_s,
            timeout=settings.connect_timeout_s,
            tls_context=self._credentials.context if self._credentials else None,
            max_inflight_messages=settings.in_flight,
            queue_type=self._incoming_queue(),
            max_queued_incoming_messages=settings.incoming_queue,
            **options,
        )
        client.pending_calls_threshold = _QUIET
        return client

    def _incoming_queue(self) -> type[asyncio.Queue[aiomqtt.Message]]:
        """The library's queue, with what it would discard silently counted."""
        stats = self._stats

        class Counting(asyncio.Queue[aiomqtt.Message]):
            def put_nowait(self, item: aiomqtt.Message) -> None:
                if self.full():
                    stats.dropped["incoming_full"] += 1
                else:
                    super().put_nowait(item)

        return Counting

    async def _ask_for_all(self, client: aiomqtt.Client) -> None:
        self._routes.forget_grants()
        for route in self._routes.waiting():
            if not await self._ask_for(client, route):
                raise Refused(f"the broker at {self._broker} refuses the subscription to {route.topic_filter}")

    async def _ask_for(self, client: aiomqtt.Client, route: Route) -> bool:
        if self._version == "5":
            number = _properties(PacketTypes.SUBSCRIBE)
            number.SubscriptionIdentifier = route.number
            options = SubscribeOptions(qos=route.qos, retainAsPublished=False)
            codes = await client.subscribe(route.topic_filter, options=options, properties=number)
        else:
            codes = await client.subscribe(route.topic_filter, qos=route.qos)
        code = codes[0]
        route.granted = (code if isinstance(code, int) else code.value) < _FIRST_FAILURE
        return route.granted

    # Messages ------------------------------------------------------------------------------------------------------

    async def _send(self, client: aiomqtt.Client, group: asyncio.TaskGroup) -> None:
        outbox = self._outbox
        while True:
            self._to_send.clear()
            for route in self._routes.waiting():
                if not await self._ask_for(client, route):
                    log.error("%s: the broker refuses the subscription to %s", self._client_id, route.topic_filter)
            now_s = time.monotonic()
            while (message := outbox.next_qos1(now_s)) is not None:
                group.create_task(self._publish_qos1(client, message, now_s))
            while (message := outbox.next_qos0(now_s)) is not None:
                try:
                    await client.publish(message.topic, message.payload, 0, message.retain, self._expiry(message, now_s))
                except aiomqtt.MqttError:
                    self._stats.dropped["qos0_link_down"] += 1
                    raise
                if outbox.unacknowledged > len(outbox.in_flight) and len(outbox.in_flight) < outbox.window:
                    self._to_send.set()
                    break
            await self._to_send.wait()

    async def _publish_qos1(self, client: aiomqtt.Client, message: Outgoing, now_s: float) -> None:
        await client.publish(
            message.topic,
            message.payload,
            1,
            message.retain,
            self._expiry(message, now_s),
            timeout=float("inf"),  # the keepalive ends a dead link; a slow broker is not an error
        )
        self._outbox.acknowledge(message.packet_id)
        self._to_send.set()
        self._acknowledged.set()

    def _expiry(self, message: Outgoing, now_s: float) -> Properties | None:
        seconds = message.expiry_s(now_s)
        if seconds is None or self._version != "5":
            return None
        properties = _properties(PacketTypes.PUBLISH)
        properties.MessageExpiryInterval = seconds
        return properties

    async def _receive(self, client: aiomqtt.Client) -> None:
        routes = self._routes
        async for message in client.messages:
            delivery = Delivery(message.topic.value, message.payload, message.qos, message.retain)
            numbers = getattr(message.properties, "SubscriptionIdentifier", None)
            known = [routes.by_number[number] for number in numbers or () if number in routes.by_number]
            handlers = [h for route in known for h in route.handlers] if numbers else routes.handlers_for(delivery.topic)
            self._dispatch.deliver(delivery, handlers)


def _properties(packet_type: int) -> Properties:
    return Properties(packet_type)  # type: ignore[no-untyped-call]  # paho leaves this constructor untyped
