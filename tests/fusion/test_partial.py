"""Partial states: a position alone or a line of sight is compared, gated and fused for what it tells, and taken for no more."""

from __future__ import annotations

import itertools
from typing import Any, Final

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import binom, chi2

from bus.columns import pack_cov, unpack_cov
from fusion.align import MOST_DRAG_M_S2, Push, accelerations, align_one
from fusion.combine import combine, intersect, inverse
from fusion.fuse import fuse_many
from fusion.gate import compare, distance, pairs_within
from fusion.partial import TOLD, WHOLE, apart, prior_of, quantiles, room, spectrum, told
from fusion.settings import Association
from tests import oracles_fusion as oracle
from tests.fusion.scenes import S
from tests.fusion.test_kernels import BIAS, GATES, MOTION, PRIOR, STATE, random_cov
from tests.plain import both_ways, plain

Float = NDArray[np.float64]

RULES: Final = Association()
SPEED_VAR: Final = 4000.0**2  # the prior's
LINE: Final = np.array([2.0, -1.0, 2.0]) / 3.0
NONE_BIAS: Final = np.zeros(2)
FREE: Final[Push] = (0.0, 0.0, 0.0, 0.0)
COASTING: Final[Push] = (0.0, 0.0, 0.0, MOTION[4])


def place_cov(sigma_m: float, speed_var: float = SPEED_VAR) -> Float:
    """The covariance of a position alone."""
    return np.diag([sigma_m**2] * 3 + [speed_var] * 3)


def line_cov(across_m: float, along_m: float = 1e6, line: Float = LINE) -> Float:
    """The covariance of a line of sight alone."""
    cov = np.diag([across_m**2] * 3 + [SPEED_VAR] * 3)
    cov[:3, :3] += along_m**2 * np.outer(line, line)
    return cov


def whole_cov(sigma_m: float, sigma_m_s: float) -> Float:
    return np.diag([sigma_m**2] * 3 + [sigma_m_s**2] * 3)


COVS: Final = {
    6: whole_cov(300.0, 20.0),
    4: np.diag([300.0**2, 200.0**2, 1e12, 1600.0, SPEED_VAR, 900.0]),
    3: place_cov(300.0),
    2: line_cov(300.0),
}


@pytest.mark.parametrize("setting", [RULES.gate_chi2, RULES.split_chi2, RULES.echo_chi2])
def test_gates_leave_out_as_many_at_each_number_of_degrees_of_freedom(setting: float) -> None:
    found = quantiles(setting)
    assert found[WHOLE] == setting
    assert found[0] < 0.0  # where nothing is told, nothing is within
    np.testing.assert_allclose(chi2.sf(found[1:], np.arange(1, 7)), chi2.sf(setting, 6), rtol=1e-6)


@pytest.mark.parametrize("setting", [0.0, 200.0, 1e4])
def test_gates_at_the_ends_of_a_setting_are_ordered_numbers(setting: float) -> None:
    found = quantiles(setting)
    assert np.isfinite(found).all()
    assert (np.diff(found) >= 0.0).all()
    assert found[WHOLE] == setting


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), long=st.floats(0.0, 4.0))
@both_ways(spectrum)
def test_a_spectrum_agrees_with_a_general_solver(seed: int, long: float) -> None:
    rng = np.random.default_rng(seed)
    turn, _ = np.linalg.qr(rng.normal(size=(6, 6)))
    a = turn @ np.diag(10.0 ** rng.uniform(-long, long, 6)) @ turn.T
    a = 0.5 * (a + a.T)
    values, vectors = spectrum(a)
    np.testing.assert_allclose(np.sort(values), np.linalg.eigvalsh(a), atol=1e-13 * np.abs(a).max(), rtol=1e-12)
    np.testing.assert_allclose(vectors @ np.diag(values) @ vectors.T, a, atol=1e-13 * np.abs(a).max())
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(6), atol=1e-13)


