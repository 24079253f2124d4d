"""How far apart feeds' reports are: each kernel against small steps, or numpy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bus.columns import pack_cov
from fusion.apart import differences, joined, own_var, telling
from fusion.partial import prior_of
from fusion.settings import Association
from physics.motion import ballistic_acceleration
from tests import oracles_fusion as oracle
from tests.fusion.scenes import START_NS, S, scattered
from tests.plain import both_ways

Float = NDArray[np.float64]
Rows = NDArray[np.int64]

_SIGMA = np.repeat([100.0, 8.0], 3)
_COASTING = 0.0, 0.0, 0.0, 0.05


@both_ways(differences)
def test_differences_agree_with_small_steps() -> None:
    rng, n = np.random.default_rng(1), 6
    state, cov = scattered(n, 1), np.tile(np.diag(_SIGMA**2), (n, 1, 1))
    shift, phase = rng.normal(size=(n, 6)) * 10.0, np.tile([0.0, 1.0, 0.0], (n, 1))
    valid = START_NS + rng.integers(-2 * S, 2 * S, n)
    ones, others, motion = np.arange(3), np.arange(3, 6), np.array([0.4, 0.3, 0.5, 1.0, 0.05])
    apart, spread, velocity, pull = differences(ones, others, valid, state, shift, pack_cov(cov), phase, motion)
    for k in range(3):
        at_ns = max(valid[k], valid[3 + k])
        (x, p), (y, q) = (oracle.align(state[i] + shift[i], cov[i], (at_ns - valid[i]) / S, _COASTING) for i in (k, 3 + k))
        np.testing.assert_allclose(apart[k], x - y, atol=0.01)
        np.testing.assert_allclose(spread[k], p + q, rtol=1e-3, atol=1.0)
        np.testing.assert_allclose(velocity[k], 0.5 * (x + y)[3:], atol=0.01)
        np.testing.assert_allclose(pull[k], ballistic_acceleration(0.5 * (x + y)), atol=1e-5)


@both_ways(telling)
def test_reports_tell_of_an_offset_where_they_know_place_and_velocity() -> None:
    prior, rows = prior_of(Association()), np.array([3, 0, 2, 4])
    cov = np.tile(np.diag(_SIGMA**2), (5, 1, 1))
    cov[2, 4, 4] = prior[1]  # a velocity that is not known
    cov[3, 0, 0] = 1e12  # a line of sight
    assert telling(rows, pack_cov(cov), prior).tolist() == [0, 4]


@settings(deadline=None)  # the first example compiles
@given(st.integers(0, 2**32 - 1), st.integers(0, 40))
@both_ways(own_var)
def test_a_feeds_own_error_is_that_of_its_surest_quarter_of_those_that_tell(seed: int, n: int) -> None:
    rng, prior = np.random.default_rng(seed), prior_of(Association())
    sigma = np.hstack([rng.uniform(10.0, 5000.0, (n, 3)), rng.uniform(1.0, 50.0, (n, 3))])
    unsure = rng.random(n) < 0.3
    sigma[unsure, 0] = 1e6
    cov, rows = np.array([np.diag(each**2) for each in sigma]).reshape(n, 6, 6), rng.permutation(n)
    told = [(sigma[row, :3] ** 2).mean() for row in rows if not unsure[row]]
    found = own_var(rows, pack_cov(cov), prior)
    assert found == pytest.approx(np.quantile(told, 0.25), rel=1e-12) if told else np.isnan(found)


@settings(deadline=None)  # the first example compiles
@given(st.integers(0, 2**32 - 1), st.sampled_from([3, 40, 130, 400]))
@both_ways(joined)
def test_objects_in_common_are_taken_evenly_from_all_and_only_where_they_tell(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    number, mask = rng.integers(0, 3, n), rng.integers(0, 8, n)
    members = np.where(mask[:, None] >> np.arange(3) & 1, np.arange(3 * n).reshape(n, 3), -1)
    valid_ns, cov = rng.integers(0, 7 * S, 3 * n), np.tile(np.eye(6), (3 * n, 1, 1))
    cov[rng.random(3 * n) < 0.1, 0, 0] = 1e12
    cov[rng.random(3 * n) < 0.1, 4, 4] = 1e12
    both = [system for system in range(n) if number[system] and mask[system] & 5 == 5]
    told = [
        [a, b]
        for a, b in members[both[:: 1 + len(both) // 48]][:, [0, 2]].tolist()
        if abs(valid_ns[a] - valid_ns[b]) <= 5 * S and max(cov[a].max(), cov[b].max()) < 1e12
    ]
    assert joined(number, mask, members, 0, 2, valid_ns, pack_cov(cov), prior_of(Association())).tolist() == told
