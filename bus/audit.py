"""Audit logs: what one process decided, said and refused, in a file that only grows, each entry chained to the one before.

What a log is, and whether one is sound, is `bus.chain`. The logs of one name follow one another, so one process at a time writes
under it: a second one is refused while the first lives.

Rejections are gathered for a second, by reason and topic, so that a flood of rubbish does not fill the disk; none is left
uncounted. Entries are in the file when `write` returns, each by one system call; on the disk when the operating system puts them
there. No entry is longer than verification takes. A disk that is full takes no part of an entry: the log goes on behind its last
whole one, and says how many were lost.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct

from bus.chain import MOST_LINE, START, Entry, Kind, chained, file_name, opened, parted, read, runs_of, shortened
from bus.errors import BadInput
from bus.messages import Alert, Decorrelation
from bus.release import Release

log = logging.getLogger(__name__)

_GATHER_NS: Final = 1_000_000_000
_MOST_TOPICS: Final = 256  # told apart in a second: who sends rubbish may choose them
_OTHERS: Final = "others"

_encoder = msgspec.json.Encoder()


class AuditSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where a process keeps its audit log."""

    folder: Annotated[str, Meta(description="a folder, made if it is not there; empty: no log is kept")] = ""


class AuditHead(Struct, frozen=True, kw_only=True):
    """Where an audit log ended: its file's name, how many entries it has, and its head."""

    log: str
    entries: int
    head: str


