from __future__ import annotations

import errno
import hashlib
import json
import os
import resource
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from bench.audit import heads_in, judge
from bench.cli import main
from bus.audit import AuditLog, audited, kept
from bus.chain import chained, read, runs_of, verify
from bus.errors import BadInput
from bus.memory import MemoryBus
from bus.messages import Alert, AlertTimes, Member
from bus.metrics import Budgets, Metrics
from bus.party import Party

WHO = "fusion.fusion-1"


def written(folder: Path, entries: int = 5, *, end: bool = True) -> Path:
    log = AuditLog(folder, WHO, lambda: 1_000)
    for number in range(entries):
        log.write("decision", track=number, to="usa", allowed=number % 2 == 0)
    if end:
        log.close()
    else:
        os.close(log._file)  # killed
    return log.path


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


def test_a_log_is_what_its_description_says(tmp_path: Path) -> None:
    """Read without any of our code."""
    head = bytes(32)
    for number, line in enumerate(written(tmp_path).read_bytes().splitlines(), start=1):
        chain, body = line.split(b" ", 1)
        head = hashlib.blake2b(head + body, digest_size=32).digest()
        assert chain.decode() == head.hex()
        assert json.loads(body)["n"] == number


def test_a_sound_log_is_sound(tmp_path: Path) -> None:
    (log,) = verify([written(tmp_path)])
    assert (log.entries, log.open, log.problem) == (7, False, "")


def test_any_flipped_bit_is_found(tmp_path: Path) -> None:
    path = written(tmp_path)
    sound = path.read_bytes()
    for place in range(len(sound)):
        for bit in (0, 3, 7):
            path.write_bytes(sound[:place] + bytes([sound[place] ^ 1 << bit]) + sound[place + 1 :])
            (log,) = verify([path])
            assert log.problem, (place, bit)


def test_a_line_taken_out_doubled_moved_or_put_in_is_found(tmp_path: Path) -> None:
    path = written(tmp_path)
    lines = path.read_bytes().splitlines(keepends=True)
    for place in range(len(lines)):
        others = lines[:place] + lines[place + 1 :]
        changed = [lines[:place] + [lines[place]] * 2 + lines[place + 1 :]]
        changed += [others] if place < len(lines) - 1 else []
        changed += [[*others[:at], lines[place], *others[at:]] for at in range(len(lines)) if at != place]
        for each in changed:
            path.write_bytes(b"".join(each))
            (log,) = verify([path])
            assert log.problem


def test_a_cut_at_a_lines_end_leaves_a_log_without_its_end(tmp_path: Path) -> None:
    path = written(tmp_path)
    lines = path.read_bytes().splitlines(keepends=True)
    for left in range(1, len(lines)):
        path.write_bytes(b"".join(lines[:left]))
        (log,) = verify([path])
        assert log.open
        assert not judge([path]).sound
        assert judge([path], allow_open=True).sound


def test_a_cut_inside_a_line_is_found(tmp_path: Path) -> None:
    path = written(tmp_path)
    sound = path.read_bytes()
    path.write_bytes(sound[:-3])
    (log,) = verify([path])
    assert log.problem == "line 7: is torn"


def test_an_entry_after_the_end_is_found_though_its_chain_is_right(tmp_path: Path) -> None:
    path = written(tmp_path)
    entry = b'{"n":8,"at_ns":1000,"kind":"alert","facts":{}}'
    with path.open("ab") as file:
        file.write(chained(bytes.fromhex(read(path).head), entry).hex().encode() + b" " + entry + b"\n")
    assert verify([path])[0].problem == "line 8: an entry after the end"


def test_a_log_written_anew_is_found_by_the_head_that_is_known(tmp_path: Path) -> None:
    head = read(written(tmp_path)).head
    assert judge([tmp_path], [head.upper()]).sound
    runs_of(tmp_path, WHO)[0].unlink()
    written(tmp_path, 3)
    verdicts = judge([tmp_path], [head])
    assert not verdicts.sound
    assert verdicts.heads_missing == [head]