def some_partial(rng: np.random.Generator) -> Float:
    """A covariance of any shape that tells of some directions and not of others."""
    cov = random_cov(rng, rng.uniform(0.1, 3.0))
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    unknown = rng.random(6) < 0.5
    cov[:3, :3] += turn[:, unknown[:3]] @ turn[:, unknown[:3]].T * rng.uniform(2e5, 2e6) ** 2
    cov[3:, 3:] += np.diag(unknown[3:] * rng.uniform(4e3, 1e4) ** 2)
    return cov


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000))
@both_ways(apart)
def test_what_partial_states_are_apart_agrees_with_a_general_solver(seed: int) -> None:
    rng = np.random.default_rng(seed)
    p1, p2 = some_partial(rng), random_cov(rng) if rng.random() < 0.5 else some_partial(rng)
    other = STATE + rng.normal(size=6) * np.repeat([500.0, 3000.0], 3)
    d2, log_det, freedom = apart(STATE, p1, other, p2, BIAS, PRIOR)
    d2_slow, log_det_slow, freedom_slow = oracle.apart(STATE, p1, other, p2, BIAS, PRIOR)
    assert freedom == freedom_slow
    assert d2 == pytest.approx(d2_slow, rel=1e-5, abs=1e-6)
    assert log_det == pytest.approx(log_det_slow, abs=1e-5)


@both_ways(told)
def test_what_a_covariance_tells_of_is_counted() -> None:
    for count, cov in COVS.items():
        assert told(cov, PRIOR) == count
    assert told(np.diag([1e12] * 3 + [1e9] * 3), PRIOR) == 0
    slanted = line_cov(100.0, 1.2 * np.sqrt(TOLD * PRIOR[0]), np.ones(3) / np.sqrt(3.0))  # no axis alone is that long
    assert np.diag(slanted)[:3].max() < TOLD * PRIOR[0]
    assert told(slanted, PRIOR) == 2


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000))
def test_two_whole_states_are_compared_as_ever_to_the_bit(seed: int) -> None:
    rng = np.random.default_rng(seed)
    p1, p2 = random_cov(rng), random_cov(rng, 3.0)
    other = STATE + rng.normal(size=6) * 100.0
    assert compare(STATE, p1, other, p2, BIAS, PRIOR) == (*distance(STATE, p1, other, p2, BIAS), WHOLE)
    assert apart(STATE, p1, other, p2, BIAS, PRIOR) == pytest.approx((*distance(STATE, p1, other, p2, BIAS), WHOLE), rel=1e-7)


def test_a_position_is_compared_with_the_position_alone_whatever_velocity_it_claims() -> None:
    whole = random_cov(np.random.default_rng(3))
    whole[:3, 3:] = whole[3:, :3] = 0.0
    for velocity in (0.0, 3000.0, -9000.0):
        alone = np.hstack([STATE[:3] + 500.0, np.full(3, velocity)])
        d2, log_det, freedom = compare(STATE, whole, alone, place_cov(200.0), NONE_BIAS, PRIOR)
        s, off = whole[:3, :3] + 200.0**2 * np.eye(3), np.full(3, 500.0)
        assert freedom == 3
        assert d2 == pytest.approx(float(off @ np.linalg.solve(s, off)), rel=1e-3)
        unseen = 6.0 * np.log(RULES.new_object_m_s)
        assert log_det == pytest.approx(np.linalg.slogdet(2.0 * np.pi * s)[1] + unseen, rel=1e-4)


def test_a_line_of_sight_is_compared_across_it_alone() -> None:
    across = np.cross(LINE, [0.0, 0.0, 1.0])
    across /= np.linalg.norm(across)
    for along_m in (0.0, 4e5, -1e6):
        seen = STATE.copy()
        seen[:3] += along_m * LINE + 700.0 * across
        d2, _, freedom = compare(STATE, whole_cov(100.0, 10.0), seen, line_cov(200.0), NONE_BIAS, PRIOR)
        assert freedom == 2
        assert d2 == pytest.approx(700.0**2 / (100.0**2 + 200.0**2), rel=1e-6)


