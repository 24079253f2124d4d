"""Tracks that an operator declares not to be one object are never held as one, by whatever way and in whatever order it comes."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable
from typing import Final

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus.columns import Reports
from bus.messages import Alert, encode, reports_of, system_tracks_of
from bus.release import NATIONS, Nation, release
from fusion.associate import Associator
from fusion.decorrelation import MOST_WORDS, Decorrelations, Key
from fusion.engine import FusionEngine, Inbound
from fusion.tables import NONE, ReportTable, SystemTable
from tests.fusion.scenes import JPN, KOR, START_NS, USA, Eye, S, Scene, decorrelation, dropped, frame_of, one
from tests.fusion.test_engine import Outputs, step, wire
from tests.oracles_fusion import not_apart

EYES: Final[dict[Nation, Eye]] = {"jpn": JPN, "kor": KOR, "usa": USA}
ALL: Final[tuple[Nation, ...]] = NATIONS


class Watched:
    """An engine, and what one recipient sees of it: by system track its members (jpn, kor, usa; 0 is none), and the alerts."""

    def __init__(self, engine: FusionEngine | None = None) -> None:
        self.engine = engine or FusionEngine()
        self.held: dict[int, tuple[int, ...]] = {}
        self.alerts: list[Alert] = []

    def take(self, messages: Iterable[Inbound], t_s: float) -> Outputs:
        """A step with each of the messages, then a tick."""
        at_ns, last = START_NS + int(t_s * S), Outputs([], [])
        for each in [[message] for message in messages] + [[]]:
            last = step(self.engine, each, at_ns)
            self.alerts += [alert for alert in last.alerts if alert.recipient == "kor"]
            for frame in last.pictures:
                if frame.recipient == "kor":
                    block, _ = system_tracks_of(frame)
                    self.held.update(zip(block.system.tolist(), map(tuple, block.members.tolist()), strict=True))
                    for number in frame.dropped:
                        self.held.pop(number, None)
        return last

    def reports(self, seconds: Iterable[float], nations: Iterable[Nation] = ALL, track: int = 1) -> None:
        """Reports of one missile by these nations, each second."""
        for t_s in seconds:
            self.take([one(nation, t_s, track=track, eye=EYES[nation]) for nation in nations], t_s)

    @property
    def members(self) -> list[tuple[int, ...]]:
        return sorted(self.held.values())

    @property
    def standing(self) -> dict[tuple[int, ...], str]:
        """Of every system track the state of its standing alert."""
        found = {alert.system: alert.state for alert in self.engine.standing_alerts() if alert.recipient == "kor"}
        return {members: found.get(number, "none") for number, members in self.held.items()}


def joined(nations: tuple[Nation, ...] = ALL) -> Watched:
    """One missile that these nations see, held as one object."""
    watched = Watched()
    watched.reports(range(70, 76), nations)
    assert len(watched.members) == 1
    return watched


def weak(inbound: Inbound) -> Inbound:
    """The same reports, of so poor a quality that none would be alerted of itself."""
    block, _ = reports_of(inbound.message)  # type: ignore[arg-type]
    fields = {name: getattr(block, name) for name in Reports.COLUMNS} | {"quality": np.zeros(len(block), np.uint8)}
    return inbound._replace(message=frame_of(Reports(**fields), inbound.message.nation, inbound.message.released_ns))


def test_members_declared_apart_are_parted_at_once_and_both_are_warned_of() -> None:
    watched = joined(("jpn", "kor"))
    assert watched.standing == {(1, 1, 0): "updated"}
    watched.take([decorrelation("kor", "kor/1 jpn/1", 75.0)], 75.0)
    assert set(watched.members) == {(0, 1, 0), (1, 0, 0)}
    assert sorted(watched.standing.values()) == ["quick", "updated"]
    assert {alert.state for alert in watched.alerts} <= {"quick", "confirmed", "updated"}  # nothing was taken back


def test_the_warning_is_kept_of_a_part_that_would_have_none_of_itself() -> None:
    watched = Watched()
    for t_s in range(70, 76):
        watched.take([one("kor", t_s), weak(one("jpn", t_s, eye=JPN))], t_s)
    alone = Watched()
    alone.take([weak(one("jpn", 75.0, eye=JPN))], 75.0)
    assert alone.standing == {(1, 0, 0): "none"}
    watched.take([decorrelation("usa", "kor/1 jpn/1", 75.0)], 75.0)
    assert set(watched.standing) == {(0, 1, 0), (1, 0, 0)}
    assert "none" not in watched.standing.values()


def test_where_there_was_no_alert_none_is_made_of_it() -> None:
    watched = Watched()
    for t_s in range(70, 76):
        watched.take([weak(one("kor", t_s)), weak(one("jpn", t_s, eye=JPN))], t_s)
    watched.take([decorrelation("kor", "kor/1 jpn/1", 75.0)], 75.0)
    assert watched.standing == {(0, 1, 0): "none", (1, 0, 0): "none"}


def test_the_first_that_was_detected_keeps_the_system_track_and_its_alert() -> None:
    watched = Watched()
    for t_s in range(70, 76):
        block, _ = reports_of(one("jpn", t_s, eye=JPN).message)  # type: ignore[arg-type]
        fields = {name: getattr(block, name) for name in Reports.COLUMNS}
        older = Reports(**fields | {"detected_age_ms": np.full(1, 20_000 + 1000 * t_s, np.uint32)})
        watched.take([one("kor", t_s), Inbound(frame_of(older, "jpn", START_NS + t_s * S), NATIONS)], t_s)
    (number,) = watched.held
    watched.take([decorrelation("kor", "kor/1 jpn/1", 75.0)], 75.0)
    assert watched.held[number] == (1, 0, 0)


@pytest.mark.parametrize("speaker", NATIONS)
def test_they_stay_apart_look_after_look(speaker: Nation) -> None:
    watched = joined(("jpn", "kor"))
    watched.take([decorrelation(speaker, "kor/1 jpn/1", 75.0)], 75.0)
    watched.reports(range(76, 130), ("jpn", "kor"))
    assert watched.members == [(0, 1, 0), (1, 0, 0)]
    assert watched.engine.decorrelations == dict.fromkeys(NATIONS, 1)


def untold(nation: Nation, t_s: float) -> Inbound:
    """A report that stands where Korea's stands and tells of no sensor."""
    inbound = one(nation, t_s)
    block, _ = reports_of(inbound.message)  # type: ignore[arg-type]
    fields = {name: getattr(block, name) for name in Reports.COLUMNS} | {"pedigree": np.zeros(len(block), np.uint32)}
    return Inbound(frame_of(Reports(**fields), nation, START_NS + int(t_s * S)), NATIONS)


