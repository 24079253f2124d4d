"""Crowds: how much dearer a pair is where its tracks have neighbours of their own nation.

A pair is held against both tracks being objects of their own. Where that can be anywhere in the room of an unseen object it is
next to impossible. But in a row of missiles the next one is where the neighbours are: there a row shifted by one place would be
cheaper than two missiles of which each is missed by one nation. So the room of a track's own object ends at the nearest track of
its own nation: a pair gains only by how much nearer it is than the neighbours, and by how seldom two nations each miss an object
that the other sees.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fusion.align import MOST_DRAG_M_S2, flown
from fusion.gate import compare
from fusion.tables import NONE
from fusion.triangle import square
from physics.compile import inlined, jit

Float = NDArray[np.float64]
Rows = NDArray[np.int64]

_BOTH_MISS = 12.0  # twice the log of the odds against two nations missing an object each, either one of twenty
_CELLS = 4  # a track: narrower than most are apart
NEIGHBOURS = 4  # of each track: the nearest by place, of which one may fly elsewhere


@inlined
def reached_m(reach_m: float, speed_m_s: float, apart_s: float) -> float:
    """How far off along an axis a track may be reported that is within `reach_m` once it is brought to another time."""
    return reach_m + (abs(speed_m_s) + MOST_DRAG_M_S2 * abs(apart_s)) * abs(apart_s)


@jit
def neighbours(
    rows: Rows,
    valid_a: Rows,
    state_a: Float,
    mask_a: Rows,
    others: Rows,
    valid_b: Rows,
    state_b: Float,
    cov_b: Float,
    phase_b: Float,
    mask_b: Rows,
    reach_m: float,
    motion: Float,
) -> Float:
    """Where the nearest neighbours of tracks (rows of a table) are (n, NEIGHBOURS, 6): m and m/s off, at the track's own time.

    They are of the same nation; infinite where there are fewer. `others` (rows of a table) may be the tracks themselves. Further
    off than `reach_m` none counts.
    """
    n = len(rows)
    found, ranges = np.full((n, NEIGHBOURS, 6), np.inf), np.full((n, NEIGHBOURS), np.inf)
    if not n:
        return found
    nations, newest, oldest = np.int64(0), valid_a[rows[0]], valid_a[rows[0]]
    lowest, highest, x_a = np.full(3, np.inf), np.full(3, -np.inf), np.empty(n)
    for i in range(n):
        a = rows[i]
        x_a[i], nations = state_a[a, 0], nations | mask_a[a]
        newest, oldest = max(newest, valid_a[a]), min(oldest, valid_a[a])
        for axis in range(3):
            lowest[axis], highest[axis] = min(lowest[axis], state_a[a, axis]), max(highest[axis], state_a[a, axis])
    order, cells = np.argsort(x_a, kind="mergesort"), _CELLS * n  # along the first axis, as many tracks before each
    width = max(highest[0] - lowest[0], 1.0) / cells
    before = np.searchsorted(x_a[order], lowest[0] + width * np.arange(1, cells))
    for b in others:
        beyond = mask_b[b] & nations == 0
        apart_s = max(abs(newest - valid_b[b]), abs(valid_b[b] - oldest)) * 1e-9
        for axis in range(3):
            reached = reached_m(reach_m, state_b[b, 3 + axis], apart_s)
            beyond |= not lowest[axis] - reached <= state_b[b, axis] <= highest[axis] + reached
        if beyond:
            continue
        reached = reached_m(reach_m, state_b[b, 3], apart_s)
        low, high = (state_b[b, 0] - reached - lowest[0]) / width, (state_b[b, 0] + reached - lowest[0]) / width
        first = before[int(low) - 1] if low >= 1.0 else 0
        last = before[int(high)] if high < cells - 1 else n
        for k in range(first, last):
            i = order[k]
            a = rows[i]
            dt_s = (valid_a[a] - valid_b[b]) * 1e-9
            beyond = mask_a[a] & mask_b[b] == 0
            for axis in range(3):
                beyond |= abs(state_b[b, axis] - state_a[a, axis]) > reached_m(reach_m, state_b[b, 3 + axis], dt_s)
            if beyond:
                continue
            range2 = 0.0
            x = state_b[b]
            if dt_s != 0.0:
                x, _ = flown(x, square(cov_b[b]), phase_b[b, 0], phase_b[b, 1], phase_b[b, 2], dt_s, motion, True, 0.0)
            for axis in range(3):
                range2 += (x[axis] - state_a[a, axis]) ** 2
            if range2 >= min(reach_m * reach_m, ranges[i, NEIGHBOURS - 1]) or range2 == 0.0:
                continue
            place = NEIGHBOURS - 1
            while place > 0 and ranges[i, place - 1] > range2:
                ranges[i, place], found[i, place] = ranges[i, place - 1], found[i, place - 1]
                place -= 1
            ranges[i, place] = range2
            found[i, place] = x - state_a[a]
    return found


@jit
def dearer(
    first: Rows,
    second: Rows,
    rows_a: Rows,
    cov_a: Float,
    near_a: Float,
    rows_b: Rows,
    cov_b: Float,
    near_b: Float,
    bias_var: Float,
    prior_var: Float,
    miss: float,
) -> Float:
    """By how much pairs (indices into rows_a and rows_b) are dearer for their `neighbours`: at least 0, and 0 without any."""
    more, here = np.zeros(len(first)), np.zeros(6)
    for p in range(len(first)):
        a, b = square(cov_a[rows_a[first[p]]]), square(cov_b[rows_b[second[p]]])
        for off in (near_a[first[p]], near_b[second[p]]):
            for k in range(len(off)):
                if np.isfinite(off[k, 0]):
                    d2, log_det, _ = compare(here, a, off[k], b, bias_var, prior_var)
                    more[p] = max(more[p], miss - log_det - max(d2, _BOTH_MISS))
    return more


def crowded(triples: Rows, joint: Float, pairs: Rows, gains: Float, more: Float, n: int) -> tuple[Rows, Float]:
    """Triples (g, 3) and what they gain, `joint` (g,), less what neighbours make dearer: their dearest and their cheapest pair.

    Of `pairs` (p, 3) it is known what they gain and by how much `more` they cost (p,). Rows hold indices of `n` tracks, one of
    `pairs` NONE in one place. What comes back is of those that gain more than each of their pairs does alone.
    """
    filled = np.where(pairs == NONE, n, pairs)
    filled.sort(axis=1)
    keys = filled[:, 0] * n + filled[:, 1]
    order = np.argsort(keys)
    sides = np.stack([triples[:, [0, 1]], triples[:, [0, 2]], triples[:, [1, 2]]])
    sides.sort(axis=2)
    asked = sides[..., 0] * n + sides[..., 1]
    at = order[np.minimum(np.searchsorted(keys[order], asked), len(keys) - 1)]
    there = keys[at] == asked
    costs = np.where(there, more[at], np.nan)
    joint = joint - np.nanmax(costs, axis=0) - np.nanmin(costs, axis=0)
    alone = np.where(there, gains[at], 0.0).max(axis=0)
    return triples[joint > alone], joint[joint > alone]