def test_what_tells_nothing_of_one_another_is_within_no_gate() -> None:
    d2, log_det, freedom = compare(STATE, np.diag([1e12] * 3 + [1.0] * 3), STATE, place_cov(1.0), NONE_BIAS, PRIOR)
    assert (d2, freedom) == (0.0, 0)
    assert log_det == pytest.approx(3.0 * np.log(PRIOR).sum())  # the price of an unseen object
    assert not d2 <= GATES[freedom]
    assert apart(STATE, np.full((6, 6), np.nan), STATE, np.eye(6), BIAS, PRIOR) == (np.inf, np.inf, WHOLE)
    assert apart(STATE, -place_cov(1.0), STATE, np.zeros((6, 6)), NONE_BIAS, PRIOR) == (np.inf, np.inf, WHOLE)


@pytest.mark.parametrize("freedom", [2, 3, 4, 6])
def test_the_gate_keeps_as_many_true_pairs_as_its_setting_says(freedom: int) -> None:
    """100,000 pairs: those left out, of a gate of 0.9999 and of a half, are within the binomial's 1 in 1,000."""
    rng, n, partial, whole = np.random.default_rng(freedom), 100_000, COVS[freedom], whole_cov(100.0, 10.0)
    ones = rng.multivariate_normal(np.zeros(6), partial, n, method="cholesky")
    others = rng.multivariate_normal(np.zeros(6), whole, n, method="cholesky")
    d2 = np.empty(n)
    for k in range(n):
        d2[k], _, found = compare(ones[k], partial, others[k], whole, NONE_BIAS, PRIOR)
        assert found == freedom
    for setting in (RULES.gate_chi2, float(chi2.ppf(0.5, 6))):
        out = int((d2 > quantiles(setting)[freedom]).sum())
        low, high = (float(binom.ppf(share, n, chi2.sf(setting, 6))) for share in (0.0005, 0.9995))
        assert low <= out <= high


def test_a_pair_between_the_gates_of_three_and_of_six_is_refused() -> None:
    between = np.sqrt(0.5 * (GATES[3] + GATES[6]))
    within = np.sqrt(0.99 * GATES[3])
    assert GATES[3] < between**2 < GATES[6]
    rows, now, coast = np.array([0]), np.zeros(1, np.int64), np.array([[0.0, 1.0, 0.0]])
    for sigmas, count in ((within, 1), (between, 0)):
        seen = STATE.copy()
        seen[:3] += sigmas * np.sqrt(100.0**2 + 300.0**2) * np.array([0.6, 0.0, 0.8])
        one_table = rows, now, STATE[None], pack_cov(whole_cov(100.0, 10.0))[None], coast, np.array([1]), np.array([True])
        other_table = rows, now, seen[None], pack_cov(place_cov(300.0))[None], coast, np.array([2]), np.array([False])
        found = pairs_within(*one_table, *other_table, MOTION, NONE_BIAS, PRIOR, GATES, S)
        assert len(found[0]) == count


