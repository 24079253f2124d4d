"""Replay: what has been said before, or is of a session that has ended, is not taken again. Pure: no I/O, no clock of its own.

It is told only of messages whose seal held, so that nothing forged moves it. Of every speaker it keeps its sessions, and of each
the numbers that came on each stream:

- A number that came before is told so; what to do is the caller's business. One that is further back than the window is refused:
  nobody can tell any more whether it came.
- What brokers retain they say again: when somebody subscribes, and when a bridge is made again, not marked as retained then. So
  of each topic that is retained it keeps which word is the newest that came: that one stands, and said again it is no news. An
  older one said again would be a step back.
- A session is newer than another if it was first heard with a later sent time. What an older one sent is taken for `GRACE_NS`
  after the newer was first heard, since it may have been on its way; then it is refused.
- Of an operator's consoles each has a session of its own, and none ends another: these stand apart.
- Memory is bounded: of a speaker the sessions that spoke last are kept. What is forgotten leaves the time of its last message
  behind, the speaker's floor: a session that is not known says nothing that is not younger, then or ever. So forgetting lets
  nothing in twice, whatever the clock does; and what it keeps out is older than all that is kept.
- A last will has number 0 and no time of its own: the broker may say it whenever a link is lost. It is taken once after each word
  of its session, the newest; a broker that lies about a link is believed until the session speaks again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, NamedTuple

from bus.errors import Rejected
from bus.session import SessionState

GRACE_NS: Final = 10_000_000_000
WINDOW: Final = 4096  # numbers of a stream
APART: Final = 1024  # sessions of a speaker that stand apart: four times as many words as a picture keeps of a nation
_SESSIONS: Final = 16  # of a speaker, else
_TOPICS: Final = 4096  # of a speaker whose newest word is kept, those that it spoke on last: of others nothing stands


@dataclass(slots=True)
class _Session:
    began_ns: int
    latest_ns: int
    heard_ns: int  # when it became the newest
    floor_ns: int  # the speaker's, when it began: what is older may have been said by it before it was forgotten
    ended: bool = False  # by its last will
    streams: dict[str, SessionState] = field(default_factory=dict)

    def take(self, stream: str, seq: int, sent_ns: int) -> bool:
        """Whether this number is new."""
        if sent_ns <= self.floor_ns:
            raise Rejected("replayed", "older than can be told")
        self.latest_ns = max(self.latest_ns, sent_ns)
        numbers = self.streams.get(stream)
        if numbers is None:
            self.streams[stream] = SessionState(seq, seq)
        elif numbers.highest - seq >= WINDOW:
            raise Rejected("replayed", f"number {seq} is further back than can be told, the last is {numbers.highest}")
        elif numbers.observe(seq, WINDOW) == "duplicate":
            return False
        self.ended = False
        return True

    def end(self) -> bool:
        """Whether this last will is news."""
        news, self.ended = not self.ended, True
        return news


class _Word(NamedTuple):
    session: int
    seq: int
    sent_ns: int


@dataclass(slots=True)
class _Speaker:
    apart: bool
    sessions: dict[int, _Session] = field(default_factory=dict)
    newest: _Session | None = None
    floor_ns: int = -1  # the last word of what was forgotten
    stands: dict[str, _Word] = field(default_factory=dict)  # by topic, the one spoken on longest ago first

    def keep(self, topic: str, word: _Word) -> None:
        """Note a new word on a topic. A last will is of when its link was made, and is the newest all the same."""
        held = self.stands.get(topic)
        if held is not None and word.seq and word.sent_ns < held.sent_ns:
            return
        self.stands.pop(topic, None)
        self.stands[topic] = word if held is None else word._replace(sent_ns=max(word.sent_ns, held.sent_ns))
        if len(self.stands) > _TOPICS:
            del self.stands[next(iter(self.stands))]

    def session(self, number: int, sent_ns: int, now_ns: int, *, will: bool) -> _Session:
        """The session, begun if it is new. Rejected where a newer one has ended it."""
        known, newest = self.sessions.get(number), self.newest
        if known is None:
            if sent_ns <= self.floor_ns or (newest is not None and sent_ns < newest.began_ns - (0 if will else GRACE_NS)):
                raise Rejected("replayed", "of a session that a newer one has ended")
            return self._begin(number, sent_ns, now_ns)
        if newest is not None and known is not newest and (will or now_ns - newest.heard_ns > GRACE_NS):
            raise Rejected("replayed", "of a session that a newer one has ended")
        return known

    def _begin(self, number: int, sent_ns: int, now_ns: int) -> _Session:
        begun = self.sessions[number] = _Session(sent_ns, sent_ns, now_ns, self.floor_ns)
        if not self.apart and (self.newest is None or sent_ns > self.newest.began_ns):
            self.newest = begun
        most = APART if self.apart else _SESSIONS
        if len(self.sessions) > 2 * most:  # by halves: to look for the oldest each time would take longer than all the rest
            self._keep(most)
        return begun

    def _keep(self, most: int) -> None:
        """Forget all sessions but the newest, and those that spoke last."""
        oldest_first = sorted(self.sessions.items(), key=lambda each: (each[1] is self.newest, each[1].latest_ns))
        forgotten, kept = oldest_first[:-most], oldest_first[-most:]
        self.floor_ns = max(self.floor_ns, *(each.latest_ns for _, each in forgotten))
        self.sessions = dict(kept)


class ReplayGuard:
    """What every speaker has said; see the module's text."""

    def __init__(self) -> None:
        self._speakers: dict[tuple[str, bool], _Speaker] = {}

    def admit(
        self,
        speaker: str,
        stream: str,
        session: int,
        seq: int,
        sent_ns: int,
        now_ns: int,
        *,
        will: bool = False,
        apart: bool = False,
        topic: str = "",
    ) -> bool:
        """Whether this is new; False for what came before. Rejected("replayed") for what cannot be taken in any case.

        `apart`: it is of a session that ends no other, nor is ended by one. `topic`: it is one whose newest word brokers retain.
        """
        spoken = self._speakers.get((speaker, apart))
        if spoken is None:
            spoken = self._speakers[speaker, apart] = _Speaker(apart)
        found = spoken.session(session, sent_ns, now_ns, will=will)
        new = found.end() if will else found.take(stream, seq, sent_ns)
        if new and topic:
            spoken.keep(topic, _Word(session, seq, sent_ns))
        return new

    def stands(self, speaker: str, topic: str, session: int, seq: int, *, apart: bool = False) -> bool:
        """Whether this came before, and is the newest word on its topic."""
        spoken = self._speakers.get((speaker, apart))
        word = None if spoken is None else spoken.stands.get(topic)
        return word is not None and (word.session, word.seq) == (session, seq)
