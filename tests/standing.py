"""A clock that stands where a test puts it: scenario time when the world is, and the same as wall time."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class StandingClock:
    """Unlike `SimulatedClock` it has wall times: what they tell of the machine is what the test lets it take."""

    at_ns: int

    def now_ns(self) -> int:
        return self.at_ns

    def wall_ns(self) -> int:
        return self.at_ns

    def wall_at(self, scenario_ns: int) -> int:
        return scenario_ns
