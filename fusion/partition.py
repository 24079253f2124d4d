"""Partitions tracks into objects: the groups that together gain the most, each track in one at most, and how sure each pair is.

Components that have no group in common are solved each on its own: by relaxation (`fusion.relaxation`), which mostly ends with
proof that there is no better; where bound and gain still differ, by a search (`fusion.search`); and where that is too long, the
difference remains, as a share of the bound: the duality gap.

A pair's regret is how much less the best partition that keeps the two apart gains: its odds against being wrong are
exp(regret / 2). In small components it is exact up to `enough`; beyond that, and in large ones, it is no more than it truly is.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from fusion.relaxation import EXACT, NONE, Component, component_of, relax, seat, settle
from fusion.search import search
from physics.compile import jit

Float = NDArray[np.float64]
Rows = NDArray[np.int64]
Flags = NDArray[np.bool_]

_ROUNDS = 150
_LEAST_ROUNDS = 3  # for a regret; fewer tell no more than prices alone
_PATIENCE, _SHORTER = 12, 0.7  # rounds without a better bound before steps become shorter, and by how much
_SEARCH_EVERY = 10  # rounds
_STEPS, _REGRET_STEPS, _STEPS_SMALL = 1_000, 150, 100_000  # of a search: for the best, for a regret, in a small component
_NEAR = 0.97  # of the best partition's gain: what comes so near may settle at a better one
_ONE_EACH = 4  # groups that three tracks can make
_SMALL = 200  # groups: so small a component is solved to the end, and all its regrets are exact
_WORK = 2_000_000  # groups that all rounds for the best partition of one may go through: some 90 ms, with all that they do
_REGRET_WORK = 400_000  # and groups times tracks, all rounds for all regrets of a look: some 10 ms


@jit
def solve(
    c: Component, barred: Flags, price: Float, floor: float, rounds: int, most_steps: int
) -> tuple[Float, float, Rows, float]:
    """From prices on, without the barred groups: the best prices, what no partition gains more than, the best partition found and
    what it gains. Once it is down to `floor`, the bound is left as it is.

    The step is Polyak's, along the average of the subgradient and the last direction (Sherali and Ulular, AMO 20, 1989).
    """
    best, found, most, bound = price, np.empty(0, np.int64), 0.0, np.inf
    step, stale, direction, third = 1.0, 0, np.zeros(c.tracks), c.first + c.second
    for n in range(rounds):
        priced, relaxed = relax(c, barred, price)
        total, stale = priced.sum(), stale + 1
        if total < bound - EXACT:
            best, bound, stale = priced, total, 0
        groups, gains = seat(c, barred, relaxed, 2)
        if gains > _NEAR * most and gains != most:  # what gains just as much has been settled
            groups, gains = settle(c, barred, groups, gains)
            if gains > most:
                found, most = groups, gains
        if bound - most <= EXACT or bound <= floor:
            break
        if n % _SEARCH_EVERY == 0 or n == rounds - 1:
            steps = _STEPS_SMALL if n == rounds - 1 and len(c.gain) <= _SMALL else most_steps
            ended, found, most = search(c, barred, best, found, most, steps)
            if ended:
                return best, most, found, most
        if stale >= _PATIENCE:
            step, stale = _SHORTER * step, 0
        slope = np.zeros(c.tracks)
        slope[third:] = 1.0
        for g in relaxed:
            if c.members[g, 2] != NONE:
                slope[c.members[g, 2]] -= 1.0
        before, now = (direction * direction).sum(), (slope * slope).sum()
        direction = slope + (math.sqrt(now / before) if before > 0.0 else 0.0) * direction
        along = np.where((direction > 0.0) & (price <= 0.0), 0.0, direction)
        steep = (along * along).sum()
        if steep > 0.0:
            price = np.maximum(price - step * (total - most) / steep * along, 0.0)
            price[:third] = 0.0
    return best, bound if bound > most + EXACT else most, found, most


@jit
def regret_of(c: Component, price: Float, total: float, one: int, other: int, enough: float, rounds: int) -> float:
    """How much less than `total` the best partition that keeps two tracks apart gains, or at least gains less.

    Apart, each of them loses no less than on its best way without the other. Where that is not `enough`, so many rounds follow.
    """
    barred, least = np.zeros(len(c.gain), np.bool_), total - price.sum()
    for i, without in ((one, other), (other, one)):
        loses = price[i]
        for g in c.groups[c.at[i] : c.at[i + 1]]:
            loss = -c.gain[g]
            for k in c.members[g]:
                barred[g] = barred[g] or k == without
                loss += price[k] if k != NONE else 0.0
            if not barred[g]:
                loses = min(loses, loss)
        least += loses
    if least < enough and rounds > 0:
        _, bound, _, _ = solve(c, barred, price, total - enough, rounds, _REGRET_STEPS)
        least = max(least, total - bound)
    return float(max(least, 0.0))


@jit
def regrets_into(regret: Float, c: Component, own: Rows, enough: float, rounds: int) -> float:
    """The regrets of the pairs of a component that are together in its best partition, and its duality gap.

    `own` (g,) says for each group which pair it is, NONE for triples.
    """
    most = max(1, min(_ROUNDS, _WORK // len(c.gain)))
    price, bound, found, total = solve(c, np.zeros(len(c.gain), np.bool_), np.zeros(c.tracks), 0.0, most, _STEPS)
    group = np.full(c.tracks, NONE)
    for g in found:
        for i in c.members[g]:
            if i != NONE:
                group[i] = g
    for g in range(len(own)):
        if own[g] != NONE:
            one = c.members[g, 0] if c.members[g, 0] != NONE else c.members[g, 1]
            other = c.members[g, 2] if c.members[g, 2] != NONE else c.members[g, 1]
            if group[one] != NONE and group[one] == group[other]:
                regret[own[g]] = regret_of(c, price, total, one, other, enough, rounds)
    return float((bound - total) / bound)


@jit
def one_each_into(regret: Float, members: Rows, gain: Float, some: Rows, pairs: int) -> bool:
    """The regrets in a component of one track a side, as most are: of its groups one is taken. False where it is none such."""
    tracks, best = np.full(3, NONE), some[0]
    for g in some:
        for s in range(3):
            if members[g, s] != NONE:
                if tracks[s] != NONE and tracks[s] != members[g, s]:
                    return False
                tracks[s] = members[g, s]
        best = g if gain[g] > gain[best] else best
    for pair in some:
        if pair < pairs and _within(members, pair, best):
            apart = 0.0
            for g in some:
                if not _within(members, pair, g):
                    apart = max(apart, gain[g])
            regret[pair] = gain[best] - apart
    return True


@jit
def _within(members: Rows, pair: int, group: int) -> bool:
    within = True
    for s in range(3):
        within = within and bool(members[pair, s] == NONE or members[pair, s] == members[group, s])
    return within


@jit
def labels(members: Rows, tracks: int) -> Rows:
    """The component of each group (g,): groups with a track in common have the same."""
    parent = np.arange(tracks)
    label = np.empty(len(members), np.int64)
    for _ in range(2):
        for g in range(len(members)):
            head = NONE
            for i in members[g]:
                if i != NONE:
                    while parent[i] != i:
                        parent[i] = parent[parent[i]]
                        i = parent[i]
                    head = i if head == NONE else head
                    parent[i] = head
            label[g] = head
    return label


@jit
def partition(members: Rows, gain: Float, pairs: int, tracks: int, enough: float) -> tuple[Float, float]:
    """For each of the first `pairs` groups, which are the pairs, its regret if both are in one object, else 0: (pairs,). And
    the largest duality gap of a component, 0 where all are solved.

    members (g, 3) are tracks by side, NONE where a group has none; gain (g,) is above 0.
    """
    regret, largest, work, label = np.zeros(pairs), 0.0, _REGRET_WORK, labels(members, tracks)
    size = np.bincount(label, minlength=tracks)
    order = np.argsort(label, kind="mergesort")
    order = order[np.argsort(size[label[order]], kind="mergesort")]  # the small ones first
    begin = 0
    while begin < len(order):
        end = begin + size[label[order[begin]]]
        some = order[begin:end]
        begin = end
        if len(some) <= _ONE_EACH and one_each_into(regret, members, gain, some, pairs):
            continue
        c, own = component_of(members[some], gain[some])
        pair = some[own]
        rounds = _ROUNDS
        if len(some) > _SMALL:
            rounds = min(_ROUNDS, work // (len(some) * c.tracks))
            rounds = rounds if rounds >= _LEAST_ROUNDS else 0
            work -= rounds * len(some) * c.tracks
        largest = max(largest, regrets_into(regret, c, np.where(pair < pairs, pair, NONE), enough, rounds))
    return regret, largest
