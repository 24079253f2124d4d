"""Processes that work for a benchmark: that they end with it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

_PROGRAM = """
import signal
import time
from bench.workers import workers

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # whatever started this may have it ignored
    with workers(2) as pool:
        for _ in range(8):
            pool.submit(time.sleep, 60.0)
        print(*pool._processes, flush=True)
"""


def _runs(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.mark.parametrize(("sent", "to_all"), [(signal.SIGKILL, False), (signal.SIGINT, True)], ids=["killed", "ctrl-c"])
def test_no_process_outlives_a_benchmark(tmp_path: Path, sent: signal.Signals, to_all: bool) -> None:
    """They went on for a quarter of an hour, each on a processor of its own; with Ctrl-C they began the next task."""
    program = tmp_path / "program.py"
    program.write_text(_PROGRAM)
    with subprocess.Popen(
        [sys.executable, str(program)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True
    ) as benchmark:
        assert benchmark.stdout is not None
        processes = [int(pid) for pid in benchmark.stdout.readline().split()]
        assert len(processes) == 2
        time.sleep(1.0)  # they are at work
        (os.killpg if to_all else os.kill)(benchmark.pid, sent)
    until = time.monotonic() + 20.0
    while any(map(_runs, processes)) and time.monotonic() < until:
        time.sleep(0.1)
    left = [pid for pid in processes if _runs(pid)]
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert not left
