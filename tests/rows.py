"""Blocks of rows for tests: sound by construction, from a seed."""

from __future__ import annotations

import numpy as np

from bus.columns import Reports, pack_cov
from bus.messages import TrackFrame
from bus.release import Nation

ORIGIN_M = np.array([-3.1e6, 4.0e6, 4.1e6])


def reports(n: int, seed: int = 0, first_track: int = 1, valid_ns: int = 1_000_000_000) -> Reports:
    """`n` sound reports scattered over 200 km."""
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(n, 6, 6)) * np.array([100.0, 100.0, 100.0, 5.0, 5.0, 5.0])[:, None]
    return Reports(
        track=np.arange(first_track, first_track + n, dtype=np.uint32),
        valid_ns=np.full(n, valid_ns, dtype=np.int64),
        state=np.hstack([ORIGIN_M + rng.normal(scale=1e5, size=(n, 3)), rng.normal(scale=1e3, size=(n, 3))]),
        cov=pack_cov(root @ root.transpose(0, 2, 1) + np.diag([1.0, 1.0, 1.0, 0.01, 0.01, 0.01])),
        phase=np.tile(np.array([0, 255, 0], dtype=np.uint8), (n, 1)),
        quality=np.full(n, 9, dtype=np.uint8),
        phenomenology=np.ones(n, dtype=np.uint8),
        pedigree=np.full(n, 4, dtype=np.uint32),
        detected_age_ms=np.full(n, 5000, dtype=np.uint32),
        tracked_age_ms=np.full(n, 2000, dtype=np.uint32),
    )


def frame(block: Reports, nation: Nation = "jpn", seq: int = 1, session: int = 7, released_ns: int = 1_500_000_000) -> TrackFrame:
    """A track frame that carries the block."""
    return TrackFrame(session=session, seq=seq, nation=nation, released_ns=released_ns, n=len(block), columns=block.to_wire())
