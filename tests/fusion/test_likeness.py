"""Which system track of a picture made anew is which of those that were told: by the national tracks that each has and had."""

from __future__ import annotations

from typing import Final

import pytest

from bus.messages import TrackFrame, reports_of
from bus.release import EVERYONE
from fusion.alert import same_as
from fusion.engine import Inbound
from fusion.picture import Picture
from fusion.takeover import take_over
from tests.fusion.scenes import KOR, START_NS, S, dropped, one
from tests.fusion.test_takeover import APART, TOGETHER, ends, final, pictured, told_confirmed, told_of, told_picture
from tests.fusion.watched import by_time, reports

LOST: Final = Inbound(dropped("kor", [1], "lost", START_NS + 76 * S), EVERYONE)


def tracks_of(picture: Picture) -> dict[int, list[tuple[int, int]]]:
    """The members of each system track, a nation's column and its number, by the number that it is told by."""
    held, table = picture.clusters.reports, picture.clusters.systems
    return {
        int(table.told[system]): [(int(held.nation[row]), int(held.track[row])) for row in picture.clusters.members(system)]
        for system in picture.book.cases
    }


@pytest.mark.parametrize("later", [0, 1])
def test_of_two_that_are_one_the_alert_that_was_raised_first_goes_on_and_of_one_instant_that_of_the_lower_number(
    later: int,
) -> None:
    told, now_ns = told_picture(*APART)
    first, second = sorted(told.book.cases, key=lambda system: int(told.clusters.systems.told[system]))
    told.book.cases[first].raised_ns = told.book.cases[second].raised_ns + later
    table = told.clusters.systems
    if not later:
        table.told[first], table.told[second] = table.told[second], table.told[first]
    number, anchor = int(table.told[second]), told.book.cases[second].anchor
    redone, _ = pictured(*TOGETHER)
    take_over(redone, told, now_ns)
    assert told_of(redone) == {number: (anchor, "confirmed")}


def test_of_one_that_is_two_the_greater_part_goes_on_and_of_equal_parts_what_was_founded_first() -> None:
    usa = [one("usa", float(t), eye=KOR) for t in range(70, 76)]
    elsewhere = [one("usa", float(t), eye=KOR, east_m=5e4) for t in range(69, 76)]
    told, now_ns = told_picture(*by_time(TOGETHER, usa))
    (number,) = told_of(told)
    redone, _ = pictured(*by_time(TOGETHER, elsewhere))
    take_over(redone, told, now_ns)
    assert tracks_of(redone)[number] == [(0, 1), (1, 1)]
    told, now_ns = told_picture(*TOGETHER)
    (number,) = told_of(told)
    redone, _ = pictured(*APART)
    take_over(redone, told, now_ns)
    assert tracks_of(redone)[number] == [(0, 1)]


@pytest.mark.parametrize("told_newer", [True, False])
def test_what_had_a_track_is_what_has_it_there(told_newer: bool) -> None:
    """Its feed has dropped it in the one picture, and in the other nobody else has reported the object yet."""
    older = reports("kor", 0.0, range(60, 76))
    newer = [*by_time(older, reports("jpn", 0.0)), LOST]
    told, now_ns = told_picture(*(newer if told_newer else older))
    redone, _ = pictured(*(older if told_newer else newer))
    ((number, (anchor, _)),) = told_of(told).items()
    take_over(redone, told, now_ns)
    assert [(each, at) for each, (at, _) in told_of(redone).items()] == [(number, anchor)]
    assert not ends(redone)


def test_how_it_ended_is_said_by_the_last_word_on_what_it_had_too() -> None:
    told, now_ns = told_confirmed(*by_time(reports("kor", 0.0, range(60, 76)), reports("jpn", 0.0)), LOST)
    (of_kor,) = pictured(*reports("kor", 0.0))[0].book.outbox[:1]
    redone, _ = told_picture()
    redone.book.outbox = [final(of_kor, "closed", "impact reported", "first")]
    take_over(redone, told, now_ns)
    assert ends(redone) == [("closed", "impact reported")]