class AuditLog:
    """The log of one run of a process, `who` (`feed.jpn`), in a folder. BadInput where it cannot be written."""

    def __init__(self, folder: Path, who: str, wall_ns: Callable[[], int] = time.time_ns) -> None:
        self._wall_ns, self._n, self._head, self._size = wall_ns, 0, START, 0
        self.fails = False  # whether the disk did not take what `kept` wrote last
        self._torn, self._lost = False, 0  # whether there may be half a line behind the last; entries that were not taken
        self._gathered: Counter[tuple[str, str]] = Counter()
        self._since_ns = 0
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with _alone_in(folder):
                before = runs_of(folder, who)
                if before and _is_written(before[-1]):
                    raise BadInput("audit", "folder", f"{before[-1]} is being written by another process", "one of a name")
                self.path, self._file = _created(folder, who, before)
                self._begin(who, before)
        except OSError as error:
            at = error.filename or folder
            raise BadInput("audit", "folder", f"{at} cannot be used: {error.strerror}", "a folder, or a new one") from None

    def told(self) -> AuditHead:
        """Where it stands now."""
        return AuditHead(log=self.path.name, entries=self._n, head=self._head.hex())

    def _begin(self, who: str, before: Sequence[Path]) -> None:
        try:
            last = read(before[-1]) if before else None
            self._append("begin", {"who": who, "after": last.path.name if last else "", "head": last.head if last else ""})
        except OSError:
            self.path.unlink()
            os.close(self._file)
            raise

    def write(self, kind: Kind, **facts: Any) -> None:
        """Append an entry. OSError where the disk does not take it, which is the caller's to know: an alert that was not logged
        was still sent. The log is as it was then, and the next entry is preceded by how many were lost.
        """
        try:
            if self._lost:
                self._append("lost", {"count": self._lost})
                self._lost = 0
            self._append(kind, facts)
        except OSError:
            self._lost += 1
            raise

    def _append(self, kind: Kind, facts: dict[str, Any]) -> None:
        """A line, or nothing: what was written of one that the disk did not take whole is cut off."""
        entry = _encoder.encode(Entry(n=self._n + 1, at_ns=self._wall_ns(), kind=kind, facts=facts))
        head = chained(self._head, entry)
        line = b"%s %s\n" % (head.hex().encode(), entry)
        if len(line) > MOST_LINE:
            raise OSError(errno.EMSGSIZE, os.strerror(errno.EMSGSIZE))
        if self._torn:
            self._cut()
        try:
            if os.write(self._file, line) < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError:
            self._torn = True
            self._cut()
            raise
        self._n, self._head, self._size = self._n + 1, head, self._size + len(line)

    def _cut(self) -> None:
        os.ftruncate(self._file, self._size)
        self._torn = False

    def alert(self, alert: Alert, kind: Literal["alert", "held"] = "alert") -> None:
        """Append what was sent, or is held: enough to find it again, and who was in it. A withdrawal has a kind of its own."""
        self.write(
            "retraction" if kind == "alert" and alert.state == "retracted" else kind,
            id=alert.id,
            recipient=alert.recipient,
            purpose=alert.purpose,
            state=alert.state,
            revision=alert.revision,
            system=alert.system,
            members=[f"{member.nation}/{member.track}" for member in alert.members],
            released_ns=alert.times.released_ns,
            launch_ns=None if alert.launch is None else alert.launch.time_ns,
            reason=alert.reason,
        )

    def word(self, word: Decorrelation, to: Release, by: Literal["policies", "operator"]) -> None:
        """Append an operator's word: to whom it is released, and whether policies made that of both tracks or a person did."""
        self.write(
            "word",
            nation=word.nation,
            tracks=[str(track) for track in word.pair],
            apart=word.apart,
            to=to,
            by=by,
            released_ns=word.released_ns,
        )

    def reject(self, reason: str, topic: str, count: int = 1) -> None:
        """Note what was dropped. It is written a second later at the latest, given that `flush` is called now and then.

        A topic is of whoever sent it, and up to 65,535 bytes long: it is kept shortened.
        """
        topic = shortened(topic)
        if not self._gathered:
            self._since_ns = self._wall_ns()
        known = len(self._gathered) < _MOST_TOPICS or (reason, topic) in self._gathered
        self._gathered[reason, topic if known else _OTHERS] += count
        self.flush(_GATHER_NS)

    def flush(self, older_ns: int = 0) -> None:
        """Write the rejections that have been gathered for this long. What the disk does not take is kept for the next time."""
        now_ns = self._wall_ns()
        if self._gathered and now_ns - self._since_ns >= older_ns:
            self._since_ns = now_ns
            for key in sorted(self._gathered):
                reason, topic = key
                self._append("rejection", {"reason": reason, "topic": topic, "count": self._gathered[key]})
                del self._gathered[key]

    def close(self) -> None:
        """Write what was gathered and the last entry. Safe to call twice; closed too where the disk does not take them."""
        if self._file >= 0:
            try:
                self.flush()
                self.write("end")
            finally:
                fcntl.flock(self._file, fcntl.LOCK_UN)  # a child that was forked may hold the file still
                os.close(self._file)
                self._file = -1


def kept(audit: AuditLog | None, write: Callable[[AuditLog], None]) -> bool:
    """Write, where a log is kept. One that takes nothing more (a full disk) stops nothing: False, and it is told once."""
    if audit is not None:
        try:
            write(audit)
        except OSError as error:
            if not audit.fails:
                log.error("the audit log %s takes nothing more: %s", audit.path, error.strerror)
            audit.fails = True
            return False
        audit.fails = False
    return True


@contextlib.contextmanager
def audited(folder: str, who: str) -> Iterator[AuditLog | None]:
    """The log of a process that is no party, closed at the end; None where no folder is set."""
    audit = AuditLog(Path(folder), who) if folder else None
    try:
        yield audit
    finally:
        kept(audit, AuditLog.close)


def _created(folder: Path, who: str, before: Sequence[Path]) -> tuple[Path, int]:
    """A new file behind the others, known as being written until it is closed."""
    last = parted(before[-1].name) if before else None
    path = folder / file_name(who, last[1] + 1 if last else 1)
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o640)
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return path, file


@contextlib.contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """One process at a time: of two that begin at once the second finds the first one's file."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _is_written(path: Path) -> bool:
    """Whether a process that lives has this log open."""
    file = opened(path)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(file)
    return False
