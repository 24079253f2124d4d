"""By how much feeds are off, by what pairs of them tell of their differences: the likeliest offsets, and what stays open.

Differences tell neither whose an offset is nor what all feeds are off by alike; only a prior does. It is in proportion to a
feed's own errors, and its scale is not known beforehand: it is a mixture over scales, weighed by the evidence (how likely the
differences are under each). So feeds that turn out to be a little apart are held to be off by a little, and feeds far apart by a
lot: what no difference tells is as wide as that. All Gaussian; for the evidence see MacKay (1992), "Bayesian interpolation".

Two or three feeds tell their scale by a few numbers. Places are held to be off by any number of sigmas as likely as by any other:
uniform in the scale, not in its logarithm, as Gelman (2006), "Prior distributions for variance parameters in hierarchical
models", Bayesian Analysis 1(3), advises for so few: two feeds that are off alike hardly differ, and would be held to be sound.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bus.release import NATIONS
from physics.compile import jit
from physics.motion import ballistic_acceleration

Float = NDArray[np.float64]

WIDTH: Final = 4  # of an offset: three axes ECEF, m, and time, s
_PLACES: Final = 2.0 ** -np.arange(6)  # of the widest prior: scales of place
_CLOCKS: Final = 4.0 ** np.arange(1, -4, -1)  # and of clocks: nothing says that they are off together
_BADLY_KEPT: Final = 0.1  # how likely clocks four times as wide are, against any narrower scale
_SCALES: Final = np.array([[place] * 3 + [clock] for place in _PLACES for clock in _CLOCKS])
_LIKELY: Final = np.log(_SCALES[:, 0]) + np.where(_SCALES[:, 3] > 1.0, np.log(_BADLY_KEPT), 0.0)  # before anything is told


class Told(NamedTuple):
    """Of two feeds' offset: its information (4, 4), and that times the offset (4,)."""

    information: Float
    weighed: Float


class Offsets(NamedTuple):
    """What feeds are off by (n, 4), m on three axes ECEF and s, and the covariance of all of it (4n, 4n)."""

    mean: Float
    cov: Float


NO_OFFSETS: Final = Offsets(np.zeros((len(NATIONS), WIDTH)), np.zeros((len(NATIONS) * WIDTH, len(NATIONS) * WIDTH)))


def likeliest(told: Mapping[tuple[int, int], Told], widest: Float) -> Offsets:
    """The offsets by what pairs of feeds (their columns) tell. `widest` (n, 4): one sigma of the widest prior, m and s; of
    a clock that is badly kept four times that."""
    n = len(widest)
    between, sum_ = np.zeros((n * WIDTH, n * WIDTH)), np.zeros(n * WIDTH)
    for (one, other), (weight, value) in told.items():
        a, b = slice(one * WIDTH, (one + 1) * WIDTH), slice(other * WIDTH, (other + 1) * WIDTH)
        between[a, a] += weight
        between[b, b] += weight
        between[a, b] -= weight
        between[b, a] -= weight
        sum_[a] += value
        sum_[b] -= value
    prior = (1.0 / (_SCALES[:, None, :] * widest) ** 2).reshape(len(_SCALES), -1)
    information = between + prior[:, :, None] * np.eye(n * WIDTH)
    cov = np.linalg.inv(information)
    mean = cov @ sum_
    evidence = 0.5 * (np.log(prior).sum(axis=1) - np.linalg.slogdet(information)[1] + mean @ sum_) + _LIKELY
    share = np.exp(evidence - evidence.max())
    share /= share.sum()
    middle = share @ mean
    off = mean - middle
    spread = np.einsum("k,kab->ab", share, cov) + np.einsum("k,ka,kb->ab", share, off, off)
    return Offsets(middle.reshape(n, WIDTH), np.asarray(spread, np.float64))


def open_of(offsets: Offsets, taken: Float, own_var: Float, displaced: Collection[int]) -> Float:
    """What stays open of a system track by its nations (2**n, 4, 4), once `taken` (n, 4) is taken off their reports.

    A system track is off by the mean of its members' offsets, by the inverse of their errors' variance (n,). Feeds that are not
    `displaced` (columns) are as they claim. The number of a set of nations has a bit a column.
    """
    n = len(taken)
    if not displaced:
        return np.zeros((1 << n, WIDTH, WIDTH))
    missing = (offsets.mean - taken).ravel()
    cov = (offsets.cov + np.outer(missing, missing)).reshape(n, WIDTH, n, WIDTH)
    of_set = np.array([[number >> column & 1 for column in range(n)] for number in range(1 << n)], np.float64)
    weights = of_set / own_var
    weights /= np.maximum(weights.sum(axis=1, keepdims=True), np.finfo(np.float64).tiny)
    weights[:, [column for column in range(n) if column not in displaced]] = 0.0
    return np.asarray(np.einsum("mi,iajb,mj->mab", weights, cov, weights), np.float64)


@jit
def with_open(state: Float, cov: Float, left_open: Float) -> Float:
    """A covariance (6, 6), with what stays open (4, 4) of place, m, and clock, s, added: as of a state (6,) ECEF, m and m/s."""
    moves = np.zeros((6, 4))
    pull = ballistic_acceleration(state)
    for i in range(3):
        moves[i, i], moves[i, 3], moves[3 + i, 3] = 1.0, state[3 + i], pull[i]
    widened = cov.copy()
    for r in range(6):
        for c in range(6):
            for i in range(4):
                for j in range(4):
                    widened[r, c] += moves[r, i] * left_open[i, j] * moves[c, j]
    return widened
