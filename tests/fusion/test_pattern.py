"""Offset and assignment together: against every way there is, and where they are not to be believed."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from fusion.pattern import _ROUNDS, find_pattern, settle
from tests import oracles_fusion as oracle
from tests.plain import both_ways

Float = NDArray[np.float64]

_MIDDLE = np.array([-3.05e6, 4.05e6, 4.05e6, 900.0, -700.0, 1500.0])
_SIGMAS = np.repeat([150.0, 8.0], 3)
_BIAS = np.array([100.0**2, 2.0**2])
_MISS = 123.0
_PRIOR_M = 3000.0


def two_feeds(
    n: int, seed: int, offset_m: Float, *, apart_m: float = 4000.0, apart_m_s: float = 60.0, missing: tuple[int, ...] = ()
) -> tuple[Float, Float, Float, Float]:
    """`n` objects as the first feed has them, displaced, and as the second does, less the `missing`, in an order of its own."""
    rng = np.random.default_rng(seed)
    true = _MIDDLE + rng.normal(size=(n, 6)) * np.repeat([apart_m, apart_m_s], 3)
    covs = np.tile(np.diag(_SIGMAS**2), (n, 1, 1))
    first = true + rng.normal(size=(n, 6)) * _SIGMAS
    first[:, :3] += offset_m
    kept = [i for i in range(n) if i not in missing]
    return first, covs, (true + rng.normal(size=(n, 6)) * _SIGMAS)[kept][::-1], covs[: len(kept)]


@pytest.mark.parametrize("seed", range(12))
def test_offset_and_pairs_are_the_best_of_every_way_there_is(seed: int) -> None:
    offset = np.random.default_rng(100 + seed).normal(size=3) * 1500.0
    feeds = two_feeds(4, seed, offset, missing=(seed % 4,) if seed % 2 else ())
    found = find_pattern(*feeds, _PRIOR_M**2, _BIAS, _MISS)
    _, best, pairs = oracle.pattern(*feeds, _PRIOR_M**2, _BIAS, _MISS)
    assert found is not None
    assert {(int(i), int(j)) for i, j in found.pairs} == pairs
    np.testing.assert_allclose(found.offset_m, best, atol=1.0)


@pytest.mark.parametrize("seed", range(6))
@both_ways(settle)
def test_assignment_and_least_squares_by_turns_are_those_of_whole_matrices(seed: int) -> None:
    """Of objects so near that their rows want the same columns."""
    rng = np.random.default_rng(seed)
    first, covs, second, covs_b = two_feeds(4, seed, rng.normal(size=3) * 1500.0, apart_m=300.0, apart_m_s=12.0, missing=(2,))
    apart, spread = first[:, None] - second[None], covs[:, None] + covs_b[None] + np.diag(np.repeat(_BIAS, 3))
    information = np.asarray(np.linalg.inv(spread), np.float64)
    log_det = np.asarray(np.linalg.slogdet(2.0 * np.pi * spread)[1], np.float64)
    starts = apart[..., :3].reshape(-1, 3)[:5]
    found = settle(starts, apart, information, log_det, _PRIOR_M**2, _MISS)
    for start, offset, score, sharp in zip(starts, *found, strict=True):
        twin = oracle.pattern_from(start, apart, information, log_det, _PRIOR_M**2, _MISS, _ROUNDS)
        np.testing.assert_allclose(offset, twin[0], rtol=1e-9, atol=1e-6)
        assert score == pytest.approx(twin[1], rel=1e-9)
        np.testing.assert_allclose(sharp, twin[2], rtol=1e-9)


@pytest.mark.parametrize("seed", range(6))
def test_eighteen_objects_are_found_under_an_offset_of_many_sigma(seed: int) -> None:
    offset = np.array([2500.0, -1500.0, 1800.0])
    found = find_pattern(*two_feeds(18, seed, offset, missing=(3,)), _PRIOR_M**2, _BIAS, _MISS)
    assert found is not None
    right = [j == 16 - (i - (i > 3)) for i, j in found.pairs.tolist()]
    assert len(right) >= 17
    assert sum(right) >= 17
    assert found.margin > 30.0
    assert np.linalg.norm(found.offset_m - offset) < 4.0 * 150.0 * np.sqrt(2.0 / 17.0) * 1.8


def test_a_row_of_like_objects_that_may_be_shifted_by_one_is_not_believed() -> None:
    """Five in a row, a kilometre apart, of which either feed sees four: which four, their velocities do not tell."""
    row = _MIDDLE + np.arange(5)[:, None] * np.array([1000.0, 0.0, 0.0, 0.0, 0.0, 0.0])
    covs = np.tile(np.diag(_SIGMAS**2), (4, 1, 1))
    found = find_pattern(row[1:], covs, row[:4], covs, _PRIOR_M**2, _BIAS, 60.0)
    assert found is None


def test_nothing_is_found_where_no_velocities_agree() -> None:
    first, covs, second, _ = two_feeds(3, 1, np.zeros(3))
    second[:, 3:] += 500.0
    assert find_pattern(first, covs, second, covs, _PRIOR_M**2, _BIAS, _MISS) is None
