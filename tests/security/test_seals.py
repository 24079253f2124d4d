"""Seals: what is authentic is taken once, and nothing else ever; and any language can read them."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from bus.errors import BadInput, Rejected
from bus.identity import trust_file, write_identities
from bus.messages import DECORRELATION_EXPIRY_S, PURPOSES, AnyMessage, Purpose, encode
from bus.seal import TAGGED, Seal, agreed_secret, read_seal, session_head, session_key, signed, tagged
from bus.seals import Seals, SealSettings, SecurityEvent
from bus.topics import CANARY_CLOCK, EXERCISE_CLOCK, feed_events, feed_tracks, picture_alert, picture_tracks, status
from tests.oracles_seals import id_of, opened_signed, opened_tagged, public_of, secret_between
from tests.rows import frame, reports
from tests.security.parties import (
    ALERT,
    BORN,
    CLOCK,
    DRAWN,
    DROPPED,
    EVENTS,
    EVERYBODY,
    FRAME,
    NOW_NS,
    PICTURE,
    PLAYED,
    SAID,
    SECOND,
    SETTINGS,
    STATUS,
    TRACKS,
    WARNING,
    WORD,
    WORDS,
    hear,
    identity,
    numbered,
    public_key,
    sealed,
    seals,
    seed_of,
    trust_in,
)

HERE: Final = Path(__file__).parent


def reason(reader: Seals, topic: str, payload: bytes, now_ns: int = NOW_NS, **flags: bool) -> str:
    """Why it is not taken."""
    with pytest.raises(Rejected) as caught:
        hear(reader, topic, payload, now_ns, **flags)
    return caught.value.reason


@pytest.mark.parametrize(("speaker", "topic", "message", "reader"), SAID)
def test_what_is_sealed_comes_as_it_was_said(speaker: str, topic: str, message: AnyMessage, reader: str) -> None:
    got = hear(seals(reader), topic, sealed(seals(speaker), topic, message))
    assert (got.message, got.delivery.message, got.again) == (message, encode(message), False)


@pytest.mark.parametrize(("speaker", "topic", "message", "reader"), SAID)
def test_no_bit_of_a_sealed_message_can_be_flipped(speaker: str, topic: str, message: AnyMessage, reader: str) -> None:
    payload, listening = sealed(seals(speaker), topic, message), seals(reader)
    others = _tags_of_others(payload, reader)
    for at in range(len(payload)):
        for bit in range(8):
            flipped = payload[:at] + bytes([payload[at] ^ 1 << bit]) + payload[at + 1 :]
            if at not in others:  # what another reader's tag says is not this reader's business: see the next test
                assert reason(listening, topic, flipped)
    assert hear(listening, topic, payload).message == message


def _tags_of_others(payload: bytes, reader: str) -> set[int]:
    seal = read_seal(payload)
    ids = [seal.readers[at : at + 8] for at in range(0, len(seal.readers), 8)]
    begin = seal.message - 16 * len(ids)
    own = id_of(public_of(seed_of(reader)))
    return {begin + 16 * row + i for row, each in enumerate(ids) if each != own for i in range(16)}


def test_a_broken_tag_of_another_reader_changes_nothing_and_is_taken_once() -> None:
    payload, listening = sealed(seals("feed.jpn"), TRACKS, FRAME), seals("fusion.fusion-1")
    at = min(_tags_of_others(payload, "fusion.fusion-1"))
    broken = payload[:at] + bytes([payload[at] ^ 1]) + payload[at + 1 :]
    assert hear(listening, TRACKS, broken).message == FRAME
    assert reason(listening, TRACKS, payload) == "replayed"


@pytest.mark.parametrize(("speaker", "topic", "message", "reader"), SAID)
def test_nothing_that_is_cut_off_or_goes_on_is_taken(speaker: str, topic: str, message: AnyMessage, reader: str) -> None:
    payload, listening = sealed(seals(speaker), topic, message), seals(reader)
    for cut in range(1, len(payload)):
        assert reason(listening, topic, payload[:cut]) == "forged"
    assert reason(listening, topic, payload + b"\0") == "forged"
    assert reason(listening, topic, encode(message)) == "unsealed"
    assert hear(listening, topic, payload).message == message


OTHER_TOPICS: Final = (
    feed_tracks("jpn", ("jpn", "kor")),
    feed_tracks("jpn", ("jpn",)),
    feed_tracks("kor", ("jpn", "kor", "usa")),
    feed_events("jpn", ("jpn", "usa")),
    feed_events("kor", ("jpn", "kor", "usa")),
    picture_tracks("kor"),
    picture_alert("jpn", "a2"),
    picture_alert("kor", "a1"),
    status("feed", "kor"),
    status("receiver", "jpn"),
    EXERCISE_CLOCK,
    CANARY_CLOCK,
    status("canary", "canary"),
)


@pytest.mark.parametrize(("speaker", "topic", "message", "reader"), SAID)
def test_the_same_bytes_on_any_other_topic_are_relabelled(speaker: str, topic: str, message: AnyMessage, reader: str) -> None:
    payload, listening = sealed(seals(speaker), topic, message), seals(reader)
    for other in OTHER_TOPICS:
        if other != topic:
            assert reason(listening, other, payload) == "relabelled"
    assert hear(listening, topic, payload).message == message


def test_nobody_can_speak_for_another() -> None:
    for speaker, topic, message, reader in SAID:
        for pretender in (
            "feed.kor",
            "receiver.jpn",
            "operator.kor",
            "fusion.kor",
            "conductor",
            "canary",
            "feed.jpn",
            "fusion.fusion-1",
        ):
            if pretender != speaker and not (topic == WORDS and pretender == "feed.jpn"):
                assert reason(seals(reader), topic, sealed(seals(pretender), topic, message)) == "attribution"


def test_the_canary_begins_no_exercise_and_the_conductor_no_canary() -> None:
    """Neither on the other's topic nor on its own with the other's mark."""
    ours, theirs = (EXERCISE_CLOCK, CLOCK), (CANARY_CLOCK, PLAYED)
    for speaker, (topic, _), (_, message) in (("canary", theirs, ours), ("conductor", ours, theirs), ("canary", ours, theirs)):
        assert reason(seals("feed.usa"), topic, sealed(seals(speaker), topic, message)) == "attribution"


@pytest.mark.parametrize("purpose", PURPOSES)
def test_the_mark_of_the_canary_is_inside_what_is_sealed(purpose: Purpose) -> None:
    for topic, message in ((ALERT, WARNING), (PICTURE, DRAWN), (TRACKS, FRAME)):
        marked = replace(message, purpose=purpose)
        payload = sealed(seals("feed.jpn" if topic == TRACKS else "fusion.fusion-1"), topic, marked)
        assert payload.count(purpose.encode()) == 1
        other = b"exercise" if purpose == "canary" else b"canary"
        assert reason(seals("receiver.jpn"), topic, payload.replace(purpose.encode(), other)) == "forged"
        assert getattr(hear(seals("receiver.jpn"), topic, payload).message, "purpose", "") == purpose


def test_a_feed_says_decorrelations_too_and_an_operator_nothing_else() -> None:
    assert hear(seals("fusion.fusion-1"), WORDS, sealed(seals("feed.jpn"), WORDS, WORD)).message == WORD
    assert reason(seals("fusion.fusion-1"), EVENTS, sealed(seals("operator.jpn"), EVENTS, DROPPED)) == "attribution"


def test_a_worker_named_after_a_nation_speaks_to_that_nation_alone() -> None:
    to_kor, to_jpn = picture_alert("kor", "a1"), ALERT
    for_kor = numbered(WARNING, 1)
    assert reason(seals("receiver.jpn"), to_jpn, sealed(seals("fusion.kor"), to_jpn, WARNING)) == "attribution"
    with pytest.raises(Rejected, match="attribution"):  # the message inside says jpn
        hear(seals("receiver.kor"), to_kor, sealed(seals("fusion.kor"), to_kor, for_kor))


def test_a_reader_cannot_speak_for_the_speaker_to_another_reader() -> None:
    """The receiver knows its own session key with the feed, and seals with it for the fusion worker."""
    feed, worker = next(iter(identity("feed.jpn").keys.values())), id_of(public_of(seed_of("fusion.fusion-1")))
    known = secret_between(seed_of("receiver.jpn"), public_of(seed_of("feed.jpn")))
    head = session_head(TRACKS, feed, bytes(8), NOW_NS // SECOND, [worker])
    false = tagged(head, [session_key(known, head)], 1, encode(FRAME))
    assert reason(seals("fusion.fusion-1"), TRACKS, false) == "forged"
    right = secret_between(seed_of("feed.jpn"), public_of(seed_of("fusion.fusion-1")))
    true = tagged(head, [session_key(right, head)], 1, encode(FRAME))
    assert hear(seals("fusion.fusion-1"), TRACKS, true).message == FRAME


def test_a_frame_is_for_the_parties_of_its_release_alone() -> None:
    topic = feed_tracks("jpn", ("jpn", "usa"))
    payload = sealed(seals("feed.jpn"), topic, FRAME)
    for reader in ("receiver.jpn", "receiver.usa", "fusion.fusion-1", "conductor"):
        assert hear(seals(reader), topic, payload).message == FRAME
    for reader in ("receiver.kor", "fusion.kor", "operator.jpn"):
        assert reason(seals(reader), topic, payload) == "forged"


def test_what_a_reader_hears_does_not_tell_how_much_others_were_told() -> None:
    """A count over all topics did: between two frames for Korea it went on by those for the US alone."""
    shared, withheld = (feed_tracks("jpn", to) for to in (("jpn", "kor"), ("jpn", "usa")))
    counts = []
    for between in (0, 7):
        speaker, heard = seals("feed.jpn"), []
        for _ in range(3):
            heard.append(read_seal(sealed(speaker, shared, FRAME)).number)
            for _ in range(between):
                sealed(speaker, withheld, FRAME)
        counts.append(heard)
    assert counts[0] == counts[1]


@settings(deadline=None)
@given(st.lists(st.sampled_from([b"abababab", b"babababa", b"aaaaaaaa", b"abcdefgh"]), max_size=6))
def test_a_reader_finds_its_own_tag_wherever_its_id_seems_to_stand(ids: list[bytes]) -> None:
    tags = [bytes([row] * 16) for row in range(len(ids))]
    seal = Seal(TAGGED, b"", b"", b"", b"".join(tags), 0, 0, b"".join(ids))
    for wanted in (b"abababab", b"babababa", b"aaaaaaaa", b"abcdefgh", b"habababa"):
        assert seal.tag_for(wanted) == (tags[ids.index(wanted)] if wanted in ids else None)


def test_who_is_revoked_goes_on_speaking_and_is_refused(tmp_path: Path) -> None:
    write_identities(tmp_path, ["feed.jpn", "conductor"])
    feed, conductor = (Seals.of(tmp_path, who, SETTINGS) for who in ("feed.jpn", "conductor"))
    text = trust_file(tmp_path).read_text()
    trust_file(tmp_path).write_text(text[: text.index("[[key]]")] + text[text.rindex("[[key]]") :])
    os.utime(trust_file(tmp_path), ns=(1, 1))
    now_ns = time.time_ns()
    for each in (feed, conductor):
        each.renew()
    assert reason(conductor, STATUS, sealed(feed, STATUS, numbered(BORN, 1, now_ns)), now_ns) == "unknown_key"
    with pytest.raises(BadInput, match=r"holds no key of feed\.jpn"):
        Seals.of(tmp_path, "feed.jpn", SETTINGS)


def test_an_unknown_key_is_told_from_a_forgery() -> None:
    others = trust_in(*(key for key in EVERYBODY.keys.values() if key.principal != "feed.jpn"))
    assert reason(seals("conductor", others), STATUS, sealed(seals("feed.jpn"), STATUS, BORN)) == "unknown_key"


@pytest.mark.parametrize(("speaker", "topic", "message", "reader"), SAID)
def test_what_was_sent_too_long_ago_or_is_from_the_future_has_expired(
    speaker: str, topic: str, message: AnyMessage, reader: str
) -> None:
    window_s = {TRACKS: 30, PICTURE: 30, WORDS: DECORRELATION_EXPIRY_S}.get(topic, 300)
    payload = sealed(seals(speaker), topic, message)
    for off_s in (window_s + 1, -window_s - 1):
        assert reason(seals(reader), topic, payload, NOW_NS + off_s * SECOND) == "expired"
    for off_s in (window_s - 1, 1 - window_s):
        assert hear(seals(reader), topic, payload, NOW_NS + off_s * SECOND).message == message


def test_words_of_several_consoles_are_taken_in_any_order_and_each_once() -> None:
    listening = seals("fusion.fusion-1")
    for session in (9, 8, 10):
        said = numbered(WORD, 1, NOW_NS - session * 3600 * SECOND, session)
        payload = sealed(seals("operator.jpn"), WORDS, said)
        assert hear(listening, WORDS, payload, retained=True).message == said
    assert reason(listening, WORDS, payload) == "replayed"  # of the three it is the oldest


def test_a_retained_flag_makes_nothing_younger() -> None:
    listening, events = seals("receiver.jpn"), list[SecurityEvent]()
    listening.on_event(events.append)
    payload = sealed(seals("fusion.fusion-1"), ALERT, WARNING)
    assert reason(listening, ALERT, payload, NOW_NS + 301 * SECOND, retained=True) == "expired"
    assert events == []  # what an earlier exercise has left is no attack
    assert reason(listening, ALERT, payload, NOW_NS + 301 * SECOND) == "expired"
    assert [event.reason for event in events] == ["expired"]


@pytest.mark.parametrize(
    ("speaker", "topic", "message", "reader"), [each for each in SAID if each[1] in (TRACKS, EVENTS, PICTURE)]
)
def test_a_second_arrival_is_replayed_unless_the_broker_says_that_it_repeats(
    speaker: str, topic: str, message: AnyMessage, reader: str
) -> None:
    """Of what no broker retains; that it says so changes nothing."""
    listening, payload = seals(reader), sealed(seals(speaker), topic, message)
    assert not hear(listening, topic, payload).again
    assert hear(listening, topic, payload, duplicate=True).again
    assert reason(listening, topic, payload, retained=True) == "replayed"
    assert reason(listening, topic, payload) == "replayed"


@pytest.mark.parametrize("retained", [True, False])
@pytest.mark.parametrize(
    ("speaker", "topic", "message", "reader"), [each for each in SAID if each[1] not in (TRACKS, EVENTS, PICTURE)]
)
def test_what_stands_is_a_duplicate_as_often_as_brokers_say_it_and_an_older_word_on_its_topic_is_replayed(
    speaker: str, topic: str, message: AnyMessage, reader: str, retained: bool
) -> None:
    """A bridge that is made again says what is retained, not marked as such. The older word would be a step back."""
    listening, speaking = seals(reader), seals(speaker)
    first, second = (sealed(speaking, topic, numbered(message, seq, NOW_NS + seq)) for seq in (1, 2))
    assert not hear(listening, topic, first).again
    assert hear(listening, topic, first, retained=retained).again
    assert not hear(listening, topic, second).again
    for later_s in (0, 2 * DECORRELATION_EXPIRY_S):  # said again it makes nothing younger: it is held
        assert hear(listening, topic, second, NOW_NS + later_s * SECOND, retained=retained).again
    assert listening.events == {}
    assert reason(listening, topic, first, retained=retained) == "replayed"
    assert hear(listening, topic, first, duplicate=True).again
    assert listening.events == {"replayed": 1}


def test_an_alert_stands_whatever_others_of_its_stream_came_since() -> None:
    listening, speaking, other = seals("receiver.jpn"), seals("fusion.fusion-1"), picture_alert("jpn", "a2")
    first = sealed(speaking, ALERT, WARNING)
    hear(listening, ALERT, first)
    hear(listening, other, sealed(speaking, other, replace(WARNING, id="a2", seq=2)))
    assert hear(listening, ALERT, first).again


def test_a_death_that_stands_is_a_duplicate_too_and_no_more_once_there_is_a_new_birth() -> None:
    listening, speaking = seals("receiver.kor"), seals("feed.jpn")
    death = sealed(speaking, STATUS, replace(BORN, seq=0, state="offline"))
    for said in (sealed(speaking, STATUS, BORN), death):
        assert not hear(listening, STATUS, said).again
    assert hear(listening, STATUS, death).again
    again = sealed(speaking, STATUS, numbered(BORN, 2, NOW_NS + 1, 8))
    assert not hear(listening, STATUS, again).again
    assert reason(listening, STATUS, death) == "replayed"


@settings(deadline=None)
@given(order=st.permutations(range(1, 30)), forged_at=st.sets(st.integers(0, 28)))
def test_reordered_and_between_forgeries_every_message_is_taken_once(order: list[int], forged_at: set[int]) -> None:
    speaking, listening = seals("feed.jpn"), seals("fusion.fusion-1")
    payloads = {seq: sealed(speaking, EVENTS, numbered(DROPPED, seq, NOW_NS + seq)) for seq in order}
    taken = []
    for at, seq in enumerate(order):
        if at in forged_at:  # the number that comes next, and one far ahead, each with a bit flipped
            assert reason(listening, EVENTS, payloads[seq][:-1] + bytes([payloads[seq][-1] ^ 1])) == "forged"
            far = sealed(speaking, EVENTS, numbered(DROPPED, 2**50))
            assert reason(listening, EVENTS, far[:40] + bytes([far[40] ^ 1]) + far[41:]) == "forged"
        taken.append(hear(listening, EVENTS, payloads[seq]).message.seq)
    assert taken == order
    assert all(reason(listening, EVENTS, payload) == "replayed" for payload in payloads.values())


def test_session_keys_rotate_without_a_gap() -> None:
    often = SealSettings(rotate_s=10.0, window_s=300.0)
    speaking, listening = seals("feed.jpn", settings=often), seals("fusion.fusion-1", settings=often)
    payloads = [sealed(speaking, TRACKS, numbered(FRAME, seq, NOW_NS + seq * SECOND)) for seq in range(1, 61)]
    keys = {read_seal(payload).began_s for payload in payloads}
    assert len(keys) == 7  # NOW_NS is a multiple of ten seconds
    random.Random(1).shuffle(payloads)
    assert all(not hear(listening, TRACKS, payload, NOW_NS + 31 * SECOND).again for payload in payloads)


def _tagged_for(reader: str, topic: str, message: AnyMessage, began_s: int, by: str = "feed.jpn") -> bytes:
    """Tagged by hand, with the right key of a session that began then."""
    speaker, to = next(iter(identity(by).keys.values())), public_key(reader)
    head = session_head(topic, speaker, bytes(8), began_s, [to.id])
    return tagged(head, [session_key(agreed_secret(speaker, to), head)], 1, encode(message))


def test_a_session_key_holds_for_its_time_and_a_window_and_no_longer() -> None:
    longest_s = int(SETTINGS.rotate_s + SETTINGS.window_s)
    for age_s in (longest_s + 1, int(-SETTINGS.window_s) - 1):
        payload = _tagged_for("receiver.kor", TRACKS, FRAME, NOW_NS // SECOND - age_s)
        assert reason(seals("receiver.kor"), TRACKS, payload) == "expired"
    payload = _tagged_for("receiver.kor", TRACKS, FRAME, NOW_NS // SECOND - longest_s)
    assert hear(seals("receiver.kor"), TRACKS, payload).message == FRAME


def test_a_seal_of_the_other_kind_is_none() -> None:
    feed = next(iter(identity("feed.jpn").keys.values()))
    assert reason(seals("receiver.kor"), TRACKS, signed(TRACKS, encode(FRAME), feed)) == "forged"
    assert reason(seals("receiver.kor"), EVENTS, _tagged_for("receiver.kor", EVENTS, DROPPED, NOW_NS // SECOND)) == "forged"


def test_signing_keys_rotate_without_a_gap() -> None:
    """Old to 60 s, new from 30 s; each message comes up to 40 s late, so that some come when their key has ended."""
    keys = [
        public_key("feed.jpn", 0, (0, NOW_NS + 60 * SECOND)),
        public_key("feed.jpn", 1, (NOW_NS + 30 * SECOND, 2**62)),
        public_key("fusion.fusion-1", 0, (0, NOW_NS + 50 * SECOND)),
        public_key("fusion.fusion-1", 1, (NOW_NS + 20 * SECOND, 2**62)),
    ]
    trust = trust_in(*keys)
    speaking, listening = seals("feed.jpn", trust, generations=2), seals("fusion.fusion-1", trust, generations=2)
    used = set()
    for seq in range(1, 101):
        at_ns = NOW_NS + seq * SECOND
        for topic, message, late_s in ((EVENTS, DROPPED, 40), (TRACKS, FRAME, 20)):
            payload = sealed(speaking, topic, numbered(message, seq, at_ns))
            used.add((topic, read_seal(payload).key, read_seal(payload).readers))
            assert not hear(listening, topic, payload, at_ns + late_s * SECOND).again
    assert len(used) == 5  # events by two keys; frames by two to two readers' keys, which change at different times


def test_a_key_that_has_ended_seals_nothing_that_is_taken() -> None:
    ended = trust_in(public_key("feed.jpn", 0, (0, NOW_NS - 1)), public_key("fusion.fusion-1"))
    for topic, message in ((EVENTS, DROPPED), (TRACKS, FRAME)):
        assert reason(seals("fusion.fusion-1", ended), topic, sealed(seals("feed.jpn"), topic, message)) == "unknown_key"


def test_a_frame_of_the_largest_size_is_sealed_and_opened() -> None:
    message = numbered(frame(reports(256)), 1)
    got = hear(seals("receiver.usa"), TRACKS, sealed(seals("feed.jpn"), TRACKS, message)).message
    assert encode(got) == encode(message)


def test_events_are_told_with_whose_key_they_name_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    listening, events = seals("receiver.jpn"), list[SecurityEvent]()
    listening.on_event(events.append)
    payload, newer = (sealed(seals("fusion.fusion-1"), ALERT, numbered(WARNING, seq)) for seq in (1, 2))
    hear(listening, ALERT, payload)
    hear(listening, ALERT, newer)
    for _ in range(3):
        reason(listening, ALERT, payload)
    reason(listening, ALERT, payload[:-1])
    assert [(event.reason, event.speaker, event.topic) for event in events] == [
        *[("replayed", "fusion.fusion-1", ALERT)] * 3,
        ("forged", "", ALERT),
    ]
    assert [record.message.split()[1] for record in caplog.records] == ["replayed", "forged"]


def _golden_frame() -> bytes:
    """A worker's third frame, to the receiver alone."""
    worker, receiver = next(iter(identity("fusion.fusion-1").keys.values())), public_key("receiver.jpn")
    head = session_head(PICTURE, worker, bytes(range(8)), NOW_NS // SECOND, [receiver.id])
    return tagged(head, [session_key(agreed_secret(worker, receiver), head)], 3, encode(DRAWN))


@pytest.mark.parametrize(
    ("name", "payload"),
    [
        ("signed", signed(STATUS, encode(BORN), next(iter(identity("feed.jpn").keys.values())))),
        ("tagged", _golden_frame()),
    ],
)
def test_the_golden_bytes_are_what_is_sealed(name: str, payload: bytes) -> None:
    assert payload.hex() == (HERE / f"golden_{name}.hex").read_text().replace("\n", "")


def test_a_reader_made_from_the_document_alone_opens_what_is_sealed() -> None:
    payload = bytes.fromhex((HERE / "golden_signed.hex").read_text())
    assert opened_signed(STATUS, payload, public_of(seed_of("feed.jpn"))) == encode(BORN)
    assert opened_signed(STATUS, payload[:-1], public_of(seed_of("feed.jpn"))) is None
    payload = bytes.fromhex((HERE / "golden_tagged.hex").read_text())
    assert opened_tagged(PICTURE, payload, public_of(seed_of("fusion.fusion-1")), seed_of("receiver.jpn")) == encode(DRAWN)
    assert opened_tagged(PICTURE, payload[:-1], public_of(seed_of("fusion.fusion-1")), seed_of("receiver.jpn")) is None


@settings(deadline=None)
@given(rows=st.integers(0, 5), seq=st.integers(1, 2**53))
def test_the_slow_reader_and_ours_open_the_same_frames(rows: int, seq: int) -> None:
    message = numbered(frame(reports(rows)), seq)
    payload = sealed(seals("feed.jpn"), TRACKS, message)
    slow = opened_tagged(TRACKS, payload, public_of(seed_of("feed.jpn")), seed_of("receiver.kor"))
    assert slow == hear(seals("receiver.kor"), TRACKS, payload).delivery.message == encode(message)


def test_the_settings_hold_the_clock_to_its_third() -> None:
    assert seals("conductor").repeat_s * 3 == SETTINGS.window_s
    assert hear(seals("feed.usa"), EXERCISE_CLOCK, sealed(seals("conductor"), EXERCISE_CLOCK, CLOCK)).message == CLOCK
