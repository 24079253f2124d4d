"""A picture made anew goes on in place of the one that was told: numbers, alerts, and how what is no more ended."""

from __future__ import annotations

from typing import Final

import msgspec

from bus.messages import Alert, AlertState, TrackFrame, reports_of
from bus.release import EVERYONE, Nation
from fusion.alert import FINAL, same_as
from fusion.engine import FusionEngine, Inbound
from fusion.picture import Picture
from fusion.settings import FusionSettings, Timing
from fusion.takeover import take_over
from tests.fusion.scenes import START_NS, S, dropped, one
from tests.fusion.watched import by_time, reports


def told_picture(*messages: Inbound) -> tuple[Picture, int]:
    """The picture of messages in their order, its alerts sent, and the time of the last."""
    picture, now_ns = pictured(*messages)
    picture.book.outbox.clear()
    picture.changes()
    return picture, now_ns


def told_confirmed(*messages: Inbound) -> tuple[Picture, int]:
    """As if each had been confirmed: of that nothing is taken back but what was merged."""
    picture, now_ns = told_picture(*messages)
    for system in picture.book.cases:
        picture.book.send(system, "corroborated", "confirmed")
    picture.book.outbox.clear()
    return picture, now_ns


def pictured(*messages: Inbound) -> tuple[Picture, int]:
    """The same, its alerts unsent."""
    picture, now_ns = Picture(FusionSettings()), START_NS
    for message, *_ in messages:
        now_ns = max(now_ns, message.released_ns)
        picture.take(message, reports_of(message)[0] if isinstance(message, TrackFrame) else None, 0, now_ns)
        picture.catch_up(now_ns)
    return picture, now_ns


TOGETHER: Final = by_time(reports("jpn", 0.0), reports("kor", 0.0))
APART: Final = by_time(reports("jpn", 0.0), reports("kor", 5e4))


def told_of(picture: Picture) -> dict[int, tuple[str, str | None]]:
    """The id and the state of the alert of every system track, by the number that it is told by."""
    return {int(picture.clusters.systems.told[system]): (case.anchor, case.state) for system, case in picture.book.cases.items()}


def test_told_as_two_and_one_now_it_goes_on_as_the_elder() -> None:
    told, now_ns = told_picture(*APART)
    (elder, (anchor, _)), (younger, _) = sorted(told_of(told).items())
    redone, _ = pictured(*TOGETHER)
    take_over(redone, told, now_ns)
    assert told_of(redone) == {elder: (anchor, "confirmed")}
    assert [(alert.state, alert.system) for alert in redone.book.outbox] == [("retracted", younger), ("confirmed", elder)]
    assert redone.book.outbox[0].reason == f"same object as {{recipient}}-{anchor}"
    assert redone.changes()[1] == [younger]


def test_told_as_one_and_two_now_one_goes_on_and_the_other_is_warned_of_in_a_while() -> None:
    told, now_ns = told_picture(*TOGETHER)
    ((number, (anchor, state)),) = told_of(told).items()
    redone, _ = pictured(*APART)
    take_over(redone, told, now_ns)
    after = told_of(redone)
    other = next(each for each in after if each != number)
    assert other > number
    assert after[number] == (anchor, state)
    assert after[other][1] is None
    assert not redone.book.outbox
    states: dict[str | None, int] = {}
    engine = FusionEngine()
    engine._groups[0].picture = redone
    for message in by_time(reports("jpn", 0.0, range(76, 80)), reports("kor", 5e4, range(76, 80))):
        at_ns = message.message.released_ns
        engine.step([message], at_ns)
        states.setdefault(told_of(redone)[other][1], at_ns)
    assert list(states) == [None, "quick"]
    assert states["quick"] == now_ns + Timing().grace_s * S
    assert told_of(redone)[other][0] != anchor


def test_the_alert_that_was_raised_first_goes_on_though_its_object_was_founded_later() -> None:
    """So is the picture that of the order of release, whatever was told when."""
    picture, now_ns = told_picture(*APART)
    first, second = sorted(picture.book.cases, key=lambda system: int(picture.clusters.systems.number[system]))
    picture.book.cases[first].raised_ns = picture.book.cases[second].raised_ns + 1
    told = int(picture.clusters.systems.told[second]), picture.book.cases[second].anchor
    assert picture._life.merge(second, first, now_ns) == first
    assert told_of(picture) == {told[0]: (told[1], "confirmed")}
    assert [alert.state for alert in picture.book.outbox] == ["retracted", "confirmed"]
    assert picture.clusters.systems.number[first] == 1


def test_a_number_that_was_told_is_given_to_no_other() -> None:
    told, now_ns = told_picture(*APART, Inbound(dropped("kor", [1], "false", START_NS + 76 * S), EVERYONE))
    redone, _ = told_picture(*reports("jpn", 0.0))
    take_over(redone, told, now_ns)
    later = one("kor", 77.0, track=2, east_m=9e4).message
    assert isinstance(later, TrackFrame)
    redone.take(later, reports_of(later)[0], 0, now_ns + S)
    assert sorted(told_of(redone)) == [1, 3]  # 2 was told, and is over


