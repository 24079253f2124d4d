"""No kernel goes without a twin, and a comparison with one is made compiled and as written."""

from __future__ import annotations

import os
from typing import Final

import numpy as np
import pytest

from fusion.gate import distance
from tests.plain import both_ways
from tests.twins import compared, kernels, parts_of

# Public kernels that are compared by way of the one that they are part of; private ones need no word.
PARTS: Final = {
    "physics.fall.to_ground": "fall.to_surface fall.rises fall.spread_by",
    "physics.propagate.propagate_one": "propagate.rate propagate.rk4_from",
    "physics.propagate.propagate_cov_one": "propagate.add_noise",
    "physics.motion.ballistic_gradient": "motion.gradient",
    "sensors.filter.predict": "filter.entered motion.air_share motion.usual_drag",
    "fusion.align.accelerations": "align.usual_thrust_m_s2 align.usual_drag_m_s2 align.above_air",
    "fusion.align.flown": "align.place_after",
    "fusion.align.align_one": "align.short_flight align.pushed propagate.short_transition",
    "fusion.lanes.fly_lanes_into": "lanes.across blocks.full blocks.turned blocks.upper",
    "fusion.lanes.inform_lanes_into": "lanes.inverted lanes.keep_into blocks.inverse_of blocks.backward blocks.outer blocks.by",
    "fusion.lanes.solve_lanes_into": "blocks.weighed",
    "fusion.lanes.distance_lanes_into": "lanes.place_at lanes.both_at lanes.velocity_at blocks.factor blocks.forward "
    "blocks.scaled blocks.inner blocks.plus blocks.less blocks.raised blocks.added",
    "fusion.partition.partition": "partition.solve partition.regret_of partition.regrets_into partition.one_each_into "
    "partition.labels",
    "fusion.gate.pairs_within": "gate.compare partial.room partial.room_of",
    "fusion.tables.hold_into": "partial.tells_whole",
    "fusion.triples.joint_cost": "partial.whole",
    "fusion.apart.joined": "apart.tells",
    "fusion.crowd.neighbours": "crowd.reached_m",
    "fusion.apart.differences": "apart.brought",
}  # fmt: skip

# Whole estimators and the flight itself: no formula beside them is simpler. They are held to populations and published figures.
HELD_OTHERWISE: Final = {
    "physics.boost.boost_origin": "tests/physics/test_boost.py: its ellipses hold the launch points of a population of flights",
    "physics.origin.coast_origin": "tests/physics/test_origin.py: the same after the boost",
    "sensors.flight._integrate": "tests/sensors/test_flight.py: published flights and boosters",
}

pytestmark = pytest.mark.skipif(os.environ.get("NUMBA_DISABLE_JIT") == "1", reason="there are no kernels then")


def test_every_kernel_is_compared_with_a_twin_or_part_of_one_that_is() -> None:
    held = set(compared()) | set(HELD_OTHERWISE)
    private = {part for whole in held for part in parts_of(whole) if part.rpartition(".")[2].startswith("_")}
    public = {part for parts in PARTS.values() for part in parts.split()}
    left = {kernel for kernel in set(kernels()) - held - private if kernel.partition(".")[2] not in public}
    assert len(kernels()) > 150
    assert not left


@pytest.mark.parametrize("whole", PARTS)
def test_a_part_is_of_a_whole_that_is_compared_and_is_not_compared_itself(whole: str) -> None:
    parts = {part.partition(".")[2] for part in parts_of(whole) - set(compared())}
    assert whole in compared()
    assert parts >= set(PARTS[whole].split())


def test_what_is_held_otherwise_has_no_twin_yet() -> None:
    assert set(HELD_OTHERWISE) <= set(kernels()) - set(compared())


def test_an_example_runs_compiled_and_then_as_written_the_first_few_times() -> None:
    ways: list[bool] = []

    @both_ways(few=2)
    def compare() -> None:
        ways.append(hasattr(distance, "py_func"))
        assert distance(np.zeros(6), np.eye(6), np.ones(6), np.eye(6), np.zeros(2))[0] == pytest.approx(3.0)

    for _ in range(3):
        compare()
    assert ways == [True, False, True, False, True]
    assert hasattr(distance, "py_func")


def test_what_fails_as_written_is_run_so_again() -> None:
    runs: list[bool] = []

    @both_ways(few=1)
    def compare() -> None:
        runs.append(hasattr(distance, "py_func"))
        assert runs[-1]

    for _ in range(2):
        with pytest.raises(AssertionError):
            compare()
    assert runs == [True, False] * 2
