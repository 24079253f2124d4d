"""What a frame does to the tables beside its estimates, in kernels: a frame may be one report, and calls into libraries cost.

Stamps the system tracks that it touches, counts inconsistent members, and sifts what is left to do one by one: members to split
off, alerts to judge, predictions to make or to forget. Does none of these.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from physics.compile import jit

Float = NDArray[np.float64]
Rows = NDArray[np.int64]
Flags = NDArray[np.bool_]

_MOST_DOUBLINGS = 5


@jit
def next_of_each(rows: Rows, valid_ns: Rows, held_valid_ns: Rows, oldest_ns: int, youngest_ns: int) -> bool:
    """Whether every report, valid at (n,) ns, is in time and newer than what is held in its row (n,)."""
    fine = True
    for k in range(len(rows)):
        fine &= oldest_ns <= valid_ns[k] <= youngest_ns and valid_ns[k] > held_valid_ns[rows[k]]
    return fine


@jit
def stamp_into(
    times: Rows,
    kinds: Rows,
    systems: Rows,
    rows: Rows,
    valid_ns: Rows,
    detected_ns: Rows,
    tracked_ns: Rows,
    phenomenology: Rows,
    released_ns: int,
    due_ns: int,
    sent_ns: int,
    received_ns: int,
) -> int:
    """Note for system tracks the reports (rows) that touched them, with `fusion.tables.TIMES`; the newest valid time."""
    newest = 0
    for k in range(len(rows)):
        system, row = systems[k], rows[k]
        kinds[system] |= phenomenology[row]
        times[system, 0], times[system, 1], times[system, 2] = valid_ns[row], detected_ns[row], tracked_ns[row]
        times[system, 3], times[system, 4], times[system, 5], times[system, 6] = released_ns, due_ns, sent_ns, received_ns
        newest = max(newest, int(valid_ns[row]))
    return newest


@jit
def count_off_into(off: Rows, parted: Rows, rows: Rows, d2: Float, split_chi2: float, split_after: int) -> Rows:
    """Count inconsistent reports in a row, by member; which of them (indices) have been so for too long.

    Too long is `split_after` of them, and twice as many for each time that its system track was split before (`parted`, by row).
    """
    too_long = [0 for _ in range(0)]
    for k in range(len(rows)):
        off[rows[k]] = off[rows[k]] + 1 if d2[k] > split_chi2 else 0
        if off[rows[k]] >= split_after << min(parted[rows[k]], _MOST_DOUBLINGS):
            too_long.append(k)
    return np.array(too_long, np.int64)


@jit
def unsettled(systems: Rows, settled: Flags) -> Rows:
    """Those whose alert may still be raised or confirmed."""
    return systems[~settled[systems]]


@jit
def due(
    systems: Rows,
    number: Rows,
    phase: Float,
    predicted: Flags,
    valid_ns: Rows,
    newest_ns: Rows,
    impact_ns: Rows,
    coast_ns: Rows,
    every_ns: int,
    coast_for_ns: int,
    boosting: float,
) -> tuple[Rows, Rows]:
    """System tracks whose prediction does not hold any more, for they boost; and those whose prediction is due.

    A probability of boost from `boosting` on is taken for boost; so is no phase at all.
    """
    void, ripe = [0 for _ in range(0)], [0 for _ in range(0)]
    for system in systems:
        if number[system] == 0:
            continue
        boost, total = phase[system, 0], phase[system].sum()
        if boost >= boosting or total <= 0.0:
            if predicted[system]:
                void.append(system)
        elif valid_ns[system] - impact_ns[system] >= every_ns and newest_ns[system] - coast_ns[system] >= coast_for_ns:
            ripe.append(system)
    return np.array(void, np.int64), np.array(ripe, np.int64)


@jit
def longest_overdue(systems: Rows, impact_ns: Rows, number: Rows, most: int) -> Rows:
    """The first `most` of these system tracks by the age of their prediction, then by number. Few of many: it does not sort."""
    left = systems.copy()
    n = min(most, len(left))
    for k in range(n):
        at = k
        for i in range(k + 1, len(left)):
            one, best = left[i], left[at]
            if impact_ns[one] < impact_ns[best] or (impact_ns[one] == impact_ns[best] and number[one] < number[best]):
                at = i
        left[k], left[at] = left[at], left[k]
    return left[:n].copy()


@jit
def tend_into(
    times: Rows,
    kinds: Rows,
    off: Rows,
    parted: Rows,
    systems: Rows,
    rows: Rows,
    d2: Float,
    held_valid_ns: Rows,
    detected_ns: Rows,
    tracked_ns: Rows,
    phenomenology: Rows,
    released_ns: int,
    due_ns: int,
    sent_ns: int,
    received_ns: int,
    split_chi2: float,
    split_after: int,
    settled: Flags,
) -> tuple[int, Rows, Rows]:
    """What an alert may wait for, in one call for a frame: an idle worker finds every kernel cold.

    The newest valid time, members to split off (indices), and alerts to judge.
    """
    newest = stamp_into(
        times,
        kinds,
        systems,
        rows,
        held_valid_ns,
        detected_ns,
        tracked_ns,
        phenomenology,
        released_ns,
        due_ns,
        sent_ns,
        received_ns,
    )
    return newest, count_off_into(off, parted, rows, d2, split_chi2, split_after), unsettled(systems, settled)
