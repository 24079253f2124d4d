"""Brokers that tests start: a real Mosquitto, and a gate in front of any broker that can be shut."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from bus.broker import free_port, wait_for_port

MOSQUITTO: Final = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
NO_MOSQUITTO: Final = "mosquitto is not installed"

# Valid on 2.0 and 2.1 alike. Unlimited queues: what the broker drops for a slow subscriber is not what these tests are about.
_CONFIG: Final = """\
listener {port} 127.0.0.1
set_tcp_nodelay true
max_queued_messages 0
max_inflight_messages 100
sys_interval 0
{extra}
"""
ANONYMOUS: Final = "allow_anonymous true"
CLOSED: Final = "allow_anonymous false"
DURABLE: Final = "persistence true\npersistence_location {folder}/\nautosave_on_changes true\nautosave_interval 1"


class MosquittoBroker:
    """A Mosquitto on a free loopback port, with its own configuration; gone on exit."""

    def __init__(self, *extra: str) -> None:
        self.port = free_port()
        self._extra = extra or (ANONYMOUS,)
        self._folder = tempfile.TemporaryDirectory(prefix="triwarn-mosquitto-")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    def start(self) -> Self:
        assert MOSQUITTO is not None, NO_MOSQUITTO
        folder = Path(self._folder.name)
        folder.chmod(0o777)  # started as root, Mosquitto becomes another user before it writes here
        config = folder / "mosquitto.conf"
        config.write_text(_CONFIG.format(port=self.port, extra="\n".join(self._extra).format(folder=folder)))
        self._process = subprocess.Popen([MOSQUITTO, "-c", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for_port(self.port, self._process, "mosquitto")
        return self

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        self.kill()
        self._folder.cleanup()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()


class Gate:
    """A TCP relay in front of a broker: `shut` cuts every connection and refuses new ones, `stall` lets nothing through."""

    def __init__(self, broker_port: int) -> None:
        self._broker_port = broker_port
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._flowing = asyncio.Event()
        self.port = free_port()

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    async def open(self) -> None:
        self._flowing.set()
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)

    def stall(self) -> None:
        self._flowing.clear()

    async def shut(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in list(self._writers):
            writer.transport.abort()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._broker_port)
        except OSError:
            writer.transport.abort()
            return
        self._writers.add(far_writer)
        for source, sink in ((reader, far_writer), (far_reader, writer)):
            task = asyncio.create_task(self._relay(source, sink))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _relay(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(65_536):
                await self._flowing.wait()
                sink.write(data)
                await sink.drain()
        sink.close()
        self._writers.discard(sink)
