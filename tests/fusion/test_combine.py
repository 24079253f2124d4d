"""Combining by pedigree: what is independent adds up, what is not never counts twice, and the claim is never too small."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import chi2

from fusion.combine import FIRST_DRAG_M_S2, SOME_DRAG_M_S2, combine, correlation_of, intersect, kin
from tests import oracles_fusion as oracle
from tests.fusion.test_kernels import STATE, random_cov
from tests.plain import both_ways

Float = NDArray[np.float64]
APART = np.array([1, 2, 4])


def members(rng: np.random.Generator, k: int) -> tuple[Float, Float]:
    covs = np.array([random_cov(rng, scale) for scale in rng.uniform(0.2, 2.0, size=k)])
    return np.array([rng.multivariate_normal(STATE, cov, method="cholesky") for cov in covs]), covs


@pytest.mark.parametrize("k", [1, 2, 3])
@both_ways(combine)
def test_reports_without_a_sensor_in_common_add_their_information(k: int) -> None:
    rng = np.random.default_rng(1)
    for _ in range(20):
        states, covs = members(rng, k)
        sound, x, p = combine(states, covs, APART[:k], 0.0)
        x_slow, p_slow = oracle.information_fusion(states, covs)
        assert sound
        np.testing.assert_allclose(p, p_slow, rtol=1e-6)
        np.testing.assert_allclose(x, x_slow, atol=1e-6 * np.sqrt(np.diag(p_slow)).max())


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 3), st.floats(0.0, 0.9))
def test_the_claim_is_never_smaller_than_any_joint_error_within_the_bound_allows(seed: int, k: int, correlation: float) -> None:
    """Errors of normalised correlation up to the bound, in any directions: the true covariance of the estimate is held."""
    rng = np.random.default_rng(seed)
    states, covs = members(rng, k)
    _, _, claimed = combine(states, covs, APART[:k], correlation)
    roots = [np.linalg.cholesky(cov) for cov in covs]
    infos = np.linalg.inv(covs)
    gains = [np.linalg.solve(infos.sum(axis=0), info) for info in infos]
    true = np.zeros((6, 6))
    turn, _ = np.linalg.qr(rng.normal(size=(6, 6)))
    for i in range(k):
        for j in range(k):
            shared = np.eye(6) if i == j else correlation * (turn if i < j else turn.T)
            if k == 3 and i != j:
                shared = correlation * np.eye(6)  # three turns need not fit together; one direction does
            true += gains[i] @ roots[i] @ shared @ roots[j].T @ gains[j].T
    scale = np.linalg.inv(np.linalg.cholesky(claimed))
    assert np.linalg.eigvalsh(scale @ true @ scale.T).max() <= 1.0 + 1e-6


def test_the_bound_is_met_where_equals_correlate_as_much() -> None:
    cov = random_cov(np.random.default_rng(2))
    _, _, p = combine(np.tile(STATE, (3, 1)), np.tile(cov, (3, 1, 1)), APART, 0.4)
    np.testing.assert_allclose(p, (1.0 + 2.0 * 0.4) / 3.0 * cov, rtol=1e-9)


def test_independent_reports_are_as_good_as_claimed() -> None:
    """ANEES of 2,000 draws of three inside the 99-percent bounds of chi-square."""
    rng, n, total = np.random.default_rng(3), 2000, 0.0
    for _ in range(n):
        states, covs = members(rng, 3)
        _, x, p = combine(states, covs, APART, 0.0)
        total += (x - STATE) @ np.linalg.solve(p, x - STATE)
    low, high = (float(chi2.ppf(share, 6 * n)) / (6 * n) for share in (0.005, 0.995))
    assert low < total / (6 * n) < high


@pytest.mark.parametrize("pedigree", [[1, 1, 1], [3, 6, 4], [0, 0, 0], [5, 6, 8 | 1]])
@both_ways(combine)
def test_reports_that_share_a_sensor_or_tell_of_none_are_intersected(pedigree: list[int]) -> None:
    states, covs = members(np.random.default_rng(4), 3)
    sound, x, p = combine(states, covs, np.array(pedigree), 0.0)
    _, _, x_slow, p_slow = intersect(states, covs)
    assert sound
    np.testing.assert_allclose(x, x_slow)
    np.testing.assert_allclose(p, p_slow)


def test_a_report_that_holds_a_partners_sensor_never_counts_twice() -> None:
    """Two say the same, the third is independent: as good as one of the two and the third, and no better."""
    states, covs = members(np.random.default_rng(5), 2)
    _, x, p = combine(states[[0, 0, 1]], covs[[0, 0, 1]], np.array([1, 3, 4]), 0.0)
    x_slow, p_slow = oracle.information_fusion(states, covs)
    np.testing.assert_allclose(p, p_slow, rtol=1e-6)
    np.testing.assert_allclose(x, x_slow, atol=1e-3)


@pytest.mark.parametrize("echo", [0, 1, 2])
@both_ways(combine)
def test_what_tells_no_sensor_is_intersected_with_what_the_others_give(echo: int) -> None:
    """It may be made of them all, and that those are independent stays so."""
    states, covs = members(np.random.default_rng(7), 3)
    others = np.array([i for i in range(3) if i != echo])
    pedigree = np.array([0 if i == echo else 1 << i for i in range(3)])
    _, x_told, p_told = combine(states[others], covs[others], pedigree[others], 0.1)
    sound, x, p = combine(states, covs, pedigree, 0.1)
    _, _, x_slow, p_slow = intersect(np.stack([x_told, states[echo]]), np.stack([p_told, covs[echo]]))
    assert sound
    np.testing.assert_allclose(x, x_slow)
    np.testing.assert_allclose(p, p_slow)


def test_an_estimate_that_comes_back_changes_nothing() -> None:
    states, covs = members(np.random.default_rng(8), 2)
    _, x, p = combine(states, covs, np.array([1, 2]), 0.1)
    _, x_again, p_again = combine(np.vstack([states, x[None]]), np.vstack([covs, p[None]]), np.array([1, 2, 0]), 0.1)
    np.testing.assert_allclose(p_again, p, rtol=1e-6)
    np.testing.assert_allclose(x_again, x, atol=1e-3)


@settings(deadline=None)  # the first example compiles
@given(st.lists(st.integers(0, 63), min_size=1, max_size=3))
@both_ways(kin)
def test_kin_are_those_connected_by_sensors(pedigree: list[int]) -> None:
    assert kin(np.array(pedigree)).tolist() == oracle.kin(pedigree)


def test_numbers_without_an_inverse_leave_the_surest_member() -> None:
    states, covs = members(np.random.default_rng(6), 2)
    covs[1] = np.ones((6, 6)) * 1e-3
    sound, x, p = combine(states, covs, APART[:2], 0.0)
    assert not sound
    np.testing.assert_array_equal(x, states[1])
    np.testing.assert_array_equal(p, covs[1])


@both_ways(correlation_of)
def test_the_bound_goes_by_phase_and_drag_and_what_is_not_known_boosts() -> None:
    bounds = np.array([0.4, 0.0, 0.2, 0.16])
    falls = np.array([0.0, 0.0, 255.0])
    assert correlation_of(np.array([0.5, 0.5, 0.0]), 30.0, False, bounds) == pytest.approx(0.2)
    assert correlation_of(falls, 1e9, True, bounds) == pytest.approx(0.2)
    assert correlation_of(falls, SOME_DRAG_M_S2, False, bounds) == pytest.approx(0.1)
    assert correlation_of(falls, 0.0, True, bounds) == 0.0
    assert correlation_of(np.zeros(3), 0.0, True, bounds) == 0.4


@both_ways(correlation_of)
def test_where_what_comes_down_first_feels_air_errors_have_a_part_in_common() -> None:
    bounds = np.array([0.4, 0.0, 0.0, 0.16])
    coasts, falls = np.array([0.0, 255.0, 0.0]), np.array([0.0, 0.0, 255.0])
    for phase in (coasts, falls, coasts + falls):
        assert correlation_of(phase, FIRST_DRAG_M_S2, True, bounds) == pytest.approx(0.16)
        assert correlation_of(phase, FIRST_DRAG_M_S2, False, bounds) == 0.0
        for drag_m_s2 in (0.1 * FIRST_DRAG_M_S2, 10.0 * FIRST_DRAG_M_S2):
            assert correlation_of(phase, drag_m_s2, True, bounds) == pytest.approx(0.16 * 40.0 / 121.0)
    assert correlation_of(np.array([255.0, 0.0, 0.0]), FIRST_DRAG_M_S2, True, bounds) == 0.4
    assert correlation_of(coasts, FIRST_DRAG_M_S2, True, np.array([0.0, 1.0, 1.0, 1.0])) == 1.0
