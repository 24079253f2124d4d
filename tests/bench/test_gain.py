"""What sharing bought, as an exercise goes: the same figures as its result's, from alerts as they come."""

from __future__ import annotations

from dataclasses import replace
from statistics import fmean

import pytest

from bench.gain import Gain, alone
from bench.score import held_alerts, score
from bench.simulate import Outcome, simulate
from bench.world import World
from bus.metrics import Budgets
from bus.release import NATIONS
from fusion.settings import FusionSettings
from tests.bench.worlds import one_missile


def played(world: World) -> tuple[Outcome, Gain]:
    outcome = simulate(world, FusionSettings())
    gain = Gain(world, alone(world, FusionSettings()))
    for nation in NATIONS:
        for each in held_alerts(world, outcome.received[nation]):
            gain.take(each.alert, each.entry.wall_ns, each.entry.scenario_ns)
    return outcome, gain


def test_the_gain_as_alerts_come_is_the_results() -> None:
    world = one_missile()
    outcome, gain = played(world)
    result = score(world, outcome, FusionSettings(), Budgets(), speed="max", broker="none", wall_s=0.0, complete=True)
    told = gain.told()
    assert set(told) == set(NATIONS)
    for nation, bought in told.items():
        gains = [launch.recipients[nation].gain_s for launch in result.launches]
        assert bought.gain_s == pytest.approx(fmean(each for each in gains if each is not None), abs=1e-3)
        assert bought.only_shared == 0
    assert max(bought.gain_s or 0.0 for bought in told.values()) > 10.0


def test_a_launch_that_only_partners_saw_is_told_apart_from_the_gain() -> None:
    world = one_missile()
    silent = replace(world, releases=world.releases | {"jpn": []})
    _, gain = played(silent)
    assert gain.told()["jpn"] == (None, 1)
    assert gain.told()["usa"].only_shared == 0