@pytest.mark.parametrize("word_s", [69.5, 70.5, 78.5])
def test_what_tells_no_sensor_is_no_echo_of_what_an_operator_says_it_is_not(word_s: float) -> None:
    """Whether the word comes before the tracks, before the one has been found out, or once it is set aside: for good."""
    watched = Watched()
    for t_s in range(70, 110):
        if t_s - 1 < word_s < t_s:
            watched.take([decorrelation("jpn", "jpn/1 kor/1", word_s)], word_s)
        if t_s > word_s:
            watched.alerts.clear()
        watched.take([one("kor", t_s), untold("jpn", t_s)], t_s)
        if t_s == 78:
            assert watched.members == ([(0, 1, 0)] if word_s > t_s else [(0, 1, 0), (1, 0, 0)])
        assert "retracted" not in {alert.state for alert in watched.alerts}
    assert watched.standing == {(0, 1, 0): "quick", (1, 0, 0): "quick"}
    assert watched.engine.decorrelations["kor"] == 1


def test_of_two_that_are_apart_one_at_most_is_an_echo_of_a_third() -> None:
    watched = Watched()
    for t_s in range(70, 80):
        watched.take([one("kor", t_s), untold("jpn", t_s), untold("usa", t_s)], t_s)
    assert watched.members == [(0, 1, 0)]
    watched.take([decorrelation("kor", "jpn/1 usa/1", 79.5)], 79.5)
    for t_s in range(80, 100):
        watched.take([one("kor", t_s), untold("jpn", t_s), untold("usa", t_s)], t_s)
        assert watched.members == [(0, 0, 1), (0, 1, 0)]


