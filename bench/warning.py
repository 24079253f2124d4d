"""Warning times as a receiver measures them in an exercise: from a launch to the recipient holding its first alert. Pure.

The launches are the scenario's: truth is a pure function of it, and the receiver computes its own, as feeds and the scorer do.
Which launch an alert speaks of is told by its launch estimate: the nearest one in time that no other alert has taken. Neighbours
of a salvo may be taken for one another, which leaves their mean as it is.

Each launch counts once, though a receiver may die and start again in mid-exercise. What an earlier life of the process was sure
of, that life has counted. All else counts here: what was launched before this life or while there was none too, as late as it is
held, and as missed where nothing ever is. Where nothing tells what an earlier life held, the verdict on a launch falls with the
objective: what was warned of is left to the earlier life where it fell before this one began, and else counts here.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, NamedTuple

from bus.messages import Alert, AlertState, Purpose

if TYPE_CHECKING:
    from sensors.truth import Truth

OBJECTIVE_S: Final = 60.0  # within which a recipient is to hold its first alert; a bucket boundary of the histogram

_OBJECTIVE_NS: Final = int(OBJECTIVE_S * 1e9)
_SURE: Final = ("confirmed", "updated", "closed")


class Flight(NamedTuple):
    """From launch to impact, scenario ns."""

    launch_ns: int
    impact_ns: int


class Held(NamedTuple):
    """A word of an alert: when it came (s, as warning times take it), and when its launch was by its estimate (scenario ns)."""

    id: str
    state: AlertState
    held_s: float
    launch_ns: int | None


def flights_of(truth: Truth, purpose: Purpose) -> list[Flight]:
    """The flights of an exercise. A warning is due before the impact; of a canary, which is shorter, before its end."""
    last_ns = truth.end_ns if purpose == "canary" else 2**63 - 1
    return [Flight(launch.launch_ns, min(launch.impact_ns, last_ns)) for launch in truth.launches]


class WarningMeter:
    """One recipient's exercise: the launches that no alert has been counted for yet, and every alert as it was last told."""

    def __init__(self, flights: Iterable[Flight], held: Iterable[Held] = (), since_ns: int | None = None) -> None:
        """`held` is what earlier lives of the process held, oldest first. `since_ns`: nothing tells that, and there may have been
        one until then (scenario ns), when this one began.
        """
        self._flights, self._since_ns = sorted(flights), since_ns
        self._open = list(self._flights)
        self._first_s: dict[str, float] = {}
        self._last: dict[str, Held] = {}
        self._told: set[str] = set()
        for word in held:
            self._take(word)

    def take(self, alert: Alert, held_s: float) -> float | None:
        """The warning time of an alert, s, once: when it is confirmed or closed; None before, and for one that was taken back.

        `held_s` is when it was held: scenario seconds since the epoch, the machine's part in wall seconds.
        """
        flight = self._take(Held(alert.id, alert.state, held_s, None if alert.launch is None else alert.launch.time_ns))
        if flight is None or (self._since_ns is not None and flight.launch_ns + _OBJECTIVE_NS <= self._since_ns):
            return None
        return self._first_s[alert.id] - flight.launch_ns / 1e9

    def missed(self, end_ns: int) -> int:
        """How many launches were down by `end_ns` and have no alert: every one that was not taken back counts for one launch.

        Where nothing tells what an earlier life held, only of what flew in this one: others' alerts may have been closed by then.
        """
        left = list(self._flights)
        for word in self._last.values():
            nearest = None if word.state == "retracted" else _nearest(left, word, self._first_s[word.id])
            if nearest is not None:
                left.remove(nearest)
        since_ns = -1 if self._since_ns is None else self._since_ns
        return sum(since_ns < flight.impact_ns <= end_ns for flight in left)

    def _take(self, word: Held) -> Flight | None:
        """The launch that a word takes, if it is the first of its alert that is sure."""
        first_s = self._first_s.setdefault(word.id, word.held_s)
        self._last[word.id] = word
        if word.id in self._told or word.state not in _SURE:
            return None
        self._told.add(word.id)
        nearest = _nearest(self._open, word, first_s)
        if nearest is not None:
            self._open.remove(nearest)
        return nearest


def _nearest(flights: Iterable[Flight], word: Held, first_s: float) -> Flight | None:
    """Of what was launched before the alert was first held the one that it speaks of, as far as its launch estimate tells."""
    guess_ns = int(first_s * 1e9) if word.launch_ns is None else word.launch_ns
    begun = [flight for flight in flights if flight.launch_ns / 1e9 <= first_s]
    return min(begun, key=lambda flight: abs(flight.launch_ns - guess_ns), default=None)
