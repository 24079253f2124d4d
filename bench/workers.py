"""Processes that work for a benchmark side by side. They end with it, however it ends."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from concurrent.futures import ProcessPoolExecutor


def workers(count: int) -> ProcessPoolExecutor:
    """A pool of fresh processes: none inherits threads, or what was computed before."""
    return ProcessPoolExecutor(count, multiprocessing.get_context("spawn"), initializer=_end_with_parent)


def _end_with_parent() -> None:
    """Ctrl-C is for all at once: an exception would be sent to the parent as what a task found, and the next task begun."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    threading.Thread(target=_wait, daemon=True).start()


def _wait() -> None:
    """A pool's process has its parent's end of the queue too, and would wait in it for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
