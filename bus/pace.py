"""Waiting for an instant of wall time, to better than the event loop's millisecond."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

_NAP_BELOW_S: Final = 0.003  # the timers of a loop are up to 2 ms late: nearer than this the process itself naps
_SPIN_BELOW_S: Final = 0.00015  # and a nap oversleeps by some 60 us: nearer than this it looks at the clock
_LONGEST_SLEEP_S: Final = 0.5


async def until_wall(due_ns: int, interrupted: Callable[[], bool] = lambda: False) -> bool:
    """Wait until wall time is `due_ns`; at once where it is past. False as soon as `interrupted()` says so.

    For the last three milliseconds it holds the loop: for processes that have nothing else to do then.
    """
    while True:
        if interrupted():
            return False
        left_s = (due_ns - time.time_ns()) / 1e9
        if left_s > _NAP_BELOW_S:
            await asyncio.sleep(min(left_s - _NAP_BELOW_S, _LONGEST_SLEEP_S))
        else:
            await asyncio.sleep(0.0)
            block_until(due_ns)
            return True


def block_until(due_ns: int) -> None:
    """The same for a process without a loop."""
    left_s = (due_ns - time.time_ns()) / 1e9
    if left_s > _SPIN_BELOW_S:
        time.sleep(left_s - _SPIN_BELOW_S)
    while time.time_ns() < due_ns:
        pass
