"""A quick look at rows that are almost always sound, so that the full checks of `bus.columns` need not be made. One kernel.

It says yes only with room to spare: diagonal elements of at most _COMFORT times their pivot, where the full check asks for
more than 0 and no more, places and speeds a little inside the limits. What it says no to is still for the full check to judge.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bus.columns import MAX_RADIUS_M, MAX_SPEED_M_S, MIN_RADIUS_M
from fusion.blocks import factor, forward, inner, less, scaled
from physics.compile import jit

Float = NDArray[np.float64]

_COMFORT = 1e10
_FARTHEST_2 = 0.99 * MAX_RADIUS_M**2
_NEAREST_2 = 1.01 * MIN_RADIUS_M**2
_FASTEST_2 = 0.99 * MAX_SPEED_M_S**2


@jit
def surely_sound(number: NDArray[np.uint32], valid_ns: NDArray[np.int64], state: Float, triangle: Float) -> bool:
    """Whether every row passes the full check for certain.

    Track numbers and valid times (n,), states (n, 6), covariances as upper triangles (n, 21).
    """
    for row in range(state.shape[0]):
        if number[row] == 0 or valid_ns[row] < 0:
            return False
        x = state[row]
        far = x[0] * x[0] + x[1] * x[1] + x[2] * x[2]
        fast = x[3] * x[3] + x[4] * x[4] + x[5] * x[5]
        if not (_NEAREST_2 < far < _FARTHEST_2 and fast < _FASTEST_2):
            return False
        t = triangle[row]
        f = factor((t[0], t[1], t[2], t[6], t[7], t[11]))
        u = forward(f, (t[3], t[4], t[5], t[8], t[9], t[10], t[12], t[13], t[14]))
        g = factor(less((t[15], t[16], t[17], t[18], t[19], t[20]), inner(u, scaled(f, u))))
        place = f[3] * t[0] < _COMFORT and f[4] * t[6] < _COMFORT and f[5] * t[11] < _COMFORT
        if not (place and g[3] * t[15] < _COMFORT and g[4] * t[18] < _COMFORT and g[5] * t[20] < _COMFORT):  # false for NaN too
            return False
    return True
