"""Upkeep of the tables in kernels, against doing it row by row."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fusion.assess import BOOSTING, boosting
from fusion.tables import TIMES
from fusion.upkeep import count_off_into, due, longest_overdue, next_of_each, stamp_into, tend_into, unsettled
from tests.plain import both_ways


@both_ways(stamp_into)
def test_a_stamp_notes_each_report_with_its_system_track() -> None:
    times, kinds = np.zeros((5, len(TIMES)), np.int64), np.array([0, 1, 0, 2, 0])
    valid, detected, tracked = np.array([[30, 31, 32], [20, 21, 22], [25, 26, 27]])
    newest = stamp_into(
        times, kinds, np.array([3, 1]), np.array([2, 0]), valid, detected, tracked, np.array([2, 0, 1]), 4, 5, 6, 7
    )
    assert newest == 32
    assert kinds.tolist() == [0, 3, 0, 3, 0]
    assert times[3].tolist() == [32, 22, 27, 4, 5, 6, 7]
    assert times[1].tolist() == [30, 20, 25, 4, 5, 6, 7]
    assert not times[[0, 2, 4]].any()


@both_ways(count_off_into)
def test_inconsistent_reports_count_only_in_a_row() -> None:
    off, never, rows = np.zeros(3, np.int64), np.zeros(3, np.int64), np.array([2, 0])
    far, none = np.array([99.0, 1.0]), np.array([np.nan, 99.0])
    assert count_off_into(off, never, rows, far, 38.0, 2).tolist() == []
    assert off.tolist() == [0, 0, 1]
    assert count_off_into(off, never, rows, far, 38.0, 2).tolist() == [0]
    assert count_off_into(off, never, rows, none, 38.0, 2).tolist() == []
    assert off.tolist() == [1, 0, 0]


@pytest.mark.parametrize(("parted", "after"), [(0, 2), (1, 4), (2, 8), (5, 64), (6, 64), (10**6, 64)])
@both_ways(count_off_into)
def test_what_was_split_off_before_has_to_be_off_for_twice_as_long_each_time(parted: int, after: int) -> None:
    off, before, row = np.zeros(1, np.int64), np.array([parted]), np.array([0])
    told = [count_off_into(off, before, row, np.array([99.0]), 38.0, 2).tolist() for _ in range(after)]
    assert told == [[]] * (after - 1) + [[0]]


@both_ways(unsettled)
def test_the_unsettled_are_those_whose_alert_is_open() -> None:
    assert unsettled(np.array([3, 0, 2]), np.array([True, False, False, False])).tolist() == [3, 2]


@settings(deadline=None)  # the first example compiles
@given(st.integers(0, 2**32 - 1))
@both_ways(due)
def test_predictions_are_due_by_age_and_void_where_a_track_boosts(seed: int) -> None:
    rng, n = np.random.default_rng(seed), 12
    systems = rng.permutation(n)[: rng.integers(0, n + 1)]
    number, predicted = rng.integers(0, 9, n), rng.random(n) < 0.5
    phase = rng.choice([0.0, 0.3, 0.6], (n, 3))
    valid, newest, impact, coast = rng.integers(0, 6, (4, n))
    void, ripe = due(systems, number, phase, predicted, valid, newest, impact, coast, 2, 1, BOOSTING)
    held = [system for system in systems if number[system]]
    assert void.tolist() == [system for system in held if boosting(phase[system]) and predicted[system]]
    old = [i for i in held if not boosting(phase[i]) and valid[i] - impact[i] >= 2 and newest[i] - coast[i] >= 1]
    assert ripe.tolist() == old


@settings(deadline=None)  # the first example compiles
@given(st.integers(0, 2**32 - 1))
@both_ways(longest_overdue)
def test_the_longest_overdue_come_first_and_then_the_eldest(seed: int) -> None:
    rng, n = np.random.default_rng(seed), 12
    systems, most = rng.permutation(n)[: rng.integers(0, n + 1)], int(rng.integers(0, n + 2))
    impact, number = rng.integers(0, 4, n), 1 + rng.permutation(n)
    before = systems.copy()
    first = longest_overdue(systems, impact, number, most)
    assert first.tolist() == sorted(systems.tolist(), key=lambda system: (impact[system], number[system]))[:most]
    np.testing.assert_array_equal(systems, before)


@settings(deadline=None)  # the first example compiles
@given(st.integers(0, 2**32 - 1))
@both_ways(next_of_each)
def test_a_frame_is_the_next_of_each_where_every_row_is_newer_and_in_time(seed: int) -> None:
    rng, n = np.random.default_rng(seed), int(np.random.default_rng(seed).integers(0, 5))
    rows, valid, held = rng.permutation(6)[:n], rng.integers(2, 12, n), rng.integers(0, 6, 6)
    wanted = all(3 <= at <= 10 and at > held[row] for at, row in zip(valid.tolist(), rows.tolist(), strict=True))
    assert next_of_each(rows, valid, held, 3, 10) == wanted


@settings(deadline=None)  # the first example compiles
@given(st.integers(0, 2**32 - 1))
@both_ways(tend_into)
def test_what_an_alert_waits_for_is_done_at_once_as_one_after_the_other(seed: int) -> None:
    rng = np.random.default_rng(seed)
    systems, rows = rng.permutation(5)[:3], rng.permutation(6)[:3]
    d2, settled = rng.choice([1.0, 99.0, np.nan], 3), rng.random(5) < 0.5
    (valid, detected, tracked), seen_by = rng.integers(0, 99, (3, 6)), rng.integers(0, 4, 6)
    times, kinds, off = np.zeros((5, len(TIMES)), np.int64), np.zeros(5, np.int64), np.array([1, 0, 1, 0, 1, 0])
    wanted, parted = (times.copy(), kinds.copy(), off.copy()), rng.integers(0, 2, 6)
    for system, row, far in zip(systems.tolist(), rows.tolist(), (d2 > 38.0).tolist(), strict=True):
        wanted[0][system] = [valid[row], detected[row], tracked[row], 4, 5, 6, 7]
        wanted[1][system] = seen_by[row]
        wanted[2][row] = wanted[2][row] + 1 if far else 0
    newest, split, unclosed = tend_into(
        times, kinds, off, parted, systems, rows, d2, valid, detected, tracked, seen_by, 4, 5, 6, 7, 38.0, 2, settled
    )
    assert newest == valid[rows].max()
    assert split.tolist() == [k for k, row in enumerate(rows.tolist()) if wanted[2][row] >= 2 << parted[row]]
    assert unclosed.tolist() == [system for system in systems.tolist() if not settled[system]]
    for told, by_hand in zip((times, kinds, off), wanted, strict=True):
        np.testing.assert_array_equal(told, by_hand)
