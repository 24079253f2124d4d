"""Columns of a frame: the table of fields, and the blocks of arrays they become.

A frame carries one little-endian binary column per field. A block is the same columns as numpy views of the received
bytes, one row a report, with no copy (so they are read-only and may be unaligned).

Covariances travel as their upper triangle, row by row: (0,0) (0,1) ... (0,5) (1,1) ... (5,5), 21 numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from bus.errors import Rejected

Float = NDArray[np.float64]
QuickLook = Callable[[NDArray[np.uint32], NDArray[np.int64], Float, Float], bool]

TRIANGLE: Final = 21
_ROW, _COL = np.triu_indices(6)
_FULL: Final = np.empty((6, 6), dtype=np.intp)
_FULL[_ROW, _COL] = np.arange(TRIANGLE)
_FULL[_COL, _ROW] = np.arange(TRIANGLE)

MAX_RADIUS_M: Final = 5.0e7  # beyond geostationary orbit nothing of ours flies
MIN_RADIUS_M: Final = 6.3e6  # the poles are at 6,357 km: nothing of ours is that deep under the ground
MAX_SPEED_M_S: Final = 2.0e4
_SURELY_WITHIN: Final = np.repeat([MAX_RADIUS_M, MAX_SPEED_M_S], 3) * 0.57  # less than a root of three: inside the sphere
_LIMITS_SQUARED: Final = np.array([MAX_RADIUS_M**2, MAX_SPEED_M_S**2])


class Column(NamedTuple):
    """One field on the wire: numpy's little-endian type, how many a row, and what it means."""

    dtype: str
    width: int
    meaning: str


class Layout(NamedTuple):
    """One column as it is read: numpy's type, the shape of a row, and its bytes."""

    name: str
    dtype: np.dtype[Any]
    row: tuple[int, ...]
    row_bytes: int


def _bytes_of(array: NDArray[Any]) -> memoryview:
    """The bytes of an array, not copied, to be read only."""
    return array.data.cast("B").toreadonly() if array.size else memoryview(b"")


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Rows of equal length, one array a field. Subclasses name the fields; COLUMNS describes them on the wire."""

    COLUMNS: ClassVar[Mapping[str, Column]] = {}
    LAYOUT: ClassVar[tuple[Layout, ...]] = ()  # in the order of the fields

    def __init_subclass__(cls) -> None:
        cls.LAYOUT = tuple(
            Layout(name, np.dtype(c.dtype), (c.width,) if c.width > 1 else (), np.dtype(c.dtype).itemsize * c.width)
            for name, c in cls.COLUMNS.items()
        )

    def __len__(self) -> int:
        first: NDArray[Any] = getattr(self, self.LAYOUT[0].name)
        return len(first)

    def to_wire(self) -> dict[str, memoryview]:
        """One bytes-like object a column, in the table's little-endian type: the arrays themselves where they have it."""
        return {name: _bytes_of(np.ascontiguousarray(getattr(self, name), dtype)) for name, dtype, _, _ in self.LAYOUT}

    @classmethod
    def from_wire(cls, n: int, wire: Mapping[str, memoryview]) -> Self:
        """Views of the received bytes. Rejected("columns") where a column is missing, unknown or of the wrong size."""
        if wire.keys() != cls.COLUMNS.keys():
            odd = ", ".join(sorted(wire.keys() ^ cls.COLUMNS.keys()))
            raise Rejected("columns", f"missing or unknown: {odd}")
        arrays: list[NDArray[Any]] = []
        for name, dtype, row, row_bytes in cls.LAYOUT:
            raw = wire[name]
            if len(raw) != n * row_bytes:
                raise Rejected("columns", f"{name} has {len(raw)} bytes for {n} rows of {row_bytes}")
            arrays.append(np.ndarray((n, *row), dtype, raw))
        return cls(*arrays)

    def take(self, rows: NDArray[Any]) -> Self:
        """The chosen rows (indices or a mask), copied."""
        return type(self)(*[getattr(self, column.name)[rows] for column in self.LAYOUT])

    @classmethod
    def join(cls, blocks: list[Self]) -> Self:
        """Blocks one after the other."""
        return cls(*[np.concatenate([getattr(block, column.name) for block in blocks]) for column in cls.LAYOUT])


@dataclass(frozen=True, slots=True, eq=False)
class Reports(Block):
    """Track reports of one feed: a national track at one instant, a row each. Shapes and units as in COLUMNS."""

    track: NDArray[np.uint32]
    valid_ns: NDArray[np.int64]
    state: Float
    cov: Float
    phase: NDArray[np.uint8]
    quality: NDArray[np.uint8]
    phenomenology: NDArray[np.uint8]
    pedigree: NDArray[np.uint32]
    detected_age_ms: NDArray[np.uint32]
    tracked_age_ms: NDArray[np.uint32]

    COLUMNS: ClassVar[Mapping[str, Column]] = {
        "track": Column("<u4", 1, "national track number, never 0, unique within the feed's session"),
        "valid_ns": Column("<i8", 1, "valid time, ns since the Unix epoch"),
        "state": Column("<f8", 6, "ECEF position m, then velocity relative to the Earth m/s"),
        "cov": Column("<f8", TRIANGLE, "covariance of the state, upper triangle by rows, SI units"),
        "phase": Column("u1", 3, "probability of boost, coast, re-entry, in 1/255"),
        "quality": Column("u1", 1, "track quality 0 (worst) to 15"),
        "phenomenology": Column("u1", 1, "bit 0 radar, bit 1 infrared"),
        "pedigree": Column("<u4", 1, "one bit a contributing sensor, by the catalogue's numbers"),
        "detected_age_ms": Column("<u4", 1, "valid time less the time of the track's first detection, ms"),
        "tracked_age_ms": Column("<u4", 1, "valid time less the time the track was confirmed nationally, ms"),
    }


