"""The arithmetic of alignment and combination for many objects at once: one a lane, the lane last in every array.

Innermost loops run over the lanes, and become vector instructions. Every lane is computed alone, in the same order of operations
whatever the others hold: an object's estimate does not depend on its neighbours, to the bit. The kernels on one object in
`fusion.align`, `fusion.combine` and `fusion.gate` are the twins of these. L is how many lanes there are, any number.
What ends in `_into` changes its first arguments.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from physics.compile import jit
from physics.constants import EARTH_OMEGA_RAD_S
from physics.motion import free_fall, gradient

Float = NDArray[np.float64]


@jit
def fly_lanes_into(x: Float, p: Float, t: Float, g: Float, half: Float) -> None:
    """States (6, L) and covariances (6, 6, L) after short flights of t (L,) s, in place: `align.short_flight`.

    `g` (3, 3, L) and `half` (6, 6, L) are for its own use.
    """
    lanes = len(t)
    turn = 2.0 * EARTH_OMEGA_RAD_S
    for lane in range(lanes):
        state = x[:, lane]
        a0, a1, a2 = free_fall(state)
        xx, xy, xz, yy, yz, zz = gradient(state)
        g[0, 0, lane], g[0, 1, lane], g[0, 2, lane] = xx, xy, xz
        g[1, 0, lane], g[1, 1, lane], g[1, 2, lane] = xy, yy, yz
        g[2, 0, lane], g[2, 1, lane], g[2, 2, lane] = xz, yz, zz
        s, h, third = t[lane], 0.5 * t[lane] * t[lane], t[lane] * t[lane] * t[lane] / 6.0
        v0, v1, v2 = state[3], state[4], state[5]
        j0 = g[0, 0, lane] * v0 + g[0, 1, lane] * v1 + g[0, 2, lane] * v2 + turn * a1
        j1 = g[1, 0, lane] * v0 + g[1, 1, lane] * v1 + g[1, 2, lane] * v2 - turn * a0
        j2 = g[2, 0, lane] * v0 + g[2, 1, lane] * v1 + g[2, 2, lane] * v2
        x[0, lane] += s * v0 + h * a0 + third * j0
        x[1, lane] += s * v1 + h * a1 + third * j1
        x[2, lane] += s * v2 + h * a2 + third * j2
        x[3, lane] += s * a0 + h * j0
        x[4, lane] += s * a1 + h * j1
        x[5, lane] += s * a2 + h * j2
    for i in range(3):
        coriolis, other = (turn, 4) if i == 0 else (-turn, 3) if i == 1 else (0.0, 3)
        for j in range(6):
            for lane in range(lanes):
                s, h = t[lane], 0.5 * t[lane] * t[lane]
                near = g[i, 0, lane] * p[0, j, lane] + g[i, 1, lane] * p[1, j, lane] + g[i, 2, lane] * p[2, j, lane]
                fast = g[i, 0, lane] * p[3, j, lane] + g[i, 1, lane] * p[4, j, lane] + g[i, 2, lane] * p[5, j, lane]
                bent = coriolis * p[other, j, lane]
                half[i, j, lane] = p[i, j, lane] + h * (near + bent) + s * p[3 + i, j, lane]
                half[3 + i, j, lane] = p[3 + i, j, lane] + s * (near + bent) + h * fast
    for j in range(3):
        coriolis, other = (turn, 4) if j == 0 else (-turn, 3) if j == 1 else (0.0, 3)
        for i in range(6):
            for lane in range(lanes):
                s, h = t[lane], 0.5 * t[lane] * t[lane]
                near = half[i, 0, lane] * g[j, 0, lane] + half[i, 1, lane] * g[j, 1, lane] + half[i, 2, lane] * g[j, 2, lane]
                fast = half[i, 3, lane] * g[j, 0, lane] + half[i, 4, lane] * g[j, 1, lane] + half[i, 5, lane] * g[j, 2, lane]
                bent = coriolis * half[i, other, lane]
                p[i, j, lane] = half[i, j, lane] + h * (near + bent) + s * half[i, 3 + j, lane]
                p[i, 3 + j, lane] = half[i, 3 + j, lane] + s * (near + bent) + h * fast


@jit
def widen_lanes_into(p: Float, t: Float, sigma_m_s2: Float) -> None:
    """Add to covariances (6, 6, L) an acceleration of one sigma (L,) that is constant over t (L,) s: as `align.align_one`."""
    lanes = len(t)
    for i in range(3):
        for lane in range(lanes):
            gained = sigma_m_s2[lane] * t[lane]
            along = gained * t[lane] * 0.5
            p[i, i, lane] += along * along
            p[3 + i, 3 + i, lane] += gained * gained
            p[i, 3 + i, lane] += along * gained
            p[3 + i, i, lane] += along * gained


@jit
def invert_lanes_into(out: Float, a: Float, scale: Float) -> None:
    """Inverses (6, 6, L) of the upper triangles of a (6, 6, L), as `combine.inverse`. Where there is none, some are not finite.

    `scale` (6, L) is for its own use.
    """
    lanes = scale.shape[1]
    for i in range(6):
        for lane in range(lanes):
            scale[i, lane] = 1.0 / math.sqrt(a[i, i, lane])
    for i in range(6):
        for j in range(i + 1):
            for lane in range(lanes):
                out[i, j, lane] = a[j, i, lane] * scale[i, lane] * scale[j, lane]
            for k in range(j):
                for lane in range(lanes):
                    out[i, j, lane] -= out[i, k, lane] * out[j, k, lane]
            for lane in range(lanes):
                out[i, j, lane] = out[i, j, lane] * out[j, j, lane] if i > j else 1.0 / math.sqrt(out[i, i, lane])
    total = np.empty(lanes)
    for j in range(6):
        for i in range(j + 1, 6):
            total[:] = 0.0
            for k in range(j, i):
                for lane in range(lanes):
                    total[lane] -= out[i, k, lane] * out[k, j, lane]
            for lane in range(lanes):
                out[i, j, lane] = total[lane] * out[i, i, lane]
    for i in range(6):
        for j in range(i, 6):
            total[:] = 0.0
            for k in range(j, 6):
                for lane in range(lanes):
                    total[lane] += out[k, i, lane] * out[k, j, lane]
            for lane in range(lanes):
                out[i, j, lane] = total[lane] * scale[i, lane] * scale[j, lane]
    for i in range(6):
        for j in range(i):
            for lane in range(lanes):
                out[i, j, lane] = out[j, i, lane]


@jit
def distance_lanes_into(d2: Float, x1: Float, p1: Float, x2: Float, p2: Float, bias_var: Float, low: Float, y: Float) -> None:
    """Squared distances (L,) of states (6, L) under covariances (6, 6, L), as `gate.distance`; NaN where there is none.

    `low` (6, 6, L) and `y` (6, L) are for its own use.
    """
    lanes = len(d2)
    d2[:] = 0.0
    for i in range(6):
        for lane in range(lanes):
            y[i, lane] = x1[i, lane] - x2[i, lane]
        for j in range(i + 1):
            bias = bias_var[i // 3] if i == j else 0.0
            for lane in range(lanes):
                low[i, j, lane] = p1[j, i, lane] + p2[j, i, lane] + bias
            for k in range(j):
                for lane in range(lanes):
                    low[i, j, lane] -= low[i, k, lane] * low[j, k, lane]
            for lane in range(lanes):
                if j < i:
                    low[i, j, lane] *= low[j, j, lane]
                    y[i, lane] -= low[i, j, lane] * y[j, lane]
                else:
                    low[i, i, lane] = 1.0 / math.sqrt(low[i, i, lane])
        for lane in range(lanes):
            y[i, lane] *= low[i, i, lane]
            d2[lane] += y[i, lane] * y[i, lane]
