"""The window of replay: each message once, sessions in their order, and a bounded memory that forgets nothing dangerous."""

from __future__ import annotations

import contextlib
import random
import tracemalloc
from typing import Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bus import replay
from bus.errors import Rejected
from bus.replay import APART, GRACE_NS, WINDOW, ReplayGuard
from tests.security.parties import NOW_NS, WORD, WORDS, hear, numbered, sealed, seals

SECOND: Final = 10**9
T: Final = 1_000 * SECOND


def refused(guard: ReplayGuard, session: int, seq: int, sent_ns: int, now_ns: int, *, will: bool = False) -> bool:
    """Whether it is refused as replayed."""
    try:
        guard.admit("feed.jpn", "s", session, seq, sent_ns, now_ns, will=will)
    except Rejected as rejected:
        return rejected.reason == "replayed"
    return False


said = st.tuples(st.sampled_from("ab"), st.sampled_from("xy"), st.integers(1, 3), st.integers(1, 6), st.integers(0, 8))


@settings(deadline=None)
@given(st.lists(said, max_size=60))
def test_nothing_is_ever_taken_twice_whatever_comes_in_whatever_order(arrivals: list[tuple[str, str, int, int, int]]) -> None:
    guard, taken = ReplayGuard(), set[tuple[str, str, int, int]]()
    for at, (speaker, stream, session, seq, age_s) in enumerate(arrivals):
        try:
            new = guard.admit(speaker, stream, session, seq, T + (at - age_s) * SECOND, T + at * SECOND)
        except Rejected:
            continue
        assert new == ((speaker, stream, session, seq) not in taken)
        taken.add((speaker, stream, session, seq))


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # long permutations are slow to draw where others work too
@given(st.permutations(range(1, 200)))
def test_no_order_loses_a_message_of_a_session(order: list[int]) -> None:
    guard = ReplayGuard()
    assert all(guard.admit("feed.jpn", "s", 1, seq, T + seq, T) for seq in order)
    assert not any(guard.admit("feed.jpn", "s", 1, seq, T + seq, T) for seq in order)


def test_what_is_further_back_than_the_window_is_refused() -> None:
    guard = ReplayGuard()
    guard.admit("feed.jpn", "s", 1, 1 + WINDOW, T, T)
    assert guard.admit("feed.jpn", "s", 1, 2, T, T)
    assert refused(guard, 1, 1, T, T)


def test_an_older_session_is_heard_for_a_while_and_then_no_more() -> None:
    guard = ReplayGuard()
    guard.admit("feed.jpn", "s", 1, 1, T, T)
    guard.admit("feed.jpn", "s", 2, 1, T + SECOND, T + 2 * SECOND)
    assert guard.admit("feed.jpn", "s", 1, 2, T + 1, T + 3 * SECOND)  # it was on its way
    assert refused(guard, 1, 3, T + 2, T + 2 * SECOND + GRACE_NS + 1)
    assert guard.admit("feed.jpn", "s", 2, 2, T + 9 * SECOND, T + 60 * SECOND)


def test_a_newer_session_ends_the_older_one_on_every_stream() -> None:
    guard = ReplayGuard()
    guard.admit("feed.jpn", "events", 1, 1, T, T)
    guard.admit("feed.jpn", "status", 2, 1, T + SECOND, T + SECOND)
    with pytest.raises(Rejected, match="replayed"):
        guard.admit("feed.jpn", "events", 1, 2, T + 2, T + 2 * SECOND + GRACE_NS)


def test_a_session_that_was_never_heard_and_is_older_is_refused() -> None:
    guard = ReplayGuard()
    guard.admit("feed.jpn", "s", 2, 1, T, T)
    assert not refused(guard, 1, 1, T - GRACE_NS, T)
    assert refused(guard, 3, 1, T - GRACE_NS - 1, T)


def test_what_is_forgotten_is_refused_all_the_same() -> None:
    guard = ReplayGuard()
    for session in range(1, 100):  # consoles, each with a word of its own, all within the time of grace
        assert guard.admit("operator.jpn", "s", session, 1, T + session, T)
    for session in range(1, 100):
        with contextlib.suppress(Rejected):
            assert not guard.admit("operator.jpn", "s", session, 1, T + session, T)


def test_one_speaker_moves_nothing_of_another() -> None:
    guard = ReplayGuard()
    guard.admit("feed.kor", "s", 9, 2**50, T + 5 * SECOND, T)
    assert guard.admit("feed.jpn", "s", 1, 1, T, T)


def test_a_last_will_is_news_once_after_each_word_of_the_newest_session() -> None:
    guard = ReplayGuard()

    def will(session: int, sent_ns: int) -> bool:
        return guard.admit("feed.jpn", "s", session, 0, sent_ns, T + 100 * SECOND, will=True)

    guard.admit("feed.jpn", "s", 1, 1, T, T)
    assert [will(1, T - 5), will(1, T - 5)] == [True, False]
    guard.admit("feed.jpn", "s", 1, 2, T + SECOND, T + SECOND)
    assert will(1, T - 5)
    guard.admit("feed.jpn", "s", 2, 1, T + 2 * SECOND, T + 2 * SECOND)
    assert refused(guard, 1, 0, T - 5, T + 3 * SECOND, will=True)  # a late death must not undo the birth after it


def test_a_last_will_of_a_session_that_was_never_heard_ends_no_newer_one() -> None:
    guard = ReplayGuard()
    guard.admit("feed.jpn", "s", 2, 1, T, T)
    assert refused(guard, 1, 0, T - 1, T, will=True)


