"""How far other processes' wall clocks seem ahead of ours, from the times at which they say that they sent something. Pure.

A message that was sent at s by its sender's clock and came at r by ours was d > 0 s on its way, so that s - r is what the
sender's clock is ahead, less d. The largest s - r of the last minutes is therefore a bound from below:

- Above 0, the sender's clock is ahead of ours, by at least so much: the message seems to come from the future.
- Below 0, it is behind, or the messages took so long: one direction alone cannot tell these apart. Where nothing is wrong it is
  the shortest way, some tenths of a millisecond, with a minus.
- What the other process says of us bounds it from above: its value with the sign turned. The two are apart by the shortest way
  there and the shortest way back, and what is between them nobody can tell.

A clock that is off by more than the window of the seals is not heard of here: its messages are `expired` before. What the broker
retained, and a last will, were sent who knows when, and count for nothing. A party that says nothing for some minutes is no more
told of: a clock that was put right is not blamed for long.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from bus.release import NATIONS
from bus.topics import Address

_HALF_NS: Final = 150_000_000_000  # a value is of the present span of this length and the one before: 2.5 to 5 minutes


class ClockSkew:
    """What one process knows of the others' clocks."""

    def __init__(self) -> None:
        self._span = 0
        self._now: dict[str, int] = {}
        self._before: dict[str, int] = {}

    def hear(self, address: Address, sent_ns: int, now_ns: int) -> None:
        """Note a message that has just come, not retained. `now_ns` is our wall time of its arrival."""
        party = party_of(address)
        if party and sent_ns:
            self._turn(now_ns)
            ahead_ns = sent_ns - now_ns
            if ahead_ns > self._now.get(party, -(2**63)):
                self._now[party] = ahead_ns

    def ahead_s(self, now_ns: int) -> Mapping[str, float]:
        """By party how far its clock is ahead of ours at least, s; below 0: less than that, as far as one direction tells."""
        self._turn(now_ns)
        now, before = dict(self._now), dict(self._before)
        return {party: max(each[party] for each in (now, before) if party in each) / 1e9 for party in sorted({*now, *before})}

    def _turn(self, now_ns: int) -> None:
        span = now_ns // _HALF_NS
        if not 0 <= self._span - span <= 1:  # a clock may be set back a little
            self._before = self._now if span == self._span + 1 else {}
            self._now, self._span = {}, span


def party_of(address: Address) -> str:
    """Who speaks on a topic, as a label of few values: `feed.jpn`, `fusion`, `conductor`; empty where that is not sure."""
    return _party(address.kind, address.owner, address.role)


@lru_cache(maxsize=256)
def _party(kind: str, owner: str, role: str | None) -> str:
    match kind:
        case "tracks" | "events":
            return f"feed.{owner}"
        case "picture" | "alert":
            return "fusion"
        case "clock":
            return "conductor" if owner == "exercise" else owner
        case "status" if role in ("feed", "receiver"):
            return f"{role}.{owner}" if owner in NATIONS else ""
        case "status":
            return role or ""
    return ""
