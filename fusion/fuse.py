"""Fuses many objects from the latest reports of their members: who counts, brought to one time, combined by the rules.

What flies for a short while and shares no sensor goes through lanes (`fusion.lanes`), up to 64 objects at once; the rest one by
one, by `fusion.combine`. How far one member is from the others comes with it. Knows no table of system tracks.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from bus.columns import TRIANGLE
from fusion.align import MOST_DRAG_M_S2, SHORT_S, accelerations, flown, usual_drag_m_s2
from fusion.combine import combine, correlation_of
from fusion.gate import compare
from fusion.lanes import (
    LANES,
    NUMBERS,
    ROW,
    VECTOR,
    distance_lanes_into,
    fly_lanes_into,
    inform_lanes_into,
    load_into,
    push_lanes_into,
    solve_lanes_into,
    unload_into,
)
from fusion.partial import WHOLE
from fusion.triangle import square, traces, triangle_of
from physics.compile import jit

Float = NDArray[np.float64]
Rows = NDArray[np.int64]

_FRESH_NS = 2_000_000_000  # phases are taken from reports no older than this beside the newest


@jit
def read_ahead(members: Rows, state: Float, cov: Float, phase: Float) -> float:
    """A sum of numbers one in each 64 bytes that `fuse_many` reads: it is the reading that counts.

    Of many tracks the tables do not fit into the cache, and the arithmetic would wait for its numbers row after row. Reads that
    nothing waits for are under way a dozen at a time.
    """
    total = 0.0
    for i in range(len(members)):
        for c in range(3):
            r = members[i, c]
            if r >= 0:
                total += state[r, 0] + phase[r, 0] + cov[r, 0] + cov[r, 8] + cov[r, 16]
    return total


@jit
def fuse_many(
    members: Rows,
    at_ns: Rows,
    valid_ns: Rows,
    state: Float,
    cov: Float,
    phase: Float,
    pedigree: Rows,
    told: NDArray[np.bool_],
    motion: Float,
    correlations: Float,
    lost_m_s2: float,
    stale_ns: int,
    bias_var: Float,
    prior_var: Float,
    splits: Float,
    column: int,
) -> tuple[Rows, Rows, Float, Float, Float, Float]:
    """Estimates of m objects from their members' latest reports: (valid, newest (m,), state, cov, phase, off (m,)).

    `members` (m, 3) are rows of the report tables, -1 for none; `told`: whether a report tells of a whole state. The estimate
    holds at the newest member's time or at `at_ns` if that is later; past the newest report the spread grows with `lost_m_s2`
    too. Members `stale_ns` behind are left out. `off` is how far the member in `column` is from the nearest other one (d2; NaN
    where there is none to compare with, or no such column); where either is partial, in proportion to what is too far at their
    degrees of freedom, `splits` (7,).
    """
    m = members.shape[0]
    valid, newest = np.zeros(m, np.int64), np.zeros(m, np.int64)
    out_state, out_cov, out_phase, off = np.empty((m, 6)), np.empty((m, TRIANGLE)), np.zeros((m, 3)), np.full(m, np.nan)
    used, age_s, push = np.zeros((m, 3), np.bool_), np.zeros((m, 3)), np.zeros((m, 3, 4))
    driven = np.zeros(m, np.bool_)  # not all members fly free
    bound = np.empty(m)  # of the correlation between members
    alike = np.zeros(m, np.bool_)  # computed in lanes: short flights, two or three whole members, no sensor in common
    if m:
        out_state[0, 0] = read_ahead(members, state, cov, phase)  # overwritten: what nobody takes would not be computed
    for i in range(m):
        for c in range(3):
            if members[i, c] >= 0:
                newest[i] = max(newest[i], valid_ns[members[i, c]])
        valid[i] = max(newest[i], at_ns[i])
        extra = lost_m_s2 if valid[i] > newest[i] else 0.0
        count, bits, same = 0, 0, True
        boost, coast, reentry, latest = 0.0, 0.0, 0.0, -1
        for c in range(3):
            r = members[i, c]
            if r < 0 or newest[i] - valid_ns[r] > stale_ns:
                continue
            used[i, c] = True
            latest = c if told[r] and (latest < 0 or valid_ns[r] > valid_ns[members[i, latest]]) else latest
            age_s[i, c] = (valid[i] - valid_ns[r]) * 1e-9
            boosts, coasts, falls = phase[r, 0], phase[r, 1], phase[r, 2]
            mean, along, across, sigma = accelerations(state[r], boosts, coasts, falls, age_s[i, c], motion, told[r])
            if mean != 0.0 or along + across > 0.0:
                push[i, c, 0], push[i, c, 1], push[i, c, 2], driven[i] = mean, along, across, True
            push[i, c, 3] = math.hypot(sigma, extra) if extra > 0.0 else sigma
            same &= told[r] and pedigree[r] != 0 and bits & pedigree[r] == 0 and age_s[i, c] <= SHORT_S
            bits |= pedigree[r]
            count += 1
            if newest[i] - valid_ns[r] <= _FRESH_NS:
                boost, coast, reentry = boost + phase[r, 0], coast + phase[r, 1], reentry + phase[r, 2]
        alike[i] = same and count > 1
        total = boost + coast + reentry
        if total > 0.0:
            out_phase[i, 0], out_phase[i, 1], out_phase[i, 2] = boost / total, coast / total, reentry / total
        drag_m_s2, sinks = MOST_DRAG_M_S2, False  # where no member tells its speed and height
        if coast + reentry > 0.0 and latest >= 0:
            x = state[members[i, latest]]
            drag_m_s2, sinks = usual_drag_m_s2(x), x[0] * x[3] + x[1] * x[4] + x[2] * x[5] < 0.0
        bound[i] = correlation_of(out_phase[i], drag_m_s2, sinks, correlations)
    rows = np.flatnonzero(alike)
    for start in range(0, len(rows), LANES):
        some = rows[start : start + LANES]
        _fuse_lanes_into(out_state, out_cov, off, some, members, used, age_s, push, driven, state, cov, bound, bias_var, column)
    for i in range(m):
        if not (alike[i] and np.isfinite(sum(traces(out_cov[i])))):
            extra = lost_m_s2 if valid[i] > newest[i] else 0.0
            out_state[i], fused, off[i] = _fuse_one(
                members[i],
                used[i],
                age_s[i],
                extra,
                state,
                cov,
                phase,
                pedigree,
                told,
                motion,
                bound[i],
                bias_var,
                prior_var,
                splits,
                column,
            )
            out_cov[i] = triangle_of(fused)
    return valid, newest, out_state, out_cov, out_phase, off


@jit
def _fuse_one(
    members: Rows,
    used: NDArray[np.bool_],
    age_s: Float,
    extra_m_s2: float,
    state: Float,
    cov: Float,
    phase: Float,
    pedigree: Rows,
    told: NDArray[np.bool_],
    motion: Float,
    correlation: float,
    bias_var: Float,
    prior_var: Float,
    splits: Float,
    column: int,
) -> tuple[Float, Float, float]:
    """One object's state (6,), covariance (6, 6) and how far its member in `column` is off."""
    xs, ps, bits, own, k = np.empty((3, 6)), np.empty((3, 6, 6)), np.zeros(3, np.int64), -1, 0
    for c in range(3):
        if used[c]:
            r = members[c]
            boost, coast, reentry = phase[r, 0], phase[r, 1], phase[r, 2]
            xs[k], ps[k] = flown(state[r], square(cov[r]), boost, coast, reentry, age_s[c], motion, told[r], extra_m_s2)
            bits[k] = pedigree[r]
            own = k if c == column else own
            k += 1
    off = np.nan
    for u in range(k):
        if own >= 0 and u != own:
            d2, _, freedom = compare(xs[own], ps[own], xs[u], ps[u], bias_var, prior_var)
            if freedom == 0:
                continue  # neither tells anything of what the other does
            d2 *= splits[WHOLE] / splits[freedom]
            off = off if off <= d2 else d2
    _, x, p = combine(xs[:k], ps[:k], bits[:k], correlation)
    return x, p, off


