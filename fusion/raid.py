"""The raid count: how many missiles fly, and how many have since the raid began, as a number with its spread. Pure.

An object counts with the probability that it is there: 1 where its alert is confirmed, a setting's where it is quick. Two that
may be one count for less by the probability that they are, and corroborate each other so far. Nation after nation is laid onto
those before it; the probability that a track is one of theirs comes of its odds, its alternatives, and who competes for them, by
belief propagation (Williams and Lau, IEEE TAES 50, 2014). What is left is a sum of Bernoulli terms: their distribution is the
count's. That a confirmed track may hold two objects is not in it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bus.messages import Raid, Tally
from fusion.settings import Counting
from physics.compile import jit

Float = NDArray[np.float64]
Rows = NDArray[np.int64]

_TAIL: Final = 0.05
_TAIL_SIGMAS: Final = 1.645
_MOST_EXACT: Final = 512  # doubtful objects; the sum of more is normal
SUREST: Final = 12.0  # log odds of a row's best pair, at most: beyond, nothing is surer, and messages settle
ROUNDS: Final = 200
SETTLED: Final = 1e-3
_NOBODY: Final = 0  # no system track has this number


@jit
def same(first: Rows, second: Rows, log_odds: Float) -> Float:
    """For each pair (p,) of a row and a column the probability that they are one; each is one with one other at most."""
    chance = np.zeros(len(first))
    if not len(first):
        return chance
    n = max(first.max(), second.max()) + 1
    if _distinct(first, n) > _distinct(second, n):  # messages settle soonest where few choose among many
        first, second = second, first
    surest = np.full(n, SUREST)
    for k in range(len(first)):
        surest[first[k]] = max(surest[first[k]], log_odds[k])
    odds, free = np.empty(len(first)), np.ones(len(first))  # free: what the column's other rows leave to the pair
    for k in range(len(first)):
        odds[k] = math.exp(log_odds[k] + (SUREST - surest[first[k]]))
    by_row, by_column, wanted = np.empty(n), np.empty(n), np.empty(len(first))
    for _ in range(ROUNDS):
        by_row[:], by_column[:], settled = 0.0, 0.0, True
        for k in range(len(first)):
            by_row[first[k]] += odds[k] * free[k]
        for k in range(len(first)):
            whole = by_row[first[k]]
            chance[k] = odds[k] * free[k] / (1.0 + whole)
            wanted[k] = odds[k] / (1.0 + max(whole - odds[k] * free[k], 0.0))
            by_column[second[k]] += wanted[k]
        for k in range(len(first)):
            now = 1.0 / (1.0 + max(by_column[second[k]] - wanted[k], 0.0))
            settled &= abs(now - free[k]) < SETTLED * now
            free[k] = now
        if settled:
            break
    return chance


@jit
def _distinct(places: Rows, n: int) -> int:
    there = np.zeros(n, np.bool_)
    for place in places:
        there[place] = True
    return int(there.sum())


@jit
def distribution(chances: Float) -> Float:
    """The probabilities (n + 1,) of each sum of independent Bernoulli terms (n,)."""
    out = np.zeros(len(chances) + 1)
    out[0] = 1.0
    for n in range(len(chances)):
        for k in range(n + 1, 0, -1):
            out[k] = out[k] * (1.0 - chances[n]) + out[k - 1] * chances[n]
        out[0] *= 1.0 - chances[n]
    return out


def shares(exists: Float, masks: Rows, first: Rows, second: Rows, log_odds: Float) -> Float:
    """What each track (n,) adds to the count: the probability that it is there and none of those it is laid onto.

    `masks` are the nations that report a track; pairs have none in common, and are given once each. A nation with more
    tracks of its own comes earlier: few laid onto many leave the least doubt. Where a track may be laid onto those of two
    nations, the surer counts.
    """
    n = len(exists)
    bits = [1 << bit for bit in range(int(masks.max(initial=0)).bit_length())]
    bits.sort(key=lambda bit: -int((masks == bit).sum()))
    laid, tied = np.zeros(n), np.zeros(n)
    newer = np.ones(n, np.bool_)  # tracks of no nation so far
    for at, bit in enumerate(bits):
        for before in bits[:at]:
            rows, columns = (masks & (bit | before)) == bit, (masks & (bit | before)) == before
            straight, crossed = rows[first] & columns[second], rows[second] & columns[first]
            one = np.concatenate([first[straight], second[crossed]])
            other = np.concatenate([second[straight], first[crossed]])
            chance = same(one, other, np.concatenate([log_odds[straight], log_odds[crossed]]))
            by_row = np.minimum(np.bincount(one, chance, n), 1.0)
            tied = np.maximum(tied, np.maximum(by_row, np.minimum(np.bincount(other, chance, n), 1.0)))
            laid = np.where(newer, np.maximum(laid, by_row), laid)
        newer &= masks & bit == 0
    return np.clip(1.0 - (1.0 - exists) * (1.0 - tied) - laid, 0.0, 1.0)


def tally(terms: Sequence[float] | Float) -> Tally:
    """The sum of independent Bernoulli terms, and where 90 percent of it lie."""
    chances = np.asarray(terms, np.float64)
    expected, sigma = float(chances.sum()), math.sqrt(float((chances * (1.0 - chances)).sum()))
    sure = int((chances >= 1.0).sum())
    doubtful = chances[(chances > 0.0) & (chances < 1.0)]
    if len(doubtful) > _MOST_EXACT:
        off = _TAIL_SIGMAS * sigma
        least, most = max(math.floor(expected - off), sure), min(math.ceil(expected + off), sure + len(doubtful))
    else:
        below = np.cumsum(distribution(doubtful))
        least = sure + int(np.searchsorted(below, _TAIL, side="right"))
        most = sure + int(np.searchsorted(below, 1.0 - _TAIL))
    return Tally(expected=expected, sigma=sigma, least=least, most=most)


@dataclass(slots=True)
class RaidCounter:
    """The count of one picture, and what it needs to know of the raid: since when it lasts, and what is down."""

    settings: Counting
    told: Raid | None = None
    _counted_ns: int = 0
    _began_ns: int = 0
    _stood_ns: int | None = None  # when something last flew
    _numbers: Rows = field(default_factory=lambda: np.zeros(0, np.int64))
    _terms: Float = field(default_factory=lambda: np.zeros(0))
    _down: list[float] = field(default_factory=list)

    def due(self, at_ns: int) -> bool:
        """Whether the count is to be taken anew."""
        return self.told is None or abs(at_ns - self._counted_ns) >= self.settings.every_s * 1e9

    def begins(self, at_ns: int) -> bool:
        """Whether what flies now is of another raid than what flew before."""
        return self._stood_ns is None or at_ns - self._stood_ns > self.settings.silence_s * 1e9

    def exists(self, confirmed: NDArray[np.bool_]) -> Float:
        """The probability that objects are there (n,)."""
        return np.where(confirmed, 1.0, self.settings.quick_exists)

    def end(self, over: Sequence[tuple[int, bool]]) -> None:
        """Objects whose alerts were closed (number, whether it was confirmed): they fly no more, and were of the raid."""
        for number, confirmed in over:
            counted = np.flatnonzero(self._numbers == number)
            self._down.append(float(self._terms[counted[0]] if len(counted) else self.exists(np.array(confirmed))))
            self._numbers[counted] = _NOBODY

    def take(self, at_ns: int, first_ns: int, numbers: Rows, terms: Float) -> Raid | None:
        """The count of what flies: system track numbers and shares; where a raid begins, `first_ns` of its earliest report."""
        self._counted_ns = at_ns
        if not len(numbers):
            self.told = None
            return None
        if self.begins(at_ns):
            self._began_ns = first_ns
            self._down.clear()
        self._stood_ns = at_ns
        self._numbers, self._terms = numbers.copy(), terms
        total = tally([*terms.tolist(), *self._down])
        self.told = Raid(began_ns=max(self._began_ns, 0), in_flight=tally(terms), total=total)
        return self.told
