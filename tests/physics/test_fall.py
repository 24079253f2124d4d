"""Falls against an independent integrator, sensitivities against many falls, impacts against a population of flights."""

from __future__ import annotations

import math

import numpy as np
import pymap3d
import pytest
from numpy.typing import NDArray

from physics.atmosphere import air
from physics.constants import USUAL_BETA_KG_M2, USUAL_BETA_SIGMA
from physics.fall import (
    COLUMNS,
    DISPLACES,
    GROUND_BAD_INPUT,
    GROUND_NEVER,
    GROUND_OK,
    apogee_m,
    between,
    carry_into,
    felt,
    impact,
    step_s,
    to_ground,
)
from physics.frames import altitude_m
from physics.ground import ellipse
from physics.motion import drag_rate
from physics.propagate import numbers, propagate_one, rk4
from tests.oracles_physics import fall
from tests.physics.population import INSIDE, LN_BETA, REGIMES, SENSORS, Regime, Sensor, apart2, population, reported, shots, told
from tests.physics.states import shot
from tests.plain import both_ways

Float = NDArray[np.float64]

BETA_KG_M2, BETA_SIGMA = USUAL_BETA_KG_M2, USUAL_BETA_SIGMA


def test_arguments_are_never_changed_and_may_be_read_only() -> None:
    state, cov = shot(), np.eye(6)
    for array in (state, cov):
        array.setflags(write=False)
    to_ground(state, cov, 5000.0, 0.3, 3000.0)


def test_a_fall_ends_on_the_ellipsoid() -> None:
    status, seconds, state, cov = to_ground(shot(), np.eye(6), 0.0, 0.0, 3000.0)
    assert status == GROUND_OK
    assert abs(altitude_m(state[:3])) < 1.0
    np.testing.assert_allclose(state, propagate_one(shot(), seconds), rtol=0, atol=1.0)
    assert np.linalg.eigvalsh(cov).min() > 0.0


@pytest.mark.parametrize("beta_kg_m2", [2000.0, 9765.0])
@pytest.mark.parametrize(
    ("speed_m_s", "elevation_deg", "alt_m"), [(1500.0, 30.0, 70e3), (3000.0, 45.0, 100e3), (6000.0, 10.0, 150e3)]
)
@both_ways(to_ground, few=1)
def test_a_fall_through_the_air_agrees_with_an_independent_integrator(
    beta_kg_m2: float, speed_m_s: float, elevation_deg: float, alt_m: float
) -> None:
    state = shot(speed_m_s, elevation_deg, alt_m=alt_m)
    seconds_there, there = fall(state, beta_kg_m2)
    status, seconds, got, _ = to_ground(state, np.eye(6), beta_kg_m2, 0.0, 9000.0)
    assert status == GROUND_OK
    assert seconds == pytest.approx(seconds_there, abs=0.02)
    assert np.linalg.norm(got[:3] - there[:3]) < 20.0
    assert np.linalg.norm(got[3:] - there[3:]) < 1.0


@pytest.mark.parametrize("beta_kg_m2", [2000.0, 9765.0])
@pytest.mark.parametrize(
    ("speed_m_s", "elevation_deg", "alt_m"),
    [(1500.0, -40.0, 40e3), (600.0, 45.0, 40e3), (3000.0, 45.0, 100e3), (7000.0, 40.0, 150e3)],
)
def test_long_steps_come_down_where_short_ones_do(
    beta_kg_m2: float, speed_m_s: float, elevation_deg: float, alt_m: float
) -> None:
    """Twin: steps of a fiftieth of a second, the last cut by its heights."""
    x, t = shot(speed_m_s, elevation_deg, alt_m=alt_m), 0.0
    after = x
    while altitude_m(after[:3]) > 0.0:
        x, after, t = after, rk4(after, 0.02, beta_kg_m2), t + 0.02
    rest_s = 0.02 * altitude_m(after[:3]) / (altitude_m(after[:3]) - altitude_m(x[:3]))
    status, fall_s, there, _ = to_ground(shot(speed_m_s, elevation_deg, alt_m=alt_m), np.eye(6), beta_kg_m2, 0.0, 9000.0)
    assert status == GROUND_OK
    assert fall_s == pytest.approx(t - rest_s, abs=3e-3)
    np.testing.assert_allclose(there[:3], after[:3] - rest_s * after[3:], rtol=0, atol=15.0)


