"""What comes out of order is put right: the picture is that of the order of release, and what was told goes on."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus.columns import Reports
from bus.messages import Alert, TrackFrame, reports_of
from bus.release import EVERYONE, NATIONS, release
from fusion.alert import FINAL
from fusion.engine import FusionEngine, Inbound
from fusion.settings import FusionSettings, Timing
from tests.fusion.scenes import JPN, KOR, START_NS, S, Scene, decorrelation, dropped, flight, frame_of, one, report_block
from tests.fusion.watched import RECIPIENT, Message, Watched, by_time, delayed, reports, upto

CROSSING: Final = Scene(4, gap_s=1.0, apart_m=300.0, drift_m_s=40.0, end="lost")


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10_000), until_s=st.sampled_from([75.0, 90.0, 120.0, 170.0]), most_s=st.sampled_from([0.01, 1.0, 9.0]))
def test_the_picture_is_to_the_bit_that_of_the_order_of_release(seed: int, until_s: float, most_s: float) -> None:
    messages = upto(CROSSING.messages(), until_s)
    words = [decorrelation("jpn", "jpn/1 kor/2", 74.0), decorrelation("kor", "usa/3 kor/3", 81.5)]
    messages = sorted([*messages, *((word.message.released_ns, word) for word in words)], key=lambda each: each[0])
    in_order = Watched().play(messages, until_s + 12.0)
    assert not in_order.engine.redone
    late = Watched().play(delayed(messages, most_s, seed), until_s + 12.0)
    assert late.picture == in_order.picture
    assert len(in_order.picture) >= 4
    assert late.engine.redone[RECIPIENT] > 0 or most_s < 1.0


def test_when_a_lost_object_is_predicted_does_not_depend_on_when_its_end_came() -> None:
    """The tick between a drop's release and its arrival had nothing to age."""
    messages = [(START_NS + t * S, one("kor", float(t))) for t in range(60, 96)]
    at_ns = START_NS + 95 * S + S // 4
    drop = Inbound(dropped("kor", [1], "lost", at_ns), EVERYONE)
    in_order = Watched().play([*messages, (at_ns, drop)], 110.0)
    late = Watched().play([*messages, (at_ns + S // 2, drop)], 110.0)
    assert late.picture == in_order.picture
    assert set(late.members.values()) == {(0, 0, 0)}


def test_what_comes_after_a_tick_but_in_order_is_nothing_to_put_right() -> None:
    messages = [(at_ns + 3 * S // 10, inbound) for at_ns, inbound in upto(CROSSING.messages(), 75.0)]
    assert not Watched().play(messages, 80.0).engine.redone


@pytest.mark.parametrize("seed", range(4))
def test_what_has_been_told_goes_on(seed: int) -> None:
    """Revisions count up, what is over stays over, and what stands is of what is held."""
    late = Watched().play(delayed(upto(CROSSING.messages(), 120.0), 4.0, seed), 128.0)
    told: dict[str, list[Alert]] = defaultdict(list)
    for _, alert in late.alerts:
        told[alert.id].append(alert)
    for revisions in told.values():
        assert [alert.revision for alert in revisions] == list(range(1, len(revisions) + 1))
        assert not any(alert.state in FINAL for alert in revisions[:-1])
    standing = {alert.id: alert for alert in late.engine.standing_alerts() if alert.recipient == RECIPIENT}
    assert standing.keys() == {key for key, revisions in told.items() if revisions[-1].state not in FINAL}
    assert {alert.system for alert in standing.values()} <= late.rows.keys()
    assert len(standing) == CROSSING.n


def test_what_comes_in_order_or_twice_is_nothing_to_put_right() -> None:
    messages = upto(CROSSING.messages(), 100.0)
    twice = sorted([*messages, *((at_ns + S // 10, inbound) for at_ns, inbound in messages)], key=lambda each: each[0])
    assert not Watched().play(twice, 110.0).engine.redone


@pytest.mark.parametrize("last_s", [100, 101])
def test_how_long_a_dropped_number_is_refused_does_not_depend_on_when_its_reports_come(last_s: int) -> None:
    """Its feed goes on with it: what is released within the window after the drop is refused, though it comes after that."""
    drop = (START_NS + 70 * S, Inbound(dropped("kor", [1], "false", START_NS + 70 * S), EVERYONE))
    reports = [(START_NS + t * S, one("kor", float(t))) for t in range(60, last_s + 1)]
    messages = sorted([*reports, drop], key=lambda each: each[0])
    in_order = Watched().play(messages, 106.0)
    late = Watched().play([*messages[:-1], (messages[-1][0] + 3 * S // 2, messages[-1][1])], 106.0)
    assert late.picture == in_order.picture
    assert len(late.picture) == (last_s > 100)


def test_a_report_that_waited_for_longer_than_the_window_is_taken_as_it_comes() -> None:
    messages = [(START_NS + t * S, one("kor", float(t))) for t in range(60, 100)]
    old = msgspec.structs.replace(messages[0][1].message, released_ns=START_NS + 60 * S, session=1)
    watched = Watched().play([*messages, (START_NS + 99 * S + 1, Inbound(old, EVERYONE))], 101.0)
    assert watched.engine.rejected == {"late": 1}
    assert not watched.engine.redone
    assert not watched.engine.shed
    gone = dropped("kor", [1], "lost", START_NS + 65 * S)  # its drop waited too, and counts all the same
    watched.play([(START_NS + 102 * S, Inbound(gone, EVERYONE))], 104.0)
    assert set(watched.members.values()) == {(0, 0, 0)}


def test_a_large_picture_is_not_put_right_and_that_is_counted() -> None:
    messages = upto(CROSSING.messages(), 90.0)
    small = FusionSettings(timing=Timing(order_tracks=3))
    watched = Watched(FusionEngine(small)).play(delayed(messages, 2.0, 1), 95.0)
    assert watched.hindsight.blind
    assert watched.engine.shed["order"] > 0
    assert not watched.hindsight._taken
    in_order = Watched(FusionEngine(small)).play(messages, 95.0)
    assert in_order.hindsight.blind
    assert in_order.engine.shed["order"] == 0


def test_once_a_picture_is_small_again_it_is_put_right_again() -> None:
    watched = Watched(FusionEngine(FusionSettings(timing=Timing(order_tracks=1))))
    first = [(START_NS + t * S, one("kor", float(t), track=track, east_m=4e4 * track)) for t in range(60, 64) for track in (1, 2)]
    over = (START_NS + 64 * S, Inbound(dropped("kor", [2], "false", START_NS + 64 * S), EVERYONE))
    watched.play([*first, over], 65.0)
    assert not watched.engine.redone
    later = [(START_NS + t * S, one("kor", float(t))) for t in range(66, 70)]
    late = [*later[:2], later[3], (later[3][0] + S // 4, later[2][1])]
    watched.play(late, 71.0)
    assert watched.engine.redone[RECIPIENT] > 0


def test_under_load_putting_right_waits_and_is_counted() -> None:
    messages = upto(CROSSING.messages(), 90.0)
    watched = Watched().play(delayed(messages, 2.0, 1), 95.0, shed=True)
    assert not watched.engine.redone
    assert watched.engine.shed["order"] > 0
    watched.play([], 104.0)
    assert watched.engine.redone[RECIPIENT] == 1
    assert watched.picture == Watched().play(messages, 104.0).picture


@pytest.mark.parametrize(("cost", "rows"), [("_A_TICKS_WORK", 4_000), ("_A_PAIR", 400)])
def test_much_to_put_right_is_put_right_over_some_ticks(cost: str, rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Much by its messages, or by what looks ask."""
    monkeypatch.setattr(f"fusion.hindsight.{cost}", rows)
    messages = upto(CROSSING.messages(), 90.0)
    before = len(upto(messages, 66.0))
    one_late = [*messages[:before], *messages[before + 1 :], (START_NS + 91 * S, messages[before][1])]
    late = Watched().play(one_late, 91.5)
    assert not late.engine.redone
    assert late.engine.shed["order"] == 1  # a tick that left it undone
    late.play([], 104.0)
    assert late.engine.redone[RECIPIENT] == 1
    assert late.picture == Watched().play(messages, 104.0).picture


def test_putting_right_that_is_never_done_is_counted_at_each_tick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fusion.hindsight._A_TICKS_WORK", 1)
    messages = upto(CROSSING.messages(), 80.0)
    late = Watched().play(delayed(messages, 9.0, 1), 80.0)
    assert late.engine.redone[RECIPIENT] + late.engine.shed["order"] > 40
    assert late.engine.shed["order"] > 20


def test_what_is_kept_is_of_the_lag_window_and_copies_get_fewer_as_they_age() -> None:
    watched = Watched().play(upto(Scene(3).messages(), 160.0), 160.0)
    lag_ns = int(Timing().lag_s * S)
    kept, copies = watched.hindsight._taken, watched.hindsight._copies
    assert copies[0].key.at_ns <= START_NS + 160 * S - lag_ns < copies[1].key.at_ns
    assert copies[0].key <= kept[0].key
    assert 5 <= len(copies) <= 15
    assert copies == sorted(copies, key=lambda each: each.key)


@pytest.mark.parametrize("seed", range(3))
def test_what_is_released_to_some_puts_only_their_picture_right(seed: int) -> None:
    """To each what an engine of its own has that hears only what is released to it."""
    rng = random.Random(seed)
    to = [("jpn", "kor", "usa"), ("kor",), ("jpn", "usa")]
    sent = [(at_ns, each._replace(to=release(each.message.nation, *rng.choice(to)))) for at_ns, each in CROSSING.messages()]
    late = delayed(upto(sent, 95.0), 3.0, seed)
    for recipient in NATIONS:
        own = [message for message in late if recipient in message[1].to]
        alone = Watched(FusionEngine(FusionSettings(), (recipient,)), recipient).play(own, 100.0)
        shared = Watched(FusionEngine(), recipient).play(late, 100.0)
        assert shared.rows == alone.rows
        assert shared.alerts == alone.alerts
        assert shared.engine.redone[recipient] > 0


@pytest.mark.parametrize("reason", ["false", "lost"])
def test_of_drops_that_came_swapped_the_last_word_is_that_of_the_order_of_release(reason: str) -> None:
    """Told first as lost, then of the last that is left that it is false: in order nobody says that, and the object goes on."""
    messages = [(each.message.released_ns, each) for each in by_time(reports("jpn", 0.0), reports("kor", 0.0))]
    one_ns, other_ns = START_NS + 76 * S, START_NS + 76 * S + S // 5
    first = Inbound(dropped("jpn", [1], reason, one_ns), EVERYONE)
    second = Inbound(dropped("kor", [1], "lost", other_ns), EVERYONE)
    in_order = Watched().play([*messages, (one_ns, first), (other_ns, second)], 86.0)
    late = Watched().play([*messages, (other_ns, second), (other_ns + S // 5, first)], 86.0)
    assert late.engine.redone[RECIPIENT] > 0
    assert late.picture == in_order.picture
    assert len(late.picture) == 1
    assert len([alert for alert in late.engine.standing_alerts() if alert.recipient == RECIPIENT]) == 1
    assert reason == "false" or not any(alert.state in FINAL for _, alert in late.alerts)


def ticked(watched: Watched, messages: Sequence[Message], ahead_s: float, times: Iterable[float]) -> Watched:
    """Messages as they come, and a tick after each; at these times the clock is ahead, of messages and ticks."""
    for at_ns, inbound in messages:
        now_ns = at_ns + (int(ahead_s * S) if (at_ns - START_NS) / S in times else 0)
        watched._take((inbound,), now_ns, shed=False)
        watched._take((), now_ns + S // 4, shed=False)
    return watched


@pytest.mark.parametrize("ahead_s", [6.0, 28.0, 60.0, 300.0])
def test_a_clock_that_was_ahead_for_a_moment_is_put_right_at_once(ahead_s: float) -> None:
    messages = [(START_NS + t * S, one("kor", float(t))) for t in range(70, 110)]
    watched = ticked(Watched(), messages[:20], ahead_s, [80.0])
    assert set(watched.members.values()) == {(0, 1, 0)}
    assert watched.engine.redone[RECIPIENT] <= 2
    redone = watched.engine.redone[RECIPIENT]
    ticked(watched, messages[20:], 0.0, ())
    assert watched.engine.redone[RECIPIENT] == redone
    assert set(watched.members.values()) == {(0, 1, 0)}


@pytest.mark.parametrize("back_s", [3.0, 10.0, 40.0])
def test_a_clock_that_is_set_back_hides_nothing_from_hindsight(back_s: float) -> None:
    """A drop that comes meanwhile is not kept where it is never taken again."""
    first = [(START_NS + t * S, one("kor", float(t))) for t in range(40, 79)]
    drop = (START_NS + 79 * S, Inbound(dropped("kor", [1], "false", START_NS + 79 * S), EVERYONE))
    other = [(START_NS + t * S, one("kor", float(t), track=2, east_m=9e4)) for t in range(80, 95)]
    other[9], other[10] = other[10], (other[10][0] + S // 8, other[9][1])
    watched = ticked(Watched(), [*first, drop, *other], -back_s, [79.0, 80.0, 81.0])
    hindsight = watched.hindsight
    assert all(each.key > hindsight._copies[0].key for each in hindsight._taken)
    assert set(watched.members.values()) == {(0, 2, 0)}
    assert len(watched.rows) == 1


def test_what_comes_again_is_not_fused_again_though_its_track_has_fallen_silent() -> None:
    messages = [(START_NS + t * S, one("kor", float(t))) for t in range(70, 76)]
    again = (messages[-1][0] + 29 * S, messages[-1][1])
    once, twice = Watched().play(messages, 125.0), Watched().play([*messages, again], 125.0)
    assert twice.rows == once.rows
    assert twice.alerts == once.alerts
    assert not twice.engine.redone


def test_copies_hold_no_more_than_what_was_to_be_told_the_last_time() -> None:
    """Every four seconds another missile, dropped after two."""
    messages = [(START_NS + t * S, one("jpn", float(t), east_m=9e4)) for t in range(60, 160)]
    for t in range(60, 160, 4):
        messages += [(START_NS + i * S, one("kor", 70.0 + i - t, track=t)) for i in range(t, t + 2)]
    messages = [(at_ns, as_of(inbound, at_ns)) for at_ns, inbound in messages]
    messages += [(at_ns + S // 3, as_of(inbound, at_ns + S // 3)) for at_ns, inbound in messages[:100]]
    ends = [START_NS + (t + 2) * S for t in range(60, 160, 4)]
    messages += [(at_ns, Inbound(dropped("kor", [(at_ns - START_NS) // S - 2], "false", at_ns), EVERYONE)) for at_ns in ends]
    late = Watched().play(delayed(messages, 9.0, 1), 160.0)
    assert late.engine.redone[RECIPIENT] > 100
    held = [(len(each.book.outbox), len(each.book.over), len(each._life.ended)) for each in late.pictures]
    assert max(map(max, held)) <= 20


def as_of(inbound: Inbound, at_ns: int) -> Inbound:
    """The same report, of and released at another time."""
    message = inbound.message
    assert isinstance(message, TrackFrame)
    block, _ = reports_of(message)
    return inbound._replace(message=frame_of(replace(block, valid_ns=np.full(len(block), at_ns)), message.nation, at_ns))


def test_a_look_that_only_a_tick_makes_is_in_its_order_too() -> None:
    """So many wait for a partner that looks are left to ticks: one between a release and its arrival was without it."""
    rng = np.random.default_rng(1)
    places = rng.normal(scale=2_000.0, size=(70, 3))
    messages: list[Message] = []
    for t in range(60, 80):
        for eye, later_ns in ((JPN, S // 20), (KOR, S // 4)):
            states = flight(t + 2)[t * 4] + np.hstack([places + rng.normal(scale=300.0, size=places.shape), 0.0 * places])
            sigma, at_ns = np.repeat([300.0, 30.0], 3), START_NS + t * S + later_ns
            block = report_block(np.arange(1, 71), START_NS + t * S, states, sigma, np.zeros(70, np.bool_), eye)
            messages.append((at_ns, Inbound(frame_of(block, eye.nation, at_ns), EVERYONE)))
    in_order = Watched().play(messages, 82.0)
    late = Watched().play([(at_ns + 3 * S // 10, inbound) for at_ns, inbound in messages], 82.0)
    assert late.picture == in_order.picture
    assert len(late.picture) < 140


@pytest.mark.parametrize("seqs", [(1, 1), (1, 2), (2, 1)])
def test_two_frames_of_a_feed_and_an_instant_have_an_order_whichever_comes_first(seqs: tuple[int, int]) -> None:
    """How long it was seen goes by the first: for less than 20 s it vanishes, else it is kept."""
    at_ns = START_NS + 65 * S + S // 10
    both = [
        msgspec.structs.replace(one("kor", t).message, released_ns=at_ns, seq=seq)
        for t, seq in zip((60.0, 65.0), seqs, strict=True)
    ]
    others = [(START_NS + t * S + S // 10, one("kor", float(t))) for t in range(66, 85)]
    over = (START_NS + 85 * S, Inbound(dropped("kor", [1], "lost", START_NS + 85 * S), EVERYONE))
    pictures = []
    for first, second in (both, both[::-1]):
        watched = Watched().play(
            [(at_ns, Inbound(first, EVERYONE)), (at_ns + S // 20, Inbound(second, EVERYONE)), *others, over], 95.0
        )
        pictures.append(watched.picture)
    assert pictures[0] == pictures[1]
    assert len(pictures[0]) == (seqs[0] <= seqs[1])


def test_empty_frames_are_not_kept_but_for_those_that_begin_a_session() -> None:
    nothing = one("kor", 60.0)._replace(message=frame_of(block_of(one("kor", 60.0)).take(np.zeros(0, np.int64)), "kor", START_NS))
    flood = [(START_NS + 62 * S + i * S // 500, again(nothing, START_NS + 62 * S + i * S // 500, 1)) for i in range(2000)]
    reports_ = [(START_NS + t * S, one("kor", float(t))) for t in range(60, 70)]
    watched = Watched().play(sorted([*reports_, *flood], key=lambda each: each[0]), 70.0)
    assert len([each for each in watched.hindsight._taken if each.message is not None]) == len(reports_)
    restart = (START_NS + 71 * S, again(nothing, START_NS + 71 * S, 2))
    in_order = Watched().play([*reports_, restart], 73.0)
    late = Watched().play([*reports_, (restart[0] + S, restart[1])], 73.0)
    assert late.picture == in_order.picture
    assert set(late.members.values()) == {(0, 0, 0)}


def test_of_more_than_may_be_kept_only_the_oldest_is_forgotten_and_what_is_missed_by_it_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("fusion.hindsight._MOST_ROWS", 12_000)
    messages = [(START_NS + t * S // 4, one("kor", t / 4)) for t in range(240, 320)]
    a_while = [*messages[:70], messages[71], (messages[71][0] + 1, messages[70][1]), *messages[72:]]
    watched = Watched().play(a_while, 81.0)
    assert watched.engine.redone[RECIPIENT] == 1
    assert watched.engine.shed["order"] == 0
    assert not watched.hindsight.blind
    longer = [*messages[:10], *messages[11:], (messages[-1][0] + 1, messages[10][1])]
    watched = Watched().play(longer, 81.0)
    assert not watched.engine.redone
    assert watched.engine.shed["order"] == 1


def test_of_a_quiet_sky_no_more_ticks_are_kept_than_of_the_window() -> None:
    assert len(Watched().play([], 120.0).hindsight._taken) <= 2 * int(Timing().lag_s) + 1


def block_of(inbound: Inbound) -> Reports:
    assert isinstance(inbound.message, TrackFrame)
    return reports_of(inbound.message)[0]


def again(inbound: Inbound, at_ns: int, session: int) -> Inbound:
    """The same, released at another time and by another session."""
    return inbound._replace(message=msgspec.structs.replace(inbound.message, released_ns=at_ns, session=session))
