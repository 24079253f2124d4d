"""Kernels of fusion against slow twins, and what they promise."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bus.columns import pack_cov
from fusion.align import SHORT_S, accelerations, align_one, flown
from fusion.assign import assign
from fusion.combine import intersect, inverse
from fusion.gate import compare, distance, pairs_within
from fusion.partial import prior_of, quantiles
from fusion.settings import Association
from physics.constants import USUAL_BETA_KG_M2
from physics.frames import altitude_m
from physics.motion import drag_acceleration
from physics.propagate import propagate_one, rk4
from tests import oracles_fusion as oracle
from tests.plain import both_ways

Float = NDArray[np.float64]
STATE = np.array([-3.05e6, 4.05e6, 4.05e6, 900.0, -700.0, 1500.0])
MOTION = np.array([0.4, 0.3, 0.5, 1.0, 0.05])
BIAS = np.array([1e4, 25.0])
PRIOR = prior_of(Association())
GATES = quantiles(27.9)


def random_cov(rng: np.random.Generator, scale: float = 1.0) -> Float:
    root = rng.normal(size=(6, 6)) * np.array([500.0, 500.0, 500.0, 20.0, 20.0, 20.0])[:, None] * scale
    return np.asarray(root @ root.T + np.diag([100.0, 100.0, 100.0, 1.0, 1.0, 1.0]))


@pytest.mark.parametrize("dt_s", [-8.0, -2.5, 0.0, 0.4, 2.9, 3.1, 15.0])
@both_ways(align_one)
def test_aligned_report_agrees_with_small_steps_and_finite_differences(dt_s: float) -> None:
    cov = random_cov(np.random.default_rng(1))
    x, p = align_one(STATE, cov, dt_s, (0.0, 0.0, 0.0, 40.0))
    x_slow, p_slow = oracle.align(STATE, cov, dt_s, (0.0, 0.0, 0.0, 40.0))
    np.testing.assert_allclose(x, x_slow, atol=2e-3 if abs(dt_s) <= SHORT_S else 0.05)
    scale = np.sqrt(np.outer(np.diag(p_slow), np.diag(p_slow)))
    np.testing.assert_allclose(p / scale, p_slow / scale, atol=2e-4)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(-10.0, 10.0), st.floats(-3.0, 3.0))
@both_ways(align_one)
def test_a_pushed_report_agrees_with_small_steps_and_finite_differences(seed: int, dt_s: float, log_speed: float) -> None:
    """Of any speed, how well ever it is known: within a thousandth of its sigma, and of that sigma."""
    rng = np.random.default_rng(seed)
    state, cov = STATE * np.repeat([1.0, 10.0 ** min(log_speed, 0.6)], 3), random_cov(rng)
    push = (rng.uniform(-50.0, 50.0), *rng.uniform(0.0, 400.0, 2), rng.uniform(0.0, 5.0))
    x, p = align_one(state, cov, dt_s, push)
    x_slow, p_slow = oracle.align(state, cov, dt_s, push)
    scale = np.sqrt(np.diag(p_slow))
    np.testing.assert_allclose(x / scale, x_slow / scale, atol=5e-3, rtol=0.0)
    np.testing.assert_allclose(p / np.outer(scale, scale), p_slow / np.outer(scale, scale), atol=5e-3, rtol=0.0)


def test_what_is_known_to_stand_still_is_pushed_nowhere_and_anywhere() -> None:
    state, cov = STATE * np.repeat([1.0, 0.0], 3), np.diag([100.0] * 3 + [1e-6] * 3)
    free, still = align_one(state, cov, 2.0, (0.0, 0.0, 0.0, 0.0))
    x, p = align_one(state, cov, 2.0, (37.0, 225.0, 36.0, 0.0))
    np.testing.assert_array_equal(x, free)
    np.testing.assert_allclose(np.diag(p - still)[3:], 4.0 * (36.0 + 37.0**2 / 3.0), rtol=1e-3)


@pytest.mark.parametrize(("height_m", "speed_m_s"), [(15e3, 3000.0), (20e3, 5500.0), (30e3, 6500.0), (30e3, 1200.0)])
@pytest.mark.parametrize("share", [0.7, 1.0, 1.5])
def test_drag_is_known_and_what_bodies_differ_by_stays_inside(height_m: float, speed_m_s: float, share: float) -> None:
    """Of one sigma's shares of the usual ballistic coefficient; a usual body within half of what free flight is off by."""
    up = STATE[:3] / np.linalg.norm(STATE[:3])
    level = np.cross(up, [0.0, 0.0, 1.0])
    state = np.hstack([up * (6.37e6 + height_m), speed_m_s * (0.5 * level / np.linalg.norm(level) - 0.8660254 * up)])
    cov = np.diag([20.0**2] * 3 + [5.0**2] * 3)
    true = state
    for _ in range(10):
        true = rk4(true, 0.1, share * USUAL_BETA_KG_M2)
    x, p = align_one(state, cov, 1.0, accelerations(state, 0.0, 0.0, 1.0, 1.0, MOTION))
    off = true - x
    assert off @ np.linalg.solve(p, off) < 12.6  # 95 percent of chi-square
    if share == 1.0:
        assert np.linalg.norm(off[3:]) < 0.5 * np.linalg.norm(true[3:] - propagate_one(state, 1.0)[3:])