@pytest.mark.parametrize(
    ("speed_m_s", "elevation_deg", "alt_m"),
    [(600.0, 45.0, 40e3), (1500.0, 30.0, 70e3), (3000.0, 80.0, 100e3), (6000.0, 40.0, 150e3)],
)
@both_ways(apogee_m, few=1)
def test_the_apogee_is_the_highest_point_of_the_flight(speed_m_s: float, elevation_deg: float, alt_m: float) -> None:
    state, top = shot(speed_m_s, elevation_deg, alt_m=alt_m), 0.0
    while altitude_m(state[:3]) > top:
        top = altitude_m(state[:3])
        state = propagate_one(state, 1.0)
    assert top > alt_m + 5e3
    assert apogee_m(shot(speed_m_s, elevation_deg, alt_m=alt_m)) == pytest.approx(top, rel=0.003)


@both_ways(impact, few=1)
def test_an_impact_is_where_and_when_falls_end_and_as_wide_as_they_scatter() -> None:
    """Twin: falls of an independent integrator from a state moved a little in each of its numbers, without air."""
    state, cov = shot(2000.0, 40.0), np.diag([100.0**2] * 3 + [5.0**2] * 3)

    def ends(x: Float) -> Float:
        seconds, there = fall(x, math.inf)
        return np.array([seconds, *pymap3d.ecef2geodetic(*there[:3])[:2]])

    middle, steps = ends(state), np.array([50.0] * 3 + [1.0] * 3)
    slopes = np.array([(ends(state + d) - ends(state - d)) / (2.0 * d.sum()) for d in np.diag(steps)]).T
    lat = math.radians(middle[1])
    slopes[1:] *= 6.37e6 * math.pi / 180.0 * np.array([[1.0], [math.cos(lat)]])
    scatter = slopes @ cov @ slopes.T
    status, fall_s, sigma_s, lat_rad, lon_rad, (east, both, north) = impact(state, cov, 0.0, 0.0, 3000.0)
    assert status == GROUND_OK
    assert (fall_s, math.degrees(lat_rad), math.degrees(lon_rad)) == pytest.approx(tuple(middle), abs=1e-3)
    assert sigma_s == pytest.approx(math.sqrt(scatter[0, 0]), rel=0.02)
    scale = math.sqrt(scatter[1, 1] * scatter[2, 2])
    assert (east, both, north) == pytest.approx((scatter[2, 2], scatter[1, 2], scatter[1, 1]), rel=0.02, abs=0.02 * scale)


def test_what_escapes_has_no_apogee() -> None:
    assert apogee_m(shot(12_000.0)) == np.inf


def test_drag_brings_a_light_body_down_short_and_slow() -> None:
    free = to_ground(shot(2000.0), np.eye(6), 0.0, 0.0, 3000.0)
    heavy = to_ground(shot(2000.0), np.eye(6), 10_000.0, 0.0, 3000.0)
    light = to_ground(shot(2000.0), np.eye(6), 1_000.0, 0.0, 3000.0)
    speeds = [float(np.linalg.norm(each[2][3:])) for each in (free, heavy, light)]
    assert speeds == sorted(speeds, reverse=True)
    assert light[1] > heavy[1]


def test_a_leaf_falls_at_its_last_speed() -> None:
    status, _, state, _ = to_ground(shot(100.0, -90.0, alt_m=3e3), np.eye(6), 10.0, 0.0, 3000.0)
    density, _ = air(0.0)
    assert status == GROUND_OK
    assert np.linalg.norm(state[3:]) == pytest.approx(math.sqrt(2.0 * 9.80 * 10.0 / density), rel=0.01)


def test_what_does_not_come_down_in_time_says_so() -> None:
    status, seconds, state, cov = to_ground(shot(11_500.0, 90.0), np.eye(6), 0.0, 0.0, 1000.0)
    assert status == GROUND_NEVER
    assert seconds == 1000.0
    np.testing.assert_allclose(state, propagate_one(shot(11_500.0, 90.0), 1000.0), rtol=0, atol=1.0)
    assert np.isnan(cov).all()
    assert to_ground(shot(11_500.0, 90.0), np.eye(6), 0.0, 0.0, math.inf)[0] == GROUND_NEVER


