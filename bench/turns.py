"""An exercise again and again: for how long, with which seeds, and what is told of each. Pure but for the clock.

Each turn is an exercise of its own, with the next seed, scored by itself. The last one is played to its end.
"""

from __future__ import annotations

import re
import statistics
import time
from collections.abc import Iterator
from typing import Final

from bench.report import number
from bench.result import Result
from bus.errors import BadInput
from bus.release import NATIONS

_UNITS_S: Final = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)([smhd])")


def duration_s(text: str) -> float:
    """Seconds of a duration like `90s`, `15m`, `24h`, `2d`."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise BadInput("flag --for", "for", f"{text!r} is no duration", "a number with s, m, h or d behind it, like 24h")
    return float(match[1]) * _UNITS_S[match[2]]


def turns(seed: int, for_s: float | None) -> Iterator[int]:
    """The seed of each turn: one where no time is given, else as many as begin in it."""
    until_s = time.monotonic() + (for_s or 0.0)
    yield seed
    while time.monotonic() < until_s:
        seed += 1
        yield seed


class Tally:
    """What all turns came to, without the turns."""

    def __init__(self) -> None:
        self.turns = self.launches = self.missed = self.false = 0

    def line(self, result: Result) -> str:
        """Count a turn; what it came to, in a line."""
        self.turns += 1
        self.launches += len(result.launches)
        self.missed += result.alerts.missed
        self.false += result.alerts.false
        warned = []
        for nation in NATIONS:
            each = [launch.recipients[nation].warned_after_s for launch in result.launches if nation in launch.recipients]
            known = [value for value in each if value is not None]
            warned.append(f"{nation} {number(statistics.median(known) if known else None)}")
        ended = "" if result.complete else ", NOT COMPLETE"
        return (
            f"seed {result.seed}: {result.alerts.missed} missed, {result.alerts.false} false, warned after {', '.join(warned)} s "
            f"(medians), p99 {number(result.stages.total_ms.p99)} ms, {result.wall_s:.1f} s of wall time{ended}"
        )

    def total(self) -> str:
        """What they came to together."""
        return f"{self.turns} exercises of {self.launches} launches: {self.missed} missed, {self.false} false."
