"""The arithmetic of alignment and combination for many objects at once: one a lane, up to LANES.

What is held in lanes is a table of NUMBERS rows, a lane a column, the first n of them in use: a state, then its covariance's
upper triangle by rows, as on the wire. It is one flat array, so that the distance from row to row is known to the compiler: loops
over the lanes then become vector instructions that keep a whole covariance in registers. Every lane is computed alone, in the
same order of operations whatever the others hold: an object's estimate does not depend on its neighbours, to the bit. The kernels
on one object in `fusion.align`, `fusion.combine` and `fusion.gate` are the twins of these. What ends in `_into` changes its first
arguments.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from bus.columns import TRIANGLE
from fusion.align import SLOW_M_S
from fusion.blocks import (
    Full,
    Symmetric,
    added,
    backward,
    by,
    factor,
    forward,
    full,
    inner,
    inverse_of,
    less,
    outer,
    plus,
    raised,
    scaled,
    turned,
    upper,
    weighed,
)
from physics.compile import inlined, jit
from physics.constants import EARTH_OMEGA_RAD_S
from physics.motion import free_fall, gradient

Float = NDArray[np.float64]

LANES = 64  # at most: with fewer the loops' beginnings cost more than their work, with more they leave the cache
VECTOR = 8  # lanes that are computed at once: fewer cost as much
ROW = LANES + VECTOR  # from number to number: by a power of two, all would share a few places of the cache
NUMBERS = 27  # of a state and its covariance
_P = 6 * ROW  # where the covariance begins
_TURN = 2.0 * EARTH_OMEGA_RAD_S


@inlined
def place_at(a: Float, i: int) -> Symmetric:
    """The covariance of the place in a lane."""
    return a[_P + i], a[_P + ROW + i], a[_P + 2 * ROW + i], a[_P + 6 * ROW + i], a[_P + 7 * ROW + i], a[_P + 11 * ROW + i]


@inlined
def both_at(a: Float, i: int) -> Full:
    """The covariance of the place with the velocity in a lane."""
    xu, xv, xw = a[_P + 3 * ROW + i], a[_P + 4 * ROW + i], a[_P + 5 * ROW + i]
    yu, yv, yw = a[_P + 8 * ROW + i], a[_P + 9 * ROW + i], a[_P + 10 * ROW + i]
    return xu, xv, xw, yu, yv, yw, a[_P + 12 * ROW + i], a[_P + 13 * ROW + i], a[_P + 14 * ROW + i]


@inlined
def velocity_at(a: Float, i: int) -> Symmetric:
    """The covariance of the velocity in a lane."""
    uu, uv, uw = a[_P + 15 * ROW + i], a[_P + 16 * ROW + i], a[_P + 17 * ROW + i]
    return uu, uv, uw, a[_P + 18 * ROW + i], a[_P + 19 * ROW + i], a[_P + 20 * ROW + i]


@inlined
def keep_into(a: Float, i: int, place: Symmetric, both: Full, velocity: Symmetric) -> None:
    """Write a covariance into a lane."""
    a[_P + i], a[_P + ROW + i], a[_P + 2 * ROW + i] = place[0], place[1], place[2]
    a[_P + 3 * ROW + i], a[_P + 4 * ROW + i], a[_P + 5 * ROW + i] = both[0], both[1], both[2]
    a[_P + 6 * ROW + i], a[_P + 7 * ROW + i] = place[3], place[4]
    a[_P + 8 * ROW + i], a[_P + 9 * ROW + i], a[_P + 10 * ROW + i] = both[3], both[4], both[5]
    a[_P + 11 * ROW + i] = place[5]
    a[_P + 12 * ROW + i], a[_P + 13 * ROW + i], a[_P + 14 * ROW + i] = both[6], both[7], both[8]
    a[_P + 15 * ROW + i], a[_P + 16 * ROW + i], a[_P + 17 * ROW + i] = velocity[0], velocity[1], velocity[2]
    a[_P + 18 * ROW + i], a[_P + 19 * ROW + i], a[_P + 20 * ROW + i] = velocity[3], velocity[4], velocity[5]


@inlined
def load_into(a: Float, i: int, state: Float, cov: Float) -> None:
    """Write a state (6,) and a covariance (21,) into a lane."""
    for k in range(6):
        a[k * ROW + i] = state[k]
    for k in range(TRIANGLE):
        a[_P + k * ROW + i] = cov[k]


@inlined
def unload_into(state: Float, cov: Float, a: Float, i: int) -> None:
    """Write what a lane holds into a state (6,) and a covariance (21,)."""
    for k in range(6):
        state[k] = a[k * ROW + i]
    for k in range(TRIANGLE):
        cov[k] = a[_P + k * ROW + i]


@inlined
def across(a: Full) -> Full:
    """What the Earth's turn makes of rows of velocities, rad/s."""
    return _TURN * a[3], _TURN * a[4], _TURN * a[5], -_TURN * a[0], -_TURN * a[1], -_TURN * a[2], 0.0, 0.0, 0.0


