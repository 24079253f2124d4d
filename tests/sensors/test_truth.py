"""Truth: a pure function of the scenario, smooth, and the published salvo's shape."""

from __future__ import annotations

import numpy as np
import pytest

from physics.frames import altitude_m, geodetic_to_ecef
from sensors.flight import STEP_S
from sensors.missiles import missile_types
from sensors.scenario import SCENARIOS, load_scenario
from sensors.truth import PHASE_NONE, _phases, _states, build_truth
from tests.plain import both_ways

NS = 1_000_000_000


def test_the_salvo_is_18_missiles_of_the_published_apogee_and_range() -> None:
    truth = build_truth(load_scenario("salvo-2024-05-30"))
    assert len(truth.launches) == 18
    for launch in truth.launches:
        assert launch.apogee_km == pytest.approx(100.0, rel=0.01)
        assert launch.range_km == pytest.approx(350.0, rel=0.01)


def test_no_two_missiles_of_the_salvo_are_ever_in_one_place() -> None:
    truth = build_truth(load_scenario("salvo-2024-05-30"))
    for t in range(60, 300, 10):
        places = truth.states_at(truth.start_ns + t * NS)[:, :3]
        places = places[np.isfinite(places[:, 0])]
        apart = np.linalg.norm(places[:, None] - places[None], axis=2) + np.eye(len(places)) * 1e9
        assert apart.min() > 300.0


def test_a_missile_has_the_cross_section_of_its_phase_and_none_on_the_ground() -> None:
    truth = build_truth(load_scenario("salvo-2024-05-30"))
    launch, rcs = truth.launches[0], missile_types()["kn-25"].rcs_m2
    instants = [launch.launch_ns + s * NS for s in (-1, 20, 100, 320, 400)]
    seen = [float(truth.rcs_m2_of(truth.states_at(t), t)[0]) for t in instants]
    assert seen == [0.0, rcs.boost, rcs.coast, rcs.reentry, 0.0]


def test_a_missile_is_nowhere_before_its_launch_and_after_its_impact() -> None:
    truth = build_truth(load_scenario("overflight"))
    launch = truth.launches[0]
    assert np.isnan(truth.states_at(launch.launch_ns - 1)).all()
    assert np.isnan(truth.states_at(launch.impact_ns + NS)).all()
    assert abs(altitude_m(truth.states_at(launch.launch_ns)[0, :3])) < 1.0
    assert abs(altitude_m(truth.states_at(launch.impact_ns)[0, :3])) < 20.0
    assert truth.phase_at(launch.launch_ns - 1).tolist() == [-1]


def test_phases_follow_one_another() -> None:
    truth = build_truth(load_scenario("salvo-2024-05-30"))
    seen = [int(truth.phase_at(truth.launches[0].launch_ns + t * NS)[0]) for t in range(320)]
    assert [phase for i, phase in enumerate(seen) if i == 0 or seen[i - 1] != phase] == [0, 1, 2]


def test_velocity_is_the_derivative_of_position_between_the_rows() -> None:
    truth = build_truth(load_scenario("overflight"))
    rng = np.random.default_rng(0)
    launch = truth.launches[0]
    for t in rng.integers(launch.burnout_ns + NS, launch.impact_ns - 60 * NS, 50):
        a, b, c = (truth.states_at(int(t) + d)[0] for d in (-10_000_000, 0, 10_000_000))
        np.testing.assert_allclose((c[:3] - a[:3]) / 0.02, b[3:], rtol=0, atol=0.05)


@pytest.mark.parametrize("name", list(SCENARIOS))
def test_every_shipped_scenario_can_be_flown(name: str) -> None:
    scenario = load_scenario(name)
    truth = build_truth(scenario)
    assert truth.end_ns > truth.start_ns == scenario.start_ns
    assert [launch.launch_id for launch in truth.launches] == [f"L{i + 1:02d}" for i in range(len(truth.launches))]


@both_ways(_states)
def test_states_between_rows_are_those_of_the_cubic_through_both() -> None:
    """Of two flights on cubics, which the interpolation has to give back exactly; the last step of each is shorter."""
    rng = np.random.default_rng(1)
    cubics, begun, over = rng.normal(size=(2, 4, 3)), np.array([5.0, 7.0]), np.array([5.0 + 4.3 * STEP_S, 7.0 + 2.9 * STEP_S])

    def at(flight: int, since_s: float) -> np.ndarray:
        powers = since_s ** np.arange(4.0)
        slopes = np.array([0.0, 1.0, 2.0 * since_s, 3.0 * since_s**2])
        return np.concatenate([powers @ cubics[flight], slopes @ cubics[flight]])

    rows = [[*np.arange(0.0, over[i] - begun[i], STEP_S), over[i] - begun[i]] for i in range(2)]
    table, first = (
        np.array([at(i, t) for i in range(2) for t in rows[i]]),
        np.array([0, len(rows[0]), len(rows[0]) + len(rows[1])]),
    )
    for t_s in np.linspace(4.0, 7.0 + 5.0 * STEP_S, 60):
        told = _states(table, first, begun, over, t_s)
        for i in range(2):
            if begun[i] <= t_s <= over[i]:
                np.testing.assert_allclose(told[i], at(i, t_s - begun[i]), rtol=1e-6, atol=1e-6)
            else:
                assert np.isnan(told[i]).all()


@both_ways(_phases)
def test_the_phase_is_of_thrust_and_then_of_height_and_fall() -> None:
    up, high = geodetic_to_ecef(0.68, 2.2, 60e3), geodetic_to_ecef(0.68, 2.2, 300e3)
    rises, falls = up / np.linalg.norm(up), -up / np.linalg.norm(up)
    states = np.array([[*up, *rises], [*up, *rises], [*up, *falls], [*high, *falls], [np.nan] * 6])
    told = _phases(states, np.array([True, False, False, False, False]))
    assert told.tolist() == [0, 1, 2, 1, PHASE_NONE]