def test_each_run_follows_the_one_before(tmp_path: Path) -> None:
    written(tmp_path, end=False)  # killed
    second, third = written(tmp_path), written(tmp_path)
    assert [log.problem for log in verify([tmp_path])] == ["", "", ""]
    second.rename(tmp_path / "away")
    assert [log.problem for log in verify([tmp_path])] == ["", f"follows {second.name}, which is not there"]
    (tmp_path / "away").rename(second)
    lines = second.read_bytes().splitlines(keepends=True)
    second.write_bytes(b"".join(lines[:3]))
    assert verify([third])[0].problem == f"follows {second.name}, which has changed since"


def append(path: Path, *entries: dict[str, Any]) -> None:
    """Lines behind a log's last one, as its process would chain them."""
    with path.open("ab") as file:
        for each in entries:
            log = read(path)  # one of no entries is none, and may begin
            entry = json.dumps({"n": log.entries + 1, "at_ns": 1_000, **each}).encode()
            file.write(chained(bytes.fromhex(log.head), entry).hex().encode() + b" " + entry + b"\n")
            file.flush()


def test_an_earlier_log_that_was_extended_is_found_though_its_chain_is_right(tmp_path: Path) -> None:
    first, second = written(tmp_path, end=False), written(tmp_path)
    append(first, {"kind": "decision", "facts": {"to": "kor"}}, {"kind": "end", "facts": {}})
    assert [log.problem for log in verify([tmp_path])] == ["", f"follows {first.name}, which has changed since"]
    assert verify([second])[0].problem == f"follows {first.name}, which has changed since"


@pytest.mark.parametrize("head", ["", "0", 0, None, [], "x" * 64])
def test_a_log_that_names_no_head_of_the_one_before_is_found(tmp_path: Path, head: Any) -> None:
    first = written(tmp_path)
    path = tmp_path / f"{WHO}.000002.audit"
    append(path, {"kind": "begin", "facts": {"who": WHO, "after": first.name, "head": head}}, {"kind": "end", "facts": {}})
    assert verify([path])[0].problem == f"follows {first.name}, which has changed since"


def test_a_log_that_follows_another_than_the_one_before_is_found(tmp_path: Path) -> None:
    written(tmp_path), written(tmp_path)
    other = AuditLog(tmp_path, "feed.jpn")
    other.close()
    path = tmp_path / f"{WHO}.000003.audit"
    for after in (f"{WHO}.000001.audit", path.name, other.path.name):
        path.unlink(missing_ok=True)
        head = read(tmp_path / after).head if (tmp_path / after).exists() else ""
        append(path, {"kind": "begin", "facts": {"who": WHO, "after": after, "head": head}}, {"kind": "end", "facts": {}})
        assert verify([path])[0].problem == f"says that it follows '{after}', not {WHO}.000002.audit"


def test_a_second_process_of_the_same_name_is_refused_while_the_first_writes(tmp_path: Path) -> None:
    one = AuditLog(tmp_path, WHO)
    with pytest.raises(BadInput, match=f"{one.path.name} is being written by another process"):
        AuditLog(tmp_path, WHO)
    AuditLog(tmp_path, "feed.jpn").close()
    one.close()
    AuditLog(tmp_path, WHO).close()
    assert judge([tmp_path]).sound
    assert len(runs_of(tmp_path, WHO)) == 2


def test_a_log_under_anothers_name_is_found(tmp_path: Path) -> None:
    path = written(tmp_path)
    path.rename(tmp_path / "feed.jpn.000001.audit")
    assert verify([tmp_path])[0].problem == f"is named feed.jpn.000001.audit, and of '{WHO}'"


