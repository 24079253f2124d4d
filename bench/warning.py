"""Warning times as a receiver measures them in an exercise: from a launch to the recipient holding its first alert. Pure.

The launches are the scenario's: truth is a pure function of it, and the receiver computes its own, as feeds and the scorer do.
Which launch an alert speaks of is told by its launch estimate: the nearest one in time that no other alert has taken. Neighbours
of a salvo may be taken for one another, which leaves their mean as it is.
"""

from __future__ import annotations

from collections.abc import Iterable

from bus.messages import Alert

_SURE = ("confirmed", "updated", "closed")


class WarningMeter:
    """One recipient's exercise: the launch instants (scenario ns) that no alert has been counted for yet."""

    def __init__(self, launches_ns: Iterable[int]) -> None:
        self._open = sorted(launches_ns)
        self._first_s: dict[str, float] = {}
        self._told: set[str] = set()

    def take(self, alert: Alert, held_s: float) -> float | None:
        """The warning time of an alert, s, once: when it is confirmed or closed; None before, and for one that was taken back.

        `held_s` is when it was held: scenario seconds since the epoch, the machine's part in wall seconds.
        """
        first_s = self._first_s.setdefault(alert.id, held_s)
        if alert.id in self._told or alert.state not in _SURE:
            return None
        self._told.add(alert.id)
        begun = [launch_ns for launch_ns in self._open if launch_ns / 1e9 <= first_s]
        if not begun:
            return None
        guess_ns = alert.launch.time_ns if alert.launch is not None else int(first_s * 1e9)
        nearest = min(begun, key=lambda launch_ns: abs(launch_ns - guess_ns))
        self._open.remove(nearest)
        return first_s - nearest / 1e9
