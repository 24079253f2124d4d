"""Assigns pairs globally: the cheapest set of pairs, each row and column at most once, and how sure each of them is.

Not pairing a row costs `miss`. A pair's regret is what the best solution without it costs more: its odds against being wrong are
exp(regret / 2). Connected components are solved on their own (scipy's shortest augmenting path: Crouse, IEEE TAES 52, 2016).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

Float = NDArray[np.float64]
Rows = NDArray[np.int64]

_FORBIDDEN = 1e12
_MOST_REGRETS = 64  # in larger components the regret is bounded from the row and column alone


class Match(NamedTuple):
    """Row and column that belong together; `regret` as above."""

    row: int
    column: int
    regret: float


def assign(rows: Rows, columns: Rows, costs: Float, miss: float) -> list[Match]:
    """The matches of the candidate pairs (p,), in the order of their rows."""
    if len(costs) == 0:
        return []
    matches: list[Match] = []
    for component in _components(rows.tolist(), columns.tolist()):
        matches += _solve(component, rows, columns, costs, miss)
    return sorted(matches)


def _components(rows: list[int], columns: list[int]) -> list[list[int]]:
    """Indices of the pairs, grouped by connected component."""
    if len(rows) == 1:
        return [[0]]
    parent: dict[int, int] = {}

    def find(node: int) -> int:
        parent.setdefault(node, node)
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    for row, column in zip(rows, columns, strict=True):
        parent[find(row)] = find(-1 - column)
    grouped: dict[int, list[int]] = {}
    for index, row in enumerate(rows):
        grouped.setdefault(find(row), []).append(index)
    return list(grouped.values())


def _solve(component: list[int], rows: Rows, columns: Rows, costs: Float, miss: float) -> list[Match]:
    if len(component) == 1:
        (only,) = component
        gain = miss - float(costs[only])
        return [Match(int(rows[only]), int(columns[only]), gain)] if gain > 0.0 else []
    chosen = np.array(component)
    row_of, at_row = np.unique(rows[chosen], return_inverse=True)
    column_of, at_column = np.unique(columns[chosen], return_inverse=True)
    n = len(row_of)
    table = np.full((n, len(column_of) + n), _FORBIDDEN)
    table[:, len(column_of) :] = miss
    table[at_row, at_column] = costs[chosen]
    best = linear_sum_assignment(table)
    total = float(table[best].sum())
    found = [(int(i), int(j)) for i, j in zip(*best, strict=True) if j < len(column_of) and table[i, j] < _FORBIDDEN]
    matches = []
    for i, j in found:
        kept = table[i, j]
        if n <= _MOST_REGRETS:
            table[i, j] = _FORBIDDEN
            regret = float(table[linear_sum_assignment(table)].sum()) - total
            table[i, j] = kept
        else:
            regret = float(min(np.partition(table[i], 1)[1], np.partition(table[:, j], 1)[1]) - kept)
        matches.append(Match(int(row_of[i]), int(column_of[j]), regret))
    return matches