@both_ways(accelerations)
def test_what_free_flight_leaves_out_is_the_mean_and_the_spread_over_the_phases() -> None:
    high = STATE * np.array([1.2, 1.2, 1.2, 1.0, 1.0, 1.0])  # no air there
    speed, height = np.linalg.norm(high[3:]), altitude_m(high[:3])
    thrust = max(5.0 * speed / np.sqrt(height), 15.0)
    assert accelerations(high, 0.0, 1.0, 0.0, 0.0, MOTION) == (0.0, 0.0, 0.0, 0.05)
    assert accelerations(high, 0.0, 0.0, 1.0, 0.0, MOTION) == (0.0, 0.0, 0.0, 0.05)
    whole = (thrust, (0.4 * thrust) ** 2, (0.3 * thrust) ** 2, 0.05)
    assert accelerations(high, 0.0, 0.0, 0.0, 0.0, MOTION) == pytest.approx(whole)
    half = (0.5 * thrust, 0.5 * (0.4 * thrust) ** 2 + 0.25 * thrust**2, 0.5 * (0.3 * thrust) ** 2, 0.05)
    assert accelerations(high, 0.5, 0.25, 0.25, 0.0, MOTION) == pytest.approx(half)
    assert accelerations(high, 0.01, 0.99, 0.0, 0.0, MOTION) == (0.0, 0.0, 0.0, 0.05)  # a hint so faint is none
    assert accelerations(high, 1.0, 0.0, 0.0, 130.0, MOTION)[0] == pytest.approx(0.5 * thrust)  # burns end


@both_ways(accelerations)
def test_what_flies_through_air_is_braked_like_a_usual_body() -> None:
    low = STATE * np.repeat([6.40e6 / np.linalg.norm(STATE[:3]), 1.0], 3)
    drag = np.linalg.norm(drag_acceleration(low, USUAL_BETA_KG_M2))
    assert drag > 1.0
    for coast, reentry in ((1.0, 0.0), (0.0, 1.0), (0.5, 0.5)):  # climbing or coming down
        braked = accelerations(low, 0.0, coast, reentry, 0.0, MOTION)
        assert braked == pytest.approx((-drag, (0.5 * drag) ** 2, drag**2, 0.05))
    climbs = low[:3] @ low[3:] > 0.0
    later = accelerations(low, 0.0, 0.0, 1.0, 2.0, MOTION)[0]
    assert (later > -drag) == climbs  # by the air on the way


@both_ways(distance)
def test_distance_agrees_with_a_general_solver() -> None:
    rng = np.random.default_rng(2)
    for _ in range(20):
        p1, p2 = random_cov(rng), random_cov(rng, 0.3)
        other = STATE + rng.normal(size=6) * 100.0
        np.testing.assert_allclose(distance(STATE, p1, other, p2, BIAS), oracle.distance(STATE, p1, other, p2, BIAS), rtol=1e-8)


