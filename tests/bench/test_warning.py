"""Warning times from alerts: each launch once, whatever the estimates say."""

from __future__ import annotations

from statistics import median

from bench.score import held_alerts
from bench.simulate import simulate
from bench.warning import WarningMeter
from bench.world import play_out
from fusion.settings import FusionSettings
from sensors.scenario import load_scenario


def test_the_median_warning_time_of_a_salvo_is_the_reports_own() -> None:
    """Estimates of a launch from one line of sight are off by most of the warning time: they only say which launch is meant.

    An alert may be merged into another once confirmed, or be of a track that was a neighbour's at first: medians bear that.
    """
    world = play_out(load_scenario("salvo-2024-05-30"), 1)
    held = held_alerts(world, simulate(world, FusionSettings(), recipients=("jpn",)).received["jpn"])
    meter = WarningMeter(launch.launch_ns for launch in world.truth.launches)
    told = [t for each in held if (t := meter.take(each.alert, each.alert.times.released_ns / 1e9)) is not None]
    first = {each.launch_id: each.alert.times.released_ns for each in reversed(held) if each.launch_id is not None}
    true = [(first[launch.launch_id] - launch.launch_ns) / 1e9 for launch in world.truth.launches]
    assert len(told) == len(world.truth.launches)
    assert min(told) > 0.0
    assert abs(median(told) - median(true)) < 1.0
