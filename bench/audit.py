"""`triwarn audit verify`: whether audit logs are as they were written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import click
import msgspec
from msgspec import Struct

from bus.audit import AuditHead
from bus.chain import SUFFIX, Log, verify
from bus.errors import BadInput

_OPEN = "has no end: its process runs or was killed, or its end was cut off"


class Verdict(Struct, frozen=True, kw_only=True):
    """One log. `problem` is what is wrong with it, empty where nothing is; `lost` how many entries it says that it is without."""

    log: str
    entries: int
    head: str
    open: bool
    lost: int
    problem: str


class _Told(Struct, frozen=True):
    audit: list[AuditHead] = []


class Verdicts(Struct, frozen=True, kw_only=True):
    """All logs, and the heads that none of them ends in."""

    sound: bool
    logs: list[Verdict]
    heads_missing: list[str]


def heads_in(result: Path) -> list[str]:
    """The heads that an exercise's result tells."""
    try:
        told = msgspec.json.decode(result.read_bytes(), type=_Told)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadInput(str(result), "audit", f"holds no heads of audit logs: {error}", "the result.json of a report") from None
    if not told.audit:
        raise BadInput(str(result), "audit", "is empty: no audit log was kept", "the result.json of `triwarn run --audit`")
    return [each.head for each in told.audit]


def judge(paths: Sequence[Path], heads: Sequence[str] = (), *, allow_open: bool = False) -> Verdicts:
    """The verdicts on the logs of these files and folders. BadInput where there is none."""
    logs = verify(paths)
    if not logs:
        raise BadInput(", ".join(map(str, paths)), "", "no audit log is here", f"files that end in {SUFFIX}, or their folder")
    verdicts = [_verdict(log, allow_open=allow_open) for log in logs]
    missing = sorted({head.lower() for head in heads} - {log.head for log in logs})
    return Verdicts(sound=not missing and not any(each.problem for each in verdicts), logs=verdicts, heads_missing=missing)


def _verdict(log: Log, *, allow_open: bool) -> Verdict:
    problem = log.problem or (_OPEN if log.open and not allow_open else "")
    return Verdict(
        log=_printable(str(log.path)),
        entries=log.entries,
        head=log.head,
        open=log.open,
        lost=log.lost,
        problem=_printable(problem),
    )


def _printable(text: str) -> str:
    """A text that may hold names of files: they need not be texts, and a terminal obeys some characters."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def run_verify(paths: Sequence[Path], heads: Sequence[str], *, allow_open: bool, as_json: bool) -> int:
    """Judge and print; the exit code."""
    verdicts = judge(paths, heads, allow_open=allow_open)
    if as_json:
        click.echo(msgspec.json.encode(verdicts).decode())
    else:
        for line in _lines(verdicts):
            click.echo(line)
        for each in verdicts.logs:
            if each.problem:
                click.echo(f"{each.log}: {each.problem}")
            if each.lost:
                click.echo(f"{each.log}: {each.lost} entries were not taken by the disk")
        for head in verdicts.heads_missing:
            click.echo(f"no log ends in {head}")
        click.echo("sound" if verdicts.sound else "NOT SOUND")
    return 0 if verdicts.sound else 1


def _lines(verdicts: Verdicts) -> Iterator[str]:
    """A line a log: its name, how many entries, whether it is sound, its head."""
    width = max(len(Path(each.log).name) for each in verdicts.logs)
    for each in verdicts.logs:
        word = "BAD" if each.problem else "open" if each.open else "sound"
        yield f"{Path(each.log).name:<{width}}  {each.entries:>7} entries  {word:<5}  {each.head}"
