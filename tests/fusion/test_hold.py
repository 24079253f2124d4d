"""A new track that may be one of those that have been warned of: an alert of its own waits for a look, and never for long."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from bus.columns import Reports
from bus.messages import Alert, TrackFrame, reports_of
from bus.release import EVERYONE, Nation
from fusion.engine import FusionEngine, Inbound
from fusion.settings import Alerting, FusionSettings
from fusion.tables import HELD
from fusion.takeover import take_over
from tests.fusion.scenes import JPN, START_NS, USA, S, Scene, decorrelation, dropped, frame_of, one
from tests.fusion.test_engine import rated
from tests.fusion.test_hindsight import block_of
from tests.fusion.test_takeover import pictured, told_picture
from tests.fusion.watched import Watched, delayed, reports

_HOLD_S = Alerting().hold_s


def infrared(t_s: float) -> list[Inbound]:
    """The infrared's reports of missiles abreast, 600 m apart, which it can hardly tell from one another."""
    return [one("usa", t_s, track=1 + i, east_m=600.0 * i, sigma_m=2000.0, eye=USA) for i in range(2)]


def radar(t_s: float, track: int = 1, east_m: float = 300.0) -> Inbound:
    """A radar's report of what may be either."""
    return one("kor", t_s, track=track, east_m=east_m)


def raised(engine: FusionEngine, messages: list[Inbound], now_ns: int | None = None) -> list[Alert]:
    """What one recipient is told of in the steps with these messages, or of a tick; pairs are not looked for."""
    told = [alert for each in messages for alert in engine.step([each], each.message.released_ns)]
    if now_ns is not None:
        told += engine.step([], now_ns)
    return [alert for alert in told if alert.recipient == "kor"]


def warned(hold_s: float = _HOLD_S, *, at_s: float = 45.0) -> FusionEngine:
    """An engine that has warned of what the infrared sees."""
    settings = FusionSettings(alerting=Alerting(hold_s=hold_s))
    engine = FusionEngine(settings, recipients=("kor",))
    assert [alert.state for alert in raised(engine, infrared(at_s))] == ["quick"] * 2
    return engine


def test_a_new_track_that_may_be_what_has_been_warned_of_is_not_warned_of_again_for_a_while() -> None:
    engine = warned()
    for k in range(int(_HOLD_S)):
        assert not raised(engine, [radar(45.5 + k), *infrared(46.0 + k)])
    (alert,) = raised(engine, [radar(45.5 + _HOLD_S)])
    assert (alert.state, alert.members[0].nation) == ("quick", "kor")
    assert not raised(engine, [radar(46.5 + _HOLD_S)])


def test_nobody_needs_to_report_what_is_held_for_its_wait_to_end() -> None:
    engine = warned()
    assert not raised(engine, [radar(45.5)])
    assert not raised(engine, [], START_NS + int((45.5 + _HOLD_S) * S) - 1)
    (alert,) = raised(engine, [], START_NS + int((45.5 + _HOLD_S) * S))
    assert alert.members[0].nation == "kor"


def test_one_more_than_has_been_warned_of_is_warned_of_at_once() -> None:
    engine = warned()
    assert not raised(engine, [radar(45.5, 1), radar(45.5, 2, 250.0)])
    (alert,) = raised(engine, [radar(45.5, 3, 350.0)])
    assert [member.track for member in alert.members] == [3]


def test_what_is_far_from_all_that_has_been_warned_of_is_warned_of_at_once() -> None:
    (alert,) = raised(warned(), [radar(45.5, east_m=60e3)])
    assert alert.state == "quick"


def test_without_a_wait_each_is_warned_of_at_once() -> None:
    assert len(raised(warned(hold_s=0.0), [radar(45.5)])) == 1


def test_what_another_nation_sees_too_waits_no_longer() -> None:
    """Two radars are surer than the infrared alone: that is worth an alert, whichever it is."""
    engine = warned()
    assert not raised(engine, [radar(50.5)])
    (alert,) = raised(engine, [one("jpn", 51.0, east_m=300.0, sigma_m=60.0, eye=JPN)])
    assert alert.state == "confirmed"
    assert sorted(member.nation for member in alert.members) == ["jpn", "kor"]


def test_what_was_warned_of_was_false_and_what_may_have_been_that_waits_no_longer() -> None:
    engine, both = warned(), [radar(46.5, 1), radar(46.5, 2, 250.0)]
    assert not raised(engine, [radar(45.5, 1), radar(45.5, 2, 250.0)])
    false = Inbound(dropped("usa", [1, 2], "false", START_NS + 46 * S), EVERYONE)
    assert [alert.state for alert in raised(engine, [false])] == ["retracted"] * 2
    assert {member.track for alert in raised(engine, both) for member in alert.members} == {1, 2}


