"""The window of replay: each message once, sessions in their order, and a bounded memory that forgets nothing dangerous."""

from __future__ import annotations

import contextlib
from typing import Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bus.errors import Rejected
from bus.replay import GRACE_NS, WINDOW, ReplayGuard

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
