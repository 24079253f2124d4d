"""Launch estimates by the phase of the first report."""

from __future__ import annotations

import numpy as np
import pytest

from fusion.assess import Origin, mixture, origin_of
from fusion.settings import Assessment
from tests.fusion.scenes import flight

COV = np.diag([500.0**2] * 3 + [50.0**2] * 3)
RULES = Assessment()


def phase(boost: float, coast: float) -> np.ndarray:
    return np.array([boost, coast, 0.0]) * 255.0


def test_an_unsure_phase_gives_an_estimate_between_the_two_and_wider_than_either() -> None:
    state = flight(100)[70]
    boosted, coasted, unsure = (origin_of(state, COV, phase(b, 1.0 - b), RULES) for b in (1.0, 0.0, 0.5))
    assert boosted is not None
    assert coasted is not None
    assert unsure is not None
    assert unsure.back_s == pytest.approx(0.5 * (boosted.back_s + coasted.back_s))
    assert unsure.sigma_s > 0.7 * max(boosted.sigma_s, coasted.sigma_s)
    assert min(boosted.lat_rad, coasted.lat_rad) - 1e-9 <= unsure.lat_rad <= max(boosted.lat_rad, coasted.lat_rad) + 1e-9


def test_what_comes_down_has_not_just_been_launched() -> None:
    """A first report in re-entry whose tracker was not sure of the phase gave a launch minutes ago, of a flight of an hour."""
    down = flight(100)[70].copy()
    down[3:] -= 2.0 * (down[3:] @ down[:3]) / (down[:3] @ down[:3]) * down[:3]
    as_boost = origin_of(down, COV, phase(0.5, 0.5), RULES)
    as_coast = origin_of(down, COV, phase(0.0, 1.0), RULES)
    assert as_boost == as_coast


def test_a_mixture_has_the_moments_of_a_sample_of_both() -> None:
    rng = np.random.default_rng(1)
    one = Origin(0.7, 2.2, (4e6, 1e6, 9e6), 60.0, 5.0)
    other = Origin(0.7 + 5e3 / 6_371_008.8, 2.2, (1e6, -5e5, 2e6), 90.0, 20.0)
    n, share = 200_000, 0.3
    first = rng.random(n) < share
    offsets = np.where(
        first[:, None],
        rng.multivariate_normal([0.0, 0.0], [[4e6, 1e6], [1e6, 9e6]], n),
        rng.multivariate_normal([0.0, 5e3], [[1e6, -5e5], [-5e5, 2e6]], n),
    )
    back_s = np.where(first, rng.normal(60.0, 5.0, n), rng.normal(90.0, 20.0, n))
    mixed = mixture(one, other, share)
    cov = np.cov(offsets.T)
    np.testing.assert_allclose(mixed.spread, (cov[0, 0], cov[0, 1], cov[1, 1]), rtol=0.03, atol=3e4)
    assert (mixed.lat_rad - 0.7) * 6_371_008.8 == pytest.approx(offsets[:, 1].mean(), abs=30.0)
    assert mixed.back_s == pytest.approx(back_s.mean(), abs=0.2)
    assert mixed.sigma_s == pytest.approx(back_s.std(), rel=0.01)
