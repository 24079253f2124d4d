"""Clocks: the one place where time comes from. Everything else is handed one.

Scenario time and wall time are both int64 ns since the Unix epoch. `now_ns` is scenario time, `wall_ns` wall time. On the
simulated clock there is no wall time: `wall_ns` is 0, and every machine time taken from it is null.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Protocol


class Clock(Protocol):
    """Scenario time and wall time."""

    def now_ns(self) -> int: ...

    def wall_ns(self) -> int: ...

    def wall_at(self, scenario_ns: int) -> int:
        """The wall instant at which scenario time is (or was) `scenario_ns`."""


class WallClock:
    """Scenario time is wall time: a process outside any exercise."""

    def now_ns(self) -> int:
        return time.time_ns()

    def wall_ns(self) -> int:
        return time.time_ns()

    def wall_at(self, scenario_ns: int) -> int:
        return scenario_ns


@dataclass(frozen=True, slots=True)
class ScaledClock:
    """Scenario time runs `speed` times as fast as wall time, from a shared start."""

    start_ns: int
    start_wall_ns: int
    speed: float

    def now_ns(self) -> int:
        return self.scenario_at(time.time_ns())

    def scenario_at(self, wall_ns: int) -> int:
        """The scenario instant at a wall time."""
        return self.start_ns + int((wall_ns - self.start_wall_ns) * self.speed)

    def wall_ns(self) -> int:
        return time.time_ns()

    def wall_at(self, scenario_ns: int) -> int:
        return self.start_wall_ns + int((scenario_ns - self.start_ns) / self.speed)


@dataclass(slots=True)
class SimulatedClock:
    """Scenario time stands where it was put; there is no wall time."""

    at_ns: int = 0

    def now_ns(self) -> int:
        return self.at_ns

    def wall_ns(self) -> int:
        return 0

    def wall_at(self, scenario_ns: int) -> int:
        return 0

    def advance_to(self, scenario_ns: int) -> None:
        """Move on to `scenario_ns`; time never goes back."""
        self.at_ns = max(self.at_ns, scenario_ns)
