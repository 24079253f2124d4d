from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from bus.session import SequenceTracker, SessionState
from tests.oracles_bus import SlowTracker

WINDOW = 16
arrivals = st.lists(st.tuples(st.sampled_from(["a", "b"]), st.integers(1, 3), st.integers(0, 60)), min_size=1, max_size=80)


@settings(deadline=None, max_examples=300)
@given(arrivals)
def test_tracker_agrees_with_its_slow_twin(seen: list[tuple[str, int, int]]) -> None:
    fast, slow = SequenceTracker(window=WINDOW), SlowTracker(WINDOW)
    for at_ns, (source, session, seq) in enumerate(seen):
        assert fast.observe(source, session, seq, at_ns) == slow.observe(source, session, seq)
        assert (fast.gaps, fast.duplicates, fast.late) == (slow.gaps, slow.duplicates, slow.late)
    assert fast.gaps == fast.gaps_of("a") + fast.gaps_of("b")


@settings(deadline=None)
@given(st.permutations(range(2, 40)))
def test_whatever_the_order_nothing_is_missing_once_all_have_come(order: list[int]) -> None:
    tracker = SequenceTracker()
    for seq in [1, *order]:
        tracker.observe("a", 7, seq, 0)
    assert tracker.gaps == 0
    assert tracker.duplicates == 0


def test_a_late_message_is_not_a_lost_one() -> None:
    tracker = SequenceTracker()
    assert [tracker.observe("a", 1, seq, 0) for seq in (1, 2, 5)] == ["new_session", "next", "gap"]
    assert tracker.gaps == 2
    assert tracker.observe("a", 1, 4, 0) == "late"
    assert tracker.gaps == 1


def test_a_straggler_of_the_former_session_does_not_end_the_present_one() -> None:
    tracker = SequenceTracker()
    for session, seq in ((1, 1), (1, 2), (2, 1), (1, 3), (2, 2)):
        tracker.observe("a", session, seq, 0)
    assert (tracker.sessions, tracker.gaps, tracker.duplicates, tracker.late) == (2, 0, 0, 0)


def test_joining_late_is_no_loss() -> None:
    tracker = SequenceTracker()
    assert tracker.observe("a", 1, 500, 0) == "new_session"
    assert tracker.gaps == 0


def test_a_number_older_than_the_window_is_late_and_fills_nothing() -> None:
    state = SessionState(first=1, highest=1)
    assert state.observe(2000) == "gap"
    assert state.observe(3) == "late"
    assert state.gaps == 1998


def test_a_stream_is_stale_once_it_was_silent_for_longer_than_allowed() -> None:
    tracker = SequenceTracker()
    tracker.observe("b", 1, 1, 100)
    tracker.observe("a", 1, 1, 200)
    assert tracker.stale(1100, 1000) == []
    assert tracker.stale(1200, 1000) == ["b"]
    assert tracker.stale(1201, 1000) == ["b", "a"]


def test_memory_is_bounded_in_streams_and_sessions() -> None:
    tracker = SequenceTracker(streams=10)
    for number in range(1000):
        tracker.observe(f"alert-{number}", 1, 1, number)
        tracker.observe("tracks", number, 1, number)
    assert tracker.stale(10_000, 0)[-1] == "tracks"
    assert len(tracker.stale(10_000, 0)) == 10
