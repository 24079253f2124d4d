"""What parties write into their audit logs, and what a full disk does to one."""

from __future__ import annotations

import errno
import json
import os
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from bench.audit import judge
from bus.audit import AuditLog, audited, kept
from bus.chain import read, runs_of, verify
from bus.errors import BadInput
from bus.memory import MemoryBus
from bus.messages import Alert, AlertTimes, Member
from bus.metrics import Budgets, Metrics
from bus.party import Party
from tests.bus.audits import WHO, entries_of, room_for, told


def an_alert(state: Any) -> Alert:
    return Alert(
        session=1,
        seq=1,
        id="a-1",
        recipient="kor",
        state=state,
        revision=2,
        system=3,
        members=[Member("jpn", 7), Member("usa", 9)],
        phenomenology=2,
        reason="infrared of usa",
        times=AlertTimes(valid_ns=1, detected_ns=1, tracked_ns=1, released_ns=5),
        heading_deg=90.0,
    )


def logging_party(folder: Path) -> tuple[Party, Metrics]:
    metrics = Metrics(CollectorRegistry(), Budgets())
    party = Party("fusion", "fusion-1", MemoryBus().transport, metrics)
    party.audit = AuditLog(folder, party.principal)
    return party, metrics


def test_a_second_process_of_the_same_name_is_refused_while_the_first_writes(tmp_path: Path) -> None:
    one = AuditLog(tmp_path, WHO)
    with pytest.raises(BadInput, match=f"{one.path.name} is being written by another process"):
        AuditLog(tmp_path, WHO)
    AuditLog(tmp_path, "feed.jpn").close()
    one.close()
    AuditLog(tmp_path, WHO).close()
    assert judge([tmp_path]).sound
    assert len(runs_of(tmp_path, WHO)) == 2


def test_alerts_retractions_and_what_is_held_are_told_apart(tmp_path: Path) -> None:
    log = AuditLog(tmp_path, WHO)
    log.alert(an_alert("quick"))
    log.alert(an_alert("retracted"))
    log.alert(an_alert("retracted"), "held")
    log.close()
    entries = [json.loads(line[65:]) for line in log.path.read_bytes().splitlines()]
    assert [each["kind"] for each in entries] == ["begin", "alert", "retraction", "held", "end"]
    assert entries[2]["facts"]["members"] == ["jpn/7", "usa/9"]
    assert entries[2]["facts"]["reason"] == "infrared of usa"


def test_every_rejection_is_counted_and_a_flood_of_them_is_a_few_lines(tmp_path: Path) -> None:
    now_ns = 0
    log = AuditLog(tmp_path, WHO, lambda: now_ns)
    for number in range(10_000):
        now_ns = number * 1_000_000  # ten seconds
        log.reject("malformed", f"rubbish/{number}")
        log.reject("late", "mw/v1/feed/jpn/tracks/jpn-usa", 2)
    log.close()
    entries = [json.loads(line[65:]) for line in log.path.read_bytes().splitlines()]
    counts: dict[str, int] = {}
    for each in entries:
        if each["kind"] == "rejection":
            counts[each["facts"]["reason"]] = counts.get(each["facts"]["reason"], 0) + each["facts"]["count"]
    assert counts == {"malformed": 10_000, "late": 20_000}
    assert len(entries) < 11 * 260


@pytest.mark.parametrize("letter", ["x", "\0", "\u00ff", "\U0001f680", '"'])
def test_a_topic_as_long_as_mqtt_allows_is_cut_and_verification_takes_its_line(tmp_path: Path, letter: str) -> None:
    topic = letter * (65_535 // len(letter.encode()))
    log = AuditLog(tmp_path, WHO)
    log.reject("topic", topic)
    log.reject("topic", topic + "/")
    log.close()
    assert judge([tmp_path]).sound
    facts = [each["facts"] for each in entries_of(log.path) if each["kind"] == "rejection"]
    assert sorted(each["topic"] for each in facts) == [f"{letter * 200}... ({len(topic) + more} characters)" for more in (0, 1)]


def test_topics_that_are_cut_alike_are_counted_together(tmp_path: Path) -> None:
    log = AuditLog(tmp_path, WHO)
    for number in range(1_000):
        log.reject("topic", f"{'x' * 60_000}{number:03}")
    log.close()
    facts = [each["facts"] for each in entries_of(log.path) if each["kind"] == "rejection"]
    assert [each["count"] for each in facts] == [1_000]


def test_an_entry_too_long_to_be_verified_is_not_written(tmp_path: Path) -> None:
    log = AuditLog(tmp_path, WHO)
    with pytest.raises(OSError, match="Message too long"):
        log.write("decision", reason="x" * 65_536)
    log.write("decision", reason="x" * 65_000)
    log.close()
    assert [(each.sound, each.logs[0].lost) for each in [judge([tmp_path])]] == [(True, 1)]


def test_a_line_is_as_long_as_verification_takes_and_no_longer(tmp_path: Path) -> None:
    log = AuditLog(tmp_path, WHO, lambda: 1_000)
    log.write("decision", reason="")
    room = 65_536 - len(log.path.read_bytes().splitlines(keepends=True)[1])
    log.write("decision", reason="x" * room)
    with pytest.raises(OSError, match="Message too long"):
        log.write("decision", reason="x" * (room + 1))
    log.close()
    assert judge([tmp_path]).sound


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match=r"audit: folder: .*file.* cannot be used"):
        AuditLog(tmp_path / "file", WHO)


