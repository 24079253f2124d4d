"""Principals with keys that are the same in every run, and one message of each kind as they would say it."""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

import msgspec
from nacl.signing import SigningKey

from bus.identity import Identity, PrivateKey, PublicKey, Trust, key_id
from bus.messages import (
    Alert,
    AlertTimes,
    AnyMessage,
    Decorrelation,
    ExerciseClock,
    Member,
    PictureFrame,
    Status,
    TrackDropped,
    TrackFrame,
    TrackName,
    encode,
)
from bus.seals import Received, Seals, SealSettings
from bus.topics import (
    CANARY_CLOCK,
    EXERCISE_CLOCK,
    feed_decorrelation,
    feed_events,
    feed_tracks,
    picture_alert,
    picture_tracks,
    status,
)
from bus.tracks import parse_pair
from bus.transport import Delivery

NOW_NS: Final = 1_800_000_000_000_000_000
SECOND: Final = 10**9
SETTINGS: Final = SealSettings()
PRINCIPALS: Final = (
    "conductor",
    "canary",
    *(f"{role}.{nation}" for role in ("feed", "receiver", "operator") for nation in ("jpn", "kor", "usa")),
    "fusion.fusion-1",
    "fusion.kor",
)
EVER: Final = (0, 2**62)


def seed_of(principal: str, generation: int = 0) -> bytes:
    return blake2b(f"{principal} {generation}".encode(), digest_size=32).digest()


def public_key(principal: str, generation: int = 0, holds_ns: tuple[int, int] = EVER) -> PublicKey:
    verify = SigningKey(seed_of(principal, generation)).verify_key
    return PublicKey(principal, key_id(bytes(verify)), bytes(verify), bytes(verify.to_curve25519_public_key()), *holds_ns)


def trust_in(*keys: PublicKey) -> Trust:
    return Trust(keys)


EVERYBODY: Final = trust_in(*(public_key(principal) for principal in PRINCIPALS))


def identity(principal: str, generations: int = 1) -> Identity:
    keys = [PrivateKey(seed_of(principal, generation)) for generation in range(generations)]
    return Identity(principal, {key.id: key for key in keys})


def seals(principal: str, trust: Trust = EVERYBODY, settings: SealSettings = SETTINGS, generations: int = 1) -> Seals:
    return Seals(identity(principal, generations), trust, settings)


TRACKS: Final = feed_tracks("jpn", ("jpn", "kor", "usa"))
EVENTS: Final = feed_events("jpn", ("jpn", "kor", "usa"))
WORDS: Final = feed_decorrelation("jpn", ("jpn", "kor", "usa"), *parse_pair(["jpn/4", "usa/5"]))
PICTURE: Final = picture_tracks("jpn")
ALERT: Final = picture_alert("jpn", "a1")
STATUS: Final = status("feed", "jpn")

FRAME: Final = TrackFrame(session=7, seq=1, sent_ns=NOW_NS, nation="jpn", released_ns=1, n=0, columns={})
DROPPED: Final = TrackDropped(session=7, seq=1, sent_ns=NOW_NS, nation="jpn", released_ns=1, tracks=[4], reason="lost")
WORD: Final = Decorrelation(
    session=8,
    seq=1,
    sent_ns=NOW_NS,
    nation="jpn",
    released_ns=1,
    tracks=[TrackName(nation="jpn", session=7, track=4), TrackName(nation="usa", session=9, track=5)],
)
DRAWN: Final = PictureFrame(session=5, seq=1, sent_ns=NOW_NS, recipient="jpn", released_ns=1, n=0, columns={})
WARNING: Final = Alert(
    session=5,
    seq=1,
    sent_ns=NOW_NS,
    id="a1",
    recipient="jpn",
    state="quick",
    revision=1,
    system=1,
    members=[Member(nation="jpn", track=4)],
    phenomenology=1,
    reason="one sensor",
    times=AlertTimes(valid_ns=1, detected_ns=1, tracked_ns=1, released_ns=1),
    heading_deg=10.0,
)
BORN: Final = Status(session=7, seq=1, sent_ns=NOW_NS, role="feed", name="jpn", state="ready")
CLOCK: Final = ExerciseClock(
    session=3, seq=1, sent_ns=NOW_NS, exercise="one", scenario="", seed=1, speed=1.0, start_ns=1, start_wall_ns=1
)
PLAYED: Final = msgspec.structs.replace(CLOCK, purpose="canary")

# speaker, topic, message, a reader of it
SAID: Final[tuple[tuple[str, str, AnyMessage, str], ...]] = (
    ("feed.jpn", TRACKS, FRAME, "fusion.fusion-1"),
    ("feed.jpn", EVENTS, DROPPED, "fusion.fusion-1"),
    ("operator.jpn", WORDS, WORD, "fusion.fusion-1"),
    ("fusion.fusion-1", PICTURE, DRAWN, "receiver.jpn"),
    ("fusion.fusion-1", ALERT, WARNING, "receiver.jpn"),
    ("feed.jpn", STATUS, BORN, "conductor"),
    ("conductor", EXERCISE_CLOCK, CLOCK, "feed.usa"),
    ("canary", CANARY_CLOCK, PLAYED, "feed.usa"),
    ("fusion.fusion-1", PICTURE, DRAWN, "canary"),
)


def numbered(message: AnyMessage, seq: int, sent_ns: int = NOW_NS, session: int | None = None) -> AnyMessage:
    return msgspec.structs.replace(message, seq=seq, sent_ns=sent_ns, session=message.session if session is None else session)


def sealed(speaker: Seals, topic: str, message: AnyMessage) -> bytes:
    return speaker.seal(topic, encode(message), message.sent_ns)


def hear(reader: Seals, topic: str, payload: bytes, now_ns: int = NOW_NS, **flags: bool) -> Received:
    return reader.read(Delivery(topic, payload, 1, **flags), now_ns)
