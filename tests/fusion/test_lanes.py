"""Kernels on many objects at once against those on one, and that no lane depends on another."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bus.columns import TRIANGLE, pack_cov, unpack_cov
from fusion.align import MOST_DRAG_M_S2, align_one, pushed, usual_drag_m_s2
from fusion.combine import correlation_of, inverse
from fusion.fuse import _fuse_one, fuse_many, read_ahead
from fusion.gate import distance
from fusion.lanes import (
    NUMBERS,
    ROW,
    distance_lanes_into,
    fly_lanes_into,
    inform_lanes_into,
    load_into,
    push_lanes_into,
    solve_lanes_into,
    unload_into,
)
from tests.fusion.test_kernels import BIAS, GATES, MOTION, PRIOR, STATE, random_cov
from tests.plain import both_ways

Float = NDArray[np.float64]
SCALE = np.repeat([1e4, 100.0], 3)
CORRELATIONS = np.array([0.1, 0.0, 0.2, 0.15])
NOW_NS = 10**15
FALLS = np.concatenate([STATE[:3] * (1.0 - 40e3 / np.linalg.norm(STATE[:3])), -STATE[3:]])  # into the first air


def estimates(seed: int, n: int) -> tuple[Float, Float]:
    """States (n, 6) and covariances (n, 6, 6)."""
    rng = np.random.default_rng(seed)
    return STATE + rng.normal(size=(n, 6)) * SCALE, np.array([random_cov(rng, scale) for scale in rng.uniform(0.2, 2.0, n)])


def lanes(states: Float, covs: Float) -> Float:
    """Both in lanes."""
    a = np.full(NUMBERS * ROW, np.nan)
    for lane, (state, cov) in enumerate(zip(states, covs, strict=True)):
        load_into(a, lane, state, pack_cov(cov))
    return a


def of_lane(a: Float, lane: int) -> tuple[Float, Float]:
    """A state (6,) and a covariance (6, 6)."""
    state, cov = np.empty(6), np.empty(TRIANGLE)
    unload_into(state, cov, a, lane)
    return state, unpack_cov(cov)


@pytest.mark.parametrize("n", [1, 3, 8, 64])
@both_ways(fly_lanes_into, load_into, unload_into)
def test_a_flight_in_lanes_is_the_flight_of_one(n: int) -> None:
    states, covs = estimates(1, n)
    t, sigma = np.random.default_rng(2).uniform(-3.0, 3.0, n), np.linspace(0.0, 40.0, n)
    flown = lanes(states, covs)
    fly_lanes_into(flown, t, sigma, n)
    for i in range(n):
        x_one, p_one = align_one(states[i], covs[i], t[i], (0.0, 0.0, 0.0, sigma[i]))
        x, p = of_lane(flown, i)
        np.testing.assert_allclose(x, x_one, rtol=1e-12)
        np.testing.assert_allclose(p, p_one, rtol=1e-9, atol=1e-9 * p_one.max())


@pytest.mark.parametrize("n", [1, 3, 8, 64])
@both_ways(push_lanes_into)
def test_thrust_in_lanes_is_that_of_one_and_none_changes_nothing(n: int) -> None:
    (states, covs), rng = estimates(5, n), np.random.default_rng(6)
    t, thrust = rng.uniform(-3.0, 3.0, n), rng.uniform(0.0, 1.0, (3, n)) * np.array([[50.0], [400.0], [60.0]])
    thrust[:, ::3] = 0.0
    gone = lanes(states, covs)
    push_lanes_into(gone, t, thrust, n)
    for i in range(n):
        x, p = of_lane(gone, i)
        if i % 3 == 0:
            np.testing.assert_array_equal(x, states[i])
            np.testing.assert_array_equal(np.triu(p), np.triu(covs[i]))
            continue
        x_one, p_one = pushed(states[i], covs[i], t[i], thrust[0, i], thrust[1, i], thrust[2, i])
        np.testing.assert_allclose(x, x_one, rtol=1e-12)
        np.testing.assert_allclose(p, p_one, rtol=1e-9, atol=1e-9 * p_one.max())


@pytest.mark.parametrize("n", [1, 3, 8, 64])
@both_ways(inform_lanes_into, solve_lanes_into, distance_lanes_into)
def test_information_solutions_and_distances_in_lanes_are_those_of_one(n: int) -> None:
    (x, p), (y, q) = estimates(3, n), estimates(4, n)
    one, other, total, d2 = lanes(x, p), lanes(y, q), np.zeros(NUMBERS * ROW), np.empty(n)
    inform_lanes_into(total, one, other, np.ones(n), n)
    inform_lanes_into(total, other, other, np.zeros(n), n)  # counts for nothing
    informed = [of_lane(total, i) for i in range(n)]
    solve_lanes_into(total, other, np.full(n, 2.0), n)
    distance_lanes_into(d2, one, other, BIAS, n)
    for i in range(n):
        _, information = inverse(p[i])
        np.testing.assert_allclose(informed[i][1], information, rtol=1e-9, atol=0.0)
        np.testing.assert_allclose(informed[i][0], information @ (x[i] - y[i]), rtol=1e-9, atol=0.0)
        state, cov = of_lane(total, i)
        np.testing.assert_allclose(state, x[i], rtol=1e-9)
        np.testing.assert_allclose(cov, 2.0 * p[i], rtol=1e-9, atol=1e-9 * p[i].max())
        assert d2[i] == pytest.approx(distance(x[i], p[i], y[i], q[i], BIAS)[0], rel=1e-9)


@given(st.integers(0, 2**32 - 1))
def test_a_lane_without_an_inverse_says_so_in_every_number_and_spoils_no_other(seed: int) -> None:
    states, covs = estimates(seed, 3)
    alone, found = np.zeros(NUMBERS * ROW), np.zeros(NUMBERS * ROW)
    inform_lanes_into(alone, lanes(states, covs), lanes(states, covs), np.ones(3), 3)
    axis = seed % 6
    covs[1, axis, axis] = -1.0
    inform_lanes_into(found, lanes(states, covs), lanes(states, covs), np.ones(3), 3)
    assert np.isnan(of_lane(found, 1)[1]).all()
    for lane in (0, 2):
        np.testing.assert_array_equal(of_lane(found, lane)[1], of_lane(alone, lane)[1])


class Reported:
    """`m` objects with up to three members, of any age, phase and pedigree, as the tables hold them."""

    def __init__(self, seed: int, m: int, near: Float = STATE) -> None:
        rng = np.random.default_rng(seed)
        n = 3 * m
        self.members = np.where(rng.random((m, 3)) < 0.8, np.arange(n).reshape(m, 3), -1)
        empty = (self.members < 0).all(axis=1)
        self.members[empty, 0] = 3 * np.flatnonzero(empty)
        self.at_ns = np.where(rng.random(m) < 0.1, NOW_NS + 10**9, 0)
        self.valid_ns = NOW_NS - rng.choice([0, 3 * 10**8, 2 * 10**9, 5 * 10**9], n, p=[0.4, 0.4, 0.15, 0.05])
        self.state = near + rng.normal(size=(n, 6)) * np.repeat([300.0, 10.0], 3)
        self.cov = pack_cov(np.array([random_cov(rng, scale) for scale in rng.uniform(0.2, 2.0, n)]))
        self.cov[rng.random(n) < 0.02] *= -1.0  # without an inverse
        self.phase = rng.choice([0.0, 255.0], (n, 3))
        self.pedigree = rng.choice([0, 1, 2, 4, 8, 3], n)
        self.told = rng.random(n) < 0.9  # as they say

    def fused(self, rows: NDArray[np.int64], column: int) -> tuple[NDArray[np.generic], ...]:
        return fuse_many(
            self.members[rows],
            self.at_ns[rows],
            self.valid_ns,
            self.state,
            self.cov,
            self.phase,
            self.pedigree,
            self.told,
            MOTION,
            CORRELATIONS,
            0.05,
            4 * 10**9,
            BIAS,
            PRIOR,
            GATES,
            column,
        )


@both_ways(read_ahead)
def test_what_is_read_ahead_is_a_number_in_each_64_bytes_of_what_members_told() -> None:
    reported = Reported(3, 8)
    state, cov, phase = reported.state, reported.cov, reported.phase
    rows = reported.members[reported.members >= 0]
    wanted = state[rows, 0].sum() + phase[rows, 0].sum() + cov[rows, ::8].sum()
    assert read_ahead(reported.members, state, cov, phase) == pytest.approx(wanted)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(-1, 2))
def test_an_estimate_does_not_depend_on_what_else_is_estimated(seed: int, column: int) -> None:
    """To the bit: what one recipient receives must not tell of what another's frames held."""
    reported, rng = Reported(seed, 40), np.random.default_rng(seed)
    every = reported.fused(np.arange(40), column)
    some = rng.permutation(40)[: rng.integers(1, 40)]
    for whole, part in zip(every, reported.fused(some, column), strict=True):
        np.testing.assert_array_equal(whole[some], part)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(-1, 2), st.booleans())