@jit
def _fuse_lanes_into(
    out_state: Float,
    out_cov: Float,
    out_off: Float,
    rows: Rows,
    members: Rows,
    used: NDArray[np.bool_],
    age_s: Float,
    push: Float,
    driven: NDArray[np.bool_],
    state: Float,
    cov: Float,
    bound: Float,
    bias_var: Float,
    column: int,
) -> None:
    """`_fuse_one` for the objects `rows` (n,), two or three members each, without a sensor in common; not finite if not sound."""
    n = len(rows)
    lanes = (n + VECTOR - 1) // VECTOR * VECTOR  # what is over computes the last object again, to no effect
    held, total = np.empty((3, NUMBERS * ROW)), np.zeros(NUMBERS * ROW)
    t, there, wider, d2 = np.empty((3, lanes)), np.zeros((3, lanes)), np.empty(lanes), np.empty(lanes)
    pushes, sigma = np.zeros((3, 3, lanes)), np.empty((3, lanes))
    for lane in range(lanes):
        i = rows[min(lane, n - 1)]
        first, count = members[i, 0] if used[i, 0] else members[i, 1], 0
        for c in range(3):
            if used[i, c]:
                there[c, lane] = 1.0
                count += 1
            r = members[i, c] if used[i, c] else first  # a lane without this member computes another's, to no effect
            t[c, lane], sigma[c, lane] = age_s[i, c], push[i, c, 3]
            if driven[i]:
                pushes[c, 0, lane], pushes[c, 1, lane], pushes[c, 2, lane] = push[i, c, 0], push[i, c, 1], push[i, c, 2]
            load_into(held[c], lane, state[r], cov[r])
        wider[lane] = 1.0 + (count - 1.0) * bound[i]
    for c in range(3):
        if t[c].any():
            if pushes[c].any():
                push_lanes_into(held[c], t[c], pushes[c], lanes)
            fly_lanes_into(held[c], t[c], sigma[c], lanes)
    for c in range(3):
        inform_lanes_into(total, held[c], held[2], there[c], lanes)
    solve_lanes_into(total, held[2], wider, lanes)
    for lane in range(n):
        unload_into(out_state[rows[lane]], out_cov[rows[lane]], total, lane)
    for c in range(3):
        if column >= 0 and c != column:
            distance_lanes_into(d2, held[column], held[c], bias_var, lanes)
            for lane in range(n):
                if there[column, lane] > 0.0 and there[c, lane] > 0.0:
                    d = d2[lane] if np.isfinite(d2[lane]) else np.inf
                    out_off[rows[lane]] = d if not out_off[rows[lane]] <= d else out_off[rows[lane]]