@pytest.mark.parametrize("known", [(), ("jpn",), ("kor",)])
def test_a_word_holds_though_it_comes_before_the_tracks(known: tuple[Nation, ...]) -> None:
    watched = Watched()
    watched.reports([70.0], known)
    watched.take([decorrelation("jpn", "jpn/1 kor/1", 70.5)], 70.5)
    watched.reports(range(71, 100), ("jpn", "kor"))
    assert watched.members == [(0, 1, 0), (1, 0, 0)]


def test_no_third_track_brings_them_together() -> None:
    watched = joined()
    assert watched.members == [(1, 1, 1)]
    watched.take([decorrelation("jpn", "jpn/1 kor/1", 75.0)], 75.0)
    for t_s in range(76, 120):
        watched.reports([t_s])
        assert not [each for each in watched.members if each[0] and each[1]]
    assert sum(each[2] for each in watched.members) == 1
    assert {alert.state for alert in watched.engine.standing_alerts()} <= {"quick", "confirmed", "updated"}
    assert "none" not in [state for members, state in watched.standing.items() if members[0] or members[1]]


def test_the_third_goes_with_the_one_that_it_surely_belongs_to() -> None:
    """kor/1 has strayed by 4 km, not yet far enough to be split off: usa/1 is jpn/1's."""
    watched = joined()
    watched.take([one("jpn", 76.0, eye=JPN), one("usa", 76.0, eye=USA), one("kor", 76.0, east_m=4e3)], 76.0)
    assert watched.members == [(1, 1, 1)]
    watched.take([decorrelation("jpn", "jpn/1 kor/1", 76.0)], 76.0)
    assert watched.members == [(0, 1, 0), (1, 0, 1)]


def test_a_look_that_wants_what_must_not_be_is_not_obeyed(monkeypatch: pytest.MonkeyPatch) -> None:
    watched = joined(("jpn", "kor"))
    watched.take([decorrelation("jpn", "jpn/1 kor/1", 75.0)], 75.0)
    for wanted in ((0, 1), (1, 0)):
        monkeypatch.setattr(Associator, "look", lambda _, held, *__, wanted=wanted: [wanted] if len(held) == 2 else [])
        watched.reports([76.0 + wanted[0]], ("jpn", "kor"))
        assert watched.members == [(0, 1, 0), (1, 0, 0)]
    watched.take([decorrelation("jpn", "jpn/1 kor/1", 77.5, apart=False), one("kor", 78.0)], 78.0)
    assert watched.members == [(1, 1, 0)]


def test_taken_back_they_may_be_one_again() -> None:
    watched = joined(("jpn", "kor"))
    watched.take([decorrelation("kor", "kor/1 jpn/1", 75.0)], 75.0)
    watched.reports(range(76, 80), ("jpn", "kor"))
    watched.take([decorrelation("kor", "jpn/1 kor/1", 79.5, apart=False)], 79.5)
    watched.reports(range(80, 90), ("jpn", "kor"))
    assert watched.members == [(1, 1, 0)]
    assert watched.engine.decorrelations["jpn"] == 0


def test_another_nation_cannot_take_it_back() -> None:
    watched = joined(("jpn", "kor"))
    watched.take([decorrelation("kor", "kor/1 jpn/1", 75.0), decorrelation("jpn", "kor/1 jpn/1", 76.0, apart=False)], 76.0)
    watched.reports(range(76, 90), ("jpn", "kor"))
    assert watched.members == [(0, 1, 0), (1, 0, 0)]


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_the_newest_word_of_a_nation_holds_in_whatever_order_they_come(order: tuple[int, ...]) -> None:
    words = [
        decorrelation("kor", "kor/1 jpn/1", 75.0),
        decorrelation("kor", "kor/1 jpn/1", 76.0, apart=False),
        decorrelation("kor", "kor/1 jpn/1", 77.0),
        decorrelation("kor", "kor/1 jpn/1", 77.0, apart=False),  # at the same instant: what keeps apart holds
    ]
    watched = joined(("jpn", "kor"))
    watched.take([words[i] for i in (*order, *order)], 78.0)
    watched.reports(range(79, 90), ("jpn", "kor"))
    assert watched.members == [(0, 1, 0), (1, 0, 0)]


