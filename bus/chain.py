"""What an audit log is: lines that are chained, each to the one before; read, and held against what they were when written.

A log is text, a line of at most 64 KiB an entry: the entry's chain value (64 hex digits), a space, and the entry as JSON. The
chain value is BLAKE2b-256 over the chain value before it (32 bytes; zeros before the first) and the JSON's bytes: who changes,
moves, adds or takes out a line has to change all that follow. Each run of a process writes a file of its own; its first entry
names the file of the run before and that file's last chain value, so that the files of one process are a chain too; its last
entry is `end`.

What a chain cannot know: the newest files cut off at a line's end together with their `end`, or written anew as a whole by who
may write there. Against that stands the last chain value (the head), kept elsewhere: an exercise puts it into its result.

It writes nothing: that is `bus.audit`.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NamedTuple, get_args

import msgspec
from msgspec import Meta, Struct

Kind = Literal["begin", "decision", "word", "alert", "retraction", "held", "rejection", "lost", "end"]
KINDS: Final[dict[str, str]] = {
    "begin": "a run of the process began; which log came before, and its head",
    "decision": "who may see a track, and by which rule",
    "word": "an operator's word on two tracks was released: to whom, by the policies or by the operator",
    "alert": "an alert was sent: raised, confirmed, updated or closed",
    "retraction": "an alert was withdrawn",
    "held": "a receiver holds an alert, or its withdrawal",
    "rejection": "messages or rows were dropped: how many in a second, why, and on which topic",
    "lost": "so many entries were not taken by the disk, here",
    "end": "the run ended by itself",
}
SUFFIX: Final = ".audit"
START: Final = bytes(32)  # the chain value before the first
MOST_LINE: Final = 65_536  # bytes
MOST_TEXT: Final = 200  # characters, of a text of others

_NAME: Final = re.compile(r"(?P<who>.+)\.(?P<run>[0-9]{6,})\.audit")
_MOST_LOST: Final = 2**32
_UNREADABLE: Final = "cannot be read: "


class Entry(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One entry: its number in the file from 1, wall time (ns since the Unix epoch), what kind, and its facts."""

    n: Annotated[int, Meta(ge=1)]
    at_ns: Annotated[int, Meta(ge=0)]
    kind: Kind
    facts: dict[str, Any]


class Log(NamedTuple):
    """A log's file, how many whole entries it has, its head (hex), and what is wrong with it, empty where nothing is.

    `open`: it has no `end`. Its process runs or was killed, or its end was cut off. `begin` are the facts of its first entry.
    `lost` is how many entries the disk did not take.
    """

    path: Path
    entries: int
    head: str
    open: bool
    problem: str
    begin: Mapping[str, Any] = {}
    lost: int = 0


class _Fault(Exception):
    """What is wrong with a line."""


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
    """Go through one log from its beginning to its first fault. OSError where that cannot be."""
    head, n, last, begin, lost = START, 0, "", dict[str, Any](), 0
    for line in _lines(path):
        try:
            entry = _entry(line, head, n)
        except _Fault as fault:
            return Log(path, n, head.hex(), last != "end", f"line {n + 1}: {fault}", begin, lost)
        if last == "end":
            return Log(path, n, head.hex(), False, f"line {n + 1}: an entry after the end", begin, lost)
        head, n, last, begin = chained(head, line[65:-1]), n + 1, entry.kind, begin if n else entry.facts
        lost += _lost(entry)
    return Log(path, n, head.hex(), last != "end", "" if n else "is empty", begin, lost)


def entries(path: Path) -> Iterator[Entry]:
    """The entries of one log, to its end or its first fault. OSError where it cannot be read."""
    head = START
    with contextlib.suppress(_Fault):
        for n, line in enumerate(_lines(path)):
            yield _entry(line, head, n)
            head = chained(head, line[65:-1])


def opened(path: Path) -> int:
    """A log's file, opened to be read; OSError for a folder, a pipe, or a link, which may lead anywhere."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise (_no_file(path) if error.errno == errno.ELOOP else error) from None
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise _no_file(path)
    return file


def _no_file(path: Path) -> OSError:
    return OSError(errno.EINVAL, "it is no file", str(path))


def _lines(path: Path) -> Iterator[bytes]:
    with os.fdopen(opened(path), "rb") as file:
        while line := file.readline(MOST_LINE):
            yield line


def _entry(line: bytes, head: bytes, n: int) -> Entry:
    """The entry of a line behind n sound ones."""
    if not line.endswith(b"\n"):
        raise _Fault("is torn")
    body = line[65:-1]
    if line[:65] != chained(head, body).hex().encode() + b" ":
        raise _Fault("was changed, or what stood before it was")
    try:
        entry = msgspec.json.decode(body, type=Entry)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, OverflowError) as error:
        raise _Fault(f"is no entry: {shortened(str(error))}") from None
    if entry.n != n + 1 or (entry.kind == "begin") != (n == 0):
        raise _Fault(f"is entry {entry.n}, a {entry.kind}, out of its place")
    return entry


def _lost(entry: Entry) -> int:
    count = entry.facts.get("count") if entry.kind == "lost" else 0
    return count if isinstance(count, int) and 0 <= count <= _MOST_LOST else 1


def verify(paths: Sequence[Path]) -> list[Log]:
    """Each log of these files and folders, by name, also held against the run before it."""
    files = sorted({file for path in paths for file in ([path] if not path.is_dir() else path.glob(f"*{SUFFIX}"))})
    logs = {path: _looked_at(path) for path in files}
    return [log._replace(problem=log.problem or _misplaced(log, logs)) for log in logs.values()]


def _looked_at(path: Path) -> Log:
    try:
        return read(path)
    except OSError as error:
        return Log(path, 0, START.hex(), False, f"{_UNREADABLE}{error.strerror}")


def _misplaced(log: Log, known: Mapping[Path, Log]) -> str:
    """What is wrong between a sound log and the one before it: it names that one, and the head that it still has."""
    named = parted(log.path.name)
    if named is None or log.begin.get("who") != named[0]:
        return f"is named {log.path.name}, and of {_shown(log.begin.get('who'))}"
    (who, run), after = named, log.begin.get("after")
    expected = file_name(who, run - 1) if run > 1 else ""
    if after != expected:
        return f"says that it follows {_shown(after)}, not {expected or 'none'}"
    if not expected:
        return ""
    before = log.path.with_name(expected)
    if not os.path.lexists(before):
        return f"follows {expected}, which is not there"
    earlier = known.get(before) or _looked_at(before)
    if earlier.problem.startswith(_UNREADABLE):
        return f"follows {expected}, which {earlier.problem}"
    return "" if log.begin.get("head") == earlier.head else f"follows {expected}, which has changed since"


def _shown(fact: Any) -> str:
    """A fact that should be a text, whatever it is."""
    return repr(shortened(fact)) if isinstance(fact, str) else "nothing" if fact is None else "what is no name"


def shortened(text: str, most: int = MOST_TEXT) -> str:
    """A text of others as it may be kept or told: cut, and then with its whole length."""
    return text if len(text) <= most else f"{text[:most]}... ({len(text)} characters)"


assert set(KINDS) == set(get_args(Kind))