@both_ways(fuse_many, few=1)
def test_an_estimate_in_lanes_is_the_estimate_of_one(seed: int, column: int, falls: bool) -> None:
    reported = Reported(seed, 20, FALLS if falls else STATE)
    valid, newest, state, cov, phase, off = reported.fused(np.arange(20), column)
    for i, members in enumerate(reported.members):
        held = members >= 0
        ages = np.where(held, (valid[i] - reported.valid_ns[members]) * 1e-9, 0.0)
        used = held & (newest[i] - reported.valid_ns[members] <= 4 * 10**9)
        extra = 0.05 if valid[i] > newest[i] else 0.0
        whole = np.where(used & reported.told[members], reported.valid_ns[members], 0)
        latest = reported.state[members[np.argmax(whole)]]
        drag_m_s2 = usual_drag_m_s2(latest) if whole.any() else MOST_DRAG_M_S2
        bound = correlation_of(phase[i], drag_m_s2, bool(whole.any() and latest[:3] @ latest[3:] < 0.0), CORRELATIONS)
        tables = reported.state, reported.cov, reported.phase, reported.pedigree, reported.told
        x, p, d2 = _fuse_one(members, used, ages, extra, *tables, MOTION, bound, BIAS, PRIOR, GATES, column)
        scale = np.sqrt(np.abs(np.diag(p)))
        np.testing.assert_allclose((state[i] - x) / scale, 0.0, atol=1e-6)
        np.testing.assert_allclose(unpack_cov(cov[i]) / np.outer(scale, scale), p / np.outer(scale, scale), atol=1e-6)
        assert off[i] == pytest.approx(d2, rel=1e-6, nan_ok=True)