@pytest.mark.parametrize("apart", [True, False])
def test_a_lost_track_is_not_recognised_as_what_it_is_apart_from(apart: bool) -> None:
    watched = Watched()
    watched.reports(range(50, 75), ("kor",))
    if apart:
        watched.take([decorrelation("kor", "kor/1 jpn/1", 75.0)], 75.0)
    watched.take([Inbound(dropped("kor", [1], "lost", START_NS + 76 * S), NATIONS)], 76.0)
    watched.reports(range(77, 85), ("jpn",))
    assert len(watched.members) == (2 if apart else 1)


@pytest.mark.parametrize("apart", [True, False])
def test_a_word_that_overtakes_or_follows_the_drop_of_a_lost_track_is_the_same(apart: bool) -> None:
    watched = Watched()
    watched.reports(range(50, 75), ("kor",))
    watched.take([Inbound(dropped("kor", [1], "lost", START_NS + 76 * S), NATIONS)], 76.0)
    if apart:
        watched.take([decorrelation("kor", "kor/1 jpn/1", 75.0)], 76.0)
    watched.reports(range(77, 85), ("jpn",))
    assert len(watched.members) == (2 if apart else 1)


def test_a_track_that_was_silent_for_long_is_still_apart_when_it_is_back() -> None:
    watched = joined(("jpn", "kor"))
    watched.take([decorrelation("kor", "kor/1 jpn/1", 75.0)], 75.0)
    watched.reports(range(76, 110), ("jpn",))
    assert watched.members == [(1, 0, 0)]
    watched.reports(range(110, 130), ("jpn", "kor"))
    assert watched.members == [(0, 1, 0), (1, 0, 0)]


@pytest.mark.parametrize("session", [1, 2])
def test_a_word_means_the_tracks_of_the_sessions_that_it_names(session: int) -> None:
    watched = joined(("jpn", "kor"))
    watched.take([decorrelation("kor", "kor/1 jpn/1", 75.0, sessions=(1, session))], 75.0)
    assert len(watched.members) == (2 if session == 1 else 1)


def test_a_new_session_of_a_feed_is_not_bound_by_a_word_on_the_old_one() -> None:
    watched = joined(("jpn", "kor"))
    watched.take([decorrelation("kor", "kor/1 jpn/1", 75.0)], 75.0)
    for t_s in range(76, 90):
        block, _ = reports_of(one("kor", t_s).message)  # type: ignore[arg-type]
        anew = Inbound(frame_of(block, "kor", START_NS + t_s * S, session=2), NATIONS)
        watched.take([anew, one("jpn", t_s, eye=JPN), decorrelation("kor", "kor/1 jpn/1", 75.0)], t_s)
    assert watched.members == [(1, 1, 0)]
    assert remembered(watched) == 0


def remembered(watched: Watched) -> int:
    """Words that a picture keeps."""
    return len(watched.engine._groups[0].picture.clusters.decorrelations._words)


@pytest.mark.parametrize("late", [True, False])
def test_a_word_is_forgotten_when_one_of_its_tracks_ends(late: bool) -> None:
    watched = joined(("jpn", "kor"))
    words = [decorrelation("kor", "kor/1 jpn/1", 75.0), decorrelation("usa", "kor/1 jpn/1", 75.0, apart=False)]
    end = Inbound(dropped("kor", [1], "impact", START_NS + 75 * S), NATIONS)
    watched.take([end, *words] if late else [*words, end], 75.0)
    assert remembered(watched) == 0
    assert watched.engine.decorrelations["kor"] == 0


def test_a_word_on_a_track_that_ended_unseen_is_forgotten() -> None:
    watched = Watched()
    watched.reports([70.0], ("jpn",))
    watched.take([decorrelation("kor", "kor/1 jpn/1", 70.0, sessions=(0, 1))], 70.0)
    assert remembered(watched) == 1
    watched.take([Inbound(dropped("kor", [1], "impact", START_NS + 71 * S, session=0), NATIONS)], 71.0)
    assert remembered(watched) == 0