def test_what_is_other_than_was_told_is_told_and_what_has_not_been_told_yet() -> None:
    last = reports("jpn", 0.0)[-1]
    told, now_ns = told_picture(*reports("jpn", 0.0))
    take_over(same := told_picture(*reports("jpn", 0.0))[0], told, now_ns)
    assert not same.changed
    told, _ = told_picture(*reports("jpn", 0.0)[:-1])
    take_over(newer := told_picture(*reports("jpn", 0.0))[0], told, now_ns)
    assert len(newer.changes()[0]) == 1
    told, _ = told_picture(*reports("jpn", 0.0)[:-1])
    assert isinstance(last.message, TrackFrame)
    told.take(last.message, reports_of(last.message)[0], 0, now_ns)
    take_over(undrawn := told_picture(*reports("jpn", 0.0))[0], told, now_ns)
    assert len(undrawn.changes()[0]) == 1
    told, _ = told_picture(*reports("jpn", 0.0))
    told.clusters.left_open[1, 0, 0] = 1.0  # what registration leaves open is in what is told
    take_over(surer := told_picture(*reports("jpn", 0.0))[0], told, now_ns)
    assert len(surer.changes()[0]) == 1


def test_what_is_no_more_ends() -> None:
    told, now_ns = told_picture(*APART)
    redone, _ = pictured(*reports("jpn", 0.0))
    take_over(redone, told, now_ns)
    assert [alert.state for alert in redone.book.outbox] == ["closed"]
    assert len(told_of(redone)) == 1
    assert len(redone.changes()[1]) == 1


def test_what_was_never_there_is_taken_back_as_in_order() -> None:
    told, now_ns = told_picture(*APART)
    redone, _ = pictured(*APART, Inbound(dropped("kor", [1], "false", now_ns), EVERYONE))
    take_over(redone, told, now_ns)
    assert [(alert.state, alert.reason) for alert in redone.book.outbox] == [("retracted", "reported as a false track")]


def test_what_was_told_as_over_and_is_not_is_warned_of_anew_in_a_while_if_nobody_reports_it() -> None:
    lost = Inbound(dropped("kor", [1], "lost", START_NS + 76 * S), EVERYONE)
    redone, now_ns = pictured(*by_time(reports("jpn", 0.0), reports("kor", 5e4, range(50, 76))), lost)
    held = len(told_of(redone))
    take_over(redone, told_picture(*reports("jpn", 0.0))[0], now_ns)
    assert len(told_of(redone)) == held == 2
    assert not redone.book.outbox
    redone.tick(now_ns + int(Timing().grace_s * S))
    assert [alert.state for alert in redone.book.outbox] == ["quick"]
    redone, _ = pictured(*APART)
    take_over(redone, told_picture(*reports("jpn", 0.0))[0], now_ns)
    assert [alert.state for alert in redone.book.outbox] == ["quick"]
    assert len(told_of(redone)) == 2


def test_what_was_merged_in_hindsight_is_not_counted_as_down() -> None:
    """None of the national tracks that it was told by is one of the elder's, in which it ended."""
    told, now_ns = told_confirmed(*APART)
    (_, (anchor, _)), (younger, _) = sorted(told_of(told).items())
    redone, _ = told_picture(*reports("jpn", 0.0))
    gone = next(case.sent for case in told.book.cases.values() if case.anchor != anchor)
    assert gone is not None
    redone.book.outbox.append(msgspec.structs.replace(gone, state="retracted", reason=same_as(anchor)))
    take_over(redone, told, now_ns)
    assert [(alert.state, alert.system, alert.reason) for alert in redone.book.outbox] == [
        ("retracted", younger, same_as(anchor))
    ]
    assert not redone.book.over


def test_what_ended_in_one_that_is_over_too_ended_in_it_or_as_it_did() -> None:
    told, now_ns = told_confirmed(*APART)
    (_, (anchor, _)), (younger, (own, _)) = sorted(told_of(told).items())
    elder, gone = sorted((case.sent for case in told.book.cases.values() if case.sent), key=lambda alert: alert.system)
    over = [
        msgspec.structs.replace(gone, state="retracted", reason=same_as(anchor)),
        msgspec.structs.replace(elder, state="closed", reason="impact reported"),
    ]
    redone, _ = told_picture()
    redone.book.outbox = over
    take_over(redone, told, now_ns)
    ends = {alert.system: (alert.state, alert.reason) for alert in redone.book.outbox}
    assert ends[younger] == ("retracted", same_as(anchor))
    assert ends[elder.system] == ("closed", "impact reported")
    assert own != anchor


