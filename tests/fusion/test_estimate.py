"""What becomes of an estimate in the table of system tracks, against writing it row by row."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from bus.columns import TRIANGLE
from fusion.estimate import estimate_into
from fusion.fuse import fuse_many
from tests.fusion.test_kernels import BIAS, GATES, MOTION, PRIOR
from tests.fusion.test_lanes import CORRELATIONS, NOW_NS, Reported
from tests.plain import both_ways

STALE_NS, SILENT_NS, BOOST_MOST = 4 * 10**9, 25 * 10**9, 0.02


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(-1, 2))
@both_ways(estimate_into, few=1)
def test_estimates_are_written_into_their_rows_and_nowhere_else(seed: int, column: int) -> None:
    """The estimates themselves are compared in `test_lanes`."""
    rng, reported, n = np.random.default_rng(seed), Reported(seed, 8), 8
    reported.phase = rng.choice([0.0, 1.0, 250.0], (3 * n, 3))
    systems = rng.permutation(n)[: rng.integers(1, n + 1)]
    times = np.zeros((4, n), np.int64)
    valid, newest, due, coast = times
    state, cov, phase, touched = np.zeros((n, 6)), np.zeros((n, TRIANGLE)), np.zeros((n, 3)), np.zeros(n, np.bool_)
    tells_all = np.zeros(n, np.bool_)
    whole = np.ones(3 * n, np.bool_)
    held = reported.valid_ns, reported.state, reported.cov, reported.phase, reported.pedigree, whole
    off = estimate_into(
        reported.members, valid, newest, state, cov, phase, due, coast, touched, tells_all, systems, NOW_NS, *held,
        MOTION, CORRELATIONS, 0.05, BIAS, PRIOR, GATES, STALE_NS, SILENT_NS, BOOST_MOST, column,
    )  # fmt: skip
    at = np.full(len(systems), NOW_NS)
    members = reported.members[systems]
    wanted = fuse_many(members, at, *held, MOTION, CORRELATIONS, 0.05, STALE_NS, BIAS, PRIOR, GATES, column)
    for told, by_hand in zip((valid, newest, state, cov, phase), wanted[:5], strict=True):
        np.testing.assert_array_equal(told[systems], by_hand)
    np.testing.assert_array_equal(off, wanted[5])
    for row, of in zip(systems.tolist(), members.tolist(), strict=True):
        assert due[row] == min(int(reported.valid_ns[each]) for each in of if each >= 0) + SILENT_NS
        hints = phase[row, 0] > BOOST_MOST or phase[row].sum() <= 0.0
        assert coast[row] == (valid[row] if hints else 0)
    others = np.setdiff1d(np.arange(n), systems)
    assert touched.tolist() == tells_all.tolist() == [row in systems for row in range(n)]
    assert not any(each[others].any() for each in (*times, state, cov, phase))
