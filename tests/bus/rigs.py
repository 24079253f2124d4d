"""What the contract suite runs on: every adapter on every broker, behind one small face.

LIMITS is the one place where a combination is let off a claim, with the reason.
"""

from __future__ import annotations

import asyncio
import itertools
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from typing import Final, Protocol

from bus.aiomqtt import AiomqttTransport
from bus.credentials import Credentials
from bus.link import LinkSettings
from bus.memory import MemoryBus, MemoryTransport
from bus.mqtt import MqttTransport
from bus.transport import Delivery, Transport, Will
from tests.bus.gate import Gate

QUICK: Final = LinkSettings(backoff_first_s=0.02, backoff_most_s=0.2, connect_timeout_s=5.0)
PATIENCE_S: Final = 15.0

# (adapter, broker) -> claim -> why it is let off. "*" stands for any.
LIMITS: Final[dict[tuple[str, str], dict[str, str]]] = {
    ("aiomqtt", "*"): {"tells resumed": "the library does not say whether the broker still had the session"},
    ("aiomqtt-3.1.1", "*"): {
        "tells resumed": "as aiomqtt",
        "keeps sessions": "a session of MQTT 3.1.1 ends with its link or never: it is asked to end",
    },
    ("memory", "*"): {
        "restart": "there is no broker to kill",
        "unreachable": "there is nothing to reach",
        "overflow": "delivery is synchronous: nothing ever waits",
    },
    ("*", "embedded"): {"qos kept": "rumqttd delivers at the subscription's QoS, even above the publisher's"},
}


def limit(adapter: str, broker: str, claim: str) -> str | None:
    """Why this combination is let off the claim; None where it is not."""
    for key in ((adapter, broker), (adapter, "*"), ("*", broker)):
        if claim in LIMITS.get(key, {}):
            return LIMITS[key][claim]
    return None


class Adapter(Protocol):
    def __call__(
        self, url: str, *, client_id: str, will: Will | None, settings: LinkSettings, credentials: Credentials | None = None
    ) -> Transport: ...


ADAPTERS: Final[dict[str, Adapter]] = {
    "mqtt": MqttTransport,
    "aiomqtt": AiomqttTransport,
    "aiomqtt-3.1.1": partial(AiomqttTransport, version="3.1.1"),
}


class RealBroker(Protocol):
    port: int

    @property
    def url(self) -> str: ...

    def start(self) -> object: ...

    def kill(self) -> None: ...

    def stop(self) -> None: ...


class Inbox:
    """A handler that keeps what it gets, and can be waited on."""

    def __init__(self) -> None:
        self.got: list[Delivery] = []
        self._came = asyncio.Event()

    def __call__(self, delivery: Delivery) -> None:
        self.got.append(delivery)
        self._came.set()

    @property
    def payloads(self) -> list[bytes]:
        return [delivery.payload for delivery in self.got]

    async def until(self, enough: Callable[[], bool]) -> None:
        """Until `enough()`, looked at after every arrival. TimeoutError after PATIENCE_S."""
        async with asyncio.timeout(PATIENCE_S):
            while not enough():
                self._came.clear()
                await self._came.wait()

    async def count(self, n: int) -> list[Delivery]:
        await self.until(lambda: len(self.got) >= n)
        return self.got


async def until(true: Callable[[], bool], within_s: float = PATIENCE_S) -> None:
    """Until a condition that nothing announces holds."""
    async with asyncio.timeout(within_s):
        while not true():  # noqa: ASYNC110  nothing sets an event when a counter moves
            await asyncio.sleep(0.002)


class Rig(ABC):
    """One adapter on one broker. Topics are its own, transports are stopped at the end."""

    _numbers = itertools.count(1)

    def __init__(self, adapter: str, broker: str) -> None:
        self.adapter, self.broker = adapter, broker
        self.number = next(self._numbers)
        self.made: list[Transport] = []

    def __str__(self) -> str:
        return f"{self.adapter} on {self.broker}"

    def topic(self, name: str) -> str:
        return f"test/{self.number}/{name}"

    def limit(self, claim: str) -> str | None:
        return limit(self.adapter, self.broker, claim)

    def make(self, name: str, will: Will | None = None, settings: LinkSettings = QUICK, *, gated: bool = False) -> Transport:
        transport = self._make(f"rig{self.number}-{name}", will, settings, gated)
        self.made.append(transport)
        return transport

    async def started(
        self, name: str, will: Will | None = None, settings: LinkSettings = QUICK, *, gated: bool = False
    ) -> Transport:
        transport = self.make(name, will, settings, gated=gated)
        await transport.start()
        return transport

    @abstractmethod
    def _make(self, client_id: str, will: Will | None, settings: LinkSettings, gated: bool) -> Transport:
        """A transport of this rig."""

    @abstractmethod
    async def cut(self, transport: Transport) -> None:
        """Cut the link of a gated transport, until `restore`."""

    @abstractmethod
    async def restore(self, transport: Transport) -> None:
        """Let a link that was cut come back."""

    async def vanish(self, transport: Transport) -> None:
        """The process of a gated transport is gone."""
        await self.cut(transport)

    async def close(self) -> None:
        for transport in self.made:
            await transport.stop()


class MemoryRig(Rig):
    def __init__(self) -> None:
        super().__init__("memory", "memory")
        self._bus = MemoryBus()

    def _make(self, client_id: str, will: Will | None, settings: LinkSettings, gated: bool) -> MemoryTransport:
        return self._bus.transport(client_id, will, settings)

    async def cut(self, transport: Transport) -> None:
        assert isinstance(transport, MemoryTransport)
        transport.cut()

    async def restore(self, transport: Transport) -> None:
        assert isinstance(transport, MemoryTransport)
        transport.restore()

    async def vanish(self, transport: Transport) -> None:
        assert isinstance(transport, MemoryTransport)
        transport.vanish()


class BrokerRig(Rig):
    """Over a real broker; every gated transport goes through the one gate."""

    def __init__(self, adapter: str, broker_name: str, broker: RealBroker, credentials: Credentials | None = None) -> None:
        super().__init__(adapter, broker_name)
        self.real, self._credentials = broker, credentials
        self.gate = Gate(broker.port)

    def _make(self, client_id: str, will: Will | None, settings: LinkSettings, gated: bool) -> Transport:
        url = self.real.url.replace(str(self.real.port), str(self.gate.port)) if gated else self.real.url
        return ADAPTERS[self.adapter](url, client_id=client_id, will=will, settings=settings, credentials=self._credentials)

    async def cut(self, transport: Transport) -> None:
        await self.gate.shut()
        await until(lambda: not transport.connected)

    async def restore(self, transport: Transport) -> None:
        await self.gate.open()
        await until(lambda: transport.connected)

    async def close(self) -> None:
        await super().close()
        await self.gate.shut()