@pytest.mark.parametrize("lost", [True, False])
def test_what_may_have_been_what_was_false_is_warned_of_though_nobody_reports_it_any_more(lost: bool) -> None:
    """It was not: it waited for a report, and ended without an alert."""
    engine = warned()
    assert not raised(engine, [radar(45.5)])
    raised(engine, [false("usa", 1, 46.0), false("usa", 2, 46.0)])
    end = [Inbound(dropped("kor", [1], "lost", START_NS + int(46.1 * S)), EVERYONE)] if lost else []
    told = raised(engine, end, START_NS + int(46.25 * S))
    assert [(alert.state, alert.members[0].nation) for alert in told] == [("quick", "kor")]


def test_beside_one_that_its_nation_reports_already_a_second_is_warned_of_at_once() -> None:
    """Of one frame the first is surely what has been warned of, and so the second is not: it waited all the same."""
    engine = FusionEngine(recipients=("kor",))
    for t in range(70, 76):
        raised(engine, [one("kor", float(t), sigma_m=60.0)])
    both = Reports.join(
        [block_of(one("jpn", 76.0, track=1, sigma_m=60.0)), block_of(one("jpn", 76.0, track=2, east_m=900.0, sigma_m=400.0))]
    )
    told = raised(engine, [Inbound(frame_of(both, "jpn", START_NS + 76 * S), EVERYONE)])
    assert sorted(sorted((each.nation, each.track) for each in alert.members) for alert in told) == [
        [("jpn", 1), ("kor", 1)],
        [("jpn", 2)],
    ]


@pytest.mark.parametrize("first", [True, False])
def test_an_operator_who_keeps_the_two_apart_ends_the_wait(first: bool) -> None:
    engine = warned()
    assert not raised(engine, [radar(45.5, east_m=50.0)])
    words = [decorrelation("kor", f"kor/1 usa/{track}", 46.0) for track in (1, 2)]
    told = raised(engine, words[: 1 if first else 2], START_NS + int(46.25 * S))
    assert [alert.members[0].nation for alert in told] == ["kor"]


def test_what_is_held_is_remembered_no_longer_than_it_waits() -> None:
    engine = FusionEngine()
    for at_ns, inbound in Scene(6, gap_s=6.0, apart_m=2000.0, seed=1).messages():
        engine.step([inbound], at_ns)
        engine.catch_up(at_ns)
        engine.step([], at_ns)
        book = engine._groups[0].picture.book
        table = book._clusters.systems
        assert len(book._held) <= np.count_nonzero(table.alert == HELD)
        assert all(book.cases[system].held(at_ns) for system in np.flatnonzero(table.alert == HELD).tolist())


def test_what_is_lost_before_anybody_could_tell_goes_on_as_what_it_may_have_been() -> None:
    engine = warned()
    raised(engine, [radar(45.5)])
    engine.step([Inbound(dropped("kor", [1], "lost", START_NS + 46 * S), EVERYONE)], START_NS + 46 * S)
    assert engine.system_tracks["kor"] == 2
    assert engine.alerts_by_state == {("kor", "confirmed"): 1, ("kor", "quick"): 1}


def test_held_it_counts_in_the_raid_for_what_it_may_be() -> None:
    """Two missiles are two, told or held; an alert a track made three of them for as long."""
    engine = warned()
    raised(engine, [radar(45.5, 1), radar(45.5, 2, 250.0)])
    engine.draw(START_NS + 46 * S)
    raid = engine.raids["kor"]
    assert raid is not None
    assert 1.5 < raid.in_flight.expected < 2.5
    assert raid.in_flight.most <= 4


def test_what_was_held_and_is_nothing_to_warn_of_counts_no_more() -> None:
    engine = warned(at_s=65.0)
    for k in range(int(_HOLD_S) + 2):
        assert not raised(engine, [rated(radar(65.5 + k), 3), *infrared(66.0 + k)])
    engine.draw(START_NS + 80 * S)
    raid = engine.raids["kor"]
    assert raid is not None
    assert raid.in_flight.most == 2


def test_salvos_raise_hardly_an_alert_beside_one_a_launch_and_each_launch_is_warned_of_as_soon() -> None:
    """With nothing held each radar track was warned of, and taken back some seconds later: twice the alerts."""
    alerts: Counter[float] = Counter()
    for seed in range(3):
        scene = Scene(6, gap_s=6.0, apart_m=2000.0, seed=seed)
        first: dict[float, dict[int, int]] = {0.0: {}, _HOLD_S: {}}
        for hold_s in first:
            settings = FusionSettings(alerting=Alerting(hold_s=hold_s))
            watched = Watched(FusionEngine(settings)).play(scene.messages(), 150.0)
            alerts[hold_s] += len({alert.id for _, alert in watched.alerts})
            for at_ns, alert in watched.alerts:
                for member in alert.members:
                    first[hold_s].setdefault(scene.tracks[member.nation, member.track], at_ns)
        assert first[_HOLD_S] == first[0.0]
    assert alerts[0.0] >= 30
    assert alerts[_HOLD_S] <= 26


