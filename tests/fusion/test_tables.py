"""Writing a frame's rows into the table of reports, against the obvious way."""

from __future__ import annotations

import numpy as np
import pytest

from bus.columns import unpack_cov
from bus.messages import TrackFrame, decode, encode, reports_of
from bus.release import EVERYONE
from bus.topics import feed_tracks, parse_topic
from fusion.clusters import Clusters
from fusion.settings import Timing
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
    moved, fresh, refused = clusters.take(1, block, now_ns)
    assert (moved, len(fresh), refused) == ([], 70, {})
    held = clusters.reports
    for i, row in enumerate(fresh):
        assert held.track[row] == block.track[i]
        assert held.valid_ns[row] == block.valid_ns[i]
        np.testing.assert_array_equal(held.state[row], block.state[i])
        np.testing.assert_array_equal(held.cov[row], unpack_cov(block.cov[i]))
        np.testing.assert_array_equal(held.phase[row], block.phase[i])
        assert held.quality[row] == min(block.quality[i], 15)
        assert held.phenomenology[row] == block.phenomenology[i] & 3
        assert held.pedigree[row] == block.pedigree[i]
        assert held.detected_ns[row] == max(int(block.valid_ns[i]) - int(block.detected_age_ms[i]) * 1_000_000, 0)
        assert held.tracked_ns[row] == max(int(block.valid_ns[i]) - int(block.tracked_age_ms[i]) * 1_000_000, 0)
        assert (held.nation[row], held.mask[row]) == (1, 2)
