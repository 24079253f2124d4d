"""A quick look at rows that are almost always sound, so that the full checks of `bus.columns` need not be made. One kernel.

It says yes only with room to spare: Cholesky pivots of at least _COMFORT of their diagonal element, where the full check asks for
more than 0 and no more, places and speeds a little inside the limits. What it says no to is still for the full check to judge.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bus.columns import MAX_RADIUS_M, MAX_SPEED_M_S, MIN_RADIUS_M
from physics.compile import jit

Float = NDArray[np.float64]

_COMFORT = 1e-10
_FARTHEST_2 = 0.99 * MAX_RADIUS_M**2
_NEAREST_2 = 1.01 * MIN_RADIUS_M**2
_FASTEST_2 = 0.99 * MAX_SPEED_M_S**2


@jit
def surely_sound(number: NDArray[np.uint32], valid_ns: NDArray[np.int64], state: Float, triangle: Float) -> bool:
    """Whether every row passes the full check for certain.

    Track numbers and valid times (n,), states (n, 6), covariances as upper triangles (n, 21).
    """
    low = np.empty((6, 6))
    for row in range(state.shape[0]):
        if number[row] == 0 or valid_ns[row] < 0:
            return False
        x = state[row]
        far = x[0] * x[0] + x[1] * x[1] + x[2] * x[2]
        fast = x[3] * x[3] + x[4] * x[4] + x[5] * x[5]
        if not (_NEAREST_2 < far < _FARTHEST_2 and fast < _FASTEST_2):
            return False
        at = 0
        for j in range(6):  # column j of the factor, from row j of the upper triangle
            diagonal = triangle[row, at]
            if not (diagonal > 0.0 and np.isfinite(diagonal)):
                return False
            for i in range(j, 6):
                total = triangle[row, at]
                at += 1
                for k in range(j):
                    total -= low[i, k] * low[j, k]
                if i == j:
                    if not total > _COMFORT * diagonal:
                        return False
                    low[j, j] = np.sqrt(total)
                else:
                    low[i, j] = total / low[j, j]
    return True