@pytest.mark.parametrize("apart_ns", [0, 1])
def test_two_whole_states_whose_difference_is_partial_are_compared_by_what_it_tells(apart_ns: int) -> None:
    """4 sigma along what is hardly told, 3.75 across: a place alone is outside the gate of six. One nanosecond decided."""
    cov, seen = np.diag([100e3**2, 100.0**2, 100.0**2, 100.0, 100.0, 100.0]), STATE.copy()
    seen[:2] += np.sqrt(2.0 * np.diag(cov)[:2] + BIAS[0]) * [4.0, 3.75]
    rows, coast = np.array([0]), np.array([[0.0, 1.0, 0.0]])
    assert told(cov, PRIOR) == WHOLE
    d2, _, freedom = compare(STATE, cov, seen, cov, BIAS, PRIOR)
    assert (freedom, d2 < GATES[5]) == (5, True)
    one, other = (
        (rows, np.array([at_ns]), state[None], pack_cov(cov)[None], coast, np.array([bit]), np.array([True]))
        for at_ns, state, bit in ((0, STATE, 1), (apart_ns, seen, 2))
    )
    assert len(pairs_within(*one, *other, MOTION, BIAS, PRIOR, GATES, S)[0]) == 1


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10_000))
def test_pairs_of_the_sweep_are_all_pairs_of_the_gates_with_partial_states_among_them(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = 60
    home = STATE + np.hstack([rng.normal(scale=3e4, size=(n, 3)), rng.normal(scale=100.0, size=(n, 3))])
    covs = [whole_cov(300.0, 20.0), place_cov(300.0), line_cov(300.0)]
    phase, rows = np.tile([0.0, 1.0, 0.0], (n, 1)), np.arange(n)
    sides = []
    for bit in (1, 2):
        cov = np.array([covs[kind] for kind in rng.choice(3, n, p=[0.8, 0.1, 0.1])])
        valid = rng.integers(0, 1_000_000_000, n)
        flown = np.array([align_one(x, np.eye(6), t * 1e-9, FREE)[0] for x, t in zip(home, valid, strict=True)])
        state = flown + np.array([rng.multivariate_normal(np.zeros(6), each, method="cholesky") for each in cov])
        sides.append((rows, valid, state, cov, phase, np.full(n, bit), np.array([told(each, PRIOR) == WHOLE for each in cov])))
    one, other = ((*side[:3], pack_cov(side[3]), *side[4:]) for side in sides)
    first, second, costs = pairs_within(*one, *other, MOTION, BIAS, PRIOR, GATES, 30 * S)
    slow = {}
    for i, j in itertools.product(range(n), range(n)):
        pair: list[Float] = []
        newest = max(sides[0][1][i], sides[1][1][j])
        for (_, valid, state, cov, _, _, whole), row in ((sides[0], i), (sides[1], j)):
            dt_s = (newest - valid[row]) * 1e-9
            push = accelerations(state[row], 0.0, 1.0, 0.0, dt_s, MOTION, whole[row])  # in the air a little drag
            pair += align_one(state[row], cov[row], dt_s, push)
        d2, log_det, freedom = oracle.apart(pair[0], pair[1], pair[2], pair[3], BIAS, PRIOR)
        if d2 <= GATES[freedom]:
            slow[i, j] = d2 + log_det
    found = dict(zip(zip(first.tolist(), second.tolist(), strict=True), costs.tolist(), strict=True))
    assert found.keys() == slow.keys()
    assert len(slow) >= n - 3
    assert [found[pair] for pair in slow] == pytest.approx(list(slow.values()), abs=1e-3)


LONG: Final = [
    pytest.param(line_cov(1.0, 1e6), id="1 m2 across, 1e12 m2 along a slanted line"),
    pytest.param(np.diag([1.0, 1e12, 1.0, SPEED_VAR, SPEED_VAR, SPEED_VAR]), id="along an axis"),
    pytest.param(place_cov(1.0, 1e8), id="a position of 1 m"),
    pytest.param(line_cov(1.0, 1e6) + np.diag([0.0] * 3 + [1e9] * 3), id="a line, and any velocity"),
]


@pytest.mark.parametrize("cov", LONG)
def test_covariances_of_very_different_lengths_survive_inversion(cov: Float) -> None:
    """Against rational numbers: what is known is right in four digits, and what is not known stays unknown."""
    exact = oracle.exact_inverse(cov)
    for kernel in (inverse, plain(inverse)):
        sound, info = kernel(cov)
        assert sound
        np.testing.assert_allclose(info, exact, atol=1e-3 * np.abs(exact).max(), rtol=1e-3)
        assert abs(LINE @ (info - exact)[:3, :3] @ LINE) < 1e-14
    sure = whole_cov(50.0, 5.0)
    states = np.array([STATE, STATE])
    states[1, :3] += 3e5 * LINE
    states[1, 3:] = 0.0
    for order in ([0, 1], [1, 0]):
        sound, x, p = combine(states[order], np.array([sure, cov])[order], np.array([1, 2]), 0.0)
        x_exact, p_exact = oracle.exact_information_fusion(states[order], np.array([sure, cov])[order])
        assert sound
        np.testing.assert_allclose(p, p_exact, rtol=2e-3, atol=2e-3)
        np.testing.assert_allclose((x - x_exact) / np.sqrt(np.diag(p_exact)), 0.0, atol=1e-2)
    sound, _, _, p = intersect(states, np.array([sure, cov]))
    assert sound
    assert np.linalg.eigvalsh(p).min() > 0.0
    assert np.linalg.slogdet(p)[1] <= np.linalg.slogdet(sure)[1] + 0.035  # 6 * the tolerance of the optimum


@pytest.mark.parametrize("cov", LONG)
@pytest.mark.parametrize("dt_s", [-2.0, 0.5, 2.9, 8.0])
def test_a_flight_keeps_what_a_partial_report_tells(cov: Float, dt_s: float) -> None:
    """Where it is less what its velocity makes of it: that stays as sure as it was, and the covariance positive definite."""
    x, p = align_one(STATE, cov + np.diag([1.0] * 3 + [0.0] * 3), dt_s, FREE)
    assert np.linalg.eigvalsh(p / np.outer(np.sqrt(np.diag(p)), np.sqrt(np.diag(p)))).min() > 0.0
    _, p_slow = oracle.align(STATE, cov + np.diag([1.0] * 3 + [0.0] * 3), dt_s, FREE)
    scale = np.sqrt(np.outer(np.diag(p_slow), np.diag(p_slow)))
    np.testing.assert_allclose(p / scale, p_slow / scale, atol=1e-3)
    assert told(p, PRIOR) == told(cov, PRIOR)
    back = align_one(x, p, -dt_s, FREE)[1]
    across = np.linalg.svd(LINE[None])[2][1:]
    kept, were = across @ back[:3, :3] @ across.T, across @ cov[:3, :3] @ across.T + np.eye(2)
    np.testing.assert_allclose(kept, were, atol=2e-3 * were.max())


@pytest.mark.parametrize("freedom", [2, 3])
@pytest.mark.parametrize("speed_m_s", [0.0, 2000.0, 6000.0])
def test_a_report_of_unknown_velocity_is_as_far_from_the_truth_after_seconds_as_chi_square_says(
    freedom: int, speed_m_s: float
) -> None:
    """It says 0, and the object flies at any speed: in the directions that it tells of, d2 is right, but for 1 in 1,000."""
    rng, n, cov = np.random.default_rng(1), 400, COVS[freedom]
    position = np.diag([1.0] * 3 + [0.0] * 3) @ cov @ np.diag([1.0] * 3 + [0.0] * 3) + np.diag([0.0] * 3 + [1e-12] * 3)
    total = 0.0
    for _ in range(n):
        way = rng.normal(size=3)
        true = np.hstack([1.05 * STATE[:3], speed_m_s * way / np.linalg.norm(way)])
        seen = true + rng.multivariate_normal(np.zeros(6), position, method="cholesky")
        seen[3:] = 0.0
        dt_s = rng.uniform(0.5, 5.0)
        x, p = align_one(seen, cov, dt_s, COASTING)
        d2, _, found = compare(x, p, oracle.fly(true, dt_s, np.zeros(3), 50), 1e-6 * np.eye(6), NONE_BIAS, PRIOR)
        assert found == freedom
        total += d2
    low, high = (float(chi2.ppf(share, freedom * n)) for share in (0.0005, 0.9995))
    assert low < total < high


@both_ways(accelerations)
def test_what_is_beside_free_flight_at_a_speed_not_known_may_be_the_most_there_is_on_any_axis() -> None:
    """Not by the velocity that it claims: it is pushed nowhere, and braked nowhere."""
    for state in (np.hstack([STATE[:3], np.zeros(3)]), STATE, 0.97 * STATE, 2.0 * STATE):
        braked = 0.0, 0.0, 0.0, np.hypot(MOST_DRAG_M_S2, MOTION[4])
        assert accelerations(state, 0.0, 0.0, 1.0, 1.0, MOTION, False) == pytest.approx(braked)
        assert accelerations(state, 0.0, 1.0, 0.0, 1.0, MOTION, False) == pytest.approx(COASTING)
        *push, any_way = accelerations(state, 1.0, 0.0, 0.0, 1.0, MOTION, False)
        assert push == [0.0, 0.0, 0.0]
        assert np.sqrt(3.0) * any_way > max(accelerations(each, 1.0, 0.0, 0.0, 0.0, MOTION)[0] for each in (STATE, 5.0 * STATE))
        assert accelerations(state, 0.0, 0.0, 0.0, 1.0, MOTION, False) == (0.0, 0.0, 0.0, any_way)
        mixed = np.sqrt(0.5 * any_way**2 + 0.25 * MOST_DRAG_M_S2**2 + 0.5 * MOTION[4] ** 2)
        assert accelerations(state, 0.5, 0.25, 0.25, 1.0, MOTION, False)[3] == pytest.approx(mixed)


def fused(states: Float, covs: Float, column: int = -1, pedigree: tuple[int, ...] = (1, 2, 4), bound: float = 0.0) -> list[Any]:
    """What `fuse_many` makes of one object in coast, reported at one time: state, covariance, and how far the column is off."""
    n = len(states)
    members = np.array([[k if k < n else -1 for k in range(3)]])
    _, _, x, p, _, off = fuse_many(
        members,
        np.zeros(1, np.int64),
        np.full(n, 10**15),
        states,
        pack_cov(covs),
        np.tile([0.0, 255.0, 0.0], (n, 1)),
        np.array(pedigree[:n]),
        np.array([told(cov, PRIOR) == WHOLE for cov in covs]),
        MOTION,
        np.array([0.1, bound, 0.2]),
        0.05,
        20 * S,
        NONE_BIAS,
        PRIOR,
        quantiles(RULES.split_chi2),
        column,
    )
    return [x[0], unpack_cov(p[0]), off[0]]


def test_a_position_makes_the_position_better_and_leaves_the_velocity() -> None:
    sure = whole_cov(300.0, 20.0)
    seen = np.hstack([STATE[:3] + 200.0, np.zeros(3)])
    x, p, _ = fused(np.array([STATE, seen]), np.array([sure, place_cov(100.0)]))
    np.testing.assert_allclose(np.diag(p)[:3], 1.0 / (1.0 / 300.0**2 + 1.0 / 100.0**2), rtol=1e-6)
    np.testing.assert_allclose(x[:3] - STATE[:3], 200.0 * 0.9, rtol=1e-6)
    np.testing.assert_allclose(np.diag(p)[3:], 20.0**2, rtol=1e-4)
    assert np.abs(x[3:] - STATE[3:]).max() < 0.1 * 20.0
    _, wider, _ = fused(np.array([STATE, seen]), np.array([sure, place_cov(100.0)]), bound=0.2)
    np.testing.assert_allclose(wider, 1.2 * p, rtol=1e-9)  # no more than two whole ones cost


def test_a_line_of_sight_pulls_across_it_and_not_along() -> None:
    across = np.cross(LINE, [0.0, 0.0, 1.0])
    across /= np.linalg.norm(across)
    seen = np.hstack([STATE[:3] + 5e5 * LINE + 200.0 * across, np.zeros(3)])
    x, p, _ = fused(np.array([STATE, seen]), np.array([whole_cov(300.0, 20.0), line_cov(100.0)]))
    moved = x[:3] - STATE[:3]
    assert moved @ across == pytest.approx(200.0 * 0.9, rel=1e-4)
    assert abs(moved @ LINE) < 0.5
    assert across @ p[:3, :3] @ across == pytest.approx(1.0 / (1.0 / 300.0**2 + 1.0 / 100.0**2), rel=1e-4)
    assert LINE @ p[:3, :3] @ LINE == pytest.approx(300.0**2, rel=1e-4)
    np.testing.assert_allclose(np.diag(p)[3:], 20.0**2, rtol=1e-4)


def test_two_lines_that_cross_tell_a_place() -> None:
    other = np.array([0.0, 0.6, -0.8])
    seen = np.array([np.hstack([STATE[:3] + 3e5 * LINE, np.zeros(3)]), np.hstack([STATE[:3] - 2e5 * other, np.zeros(3)])])
    x, p, _ = fused(seen, np.array([line_cov(100.0), line_cov(100.0, line=other)]))
    assert np.linalg.norm(x[:3] - STATE[:3]) < 5.0
    assert np.trace(p[:3, :3]) < 3.0 * 300.0**2
    assert told(p, PRIOR) == 3


def test_three_that_do_not_tell_a_velocity_do_not_tell_it_together() -> None:
    _, p, _ = fused(np.tile(STATE, (3, 1)), np.tile(place_cov(100.0), (3, 1, 1)))
    assert told(p, PRIOR) == 3
    assert told(align_one(STATE, p, 3.0, FREE)[1], PRIOR) == 3


@pytest.mark.parametrize(("freedom", "cov"), [(3, place_cov(300.0)), (2, line_cov(300.0)), (6, whole_cov(300.0, 20.0))])
def test_a_member_is_inconsistent_beyond_the_quantile_of_what_it_tells(freedom: int, cov: Float) -> None:
    across = np.cross(LINE, [0.0, 0.0, 1.0])
    across /= np.linalg.norm(across)
    limit = quantiles(RULES.split_chi2)[freedom]
    for share in (0.98, 1.02):
        seen = STATE.copy()
        seen[:3] += np.sqrt(share * limit) * np.hypot(300.0, 100.0) * across
        for states, covs, column in (
            (np.array([STATE, seen]), np.array([whole_cov(100.0, 20.0), cov]), 1),
            (np.array([seen, STATE]), np.array([cov, whole_cov(100.0, 20.0)]), 1),
        ):
            assert fused(states, covs, column)[2] == pytest.approx(share * RULES.split_chi2, rel=1e-3)


def test_members_that_tell_nothing_of_one_another_are_not_inconsistent() -> None:
    speeds = np.diag([1e12] * 3 + [100.0] * 3)
    assert np.isnan(fused(np.array([STATE, STATE + 1e5]), np.array([speeds, place_cov(100.0)]), 1)[2])


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 2))
def test_partial_members_are_fused_as_compiled_and_as_written(seed: int, column: int) -> None:
    rng = np.random.default_rng(seed)
    covs = np.array([some_partial(rng), random_cov(rng), some_partial(rng)])
    states = STATE + rng.normal(size=(3, 6)) * np.repeat([300.0, 10.0], 3)
    pedigree = tuple(rng.choice([0, 1, 2, 4, 3], 3).tolist())
    x, p, off = fused(states, covs, column, pedigree)
    _, x_one, p_one = plain(combine)(states, covs, np.array(pedigree), 0.0)
    scale = np.sqrt(np.diag(p_one))
    np.testing.assert_allclose((x - x_one) / scale, 0.0, atol=1e-5)
    np.testing.assert_allclose(p / np.outer(scale, scale), p_one / np.outer(scale, scale), atol=1e-5)
    splits, nearest = quantiles(RULES.split_chi2), np.nan
    for other in {0, 1, 2} - {column}:
        d2, _, freedom = oracle.apart(states[column], covs[column], states[other], covs[other], NONE_BIAS, PRIOR)
        if freedom:
            nearest = np.fmin(nearest, d2 * splits[WHOLE] / splits[freedom])
    assert off == pytest.approx(nearest, rel=1e-4, nan_ok=True)


def test_a_room_is_taken_by_the_trace_in_units_of_the_prior() -> None:
    assert room(np.diag([PRIOR[0]] * 3 + [PRIOR[1]] * 3), PRIOR) == pytest.approx(6.0)
    np.testing.assert_array_equal(prior_of(RULES), PRIOR)
    assert PRIOR.tolist() == [RULES.new_object_m**2, RULES.new_object_m_s**2]
