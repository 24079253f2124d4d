"""Waiting for an instant of wall time, to better than the event loop's millisecond."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

_YIELD_BELOW_S: Final = 0.0015  # the loop's timers are a millisecond coarse: nearer than this, give way and look again
_LONGEST_SLEEP_S: Final = 0.5


async def until_wall(due_ns: int, interrupted: Callable[[], bool] = lambda: False) -> bool:
    """Wait until wall time is `due_ns`; at once where it is past. False as soon as `interrupted()` says so."""
    while True:
        if interrupted():
            return False
        left_s = (due_ns - time.time_ns()) / 1e9
        if left_s <= 0.0:
            return True
        await asyncio.sleep(0.0 if left_s < _YIELD_BELOW_S else min(left_s - _YIELD_BELOW_S, _LONGEST_SLEEP_S))
