"""What an audit log is: any change, cut or move is found, and no rubbish is a crash."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.audit import heads_in, judge
from bus.audit import AuditLog
from bus.chain import chained, read, runs_of, verify
from bus.errors import BadInput
from tests.bus.audits import WHO, append, told, written


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


def test_a_log_under_anothers_name_is_found(tmp_path: Path) -> None:
    path = written(tmp_path)
    path.rename(tmp_path / "feed.jpn.000001.audit")
    assert verify([tmp_path])[0].problem == f"is named feed.jpn.000001.audit, and of '{WHO}'"


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


@pytest.mark.parametrize(("count", "lost"), [(7, 7), (True, 1), ("7", 1), (None, 1), (-1, 1), (10**30, 1), (1e300, 1)])
def test_how_many_were_lost_is_told_whatever_a_log_says(tmp_path: Path, count: Any, lost: int) -> None:
    path = written(tmp_path, end=False)
    append(path, {"kind": "lost", "facts": {"count": count}}, {"kind": "end", "facts": {}})
    code, said = told(path, "--json")
    assert (code, json.loads(said)["logs"][0]["lost"]) == (0, lost)
