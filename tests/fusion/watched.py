"""An engine that is watched as a recipient sees it, for tests of what comes out of order."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from bus.messages import Alert, PictureFrame, system_tracks_of
from bus.release import Nation
from fusion.engine import FusionEngine, Inbound
from fusion.group import Group
from fusion.hindsight import Hindsight
from fusion.picture import Picture
from tests.fusion.scenes import JPN, KOR, START_NS, S, one

Message = tuple[int, Inbound]

RECIPIENT: Final[Nation] = "kor"
SAME: Final = ("valid_ns", "state", "cov", "phase", "quality", "phenomenology", "pedigree", "members", "age_ms")


@dataclass
class Watched:
    """An engine that ticks every half second, and what one recipient has been told."""

    engine: FusionEngine = field(default_factory=FusionEngine)
    recipient: Nation = RECIPIENT
    alerts: list[tuple[int, Alert]] = field(default_factory=list)
    rows: dict[int, tuple[bytes, ...]] = field(default_factory=dict)
    members: dict[int, tuple[int, ...]] = field(default_factory=dict)
    over: set[int] = field(default_factory=set)
    tick_ns: int = START_NS

    def play(self, messages: Iterable[Message], until_s: float, *, shed: bool = False) -> Watched:
        """Messages as they come, then only ticks."""
        for at_ns, inbound in [*messages, (START_NS + int(until_s * S), None)]:
            while self.tick_ns <= at_ns:
                self._take((), self.tick_ns, shed)
                self.tick_ns += S // 2
            if inbound is not None:
                self._take((inbound,), at_ns, shed)
        return self

    def _take(self, messages: Sequence[Inbound], now_ns: int, shed: bool) -> None:
        alerts = self.engine.step(messages, now_ns) + self.engine.catch_up(now_ns, shed=shed)
        self.alerts += [(now_ns, alert) for alert in alerts if alert.recipient == self.recipient]
        for frame in self.engine.draw(now_ns):
            if frame.recipient == self.recipient:
                self._show(frame)

    def _show(self, frame: PictureFrame) -> None:
        block, _ = system_tracks_of(frame)
        for i, number in enumerate(block.system.tolist()):
            assert number not in self.over, "a number that ended is told of again"
            self.rows[number] = tuple(getattr(block, name)[i].tobytes() for name in SAME)
            self.members[number] = tuple(block.members[i].tolist())
        for number in frame.dropped:
            self.over.add(number)
            self.rows.pop(number, None)
            self.members.pop(number, None)

    @property
    def picture(self) -> list[tuple[bytes, ...]]:
        """What is held, whatever its numbers."""
        return sorted(self.rows.values())

    @property
    def hindsight(self) -> Hindsight:
        return self._group._hindsight

    @property
    def pictures(self) -> list[Picture]:
        """The copies that are kept."""
        return [each.picture for each in self.hindsight._copies]

    @property
    def _group(self) -> Group:
        return next(group for group in self.engine._groups if self.recipient in group.recipients)


def delayed(messages: Iterable[Message], most_s: float, seed: int) -> list[Message]:
    """Each after a delay of its own, every tenth twice."""
    rng = random.Random(seed)
    messages = list(messages)
    late = [(at_ns + int(rng.uniform(0.0, most_s) * S), inbound) for at_ns, inbound in messages + messages[::10]]
    return sorted(late, key=lambda message: message[0])


def upto(messages: Iterable[Message], until_s: float) -> list[Message]:
    return [message for message in messages if message[0] <= START_NS + int(until_s * S)]


def reports(nation: Nation, east_m: float, times: Iterable[int] = range(70, 76)) -> list[Inbound]:
    return [one(nation, float(t), east_m=east_m, eye=JPN if nation == "jpn" else KOR) for t in times]


def by_time(*each: list[Inbound]) -> list[Inbound]:
    return sorted([inbound for messages in each for inbound in messages], key=lambda inbound: inbound.message.released_ns)
