"""A nation's outlet: what of its reports leaves, to whom and when, by its policy. Pure; holds back what is not due yet.

- Reports of an instant are grouped by who may see them and how late; each group leaves in frames of its own. No frame holds a row
  or is cut at a place that depends on what somebody else may see.
- Whoever gets a track for the first time gets it announced, `launch_detected`, with those rows; so is one who gets it later.
- The end of a track goes to whom it ever was released to, as late as its last report and after all of them.
- An operator's word goes to those that both tracks were released to (`sensors.words`).
- Decisions are told (`on_decision`) as they are first made on a track, and as they change.

A marking says who may see a report, to all who do. Nothing else says anything of others: unless all reports go to the same
nations at the same time, beginnings, ends and words go to each for itself, and the numbers of tracks are drawn: counted, they
would say how many there are.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

import numpy as np

from bus import release
from bus.columns import Reports
from bus.messages import MAX_FRAME_ROWS
from bus.release import Nation
from bus.tracks import NationalTrack
from sensors.places import GroundPoint
from sensors.policy import Decided, Decision, Facts, Policy, Sets, decide
from sensors.scenario import DecorrelationPlan
from sensors.tracker import EndReason
from sensors.words import hearers, word_sets

MOST_DRAWN: Final = 999_999
_OF_TRACKS, _OF_WORDS = 0, 1  # at the same instant reports leave before words
_NO_FACTS: Final = Facts()


class Known(NamedTuple):
    """What stands beside one report of a frame, where a scorer asks for it.

    The launch that the track follows (an index, -1 where none), the nation's launch point estimate, and its impact point
    prediction, made every `feed.IMPACT_EVERY_S`.
    """

    follows: int
    launch: GroundPoint | None
    impact: GroundPoint | None


class Release(NamedTuple):
    """One thing that a feed lets go: a frame or a launch with its reports, the numbers of tracks that ended and why, or an
    operator's word.
    """

    released_ns: int
    kind: Literal["frame", "launch_detected", "dropped", "decorrelation"]
    to: release.Release
    reports: Reports | None = None
    tracks: list[int] = []  # noqa: RUF012 - never changed
    reason: EndReason = "lost"
    known: list[Known] = []  # noqa: RUF012 - never changed
    word: DecorrelationPlan | None = None


def track_numbers(policy: Policy, seed: int) -> Iterator[int]:
    """The numbers of a feed's tracks: 1, 2, 3 where all reports go the same way; else drawn, none of them twice."""
    if policy.plain:
        yield from itertools.count(1)
    drawn, chance = set[int](), random.Random(f"track numbers of {policy.nation}, seed {seed}")
    while True:
        number = chance.randint(1, MOST_DRAWN if 2 * len(drawn) < MOST_DRAWN else 2**32 - 1)
        if number not in drawn:
            drawn.add(number)
            yield number


@dataclass(slots=True)
class _Told:
    """What one recipient has of a track: its reports' delay now; when it was announced and the last one leaves, all ns."""

    delay_ns: int
    announced_ns: int
    last_ns: int


@dataclass(slots=True)
class _Sent:
    """One track: what is decided on it, and what each recipient has of it."""

    decisions: dict[Nation, Decision] = field(default_factory=dict)
    told: dict[Nation, _Told] = field(default_factory=dict)


