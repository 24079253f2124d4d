"""The scorer: what it counts, and that it ends."""

from __future__ import annotations

import dataclasses
from functools import cache

import pytest
from msgspec.structs import replace

from bench.result import Tracks
from bench.score import score
from bench.simulate import Outcome, simulate
from bench.world import World, play_out
from bus.audit import AuditHead
from bus.metrics import Budgets
from bus.release import NATIONS
from fusion.settings import FusionSettings
from sensors.scenario import parse_scenario

ONE = """\
name = "one"
title = "One missile, the first minutes"
start = 2024-05-30T06:13:50+09:00
duration_s = 100.0

[[launch]]
type = "KN-25"
site = "Sunan"
at_s = 2.0
apogee_km = 100.0
range_km = 350.0
"""


@cache
def played() -> tuple[World, Outcome]:
    world = play_out(parse_scenario(ONE, "one.toml"), 1)
    return world, simulate(world, FusionSettings())


def test_the_conductors_audit_log_is_told_beside_the_processes_and_where_those_are_others() -> None:
    world, outcome = played()
    one, other = (AuditHead(log=f"{name}.000001.audit", entries=3, head=64 * "0") for name in ("feed.jpn", "conductor"))
    summaries = [replace(each, audit=one) for each in outcome.summaries or []][:1]
    for told, heads in ((summaries, [one, other]), (None, [other])):
        found = dataclasses.replace(outcome, summaries=told, conductor=other)
        result = score(world, found, FusionSettings(), Budgets(), speed="max", broker="none", wall_s=0.0, complete=True)
        assert result.audit == heads


@pytest.mark.timeout(60)
def test_a_message_of_another_time_does_not_make_the_scorer_sample_years() -> None:
    """A picture that arrived after the stop was stamped with wall time: two years of one-second samples were scored."""
    world, outcome = played()
    late = {nation: [*entries, entries[-1]._replace(scenario_ns=2**62)] for nation, entries in outcome.received.items()}

    def scored(received: Outcome) -> Tracks:
        return score(world, received, FusionSettings(), Budgets(), speed="max", broker="none", wall_s=0.0, complete=True).tracks

    assert set(late) == set(NATIONS)
    before, after = scored(outcome), scored(Outcome(late, outcome.summaries, outcome.end_ns))
    assert after.gospa_m == pytest.approx(before.gospa_m, rel=0.2)  # the last second or two are sampled now
