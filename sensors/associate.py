"""Which detection is which track's: probabilities, and the choice that they make. Pure; no filter, no motion.

The marginal probabilities of all joint hypotheses in which no detection has two tracks and no track two detections (JPDA:
Fortmann, Bar-Shalom and Scheffe, IEEE J. Oceanic Engineering 8(3), 1983) by loopy belief propagation, whose cost is that of the
matrix times some twenty rounds, however many hypotheses there are (Williams and Lau, IEEE Trans. AES 50(4), 2014, algorithm 1).

A detection that shows several objects is of several tracks (Koch and van Keuk, Multiple hypothesis track maintenance with
possibly unresolved measurements, IEEE Trans. AES 33(3), 1997): it stands in the matrix SHARED times.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from physics.compile import jit

Float = NDArray[np.float64]
Mask = NDArray[np.bool_]

MERGED_COST: Final = 5.0  # of a detection that shows several, to no track: this one may well not be among them
SHARED: Final = 4  # most tracks that take the same detection, where it shows several objects
YIELDS: Final = 4.0  # what a tentative track pays for a detection that a confirmed one could take
TAKEN: Final = 0.1  # a detection less likely a track's is not taken by it

_ROUNDS = 60
_SETTLED = 1e-4


class Choice(NamedTuple):
    """Whose detections are: the one that each track takes (tracks,), -1 for none, and how likely each is its own.

    belief: (tracks, detections); what is missing to 1 in a row is that none is.
    """

    taken: NDArray[np.int64]
    belief: Float


def choose(cost: Float, confirmed: Mask, merged: Mask, none_cost: Float) -> Choice:
    """By costs (tracks, detections) in negative log-likelihood, inf where a pair cannot be: the likeliest assignment.

    `confirmed` (tracks,): tentative tracks yield to those, and share no detection. `merged` (detections,): which show several
    objects. `none_cost` (tracks,): what it costs that a track has none.
    """
    detections = cost.shape[1]
    shown = np.repeat(np.arange(detections), np.where(merged, SHARED, 1))
    again = np.append(False, shown[1:] == shown[:-1])
    price = np.where(again & ~confirmed[:, None], np.inf, cost[:, shown])
    price += np.where(~confirmed[:, None] & np.isfinite(price[confirmed]).any(axis=0), YIELDS, 0.0)
    of_each = marginals(np.exp(np.where(merged[shown], MERGED_COST, none_cost[:, None]) - price))
    belief = np.zeros_like(cost)
    np.add.at(belief.T, shown, of_each.T)
    value = np.where(np.isfinite(price), belief[:, shown], 0.0)
    rows, columns = linear_sum_assignment(-value)
    taken = np.full(len(cost), -1)
    sure = value[rows, columns] > TAKEN
    taken[rows[sure]] = shown[columns[sure]]
    return Choice(taken, belief)


@jit
def marginals(odds: Float) -> Float:
    """Probabilities (tracks, detections) that a detection is a track's, from the odds of that against the track having none.

    0 where the pair cannot be. Exact where the pairs form no loop.
    """
    tracks, detections = odds.shape
    back = np.ones((detections, tracks))
    there = np.zeros((tracks, detections))
    for _ in range(_ROUNDS):
        for i in range(tracks):
            total = 1.0
            for k in range(detections):
                total += odds[i, k] * back[k, i]
            for k in range(detections):
                there[i, k] = odds[i, k] / (total - odds[i, k] * back[k, i]) if odds[i, k] > 0.0 else 0.0
        change = 0.0
        for k in range(detections):
            total = 1.0
            for i in range(tracks):
                total += there[i, k]
            for i in range(tracks):
                after = 1.0 / (total - there[i, k])
                change = max(change, abs(after - back[k, i]))
                back[k, i] = after
        if change < _SETTLED:
            break
    out = np.zeros((tracks, detections))
    for i in range(tracks):
        total = 1.0
        for k in range(detections):
            total += odds[i, k] * back[k, i]
        for k in range(detections):
            out[i, k] = odds[i, k] * back[k, i] / total
    return out
