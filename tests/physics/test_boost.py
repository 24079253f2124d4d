"""Launch estimates in boost against a population of flights, and what they stand on against a twin that samples."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from physics import ascent, boost
from physics.ascent import velocity_of, weighed
from physics.boost import boost_origin
from physics.ground import ellipse, ground_state
from tests.physics.population import SENSORS, Sensor, Shot, apart2, offset_m, population, reported, shots, told
from tests.physics.states import shot
from tests.plain import both_ways

Float = NDArray[np.float64]


def seen() -> list[Shot]:
    return shots(population(540, 11), "boost", 5) + shots(population(540, 11), "boost", 6)


@pytest.mark.parametrize("sensor", SENSORS)
def test_the_ellipse_holds_the_true_launch_point(sensor: Sensor) -> None:
    """Of 95 percent, for 92 to 98 of 100; the time within one sigma for 60 to 80."""
    rng, far2, late, half_axes = np.random.default_rng(7), [], [], []
    for at_s, state, flight in seen():
        back_s, sigma_s, lat, lon, spread = boost_origin(*reported(state, sensor, rng))
        far2.append(apart2(lat, lon, spread, flight.launch_geodetic))
        late.append((at_s - back_s) / sigma_s)
        half_axes.append(ellipse(spread)[:2])
    inside, timely = told(f"launch, boost, {sensor}", far2, late, half_axes)
    assert 0.92 <= inside <= 0.98
    assert 0.60 <= timely <= 0.80


def test_large_liquid_missiles_are_not_launched_late() -> None:
    """They rise slowly: a usual acceleration put their launch some 40 s late."""
    cov = np.diag([100.0**2] * 3 + [5.0**2] * 3)
    late = [
        at_s - boost_origin(state, cov)[0]
        for at_s, state, flight in seen()
        if flight.burnout_s > 190.0 and 8e3 < ground_state(state, cov)[0][2] < 50e3
    ]
    assert len(late) > 25
    assert abs(float(np.mean(late))) < 3.0
    assert float(np.std(late)) < 8.0


def test_the_constants_are_those_of_the_population() -> None:
    """By bands of height: the fits' means within half their sigma, their spread up to 1.5 times theirs; and so the ascent's.
    What is off across the heading is within a factor of 1.4, however steep the path.
    """
    time, share, speed, tilt, x, across, steep = [], [], [], [], [], [], []
    for at_s, state, flight in seen():
        geodetic, v, _ = ground_state(state, np.eye(6))
        flat = math.hypot(v[0], v[1])
        z = np.zeros(6)
        z[2], z[3] = math.log(geodetic[2] / 1e4), math.atan2(flat, v[2])
        z[5] = math.log(math.hypot(flat, v[2]) / 1e3)
        off = offset_m(geodetic[0], geodetic[1], flight.launch_geodetic)
        covered_m = np.linalg.norm(off)
        way_m = covered_m / flat * math.hypot(flat, v[2])
        across.append((off[0] * v[1] - off[1] * v[0]) / flat / (boost._TURN_RAD_S * at_s * way_m))
        steep.append(math.degrees(math.atan2(v[2], flat)))
        time.append(math.log(at_s / boost._power(boost._TIME, z)) / boost._open(boost._TIME_SIGMA, z[2]))
        share.append(math.log(covered_m / flat / boost._power(boost._SHARE, z)) / boost._open(boost._SHARE_SIGMA, z[2]))
        speed.append((z[5] - ascent._W_AT_0 - ascent._W_SLOPE * z[2]) / ascent._W_SIGMA)
        tilt.append(z[3] / min(ascent._TILT_AT_0 + ascent._TILT_SLOPE * z[2], ascent._TILT_MOST) / math.sqrt(2.0))
        x.append(z[2])
    for low, high in ((-0.3, 0.4), (0.4, 1.1), (1.1, 1.8), (1.8, 2.6), (2.6, 4.2)):
        band = (np.array(x) > low) & (np.array(x) <= high)
        for fit in (time, share, speed):
            values = np.array(fit)[band]
            assert abs(values.mean()) < 0.5
            assert 0.4 < np.sqrt((values**2).mean()) < 1.5
        assert 0.75 < np.sqrt((np.array(tilt)[band] ** 2).mean()) < 1.25
    for low, high in ((0.0, 45.0), (45.0, 65.0), (65.0, 75.0), (75.0, 90.0)):
        band = (np.array(steep) > low) & (np.array(steep) <= high)
        assert 0.7 < np.sqrt((np.array(across)[band] ** 2).mean()) < 1.4
    assert abs(np.mean(x) - ascent._X_MEAN) < 0.2
    assert abs(np.std(x) - ascent._X_SIGMA) < 0.2


@both_ways(weighed, velocity_of)
def test_a_well_known_state_is_taken_as_it_is() -> None:
    for _, state, _ in seen()[:50]:
        geodetic, v, cov = ground_state(state, np.diag([1.0] * 3 + [0.01] * 3))
        z, spread = weighed(geodetic[2], v, cov)
        there = np.empty(3)
        velocity_of(z, there)
        np.testing.assert_allclose(there, v, rtol=0, atol=0.1)
        assert 1e4 * math.exp(z[2]) == pytest.approx(geodetic[2], abs=2.0)
        assert np.sqrt(spread[0, 0]) == pytest.approx(1.0, rel=1e-3)


def test_a_poorly_known_state_is_weighed_as_by_sampling() -> None:
    """Twin: many draws of the population, weighted by how likely the report is of each."""
    rng, n = np.random.default_rng(3), 400_000
    x = ascent._X_MEAN + ascent._X_SIGMA * rng.standard_normal(n)
    w = ascent._W_AT_0 + ascent._W_SLOPE * x + ascent._W_SIGMA * rng.standard_normal(n)
    off = []
    for _, state, _ in seen()[:40]:
        geodetic, v, cov = ground_state(*reported(state, "infrared", rng))
        start = math.log(max(geodetic[2], 1e3) / 1e4)
        sigma = min(max(ascent._TILT_AT_0 + ascent._TILT_SLOPE * start, 0.1), ascent._TILT_MOST)
        tilt = sigma * rng.standard_normal((n, 2))
        angle, speed = np.hypot(tilt[:, 0], tilt[:, 1]), 1e3 * np.exp(w)
        flat = tilt * (speed * np.sinc(angle / np.pi))[:, None]
        of = np.column_stack([1e4 * np.exp(x), flat, speed * np.cos(angle)])
        d = np.concatenate([[geodetic[2]], v]) - of
        log = -0.5 * np.einsum("ni,ij,nj->n", d, np.linalg.inv(cov[2:, 2:]), d)
        weight = np.exp(log - log.max())
        weight /= weight.sum()
        if 1.0 / (weight**2).sum() < 300.0:
            continue  # too few draws are like this report
        twin = np.column_stack([x, tilt, w]).T @ weight
        z, spread = weighed(geodetic[2], v, cov)
        off.append((z[2:] - twin) / np.sqrt(np.diag(spread)[2:]))
    assert len(off) > 10
    assert np.sqrt((np.array(off) ** 2).mean()) < 0.35


def test_nothing_raises_and_what_is_sound_gives_numbers() -> None:
    cov = np.diag([1e4] * 3 + [100.0] * 3)
    for state in (shot(700.0, 90.0, alt_m=20e3), shot(700.0, -40.0, alt_m=20e3), shot(10.0, alt_m=20e3), shot(alt_m=-500.0)):
        for spread in (cov, np.zeros((6, 6)), 1e6 * cov):
            back_s, sigma_s, lat, lon, (east, both, north) = boost_origin(state, spread)
            assert math.isfinite(back_s + sigma_s + lat + lon)
            assert back_s > 0.0
            assert east >= 0.0
            assert east * north >= both * both * (1.0 - 1e-9)
    assert math.isnan(boost_origin(np.full(6, np.nan), cov)[0])
    assert math.isnan(boost_origin(shot(), np.full((6, 6), np.nan))[0])
    boost_origin(np.zeros(6), cov)


def test_straight_up_is_launched_from_below() -> None:
    state = shot(700.0, 90.0, alt_m=20e3)
    geodetic, _, _ = ground_state(state, np.eye(6))
    _, _, lat, lon, _ = boost_origin(state, np.diag([1.0] * 3 + [0.01] * 3))
    assert np.linalg.norm(offset_m(geodetic[0], geodetic[1], np.array([lat, lon]))) < 10.0
