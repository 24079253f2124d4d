"""Partial states: in how many directions two estimates can be compared, and how far apart they are in those.

A feed that knows a part of a state says so by its covariance: along what it does not know, one sigma is as long as the prior's,
or longer. The prior is the room in which one unseen object is expected (`association.new_object_m`, `new_object_m_s`). A
direction is told where the variance is below TOLD of the prior's: three reports that do not tell it, fused, leave a third. The
directions that a difference tells of are the eigenvectors of its covariance S, in units of the prior, with such eigenvalues: six
of whole states, three where one is a position alone, two where it is a line of sight alone.
Eigenvectors are not correlated, so that the distance over those is a chi-square of as many degrees of freedom, and all others are
integrated out. Each of the others costs what its room costs: it speaks neither for one object nor against.

Where the trace in these units, the `room` that a covariance takes, is that small, so is every eigenvalue: two whole states are
known to be that by one sum, and nothing more is computed. Does not decide.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc, chdtri

from fusion.settings import Association
from fusion.triangle import square, traces
from physics.compile import inlined, jit

Float = NDArray[np.float64]

WHOLE: Final = 6  # degrees of freedom
TOLD: Final = 0.3  # of the prior's variance
_SWEEPS = 12  # some six do
_ROUND_2 = 1e-31  # square of what counts as no correlation


def prior_of(rules: Association) -> Float:
    """Variance (2,) on each axis of where an unseen object may be, and of how fast."""
    return np.array([rules.new_object_m**2, rules.new_object_m_s**2])


def quantiles(chi2: float) -> Float:
    """What chi-square exceeds at 0 to 6 degrees of freedom (7,) as often as it does `chi2` at 6. At none, nothing is within."""
    of_fewer = np.minimum(chdtri(np.arange(1, WHOLE), chdtrc(WHOLE, chi2)), chi2)
    return np.array([-1.0, *of_fewer.tolist(), chi2])


@inlined
def room(cov: Float, prior_var: Float) -> float:
    """How much of the prior's room a covariance (6, 6) takes, as a trace; below TOLD it surely tells of a whole state."""
    taken: float = (cov[0, 0] + cov[1, 1] + cov[2, 2]) / prior_var[0] + (cov[3, 3] + cov[4, 4] + cov[5, 5]) / prior_var[1]
    return taken


@inlined
def room_of(triangle: Float, prior_var: Float) -> float:
    """`room` of a covariance as tables hold it (21,)."""
    place, velocity = traces(triangle)
    taken: float = place / prior_var[0] + velocity / prior_var[1]
    return taken


@inlined
def tells_whole(triangle: Float, prior_var: Float) -> bool:
    """`whole` of a covariance as tables hold it (21,)."""
    return room_of(triangle, prior_var) < TOLD or told(square(triangle), prior_var) == WHOLE


@jit
def spectrum(a: Float) -> tuple[Float, Float]:
    """Eigenvalues (n,), in no order, and eigenvectors (n, n), a column each, of a symmetric matrix: by Jacobi's rotations.

    They go on until every correlation is rounded away, so that small eigenvalues beside large ones come out right.
    """
    n = a.shape[0]
    s, vectors = a.copy(), np.eye(n)
    for _ in range(_SWEEPS):
        done = True
        for p in range(n):
            for q in range(p + 1, n):
                if s[p, q] * s[p, q] <= _ROUND_2 * abs(s[p, p] * s[q, q]):
                    continue
                done = False
                half = 0.5 * (s[q, q] - s[p, p]) / s[p, q]
                tan = math.copysign(1.0 / (abs(half) + math.sqrt(half * half + 1.0)), half)
                cos = 1.0 / math.sqrt(tan * tan + 1.0)
                sin = tan * cos
                for k in range(n):
                    s[k, p], s[k, q] = cos * s[k, p] - sin * s[k, q], sin * s[k, p] + cos * s[k, q]
                for k in range(n):
                    s[p, k], s[q, k] = cos * s[p, k] - sin * s[q, k], sin * s[p, k] + cos * s[q, k]
                    vectors[k, p], vectors[k, q] = (
                        cos * vectors[k, p] - sin * vectors[k, q],
                        sin * vectors[k, p] + cos * vectors[k, q],
                    )
        if done:
            break
    values = np.empty(n)
    for k in range(n):
        values[k] = s[k, k]
    return values, vectors


@jit
def told(cov: Float, prior_var: Float) -> int:
    """Of how many directions a covariance (6, 6) tells much more than the prior."""
    s = np.empty((6, 6))
    for i in range(6):
        for j in range(6):
            s[i, j] = cov[i, j] / math.sqrt(prior_var[i // 3] * prior_var[j // 3])
    values, _ = spectrum(s)
    return int((values < TOLD).sum())


@inlined
def whole(cov: Float, prior_var: Float) -> bool:
    """Whether a covariance (6, 6) tells of a whole state."""
    return room(cov, prior_var) < TOLD or told(cov, prior_var) == WHOLE


@jit
def apart(x1: Float, p1: Float, x2: Float, p2: Float, bias_var: Float, prior_var: Float) -> tuple[float, float, int]:
    """Of two estimates (6,) at one time: d2 over the directions that their difference tells of, log det (2 pi S) with the room's
    in all others, and how many it tells of. Infinite where S is not positive definite. `bias_var` as of `gate.distance`.
    """
    s, off = np.empty((6, 6)), np.empty(6)
    for i in range(6):
        scale = 1.0 / math.sqrt(prior_var[i // 3])
        off[i] = (x1[i] - x2[i]) * scale
        for j in range(i + 1):
            total = p1[i, j] + p2[i, j]
            if i == j:
                total += bias_var[i // 3]
            s[i, j] = s[j, i] = total * scale / math.sqrt(prior_var[j // 3])
    values, vectors = spectrum(s)
    d2, log_det, directions = 0.0, 3.0 * math.log(prior_var[0]) + 3.0 * math.log(prior_var[1]), 0
    for k in range(6):
        if not (values[k] > 0.0 and np.isfinite(values[k])):
            return np.inf, np.inf, WHOLE
        if values[k] < TOLD:
            along = 0.0
            for i in range(6):
                along += vectors[i, k] * off[i]
            d2 += along * along / values[k]
            log_det += math.log(2.0 * math.pi * values[k])
            directions += 1
    if not np.isfinite(d2):
        return np.inf, np.inf, WHOLE
    return d2, log_det, directions
