"""A clock that was ahead and is set back: what it made of the picture is put right, and what came meanwhile counts."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from bus.columns import Reports
from bus.release import EVERYONE
from fusion.engine import Inbound
from tests.fusion.scenes import START_NS, S, Scene, dropped, frame_of, one
from tests.fusion.test_hindsight import block_of
from tests.fusion.watched import RECIPIENT, Message, Watched, upto


def jumped(messages: Sequence[Message], at_s: float, ahead_s: float, until_s: float, *meanwhile: Sequence[Inbound]) -> Watched:
    """Messages as they come, but for a moment in which the clock is ahead: then these steps, none being a tick."""
    before = upto(messages, at_s)
    watched = Watched().play(before, at_s)
    for step in meanwhile:
        watched._take(step, START_NS + int((at_s + ahead_s) * S), shed=False)
    return watched.play(messages[len(before) :], until_s)


@pytest.mark.parametrize("ahead_s", [27.0, 60.0, 130.0])
def test_what_was_held_one_object_before_a_clock_was_ahead_is_so_again(ahead_s: float) -> None:
    """The tick loses every track, and while they cross, new ones would be joined otherwise, or not at all."""
    messages = list(Scene(4, gap_s=1.0, apart_m=300.0, drift_m_s=40.0, end="lost").messages())
    late = jumped(upto(messages, 101.0), 97.0, ahead_s, 102.0, ())
    assert late.picture == Watched().play(upto(messages, 101.0), 102.0).picture
    assert 1 <= late.engine.redone[RECIPIENT] <= 2


def two(until_s: int) -> list[Message]:
    """Reports of two objects."""
    return [
        (START_NS + t * S, one("kor", float(t), track=track, east_m=9e4 * track)) for t in range(60, until_s) for track in (1, 2)
    ]


@pytest.mark.parametrize("ticks", [0, 1])
@pytest.mark.parametrize("ahead_s", [20.0, 60.0, 300.0])
def test_what_ends_while_a_clock_is_ahead_has_ended_when_it_is_set_back(ahead_s: float, ticks: int) -> None:
    """At once, not as late as the clock said; and what follows is nothing out of order."""
    end_ns = START_NS + 79 * S + S // 4
    drop = Inbound(dropped("kor", [2], "false", end_ns), EVERYONE)
    first, rest = upto(two(96), 79.0), [each for each in two(96)[::2] if each[0] > end_ns]
    in_order = Watched().play([*first, (end_ns, drop), *rest], 97.0)
    late = jumped([*first, *rest], 79.25, ahead_s, 97.0, (drop,), *[()] * ticks)
    assert late.picture == in_order.picture
    assert set(late.members.values()) == {(0, 1, 0)}
    assert late.engine.redone[RECIPIENT] <= 2


@pytest.mark.parametrize(("ahead_s", "lost"), [(4.5, True), (6.5, False)])
def test_a_tick_counts_unless_its_clock_was_further_ahead_than_clocks_may_be(ahead_s: float, lost: bool) -> None:
    """By that clock nobody has reported an object for so long that it is lost."""
    messages = [*upto(two(62), 60.0), *((START_NS + t * S, one("kor", float(t), east_m=9e4)) for t in range(61, 84))]
    late = jumped(messages, 81.0, ahead_s, 83.5, (), ())
    assert ((0, 2, 0) not in late.members.values()) == lost
    assert len(late.members) == 2


def test_after_a_clock_was_ahead_for_longer_than_what_is_kept_all_is_put_right_from_then_on() -> None:
    messages = [(START_NS + t * S, one("kor", float(t))) for t in range(60, 130)]
    watched = Watched().play(messages[:20], 79.5)
    for second in range(50):
        now_ns = START_NS + (380 + second) * S
        watched._take((messages[20 + second][1],), now_ns, shed=False)
        watched._take((), now_ns, shed=False)
    watched.tick_ns = START_NS + 110 * S
    later = [(START_NS + t * S, one("kor", float(t), track=2, east_m=9e4)) for t in range(110, 125)]
    later[9], later[10] = later[10], (later[10][0] + S // 8, later[9][1])
    watched.play(later, 130.0)
    assert not watched.hindsight.blind
    assert watched.engine.redone[RECIPIENT] == 1


def test_what_a_clock_did_not_do_while_it_was_ahead_is_nothing_to_put_right() -> None:
    assert not jumped(two(70), 69.0, 8.0, 72.0, ()).engine.redone


@pytest.mark.parametrize(
    ("released_s", "valid_s", "reason", "until_s"), [(99.5, 70.0, "late", 101.5), (104.0, 107.0, "range", 109.0)]
)
def test_rows_that_were_refused_are_not_taken_in_hindsight_either(
    released_s: float, valid_s: float, reason: str, until_s: float
) -> None:
    """As of its release, which the clock was off from by some seconds, that row would have been neither late nor ahead."""
    at_ns, mixed = START_NS + int(released_s * S), [one("kor", 95.5), one("kor", valid_s, track=2, east_m=9e4)]
    block = Reports.join([block_of(each) for each in mixed])
    messages = [(START_NS + t * S, one("kor", float(t))) for t in range(70, 108)]
    before = upto(messages, 100.0)
    frame = START_NS + 100 * S + S // 4, Inbound(frame_of(block, "kor", at_ns), EVERYONE)
    watched = Watched().play([*before, frame, *upto(messages[len(before) :], until_s)], until_s)
    assert watched.engine.rejected == {reason: 1}
    assert watched.engine.redone[RECIPIENT] > 0
    assert set(watched.members.values()) == {(0, 1, 0)}


def test_of_more_in_a_moment_than_may_be_kept_nothing_is_kept_until_the_next_tick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fusion.hindsight._MOST_ROWS", 12_000)
    messages = [(START_NS + 60 * S + t * S // 500, one("kor", 60.0 + t / 500)) for t in range(1, 200)]
    watched = Watched().play(messages, 60.4)
    assert len(watched.hindsight._taken) < 90
    later = [(START_NS + t * S, one("kor", float(t))) for t in range(62, 66)]
    watched.play([*later[:2], later[3], (later[3][0] + 1, later[2][1])], 66.0)
    assert watched.engine.redone[RECIPIENT] == 1


def test_two_frames_that_differ_in_their_later_rows_alone_are_two_and_each_is_known_when_it_comes_again() -> None:
    """Of one instant, feed and number; it comes again when its tracks have fallen silent."""
    at_ns, first = START_NS + 75 * S, one("kor", 75.0)
    others = [one("kor", 75.0, track=track, east_m=9e4 * track) for track in (2, 3)]
    both = [Inbound(frame_of(Reports.join([block_of(first), block_of(other)]), "kor", at_ns), EVERYONE) for other in others]
    messages = [(at_ns + i * S // 10, each) for i, each in enumerate(both)]
    assert set(Watched().play(messages, 76.0).members.values()) == {(0, 1, 0), (0, 2, 0), (0, 3, 0)}
    once = Watched().play(messages, 110.0)
    for each in both:
        twice = Watched().play([*messages, (at_ns + 29 * S, each)], 110.0)
        assert (twice.rows, twice.alerts) == (once.rows, once.alerts)
