"""`triwarn audit verify`: whether audit logs are as they were written."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click
import msgspec
from msgspec import Struct
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from bus.audit import SUFFIX, Log, verify
from bus.errors import BadInput
from bus.party import AuditHead

_OPEN = "has no end: its process runs or was killed, or its end was cut off"


class Verdict(Struct, frozen=True, kw_only=True):
    """One log. `problem` is what is wrong with it, empty where nothing is."""

    log: str
    entries: int
    head: str
    open: bool
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
    except (OSError, msgspec.MsgspecError) as error:
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
    return Verdict(log=str(log.path), entries=log.entries, head=log.head, open=log.open, problem=problem)


def run_verify(paths: Sequence[Path], heads: Sequence[str], *, allow_open: bool, as_json: bool) -> int:
    """Judge and print; the exit code."""
    verdicts = judge(paths, heads, allow_open=allow_open)
    if as_json:
        click.echo(msgspec.json.encode(verdicts).decode())
    else:
        Console(soft_wrap=True).print(_table(verdicts))
        for each in verdicts.logs:
            if each.problem:
                click.echo(f"{each.log}: {each.problem}")
        for head in verdicts.heads_missing:
            click.echo(f"no log ends in {head}")
        click.echo("sound" if verdicts.sound else "NOT SOUND")
    return 0 if verdicts.sound else 1


def _table(verdicts: Verdicts) -> Table:
    table = Table(box=SIMPLE_HEAD)
    for title in ("log", "entries", "head", ""):
        table.add_column(title, justify="right" if title == "entries" else "left", no_wrap=True)
    for each in verdicts.logs:
        word = "BAD" if each.problem else "open" if each.open else "sound"
        table.add_row(Path(each.log).name, str(each.entries), each.head, word)
    return table
