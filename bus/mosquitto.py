"""A Mosquitto of one's own: started on a free loopback port with a temporary configuration, gone with the process that made it.

`MosquittoBroker` is open to everybody, for benchmarks and tests; `SecuredMosquitto` speaks TLS 1.3 alone, lets in who shows a
certificate of the key folder's authority, takes its common name for who it is, and holds it to an access list.

The configurations are valid on 2.0, and by its manual on 2.1. Their queues are unlimited, so that what is measured or tested is
the client: a broker that should protect itself from slow subscribers wants limits.

Run as a module (`python -m bus.mosquitto CONFIG`) it is the child that ends Mosquitto when its parent ends.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from bus.broker import check_port, free_port, wait_for_port
from bus.errors import Unreachable
from bus.private import OWNER_ONLY, PUBLIC, replace_file, write_new
from bus.security import BROKER, key_files

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

    scheme = "mqtt"
    _config_mode = PUBLIC  # started as root, it reads it as another user

    def __init__(self, extra: tuple[str, ...] = ANONYMOUS, port: int | None = None) -> None:
        self.port = port or free_port()
        self._extra = extra
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def start(self) -> Self:
        """Start it and return once it accepts connections. Raises Unreachable where it is not installed or does not start."""
        if MOSQUITTO is None:
            raise Unreachable(NO_MOSQUITTO)
        check_port(self.port)
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="triwarn-mosquitto-")
        folder = Path(self._folder.name)
        config, said = folder / "mosquitto.conf", folder / "mosquitto.log"
        text = _CONFIG.format(port=self.port) + "\n".join(self._lines(folder)) + "\n"
        replace_file(config, text.encode(), self._config_mode)
        with said.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "bus.mosquitto", str(config)],
                stdin=subprocess.PIPE,  # the child ends when this pipe closes, however its parent ended
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for the parent: it ends the broker last
                cwd=Path(__file__).resolve().parent.parent,
            )
        try:
            wait_for_port(self.port, self._process, "mosquitto")
        except Unreachable as error:
            words = said.read_text(errors="replace").strip().splitlines()
            self.stop()
            raise Unreachable(f"{error}: {'; '.join(words[-2:])}" if words else str(error)) from None
        return self

    def _lines(self, folder: Path) -> tuple[str, ...]:
        """The lines that close the configuration; what they need is in the folder."""
        folder.chmod(0o755)  # started as root, it becomes another user and reads again on a signal
        return self._extra

    def kill(self) -> None:
        """End it at once (SIGKILL). `start` brings it back on the same port, empty."""
        if self._process is not None:
            assert self._process.stdin is not None
            self._process.stdin.close()  # the child kills it, and ends once it is gone
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        """End it and remove its files. Safe to call twice."""
        self.kill()
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()


class SecuredMosquitto(MosquittoBroker):
    """A Mosquitto with the broker's certificate of a key folder, and an access list where one is given.

    It runs as who starts it, root too: nobody else may read its key.
    """

    scheme = "mqtts"
    _config_mode = OWNER_ONLY  # its bridges' client ids are secret

    def __init__(self, keys: Path, access: str | None, extra: tuple[str, ...] = (), port: int | None = None) -> None:
        super().__init__((*secured(keys), *extra), port)
        self._access = access

    def _lines(self, folder: Path) -> tuple[str, ...]:
        if self._access is None:
            return self._extra
        path = folder / "access.list"
        path.unlink(missing_ok=True)  # of an earlier start
        write_new(path, self._access.encode())
        return (*self._extra, f"acl_file {path}")


def secured(keys: Path) -> tuple[str, ...]:
    """The lines of a listener on TLS 1.3 alone, to which a certificate says who comes; no other way in."""
    files = key_files(keys.resolve(), BROKER)
    return (
        *(("user root",) if os.geteuid() == 0 else ()),
        *CLOSED,
        f"cafile {files.authority}",
        f"certfile {files.certificate}",
        f"keyfile {files.key}",
        "tls_version tlsv1.3",
        "require_certificate true",
        "use_identity_as_username true",
    )


def _serve(config: str) -> None:
    """The child: Mosquitto runs until the parent closes our standard input, or it ends by itself."""
    assert MOSQUITTO is not None
    mosquitto = subprocess.Popen([MOSQUITTO, "-c", config], stdin=subprocess.DEVNULL)

    def end_with_parent() -> None:
        sys.stdin.buffer.read()
        mosquitto.kill()

    threading.Thread(target=end_with_parent, daemon=True).start()
    code = mosquitto.wait()
    os._exit(code if code >= 0 else 1)  # at once: the thread that waits holds standard input


if __name__ == "__main__":
    _serve(sys.argv[1])
