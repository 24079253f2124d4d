"""Small products of the national filter, written out: what a detection or a transition leaves at zero is not computed. Kernels.

A library's product of two such matrices costs more to call than to compute.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from physics.compile import jit

Float = NDArray[np.float64]


@jit
def square_root(information: Float) -> Float:
    """L (3, 3) with L L^T the information matrix (3, 3), which may be singular."""
    values, vectors = np.linalg.eigh(information)
    root = np.zeros((3, 3))
    for i in range(3):
        root[:, i] = vectors[:, i] * math.sqrt(max(values[i], 0.0))
    return root


@jit
def inverse3(s: Float) -> tuple[Float, float]:
    """Inverse and determinant of a symmetric positive definite matrix (3, 3), by cofactors."""
    out = np.empty((3, 3))
    out[0, 0] = s[1, 1] * s[2, 2] - s[1, 2] * s[2, 1]
    out[0, 1] = s[0, 2] * s[2, 1] - s[0, 1] * s[2, 2]
    out[0, 2] = s[0, 1] * s[1, 2] - s[0, 2] * s[1, 1]
    out[1, 1] = s[0, 0] * s[2, 2] - s[0, 2] * s[2, 0]
    out[1, 2] = s[0, 2] * s[1, 0] - s[0, 0] * s[1, 2]
    out[2, 2] = s[0, 0] * s[1, 1] - s[0, 1] * s[1, 0]
    out[1, 0], out[2, 0], out[2, 1] = out[0, 1], out[0, 2], out[1, 2]
    det = s[0, 0] * out[0, 0] + s[0, 1] * out[1, 0] + s[0, 2] * out[2, 0]
    return out / det, det


@jit
def through(f: Float, a: Float) -> Float:
    """A transition matrix (9, 9), of which much is zero, times a matrix (9, n)."""
    n = a.shape[1]
    out = np.zeros((9, n))
    for i in range(9):
        for k in range(9):
            if f[i, k] != 0.0:
                for j in range(n):
                    out[i, j] += f[i, k] * a[k, j]
    return out


@jit
def times_root(a: Float, root: Float) -> Float:
    """The first three columns of a matrix (n, 9) times a square root (3, 3)."""
    n = a.shape[0]
    out = np.empty((n, 3))
    for i in range(n):
        for j in range(3):
            out[i, j] = a[i, 0] * root[0, j] + a[i, 1] * root[1, j] + a[i, 2] * root[2, j]
    return out


@jit
def kept(a: Float, gain: Float, root: Float) -> Float:
    """(I - gain root^T H) a for a matrix (9, n), H taking the position: what a detection leaves of it."""
    n = a.shape[1]
    out = np.empty((9, n))
    for j in range(n):
        by_0 = root[0, 0] * a[0, j] + root[1, 0] * a[1, j] + root[2, 0] * a[2, j]
        by_1 = root[0, 1] * a[0, j] + root[1, 1] * a[1, j] + root[2, 1] * a[2, j]
        by_2 = root[0, 2] * a[0, j] + root[1, 2] * a[1, j] + root[2, 2] * a[2, j]
        for i in range(9):
            out[i, j] = a[i, j] - gain[i, 0] * by_0 - gain[i, 1] * by_1 - gain[i, 2] * by_2
    return out
