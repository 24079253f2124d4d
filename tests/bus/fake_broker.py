"""A broker that does exactly what a test tells it to, and what no real one would."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Self

import mqtt5

from bus.broker import free_port

Script = Callable[["Session"], Awaitable[None]]


class Session:
    """One client's connection, packet by packet."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self.writer = reader, writer
        self._held = b""

    async def next(self, kind: type | None = None) -> Any:
        """The client's next packet (of that kind, others passed over)."""
        while True:
            try:
                packet, used = mqtt5.read(memoryview(self._held))
            except IndexError:
                data = await self._reader.read(65_536)
                if not data:
                    raise ConnectionError("the client is gone") from None
                self._held += data
                continue
            self._held = self._held[used:]
            if kind is None or isinstance(packet, kind):
                return packet

    def send(self, *packets: Any) -> None:
        self.writer.write(b"".join(packet if isinstance(packet, bytes) else packet.write() for packet in packets))

    async def greet(self, **connack: Any) -> mqtt5.ConnectPacket:
        """Let the client in."""
        hello: mqtt5.ConnectPacket = await self.next(mqtt5.ConnectPacket)
        self.send(mqtt5.ConnAckPacket(**connack))
        return hello

    async def grant(self) -> mqtt5.SubscribePacket:
        """Grant the next subscription."""
        asked: mqtt5.SubscribePacket = await self.next(mqtt5.SubscribePacket)
        self.send(mqtt5.SubAckPacket(asked.packet_id, [mqtt5.SubAckReasonCode.GRANTED_QOS_AT_LEAST_ONCE]))
        return asked


class FakeBroker:
    """Plays one script a connection, in turn; the last one for every further connection."""

    def __init__(self, *scripts: Script) -> None:
        self._scripts = list(scripts)
        self.port = free_port()
        self.connections = 0
        self.failures: list[BaseException] = []
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self.failures:
            raise self.failures[0]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        script = self._scripts[min(self.connections, len(self._scripts) - 1)]
        self.connections += 1
        try:
            await script(Session(reader, writer))
        except (ConnectionError, asyncio.CancelledError):
            pass
        except Exception as error:
            self.failures.append(error)
        finally:
            writer.close()
            self._tasks.discard(task)
