"""Joins two feeds' tracks at one instant and fuses them, as this project does and as plain numpy and scipy would.

The job: of all pairs of a track of one feed and a track of the other, those inside the gate, by the Mahalanobis distance d2 on
the sum S of both covariances; of these the set with the least sum of costs, each track in one pair at most, where a pair costs d2
and a track of the first feed that is left alone costs the gate; and of each pair the estimate by information, which is the best
there is, as the errors of the two have nothing in common. Each track comes with a covariance of its own, and is taken with it.
That those of a feed are equal makes log det(2 pi S), which `fusion.gate` adds to d2, the same for all pairs: it decides nothing.

A contender is prepared with a job: its arrays or objects are made, and nothing is computed. What it then does is what is timed;
making arrays of its answer is not. The one on Stone Soup is in `bench.soup`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from bench.sky import FEEDS, Feed, Sky
from bus.columns import pack_cov, unpack_cov
from fusion.assign import assign
from fusion.fuse import fuse_many
from fusion.gate import pairs_within
from fusion.partial import quantiles
from fusion.settings import FusionSettings

Float = NDArray[np.float64]
Rows = NDArray[np.int64]

MISSING: Final = 0.05
GATE_D2: Final = FusionSettings().association.gate_chi2
_GATES: Final = quantiles(GATE_D2)
_NO_PRIOR: Final = np.full(2, np.inf)  # every track of a sky is whole
_FORBIDDEN: Final = 1e9


class Side(NamedTuple):
    """One feed's tracks: states (n, 6), m and m/s, covariances (n, 6, 6), and the objects (n,) that they are of."""

    state: Float
    cov: Float
    objects: Rows


class Job(NamedTuple):
    """Two feeds' tracks at one instant, and the true states (k, 6) of the objects."""

    first: Side
    second: Side
    truth: Float


class Answer(NamedTuple):
    """Pairs (m, 2) of a track of each feed in the order of the first, fused states (m, 6) and covariances (m, 6, 6)."""

    pairs: Rows
    state: Float
    cov: Float


class Prepared(NamedTuple):
    """`run` does the job, `read` makes an answer of what it returns."""

    run: Callable[[], Any]
    read: Callable[[Any], Answer]


Contender = Callable[[Job], Prepared]


def job_of(tracks: int, seed: int) -> Job:
    """Two feeds of so many tracks each, of a sky (`bench.sky`) without biases of which each misses 5 in 100."""
    sky = Sky(round(tracks / (1.0 - MISSING)), seed, MISSING, bias_sigma=0.0)
    first, second = (_side(sky, feed) for feed in FEEDS[:2])
    return Job(first, second, sky.states)


def _side(sky: Sky, feed: Feed) -> Side:
    reports = sky.reports(feed, 0.0)
    return Side(reports.state, np.ascontiguousarray(unpack_cov(reports.cov)), sky.seen[feed.nation])


def triwarn(job: Job) -> Prepared:
    """The kernels of the fusion core and its assignment, on one table of both feeds, as the engine calls them."""
    (state_a, cov_a, _), (state_b, cov_b, _), _ = job
    n, m = len(state_a), len(state_b)
    rows, state, cov = np.arange(n + m), np.vstack([state_a, state_b]), pack_cov(np.vstack([cov_a, cov_b]))
    mask, valid_ns, phase = np.repeat([1, 2], [n, m]), np.zeros(n + m, np.int64), np.tile([0.0, 1.0, 0.0], (n + m, 1))
    whole = np.ones(n + m, np.bool_)
    table, none = (valid_ns, state, cov, phase, mask, whole), np.zeros(3)
    log_det = float(np.linalg.slogdet(2.0 * np.pi * (cov_a[0] + cov_b[0]))[1])

    def run() -> tuple[Rows, Float, Float]:
        first, second, costs = pairs_within(rows[:n], *table, rows[n:], *table, none, none[:2], _NO_PRIOR, _GATES, 0)
        matches = assign(first, second, costs, GATE_D2 + log_det)
        members = np.full((len(matches), 3), -1)
        for i, (row, column, _) in enumerate(matches):
            members[i, 0], members[i, 1] = row, n + column
        at_ns = np.zeros(len(matches), np.int64)
        _, _, x, p, _, _ = fuse_many(
            members, at_ns, valid_ns, state, cov, phase, mask, whole, none, none, 0.0, 0, none[:2], _NO_PRIOR, _GATES, -1
        )
        return members, x, p

    return Prepared(run, lambda done: Answer(done[0][:, :2] - [0, n], done[1], unpack_cov(done[2])))


def numpy_scipy(job: Job) -> Prepared:
    """Arrays of all pairs; no covariance is solved of those that are too far apart for the gate in any direction."""
    (state_a, cov_a, _), (state_b, cov_b, _), _ = job

    def run() -> Answer:
        reach_a, reach_b = (np.sqrt(GATE_D2 * np.trace(cov[:, :3, :3], axis1=1, axis2=2)) for cov in (cov_a, cov_b))
        near = cdist(state_a[:, :3], state_b[:, :3]) <= reach_a[:, None] + reach_b
        first, second = np.nonzero(near)
        off = state_b[second] - state_a[first]
        d2 = np.einsum("pi,pi->p", off, np.linalg.solve(cov_a[first] + cov_b[second], off[..., None])[..., 0])
        inside = d2 <= GATE_D2
        n, m = near.shape
        table = np.full((n, m + n), _FORBIDDEN)
        table[:, m:] = GATE_D2
        table[first[inside], second[inside]] = d2[inside]
        row, column = linear_sum_assignment(table)
        row, column = row[column < m], column[column < m]
        gain = cov_a[row] @ np.linalg.inv(cov_a[row] + cov_b[column])
        state = state_a[row] + np.einsum("pij,pj->pi", gain, state_b[column] - state_a[row])
        return Answer(np.column_stack([row, column]), state, cov_a[row] - gain @ cov_a[row])

    return Prepared(run, lambda answer: answer)
