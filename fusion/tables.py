"""Tables: the reports and system tracks held, as structures of arrays that kernels read in place.

Rows are handed out and taken back; a row's number means nothing outside the tables. Growing doubles every array. Nothing here
decides.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bus.columns import TRIANGLE
from fusion.copied import Copied
from fusion.partial import tells_whole
from physics.compile import jit
from physics.motion import ballistic_acceleration

Float = NDArray[np.float64]
Rows = NDArray[np.int64]

NONE: Final = -1
NO_ALERT, QUICK, CONFIRMED, HELD = 0, 1, 2, 3
TIMES: Final = ("valid_ns", "detected_ns", "tracked_ns", "released_ns", "due_ns", "sent_ns", "received_ns")
_NS_A_MS: Final = 1_000_000


class Table(Copied):
    """Arrays of equal length and a stock of free rows. Subclasses name the arrays: {name: (dtype, width)}."""

    FIELDS: dict[str, tuple[type[np.generic], tuple[int, ...]]]

    def __init_subclass__(cls) -> None:
        cls.FLAT = frozenset((*cls.FIELDS, "_free"))

    def __init__(self, capacity: int = 64) -> None:
        self._free: list[int] = list(range(capacity - 1, -1, -1))
        self.capacity = capacity
        for name, (dtype, shape) in self.FIELDS.items():
            setattr(self, name, np.zeros((capacity, *shape), dtype))

    def __len__(self) -> int:
        return self.capacity - len(self._free)

    def take(self) -> int:
        """A free row, its old values still in it."""
        if not self._free:
            self._free = list(range(2 * self.capacity - 1, self.capacity - 1, -1))
            self.capacity *= 2
            for name in self.FIELDS:
                old: NDArray[Any] = getattr(self, name)
                setattr(self, name, np.concatenate([old, np.zeros_like(old)]))
        return self._free.pop()

    def give_back(self, row: int) -> None:
        """Free a row."""
        self._free.append(row)


class ReportTable(Table):
    """The newest report of each national track. `system` is the row of the system track that it is a member of; `shift` is what
    was taken off its state because its feed is displaced; `parted`: how often its system track was split; `whole`: it tells of a
    whole state (`fusion.partial`). `mask` is its nation's bit, 0 in a free row.
    """

    FIELDS = {  # noqa: RUF012 (a table, never changed)
        "track": (np.uint32, ()),
        "nation": (np.int64, ()),
        "session": (np.int64, ()),
        "mask": (np.int64, ()),
        "valid_ns": (np.int64, ()),
        "released_ns": (np.int64, ()),
        "state": (np.float64, (6,)),
        "shift": (np.float64, (6,)),
        "cov": (np.float64, (TRIANGLE,)),
        "phase": (np.float64, (3,)),
        "quality": (np.int64, ()),
        "phenomenology": (np.int64, ()),
        "pedigree": (np.int64, ()),
        "whole": (np.bool_, ()),
        "detected_ns": (np.int64, ()),
        "tracked_ns": (np.int64, ()),
        "system": (np.int64, ()),
        "off": (np.int64, ()),
        "parted": (np.int64, ()),
        "dropped": (np.bool_, ()),
    }
    track: NDArray[np.uint32]
    nation: Rows
    session: Rows
    mask: Rows
    valid_ns: Rows
    released_ns: Rows
    state: Float
    shift: Float
    cov: Float
    phase: Float
    quality: Rows
    phenomenology: Rows
    pedigree: Rows
    whole: NDArray[np.bool_]
    detected_ns: Rows
    tracked_ns: Rows
    system: Rows
    off: Rows
    parted: Rows
    dropped: NDArray[np.bool_]

    def give_back(self, row: int) -> None:
        """Free a row; it is no longer a report."""
        self.mask[row] = 0
        super().give_back(row)


class SystemTable(Table):
    """System tracks and their estimates; `number` 0 marks a free row. Recipients know a track by `told`, its number for them.

    `mask` has a bit a nation that reports it now, 0 while all members have been dropped and only a prediction is left; `seen` a
    bit a nation that ever did by what is no echo. Times: `first_ns` of the founding report, `coast_ns` since when nothing
    hinted at boost, `impact_ns` of the estimate behind the last impact prediction, `due_ns` when the clock's tick has to look
    again, `lost_ns` when its last member was dropped; `times` are the stage times, in the order of TIMES, of the report that
    touched it last. `kinds`: the phenomenologies that ever saw it; `settled`: its alert is confirmed; `predicted`: it has an
    impact prediction; `touched`: changed since it was last handed out. `alert`: what stands of it, NO_ALERT, QUICK or
    CONFIRMED, or HELD where it may be what has been warned of. `whole`: a member tells of a whole state, or all do together.
    """

    FIELDS = {  # noqa: RUF012 (a table, never changed)
        "number": (np.int64, ()),
        "told": (np.int64, ()),
        "members": (np.int64, (3,)),
        "mask": (np.int64, ()),
        "seen": (np.int64, ()),
        "valid_ns": (np.int64, ()),
        "newest_ns": (np.int64, ()),
        "state": (np.float64, (6,)),
        "cov": (np.float64, (TRIANGLE,)),
        "phase": (np.float64, (3,)),
        "whole": (np.bool_, ()),
        "first_ns": (np.int64, ()),
        "coast_ns": (np.int64, ()),
        "impact_ns": (np.int64, ()),
        "due_ns": (np.int64, ()),
        "lost_ns": (np.int64, ()),
        "times": (np.int64, (len(TIMES),)),
        "kinds": (np.int64, ()),
        "settled": (np.bool_, ()),
        "predicted": (np.bool_, ()),
        "touched": (np.bool_, ()),
        "alert": (np.int64, ()),
    }
    number: Rows
    told: Rows
    members: Rows
    mask: Rows
    seen: Rows
    valid_ns: Rows
    newest_ns: Rows
    state: Float
    cov: Float
    phase: Float
    whole: NDArray[np.bool_]
    first_ns: Rows
    coast_ns: Rows
    impact_ns: Rows
    due_ns: Rows
    lost_ns: Rows
    times: Rows
    kinds: Rows
    settled: NDArray[np.bool_]
    predicted: NDArray[np.bool_]
    touched: NDArray[np.bool_]
    alert: Rows

    def give_back(self, row: int) -> None:
        """Free a row; it no longer counts as a track."""
        self.number[row] = self.mask[row] = self.seen[row] = self.alert[row] = 0
        self.touched[row] = False
        super().give_back(row)


@jit
def hold_into(
    valid_ns: Rows,
    state: Float,
    cov: Float,
    phase: Float,
    quality: Rows,
    phenomenology: Rows,
    pedigree: Rows,
    tells_all: NDArray[np.bool_],
    detected_ns: Rows,
    tracked_ns: Rows,
    track: NDArray[np.uint32],
    rows: Rows,
    indices: Rows,
    new_valid_ns: Rows,
    new_state: Float,
    new_cov: Float,
    new_phase: NDArray[np.uint8],
    new_quality: NDArray[np.uint8],
    new_phenomenology: NDArray[np.uint8],
    new_pedigree: NDArray[np.uint32],
    new_detected_age_ms: NDArray[np.uint32],
    new_tracked_age_ms: NDArray[np.uint32],
    new_track: NDArray[np.uint32],
    prior_var: Float,
) -> None:
    """Write the rows `indices` of a frame's columns into the rows `rows` of the table of reports."""
    for n in range(len(rows)):
        row, i = rows[n], indices[n]
        valid_ns[row] = new_valid_ns[i]
        for k in range(6):
            state[row, k] = new_state[i, k]
        for k in range(TRIANGLE):
            cov[row, k] = new_cov[i, k]
        tells_all[row] = tells_whole(cov[row], prior_var)
        for p in range(3):
            phase[row, p] = new_phase[i, p]
        quality[row] = min(new_quality[i], 15)
        phenomenology[row] = new_phenomenology[i] & 3
        pedigree[row] = new_pedigree[i]
        detected_ns[row] = max(new_valid_ns[i] - np.int64(new_detected_age_ms[i]) * _NS_A_MS, 0)
        tracked_ns[row] = max(new_valid_ns[i] - np.int64(new_tracked_age_ms[i]) * _NS_A_MS, 0)
        track[row] = new_track[i]


@jit
def shift_into(state: Float, shift: Float, rows: Rows, offset: Float) -> None:
    """Take an offset (4,), m and s, off the reports in `rows` in place of what was taken off them before.

    A clock that is slow by t has the object where it will be t seconds later: it is ahead by its velocity, and that by its fall.
    """
    for row in rows:
        for i in range(6):
            state[row, i] += shift[row, i]
        pull = ballistic_acceleration(state[row])
        for i in range(3):
            shift[row, i] = offset[i] + offset[3] * state[row, 3 + i]
            shift[row, 3 + i] = offset[3] * pull[i]
        for i in range(6):
            state[row, i] -= shift[row, i]
