"""Keys and trust: made once, for their owner's eyes only, renewed while everything runs, and in no text."""

from __future__ import annotations

import logging
import os
import stat
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bench.tap import as_line
from bus import seals as seals_module
from bus.certificates import MARK
from bus.errors import BadInput, Rejected
from bus.identity import (
    Trust,
    add_key,
    load_identity,
    load_trust,
    sign_key_file,
    trust_file,
    write_identities,
)
from bus.messages import AnyMessage
from bus.seals import Seals, SealSettings
from bus.transport import Delivery
from tests.security.parties import BORN, FRAME, SECOND, STATUS, TRACKS, WORD, WORDS, hear, numbered, sealed

WHO = ("feed.jpn", "operator.jpn", "conductor", "fusion.fusion-1")
BEGIN = datetime(2027, 1, 15, 8, tzinfo=UTC)
BEGIN_NS = int(BEGIN.timestamp()) * 10**9


def test_what_is_written_is_read_and_only_its_owner_reads_private_keys(tmp_path: Path) -> None:
    write_identities(tmp_path, WHO, BEGIN)
    trust = load_trust(tmp_path)
    assert trust.principals(BEGIN_NS) == sorted(WHO)
    assert trust.principals(BEGIN_NS - 1) == []
    for name in WHO:
        own = load_identity(tmp_path, name)
        assert {trust.keys[id].principal for id in own.keys} == {name}
        assert stat.S_IMODE(sign_key_file(tmp_path, name).stat().st_mode) == 0o600
        assert MARK in sign_key_file(tmp_path, name).read_text()
    assert MARK in trust_file(tmp_path).read_text()


def test_nothing_is_overwritten_and_then_nothing_is_written(tmp_path: Path) -> None:
    write_identities(tmp_path, ["conductor"], BEGIN)
    before = sign_key_file(tmp_path, "conductor").read_bytes()
    trust_file(tmp_path).unlink()
    with pytest.raises(BadInput, match="exists, and nothing is overwritten"):
        write_identities(tmp_path, WHO, BEGIN)
    assert not trust_file(tmp_path).exists()
    assert not sign_key_file(tmp_path, "feed.jpn").exists()
    assert sign_key_file(tmp_path, "conductor").read_bytes() == before


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[[key]]\nprincipal = 'x y'\n", "principal"),
        ("key = 3\n", "key"),
        (
            "[[key]]\nprincipal='feed.jpn'\npublic='00'\nnot_before=2027-01-01T00:00:00Z\nnot_after=2027-02-01T00:00:00Z\n",
            "public",
        ),
        (
            f"[[key]]\nprincipal='broker'\npublic='{'0' * 64}'\nnot_before=2027-01-01T00:00:00Z\nnot_after=2027-02-01T00:00:00Z",
            "is no public key of Ed25519",
        ),
        (f"[[key]]\nprincipal='feed.jpn'\npublic='{'0' * 64}'\nnot_before=2027-01-01T00:00:00\nnot_after=2027-02-01\n", "not_"),
    ],
)
def test_a_trust_file_that_is_none_is_refused_with_its_key(tmp_path: Path, text: str, says: str) -> None:
    trust_file(tmp_path).write_text(text)
    with pytest.raises(BadInput, match=says):
        load_trust(tmp_path)


