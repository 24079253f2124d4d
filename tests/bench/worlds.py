"""Small worlds for tests of the quality benchmark."""

from __future__ import annotations

from functools import cache

from bench.world import World, play_out
from bus.release import NATIONS
from sensors.feed import NationalFeed
from sensors.scenario import Scenario, parse_scenario
from sensors.truth import build_truth


def short_flights(count: int) -> Scenario:
    """So many short-range missiles at once, 5 km apart, in sight of all three nations."""
    text = f"""
name = "short-{count}"
title = "Short-range missiles, 5 km apart"
start = 2024-05-30T06:13:50+09:00

[[launch]]
type = "KN-25"
site = "Sunan"
at_s = 10.0
apogee_km = 100.0
range_km = 350.0
count = {count}
spacing_m = 5000.0
"""
    return parse_scenario(text, f"short-{count}")


@cache
def one_missile() -> World:
    """One missile, and all that the three feeds say of it."""
    return play_out(short_flights(1), 1, scored=True)


@cache
def two_missiles() -> World:
    """Two missiles, both detected from the start; feeds that say nothing."""
    scenario = short_flights(2)
    truth = build_truth(scenario)
    feeds = {nation: NationalFeed(scenario, truth, nation, 1) for nation in NATIONS}
    feeds["kor"].first_seen.update({launch.launch_id: (truth.start_ns, truth.start_ns) for launch in truth.launches})
    return World(scenario, 1, truth, feeds, {nation: [] for nation in NATIONS}, {nation: [] for nation in NATIONS})
