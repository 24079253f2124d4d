"""Whether a process of ours is ready, asked at its own endpoint: `python -m bus.health`, a container's health check.

It runs every few seconds beside each process, so it imports next to nothing: a socket, and one request by hand.
"""

from __future__ import annotations

import os
import socket
import sys
from typing import Final

_PORT: Final = "TRIWARN_ENDPOINT__PORT"  # the setting of the process that is asked
_TIMEOUT_S: Final = 2.0


def ask_ready(port: int, host: str = "127.0.0.1") -> tuple[bool, str]:
    """Whether the process at that port says that it is ready, and its words, or why it says nothing."""
    try:
        with socket.create_connection((host, port), _TIMEOUT_S) as connection:
            connection.sendall(b"GET /ready HTTP/1.0\r\n\r\n")
            answer = b"".join(iter(lambda: connection.recv(4096), b""))
    except OSError as error:
        return False, f"nothing answers at {host}:{port}: {error.strerror or error}"
    head, _, body = answer.partition(b"\r\n\r\n")
    return head.split(b" ", 2)[1:2] == [b"200"], body.decode(errors="replace").strip()


def main() -> int:
    """The exit code: 0 ready, 1 not, 2 where no port is told."""
    port = os.environ.get(_PORT, "")
    if not port.isdecimal():
        print(f"{_PORT} is not set to a port", file=sys.stderr)
        return 2
    ready, words = ask_ready(int(port))
    print(words)
    return 0 if ready else 1


if __name__ == "__main__":
    sys.exit(main())
