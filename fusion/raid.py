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

Float = NDArray[np.float64]
Rows = NDArray[np.int64]

_TAIL: Final = 0.05
_TAIL_SIGMAS: Final = 1.645
_MOST_EXACT: Final = 512  # doubtful objects; the sum of more is normal
_SUREST: Final = 12.0  # log odds of a row's best pair, at most: beyond, nothing is surer, and messages settle
_ROUNDS: Final = 200
_SETTLED: Final = 1e-3


def same(first: Rows, second: Rows, log_odds: Float) -> Float:
    """For each pair (p,) of a row and a column the probability that they are one; each is one with one other at most."""
    if not len(first):
        return np.zeros(0)
    if len(np.unique(first)) > len(np.unique(second)):  # messages settle soonest where few choose among many
        first, second = second, first
    surest = np.full(int(first.max()) + 1, _SUREST)
    np.maximum.at(surest, first, log_odds)
    odds = np.exp(log_odds + (_SUREST - surest)[first])
    free, chance = np.ones(len(odds)), np.zeros(len(odds))  # what the column's other rows leave to the pair
    for _ in range(_ROUNDS):
        open_odds = odds * free
        by_row = np.bincount(first, open_odds)[first]
        chance = open_odds / (1.0 + by_row)
        wanted = odds / (1.0 + np.maximum(by_row - open_odds, 0.0))
        before, free = free, 1.0 / (1.0 + np.maximum(np.bincount(second, wanted)[second] - wanted, 0.0))
        if (np.abs(free - before) < _SETTLED * free).all():
            break
    return chance


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
        spread = np.ones(1)
        for chance in doubtful:
            spread = np.convolve(spread, (1.0 - chance, chance))
        below = np.cumsum(spread)
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
    _shares: dict[int, float] = field(default_factory=dict)
    _down: list[float] = field(default_factory=list)

    def due(self, at_ns: int) -> bool:
        """Whether the count is to be taken anew."""
        return self.told is None or abs(at_ns - self._counted_ns) >= self.settings.every_s * 1e9

    def exists(self, confirmed: Sequence[bool]) -> Float:
        """The probability that objects are there (n,)."""
        return np.where(np.array(confirmed, np.bool_), 1.0, self.settings.quick_exists)

    def end(self, over: Sequence[tuple[int, bool]]) -> None:
        """Objects whose alerts were closed (number, whether it was confirmed): they fly no more, and were of the raid."""
        for number, confirmed in over:
            share = self._shares.pop(number, None)
            self._down.append(float(self.exists([confirmed])[0]) if share is None else share)

    def take(self, at_ns: int, first_ns: int, numbers: Sequence[int], terms: Float) -> Raid | None:
        """The count of what flies: system track numbers and shares; `first_ns` of the earliest report among them."""
        self._counted_ns = at_ns
        if not numbers:
            self.told = None
            return None
        if self._stood_ns is None or at_ns - self._stood_ns > self.settings.silence_s * 1e9:
            self._began_ns = first_ns
            self._down.clear()
        self._stood_ns = at_ns
        self._shares = dict(zip(numbers, terms.tolist(), strict=True))
        total = tally([*terms.tolist(), *self._down])
        self.told = Raid(began_ns=max(self._began_ns, 0), in_flight=tally(terms), total=total)
        return self.told