@jit
def fly_lanes_into(a: Float, t: Float, sigma_m_s2: Float, n: int) -> None:
    """Lanes after short flights of t (n,) s, in place: `align.short_flight`; with an acceleration of one sigma, as `align_one`.

    The transition is [[1 + h G, t + h K], [t G, 1 + h G + t K]] with G gravity's gradient, K the Earth's turn, h = t^2 / 2.
    """
    for i in range(n):
        s, h, third = t[i], 0.5 * t[i] * t[i], t[i] * t[i] * t[i] / 6.0
        x = (a[i], a[ROW + i], a[2 * ROW + i], a[3 * ROW + i], a[4 * ROW + i], a[5 * ROW + i])
        a0, a1, a2 = free_fall(x)
        g = gradient(x)
        j0 = g[0] * x[3] + g[1] * x[4] + g[2] * x[5] + _TURN * a1
        j1 = g[1] * x[3] + g[3] * x[4] + g[4] * x[5] - _TURN * a0
        j2 = g[2] * x[3] + g[4] * x[4] + g[5] * x[5]
        a[i] = x[0] + (s * x[3] + h * a0 + third * j0)
        a[ROW + i] = x[1] + (s * x[4] + h * a1 + third * j1)
        a[2 * ROW + i] = x[2] + (s * x[5] + h * a2 + third * j2)
        a[3 * ROW + i] = x[3] + (s * a0 + h * j0)
        a[4 * ROW + i] = x[4] + (s * a1 + h * j1)
        a[5 * ROW + i] = x[5] + (s * a2 + h * j2)
        p, b, v = full(place_at(a, i)), both_at(a, i), full(velocity_at(a, i))
        tb = turned(b)
        gp, gb, gtb, gv = turned(by(p, g)), turned(by(tb, g)), turned(by(b, g)), turned(by(v, g))
        bent_p, bent_v = added(gp, 1.0, across(tb), 0.0, gp), added(gb, 1.0, across(v), 0.0, gb)
        half_p, half_b = added(p, h, bent_p, s, tb), added(b, h, bent_v, s, v)
        half_tb, half_v = added(tb, s, bent_p, h, gtb), added(v, s, bent_v, h, gv)
        near = added(by(half_p, g), 1.0, turned(across(turned(half_b))), 0.0, p)
        below = added(by(half_tb, g), 1.0, turned(across(turned(half_v))), 0.0, p)
        place = upper(added(half_p, h, near, s, half_b))
        both = added(half_b, s, near, h, by(half_b, g))
        velocity = upper(added(half_v, s, below, h, by(half_v, g)))
        gained = sigma_m_s2[i] * s
        along = gained * s * 0.5
        lag = along * gained
        both = (both[0] + lag, both[1], both[2], both[3], both[4] + lag, both[5], both[6], both[7], both[8] + lag)
        keep_into(a, i, raised(place, along * along), both, raised(velocity, gained * gained))


