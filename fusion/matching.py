"""Matches rows with columns for the most gain, and prices both: the two-dimensional part of `fusion.partition`.

Each row takes one column at most and each column one row; both may stay alone. Rows come in turn, each by the shortest augmenting
path (Jonker and Volgenant, Computing 38, 1987), over the edges that there are. Prices are never negative, and those of a row and
a column add up to no less than their edge gains; what all prices add up to is the gain of the match. So they prove that there is
no better one, and tell what each row and column is worth.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from physics.compile import jit

Float = NDArray[np.float64]
Rows = NDArray[np.int64]

NONE = -1


@jit
def match(start: Rows, column: Rows, gain: Float, columns: int) -> tuple[Rows, Float, Float]:
    """The edge that each row takes (n,), NONE for none; the prices of rows (n,) and of columns (m,).

    Row i has the edges from start[i] to start[i + 1], each with its column and its gain. What gains nothing is not taken.
    """
    n = len(start) - 1
    taken, row_price, column_price = np.full(n, NONE), np.zeros(n), np.zeros(columns)
    owner, via, source = np.full(columns, NONE), np.full(columns, NONE), np.full(columns, NONE)
    far, closed = np.full(columns, np.inf), np.zeros(columns, np.bool_)
    front, path, depths = np.empty(columns, np.int64), np.empty(n, np.int64), np.empty(n)
    for first in range(n):
        for e in range(start[first], start[first + 1]):
            row_price[first] = max(row_price[first], gain[e] - column_price[column[e]])
        row, depth, steps, seen = first, 0.0, 0, 0
        end, alone, at = np.inf, NONE, NONE  # what the path costs, and the row that goes alone or the column that was free
        while True:
            path[steps], depths[steps] = row, depth
            steps += 1
            if depth + row_price[row] < end:
                end, alone = depth + row_price[row], row
            for e in range(start[row], start[row + 1]):
                c = column[e]
                reach = depth + row_price[row] + column_price[c] - gain[e]
                if not closed[c] and reach < far[c]:
                    if far[c] == np.inf:
                        front[seen] = c
                        seen += 1
                    far[c], via[c], source[c] = reach, e, row
            nearest, at = end, NONE
            for c in front[:seen]:
                if not closed[c] and far[c] < nearest:
                    nearest, at = far[c], c
            if at == NONE or owner[at] == NONE:
                end = nearest
                break
            closed[at] = True
            row, depth = owner[at], far[at]
        for k in range(steps):
            row_price[path[k]] -= end - depths[k]
        for c in front[:seen]:
            if closed[c]:
                column_price[c] += end - far[c]
        if at == NONE and alone != first:
            at = column[taken[alone]]
            taken[alone] = NONE
        while at != NONE:
            row = source[at]
            before = column[taken[row]] if taken[row] != NONE else NONE
            taken[row], owner[at] = via[at], row
            at = before
        for c in front[:seen]:
            far[c], closed[c] = np.inf, False
    return taken, row_price, column_price