def test_bad_input_gives_a_status_and_nan() -> None:
    assert to_ground(shot(), np.eye(6), 0.0, -1.0, 10.0)[0] == GROUND_BAD_INPUT
    assert to_ground(shot(), np.eye(6), 0.0, 0.0, math.nan)[0] == GROUND_BAD_INPUT
    status, seconds, state, cov = to_ground(np.full(6, np.nan), np.eye(6), 0.0, 0.0, 10.0)
    assert status == GROUND_BAD_INPUT
    assert math.isnan(seconds)
    assert np.isnan(state).all()
    assert np.isnan(cov).all()


def test_the_coefficient_is_that_of_the_catalogue() -> None:
    assert np.log(BETA_KG_M2) == pytest.approx(LN_BETA.mean(), abs=0.02)
    assert pytest.approx(LN_BETA.std(), abs=0.01) == BETA_SIGMA


@pytest.mark.parametrize("alt_m", [150e3, 60e3, 30e3])
@both_ways(step_s, between, carry_into, rk4, numbers, few=1)
def test_sensitivities_are_the_differences_of_falls(alt_m: float) -> None:
    """Twin: the same steps from a state moved a little, in each of its numbers and in the coefficient."""
    state, beta = shot(2500.0, -35.0, alt_m=alt_m), 6000.0

    to, x, lengths_s = np.eye(6, COLUMNS), state.copy(), []
    while altitude_m(x[:3]) > 10e3:
        h_s = step_s(numbers(x), altitude_m(x[:3]), drag_rate(x, beta))
        lengths_s.append(h_s)
        after = rk4(x, h_s, beta)
        carry_into(to, between(numbers(x), numbers(after)), h_s, beta)
        x = after

    def fallen(x: Float, ln_beta: float) -> Float:
        for h_s in lengths_s:
            x = rk4(x, h_s, math.exp(ln_beta))
        return x

    steps = np.array([10.0, 10.0, 10.0, 0.1, 0.1, 0.1])
    twin = np.empty((6, 7))
    for k, step in enumerate(steps):
        offset = step * np.eye(6)[k]
        twin[:, k] = (fallen(state + offset, math.log(beta)) - fallen(state - offset, math.log(beta))) / (2.0 * step)
    twin[:, 6] = (fallen(state, math.log(beta) + 1e-3) - fallen(state, math.log(beta) - 1e-3)) / 2e-3
    scale = np.abs(twin).max(axis=0, keepdims=True).repeat(6, axis=0)
    scale[:3], scale[3:] = np.abs(twin[:3]).max(axis=0), np.abs(twin[3:]).max(axis=0)
    np.testing.assert_allclose(to[:, :7] / scale, twin / scale, rtol=0, atol=0.08)  # one scale height for all the air


def test_drag_forgets_speed_and_an_unknown_coefficient_widens() -> None:
    state, cov = shot(2500.0, -35.0, alt_m=60e3), np.diag([100.0**2] * 3 + [100.0**2] * 3)
    free, thick, unsure = (impact(state, cov, beta, s, 900.0)[5] for beta, s in ((0.0, 0.0), (4000.0, 0.0), (4000.0, 0.5)))
    assert ellipse(thick)[0] < ellipse(free)[0]
    assert ellipse(unsure)[0] > ellipse(thick)[0]


@pytest.mark.parametrize("sensor", SENSORS)
@pytest.mark.parametrize("regime", [regime for regime in REGIMES if regime != "boost"])
def test_the_ellipse_holds_the_true_impact(regime: Regime, sensor: Sensor) -> None:
    """Of 95 percent, for 92 to 98 of 100; the time within one sigma for 60 to 80."""
    rng, far2, late, half_axes = np.random.default_rng(7), [], [], []
    for at_s, state, flight in shots(population(540, 11), regime, 5) + shots(population(540, 11), regime, 6):
        seen, cov = reported(state, sensor, rng)
        status, fall_s, sigma_s, lat, lon, spread = impact(seen, cov, BETA_KG_M2, BETA_SIGMA, 7200.0)
        assert status == GROUND_OK
        far2.append(apart2(lat, lon, spread, flight.impact_geodetic))
        late.append((flight.flight_s - at_s - fall_s) / sigma_s)
        half_axes.append(ellipse(spread)[:2])
    inside, timely = told(f"impact, {regime}, {sensor}", far2, late, half_axes)
    assert 0.92 <= inside <= 0.98
    assert 0.60 <= timely <= 0.80


