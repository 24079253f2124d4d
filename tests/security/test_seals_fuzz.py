"""Mutated messages through the full receiving path: none taken, none fatal, none that costs a valid one."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from typing import Final

import pytest
from msgspec.structs import replace
from prometheus_client import CollectorRegistry

from bus.errors import REJECT_REASONS
from bus.memory import MemoryBus
from bus.messages import AnyMessage, encode
from bus.metrics import Budgets, Metrics
from bus.party import Party
from bus.topics import EVERYTHING, feed_tracks
from tests.rows import frame, reports
from tests.security.parties import (
    ALERT,
    BORN,
    DRAWN,
    DROPPED,
    EVENTS,
    PICTURE,
    STATUS,
    WARNING,
    WORD,
    WORDS,
    numbered,
    public_key,
    sealed,
    seals,
    trust_in,
)

_ROUND: Final = 10_000  # mutations between two rounds of valid messages: those may be 30 s old
_READER: Final = "receiver.kor"
_SAID: Final[tuple[tuple[str, str, AnyMessage], ...]] = (
    ("feed.jpn", feed_tracks("jpn", ("jpn", "kor")), frame(reports(3))),
    ("feed.jpn", EVENTS, DROPPED),
    ("operator.jpn", WORDS, WORD),
    ("fusion.kor", PICTURE.replace("jpn", "kor"), replace(DRAWN, recipient="kor")),
    ("fusion.kor", ALERT.replace("jpn", "kor"), replace(WARNING, recipient="kor")),
    ("feed.jpn", STATUS, BORN),
)
Mutation = Callable[[random.Random, bytes, list[bytes]], bytes]


def _flip(rng: random.Random, payload: bytes, others: list[bytes]) -> bytes:
    changed = bytearray(payload)
    for _ in range(rng.choice((1, 1, 1, 2, 8))):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _cut(rng: random.Random, payload: bytes, others: list[bytes]) -> bytes:
    return payload[: rng.randrange(1, len(payload))]


def _add(rng: random.Random, payload: bytes, others: list[bytes]) -> bytes:
    at = rng.randrange(len(payload) + 1)
    return payload[:at] + rng.randbytes(rng.randrange(1, 20)) + payload[at:]


def _leave_out(rng: random.Random, payload: bytes, others: list[bytes]) -> bytes:
    at = rng.randrange(len(payload))
    return payload[:at] + payload[at + rng.randrange(1, 20) :]


def _overwrite(rng: random.Random, payload: bytes, others: list[bytes]) -> bytes:
    at = rng.randrange(len(payload))
    put = rng.choice((b"\0", b"\xff", b"\x01", b"\x80")) * rng.choice((1, 2, 4, 8, 16))
    return payload[:at] + put + payload[at + len(put) :]


def _splice(rng: random.Random, payload: bytes, others: list[bytes]) -> bytes:
    """The head of one and the rest of another, cut at one place."""
    at = rng.choice((2, 10, 26, 34, 38, 46, 47, 55, 71, 90, rng.randrange(len(payload))))
    return payload[:at] + rng.choice(others)[at:]


def _noise(rng: random.Random, payload: bytes, others: list[bytes]) -> bytes:
    return rng.choice((b"", payload[:2], payload[:26], payload[:90])) + rng.randbytes(rng.randrange(1, 300))


MUTATIONS: Final[tuple[Mutation, ...]] = (_flip, _flip, _flip, _cut, _add, _leave_out, _overwrite, _splice, _noise)


async def _assault(mutations: int, seed: int) -> Counter[str]:
    """Send so many mutated messages to a receiver that also hears valid ones; why each was dropped."""
    trust = trust_in(*(public_key(who) for who in ("feed.jpn", "feed.kor", "operator.jpn", "fusion.kor", _READER)))
    alone = trust_in(public_key("feed.jpn"), public_key(_READER))  # a frame to one reader: what another's tag says is let be
    bus, taken = MemoryBus(), list[bytes]()
    metrics = Metrics(CollectorRegistry(), Budgets())
    receiver = Party("receiver", "kor", bus.transport, metrics, seals=seals(_READER, trust))
    receiver.listen(receiver.urgent, EVERYTHING, lambda address, message, delivery: taken.append(encode(message)), qos=1)
    await receiver.start()
    taken.clear()
    attacker, rng = bus.transport("attacker"), random.Random(seed)
    await attacker.start()
    speakers = {who: seals(who, alone if who == "feed.jpn" else trust) for who, _, _ in _SAID}
    topics, sent, seq = [topic for _, topic, _ in _SAID], 0, 0
    while sent < mutations:
        seq += 1
        now_ns = time.time_ns()
        said = [(who, topic, numbered(message, seq, now_ns)) for who, topic, message in _SAID]
        genuine = [(topic, sealed(speakers[who], topic, message)) for who, topic, message in said]
        payloads = [payload for _, payload in genuine]
        for _ in range(min(_ROUND, mutations - sent)):
            topic, payload = rng.choice(genuine)
            mutated = rng.choice(MUTATIONS)(rng, payload, payloads)
            if rng.random() < 0.1:
                topic = rng.choice(topics)
            if (topic, mutated) in genuine:  # a splice of one with itself
                mutated = mutated[:-1]
            attacker.publish(topic, mutated, qos=1)
            sent += 1
        assert taken == []
        for topic, payload in genuine:
            attacker.publish(topic, payload, qos=1)
        assert taken == [encode(message) for _, _, message in said]
        taken.clear()
    assert (receiver.incoming.gaps, receiver.urgent.stats.handler_errors) == (0, 0)
    await receiver.stop()
    value = metrics.registry.get_sample_value
    return Counter({reason: int(value("triwarn_rejected_total", {"reason": reason}) or 0) for reason in REJECT_REASONS})


def _all_dropped_for_what_they_are(dropped: Counter[str], mutations: int) -> None:
    assert dropped.total() == mutations
    assert set(+dropped) <= {"unsealed", "unknown_key", "forged", "relabelled", "expired", "attribution"}


async def test_no_mutated_message_is_taken_and_every_valid_one_is() -> None:
    _all_dropped_for_what_they_are(await _assault(20_000, seed=1), 20_000)


@pytest.mark.long
@pytest.mark.timeout(900)
async def test_none_of_a_million_mutated_messages_is_taken_and_every_valid_one_is() -> None:
    dropped = await _assault(1_000_000, seed=2)
    print(dict(+dropped))
    _all_dropped_for_what_they_are(dropped, 1_000_000)
