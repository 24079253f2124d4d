"""The filter's small products against the library's."""

from __future__ import annotations

import numpy as np
import pytest

from sensors.products import inverse3, kept, square_root, through, times_root
from tests.plain import both_ways


@pytest.mark.parametrize("columns", [3, 9, 18])
@both_ways(through, kept, times_root)
def test_products_are_those_of_whole_matrices(columns: int) -> None:
    rng = np.random.default_rng(columns)
    a, gain, root = rng.normal(size=(9, columns)), rng.normal(size=(9, 3)), rng.normal(size=(3, 3))
    f = rng.normal(size=(9, 9)) * (rng.random((9, 9)) < 0.4)
    position = np.eye(3, 9)
    np.testing.assert_allclose(through(f, a), f @ a, atol=1e-12)
    np.testing.assert_allclose(kept(a, gain, root), a - gain @ root.T @ position @ a, atol=1e-12)
    np.testing.assert_allclose(times_root(a.T.copy(), root), a.T[:, :3] @ root, atol=1e-12)


@both_ways(inverse3, square_root)
def test_an_inverse_and_a_root_are_of_their_matrix() -> None:
    rng = np.random.default_rng(1)
    for _ in range(20):
        half = rng.normal(size=(3, 3))
        s = half @ half.T + 0.1 * np.eye(3)
        inverse, det = inverse3(s)
        np.testing.assert_allclose(inverse @ s, np.eye(3), atol=1e-9)
        assert det == pytest.approx(np.linalg.det(s))
        flat = s - s @ half[:, :1] @ half[:, :1].T @ s / (half[:, 0] @ s @ half[:, 0])  # of rank two
        np.testing.assert_allclose(square_root(flat) @ square_root(flat).T, flat, atol=1e-9)