@pytest.mark.parametrize("later", [0, 1])
def test_what_went_on_as_what_nobody_was_told_of_goes_on_as_that_and_of_two_the_elder_alert(later: int) -> None:
    far = [one("kor", float(t), track=2, east_m=-5e4) for t in range(70, 76)]
    told, now_ns = told_picture(*by_time(reports("kor", 5e4), far))
    first, second = sorted(told.book.standing(), key=lambda alert: alert.system)
    cases = sorted(told.book.cases.values(), key=lambda case: case.anchor == second.id)
    cases[0].raised_ns = cases[1].raised_ns + (1 if later else -1)
    kept, other = (second, first) if later else (first, second)
    redone, _ = told_picture(*reports("jpn", 0.0))
    (heir,) = redone.book.cases.values()
    redone.book.outbox = [final(each, "retracted", same_as(heir.anchor)) for each in (first, second)]
    take_over(redone, told, now_ns)
    assert told_of(redone) == {kept.system: (kept.id, "quick")}
    assert [(alert.id, alert.reason) for alert in redone.book.outbox] == [(other.id, same_as(kept.id))]


def test_what_is_parted_from_one_whose_alert_is_over_is_warned_of_at_once() -> None:
    told, now_ns = told_picture(*TOGETHER)
    (system,) = told.book.cases
    told.book.send(system, "landed", "impact reported")
    told.book.outbox.clear()
    redone, _ = pictured(*APART)
    take_over(redone, told, now_ns)
    assert [alert.state for alert in redone.book.outbox] == ["quick"]


def test_what_was_not_told_of_is_shown_though_it_has_not_changed_since() -> None:
    told, now_ns = told_picture(*TOGETHER)
    redone, _ = told_picture(*APART)
    take_over(redone, told, now_ns)
    assert len(redone.changes()[0]) == 2


def test_it_is_shown_again_where_another_track_tells_the_same_of_it_or_the_same_track_tells_it_less_surely() -> None:
    first, last = by_time(reports("jpn", 0.0), reports("kor", 0.0, range(70, 75))), one("kor", 75.0)
    end = Inbound(dropped("kor", [1], "lost", START_NS + 74 * S + S // 2), EVERYONE)
    told, now_ns = told_picture(*first, last)
    redone, _ = told_picture(*first, end, one("kor", 75.0, track=2))
    assert len(redone.book.cases) == 1
    take_over(redone, told, now_ns)
    assert len(redone.changes()[0]) == 1
    told, now_ns = told_picture(*reports("kor", 0.0, range(70, 75)), last)
    redone, _ = told_picture(*reports("kor", 0.0, range(70, 75)), one("kor", 75.0, sigma_m=120.0))
    take_over(redone, told, now_ns)
    assert len(redone.changes()[0]) == 1


def had(picture: Picture) -> dict[int, list[tuple[int, int]]]:
    """What each system track had, a nation's column and its number, by the number that it is told by."""
    return {
        int(picture.clusters.systems.told[system]): [(key.column, key.number) for key in picture.clusters.had(system)]
        for system in picture.book.cases
    }


def test_of_what_an_object_had_the_newest_are_remembered_until_it_ends() -> None:
    messages = reports("jpn", 0.0, range(70, 82))
    for track in range(1, 11):
        at_ns = START_NS + (70 + track) * S + S // 2
        messages += [one("kor", 70.0 + track, track=track), Inbound(dropped("kor", [track], "lost", at_ns), EVERYONE)]
    picture, now_ns = told_picture(*by_time(messages))
    assert had(picture) == {1: [(1, track) for track in range(3, 11)]}
    false, later = dropped("jpn", [1], "false", now_ns), one("usa", 82.0, east_m=9e5, eye=KOR).message
    picture.take(false, None, 0, now_ns)
    assert isinstance(later, TrackFrame)
    picture.take(later, reports_of(later)[0], 0, now_ns)
    assert had(picture) == {2: []}


def test_what_was_lost_and_is_seen_by_another_had_the_track_that_it_was_lost_by() -> None:
    picture, _ = told_picture(*reports("kor", 0.0, range(60, 76)), LOST, *reports("jpn", 0.0, range(77, 80)))
    assert had(picture) == {1: [(1, 1)]}
    assert tracks_of(picture) == {1: [(0, 1)]}


def test_what_is_one_with_a_lost_object_has_what_that_had_and_is_seen_by_all_that_saw_either() -> None:
    third = [one("usa", float(t), east_m=5e4, eye=KOR) for t in range(70, 74)]
    over = Inbound(dropped("usa", [1], "lost", START_NS + 74 * S), EVERYONE)
    picture, now_ns = told_picture(*by_time(APART, third, [over]), LOST)
    elder, younger = sorted(picture.book.cases, key=lambda system: int(picture.clusters.systems.number[system]))
    picture._life.merge(elder, younger, now_ns)
    assert had(picture) == {1: [(2, 1), (1, 1)]}
    assert picture.clusters.systems.seen[elder] == 7
