"""The algebra of covariances (6, 6) of a place and a velocity, as blocks of numbers: what a loop over lanes is made of.

A symmetric block is its upper triangle by rows (6), any other block its rows (9), a covariance (place, both, velocity), `both`
being that of a place (rows) with a velocity (columns). A factor is that of L D L^T: (l10, l20, l21, 1/d0, 1/d1, 1/d2); where a
pivot is not above 0, it is NaN from there on. All are numbers and no arrays, without a branch or a loop: so each lane of a vector
has its own, and none depends on its neighbours.
"""

from __future__ import annotations

import numpy as np

from physics.compile import inlined

Symmetric = tuple[float, float, float, float, float, float]
Full = tuple[float, float, float, float, float, float, float, float, float]
Factor = tuple[float, float, float, float, float, float]


@inlined
def factor(a: Symmetric) -> Factor:
    """The factor of a symmetric block."""
    i0 = 1.0 / a[0] if a[0] > 0.0 else np.nan
    l10, l20 = a[1] * i0, a[2] * i0
    d1 = a[3] - l10 * a[1]
    i1 = 1.0 / d1 if d1 > 0.0 else np.nan
    e = a[4] - l10 * a[2]
    l21 = e * i1
    d2 = a[5] - l20 * a[2] - l21 * e
    return l10, l20, l21, i0, i1, 1.0 / d2 if d2 > 0.0 else np.nan


@inlined
def inverse_of(f: Factor) -> Symmetric:
    """The inverse of the symmetric block with this factor."""
    l10, l20, l21, i0, i1, i2 = f
    m20 = l10 * l21 - l20
    far, near, side = m20 * i2, -l21 * i2, -l10 * i1
    return i0 - l10 * side + m20 * far, side + m20 * near, far, i1 - l21 * near, near, i2


@inlined
def forward(f: Factor, b: Full) -> Full:
    """L^-1 B."""
    l10, l20, l21, _, _, _ = f
    b0, b1, b2 = b[0], b[1], b[2]
    c0, c1, c2 = b[3] - l10 * b0, b[4] - l10 * b1, b[5] - l10 * b2
    d0, d1, d2 = b[6] - l20 * b0 - l21 * c0, b[7] - l20 * b1 - l21 * c1, b[8] - l20 * b2 - l21 * c2
    return b0, b1, b2, c0, c1, c2, d0, d1, d2


@inlined
def backward(f: Factor, b: Full) -> Full:
    """L^-T B."""
    l10, l20, l21, _, _, _ = f
    d0, d1, d2 = b[6], b[7], b[8]
    c0, c1, c2 = b[3] - l21 * d0, b[4] - l21 * d1, b[5] - l21 * d2
    b0, b1, b2 = b[0] - l10 * c0 - l20 * d0, b[1] - l10 * c1 - l20 * d1, b[2] - l10 * c2 - l20 * d2
    return b0, b1, b2, c0, c1, c2, d0, d1, d2


@inlined
def scaled(f: Factor, b: Full) -> Full:
    """D^-1 B."""
    _, _, _, i0, i1, i2 = f
    return i0 * b[0], i0 * b[1], i0 * b[2], i1 * b[3], i1 * b[4], i1 * b[5], i2 * b[6], i2 * b[7], i2 * b[8]


@inlined
def inner(u: Full, v: Full) -> Symmetric:
    """U^T V where that is symmetric."""
    xx, xy = u[0] * v[0] + u[3] * v[3] + u[6] * v[6], u[0] * v[1] + u[3] * v[4] + u[6] * v[7]
    xz, yy = u[0] * v[2] + u[3] * v[5] + u[6] * v[8], u[1] * v[1] + u[4] * v[4] + u[7] * v[7]
    yz, zz = u[1] * v[2] + u[4] * v[5] + u[7] * v[8], u[2] * v[2] + u[5] * v[5] + u[8] * v[8]
    return xx, xy, xz, yy, yz, zz


@inlined
def outer(u: Full, v: Full) -> Symmetric:
    """U V^T where that is symmetric."""
    xx, xy = u[0] * v[0] + u[1] * v[1] + u[2] * v[2], u[0] * v[3] + u[1] * v[4] + u[2] * v[5]
    xz, yy = u[0] * v[6] + u[1] * v[7] + u[2] * v[8], u[3] * v[3] + u[4] * v[4] + u[5] * v[5]
    yz, zz = u[3] * v[6] + u[4] * v[7] + u[5] * v[8], u[6] * v[6] + u[7] * v[7] + u[8] * v[8]
    return xx, xy, xz, yy, yz, zz


@inlined
def plus(a: Symmetric, b: Symmetric) -> Symmetric:
    """A + B of symmetric blocks."""
    return a[0] + b[0], a[1] + b[1], a[2] + b[2], a[3] + b[3], a[4] + b[4], a[5] + b[5]


@inlined
def less(a: Symmetric, b: Symmetric) -> Symmetric:
    """A - B of symmetric blocks."""
    return a[0] - b[0], a[1] - b[1], a[2] - b[2], a[3] - b[3], a[4] - b[4], a[5] - b[5]


@inlined
def weighed(a: Symmetric, w: float, b: Symmetric) -> Symmetric:
    """A + w B of symmetric blocks."""
    return a[0] + w * b[0], a[1] + w * b[1], a[2] + w * b[2], a[3] + w * b[3], a[4] + w * b[4], a[5] + w * b[5]


@inlined
def raised(a: Symmetric, by: float) -> Symmetric:
    """A with a number added on the diagonal."""
    return a[0] + by, a[1], a[2], a[3] + by, a[4], a[5] + by


@inlined
def upper(a: Full) -> Symmetric:
    """The upper triangle."""
    return a[0], a[1], a[2], a[4], a[5], a[8]


@inlined
def full(a: Symmetric) -> Full:
    """All nine of a symmetric block."""
    return a[0], a[1], a[2], a[1], a[3], a[4], a[2], a[4], a[5]


@inlined
def turned(a: Full) -> Full:
    """A^T."""
    return a[0], a[3], a[6], a[1], a[4], a[7], a[2], a[5], a[8]


@inlined
def added(a: Full, s: float, b: Full, t: float, c: Full) -> Full:
    """A + s B + t C."""
    a0, a1, a2 = a[0] + s * b[0] + t * c[0], a[1] + s * b[1] + t * c[1], a[2] + s * b[2] + t * c[2]
    a3, a4, a5 = a[3] + s * b[3] + t * c[3], a[4] + s * b[4] + t * c[4], a[5] + s * b[5] + t * c[5]
    return a0, a1, a2, a3, a4, a5, a[6] + s * b[6] + t * c[6], a[7] + s * b[7] + t * c[7], a[8] + s * b[8] + t * c[8]


@inlined
def by(a: Full, s: Symmetric) -> Full:
    """A S."""
    a0, a1 = a[0] * s[0] + a[1] * s[1] + a[2] * s[2], a[0] * s[1] + a[1] * s[3] + a[2] * s[4]
    a2, a3 = a[0] * s[2] + a[1] * s[4] + a[2] * s[5], a[3] * s[0] + a[4] * s[1] + a[5] * s[2]
    a4, a5 = a[3] * s[1] + a[4] * s[3] + a[5] * s[4], a[3] * s[2] + a[4] * s[4] + a[5] * s[5]
    a6, a7 = a[6] * s[0] + a[7] * s[1] + a[8] * s[2], a[6] * s[1] + a[7] * s[3] + a[8] * s[4]
    return a0, a1, a2, a3, a4, a5, a6, a7, a[6] * s[2] + a[7] * s[4] + a[8] * s[5]