def word(guard: ReplayGuard, session: int, sent_ns: int, seq: int = 1) -> bool:
    """Whether a console's word is new; one that is refused is not."""
    with contextlib.suppress(Rejected):
        return guard.admit("operator.jpn", "s", session, seq, sent_ns, sent_ns, apart=True)
    return False


def test_no_console_ends_another_and_none_ends_its_nations_feed() -> None:
    guard = ReplayGuard()
    guard.admit("feed.jpn", "s", 1, 1, T, T)
    assert guard.admit("feed.jpn", "words", 2, 1, T + 60 * SECOND, T + 60 * SECOND, apart=True)
    assert guard.admit("feed.jpn", "words", 3, 1, T + 90 * SECOND, T + 90 * SECOND, apart=True)
    assert guard.admit("feed.jpn", "words", 2, 2, T + 120 * SECOND, T + 120 * SECOND, apart=True)
    assert guard.admit("feed.jpn", "s", 1, 2, T + 120 * SECOND, T + 120 * SECOND)


def test_tens_of_thousands_of_consoles_keep_memory_flat_and_none_is_heard_twice() -> None:
    """Each word is of a session of its own, all within the day that words are believed."""
    guard, held = ReplayGuard(), list[int]()
    tracemalloc.start()
    try:
        for session in range(1, 12 * APART + 1):
            assert word(guard, session, T + session)
            if session % (4 * APART) == 0:
                held.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    assert max(held) < 1.1 * held[0], held  # all of them kept would be three times as much
    assert not any(word(guard, session, T + session) for session in range(1, 12 * APART + 1))


def test_what_makes_room_is_never_among_the_newest_whatever_the_order() -> None:
    """A worker that starts late hears all that the broker has kept, in any order."""
    guard, order = ReplayGuard(), list(range(1, 6 * APART))
    random.Random(7).shuffle(order)
    taken = [session for session in order if word(guard, session, T + session)]
    assert set(taken) >= set(sorted(order)[-APART:])
    assert not any(word(guard, session, T + session) for session in order)


def test_one_nations_words_make_no_room_for_anothers() -> None:
    guard = ReplayGuard()
    assert guard.admit("operator.kor", "s", 1, 1, T, T, apart=True)
    for session in range(1, 3 * APART):
        assert word(guard, session, T + session)
    assert guard.admit("operator.kor", "s", 2, 1, T - 1, T, apart=True)
    assert not guard.admit("operator.kor", "s", 1, 1, T, T, apart=True)


@pytest.mark.parametrize("apart", [False, True])
def test_who_was_forgotten_and_speaks_again_says_nothing_twice(apart: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay, "APART", 2)
    monkeypatch.setattr(replay, "_SESSIONS", 2)
    guard = ReplayGuard()
    assert guard.admit("feed.jpn", "s", 1, 1, T, T, apart=apart)
    for session in range(2, 8):
        assert guard.admit("feed.jpn", "s", session, 1, T + session, T + session, apart=apart)
    assert guard.admit("feed.jpn", "s", 1, 2, T + 9, T + 9, apart=apart)
    with contextlib.suppress(Rejected):
        assert not guard.admit("feed.jpn", "s", 1, 1, T, T + 10, apart=apart)


spoken = st.tuples(st.integers(1, 9), st.integers(1, 4), st.integers(0, 40), st.booleans())


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(spoken, max_size=80))
def test_nothing_is_taken_twice_however_little_is_kept(
    monkeypatch: pytest.MonkeyPatch, arrivals: list[tuple[int, int, int, bool]]
) -> None:
    """Of any message the sent time is always the same, as it is inside the seal."""
    monkeypatch.setattr(replay, "APART", 2)
    monkeypatch.setattr(replay, "_SESSIONS", 2)
    guard, taken, sent_s = ReplayGuard(), set[tuple[int, int, bool]](), dict[tuple[int, int, bool], int]()
    for at, (session, seq, age_s, apart) in enumerate(arrivals):
        said = (session, seq, apart)
        sent_ns = T + sent_s.setdefault(said, at - age_s) * SECOND
        try:
            new = guard.admit("feed.jpn", "s", session, seq, sent_ns, T + at * SECOND, apart=apart)
        except Rejected:
            continue
        assert not (new and said in taken)
        taken.add(said)


def test_words_whose_consoles_are_forgotten_are_refused_by_who_reads_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay, "APART", 4)
    operator, worker = seals("operator.jpn"), seals("fusion.fusion-1")
    said = [sealed(operator, WORDS, numbered(WORD, 1, NOW_NS - 40 + session, session)) for session in range(1, 40)]
    assert not any(hear(worker, WORDS, payload).again for payload in said)
    assert hear(worker, WORDS, said.pop()).again  # it stands
    for payload in said:
        with pytest.raises(Rejected, match="replayed"):
            hear(worker, WORDS, payload)
    assert worker.events == {"replayed": len(said)}


def test_of_topics_that_were_spoken_on_longest_ago_nothing_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay, "_TOPICS", 3)
    guard = ReplayGuard()
    for seq, topic in enumerate("abcad", 1):
        assert guard.admit("fusion", "s", 1, seq, T + seq, T, topic=topic)
    assert [guard.stands("fusion", topic, 1, seq) for seq, topic in enumerate("abcad", 1)] == [False, False, True, True, True]


def test_a_word_that_was_overtaken_on_its_way_does_not_stand() -> None:
    guard = ReplayGuard()
    for seq in (2, 1):
        assert guard.admit("feed.jpn", "s", 1, seq, T + seq, T, topic="t")
    assert [guard.stands("feed.jpn", "t", 1, seq) for seq in (1, 2)] == [False, True]
