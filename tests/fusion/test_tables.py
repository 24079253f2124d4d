"""Writing into the table of reports, frames and shifts, against the obvious way."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus.columns import Reports
from bus.messages import TrackFrame, decode, encode, reports_of
from bus.release import EVERYONE
from bus.topics import feed_tracks, parse_topic
from fusion.clusters import Clusters
from fusion.partial import prior_of
from fusion.settings import Association, Timing
from fusion.tables import ReportTable, hold_into, shift_into
from physics.motion import ballistic_acceleration
from tests.fusion.scenes import scattered
from tests.plain import both_ways
from tests.rows import frame, reports


@pytest.mark.parametrize("as_received", [True, False])
def test_held_reports_are_the_frames_rows(as_received: bool) -> None:
    """Both from the wire (read-only, of any alignment) and from a block that was made here."""
    block = reports(70)
    if as_received:
        message = decode(parse_topic(feed_tracks("jpn", EVERYONE)), b"".join([encode(frame(block))]))
        assert isinstance(message, TrackFrame)
        block, _ = reports_of(message)
    clusters = Clusters(Timing())
    now_ns = int(block.valid_ns.max())
    moved, fresh, refused = clusters.take(1, block, now_ns, now_ns)
    assert (len(moved), len(fresh), refused) == (0, 70, {})
    held = clusters.reports
    for i, row in enumerate(fresh):
        assert held.track[row] == block.track[i]
        assert held.valid_ns[row] == block.valid_ns[i]
        np.testing.assert_array_equal(held.state[row], block.state[i])
        np.testing.assert_array_equal(held.cov[row], block.cov[i])
        np.testing.assert_array_equal(held.phase[row], block.phase[i])
        assert held.quality[row] == min(block.quality[i], 15)
        assert held.phenomenology[row] == block.phenomenology[i] & 3
        assert held.pedigree[row] == block.pedigree[i]
        assert held.detected_ns[row] == max(int(block.valid_ns[i]) - int(block.detected_age_ms[i]) * 1_000_000, 0)
        assert held.tracked_ns[row] == max(int(block.valid_ns[i]) - int(block.tracked_age_ms[i]) * 1_000_000, 0)
        assert (held.nation[row], held.mask[row]) == (1, 2)


NOW_NS = 10**15
ROWS = st.lists(st.tuples(st.integers(1, 6), st.integers(-40, 12)), max_size=8)  # track number, seconds from now


def numbered(rows: list[tuple[int, int]]) -> Reports:
    block = reports(len(rows)) if rows else reports(1).take(np.array([], np.int64))
    fields = {name: getattr(block, name) for name in Reports.COLUMNS}
    fields["track"] = np.array([number for number, _ in rows], np.uint32)
    fields["valid_ns"] = np.array([NOW_NS + seconds * 10**9 for _, seconds in rows], np.int64)
    return Reports(**fields)


@settings(max_examples=200, deadline=None)
@given(st.lists(ROWS, min_size=1, max_size=5))
def test_a_frame_taken_at_once_leaves_what_one_row_after_the_other_leaves(frames: list[list[tuple[int, int]]]) -> None:
    """Repeated, late, old and new rows, in any mixture: both ways hold the same and refuse the same."""
    quick, slow = Clusters(Timing()), Clusters(Timing())
    for released_ns, rows in enumerate(frames):
        block = numbered(rows)
        moved, fresh, refused = quick.take(0, block, NOW_NS, released_ns)
        moved_slow, fresh_slow, refused_slow = slow._take_one_by_one(0, block, NOW_NS, released_ns)
        assert (sorted(moved.tolist()), fresh, refused) == (sorted(moved_slow.tolist()), fresh_slow, refused_slow)
        np.testing.assert_array_equal(quick.reports.valid_ns, slow.reports.valid_ns)
        np.testing.assert_array_equal(quick.reports.state, slow.reports.state)
        np.testing.assert_array_equal(quick.reports.track, slow.reports.track)
        np.testing.assert_array_equal(quick.reports.released_ns, slow.reports.released_ns)


def test_a_track_that_stands_twice_in_a_frame_is_held_once_with_its_newer_report() -> None:
    clusters = Clusters(Timing())
    clusters.take(0, numbered([(1, -9), (2, -9)]), NOW_NS, NOW_NS)
    moved, fresh, refused = clusters.take(0, numbered([(1, -2), (2, -3), (1, -4)]), NOW_NS, NOW_NS)
    assert (len(moved), fresh, refused) == (2, [], {})
    held = clusters.reports
    assert {int(held.track[row]): (int(held.valid_ns[row]) - NOW_NS) // 10**9 for row in moved} == {1: -2, 2: -3}


@both_ways(hold_into)
def test_rows_are_written_where_they_belong_and_nowhere_else() -> None:
    table, block, rng = ReportTable(8), reports(5), np.random.default_rng(1)
    rows, indices = np.array([6, 1, 3]), np.array([4, 0, 2])
    fields = {name: getattr(block, name) for name in Reports.COLUMNS}
    fields["quality"], fields["phenomenology"] = rng.integers(0, 256, (2, 5)).astype(np.uint8)
    fields["detected_age_ms"], fields["tracked_age_ms"] = np.array([[0, 10, 2**32 - 1, 7, 20], [1, 2, 3, 4, 5]], np.uint32)
    held, sent = [getattr(table, name) for name in HELD], [fields[name] for name in SENT]
    fields["cov"][4, 15] = 1e10  # a velocity that is hardly known
    hold_into(*[*held, rows, indices, *sent, prior_of(Association())])
    for row, i in zip(rows.tolist(), indices.tolist(), strict=True):
        assert (table.track[row], table.valid_ns[row]) == (fields["track"][i], fields["valid_ns"][i])
        np.testing.assert_array_equal(table.state[row], fields["state"][i])
        np.testing.assert_array_equal(table.cov[row], fields["cov"][i])
        np.testing.assert_array_equal(table.phase[row], fields["phase"][i])
        assert (table.quality[row], table.phenomenology[row]) == (min(fields["quality"][i], 15), fields["phenomenology"][i] & 3)
        assert table.pedigree[row] == fields["pedigree"][i]
        assert table.whole[row] == (i != 4)
        for since, age in (("detected_ns", "detected_age_ms"), ("tracked_ns", "tracked_age_ms")):
            assert getattr(table, since)[row] == max(int(fields["valid_ns"][i]) - int(fields[age][i]) * 1_000_000, 0)
    untouched = [row for row in range(8) if row not in rows]
    assert not any(getattr(table, name)[untouched].any() for name in HELD)


HELD = (
    "valid_ns", "state", "cov", "phase", "quality", "phenomenology", "pedigree", "whole", "detected_ns", "tracked_ns", "track"
)  # fmt: skip
SENT = (
    "valid_ns", "state", "cov", "phase", "quality", "phenomenology", "pedigree", "detected_age_ms", "tracked_age_ms", "track"
)  # fmt: skip


@both_ways(shift_into)
def test_a_shift_replaces_the_one_before() -> None:
    state, shift = scattered(4, 2), np.zeros((4, 6))
    reported = state.copy()
    for offset in (np.array([50.0, 60.0, 70.0, 0.5]), np.array([-500.0, 0.0, 0.0, 0.0]), np.zeros(4)):
        shift_into(state, shift, np.array([1, 3]), offset)
        for row in (1, 3):
            moved = np.hstack([offset[:3] + offset[3] * reported[row, 3:], offset[3] * ballistic_acceleration(reported[row])])
            np.testing.assert_allclose(state[row], reported[row] - moved, atol=1e-6)
        assert (state[[0, 2]] == reported[[0, 2]]).all()
    np.testing.assert_allclose(state, reported, atol=1e-6)