@pytest.mark.parametrize("more", [0, 1, 64, 65, 100])
def test_a_write_cut_short_by_a_full_disk_leaves_a_sound_log_that_goes_on_and_tells_what_it_lost(
    tmp_path: Path, more: int
) -> None:
    party, metrics = logging_party(tmp_path)
    assert party.audit is not None
    path = party.audit.path
    party.log(lambda audit: audit.write("decision", track=1))
    before = path.read_bytes()
    with room_for(path, more):
        for track in (2, 3):
            party.log(lambda audit, track=track: audit.write("decision", track=track))  # type: ignore[misc]
    assert path.read_bytes() == before
    assert metrics.audit_failures._value.get() == 2.0
    party.log(lambda audit: audit.write("decision", track=4))
    party.log(AuditLog.close)
    assert [(each["kind"], each["facts"]) for each in entries_of(path)[2:]] == [
        ("lost", {"count": 2}),
        ("decision", {"track": 4}),
        ("end", {}),
    ]
    assert [(log.problem, log.lost) for log in verify([tmp_path])] == [("", 2)]
    assert f"{path}: 2 entries were not taken by the disk" in told(path)[1]
    summary = party.summary().audit
    assert summary is not None
    assert (summary.head, summary.entries) == (read(path).head, read(path).entries)
    assert metrics.audit_failures._value.get() == 2.0


def test_half_a_line_that_could_not_be_taken_back_is_before_the_next_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = AuditLog(tmp_path, WHO)
    with monkeypatch.context() as patched, room_for(log.path, 70):
        patched.setattr(os, "ftruncate", refusing("not now"))
        with pytest.raises(OSError, match="not now"):
            log.write("decision", track=1)
    assert not log.path.read_bytes().endswith(b"\n")
    log.write("decision", track=2)
    log.close()
    assert [each["kind"] for each in entries_of(log.path)] == ["begin", "lost", "decision", "end"]
    assert judge([tmp_path]).sound


def refusing(why: str) -> Callable[..., int]:
    def refuse(*_: object) -> int:
        raise OSError(errno.EIO, why)

    return refuse


def test_a_full_disk_is_told_once_until_there_is_room_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with audited(str(tmp_path), WHO) as log:
        assert log is not None
        for _ in range(2):
            with room_for(log.path, 0):
                assert [kept(log, partial(AuditLog.write, kind="decision")) for _ in range(3)] == [False] * 3
            assert kept(log, partial(AuditLog.write, kind="decision"))
    told_twice = [f"the audit log {log.path} takes nothing more: File too large"] * 2
    assert [record.getMessage() for record in caplog.records] == told_twice
    assert judge([tmp_path]).sound


def test_where_no_log_is_kept_nothing_is_written_and_nothing_fails() -> None:
    with audited("", WHO) as log:
        assert log is None
        assert kept(log, AuditLog.close)


def test_a_disk_that_takes_nothing_is_as_one_that_takes_half(tmp_path: Path) -> None:
    log = AuditLog(tmp_path, WHO)
    with Path("/dev/full").open("wb", buffering=0) as full:
        own, log._file = log._file, full.fileno()
        with pytest.raises(OSError, match=r".*"):
            log.write("decision", track=1)
        log._file = own
    log.close()
    assert judge([tmp_path]).sound


def test_rejections_that_a_full_disk_did_not_take_are_counted_once_there_is_room(tmp_path: Path) -> None:
    now_ns = 0
    log = AuditLog(tmp_path, WHO, lambda: now_ns)
    for number in range(5):
        log.reject("malformed", "x", number + 1)
        log.reject("late", "y")
        now_ns += 2_000_000_000
        with room_for(log.path, 150 if number < 4 else 10_000), suppress(OSError):
            log.flush()
    log.close()
    counts: Counter[str] = Counter()
    for each in entries_of(log.path):
        if each["kind"] == "rejection":
            counts[each["facts"]["reason"]] += each["facts"]["count"]
    assert counts == {"malformed": 15, "late": 5}
    assert judge([tmp_path]).sound


@pytest.mark.parametrize("more", [0, 30])
def test_a_log_that_cannot_begin_is_told_and_leaves_no_file(tmp_path: Path, more: int) -> None:
    with room_for(tmp_path / "none", more), pytest.raises(BadInput, match="cannot be used"):
        AuditLog(tmp_path, WHO)
    assert list(tmp_path.iterdir()) == []
    AuditLog(tmp_path, WHO).close()
    assert judge([tmp_path]).sound


def test_a_log_that_cannot_end_is_closed_all_the_same(tmp_path: Path) -> None:
    party, metrics = logging_party(tmp_path)
    assert party.audit is not None
    with room_for(party.audit.path, 3):
        party.log(AuditLog.close)
    assert metrics.audit_failures._value.get() == 1.0
    (log,) = verify([tmp_path])
    assert (log.problem, log.open) == ("", True)
    AuditLog(tmp_path, party.principal).close()
    assert judge([tmp_path], allow_open=True).sound


def test_a_full_disk_stops_nothing_and_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    party, metrics = logging_party(tmp_path)

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("bus.audit.os.write", full)
        party.reject("malformed", topic="x")
        party.log(lambda audit: audit.alert(an_alert("quick")))
    assert metrics.audit_failures._value.get() == 1.0
    assert metrics.rejected.labels("malformed")._value.get() == 1.0
