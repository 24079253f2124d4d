"""Compiles every kernel that an exercise takes, of the feeds and of fusion side by side: two cores share the work.

What is compiled stays in the kernels' cache, and a mark beside it says that all is there: then loading is all there is to do.
`python -m bench.kernels` does it ahead of a first start.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Final

import numba

from bench.world import play_out
from fusion.warm import warm_up
from sensors.scenario import load_scenario

_FEEDS: Final = "feeds"
_PLAYED: Final = ("overflight", "salvo-2024-05-30")  # every kind of sensor and every phase; many at once


def make_ready() -> None:
    """Compile what is not compiled yet, and load the kernels of fusion."""
    mark = Path(numba.config.CACHE_DIR) / "all-compiled"  # type: ignore[attr-defined]
    if mark.exists():
        warm_up()
        return
    feeds = subprocess.Popen(
        [sys.executable, "-m", "bench.kernels", _FEEDS],
        stdin=subprocess.PIPE,  # the child ends when this pipe closes, however its parent ended
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C is for the parent
    )
    with feeds:
        warm_up()
        feeds.wait()
    if feeds.returncode == 0:
        mark.touch()


def _compile_feeds() -> None:
    """The child: kernels of flights, sensors, trackers and scoring."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    for name in _PLAYED:
        play_out(load_scenario(name), 1, scored=True)
    os._exit(0)  # at once: the thread that waits holds standard input


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    os._exit(1)


if __name__ == "__main__":
    _compile_feeds() if sys.argv[1:] == [_FEEDS] else make_ready()
