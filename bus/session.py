"""Sessions and sequence numbers: what a receiver can say of each stream. Pure: no I/O, no clock of its own.

A sender numbers the messages of each stream (1, 2, 3, ...) within its session; a new run of the sender is a new session.

- A stream's count begins with the first number seen: what went out before we listened is not missing.
- A number that was skipped is missing (a gap) until it arrives late, which lowers the count again: lost and late differ.
- A late message of an earlier session is judged within that session, and does not end the present one.
- Memory is bounded: the last `window` numbers of a session, a few sessions of a stream, and the streams heard last. A
  number older than the window is called late, since nobody can tell any more, and lowers no count.

It drops nothing: what to do about a duplicate is the caller's business.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final, Literal

Verdict = Literal["next", "gap", "duplicate", "late", "new_session"]

WINDOW: Final = 1024
_SESSIONS: Final = 4
_STREAMS: Final = 4096


@dataclass(slots=True)
class SessionState:
    """One session of one stream. Bit i of `seen` says whether `highest - i` has arrived."""

    first: int
    highest: int
    seen: int = 1
    gaps: int = 0

    def observe(self, seq: int, window: int = WINDOW) -> Verdict:
        """Take the next arrival of this session."""
        ahead = seq - self.highest
        if ahead > 0:
            self.seen = 1 if ahead >= window else (self.seen << ahead | 1) & ((1 << window) - 1)
            self.highest = seq
            self.gaps += ahead - 1
            return "next" if ahead == 1 else "gap"
        if -ahead >= window:
            return "late"
        bit = 1 << -ahead
        if self.seen & bit:
            return "duplicate"
        self.seen |= bit
        self.gaps -= seq > self.first
        return "late"


@dataclass(slots=True)
class _Stream:
    sessions: OrderedDict[int, SessionState] = field(default_factory=OrderedDict)
    heard_ns: int = 0


class SequenceTracker:
    """Every stream that a receiver hears. `gaps` counts numbers missing now; the other counters only grow."""

    def __init__(self, window: int = WINDOW, streams: int = _STREAMS) -> None:
        self._window, self._most_streams = window, streams
        self._streams: OrderedDict[str, _Stream] = OrderedDict()
        self.gaps = 0
        self.duplicates = 0
        self.late = 0
        self.sessions = 0

    def observe(self, source: str, session: int, seq: int, at_ns: int) -> Verdict:
        """What the arrival of number `seq` at `at_ns` means for the stream `source`."""
        stream = self._streams.get(source)
        if stream is None:
            stream = self._streams[source] = _Stream()
            if len(self._streams) > self._most_streams:
                self._streams.popitem(last=False)
        self._streams.move_to_end(source)
        stream.heard_ns = max(stream.heard_ns, at_ns)
        state = stream.sessions.get(session)
        if state is None:
            stream.sessions[session] = SessionState(seq, seq)
            if len(stream.sessions) > _SESSIONS:
                stream.sessions.popitem(last=False)
            self.sessions += 1
            return "new_session"
        before = state.gaps
        verdict = state.observe(seq, self._window)
        self.gaps += state.gaps - before
        self.duplicates += verdict == "duplicate"
        self.late += verdict == "late"
        return verdict

    def gaps_of(self, source: str) -> int:
        """Numbers missing now from one stream's remembered sessions; 0 for a stream not (or no longer) remembered."""
        stream = self._streams.get(source)
        return sum(state.gaps for state in stream.sessions.values()) if stream else 0

    def stale(self, now_ns: int, after_ns: int) -> list[str]:
        """The streams silent for longer than `after_ns`, longest silent first."""
        silent = [(stream.heard_ns, source) for source, stream in self._streams.items() if now_ns - stream.heard_ns > after_ns]
        return [source for _, source in sorted(silent)]