def test_a_private_key_is_in_no_text(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    write_identities(tmp_path, WHO, BEGIN)
    path = sign_key_file(tmp_path, "feed.jpn")
    seed = path.read_text().split()[-1]
    own = load_identity(tmp_path, "feed.jpn")
    exchange = next(iter(own.keys.values())).exchange
    seals = Seals.of(tmp_path, "feed.jpn", SealSettings())
    texts = [repr(own), str(own), repr(own.keys), repr(seals), repr(load_trust(tmp_path))]
    path.write_text(path.read_text() + seed[:-1] + "\n")
    with pytest.raises(BadInput) as caught:
        load_identity(tmp_path, "feed.jpn")
    seals.renew()
    texts += [str(caught.value), repr(caught.value), caplog.text]
    assert "cannot be taken" in caplog.text
    for text in texts:
        for secret in (bytes.fromhex(seed), exchange):
            assert secret.hex() not in text
            assert secret.hex()[:-1] not in text
            assert repr(secret)[2:-1] not in text


def test_a_key_is_renewed_and_the_old_one_revoked_while_both_sides_run(tmp_path: Path) -> None:
    write_identities(tmp_path, WHO, BEGIN, days=1)
    feed, conductor = (Seals.of(tmp_path, name, SealSettings()) for name in ("feed.jpn", "conductor"))
    old = next(iter(load_identity(tmp_path, "feed.jpn").keys))
    add_key(tmp_path, "feed.jpn", BEGIN + timedelta(hours=12), BEGIN + timedelta(days=2))
    _touch(tmp_path, "feed.jpn", 1)
    assert stat.S_IMODE(sign_key_file(tmp_path, "feed.jpn").stat().st_mode) == 0o600
    for each in (conductor, feed):
        each.renew()
    for hour in range(48):
        at_ns = BEGIN_NS + hour * 3600 * 10**9
        payload = sealed(feed, STATUS, numbered(BORN, hour + 1, at_ns))
        assert (payload[2:10] == old) == (hour < 12)
        assert not hear(conductor, STATUS, payload, at_ns).again
    trust_file(tmp_path).write_text(_without(trust_file(tmp_path).read_text(), "feed.jpn"))
    _touch(tmp_path, "feed.jpn", 2)
    conductor.renew()
    with pytest.raises(Rejected, match="unknown_key"):
        hear(conductor, STATUS, sealed(feed, STATUS, numbered(BORN, 99, at_ns)), at_ns)
    words = Seals.of(tmp_path, "operator.jpn", SealSettings())
    late = Seals.of(tmp_path, "fusion.fusion-1", SealSettings())
    assert hear(late, WORDS, sealed(words, WORDS, numbered(WORD, 1, BEGIN_NS)), BEGIN_NS).message.seq == 1


@pytest.mark.parametrize(("topic", "message", "reader"), [(STATUS, BORN, "conductor"), (TRACKS, FRAME, "fusion.fusion-1")])
def test_a_rotated_key_is_believed_with_its_first_message_whenever_the_files_were_last_read(
    topic: str, message: AnyMessage, reader: str, tmp_path: Path
) -> None:
    """However long the window, and so however seldom what stands is said again. A signature, a tag for the reader's new key."""
    write_identities(tmp_path, WHO, BEGIN, days=1)
    feed, hearing = (Seals.of(tmp_path, name, SealSettings(window_s=3600.0)) for name in ("feed.jpn", reader))
    before_ns = BEGIN_NS + 3600 * SECOND
    assert not hear(hearing, topic, sealed(feed, topic, numbered(message, 1, before_ns)), before_ns).again
    for name in WHO:
        add_key(tmp_path, name, BEGIN + timedelta(hours=1), BEGIN + timedelta(days=2))
    speaks = Seals.of(tmp_path, "feed.jpn", SealSettings(window_s=3600.0))  # a process that has read them in this moment
    payload = sealed(speaks, topic, numbered(message, 2, before_ns + 1))
    assert not hear(hearing, topic, payload, before_ns + 1).again
    later_ns = before_ns + SECOND
    payload = sealed(feed, topic, numbered(message, 3, later_ns))  # who speaks has seen it within a second
    assert payload[2:10] == sealed(speaks, topic, numbered(message, 4, later_ns))[2:10]
    assert not hear(hearing, topic, payload, later_ns).again
    assert not hearing.events


def test_a_revoked_key_is_believed_for_no_more_than_a_second(tmp_path: Path) -> None:
    write_identities(tmp_path, WHO, BEGIN, days=1)
    feed, conductor = (Seals.of(tmp_path, name, SealSettings()) for name in ("feed.jpn", "conductor"))
    assert not hear(conductor, STATUS, sealed(feed, STATUS, numbered(BORN, 1, BEGIN_NS)), BEGIN_NS).again
    trust_file(tmp_path).write_text(_without(trust_file(tmp_path).read_text(), "feed.jpn"))
    with pytest.raises(Rejected, match="unknown_key"):
        hear(conductor, STATUS, sealed(feed, STATUS, numbered(BORN, 2, BEGIN_NS)), BEGIN_NS + SECOND)


def test_tap_follows_a_rotation_and_a_revocation(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    write_identities(tmp_path, WHO, now - timedelta(hours=1))
    tap = Seals.of(tmp_path, "conductor", SealSettings())

    def line(feed: Seals, seq: int) -> str:
        return as_line(Delivery(STATUS, sealed(feed, STATUS, numbered(BORN, seq, time.time_ns())), 1), tap)

    assert "feed jpn is ready" in line(Seals.of(tmp_path, "feed.jpn", SealSettings()), 1)
    add_key(tmp_path, "feed.jpn", now - timedelta(minutes=1), now + timedelta(days=2))
    rotated = Seals.of(tmp_path, "feed.jpn", SealSettings())
    assert "feed jpn is ready" in line(rotated, 2)
    trust_file(tmp_path).write_text(_without(trust_file(tmp_path).read_text(), "feed.jpn"))
    tap._looked_ns = 0  # a second and more ago
    assert "REJECTED unknown_key" in line(rotated, 3)


def test_a_key_folder_that_cannot_be_taken_is_told_once_and_costs_a_forgery_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO)
    write_identities(tmp_path, WHO, BEGIN, days=1)
    feed, conductor = (Seals.of(tmp_path, name, SealSettings()) for name in ("feed.jpn", "conductor"))
    genuine = sealed(feed, STATUS, numbered(BORN, 1, BEGIN_NS))
    whole = trust_file(tmp_path).read_text()
    trust_file(tmp_path).write_text("not toml")
    read = Counter[Path]()

    def counted(folder: Path) -> Trust:
        read[folder] += 1
        return load_trust(folder)

    monkeypatch.setattr(seals_module, "load_trust", counted)
    for _ in range(50):
        with pytest.raises(Rejected, match="forged"):
            hear(conductor, STATUS, genuine[:30] + bytes([genuine[30] ^ 1]) + genuine[31:], BEGIN_NS)
    assert caplog.text.count("cannot be taken") == read.total() == 1
    assert not hear(conductor, STATUS, genuine, BEGIN_NS).again
    trust_file(tmp_path).write_text(whole)
    assert not hear(conductor, STATUS, sealed(feed, STATUS, numbered(BORN, 2, BEGIN_NS)), BEGIN_NS + SECOND).again
    assert "are believed" in caplog.text


def _touch(folder: Path, principal: str, at: int) -> None:
    """Let the files be younger than any that was read, whatever the file system's clock."""
    for path in (trust_file(folder), sign_key_file(folder, principal)):
        now_ns = path.stat().st_mtime_ns + at * 10**9
        os.utime(path, ns=(now_ns, now_ns))


def _without(text: str, principal: str) -> str:
    head, *entries = text.split("[[key]]")
    return head + "".join(f"[[key]]{entry}" for entry in entries if f'"{principal}"' not in entry)
