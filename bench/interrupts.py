"""Ctrl-C and SIGTERM during a run: what they mean depends on how far it has come.

Before anything runs there is nothing to report, and the compiler takes no exceptions: the program leaves at once. While the
exercise runs they stop it, and the report of what happened so far follows. While that is made, the first is taken to be meant for
the exercise that has ended already; a second one leaves without a report. The exit code is 130.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any, Final, Literal

INTERRUPTED: Final = 130
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)

Stage = Literal["preparing", "running", "reporting"]


class Interrupts:
    """A context manager that holds the two signals' handlers for a run; set `stage` as the run comes along."""

    def __init__(self) -> None:
        self.stage: Stage = "preparing"
        self._stopped = self._warned = False
        self._on_stop: Callable[[], object] = lambda: None
        self._before: list[Any] = []

    def __enter__(self) -> Interrupts:
        self._before = [signal.signal(number, self._take) for number in _SIGNALS]
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in zip(_SIGNALS, self._before, strict=True):
            signal.signal(number, handler)

    def stopped(self) -> bool:
        """Whether the exercise was stopped."""
        return self._stopped

    @property
    def asked(self) -> bool:
        """Whether a signal has come at all, to the exercise or while its report was made."""
        return self._stopped or self._warned

    def on_stop(self, call: Callable[[], object]) -> None:
        """Call this when the exercise is stopped; at once if it is already."""
        self._on_stop = call
        if self._stopped:
            call()

    def _take(self, number: int, frame: FrameType | None) -> None:
        if self.stage == "running":
            self._stopped = True
            self._on_stop()
        elif self.stage == "preparing":
            _leave("stopped before the exercise began")
        elif self._warned:
            _leave("left without a report")
        else:
            self._warned = True
            _say("the exercise has ended; the report is being made (once more to leave without it)")


def _say(what: str) -> None:
    os.write(sys.stderr.fileno(), f"\ntriwarn: {what}\n".encode())


def _leave(why: str) -> None:
    _say(why)
    os._exit(INTERRUPTED)