class Outlet:
    """One nation's outlet. `words` are its operator's, with the instant of each, ns."""

    def __init__(
        self,
        policies: Mapping[Nation, Policy],
        nation: Nation,
        words: Iterable[tuple[int, DecorrelationPlan]] = (),
        on_decision: Callable[[Decided], None] | None = None,
    ) -> None:
        self._policies, self._policy = policies, policies[nation]
        self._words = deque(sorted(words, key=lambda each: each[0]))
        self._on_decision = on_decision
        self._waiting: list[tuple[int, int, int, Release]] = []
        self._count = itertools.count()
        self._tracks: dict[int, _Sent] = {}
        self._sets: dict[tuple[tuple[Nation, float], ...], Sets] = {}
        self._same = self._decided(_NO_FACTS) if not self._policy.conditions else None  # the same for all reports
        self._plain = self._sets_of(self._same)[0] if self._same and self._policy.plain else None

    def report(self, block: Reports, at_ns: int, facts: Sequence[Facts] = (), known: Sequence[Known] = ()) -> None:
        """Reports valid at `at_ns`, a row a track, with the facts of each: needed where the policy has conditions."""
        if self._plain is not None and all(
            number in self._tracks for number in block.track.tolist()
        ):  # nothing new, nothing to sort
            delay_ns, to = self._plain
            self._send("frame", block, list(range(len(block))), at_ns + delay_ns, to, known)
            return
        begin: dict[tuple[int, release.Release], dict[int, None]] = defaultdict(dict)
        frames: dict[tuple[int, release.Release], dict[int, None]] = defaultdict(dict)
        for row, number in enumerate(block.track.tolist()):
            decisions = self._same or self._decided(facts[row])
            sent = self._tracks.setdefault(number, _Sent())
            self._tell(number, sent, decisions, at_ns)
            for place, (delay_ns, to) in enumerate(self._sets_of(decisions)):
                frames[delay_ns, to][row] = None
                for recipient in to:
                    by_another = place > 0 and recipient == self._policy.nation  # the originator has it by the first set
                    if not by_another and self._note(sent, recipient, at_ns, delay_ns):
                        begin[delay_ns, self._alone(recipient)][row] = None
        for (delay_ns, to), rows in sorted(begin.items(), key=lambda each: each[0]):
            self._send("launch_detected", block, list(rows), at_ns + delay_ns, to, known)
        for (delay_ns, to), rows in sorted(frames.items(), key=lambda each: each[0]):
            self._send("frame", block, list(rows), at_ns + delay_ns, to, known)

    def end(self, number: int, reason: EndReason, at_ns: int) -> None:
        """A track has ended."""
        told = self._tracks.get(number, _Sent()).told
        ends = {self._alone(to): max(at_ns + each.delay_ns, each.last_ns) for to, each in told.items()}
        for to, released_ns in ends.items():
            self._push(_OF_TRACKS, Release(released_ns, "dropped", to, tracks=[number], reason=reason))

    def due(self, now_ns: int) -> Iterator[Release]:
        """What is certain to leave before anything that comes after `now_ns`, in order of time."""
        while self._words and self._words[0][0] <= now_ns:
            self._say(*self._words.popleft())
        until = (now_ns + self._policy.shortest_ns, _OF_WORDS)
        while self._waiting and self._waiting[0][:2] < until:
            yield heapq.heappop(self._waiting)[-1]

    def rest(self) -> Iterator[Release]:
        """All that is left, in order of time."""
        while self._words:
            self._say(*self._words.popleft())
        while self._waiting:
            yield heapq.heappop(self._waiting)[-1]

    def _decided(self, facts: Facts) -> dict[Nation, Decision]:
        return {to: decide(self._policy, facts, to) for to in self._policy.others}

    def _sets_of(self, decisions: Mapping[Nation, Decision]) -> Sets:
        key = tuple((to, each.delay_s) for to, each in decisions.items() if each.allowed)
        if key not in self._sets:
            self._sets[key] = self._policy.sets(dict(key))
        return self._sets[key]

    def _tell(self, number: int, sent: _Sent, decisions: dict[Nation, Decision], at_ns: int) -> None:
        """The audit hears what is new."""
        if self._on_decision is not None and decisions != sent.decisions:
            for to, decision in decisions.items():
                if decision != sent.decisions.get(to):
                    self._on_decision(Decided(self._policy.nation, number, to, *decision, at_ns))
        sent.decisions = decisions

    def _alone(self, recipient: Nation) -> release.Release:
        """The marking of what is for a recipient alone; where all is plain there is but one."""
        return self._policy.alone(recipient) if self._plain is None else self._plain[1]

    @staticmethod
    def _note(sent: _Sent, recipient: Nation, at_ns: int, delay_ns: int) -> bool:
        """Note what a recipient is told of a track; whether it has to be announced."""
        released_ns, told = at_ns + delay_ns, sent.told.get(recipient)
        if told is None:
            sent.told[recipient] = _Told(delay_ns, released_ns, released_ns)
            return True
        sooner = released_ns < told.announced_ns  # it overtakes the first report
        told.delay_ns, told.last_ns = delay_ns, max(told.last_ns, released_ns)
        told.announced_ns = min(told.announced_ns, released_ns)
        return sooner

    def _send(
        self,
        kind: Literal["frame", "launch_detected"],
        block: Reports,
        rows: list[int],
        released_ns: int,
        to: release.Release,
        known: Sequence[Known],
    ) -> None:
        for begin in range(0, len(rows), MAX_FRAME_ROWS):
            chosen = rows[begin : begin + MAX_FRAME_ROWS]
            part = block if len(chosen) == len(block) else block.take(np.array(chosen))
            beside = [known[row] for row in chosen] if known else []
            self._push(_OF_TRACKS, Release(released_ns, kind, to, part, known=beside))

    def _say(self, at_ns: int, word: DecorrelationPlan) -> None:
        def told(track: NationalTrack, to: Nation) -> bool:
            known = self._tracks.get(track.number, _Sent()).told.get(to)
            return known is not None and known.announced_ns <= at_ns + round(self._policy.longest_s[to] * 1e9)

        for delay_ns, to in word_sets(self._policy, hearers(self._policies, self._policy.nation, word.pair, told)):
            self._push(_OF_WORDS, Release(at_ns + delay_ns, "decorrelation", to, word=word))

    def _push(self, rank: int, each: Release) -> None:
        heapq.heappush(self._waiting, (each.released_ns, rank, next(self._count), each))
