"""The engine: `step(messages, now) -> alerts`, `catch_up(now) -> alerts`, `draw(now) -> pictures`. Pure: no clock, I/O or chance.

A step decides what cannot wait. Whoever steps sends its alerts, and then catches up: looks for pairs and impact predictions,
which may bring alerts of their own; without it, system tracks stay apart and without predictions. Pictures are drawn whenever
there is time: what changed since the last drawing, in its newest state, so that a late one loses nothing. Under load the shell
has it shed: catching up then leaves what no alert needs to a later time.

All recipients begin in one group with one picture. A message released to some of a group and not to others clones the picture and
splits the group; groups never merge again. So each recipient's picture is exactly what an engine of its own, fed with nothing but
what is released to it, would hold: nothing else can reach it, not by a number, a time, or a byte.

A step with messages touches the groups that they are released to, and no other, and so does catching up with it. A step without
messages is the clock's tick; catching up with that puts right what came out of order (`fusion.group`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final, NamedTuple

from bus.columns import Reports
from bus.errors import Rejected
from bus.messages import Alert, FeedMessage, PictureFrame, Raid, TrackFrame, reports_of
from bus.metrics import Work
from bus.release import NATIONS, Nation, Release
from fusion.alert import addressed
from fusion.emit import Stamp, frames_of
from fusion.group import Group
from fusion.registration import PAIRS, Offset
from fusion.settings import FusionSettings
from fusion.soundness import surely_sound

__all__ = ["FusionEngine", "FusionSettings", "Inbound"]

_LATEST_NS: Final = 2**62
_DEFAULTS: Final = FusionSettings()


class Inbound(NamedTuple):
    """A decoded message, the release of its topic, and the wall time of its arrival."""

    message: FeedMessage
    to: Release
    received_ns: int = 0


class FusionEngine:
    """Fusion for a set of recipients. `rejected` counts rows and frames left out, by reason; `shed` work put off, by kind;
    `redone` how often a recipient's picture was put right after reports that came out of order.
    """

    def __init__(self, settings: FusionSettings = _DEFAULTS, recipients: tuple[Nation, ...] = NATIONS) -> None:
        self._groups = [Group(settings, tuple(recipients))]
        self._order = {recipient: place for place, recipient in enumerate(recipients)}
        self.rejected: Counter[str] = Counter()
        self.shed: Counter[Work] = Counter()
        self.redone: Counter[Nation] = Counter()

    def step(self, messages: Sequence[Inbound], now_ns: int) -> list[Alert]:
        """Take the messages in their order at scenario time `now_ns`; none: only age. The alerts, not yet numbered or timed."""
        now_ns = _sane(now_ns)
        if not messages:
            for group in self._groups:
                group.tick(now_ns)
        for inbound in messages:
            self._take(inbound, now_ns)
        return self._collect()

    def catch_up(self, now_ns: int, *, shed: bool = False) -> list[Alert]:
        """Look for pairs and predict impacts in what the steps since the last time touched; the alerts that come of it.

        Where it is to shed, only as far as an alert may need it.
        """
        for group in self._groups:
            self.shed.update(group.catch_up(_sane(now_ns), shed=shed))
            if group.redone:
                self.redone.update(dict.fromkeys(group.recipients, group.redone))
                group.redone = 0
        return self._collect()

    @property
    def undrawn(self) -> bool:
        """Whether a picture has changed since it was last drawn."""
        return any(group.picture.changed for group in self._groups)

    def draw(self, now_ns: int) -> list[PictureFrame]:
        """The system tracks that changed or ended since the last time, for every recipient."""
        pictures: list[PictureFrame] = []
        for group in self._groups:
            picture, stamp = group.picture, group.stamp or Stamp(_sane(now_ns))
            group.stamp = None
            if picture.changed:
                raid = picture.raid(min(stamp.released_ns, _sane(now_ns)))
                pictures += frames_of(picture.clusters, *picture.changes(), group.recipients, stamp, raid)
        return pictures

    def standing_alerts(self) -> list[Alert]:
        """Every alert not closed or retracted, as last sent."""
        return [
            addressed(sent, to) for group in self._groups for sent in group.picture.book.standing() for to in group.recipients
        ]

    @property
    def system_tracks(self) -> dict[Nation, int]:
        """System tracks held, by recipient."""
        return {to: len(group.picture.clusters) for group in self._groups for to in group.recipients}

    @property
    def decorrelations(self) -> dict[Nation, int]:
        """Pairs of national tracks that are kept apart now, by recipient."""
        return {to: len(group.picture.clusters.decorrelations.rows) for group in self._groups for to in group.recipients}

    @property
    def raids(self) -> dict[Nation, Raid | None]:
        """The raid count as last drawn, by recipient."""
        return {to: group.picture.counter.told for group in self._groups for to in group.recipients}

    @property
    def alerts_by_state(self) -> dict[tuple[Nation, str], int]:
        """Alerts that stand, by recipient and state, and all that were ever closed or retracted."""
        return {
            (to, state): count
            for group in self._groups
            for to in group.recipients
            for state, count in sorted(group.picture.book.counts.items())
        }

    @property
    def gaps(self) -> dict[Nation, float]:
        """By how much the last look for pairs may fall short of the best answer, as a share of it, by recipient."""
        return {to: group.picture.gap for group in self._groups for to in group.recipients}

    @property
    def offsets(self) -> dict[tuple[Nation, Nation, Nation], Offset]:
        """What is taken off between two feeds, by recipient: nothing where they are as they claim."""
        return {
            (to, NATIONS[one], NATIONS[other]): group.picture.registration.between(one, other)
            for group in self._groups
            for to in group.recipients
            for one, other in PAIRS
        }

    def _take(self, inbound: Inbound, now_ns: int) -> None:
        message = inbound.message
        block: Reports | None = None
        if isinstance(message, TrackFrame):
            try:
                block, left_out = reports_of(message, surely_sound)
            except Rejected as rejected:
                self.rejected[rejected.reason] += 1
                return
            self.rejected.update(left_out)
        refused: Counter[str] = Counter()
        for group in self._released(inbound.to):
            refused |= Counter(group.take(message, block, inbound.received_ns, now_ns))
        self.rejected.update(refused)

    def _released(self, to: Release) -> list[Group]:
        """The groups that may see it, after splitting those of which only a part may."""
        groups: list[Group] = []
        for group in self._groups:
            seeing = tuple(recipient for recipient in group.recipients if recipient in to)
            if seeing and seeing != group.recipients:
                groups.append(group.part(seeing))
            groups.append(group)
        self._groups = sorted(groups, key=lambda group: self._order[group.recipients[0]])
        return [group for group in self._groups if group.recipients[0] in to]

    def _collect(self) -> list[Alert]:
        alerts: list[Alert] = []
        for group in self._groups:
            for sent in group.picture.book.outbox:
                alerts += [addressed(sent, recipient) for recipient in group.recipients]
            group.picture.book.outbox.clear()
        return alerts


def _sane(now_ns: int) -> int:
    return min(max(now_ns, 0), _LATEST_NS)