def test_of_one_nation_the_newest_words_are_kept_and_what_makes_room_is_counted() -> None:
    watched = Watched()
    words = [decorrelation("kor", f"kor/{i} jpn/1", i / 100.0) for i in range(1, MOST_WORDS + 11)]
    random.Random(1).shuffle(words)
    watched.take([*words, decorrelation("usa", "kor/1 jpn/1", 0.0)], 9.0)
    assert remembered(watched) == MOST_WORDS + 1
    assert watched.engine.rejected == {"crowded": 10}
    watched.reports(range(10, 20), ("jpn", "kor"), track=1)
    assert watched.engine.decorrelations["kor"] == 1  # by the other nation's word


def test_a_word_from_the_future_is_refused_and_counted() -> None:
    watched = joined(("jpn", "kor"))
    watched.take([decorrelation("kor", "kor/1 jpn/1", 90.0)], 75.0)
    assert len(watched.members) == 1
    assert watched.engine.rejected == {"range": 1}


@pytest.mark.parametrize("apart", [True, False])
def test_the_raid_count_has_no_doubt_about_what_is_apart(apart: bool) -> None:
    """Two tracks 1 km from each other, too near for sure and too far to be joined at once."""
    watched = Watched()
    if apart:
        watched.take([decorrelation("jpn", "kor/1 jpn/1", 49.0)], 49.0)
    watched.take([one("kor", 50.0, sigma_m=1000.0), one("jpn", 50.0, sigma_m=1000.0, east_m=4e3, eye=JPN)], 50.0)
    last = watched.take([], 52.0)
    told = [frame.raid for frame in step(watched.engine, [one("kor", 53.0, sigma_m=1000.0)], START_NS + 53 * S).pictures]
    assert last.pictures == []
    assert told[0] is not None
    assert (told[0].in_flight.expected == pytest.approx(1.8)) == apart


@settings(max_examples=20, deadline=None)
@given(st.randoms(use_true_random=False), st.booleans())
def test_any_interleaving_of_reports_and_words_ends_with_the_two_apart(rng: random.Random, undone: bool) -> None:
    """Reports and words delayed by up to 5 s, repeated or lost; taken back, they are one in the end."""
    sent: list[tuple[float, Inbound]] = []
    for nation, eye in EYES.items():
        for t_s in range(70, 90):
            sent += [(t_s, one(nation, float(t_s), eye=eye))] * (rng.random() < 0.9)
    word_s = rng.uniform(69.0, 89.0)
    sent += [(word_s, decorrelation("usa", "jpn/1 kor/1", word_s))] * rng.randint(1, 3)
    if undone:
        sent += [(word_s + 0.5, decorrelation("usa", "jpn/1 kor/1", word_s + 0.5, apart=False))] * rng.randint(1, 3)
    sent += [each for each in sent if rng.random() < 0.1]
    came = sorted((t_s + rng.uniform(0.0, 5.0), i) for i, (t_s, _) in enumerate(sent))
    watched = Watched()
    for at_s, i in came:
        watched.take([sent[i][1]], at_s)
    watched.reports(range(95, 104))
    if undone:
        assert watched.members == [(1, 1, 1)]
    else:
        assert sorted(each[0] + 2 * each[1] for each in watched.members if each[0] or each[1]) == [1, 2]
        assert watched.engine.decorrelations["jpn"] == 1
        assert "none" not in [state for members, state in watched.standing.items() if members[0] or members[1]]


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_in_a_salvo_with_many_words_no_system_track_ever_holds_two_that_are_apart(seed: int) -> None:
    rng = random.Random(seed)
    scene, watched = Scene(4, seed=seed, end=rng.choice(["impact", "lost"])), Watched()
    apart: set[tuple[str, int, str, int]] = set()
    said_s = 60.0
    for at_ns, inbound in scene.messages():
        t_s = (at_ns - START_NS) / S
        if t_s >= said_s:
            said_s += 4.0
            one_nation, other_nation = rng.sample(NATIONS, 2)
            first, second = rng.randint(1, 4), rng.randint(1, 4)
            apart.add((one_nation, first, other_nation, second))
            word = decorrelation(rng.choice(NATIONS), f"{one_nation}/{first} {other_nation}/{second}", t_s)
            watched.take([word], t_s)
        watched.take([inbound], t_s)
        for held in watched.members:
            tracks = set(zip(NATIONS, held, strict=True))
            assert not [each for each in apart if {each[:2], each[2:]} <= tracks]
    assert len(apart) > 10


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_a_word_that_is_not_released_to_a_recipient_changes_no_byte_of_what_it_receives(seed: int) -> None:
    """One engine for all, against one for each recipient that hears only what is released to it; words on what is held as one."""
    rng = random.Random(seed)
    together, said_s = FusionEngine(), 75.0
    apart = {recipient: FusionEngine(recipients=(recipient,)) for recipient in NATIONS}
    heard: set[tuple[Nation, ...]] = set()
    for at_ns, inbound in itertools.takewhile(lambda each: each[0] < START_NS + 120 * S, Scene(2, seed=seed).messages()):
        messages = [inbound]
        if (at_ns - START_NS) / S >= said_s:
            said_s += 5.0
            to = release("jpn", *rng.choice([("kor",), (), ("usa",)]))
            pair = f"{rng.choice(['jpn', 'usa'])}/{rng.randint(1, 2)} kor/{rng.randint(1, 2)}"
            messages.append(decorrelation("jpn", pair, (at_ns - START_NS) / S, apart=rng.random() < 0.8, to=to))
            heard.add(to)
        told, ticked = step(together, messages, at_ns), step(together, (), at_ns)
        for recipient, alone in apart.items():
            own = [message for message in messages if recipient in message.to]
            assert wire(told, recipient) == (wire(step(alone, own, at_ns), recipient) if own else [])
            assert wire(ticked, recipient) == wire(step(alone, (), at_ns), recipient)
    assert len(heard) > 1
    for recipient, alone in apart.items():
        assert together.decorrelations[recipient] == alone.decorrelations[recipient]
        standing = [encode(alert) for alert in together.standing_alerts() if alert.recipient == recipient]
        assert standing == [encode(alert) for alert in alone.standing_alerts()]


