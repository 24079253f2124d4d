"""A group of recipients who have been released the same: their picture, and what hindsight makes of it.

A message is fused as it comes, and its alerts do not wait. What came out of order is put right after the clock's next tick: the
picture that hindsight has goes on in place of the one that was made, with the numbers and the alerts that have been told.
"""

from __future__ import annotations

import copy

from bus.columns import Reports
from bus.messages import FeedMessage
from bus.metrics import Work
from bus.release import Nation
from fusion.emit import Stamp
from fusion.hindsight import Hindsight
from fusion.picture import Picture
from fusion.settings import FusionSettings
from fusion.takeover import take_over


class Group:
    """`stamp` is of the newest message since the picture was last drawn; `redone`: how often it was put right, until counted."""

    def __init__(self, settings: FusionSettings, recipients: tuple[Nation, ...]) -> None:
        self.recipients, self.picture = recipients, Picture(settings)
        self.stamp: Stamp | None = None
        self.redone = 0
        self._hindsight = Hindsight(settings)
        self._ticks: tuple[tuple[int, bool], ...] = ()  # the clock's ticks that hindsight has not noted, and which aged something

    def part(self, staying: tuple[Nation, ...]) -> Group:
        """Those of its recipients who do not stay, as a group of their own."""
        other = copy.copy(self)
        other.recipients = tuple(recipient for recipient in self.recipients if recipient not in staying)
        other.picture, other._hindsight = copy.deepcopy(self.picture), self._hindsight.branch()
        other.redone, self.recipients = 0, staying
        return other

    def take(self, message: FeedMessage, block: Reports | None, received_ns: int, now_ns: int) -> dict[str, int]:
        """Fuse a message with its sound rows, once; the counts of what was refused, by reason."""
        if self._hindsight.has(message, block, now_ns):
            return {}
        self._note_ticks(looked=False)
        refused = self.picture.take(message, block, received_ns, now_ns)
        in_part = "late" in refused or "range" in refused
        self._hindsight.note(self.picture, message, block, received_ns, now_ns, in_part=in_part)
        stamp = Stamp(message.released_ns, message.due_ns, received_ns)
        self.stamp = max(self.stamp or stamp, stamp)
        return refused

    def tick(self, now_ns: int) -> None:
        """Age."""
        self._ticks = (*self._ticks, (now_ns, self.picture.tick(now_ns)))

    def catch_up(self, now_ns: int, *, shed: bool = False) -> dict[Work, int]:
        """`Picture.catch_up`; after a tick, put the picture right. Where it is to shed, that is put off."""
        put_off = self.picture.catch_up(now_ns, shed=shed)
        if self._ticks:
            self._note_ticks(looked=self.picture.looked)
            self._hindsight.keep(self.picture, now_ns)
            if self._hindsight.wrong and not shed:
                self._put_right(now_ns)
            if self._hindsight.missed or self._hindsight.wrong:
                put_off["order"] = 1
                self._hindsight.missed = False
        return put_off

    def _note_ticks(self, *, looked: bool) -> None:
        for at_ns, aged in self._ticks:
            self._hindsight.note_tick(at_ns, counts=aged or looked)
        self._ticks = ()

    def _put_right(self, now_ns: int) -> None:
        redone = self._hindsight.redo()
        if redone is not None:
            take_over(redone, self.picture, now_ns)
            self.picture = redone
            self.redone += 1