def test_what_was_parted_is_warned_of_once_its_wait_is_over_though_nobody_reports_it_any_more() -> None:
    told, now_ns = told_picture(*TOGETHER)
    (number,) = told_of(told)
    redone, _ = pictured(*APART)
    take_over(redone, told, now_ns)
    assert not redone.tick(now_ns + S)
    assert [state for _, state in told_of(redone).values()].count(None) == 1
    assert redone.tick(now_ns + int(Timing().grace_s * S))
    assert [(alert.state, alert.system) for alert in redone.book.outbox] == [("quick", number + 1)]
    assert not redone.tick(now_ns + 4 * S)


def test_a_wait_that_is_over_ends_no_other() -> None:
    picture, now_ns = told_picture(*APART)
    for later_s, case in zip((1, 3), picture.book.cases.values(), strict=True):
        case.state, case.warned, case.waits_ns = None, True, now_ns + later_s * S
        picture.book._waits.append(case.waits_ns)
    told = [(picture.book.judge_waiting(now_ns + second * S), len(picture.book.outbox)) for second in range(5)]
    assert told == [(False, 0), (True, 1), (False, 1), (True, 2), (False, 2)]


def final(alert: Alert | None, state: AlertState, reason: str, anchor: str | None = None) -> Alert:
    """As if an alert had ended so, or another of the same members, by its id less the recipient."""
    assert alert is not None
    return msgspec.structs.replace(alert, state=state, reason=reason, id=anchor or alert.id)


def ends(redone: Picture) -> list[tuple[str, str]]:
    return [(alert.state, alert.reason) for alert in redone.book.outbox if alert.state in FINAL]


def test_what_ended_in_one_after_another_that_nobody_was_told_of_ended_as_the_last_of_them() -> None:
    told, now_ns = told_confirmed(*reports("kor", 5e4))
    (own,) = told.book.standing()
    redone, _ = told_picture()
    redone.book.outbox = [
        final(own, "retracted", same_as("second"), "first"),
        *(final(alert_of("jpn"), "confirmed", "seen", anchor) for anchor in ("second", "third")),
        final(alert_of("jpn"), "retracted", same_as("third"), "second"),
        final(alert_of("jpn"), "closed", "impact reported", "third"),
    ]
    take_over(redone, told, now_ns)
    assert ends(redone) == [("closed", "impact reported")]


def test_what_ended_in_one_whose_alert_it_has_been_told_as_itself_did_not_end_in_itself() -> None:
    told, now_ns = told_confirmed(*reports("kor", 5e4))
    (own,) = told.book.standing()
    redone, _ = told_picture()
    redone.book.outbox = [
        final(alert_of("jpn"), "closed", "impact reported", own.id),
        final(own, "retracted", same_as(own.id), "another"),
    ]
    take_over(redone, told, now_ns)
    assert ends(redone) == [("closed", "impact reported")]


def test_how_it_ended_is_the_last_word_on_any_that_it_was_told_by() -> None:
    told, now_ns = told_confirmed(*reports("kor", 5e4))
    (own,) = told.book.standing()
    both = msgspec.structs.replace(own, members=[*alert_of("jpn").members, *own.members])
    redone, _ = told_picture()
    redone.book.outbox = [
        final(own, "closed", "lost", "first"),
        final(both, "closed", "impact reported", "second"),
        final(alert_of("jpn"), "closed", "lost, and not found again", "third"),
    ]
    take_over(redone, told, now_ns)
    assert ends(redone) == [("closed", "impact reported")]


def test_what_went_on_in_one_after_another_is_a_part_of_what_the_last_of_them_was_told_as() -> None:
    """Which was founded by another in what was told, and so has another id."""
    early, kor, jpn = [67, 68, 69], range(70, 76), range(70, 76)
    gone = [one("kor", float(t), track=2, east_m=5e4) for t in range(70, 76)]
    told, now_ns = told_confirmed(*reports("kor", 0.0, early), *by_time(reports("jpn", 0.0, jpn), reports("kor", 0.0, kor), gone))
    redone, _ = told_picture(*reports("jpn", 0.0, early), *by_time(reports("jpn", 0.0, jpn), reports("kor", 0.0, kor)))
    (heir,) = redone.book.cases.values()
    kept, other = sorted(told.book.standing(), key=lambda alert: alert.members[-1].track)
    assert heir.anchor not in (kept.id, other.id)
    redone.book.outbox = [
        final(other, "retracted", same_as("second"), "first"),
        final(alert_of("usa"), "retracted", same_as(heir.anchor), "second"),
    ]
    take_over(redone, told, now_ns)
    assert ends(redone) == [("retracted", same_as(kept.id))]


def alert_of(nation: Nation) -> Alert:
    """An alert of a track of a nation that nobody reports in what is told."""
    (sent,) = pictured(one(nation, 80.0, track=9, east_m=-9e5))[0].book.outbox
    return sent
