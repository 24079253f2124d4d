"""The command line as children of a test, and what they tell of themselves."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def triwarn(*arguments: str, **options: Any) -> Iterator[subprocess.Popen[str]]:
    """The command line as a child, killed at the end whatever happens."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bench", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        **options,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def finished(process: subprocess.Popen[str], within_s: float = 240.0) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=within_s)
    return process.returncode, out, err


def eventually(done: Callable[[], bool], what: str, within_s: float = 60.0) -> None:
    deadline = time.monotonic() + within_s
    while not done():
        assert time.monotonic() < deadline, f"{what} did not happen within {within_s} s"
        time.sleep(0.02)


def everyone_was_warned(result: dict[str, Any]) -> bool:
    return all(
        warned["confirmed_after_s"] is not None for launch in result["launches"] for warned in launch["recipients"].values()
    )


def children_of(parent: int) -> list[int]:
    """The process ids below `parent`, at any depth."""
    listed = subprocess.run(["ps", "-e", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout.split()
    pairs = list(zip(map(int, listed[::2]), map(int, listed[1::2]), strict=True))
    below, known = [], {parent}
    for pid, above in sorted(pairs):
        if above in known:
            known.add(pid)
            below.append(pid)
    return below


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return bool(state) and not state.startswith("Z")


def sample(name: str, exported: str) -> float:
    return float(next(line.split()[-1] for line in exported.splitlines() if line.startswith(f"{name} ")))


def page(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5.0) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, ""
    except OSError:
        return 0, ""
