"""Load: whether the worker does all of its work or sheds what can wait. Pure: measured times go in, no clock, no I/O.

    level      pressed    calm
    normal     shedding   -
    shedding   -          normal

A message is late where a stage took longer than its budget: it came late, for others stood before it, or it took long. Pressed:
so many messages in a row were late. One alone is a hiccup, and of one feed whose clock is off there is no row while others speak.
Calm: there has been no such row for some time. Begun at once and ended slowly, so that the level does not flutter.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from bus.metrics import Stage
from fusion.settings import Shedding

Level = Literal["normal", "shedding"]
Event = Literal["pressed", "calm"]

TRANSITIONS: Final[dict[tuple[Level, Event], Level]] = {
    ("normal", "pressed"): "shedding",
    ("shedding", "calm"): "normal",
}


class Load:
    """The level of one worker, by the deadlines (s) of its stages."""

    def __init__(self, settings: Shedding, deadlines_s: Mapping[Stage, float]) -> None:
        self.level: Level = "normal"
        self._settings, self._deadlines_s = settings, dict(deadlines_s)
        self._late_in_a_row = 0
        self._pressed_ns = 0

    @property
    def sheds(self) -> bool:
        return self.level == "shedding"

    def take(self, at_ns: int, spent_s: Mapping[Stage, float]) -> bool:
        """A message that was handled at wall time `at_ns`, and what its stages took; whether the level changed."""
        late = any(spent_s[stage] > deadline_s for stage, deadline_s in self._deadlines_s.items())
        self._late_in_a_row = self._late_in_a_row + 1 if late else 0
        if self._late_in_a_row >= self._settings.late_in_a_row:
            self._pressed_ns = at_ns
            return self._move("pressed")
        return self.rest(at_ns)

    def rest(self, at_ns: int) -> bool:
        """Time has passed; whether the level changed. A wall clock that was set back does not hold the level."""
        return not 0 <= at_ns - self._pressed_ns < self._settings.calm_s * 1e9 and self._move("calm")

    def _move(self, event: Event) -> bool:
        before = self.level
        self.level = TRANSITIONS.get((before, event), before)
        return self.level != before