@jit
def push_lanes_into(a: Float, t: Float, thrust: Float, n: int) -> None:
    """Lanes as thrust changes them before flights of t (n,) s, in place: `align.pushed`.

    `thrust` (3, n): its mean m/s2, and the variances along and across, (m/s2)^2; a lane with none of them stays as it is.
    """
    for i in range(n):
        d, h, f = t[i], 0.5 * t[i] * t[i], thrust[0, i]
        place, both, velocity = place_at(a, i), both_at(a, i), velocity_at(a, i)
        u0, u1, u2 = a[3 * ROW + i], a[4 * ROW + i], a[5 * ROW + i]
        spread = max(velocity[0] + velocity[3] + velocity[5], 0.0) + SLOW_M_S * SLOW_M_S
        s = 1.0 / math.sqrt(u0 * u0 + u1 * u1 + u2 * u2 + spread)
        u0, u1, u2 = s * u0, s * u1, s * u2
        a[i], a[ROW + i], a[2 * ROW + i] = a[i] - h * f * u0, a[ROW + i] - h * f * u1, a[2 * ROW + i] - h * f * u2
        a[3 * ROW + i] += d * f * u0
        a[4 * ROW + i] += d * f * u1
        a[5 * ROW + i] += d * f * u2
        line = (u0 * u0, u0 * u1, u0 * u2, u1 * u1, u1 * u2, u2 * u2)
        nothing = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
        turn = raised(weighed(nothing, -f * s, line), f * s)
        by_turn = by(full(velocity), turn)  # what the direction's error makes of the velocity's
        twice = turned(by(turned(by_turn), turn))
        lag = by(both, turn)
        place = upper(added(added(full(place), -h, lag, -h, turned(lag)), h * h, twice, 0.0, twice))
        both = added(added(both, d, lag, -h, turned(by_turn)), -h * d, twice, 0.0, twice)
        velocity = upper(added(added(full(velocity), d, by_turn, d, turned(by_turn)), d * d, twice, 0.0, twice))
        any_way = f * f * SLOW_M_S * SLOW_M_S * s * s / 3.0
        var = raised(weighed(nothing, thrust[1, i] - thrust[2, i], line), thrust[2, i] + any_way)
        both = added(both, -h * d, full(var), 0.0, both)
        keep_into(a, i, weighed(place, h * h, var), both, weighed(velocity, d * d, var))


@inlined
def inverted(place: Symmetric, both: Full, velocity: Symmetric) -> tuple[Symmetric, Full, Symmetric]:
    """The inverse of a covariance, its second block negated; where it has none, not finite."""
    f = factor(place)
    u = forward(f, both)
    v = scaled(f, u)
    after = inverse_of(factor(less(velocity, inner(u, v))))
    t = backward(f, v)
    q = by(t, after)
    return plus(inverse_of(f), outer(q, t)), q, after


@jit
def inform_lanes_into(total: Float, a: Float, base: Float, there: Float, n: int) -> None:
    """Add the information of lanes, and that times their states less those of `base`; where `there` (n,) is 0, nothing."""
    for i in range(n):
        w = there[i]
        p, b, v = inverted(place_at(a, i), both_at(a, i), velocity_at(a, i))
        d0, d1, d2 = a[i] - base[i], a[ROW + i] - base[ROW + i], a[2 * ROW + i] - base[2 * ROW + i]
        e0, e1 = a[3 * ROW + i] - base[3 * ROW + i], a[4 * ROW + i] - base[4 * ROW + i]
        e2 = a[5 * ROW + i] - base[5 * ROW + i]
        total[i] += w * (p[0] * d0 + p[1] * d1 + p[2] * d2 - b[0] * e0 - b[1] * e1 - b[2] * e2)
        total[ROW + i] += w * (p[1] * d0 + p[3] * d1 + p[4] * d2 - b[3] * e0 - b[4] * e1 - b[5] * e2)
        total[2 * ROW + i] += w * (p[2] * d0 + p[4] * d1 + p[5] * d2 - b[6] * e0 - b[7] * e1 - b[8] * e2)
        total[3 * ROW + i] += w * (v[0] * e0 + v[1] * e1 + v[2] * e2 - b[0] * d0 - b[3] * d1 - b[6] * d2)
        total[4 * ROW + i] += w * (v[1] * e0 + v[3] * e1 + v[4] * e2 - b[1] * d0 - b[4] * d1 - b[7] * d2)
        total[5 * ROW + i] += w * (v[2] * e0 + v[4] * e1 + v[5] * e2 - b[2] * d0 - b[5] * d1 - b[8] * d2)
        place, both, velocity = place_at(total, i), both_at(total, i), velocity_at(total, i)
        keep_into(total, i, weighed(place, w, p), added(both, -w, b, 0.0, b), weighed(velocity, w, v))


