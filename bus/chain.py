"""What an audit log is: lines that are chained, each to the one before; read, and held against what they were when written.

A log is text, a line an entry: the entry's chain value (64 hex digits), a space, and the entry as JSON. The chain value is
BLAKE2b-256 over the chain value before it (32 bytes; zeros before the first) and the JSON's bytes: who changes, moves, adds or
takes out a line has to change all that follow. Each run of a process writes a file of its own; its first entry names the file of
the run before and that file's last chain value, so that the files of one process are a chain too; its last entry is `end`.

What a chain cannot know: the newest files cut off at a line's end together with their `end`, or written anew as a whole by who
may write there. Against that stands the last chain value (the head), kept elsewhere: an exercise puts it into its result.

It writes nothing: that is `bus.audit`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NamedTuple, get_args

import msgspec
from msgspec import Meta, Struct

from bus.errors import BadInput

Kind = Literal["begin", "decision", "alert", "retraction", "held", "rejection", "end"]
KINDS: Final[dict[str, str]] = {
    "begin": "a run of the process began; which log came before, and its head",
    "decision": "who may see a track, and by which rule",
    "alert": "an alert was sent: raised, confirmed, updated or closed",
    "retraction": "an alert was withdrawn",
    "held": "a receiver holds an alert, or its withdrawal",
    "rejection": "messages or rows were dropped: how many in a second, why, and on which topic",
    "end": "the run ended by itself",
}
SUFFIX: Final = ".audit"

START: Final = bytes(32)  # the chain value before the first
_NAME: Final = re.compile(r"(?P<who>.+)\.(?P<run>[0-9]{6,})\.audit")
_MOST_LINE: Final = 65_536


class Entry(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One entry: its number in the file from 1, wall time (ns since the Unix epoch), what kind, and its facts."""

    n: Annotated[int, Meta(ge=1)]
    at_ns: Annotated[int, Meta(ge=0)]
    kind: Kind
    facts: dict[str, Any]


class Log(NamedTuple):
    """A log's file, how many whole entries it has, its head (hex), and what is wrong with it, empty where nothing is.

    `open`: it has no `end`. Its process runs or was killed, or its end was cut off.
    """

    path: Path
    entries: int
    head: str
    open: bool
    problem: str


def chained(before: bytes, entry: bytes) -> bytes:
    """The chain value (32 bytes) of an entry's JSON behind the chain value before it."""
    return hashlib.blake2b(before + entry, digest_size=32).digest()


def file_name(who: str, run: int) -> str:
    """The name of a log's file: `feed.jpn.000001.audit`."""
    return f"{who}.{run:06d}{SUFFIX}"


def parted(name: str) -> tuple[str, int] | None:
    """Whose log a file of this name is, and of which run from 1 on; None for any other name."""
    match = _NAME.fullmatch(name)
    found = (match["who"], int(match["run"])) if match else None
    return found if found and found[1] and name == file_name(*found) else None


def runs_of(folder: Path, who: str) -> list[Path]:
    """The logs of one process in a folder, oldest first."""
    named = [(found[1], path) for path in folder.glob(f"*{SUFFIX}") if (found := parted(path.name)) and found[0] == who]
    return [path for _, path in sorted(named)]


def read(path: Path) -> Log:
    """Go through one log from its beginning to its first fault."""
    head, n, last = START, 0, ""
    for line in _lines(path):
        problem = _fault(line, head, n)
        if problem:
            return Log(path, n, head.hex(), last != "end", f"line {n + 1}: {problem}")
        entry = msgspec.json.decode(line[65:-1], type=Entry)
        if last == "end":
            return Log(path, n, head.hex(), False, f"line {n + 1}: an entry after the end")
        head, n, last = chained(head, line[65:-1]), n + 1, entry.kind
    return Log(path, n, head.hex(), last != "end", "" if n else "it is empty")


def _lines(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            while line := file.readline(_MOST_LINE):
                yield line
    except OSError as error:
        raise BadInput(str(path), "", f"cannot be read: {error.strerror}") from None


def _fault(line: bytes, head: bytes, n: int) -> str:
    """What is wrong with a line behind n sound ones; empty where nothing is."""
    if not line.endswith(b"\n"):
        return "is torn"
    body = line[65:-1]
    if line[:65] != chained(head, body).hex().encode() + b" ":
        return "was changed, or what stood before it was"
    try:
        entry = msgspec.json.decode(body, type=Entry)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        return f"is no entry: {error}"
    if entry.n != n + 1 or (entry.kind == "begin") != (n == 0):
        return f"is entry {entry.n}, a {entry.kind}, out of its place"
    return ""


def verify(paths: Sequence[Path]) -> list[Log]:
    """Each log of these files and folders, by name, also held against the run before it."""
    files = sorted({file for path in paths for file in ([path] if not path.is_dir() else path.glob(f"*{SUFFIX}"))})
    logs = {path: read(path) for path in files}
    return [log._replace(problem=log.problem or _misplaced(log, logs)) for log in logs.values()]


def _misplaced(log: Log, known: Mapping[Path, Log]) -> str:
    """What is wrong between a sound log and the one before it: it names that one, and the head that it still has."""
    facts, named = _first(log.path).facts, parted(log.path.name)
    if named is None or facts.get("who") != named[0]:
        return f"is named {log.path.name}, and of {facts.get('who')!r}"
    (who, run), after = named, facts.get("after")
    expected = file_name(who, run - 1) if run > 1 else ""
    if after != expected:
        return f"says that it follows {after!r}, not {expected or 'none'}"
    if not expected:
        return ""
    before = log.path.with_name(expected)
    if not before.exists():
        return f"follows {expected}, which is not there"
    head = (known.get(before) or read(before)).head
    return "" if facts.get("head") == head else f"follows {expected}, which has changed since"


def _first(path: Path) -> Entry:
    return msgspec.json.decode(next(_lines(path))[65:-1], type=Entry)


assert set(KINDS) == set(get_args(Kind))
