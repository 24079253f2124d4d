"""The embedded broker: a real MQTT 5 broker (rumqttd, by way of `iotcore`) in a child process, for when none is given.

It listens on the loopback alone, on a free port, and dies with the process that made it. Its limits, as found in its source
and by the contract suite:

- Sessions, retained messages and what waits for a subscriber are in memory: nothing outlives its process.
- A session is kept until the process ends, whatever its expiry; one begun with "clean start" is never kept.
- A message arrives at the QoS of the subscription, even above its own. Message expiry is honoured, to the second.
- A subscriber that falls behind by more than a filter's log (128 MB) loses the oldest, QoS 1 too.
- At most 100 retained messages reach a new QoS 1 subscription, 1000 a QoS 0 one. Any empty payload clears what was retained.
- A refused client gets no reason, its connection is just closed. There are no credentials and no access list here.
- It speaks MQTT 5 alone.

For anything that must survive or be kept apart, run Mosquitto.

Run as a module (`python -m bus.broker CONFIG`) it is that child.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from bus.errors import Unreachable

_START_S: Final = 15.0
_POLL_S: Final = 0.02
_SEGMENT_BYTES: Final = 2**24
_CONFIG: Final = """\
id = 0
[router]
id = 0
max_connections = 1024
# Messages handed to one subscriber at a time.
max_outgoing_packet_count = 1000
# The log of each filter holds this much; a subscriber further behind than that loses the oldest, QoS 1 too.
max_segment_size = {segment_bytes}
max_segment_count = 8
[v5.1]
name = "loopback"
listen = "127.0.0.1:{port}"
next_connection_delay_ms = 1
[v5.1.connections]
connection_timeout_ms = 5000
max_payload_size = 4194304
max_inflight_count = 200
dynamic_filters = true
"""


def free_port() -> int:
    """A loopback TCP port that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def check_port(port: int) -> None:
    """Unreachable where something listens on the loopback port already: it would be mistaken for ours."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=0.5):
        raise Unreachable(f"port {port} is taken: something listens there already")


def wait_for_port(port: int, process: subprocess.Popen[bytes], name: str, within_s: float = _START_S) -> None:
    """Until something accepts on the loopback port. Unreachable when the process ends first, or time runs out."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise Unreachable(f"{name} ended with code {process.returncode} before it listened on port {port}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=0.5):
            return
        time.sleep(_POLL_S)
    raise Unreachable(f"{name} did not listen on port {port} within {within_s:g} s")


class EmbeddedBroker:
    """The embedded broker as a context manager: started on entry, gone on exit."""

    def __init__(self, port: int | None = None) -> None:
        self.port = port or free_port()
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> Self:
        """Start the child and return once it accepts connections. Raises Unreachable where it does not."""
        if self.running:
            return self
        check_port(self.port)
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="triwarn-broker-")
        config = Path(self._folder.name) / "broker.toml"
        config.write_text(_CONFIG.format(port=self.port, segment_bytes=_SEGMENT_BYTES), encoding="utf-8")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bus.broker", str(config)],
            stdin=subprocess.PIPE,  # the child ends when this pipe closes, however its parent ended
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for the parent: it ends the broker last
            cwd=Path(__file__).resolve().parent.parent,
        )
        try:
            wait_for_port(self.port, self._process, "the embedded broker")
        except Unreachable:
            self.stop()
            raise
        return self

    def kill(self) -> None:
        """End it at once and without warning (SIGKILL). `start` brings it back on the same port, empty."""
        if self._process is not None:
            self._process.kill()
            self._reap()

    def stop(self) -> None:
        """End it and remove its files. Safe to call twice."""
        if self._process is not None:
            self._process.terminate()
            self._reap()
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def _reap(self) -> None:
        assert self._process is not None
        try:
            self._process.wait(timeout=5.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()


def _serve(config: str) -> None:
    """The child: serve until the parent closes our standard input, or a signal ends us."""
    from iotcore import Broker

    def end_with_parent() -> None:
        sys.stdin.buffer.read()
        os._exit(0)

    threading.Thread(target=end_with_parent, daemon=True).start()
    Broker(config_path=config).run_forever()


if __name__ == "__main__":
    _serve(sys.argv[1])
