"""Who may speak on a topic, and who is spoken to: what a seal is held to. Pure; it follows from the topic, and fails closed.

| topic | who speaks | whom a frame is tagged for |
| --- | --- | --- |
| a feed's tracks | `feed.<nation>` | the receivers and fusion workers of the release, the conductor |
| a feed's events | `feed.<nation>` | |
| a decorrelation | `feed.<nation>`, `operator.<nation>` | |
| a picture | a fusion worker that serves the recipient | its receiver, the conductor, the canary |
| an alert | a fusion worker that serves the recipient | |
| a status | who it is of | |
| the exercise's clock | `conductor` | |
| the canary's clock | `canary` | |

A fusion worker named after a nation serves that nation alone, any other all of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from bus.messages import Purpose
from bus.release import NATIONS
from bus.security import CANARY, CONDUCTOR
from bus.security import principal as named
from bus.topics import Address

_TELLS_TIME: Final[dict[Purpose, str]] = {"exercise": CONDUCTOR, "canary": CANARY}


def may_speak(principal: str, address: Address) -> bool:
    """Whether anything on that topic may be the principal's."""
    role, _, owner = principal.partition(".")
    match address.kind:
        case "tracks":
            return principal == f"feed.{address.owner}"
        case "events":
            return principal == f"feed.{address.owner}"
        case "decorrelation":
            return role in ("feed", "operator") and owner == address.owner
        case "picture" | "alert":
            return role == "fusion" and _serves(owner, (address.owner,))
        case "status":
            return address.role is not None and principal == named(address.role, address.owner)
        case "clock":
            return any(principal == speaker for purpose, speaker in _TELLS_TIME.items() if purpose == address.owner)


def readers_of(address: Address, principals: Iterable[str]) -> list[str]:
    """Which of the principals a frame on that topic is tagged for."""
    to = (address.owner,) if address.kind == "picture" else address.release
    return [principal for principal in principals if _reads(principal, address.kind == "tracks", to)]


def _reads(principal: str, fused: bool, to: tuple[str, ...]) -> bool:
    role, _, owner = principal.partition(".")
    if role == "receiver":
        return owner in to
    if role == "fusion":
        return fused and _serves(owner, to)
    return principal == CONDUCTOR or (principal == CANARY and not fused)


def _serves(worker: str, nations: tuple[str, ...]) -> bool:
    return worker in nations if worker in NATIONS else bool(worker)