@pytest.mark.parametrize("seed", range(3))
def test_what_comes_out_of_order_is_held_all_the_same(seed: int) -> None:
    messages = list(Scene(6, gap_s=6.0, apart_m=2000.0, seed=seed).messages())
    for each in (messages, delayed(messages, 3.0, seed)):
        watched = Watched().play(each, 200.0)
        assert len({alert.id for _, alert in watched.alerts}) <= 9
        assert len({alert.id for _, alert in watched.alerts if alert.state == "confirmed"}) == 6


def false(nation: Nation, track: int, t_s: float) -> Inbound:
    """The word that a track is false."""
    return Inbound(dropped(nation, [track], "false", START_NS + int(t_s * S)), EVERYONE)


@pytest.mark.parametrize(("gone", "told"), [(1, [[1]]), (2, [])])
def test_it_is_held_to_be_the_likeliest_of_those_that_it_may_be(gone: int, told: list[list[int]]) -> None:
    """And so is warned of when that is over, not when another is."""
    engine = warned()
    assert not raised(engine, [radar(45.5, east_m=50.0)])
    raised(engine, [false("usa", gone, 46.0)])
    assert [[member.track for member in alert.members] for alert in raised(engine, [radar(46.5, east_m=50.0)])] == told


def test_what_a_track_that_is_over_was_held_to_be_another_may_be() -> None:
    engine = warned()
    assert not raised(engine, [radar(45.5, 1, 50.0), false("kor", 1, 45.6)])
    assert not raised(engine, [radar(45.7, 2, 550.0), radar(45.8, 3, 50.0)])


def test_the_end_of_what_a_track_that_is_over_was_held_to_be_ends_the_wait_of_no_other() -> None:
    engine = warned()
    assert not raised(engine, [radar(45.5, 1, 50.0), false("kor", 1, 45.6), radar(45.7, 2, 550.0)])
    assert [alert.state for alert in raised(engine, [false("usa", 1, 46.0)])] == ["retracted"]
    assert not raised(engine, [radar(46.5, 2, 550.0)])


def test_what_waits_no_longer_and_was_never_warned_of_is_not_kept_once_it_is_lost() -> None:
    engine = warned(at_s=65.0)
    assert not raised(engine, [rated(radar(65.5), 3)])
    raised(engine, [false("usa", 1, 66.0), false("usa", 2, 66.0)])
    engine.step([Inbound(dropped("kor", [1], "lost", START_NS + 67 * S), EVERYONE)], START_NS + 67 * S)
    assert engine.system_tracks["kor"] == 0


def test_what_was_held_and_is_not_in_hindsight_is_warned_of() -> None:
    """There nothing had been warned of that it might be, when it came."""
    told, now_ns = told_picture(*infrared(45.0), radar(45.5), *infrared(46.0))
    redone, _ = pictured(*[rated(each, 0) for each in infrared(45.0)], radar(45.5), *infrared(46.0))
    take_over(redone, told, now_ns)
    assert [(alert.state, alert.members[0].nation) for alert in redone.book.outbox] == [("quick", "kor")]


def test_what_is_held_in_hindsight_alone_is_not_warned_of_before_its_wait_is_over() -> None:
    poor = rated(radar(65.5), 3)
    told, now_ns = told_picture(poor, *infrared(66.0))
    redone, _ = pictured(*infrared(65.0), poor, *infrared(66.0), radar(66.5))
    take_over(redone, told, now_ns)
    assert not redone.book.outbox
    redone.tick(START_NS + int((65.5 + _HOLD_S) * S) - 1)
    assert not redone.book.outbox
    redone.tick(START_NS + int((65.5 + _HOLD_S) * S))
    assert [alert.state for alert in redone.book.outbox] == ["quick"]


def test_what_was_warned_of_in_hindsight_is_to_be_though_its_reports_are_of_little_worth_by_now() -> None:
    redone, now_ns = pictured(*reports("jpn", 0.0), one("kor", 75.0, east_m=5e4), rated(one("kor", 76.0, east_m=5e4), 3))
    told, _ = told_picture(*reports("jpn", 0.0))
    take_over(redone, told, now_ns)
    assert [(alert.state, alert.members[0].nation) for alert in redone.book.outbox] == [("quick", "kor")]


def test_what_is_held_goes_on_being_held_in_hindsight_and_no_other_is_held_to_be_the_same() -> None:
    messages = [*infrared(45.0), radar(45.5)]
    told, now_ns = told_picture(*messages)
    redone, _ = told_picture(*messages)
    take_over(redone, told, now_ns)
    assert (redone.clusters.systems.alert == HELD).sum() == 1
    for each in (radar(45.6, 2, 250.0), radar(45.7, 3, 350.0)):
        assert isinstance(each.message, TrackFrame)
        redone.take(each.message, reports_of(each.message)[0], 0, each.message.released_ns)
    assert [alert.members[0].track for alert in redone.book.outbox] == [3]
