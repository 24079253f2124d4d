"""Covariances as tables hold them, against numpy."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bus.columns import TRIANGLE, pack_cov, unpack_cov
from fusion.triangle import VARIANCES, place_of, square, traces, triangle_of, velocity_of
from tests.plain import both_ways


@given(st.integers(0, 2**32 - 1))
@both_ways(square, triangle_of, place_of, velocity_of, traces)
def test_a_triangle_is_half_of_its_matrix(seed: int) -> None:
    triangle = np.random.default_rng(seed).normal(size=TRIANGLE)
    cov = square(triangle)
    np.testing.assert_array_equal(cov, unpack_cov(triangle))
    np.testing.assert_array_equal(triangle_of(cov), triangle)
    np.testing.assert_array_equal(triangle_of(cov), pack_cov(cov))
    np.testing.assert_array_equal(triangle[list(VARIANCES)], np.diag(cov))
    np.testing.assert_array_equal(place_of(triangle), cov[:3, :3][np.triu_indices(3)])
    np.testing.assert_array_equal(velocity_of(triangle), cov[3:, 3:][np.triu_indices(3)])
    np.testing.assert_allclose(traces(triangle), (np.trace(cov[:3, :3]), np.trace(cov[3:, 3:])))