@pytest.mark.parametrize("sigma", [0.0, 0.05, 0.31, 0.6])
@both_ways(felt)
def test_the_coefficient_felt_is_that_of_the_mean_of_what_drag_displaces(sigma: float) -> None:
    """By quadrature over the logarithm."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    weights = weights / weights.sum()
    displaced = (BETA_KG_M2 * np.exp(sigma * nodes)) ** -DISPLACES
    mean = weights @ displaced
    beta, told_sigma = felt(BETA_KG_M2, sigma)
    assert beta**-DISPLACES == pytest.approx(mean)
    assert DISPLACES * told_sigma * mean == pytest.approx(np.sqrt(weights @ (displaced - mean) ** 2), rel=1e-6, abs=1e-12)


@pytest.mark.parametrize(
    ("speed_m_s", "elevation_deg"), [(1500.0, 30.0), (2000.0, 45.0), (2500.0, 50.0), (4000.0, 80.0), (5000.0, 35.0)]
)
def test_impacts_by_a_coefficient_that_is_not_known_scatter_as_told(speed_m_s: float, elevation_deg: float) -> None:
    """To first order about the median impacts of light bodies were outside: of a type with 5,000 kg/m2 61 of 100 in a salvo."""
    state, cov, late, far2 = shot(speed_m_s, elevation_deg, alt_m=50e3), np.diag([30.0**2] * 3 + [0.01**2] * 3), [], []
    _, fall_s, sigma_s, lat, lon, spread = impact(state, cov, BETA_KG_M2, BETA_SIGMA, 7200.0)
    for beta in BETA_KG_M2 * np.exp(BETA_SIGMA * np.random.default_rng(1).standard_normal(500)):
        _, seconds, _, lat_b, lon_b, _ = impact(state, cov, beta, 0.0, 7200.0)
        late.append((seconds - fall_s) / sigma_s)
        far2.append(apart2(lat, lon, spread, np.array([lat_b, lon_b])))
    assert abs(np.mean(late)) < 0.15
    assert 0.9 < np.std(late) < 1.15
    assert 0.965 < np.mean(np.array(far2) < INSIDE) < 0.995  # along a line: 0.986
    _, _, _, lat_b, lon_b, _ = impact(state, cov, 5000.0, 0.0, 7200.0)
    assert apart2(lat, lon, spread, np.array([lat_b, lon_b])) < INSIDE


def test_a_coefficient_that_is_known_narrows_and_still_holds() -> None:
    """A filter's estimate, within 5 percent, of re-entering objects."""
    rng, far2, late, half_axes, ratio = np.random.default_rng(8), [], [], [], []
    for at_s, state, flight in shots(population(540, 11), "reentry", 5):
        seen, cov = reported(state, "radar", rng)
        known = math.exp(math.log(flight_beta(flight.states)) + 0.05 * rng.standard_normal())
        status, fall_s, sigma_s, lat, lon, spread = impact(seen, cov, known, 0.05, 7200.0)
        assert status == GROUND_OK
        far2.append(apart2(lat, lon, spread, flight.impact_geodetic))
        late.append((flight.flight_s - at_s - fall_s) / sigma_s)
        half_axes.append(ellipse(spread)[:2])
        ratio.append(sigma_s / impact(seen, cov, BETA_KG_M2, BETA_SIGMA, 7200.0)[2])
    inside, timely = told("impact, reentry, radar, coefficient known", far2, late, half_axes)
    assert 0.92 <= inside <= 0.98
    assert 0.60 <= timely <= 0.80
    assert np.median(ratio) < 0.8  # of the time: the coefficient moves it more than the place


def flight_beta(states: Float) -> float:
    """The coefficient that a flight fell by, from its last two steps of a whole length."""
    x, after = states[-3], states[-2]
    betas = np.exp(np.unique(LN_BETA))
    return float(min(betas, key=lambda beta: float(np.linalg.norm(rk4(x, 0.25, beta) - after))))


def test_nothing_raises() -> None:
    cov = np.eye(6)
    for state in (np.full(6, np.nan), np.zeros(6), shot(0.0), shot(3000.0, -90.0), shot(3000.0, 90.0), shot(alt_m=-100.0)):
        status, *numbers = impact(state, cov, BETA_KG_M2, BETA_SIGMA, 7200.0)
        assert status in (GROUND_OK, GROUND_NEVER, GROUND_BAD_INPUT)
        assert len(numbers) == 5
    assert impact(shot(), np.full((6, 6), np.nan), BETA_KG_M2, BETA_SIGMA, 7200.0)[0] == GROUND_BAD_INPUT