@settings(max_examples=100, deadline=None)
@given(st.randoms(use_true_random=False), st.booleans())
def test_candidates_are_sifted_as_by_asking_every_member(rng: random.Random, of_reports: bool) -> None:
    reports, systems = ReportTable(), SystemTable()
    rows = [reports.take() for _ in range(24)]
    for row in rows:
        reports.nation[row], reports.session[row], reports.track[row], reports.mask[row] = row % 3, 1, row + 1, 1 << row % 3
        reports.system[row] = row // 3 if rng.random() < 0.9 else NONE
    for system in range(8):
        systems.members[system] = [3 * system + c if reports.system[3 * system + c] != NONE else NONE for c in range(3)]
    words = Decorrelations(reports)
    words.hold(rows)
    for _ in range(rng.randint(0, 12)):
        a, b = rng.sample(rows, 2)
        one_key, other_key = sorted(Key(row % 3, 1, row + 1) for row in (a, b))
        words.take(rng.randrange(3), (one_key, other_key), rng.randrange(5), rng.random() < 0.8)
    mine = np.array(rng.sample(rows, 6) if of_reports else [0, 2, 4, 6], np.int64)
    others = np.array([1, 3, 5, 7], np.int64)
    first, second = (np.array(each) for each in zip(*itertools.product(range(len(mine)), range(4)), strict=True))
    found = first, second, np.arange(len(first), dtype=np.float64)
    table = reports if of_reports else systems
    kept = words.sift(found, table, mine, others)
    members = [[row] for row in mine.tolist()] if of_reports else systems.members[mine].tolist()
    wanted = not_apart(members, systems.members[others].tolist(), words.rows)
    assert list(zip(kept[0].tolist(), kept[1].tolist(), strict=True)) == wanted
    assert kept[2].tolist() == [4.0 * i + j for i, j in wanted]
    whole = systems.members[:8].tolist()
    groups = np.array([*itertools.combinations(range(8), 3), (0, 1, NONE), (NONE, 2, 5), (3, NONE, 7)], np.int64)
    each_two = [[row for row in group if row != NONE] for group in groups.tolist()]
    alone = {(i, j) for i, j in not_apart(whole, whole, words.rows) if i != j}
    assert words.allow(groups).tolist() == [alone >= set(itertools.combinations(tracks, 2)) for tracks in each_two]
