"""What one look merges: cells, chains, power, glint."""

from __future__ import annotations

import numpy as np

from sensors.resolution import resolve
from tests.plain import both_ways

SITE = np.zeros(3)
NONE = np.zeros(4)


def at(*places: tuple[float, float]) -> np.ndarray:
    """Points by distance, m, and angle, rad, off the x axis."""
    return np.array([[r * np.cos(a), r * np.sin(a), 0.0] for r, a in places])


@both_ways(resolve)
def test_two_in_one_cell_give_one_detection_where_the_power_is() -> None:
    points = at((1e6, 0.0), (1e6 + 40.0, 0.001), (1e6 + 500.0, 0.0))
    strongest, places, power, spread = resolve(SITE, points, np.array([1.0, 3.0, 5.0]), NONE[:3], 100.0, 0.01)
    assert strongest.tolist() == [1, 2]
    assert power.tolist() == [4.0, 5.0]
    np.testing.assert_allclose(places[0], 0.25 * points[0] + 0.75 * points[1])
    d = points[1] - points[0]
    np.testing.assert_allclose(spread[0], (0.75**2 + 0.25**2) / 2.0 * np.outer(d, d), rtol=1e-9)
    assert not spread[1].any()


def test_what_differs_in_range_or_in_angle_is_resolved() -> None:
    for other in ((1e6 + 101.0, 0.0), (1e6, 0.0101)):
        assert len(resolve(SITE, at((1e6, 0.0), other), np.ones(2), NONE[:2], 100.0, 0.01)[0]) == 2


def test_cells_join_in_chains() -> None:
    points = at((1e6, 0.0), (1e6 + 160.0, 0.0), (1e6 + 80.0, 0.0))
    assert len(resolve(SITE, points, np.ones(3), NONE[:3], 100.0, 0.01)[0]) == 1


def test_glint_wanders_about_the_middle_as_far_as_the_objects_are_apart() -> None:
    points, powers, rng = at((1e6, 0.0), (1e6, 0.008)), np.array([1.0, 2.0]), np.random.default_rng(3)
    found = [resolve(SITE, points, powers, rng.normal(size=2), 100.0, 0.01) for _ in range(20_000)]
    places = np.array([places[0] for _, places, _, _ in found])
    np.testing.assert_allclose(places.mean(axis=0), (points[0] + 2.0 * points[1]) / 3.0, atol=60.0)
    d = points[1] - points[0]
    np.testing.assert_allclose(np.cov(places.T)[:2, :2], (2.0 / 9.0 * np.outer(d, d))[:2, :2], rtol=0.05, atol=1e3)
    assert len(resolve(SITE, points[:0], powers[:0], NONE[:0], 100.0, 0.01)[0]) == 0
