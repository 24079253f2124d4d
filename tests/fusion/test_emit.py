"""What a picture tells of a system track, against telling it row by row."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from bus.columns import TRIANGLE, SystemTracks
from fusion.emit import told
from fusion.tables import ReportTable, SystemTable
from tests import oracles_fusion as oracle
from tests.plain import both_ways

OWN = ("number", "valid_ns", "newest_ns", "state", "cov", "phase", "mask", "seen", "members")
THEIRS = ("track", "dropped", "quality", "phenomenology", "pedigree")


@settings(deadline=None)  # the first example compiles
@given(st.integers(0, 2**32 - 1))
@both_ways(told)
def test_every_row_is_told_as_row_by_row(seed: int) -> None:
    """Of any phase, a member dropped or none at all, and ages from none to some that the wire cannot hold."""
    rng, systems, reports = np.random.default_rng(seed), SystemTable(12), ReportTable(36)
    systems.told[:], systems.state[:] = rng.integers(1, 2**31, 12), rng.normal(size=(12, 6))
    systems.cov[:] = rng.random((12, TRIANGLE))
    systems.phase[:] = rng.uniform(-0.2, 1.2, (12, 3))
    systems.members[:] = np.where(rng.random((12, 3)) < 0.7, rng.permutation(36).reshape(12, 3), -1)
    systems.seen[:] = rng.integers(1, 8, 12)
    systems.mask[:] = systems.seen & rng.integers(0, 8, 12)
    left_open = np.zeros((8, 4, 4))
    left_open[rng.integers(1, 8)] = np.diag(rng.random(4))
    systems.newest_ns[:] = rng.integers(0, 10**9, 12)
    systems.valid_ns[:] = systems.newest_ns + rng.choice([0, 1_999_999_999, 2 * 10**9, 10**11, 10**17], 12)
    reports.track[:], reports.dropped[:] = rng.integers(1, 2**32, 36), rng.random(36) < 0.3
    reports.quality[:], reports.phenomenology[:] = rng.integers(0, 16, 36), rng.integers(0, 4, 36)
    reports.pedigree[:] = rng.integers(0, 2**32, 36)
    rows = rng.permutation(12)[: rng.integers(0, 13)]
    own, theirs = [getattr(systems, name) for name in OWN], [getattr(reports, name) for name in THEIRS]
    block = SystemTracks(*told(rows, *[*own, left_open, *theirs]))
    of_reports = {row: {name: getattr(reports, name)[row].item() for name in THEIRS} for row in range(36)}
    for i, row in enumerate(rows.tolist()):
        wanted = oracle.told({name: getattr(systems, name)[row].tolist() for name in OWN}, of_reports, left_open)
        np.testing.assert_allclose(block.cov[i], wanted.pop("cov"), rtol=1e-12)
        assert {name: getattr(block, name)[i].tolist() for name in wanted} == wanted
    assert len(block) == len(rows)
