"""A Mosquitto of one's own: started on a free loopback port with a temporary configuration, for benchmarks and tests.

The configuration is valid on 2.0 and 2.1 alike. Its queues are unlimited, so that what is measured or tested is the client: a
broker that should protect itself from slow subscribers wants limits, as in docker/.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from bus.broker import check_port, free_port, wait_for_port
from bus.errors import Unreachable

_SYSTEM_FOLDERS: Final = "/usr/sbin:/usr/local/sbin:/opt/homebrew/sbin"  # not on everybody's path
MOSQUITTO: Final = shutil.which("mosquitto") or shutil.which("mosquitto", path=_SYSTEM_FOLDERS)
NO_MOSQUITTO: Final = "mosquitto is not installed"

ANONYMOUS: Final = ("allow_anonymous true",)
CLOSED: Final = ("allow_anonymous false",)

_CONFIG: Final = """\
listener {port} 127.0.0.1
set_tcp_nodelay true
max_queued_messages 0
max_inflight_messages 100
sys_interval 0
persistence false
"""


class MosquittoBroker:
    """A Mosquitto as a context manager; `extra` lines close its configuration."""

    def __init__(self, extra: tuple[str, ...] = ANONYMOUS, port: int | None = None) -> None:
        self.port = port or free_port()
        self._extra = extra
        self._folder = tempfile.TemporaryDirectory(prefix="triwarn-mosquitto-")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    def start(self) -> Self:
        """Start it and return once it accepts connections. Raises Unreachable where it is not installed or does not start."""
        if MOSQUITTO is None:
            raise Unreachable(NO_MOSQUITTO)
        check_port(self.port)
        config = Path(self._folder.name) / "mosquitto.conf"
        config.write_text(_CONFIG.format(port=self.port) + "\n".join(self._extra) + "\n", encoding="utf-8")
        Path(self._folder.name).chmod(0o755)  # started as root, it becomes another user and reads again on a signal
        self._process = subprocess.Popen(
            [MOSQUITTO, "-c", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        try:
            wait_for_port(self.port, self._process, "mosquitto")
        except Unreachable:
            self.kill()
            raise
        return self

    def kill(self) -> None:
        """End it at once (SIGKILL). `start` brings it back on the same port, empty."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        """End it and remove its files. Safe to call twice."""
        self.kill()
        self._folder.cleanup()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()
