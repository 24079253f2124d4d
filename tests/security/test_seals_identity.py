"""Keys and trust: made once, for their owner's eyes only, renewed while everything runs, and in no text."""

from __future__ import annotations

import logging
import os
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bus.certificates import MARK
from bus.errors import BadInput, Rejected
from bus.identity import (
    add_key,
    load_identity,
    load_trust,
    sign_key_file,
    trust_file,
    write_identities,
)
from bus.seals import Seals, SealSettings
from tests.security.parties import BORN, STATUS, WORD, WORDS, hear, numbered, sealed

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


def _touch(folder: Path, principal: str, at: int) -> None:
    """Let the files be younger than any that was read, whatever the file system's clock."""
    for path in (trust_file(folder), sign_key_file(folder, principal)):
        now_ns = path.stat().st_mtime_ns + at * 10**9
        os.utime(path, ns=(now_ns, now_ns))


def _without(text: str, principal: str) -> str:
    head, *entries = text.split("[[key]]")
    return head + "".join(f"[[key]]{entry}" for entry in entries if f'"{principal}"' not in entry)
