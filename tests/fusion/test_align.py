"""Alignment against true flights of every type, in boost, in vacuum and in air: where they come to, and how far off it may be."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.integrate import solve_ivp

from fusion.align import SHORT_S, Push, accelerations, align_one, flown
from fusion.associate import Associator
from fusion.settings import FusionSettings
from physics.motion import ballistic_acceleration, drag_rate
from sensors.flight import STEP_S
from tests.physics.population import population, shots
from tests.plain import both_ways

Float = NDArray[np.float64]
SPANS_S = (1.0, 3.0, 10.0)
FREE: Push = (0.0, 0.0, 0.0, 0.0)
SIGMA = np.repeat([50.0, 10.0], 3)  # of a radar's report


@cache
def burning() -> list[tuple[Float, Float]]:
    """True states in boost, and those 1, 3 and 10 s later; burns end meanwhile."""
    out = []
    for seed in (5, 6, 7):
        for at_s, state, flight in shots(population(180, 11), "boost", seed):
            row = round(at_s / STEP_S)
            out.append((state, flight.states[[row + int(dt_s / STEP_S) for dt_s in SPANS_S]]))
    return out


def errors(dt_s: float, motion: Float | None) -> tuple[float, float]:
    """RMS of what true states are off by when aligned, m and m/s; without `motion`, by free flight."""
    off = []
    for state, later in burning():
        push = FREE if motion is None else accelerations(state, 1.0, 0.0, 0.0, dt_s, motion)
        x, _ = align_one(state, np.diag(SIGMA**2), dt_s, push)
        off.append(x - later[SPANS_S.index(dt_s)])
    squares = np.array(off) ** 2
    return float(np.sqrt(squares[:, :3].sum() / len(off))), float(np.sqrt(squares[:, 3:].sum() / len(off)))


@pytest.mark.parametrize("dt_s", SPANS_S)
def test_a_boosting_report_is_aligned_by_thrust_and_not_by_free_flight(dt_s: float) -> None:
    """With some half of free flight's error or less, and up to SHORT_S that as it is said to be: ANEES of reports of 0.7 to 1.2.

    Over 10 s burns end and stages change, which no constant acceleration does: ANEES of 4.6 there.
    """
    motion, rng, nees = Associator(FusionSettings()).motion, np.random.default_rng(4), []
    for state, later in burning():
        reported = state + SIGMA * rng.standard_normal(6)
        push = accelerations(reported, 1.0, 0.0, 0.0, dt_s, motion)
        x, p = align_one(reported, np.diag(SIGMA**2), dt_s, push)
        off = x - later[SPANS_S.index(dt_s)]
        nees.append(off @ np.linalg.solve(p, off) / 6.0)
    (off_m, slip_m_s), (free_m, free_m_s), anees = errors(dt_s, motion), errors(dt_s, None), float(np.mean(nees))
    print(f"{dt_s:g} s: {off_m:.1f} m, {slip_m_s:.1f} m/s, ANEES {anees:.2f}; free flight {free_m:.1f} m, {free_m_s:.1f} m/s")
    assert slip_m_s < 0.55 * free_m_s
    assert off_m < 0.5 * free_m
    assert 0.7 < anees < (1.2 if dt_s <= SHORT_S else 5.0)


def test_a_coasting_report_of_a_second_ago_is_as_good_as_one_of_now() -> None:
    """In vacuum, with the velocity known to 3 cm/s: what flight leaves out does not widen it by a hundredth."""
    state = np.array([-3.05e6, 4.65e6, 4.65e6, 900.0, -700.0, 1500.0])
    cov = np.diag([20.0**2] * 3 + [0.03**2] * 3)
    for phase in ((0.0, 1.0, 0.0), (0.0, 0.0, 1.0)):
        _, p = align_one(state, cov, 1.0, accelerations(state, *phase, 1.0, Associator(FusionSettings()).motion))
        assert np.trace(p[3:, 3:]) < 1.01 * np.trace(cov[3:, 3:])


def braked(state: Float, dt_s: float, beta_kg_m2: float) -> Float:
    """Free fall with drag, by an adaptive integrator."""

    def rate(_: float, x: Float) -> Float:
        return np.hstack([x[3:], ballistic_acceleration(x) + drag_rate(x, beta_kg_m2) * x[3:]])

    end: Float = solve_ivp(rate, (0.0, dt_s), state, method="DOP853", rtol=1e-10, atol=1e-6).y[:, -1]
    return end


MOTION = Associator(FusionSettings()).motion
UP = np.array([-3.05e6, 4.05e6, 3.95e6]) / np.linalg.norm([-3.05e6, 4.05e6, 3.95e6])
ALONG = np.cross(UP, [0.0, 0.0, 1.0]) / np.linalg.norm(np.cross(UP, [0.0, 0.0, 1.0]))


@pytest.mark.parametrize("dt_s", [10.0, 20.0, 30.0])
@pytest.mark.parametrize(
    ("height_m", "speed_m_s", "below_deg"), [(110e3, 5000.0, 35.0), (60e3, 2500.0, 45.0), (40e3, 2000.0, 50.0)]
)
@both_ways(flown, few=1)
def test_what_falls_into_air_is_where_it_is_said_to_be_though_its_last_report_is_old(
    dt_s: float, height_m: float, speed_m_s: float, below_deg: float
) -> None:
    """Of every ballistic coefficient of the catalogue, before and after a tracker has seen drag: within what chi-square of 6
    degrees of freedom exceeds once in a hundred, without any error of the report.

    One step of a constant drag was off by 5.5 km after 30 s, and told 180 m.
    """
    below = np.radians(below_deg)
    state = np.hstack([(6.37e6 + height_m) * UP, speed_m_s * (np.cos(below) * ALONG - np.sin(below) * UP)])
    for phase in ((0.0, 1.0, 0.0), (0.0, 0.0, 1.0)):
        x, p = flown(state, np.diag(np.repeat([30.0**2, 1.5**2], 3)), *phase, dt_s, MOTION, True, 0.0)
        for beta_kg_m2 in (5000.0, 8000.0, 19530.0):
            off = x - braked(state, dt_s, beta_kg_m2)
            assert off @ np.linalg.solve(p, off) < 16.8


@pytest.mark.parametrize("dt_s", [-30.0, -2.0, 2.0, 30.0])
def test_what_stays_above_air_flies_in_one_piece(dt_s: float) -> None:
    state, cov = np.hstack([7e6 * UP, 3000.0 * ALONG]), np.diag(SIGMA**2)
    for phase in ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0)):
        mean, along, across, sigma = accelerations(state, *phase, dt_s, MOTION)
        once = align_one(state, cov, dt_s, (mean, along, across, np.hypot(sigma, 0.05)))
        for told, wanted in zip(flown(state, cov, *phase, dt_s, MOTION, True, 0.05), once, strict=True):
            np.testing.assert_array_equal(told, wanted)