def test_distance_of_absurd_spreads_neither_overflows_nor_vanishes() -> None:
    for scale in (1e-40, 1e40):
        d2, log_det = distance(STATE, scale * np.eye(6), STATE, scale * np.eye(6), np.zeros(2))
        assert d2 == 0.0
        assert log_det == pytest.approx(6.0 * np.log(2.0 * np.pi * 2.0 * scale))
    assert distance(STATE, -np.eye(6), STATE, np.zeros((6, 6)), np.zeros(2)) == (np.inf, np.inf)
    assert distance(STATE, np.full((6, 6), np.nan), STATE, np.eye(6), BIAS) == (np.inf, np.inf)


@pytest.mark.parametrize("n", [1, 3, 6])
@both_ways(inverse)
def test_inverse_agrees_with_a_general_solver(n: int) -> None:
    rng = np.random.default_rng(12)
    for _ in range(20):
        cov = random_cov(rng)[:n, :n]
        before = cov.copy()
        sound, found = inverse(cov)
        assert sound
        np.testing.assert_allclose(found @ cov, np.eye(n), atol=1e-6)
        np.testing.assert_array_equal(found, found.T)
        np.testing.assert_array_equal(cov, before)


def test_inverse_of_a_matrix_that_has_none_says_so() -> None:
    assert not inverse(np.ones((6, 6)))[0]
    assert not inverse(np.full((6, 6), np.nan))[0]
    sound, found = inverse(np.diag([1e12, 1e12, 1e12, 1e-6, 1e-6, 1e-6]))
    assert sound
    np.testing.assert_allclose(np.diag(found), [1e-12] * 3 + [1e6] * 3)


@pytest.mark.parametrize("k", [2, 3])
@both_ways(intersect, few=1)
def test_intersection_reaches_the_largest_information(k: int) -> None:
    rng = np.random.default_rng(3)
    for _ in range(10):
        covs = np.array([random_cov(rng, scale) for scale in rng.uniform(0.3, 2.0, size=k)])
        sound, weights, _, p = intersect(np.tile(STATE, (k, 1)), covs)
        assert sound
        assert abs(weights.sum() - 1.0) < 1e-12
        assert (weights >= 0.0).all()
        assert -np.linalg.slogdet(p)[1] > oracle.best_log_det(covs) - 0.035  # 6 * the tolerance of the optimum


def test_intersection_of_equals_weighs_them_equally() -> None:
    """Where the objective is flat, nobody is preferred."""
    cov = random_cov(np.random.default_rng(4))
    _, weights, _, p = intersect(np.tile(STATE, (3, 1)), np.tile(cov, (3, 1, 1)))
    np.testing.assert_allclose(weights, 1.0 / 3.0)
    np.testing.assert_allclose(p, cov, rtol=1e-9)


def test_intersection_of_independent_members_is_consistent() -> None:
    """ANEES at most 1.05 in 6 dimensions: 2,000 draws put the 99-percent bound of an exact filter at 1.03."""
    rng = np.random.default_rng(5)
    total, n = 0.0, 2000
    for _ in range(n):
        covs = np.array([random_cov(rng), random_cov(rng), random_cov(rng, 0.5)])
        states = np.array([rng.multivariate_normal(STATE, cov, method="cholesky") for cov in covs])
        _, _, x, p = intersect(states, covs)
        total += (x - STATE) @ np.linalg.solve(p, x - STATE)
    assert total / (6 * n) <= 1.05


def test_intersection_of_the_same_report_twice_gains_nothing() -> None:
    """The guard against counting data twice."""
    cov = random_cov(np.random.default_rng(6))
    _, _, x, p = intersect(np.tile(STATE, (2, 1)), np.tile(cov, (2, 1, 1)))
    np.testing.assert_allclose(x, STATE)
    np.testing.assert_allclose(p, cov, rtol=1e-9)


