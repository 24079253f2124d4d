"""Running a service: the event loop, and the garbage collector kept out of the way.

uvloop where there is one, the standard loop elsewhere: at 100 alerts a second it takes a fifth off the way of an alert. What a
service has built by the time it is ready lives as long as it does, so the collector need never look at it again; and it looks
at the rest less often, because a full collection is a pause.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import Callable, Coroutine
from typing import Final

_new_loop: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
with contextlib.suppress(ImportError):
    import uvloop

    _new_loop = uvloop.new_event_loop

_THRESHOLDS: Final = (20_000, 20, 100)


def run_service(main: Coroutine[None, None, None]) -> None:
    """Run a service to its end."""
    collect_seldom()
    with asyncio.Runner(loop_factory=_new_loop) as runner:
        runner.run(main)


def collect_seldom() -> None:
    """From now on the collector looks at this process as seldom as at a service."""
    gc.set_threshold(*_THRESHOLDS)


def settle() -> None:
    """Call once ready: what is alive now is left out of all further collections."""
    gc.collect()
    gc.freeze()
