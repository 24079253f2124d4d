"""Truth: a pure function of the scenario, smooth, and the published salvo's shape."""

from __future__ import annotations

import numpy as np
import pytest

from physics.frames import altitude_m
from sensors.missiles import missile_types
from sensors.scenario import SCENARIOS, load_scenario
from sensors.truth import build_truth

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
