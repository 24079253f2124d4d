"""Warning times as a receiver measures them in an exercise: from a launch to the recipient holding its first alert. Pure.

The launches are the scenario's: truth is a pure function of it, and the receiver computes its own, as feeds and the scorer do.
Which launch an alert speaks of is told by its launch estimate: the nearest one in time that no other alert has taken. Neighbours
of a salvo may be taken for one another, which leaves their mean as it is.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from bus.messages import Alert, Purpose

if TYPE_CHECKING:
    from sensors.truth import Truth

_SURE = ("confirmed", "updated", "closed")


class Flight(NamedTuple):
    """From launch to impact, scenario ns."""

    launch_ns: int
    impact_ns: int


def flights_of(truth: Truth, purpose: Purpose) -> list[Flight]:
    """The flights of an exercise. A warning is due before the impact; of a canary, which is shorter, before its end."""
    last_ns = truth.end_ns if purpose == "canary" else 2**63 - 1
    return [Flight(launch.launch_ns, min(launch.impact_ns, last_ns)) for launch in truth.launches]


class WarningMeter:
    """One recipient's exercise: the launches that no alert has been counted for yet, and every alert as it was last told."""

    def __init__(self, flights: Iterable[Flight], since_ns: int = 0) -> None:
        """Nothing is told of what was launched before `since_ns` (scenario ns): nobody here knows what was held until then."""
        self._flights, self._since_ns = sorted(flights), since_ns
        self._open = list(self._flights)
        self._first_s: dict[str, float] = {}
        self._last: dict[str, Alert] = {}
        self._told: set[str] = set()

    def take(self, alert: Alert, held_s: float) -> float | None:
        """The warning time of an alert, s, once: when it is confirmed or closed; None before, and for one that was taken back.

        `held_s` is when it was held: scenario seconds since the epoch, the machine's part in wall seconds.
        """
        first_s = self._first_s.setdefault(alert.id, held_s)
        self._last[alert.id] = alert
        if alert.id in self._told or alert.state not in _SURE:
            return None
        self._told.add(alert.id)
        nearest = _nearest(self._open, alert, first_s)
        if nearest is None:
            return None
        self._open.remove(nearest)
        if nearest.launch_ns < self._since_ns:
            return None
        return first_s - nearest.launch_ns / 1e9

    def missed(self, end_ns: int) -> int:
        """How many launches were down by `end_ns` and have no alert: every one that was not taken back counts for one launch."""
        left = list(self._flights)
        for alert in self._last.values():
            nearest = None if alert.state == "retracted" else _nearest(left, alert, self._first_s[alert.id])
            if nearest is not None:
                left.remove(nearest)
        return sum(flight.launch_ns >= self._since_ns and flight.impact_ns <= end_ns for flight in left)


def _nearest(flights: Iterable[Flight], alert: Alert, first_s: float) -> Flight | None:
    """Of what was launched before the alert was first held the one that it speaks of, as far as its launch estimate tells."""
    guess_ns = alert.launch.time_ns if alert.launch is not None else int(first_s * 1e9)
    begun = [flight for flight in flights if flight.launch_ns / 1e9 <= first_s]
    return min(begun, key=lambda flight: abs(flight.launch_ns - guess_ns), default=None)
