"""Recordings: what a process saw on the bus, message by message, with the arrival time. One file format for all.

A file is a run of entries, each a 4-byte little-endian length and a MessagePack array
`[wall_ns, scenario_ns, topic, payload]`. A torn
last entry (the process was killed) is left out on reading; everything before it is kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

import msgspec


class Entry(NamedTuple):
    """One message as it arrived: wall and scenario time of arrival (ns), topic, payload."""

    wall_ns: int
    scenario_ns: int
    topic: str
    payload: bytes


class _Row(msgspec.Struct, array_like=True, frozen=True):
    wall_ns: int
    scenario_ns: int
    topic: str
    payload: bytes


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Row)
_LENGTH_BYTES = 4


class Recorder:
    """Appends entries to a file, each with one system call: a process that is killed leaves all it saw."""

    def __init__(self, path: Path) -> None:
        self._file: BinaryIO = path.open("ab", buffering=0)

    def write(self, entry: Entry) -> None:
        row = _encoder.encode(_Row(*entry))
        self._file.write(len(row).to_bytes(_LENGTH_BYTES, "little") + row)

    def close(self) -> None:
        self._file.close()


def read(path: Path) -> Iterator[Entry]:
    """The entries of a recording, in the order of arrival."""
    with path.open("rb") as file:
        while len(head := file.read(_LENGTH_BYTES)) == _LENGTH_BYTES:
            length = int.from_bytes(head, "little")
            body = file.read(length)
            if len(body) < length:
                return
            row = _decoder.decode(body)
            yield Entry(row.wall_ns, row.scenario_ns, row.topic, row.payload)
