"""Audit logs for tests: written, forged, read, looked at by the command; and a disk that has room for so much more."""

from __future__ import annotations

import json
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from bench.cli import main
from bus.audit import AuditLog
from bus.chain import chained, read

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


def append(path: Path, *entries: dict[str, Any]) -> None:
    """Lines behind a log's last one, as its process would chain them."""
    with path.open("ab") as file:
        for each in entries:
            log = read(path)  # one of no entries is none, and may begin
            entry = json.dumps({"n": log.entries + 1, "at_ns": 1_000, **each}).encode()
            file.write(chained(bytes.fromhex(log.head), entry).hex().encode() + b" " + entry + b"\n")
            file.flush()


def entries_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line[65:]) for line in path.read_bytes().splitlines()]


def told(*arguments: str | Path) -> tuple[int, str]:
    """What `triwarn audit verify` ended with and said; it must not fail itself."""
    result = CliRunner().invoke(main, ["audit", "verify", *map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


@contextmanager
def room_for(path: Path, more: int) -> Iterator[None]:
    """Files grow no further than this file and so many bytes: a write over that is short, the next one fails."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, ((path.stat().st_size if path.exists() else 0) + more, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
