"""Replay: what has been said before, or is of a session that has ended, is not taken again. Pure: no I/O, no clock of its own.

It is told only of messages whose seal held, so that nothing forged moves it. Of every speaker it keeps its sessions, and of each
the numbers that came on each stream:

- A number that came before is told so; what to do is the caller's business. One that is further back than the window is refused:
  nobody can tell any more whether it came.
- A session is newer than another if it was first heard with a later sent time. What an older one sent is taken for `GRACE_NS`
  after the newer was first heard, since it may have been on its way; then it is refused.
- Memory is bounded. A session that is forgotten leaves the time of its last message behind: what is of no known session and not
  younger is refused.
- A last will has number 0 and no time of its own: the broker may say it whenever a link is lost. It is taken once after each word
  of its session, the newest; a broker that lies about a link is believed until the session speaks again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from bus.errors import Rejected
from bus.session import SessionState

GRACE_NS: Final = 10_000_000_000
WINDOW: Final = 4096  # numbers of a stream
_SESSIONS: Final = 16  # of a speaker


@dataclass(slots=True)
class _Session:
    began_ns: int
    latest_ns: int
    heard_ns: int  # when it became the newest
    ended: bool = False  # by its last will
    streams: dict[str, SessionState] = field(default_factory=dict)

    def take(self, stream: str, seq: int, sent_ns: int) -> bool:
        """Whether this number is new."""
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


@dataclass(slots=True)
class _Speaker:
    sessions: dict[int, _Session] = field(default_factory=dict)
    newest: _Session | None = None
    floor_ns: int = -1  # the last word of what was forgotten

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
        begun = self.sessions[number] = _Session(sent_ns, sent_ns, now_ns)
        if self.newest is None or sent_ns > self.newest.began_ns:
            self.newest = begun
        if len(self.sessions) > _SESSIONS:
            oldest = min(self.sessions, key=lambda each: self.sessions[each].began_ns)
            self.floor_ns = max(self.floor_ns, self.sessions.pop(oldest).latest_ns)
        return begun


class ReplayGuard:
    """What every speaker has said; see the module's text."""

    def __init__(self) -> None:
        self._speakers: dict[str, _Speaker] = {}

    def admit(self, speaker: str, stream: str, session: int, seq: int, sent_ns: int, now_ns: int, *, will: bool = False) -> bool:
        """Whether this is new; False for what came before. Rejected("replayed") for what cannot be taken in any case."""
        spoken = self._speakers.get(speaker)
        if spoken is None:
            spoken = self._speakers[speaker] = _Speaker()
        found = spoken.session(session, sent_ns, now_ns, will=will)
        return found.end() if will else found.take(stream, seq, sent_ns)
