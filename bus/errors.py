"""Errors of the bus, split by blame.

Ours (a wrong setting, a wrong call) raise with the offending values. A peer's are a `Rejected` with one of the reasons of
the table below: the receiver counts it, drops the message and goes on.
"""

from __future__ import annotations

from typing import Final

REJECT_REASONS: Final[dict[str, str]] = {
    "oversized": "the payload is longer than the largest message allowed",
    "malformed": "not MessagePack, or not the fields and types of its topic",
    "version": "a schema version that this program does not speak",
    "columns": "a column is missing, unknown, or has the wrong number of bytes",
    "not_finite": "a row holds a NaN or an infinity",
    "covariance": "a row's covariance is not positive definite",
    "range": "a row's value is outside what is physically possible",
    "attribution": "topic, message and seal disagree about who sent it or who may see it",
    "unsealed": "the payload has no seal, and what has none is not believed",
    "unknown_key": "sealed with a key that is not believed, or was not when it was sent",
    "forged": "the seal does not hold: the message was altered, cut off, or sealed by somebody else",
    "relabelled": "sealed for another topic: another release, another recipient, another owner",
    "expired": "sent too long ago, or later than now",
    "replayed": "said before, or of a session that a newer one has ended",
    "topic": "the topic is not one of the bus's",
    "purpose": "of the canary in an exercise, or of an exercise in the canary: it was on its way when the other began",
    "late": "the row is older than the lag window, or of a track or a session that has ended",
    "crowded": "an operator's word on two tracks that made room for a newer one: 256 are kept of a nation",
    "echo": "the row holds another nation's sensors, and that nation is heard itself",
    "scenario": "an exercise whose scenario cannot be computed",
    "engine": "a well-formed message that the engine could not take; a fault of ours, and logged",
}

# What is no accident where messages are sealed: reported as security events too.
SECURITY_REASONS: Final = ("unsealed", "unknown_key", "forged", "relabelled", "expired", "replayed", "attribution")


class BadInput(Exception):
    """A scenario or settings file (or flag) of the user's that cannot be taken: where, what is wrong, what is allowed."""

    def __init__(self, source: str, key: str, problem: str, allowed: str = "") -> None:
        where = f"{source}: {key}: " if key else f"{source}: "
        super().__init__(where + problem + (f" (allowed: {allowed})" if allowed else ""))
        self.source, self.key, self.problem, self.allowed = source, key, problem, allowed


class BusError(Exception):
    """Any failure of the bus that the caller is told of."""


class Unreachable(BusError):
    """No connection to the broker could be made: nothing listens, or the name does not resolve."""


class Refused(BusError):
    """The broker answered and said no: credentials, client id, protocol version, or an access list."""


class Untrusted(BusError):
    """What answers is not the broker that we may talk to: its certificate, its name, or no TLS at all."""


class Rejected(BusError):
    """A peer's message that cannot be taken. `reason` is a key of REJECT_REASONS, and the metric's label."""

    def __init__(self, reason: str, detail: str) -> None:
        assert reason in REJECT_REASONS, reason
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