@jit
def solve_lanes_into(a: Float, base: Float, wider: Float, n: int) -> None:
    """Estimates of what `inform_lanes_into` has added up, in place: the covariance `wider` (n,) times what it says."""
    for i in range(n):
        w = wider[i]
        p, b, v = inverted(place_at(a, i), both_at(a, i), velocity_at(a, i))
        d0, d1, d2, e0, e1, e2 = a[i], a[ROW + i], a[2 * ROW + i], a[3 * ROW + i], a[4 * ROW + i], a[5 * ROW + i]
        a[i] = base[i] + (p[0] * d0 + p[1] * d1 + p[2] * d2 - b[0] * e0 - b[1] * e1 - b[2] * e2)
        a[ROW + i] = base[ROW + i] + (p[1] * d0 + p[3] * d1 + p[4] * d2 - b[3] * e0 - b[4] * e1 - b[5] * e2)
        a[2 * ROW + i] = base[2 * ROW + i] + (p[2] * d0 + p[4] * d1 + p[5] * d2 - b[6] * e0 - b[7] * e1 - b[8] * e2)
        a[3 * ROW + i] = base[3 * ROW + i] + (v[0] * e0 + v[1] * e1 + v[2] * e2 - b[0] * d0 - b[3] * d1 - b[6] * d2)
        a[4 * ROW + i] = base[4 * ROW + i] + (v[1] * e0 + v[3] * e1 + v[4] * e2 - b[1] * d0 - b[4] * d1 - b[7] * d2)
        a[5 * ROW + i] = base[5 * ROW + i] + (v[2] * e0 + v[4] * e1 + v[5] * e2 - b[2] * d0 - b[5] * d1 - b[8] * d2)
        both = (-w * b[0], -w * b[1], -w * b[2], -w * b[3], -w * b[4], -w * b[5], -w * b[6], -w * b[7], -w * b[8])
        nothing = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
        keep_into(a, i, weighed(nothing, w, p), both, weighed(nothing, w, v))


@jit
def distance_lanes_into(d2: Float, one: Float, other: Float, bias_var: Float, n: int) -> None:
    """Squared distances (n,) of lanes from others, as `gate.distance`; NaN where there is none."""
    of_place, of_velocity = bias_var[0], bias_var[1]
    for i in range(n):
        f = factor(raised(plus(place_at(one, i), place_at(other, i)), of_place))
        b, c = both_at(one, i), both_at(other, i)
        u = forward(f, added(b, 1.0, c, 0.0, c))
        v = scaled(f, u)
        g = factor(less(raised(plus(velocity_at(one, i), velocity_at(other, i)), of_velocity), inner(u, v)))
        y0 = one[i] - other[i]
        y1 = one[ROW + i] - other[ROW + i] - f[0] * y0
        y2 = one[2 * ROW + i] - other[2 * ROW + i] - f[1] * y0 - f[2] * y1
        z0 = one[3 * ROW + i] - other[3 * ROW + i] - v[0] * y0 - v[3] * y1 - v[6] * y2
        z1 = one[4 * ROW + i] - other[4 * ROW + i] - v[1] * y0 - v[4] * y1 - v[7] * y2
        z2 = one[5 * ROW + i] - other[5 * ROW + i] - v[2] * y0 - v[5] * y1 - v[8] * y2
        z1 -= g[0] * z0
        z2 -= g[1] * z0 + g[2] * z1
        d2[i] = y0 * y0 * f[3] + y1 * y1 * f[4] + y2 * y2 * f[5] + z0 * z0 * g[3] + z1 * z1 * g[4] + z2 * z2 * g[5]