def test_a_pair_in_air_costs_the_same_whichever_side_is_older() -> None:
    """What falls flies on into denser air, and is not braked by that above it."""
    up = STATE[:3] / np.linalg.norm(STATE[:3])
    low, cov = np.hstack([6.40e6 * up, -3000.0 * up]), np.diag([100.0] * 3 + [1.0] * 3)
    later, _ = align_one(low, cov, 1.0, accelerations(low, 0.0, 0.0, 1.0, 1.0, MOTION))
    falls, rows = np.array([[0.0, 0.0, 1.0]]), np.zeros(1, np.int64)
    whole = np.ones(1, np.bool_)
    older = rows, np.zeros(1, np.int64), low[None], pack_cov(cov)[None], falls, np.array([1]), whole
    newer = rows, np.full(1, 1_000_000_000), later[None], pack_cov(cov)[None], falls, np.array([2]), whole
    _, _, cost = pairs_within(*older, *newer, MOTION, np.zeros(2), PRIOR, GATES, 30_000_000_000)
    _, _, swapped = pairs_within(*newer, *older, MOTION, np.zeros(2), PRIOR, GATES, 30_000_000_000)
    assert len(cost) == 1
    assert swapped == pytest.approx(cost, abs=1e-9)


@pytest.mark.parametrize("n", [30, 180])
@both_ways(pairs_within, few=1)
def test_pairs_of_the_sweep_are_all_pairs_of_the_gate(n: int) -> None:
    """Enough tracks for the sweep, spread over 600 km at different times, against asking every pair."""
    rng = np.random.default_rng(7)
    home = STATE + np.hstack([rng.normal(scale=2e5, size=(n, 3)), rng.normal(scale=100.0, size=(n, 3))])
    valid_a, valid_b = rng.integers(0, 2_000_000_000, size=(2, n))
    cov = np.tile(np.diag([1e6] * 3 + [400.0] * 3), (n, 1, 1))
    a = np.array([propagate_one(x, t * 1e-9) for x, t in zip(home, valid_a, strict=True)]) + rng.normal(size=(n, 6)) * 10.0
    b = np.array([propagate_one(x, t * 1e-9) for x, t in zip(home, valid_b, strict=True)]) + rng.normal(size=(n, 6)) * 10.0
    phase = np.tile([0.0, 1.0, 0.0], (n, 1))
    rows, held = np.arange(n), pack_cov(cov)
    one, two, whole = np.ones(n, np.int64), np.full(n, 2, np.int64), np.ones(n, np.bool_)
    found = pairs_within(
        rows,
        valid_a,
        a,
        held,
        phase,
        one,
        whole,
        rows,
        valid_b,
        b,
        held,
        phase,
        two,
        whole,
        MOTION,
        BIAS,
        PRIOR,
        GATES,
        30_000_000_000,
    )
    slow = set()
    for i in range(n):
        for j in range(n):
            at = max(valid_a[i], valid_b[j])
            x, p = align_one(a[i], cov[i], (at - valid_a[i]) * 1e-9, (0.0, 0.0, 0.0, 0.05))
            y, q = align_one(b[j], cov[j], (at - valid_b[j]) * 1e-9, (0.0, 0.0, 0.0, 0.05))
            if oracle.distance(x, p, y, q, BIAS)[0] <= 27.9:
                slow.add((i, j))
    assert len(slow) >= n
    assert set(zip(found[0].tolist(), found[1].tolist(), strict=True)) == slow
    again = pairs_within(
        rows,
        valid_a,
        a,
        held,
        phase,
        one,
        whole,
        rows,
        valid_b,
        b,
        held,
        phase,
        one,
        whole,
        MOTION,
        BIAS,
        PRIOR,
        GATES,
        30_000_000_000,
    )
    assert len(again[0]) == 0  # a nation's tracks are never paired with its own


def test_assignment_and_its_regret_agree_with_trying_everything() -> None:
    rng = np.random.default_rng(8)
    for _ in range(60):
        rows = int(rng.integers(1, 5))
        costs = {(r, c): float(rng.uniform(0.0, 30.0)) for r in range(rows) for c in range(4) if rng.random() < 0.6}
        pairs = np.array(list(costs), np.int64).reshape(-1, 2)
        found = assign(pairs[:, 0], pairs[:, 1], np.array(list(costs.values())), 20.0)
        ways = oracle.assignments(costs, rows, 20.0)
        best, chosen = ways[0]
        assert {(m.row, m.column) for m in found} == chosen
        for match in found:
            second = min(cost for cost, pairs_of in ways if (match.row, match.column) not in pairs_of)
            assert match.regret == pytest.approx(second - best)


