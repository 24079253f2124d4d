"""Searches for the best partition of tracks into objects, by branch and bound on the prices of `fusion.relaxation`.

Taking a group loses what its members' prices are above its gain, staying alone loses the price: a partition gains what all
prices add up to, less all that it loses. So only ways that lose less than the bound is above the best partition known are worth
following, and the search is short where that is little. It ends with the proof that there is no better, or after so many steps.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fusion.relaxation import EXACT, NONE, Component
from physics.compile import jit

Float = NDArray[np.float64]
Rows = NDArray[np.int64]
Flags = NDArray[np.bool_]


@jit
def search(c: Component, barred: Flags, price: Float, found: Rows, most: float, steps: int) -> tuple[bool, Rows, float]:
    """By branch and bound: whether it came to its end, and the best partition and its gain, those given where none is better.

    Prices as `relax` makes them. The track comes next whose best way loses most: that soon shows what
    cannot be better, and follows what one change leads to before all else.
    """
    lost = -c.gain
    for g in range(len(c.gain)):
        for i in c.members[g]:
            lost[g] += price[i] if i != NONE else 0.0
    room = price.sum() - most - EXACT  # what may be lost in all
    ways, length = np.empty(len(c.groups), np.int64), np.zeros(c.tracks, np.int64)
    for i in range(c.tracks):
        own = c.groups[c.at[i] : c.at[i + 1]]
        for g in own[np.argsort(lost[own], kind="mergesort")]:
            if not barred[g] and lost[g] < room:
                ways[c.at[i] + length[i]] = g
                length[i] += 1
    free, spent, depth = np.ones(c.tracks, np.bool_), np.zeros(c.tracks + 1), 0
    branch, way = np.empty(c.tracks, np.int64), np.zeros(c.tracks, np.int64)
    branch[0] = _next(c, ways, length, lost, price, free)
    while depth >= 0 and steps > 0:
        steps -= 1
        i, w, left = branch[depth], way[depth], room - spent[depth]
        if w > 0:  # what was tried last
            _set_into(free, c, ways, length, i, w - 1, True)
        while w < length[i] and not (lost[ways[c.at[i] + w]] < left and _open(c, free, ways[c.at[i] + w])):
            w += 1
        loss = lost[ways[c.at[i] + w]] if w < length[i] else price[i]
        if w > length[i] or not loss < left:
            depth -= 1
            continue
        _set_into(free, c, ways, length, i, w, False)
        way[depth], spent[depth + 1] = w + 1, spent[depth] + loss
        chosen = _next(c, ways, length, lost, price, free)
        if chosen != NONE:
            depth += 1
            branch[depth], way[depth] = chosen, 0
            continue
        kept, n, most = np.empty(depth + 1, np.int64), 0, 0.0  # all have their place
        for d in range(depth + 1):
            if way[d] <= length[branch[d]]:
                kept[n] = ways[c.at[branch[d]] + way[d] - 1]
                most += c.gain[kept[n]]
                n += 1
        found, room = kept[:n].copy(), spent[depth + 1] - EXACT
    return depth < 0, found, most


@jit
def _open(c: Component, free: Flags, group: int) -> bool:
    open_ = True
    for i in c.members[group]:
        open_ = open_ and (i == NONE or bool(free[i]))
    return open_


@jit
def _set_into(free: Flags, c: Component, ways: Rows, length: Rows, track: int, way: int, value: bool) -> None:
    """Take a way of a track, or give it back: one of its groups, or after them to stay alone."""
    free[track] = value
    if way < length[track]:
        for i in c.members[ways[c.at[track] + way]]:
            if i != NONE:
                free[i] = value


@jit
def _next(c: Component, ways: Rows, length: Rows, lost: Float, price: Float, free: Flags) -> int:
    """The free track whose best way loses most; NONE where no track is free."""
    most, chosen = -np.inf, NONE
    for i in range(c.tracks):
        if free[i]:
            least = price[i]
            for w in range(c.at[i], c.at[i] + length[i]):
                if _open(c, free, ways[w]):
                    least = min(least, lost[ways[w]])
                    break
            if least > most:
                most, chosen = least, i
    return chosen
