"""Covariances as tables hold them and as the wire carries them: the upper triangle by rows (21,).

A table of whole matrices would be 1.7 times as large; what is held of many tracks does not fit into the cache, so that what a
kernel reads and writes is what it costs. What computes with one alone squares it first.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from bus.columns import TRIANGLE
from fusion.blocks import Symmetric
from physics.compile import inlined, jit

Float = NDArray[np.float64]

VARIANCES: Final = (0, 6, 11, 15, 18, 20)  # where the diagonal stands


@jit
def square(triangle: Float) -> Float:
    """The matrix (6, 6) of a triangle (21,)."""
    cov, at = np.empty((6, 6)), 0
    for r in range(6):
        for c in range(r, 6):
            cov[r, c] = cov[c, r] = triangle[at]
            at += 1
    return cov


@jit
def triangle_of(cov: Float) -> Float:
    """The triangle (21,) of a symmetric matrix (6, 6)."""
    triangle, at = np.empty(TRIANGLE), 0
    for r in range(6):
        for c in range(r, 6):
            triangle[at] = cov[r, c]
            at += 1
    return triangle


@inlined
def place_of(triangle: Float) -> Symmetric:
    """The block of the place (`fusion.blocks`)."""
    return triangle[0], triangle[1], triangle[2], triangle[6], triangle[7], triangle[11]


@inlined
def velocity_of(triangle: Float) -> Symmetric:
    """The block of the velocity."""
    return triangle[15], triangle[16], triangle[17], triangle[18], triangle[19], triangle[20]


@inlined
def traces(triangle: Float) -> tuple[float, float]:
    """The sums of the variances of the place, m2, and of the velocity, m2/s2."""
    return triangle[0] + triangle[6] + triangle[11], triangle[15] + triangle[18] + triangle[20]