@pytest.mark.parametrize("apart_s", [0.0, 0.4, 4.0])
@both_ways(pairs_within, few=1)
def test_pairs_of_a_crowd_are_all_pairs_of_the_gate(apart_s: float) -> None:
    """Everything within everything's reach, with long and narrow ellipses: many pairs are at the edge of the gate."""
    rng, n, bias_var = np.random.default_rng(3), 40, np.array([150.0**2, 4.0])
    rows, whole, phase = np.arange(n), np.ones(n, np.bool_), np.tile([0.0, 1.0, 0.0], (n, 1))
    states = STATE + np.hstack([rng.normal(scale=800.0, size=(n, 3)), rng.normal(scale=15.0, size=(n, 3))])
    states[1::2] = [propagate_one(x, apart_s) for x in states[1::2]]
    root = rng.normal(size=(n, 6, 6)) * np.repeat([100.0, 4.0], 3)[:, None]
    cov, valid_ns = root @ root.transpose(0, 2, 1), np.where(rows % 2, int(apart_s * 1e9), 0)
    table = valid_ns, states, pack_cov(cov), phase, np.array([1, 2])[rows % 2], whole
    first, second, costs = pairs_within(rows, *table, rows, *table, MOTION, bias_var, PRIOR, GATES, 30_000_000_000)
    found = dict(zip(zip(first.tolist(), second.tolist(), strict=True), costs.tolist(), strict=True))
    expected = {}
    for i in range(0, n, 2):
        x, p = align_one(states[i], cov[i], apart_s, (0.0, 0.0, 0.0, 0.05))
        for j in range(1, n, 2):
            d2, log_det = oracle.distance(x, p, states[j], cov[j], bias_var)
            if d2 <= 27.9:
                expected[i, j] = expected[j, i] = d2 + log_det
    assert 100 < len(expected) < n * n // 2 - 100
    assert found == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("apart_s", [0.0, 1.0, 4.0, 12.0])
@pytest.mark.parametrize("phase", [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]], ids=["boosts", "brakes"])
def test_pairs_of_what_boosts_or_brakes_are_all_pairs_of_the_gate(phase: list[float], apart_s: float) -> None:
    """Sure reports at two times: they are apart by what a rocket or the air may do meanwhile, to the gate and past it."""
    rng, n, bias_var = np.random.default_rng(6), 60, np.array([1.0, 0.01])
    cov, rows, whole = np.diag([9.0] * 3 + [0.04] * 3), np.arange(n), np.ones(n, np.bool_)
    place = 0.99 * STATE[:3] + rng.normal(scale=2e4, size=(n, 3))
    states = np.hstack([place, 2.5 * STATE[3:] + rng.normal(scale=300.0, size=(n, 3))])
    boost, coast, reentry = phase
    ahead = [flown(state, cov, boost, coast, reentry, apart_s, MOTION, True, 0.0) for state in states]
    sigmas = rng.normal(size=(n, 6))
    sigmas *= (np.sqrt(rng.uniform(5.0, 45.0, n)) / np.linalg.norm(sigmas, axis=1))[:, None]
    spread = [np.linalg.cholesky(p + cov + np.diag(np.repeat(bias_var, 3))) for _, p in ahead]
    later = np.array([x + root @ off for (x, _), root, off in zip(ahead, spread, sigmas, strict=True)])
    covs, phases = pack_cov(np.tile(cov, (n, 1, 1))), np.tile(phase, (n, 1))
    sides = [
        (rows, np.full(n, at_ns), state, covs, phases, np.full(n, bit), whole)
        for at_ns, state, bit in ((0, states, 1), (int(apart_s * 1e9), later, 2))
    ]
    expected = {(i, j) for i in range(n) for j in range(n) if compare(*ahead[i], later[j], cov, bias_var, PRIOR)[0] <= GATES[6]}
    assert 30 < len(expected) < n
    for one, other in (sides, sides[::-1]):
        first, second, _ = pairs_within(*one, *other, MOTION, bias_var, PRIOR, GATES, 30_000_000_000)
        found = set(zip(first.tolist(), second.tolist(), strict=True))
        assert found == (expected if one is sides[0] else {(j, i) for i, j in expected})