def told(*arguments: str | Path) -> tuple[int, str]:
    """What `triwarn audit verify` ended with and said; it must not fail itself."""
    result = CliRunner().invoke(main, ["audit", "verify", *map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


NO_NAMES = ["../logs.old/{}", "..", ".", "/", "/{}", "./{}", "x" * 300, "\0", "a\0b", "\x1b[2J", 7, None, ["{}"], {"a": "{}"}]


@pytest.mark.parametrize("after", NO_NAMES, ids=repr)
def test_a_log_that_follows_no_file_name_is_found_and_nothing_outside_its_folder_is_read(
    tmp_path: Path, after: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = written(tmp_path / "logs.old")
    (tmp_path / "logs").mkdir()
    path = tmp_path / "logs" / f"{WHO}.000002.audit"
    after = json.loads(json.dumps(after).replace("{}", outside.name))
    append(
        path, {"kind": "begin", "facts": {"who": WHO, "after": after, "head": read(outside).head}}, {"kind": "end", "facts": {}}
    )
    opened: list[str] = []
    real = os.open

    def note(path: Any, *rest: Any, **named: Any) -> int:
        opened.append(str(path))
        return real(path, *rest, **named)

    monkeypatch.setattr(os, "open", note)
    code, said = told(tmp_path / "logs")
    assert (code, "says that it follows" in said or "which is not there" in said) == (1, True), said
    assert set(opened) == {str(path)}
    assert all(line.isprintable() for line in said.splitlines())
    assert len(said) < 1_000


DEEP = {
    "deeper than Python goes": '"[": ' + "[" * 30_000 + "]" * 30_000,
    "in objects": '"x": ' + '{"x":' * 10_000 + "0" + "}" * 10_000,
}


@pytest.mark.parametrize("nested", DEEP.values(), ids=DEEP.keys())
@pytest.mark.parametrize("kind", ["begin", "decision"])
def test_facts_nested_beyond_measure_are_found(tmp_path: Path, nested: str, kind: str) -> None:
    path = tmp_path / f"{WHO}.000001.audit"
    if kind != "begin":
        append(path, {"kind": "begin", "facts": {"who": WHO, "after": "", "head": ""}})
    log = read(path) if path.exists() else None
    entry = f'{{"n":{log.entries + 1 if log else 1},"at_ns":0,"kind":"{kind}","facts":{{{nested}}}}}'.encode()
    with path.open("ab") as file:
        file.write(chained(bytes.fromhex(log.head) if log else bytes(32), entry).hex().encode() + b" " + entry + b"\n")
    code, said = told(path)
    assert (code, f"line {log.entries + 1 if log else 1}: is no entry" in said) == (1, True)


@pytest.mark.parametrize("fact", ["who", "after", "head"])
def test_a_beginning_whose_facts_are_nested_as_deep_as_can_be_read_is_found(tmp_path: Path, fact: str) -> None:
    """The decoder takes some hundred levels, of which Python may not be able to write the half."""
    for depth in (50, 200, 400, 800, 900, 1_000):
        path = tmp_path / f"{WHO}.000001.audit"
        facts = {"who": f'"{WHO}"', "after": '""', "head": '""', fact: "[" * depth + "]" * depth}
        body = ",".join(f'"{name}":{value}' for name, value in facts.items())
        entry = f'{{"n":1,"at_ns":0,"kind":"begin","facts":{{{body}}}}}'.encode()
        path.write_bytes(chained(bytes(32), entry).hex().encode() + b" " + entry + b"\n")
        assert told(path)[0] == 1


def test_what_is_no_file_is_no_log_and_is_not_read(tmp_path: Path) -> None:
    """A folder, a pipe that nobody writes to, and a link that leads elsewhere, each under the name of a log."""
    first, second, third = (tmp_path / f"{WHO}.00000{run}.audit" for run in (1, 2, 3))
    first.mkdir()
    os.mkfifo(second)
    third.symlink_to(written(tmp_path / "elsewhere"))
    code, said = told(tmp_path)
    assert code == 1
    assert said.count("is no file") == 3


def test_a_log_that_may_not_be_read_is_a_finding_beside_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = written(tmp_path), written(tmp_path)
    real = os.open

    def refuse(path: Any, *rest: Any, **named: Any) -> int:
        if Path(path) == first:
            raise PermissionError(errno.EACCES, "Permission denied")
        return real(path, *rest, **named)

    monkeypatch.setattr(os, "open", refuse)
    code, said = told(tmp_path)
    assert (code, f"{first}: cannot be read: Permission denied" in said) == (1, True)
    assert f"{second}: follows {first.name}, which cannot be read: Permission denied" in said


def test_a_name_that_is_no_text_is_told_all_the_same(tmp_path: Path) -> None:
    written(tmp_path).rename(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\x1b.000001.audit"))
    for flags in ((), ("--json",)):
        code, said = told(tmp_path, *flags)
        assert (code, "\\udcff\\x1b.000001.audit" in said.replace("\\\\", "\\")) == (1, True)


@pytest.mark.parametrize("body", ["[" * 30_000 + "]" * 30_000, '{"audit": ' + "[" * 30_000 + "]" * 30_000 + "}", "\xff"])
def test_a_result_nested_beyond_measure_holds_no_heads(tmp_path: Path, body: str) -> None:
    result = tmp_path / "result.json"
    result.write_bytes(body.encode("latin-1"))
    with pytest.raises(BadInput, match="holds no heads"):
        heads_in(result)


@pytest.mark.parametrize("run", ["000000", "0000001", "1", "²00000"])
def test_a_log_of_a_run_that_is_no_number_of_six_digits_is_found(tmp_path: Path, run: str) -> None:
    path = written(tmp_path).rename(tmp_path / f"{WHO}.{run}.audit")
    assert verify([path])[0].problem == f"is named {path.name}, and of '{WHO}'"
    assert runs_of(tmp_path, WHO) == []


@given(body=st.binary(max_size=300))
@settings(max_examples=200, deadline=None)
def test_rubbish_is_no_log_and_no_crash(body: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("audit") / f"{WHO}.000001.audit"
    path.write_bytes(body)
    assert verify([path])[0].problem


def test_a_forged_chain_of_no_entries_is_found(tmp_path: Path) -> None:
    path = tmp_path / f"{WHO}.000001.audit"
    for body in (
        b"[]",
        b"{}",
        b'{"n":1,"at_ns":0,"kind":"alert","facts":{}}',
        b'{"n":2,"at_ns":0,"kind":"begin","facts":{}}',
        b"\xff",
    ):
        path.write_bytes(hashlib.blake2b(bytes(32) + body, digest_size=32).hexdigest().encode() + b" " + body + b"\n")
        assert verify([path])[0].problem.startswith("line 1: is ")


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


def test_a_folder_without_logs_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no audit log is here"):
        judge([tmp_path])


def test_heads_come_from_a_result(tmp_path: Path) -> None:
    result = tmp_path / "result.json"
    result.write_text('{"scenario": "x", "audit": [{"log": "a", "entries": 2, "head": "0abc"}]}')
    assert heads_in(result) == ["0abc"]
    for text, problem in (('{"audit": []}', "no audit log was kept"), ("[", "holds no heads")):
        result.write_text(text)
        with pytest.raises(BadInput, match=problem):
            heads_in(result)


@contextmanager
def room_for(path: Path, more: int) -> Iterator[None]:
    """Files grow no further than this file and so many bytes: a write over that is short, the next one fails."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, ((path.stat().st_size if path.exists() else 0) + more, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def entries_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line[65:]) for line in path.read_bytes().splitlines()]


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


@pytest.mark.parametrize(("count", "lost"), [(7, 7), (True, 1), ("7", 1), (None, 1), (-1, 1), (10**30, 1), (1e300, 1)])
def test_how_many_were_lost_is_told_whatever_a_log_says(tmp_path: Path, count: Any, lost: int) -> None:
    path = written(tmp_path, end=False)
    append(path, {"kind": "lost", "facts": {"count": count}}, {"kind": "end", "facts": {}})
    code, said = told(path, "--json")
    assert (code, json.loads(said)["logs"][0]["lost"]) == (0, lost)


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
