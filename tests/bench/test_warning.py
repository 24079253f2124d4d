"""Warning times from alerts: each launch once, whatever the estimates say."""

from __future__ import annotations

from statistics import median

from msgspec.structs import replace

from bench.score import held_alerts
from bench.simulate import simulate
from bench.warning import Flight, Held, WarningMeter
from bench.world import play_out
from bus.messages import Alert, AlertState, Place
from fusion.settings import FusionSettings
from sensors.scenario import load_scenario
from tests.security.parties import WARNING


def test_the_median_warning_time_of_a_salvo_is_the_reports_own() -> None:
    """Estimates of a launch from one line of sight are off by most of the warning time: they only say which launch is meant.

    An alert may be merged into another once confirmed, or be of a track that was a neighbour's at first: medians bear that.
    """
    world = play_out(load_scenario("salvo-2024-05-30"), 1)
    held = held_alerts(world, simulate(world, FusionSettings(), recipients=("jpn",)).received["jpn"])
    meter = WarningMeter(Flight(launch.launch_ns, launch.impact_ns) for launch in world.truth.launches)
    told = [t for each in held if (t := meter.take(each.alert, each.alert.times.released_ns / 1e9)) is not None]
    first = {each.launch_id: each.alert.times.released_ns for each in reversed(held) if each.launch_id is not None}
    true = [(first[launch.launch_id] - launch.launch_ns) / 1e9 for launch in world.truth.launches]
    assert len(told) == len(world.truth.launches)
    assert min(told) > 0.0
    assert abs(median(told) - median(true)) < 1.0
    assert meter.missed(world.truth.end_ns) == 0


SECOND = 10**9
FLIGHTS = [Flight(10 * SECOND, 300 * SECOND), Flight(10 * SECOND, 310 * SECOND), Flight(90 * SECOND, 400 * SECOND)]


def alert(number: int, state: AlertState, launch_s: int) -> Alert:
    place = Place(
        lat_deg=0.0,
        lon_deg=0.0,
        semi_major_m=1.0,
        semi_minor_m=1.0,
        bearing_deg=0.0,
        time_ns=launch_s * SECOND,
        time_sigma_s=1.0,
    )
    return replace(WARNING, id=f"a{number}", state=state, launch=place)


def test_a_launch_without_an_alert_is_missed_once_it_is_down() -> None:
    meter = WarningMeter(FLIGHTS)
    meter.take(alert(1, "quick", 12), 40.0)
    assert [meter.missed(at_s * SECOND) for at_s in (250, 305, 320, 400)] == [0, 0, 1, 2]


def test_a_quick_alert_is_a_warning_and_one_taken_back_is_none() -> None:
    meter = WarningMeter(FLIGHTS)
    for number, launch_s in ((1, 12), (2, 8), (3, 88), (4, 89)):
        assert meter.take(alert(number, "quick", launch_s), 100.0) is None
    assert meter.missed(400 * SECOND) == 0
    meter.take(alert(4, "retracted", 89), 110.0)
    assert meter.missed(400 * SECOND) == 0
    meter.take(alert(3, "retracted", 88), 110.0)
    assert meter.missed(400 * SECOND) == 1


def test_an_alert_before_a_launch_is_not_of_it() -> None:
    meter = WarningMeter(FLIGHTS[2:])
    meter.take(alert(1, "confirmed", 88), 60.0)
    assert meter.missed(400 * SECOND) == 1


def test_what_an_earlier_life_was_sure_of_is_counted_and_no_later_launch_takes_its_alert() -> None:
    """The other launch of the same second is late, though its alert is held as soon as this life begins."""
    meter = WarningMeter(FLIGHTS, [Held("a1", "confirmed", 40.0, 12 * SECOND)])
    assert meter.take(alert(1, "updated", 12), 95.0) is None
    assert meter.missed(400 * SECOND) == 2
    assert meter.take(alert(2, "confirmed", 9), 95.0) == 85.0
    assert meter.take(alert(3, "confirmed", 88), 95.0) == 5.0
    assert meter.missed(400 * SECOND) == 0


def test_an_alert_that_an_earlier_life_held_and_was_not_sure_of_counts_since_then() -> None:
    meter = WarningMeter(FLIGHTS, [Held("a1", "quick", 40.0, 12 * SECOND)])
    assert meter.take(alert(1, "confirmed", 12), 95.0) == 30.0


def test_an_alert_that_an_earlier_life_saw_closed_is_no_missed_launch_and_one_that_was_taken_back_is() -> None:
    held = [Held("a1", state, 40.0, 12 * SECOND) for state in ("confirmed", "closed")]
    assert WarningMeter(FLIGHTS[:1], held).missed(400 * SECOND) == 0
    assert WarningMeter(FLIGHTS[:1], [*held, Held("a1", "retracted", 50.0, None)]).missed(400 * SECOND) == 1


def test_where_nothing_tells_of_an_earlier_life_a_launch_is_its_own_once_the_objective_has_passed() -> None:
    """But for one that nobody is warned of at all: that is missed, if it flew in this life."""
    before, after = (WarningMeter(FLIGHTS, since_ns=at_s * SECOND) for at_s in (70, 69))
    assert before.take(alert(1, "confirmed", 12), 75.0) is None
    assert after.take(alert(1, "confirmed", 12), 75.0) == 65.0
    assert before.missed(400 * SECOND) == after.missed(400 * SECOND) == 2
    assert WarningMeter(FLIGHTS, since_ns=305 * SECOND).missed(400 * SECOND) == 2
