"""Relaxes a partition of tracks into objects: what no partition gains more than, and one that comes near it.

Three-dimensional assignment with gains: a track is of one of three sides; a group is a pair or a triple, no two of one side; each
track is in one group at most, and gains nothing in none. The third side is relaxed (Lagrange): a track of it may be taken by
many, each time for its price. What is left is a match of the first two sides (`fusion.matching`), and its prices with those of
the third are a bound: no group gains more than its members' prices, so no partition gains more than all prices. The match
is made a partition by a second one, of what it took with the third side.

Source: Deb, Yeddanapudi, Pattipati and Bar-Shalom, IEEE TAES 33(2), 1997; Poore and Robertson, Comput. Optim. Appl. 8, 1997.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fusion.matching import match
from physics.compile import jit

Float = NDArray[np.float64]
Rows = NDArray[np.int64]
Flags = NDArray[np.bool_]

NONE = -1
EXACT = 1e-7  # what sums of costs and of prices are off by


class Component(NamedTuple):
    """The groups of one component, with tracks numbered side after side: `first` of the first, then `second`, `tracks` in all.

    members (g, 3), NONE where a group has none of a side, and gain (g,). An edge is what groups with the same members of the
    first two sides have in common: edge (g,), NONE without both; track i of the first side has the edges from start[i] to
    start[i + 1], each with its `column` (e,) among the second side. `at` (tracks + 1,) and `groups` (k,): the same of the groups
    that a track is in. A side has the tracks from seats[side] to seats[side + 1].
    """

    members: Rows
    gain: Float
    first: int
    second: int
    tracks: int
    edge: Rows
    start: Rows
    column: Rows
    at: Rows
    groups: Rows
    seats: Rows


@jit
def component_of(members: Rows, gain: Float) -> tuple[Component, Rows]:
    """The component of these groups, and which of them (g,) each of its own is."""
    counts = np.zeros(3, np.int64)
    numbered = np.full(members.shape, NONE)
    for s in range(3):
        there = members[:, s] != NONE
        known = np.unique(members[there, s])
        numbered[there, s] = np.searchsorted(known, members[there, s])
        counts[s] = len(known)
    n, m, tracks = counts[0], counts[1], counts.sum()
    order = np.argsort((numbered[:, 0] * (m + 1) + numbered[:, 1]) * (counts[2] + 1) + numbered[:, 2], kind="mergesort")
    own = numbered[order]
    edge, start, column = np.full(len(own), NONE), np.zeros(n + 1, np.int64), np.empty(len(own), np.int64)
    edges = 0
    for g in range(len(own)):
        if own[g, 0] != NONE and own[g, 1] != NONE:
            if g == 0 or own[g, 0] != own[g - 1, 0] or own[g, 1] != own[g - 1, 1]:
                column[edges] = own[g, 1]
                start[own[g, 0] + 1] += 1
                edges += 1
            edge[g] = edges - 1
    at = np.zeros(tracks + 1, np.int64)
    for g in range(len(own)):
        for s in range(1, 3):
            if own[g, s] != NONE:
                own[g, s] += n if s == 1 else n + m
        for s in range(3):
            if own[g, s] != NONE:
                at[own[g, s] + 1] += 1
    at = np.cumsum(at)
    fill, groups = at[:-1].copy(), np.empty(at[-1], np.int64)
    for g in range(len(own)):
        for i in own[g]:
            if i != NONE:
                groups[fill[i]] = g
                fill[i] += 1
    seats = np.array([0, n, n + m, tracks])
    return Component(own, gain[order], n, m, tracks, edge, np.cumsum(start), column[:edges].copy(), at, groups, seats), order


@jit
def relax(c: Component, barred: Flags, price: Float) -> tuple[Float, Rows]:
    """Prices of all tracks, given those of the third side, that no group but the barred gains more than; and the groups taken.

    The sum of prices is the bound. A track of the third side may be in many of the groups taken.
    """
    edges, both = len(c.column), c.first + c.second
    gain, choice = np.full(edges, -np.inf), np.full(edges, NONE)  # of a pair of the first two sides, with or without a third
    lone, single = np.zeros(both), np.full(both, NONE)  # of one of them, with a third
    for g in range(len(c.gain)):
        if barred[g]:
            continue
        i, j, k = c.members[g]
        left = c.gain[g] - (price[k] if k != NONE else 0.0)
        if c.edge[g] != NONE:
            if left > gain[c.edge[g]]:
                gain[c.edge[g]], choice[c.edge[g]] = left, g
        else:
            own = max(i, j)
            if left > lone[own]:
                lone[own], single[own] = left, g
    for i in range(c.first):
        for e in range(c.start[i], c.start[i + 1]):
            gain[e] -= lone[i] + lone[c.first + c.column[e]]
    taken, rows, columns = match(c.start, c.column, gain, c.second)
    out = price.copy()
    out[: c.first] = rows + lone[: c.first]
    out[c.first : both] = columns + lone[c.first :]
    chosen, n = np.empty(both, np.int64), 0
    for i in range(c.first):
        if taken[i] != NONE:
            chosen[n] = choice[taken[i]]
            single[i] = single[c.first + c.column[taken[i]]] = NONE
            n += 1
    for i in range(both):
        if single[i] != NONE:
            chosen[n] = single[i]
            n += 1
    return out, chosen[:n].copy()


@jit
def seat(c: Component, barred: Flags, groups: Rows, side: int) -> tuple[Rows, float]:
    """The best partition that keeps together what these groups have of the other two sides: its groups and what they gain.

    Only of `side` a track may be in many of the groups given, and is seated anew.
    """
    one, other = 1 if side == 0 else 0, 1 if side == 2 else 2
    first, last = c.seats[side], c.seats[side + 1]
    held = np.full((c.tracks, 2), NONE)  # a core's tracks of the other sides; its number is that of its first
    core_of = np.arange(c.tracks)
    for i in range(c.tracks):
        if c.seats[one] <= i < c.seats[one + 1]:
            held[i, 0] = i
        elif c.seats[other] <= i < c.seats[other + 1]:
            held[i, 1] = i
    for g in groups:
        i, j = c.members[g, one], c.members[g, other]
        if i != NONE and j != NONE:
            held[i, 1], core_of[j] = j, i
    start, base = np.zeros(c.tracks + 1, np.int64), np.zeros(c.tracks)
    without, core = np.full(c.tracks, NONE), np.full(len(c.gain), NONE)
    for g in range(len(c.gain)):
        i, j = c.members[g, one], c.members[g, other]
        k = core_of[max(i, j) if i == NONE or j == NONE else j]
        if barred[g] or held[k, 0] != i or held[k, 1] != j:
            continue
        core[g] = k
        if c.members[g, side] == NONE:
            base[k], without[k] = c.gain[g], g
        else:
            start[k + 1] += 1
    start = np.cumsum(start)
    fill, size = start[:-1].copy(), start[-1]
    column, gain, group = np.empty(size, np.int64), np.empty(size), np.empty(size, np.int64)
    for g in range(len(c.gain)):
        if core[g] != NONE and c.members[g, side] != NONE:
            e = fill[core[g]]
            fill[core[g]] += 1
            column[e], gain[e], group[e] = c.members[g, side] - first, c.gain[g] - base[core[g]], g
    taken, _, _ = match(start, column, gain, last - first)
    chosen, n, total = np.empty(c.tracks, np.int64), 0, 0.0
    for i in range(c.tracks):
        g = group[taken[i]] if taken[i] != NONE else without[i]
        if g != NONE:
            chosen[n] = g
            total += c.gain[g]
            n += 1
    return chosen[:n].copy(), total


@jit
def settle(c: Component, barred: Flags, groups: Rows, total: float) -> tuple[Rows, float]:
    """A partition that seating no one side anew makes better, from one that gains `total`."""
    side, idle = 0, 0
    while idle < 3:
        again, gains = seat(c, barred, groups, side)
        idle += 1
        if gains > total + EXACT:
            groups, total, idle = again, gains, 1
        side = (side + 1) % 3
    return groups, total