@dataclass(frozen=True, slots=True, eq=False)
class SystemTracks(Block):
    """System tracks of one picture: the fused estimates, a row each. Shapes and units as in COLUMNS."""

    system: NDArray[np.uint32]
    valid_ns: NDArray[np.int64]
    state: Float
    cov: Float
    phase: NDArray[np.uint8]
    quality: NDArray[np.uint8]
    phenomenology: NDArray[np.uint8]
    pedigree: NDArray[np.uint32]
    members: NDArray[np.uint32]
    age_ms: NDArray[np.uint32]

    COLUMNS: ClassVar[Mapping[str, Column]] = {
        "system": Column("<u4", 1, "system track number within this picture, never 0"),
        "valid_ns": Reports.COLUMNS["valid_ns"],
        "state": Reports.COLUMNS["state"],
        "cov": Reports.COLUMNS["cov"],
        "phase": Reports.COLUMNS["phase"],
        "quality": Reports.COLUMNS["quality"],
        "phenomenology": Reports.COLUMNS["phenomenology"],
        "pedigree": Reports.COLUMNS["pedigree"],
        "members": Column("<u4", 3, "national track numbers that were fused: jpn, kor, usa; 0 is none"),
        "age_ms": Column("<u4", 1, "valid time less the valid time of the newest member's report, ms"),
    }


def unpack_cov(triangle: Float) -> Float:
    """Upper triangles (..., 21) to full symmetric matrices (..., 6, 6)."""
    return triangle[..., _FULL]


def pack_cov(full: Float) -> Float:
    """Symmetric matrices (..., 6, 6) to upper triangles (..., 21)."""
    return full[..., _ROW, _COL]


def quickly_sound(number: NDArray[np.uint32], valid_ns: NDArray[np.int64], state: Float, cov: Float) -> bool:
    """Whether every row is sound, by a quick look that may miss some sound ones: the way of almost every frame.

    Track numbers and valid times (n,), states (n, 6), covariances (n, 21).
    """
    if not ((np.abs(state) <= _SURELY_WITHIN).all() and number.all() and (valid_ns >= 0).all()):  # false for NaN too
        return False
    if not ((state[:, :3] ** 2).sum(axis=1) >= MIN_RADIUS_M**2).all():
        return False
    try:
        root = np.linalg.cholesky(unpack_cov(cov))
    except np.linalg.LinAlgError:
        return False
    return math.isfinite(root.sum())


def bad_rows(number: NDArray[np.uint32], valid_ns: NDArray[np.int64], state: Float, cov: Float) -> dict[str, NDArray[np.bool_]]:
    """Why rows cannot be taken: reason -> mask (n,), for those reasons that some row has. Empty when all are sound."""
    found: dict[str, NDArray[np.bool_]] = {}
    broken: NDArray[np.bool_] = np.logical_not(np.isfinite(np.hstack((state, cov))).all(axis=1))
    if broken.any():
        found["not_finite"] = broken
    sound = np.where(broken[:, None], 0.0, state)
    with np.errstate(over="ignore"):
        squares = (sound.reshape(-1, 2, 3) ** 2).sum(axis=2)
    outside: NDArray[np.bool_] = np.asarray((squares > _LIMITS_SQUARED).any(axis=1) | (squares[:, 0] < MIN_RADIUS_M**2))
    outside |= (number == 0) | (valid_ns < 0)
    outside &= ~broken
    if outside.any():
        found["range"] = outside
    left = ~(broken | outside)
    crooked = _not_positive_definite(cov, left)
    if crooked.any():
        found["covariance"] = crooked
    return found


def _not_positive_definite(cov: Float, among: NDArray[np.bool_]) -> NDArray[np.bool_]:
    crooked = np.zeros(len(cov), dtype=np.bool_)
    rows = np.flatnonzero(among)
    try:
        np.linalg.cholesky(unpack_cov(cov[rows]))
    except np.linalg.LinAlgError:
        for row in rows:
            try:
                np.linalg.cholesky(unpack_cov(cov[row]))
            except np.linalg.LinAlgError:
                crooked[row] = True
    return crooked


def bytes_per_row(block: type[Block]) -> int:
    """The length of one row on the wire, bytes, headers apart."""
    return sum(column.row_bytes for column in block.LAYOUT)


def to_u1(probabilities: Float) -> NDArray[np.uint8]:
    """Probabilities in [0, 1] to the wire's 1/255 steps."""
    return np.rint(np.clip(probabilities, 0.0, 1.0) * 255.0).astype(np.uint8)
