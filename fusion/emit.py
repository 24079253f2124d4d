"""Writes picture frames: the system tracks that changed, as columns, for every recipient of a picture.

A row that the receiver's checks would refuse is left out: nothing unsound leaves. A track that nobody reports loses quality with
its age, a step of the scale every _QUALITY_STEP_MS.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bus.columns import SystemTracks, bad_rows, pack_cov, to_u1
from bus.messages import MAX_FRAME_ROWS, PictureFrame, Raid
from bus.release import Nation
from fusion.clusters import Clusters
from fusion.soundness import surely_sound
from fusion.tables import Rows
from physics.compile import jit

_QUALITY_STEP_MS: Final = 2000
_NS_A_MS: Final = 1_000_000

Numbers = NDArray[np.uint32]


class Stamp(NamedTuple):
    """Times of the newest message behind a picture."""

    released_ns: int
    due_ns: int = 0
    received_ns: int = 0


@jit
def told_members(
    members: Rows, track: Numbers, dropped: NDArray[np.bool_], quality: Rows, phenomenology: Rows, pedigree: Rows
) -> tuple[Numbers, Rows, NDArray[np.uint8], Numbers]:
    """Of rows of members (m, 3): track numbers of those still reported (m, 3), best quality, phenomenologies and sensors (m,)."""
    m = members.shape[0]
    told, best = np.zeros((m, 3), np.uint32), np.zeros(m, np.int64)
    kinds, sensors = np.zeros(m, np.uint8), np.zeros(m, np.uint32)
    for i in range(m):
        for c in range(3):
            row = members[i, c]
            if row >= 0:
                best[i] = max(best[i], quality[row])
                kinds[i] |= phenomenology[row]
                sensors[i] |= pedigree[row]
                if not dropped[row]:
                    told[i, c] = track[row]
    return told, best, kinds, sensors


def rows_of(clusters: Clusters, systems: Sequence[int]) -> SystemTracks:
    """The system tracks (rows of the table) as they are told."""
    table, held = clusters.systems, clusters.reports
    at = np.array(systems, np.int64)
    members = table.members[at]
    age_ms = (table.valid_ns[at] - table.newest_ns[at]) // _NS_A_MS
    told, best, kinds, sensors = told_members(members, held.track, held.dropped, held.quality, held.phenomenology, held.pedigree)
    block = SystemTracks(
        system=table.number[at].astype(np.uint32),
        valid_ns=table.valid_ns[at],
        state=table.state[at],
        cov=pack_cov(table.cov[at]),
        phase=to_u1(table.phase[at]),
        quality=np.maximum(best - age_ms // _QUALITY_STEP_MS, 0).astype(np.uint8),
        phenomenology=kinds,
        pedigree=sensors,
        members=told,
        age_ms=np.minimum(age_ms, 2**32 - 1).astype(np.uint32),
    )
    if surely_sound(block.system, block.valid_ns, block.state, block.cov):
        return block
    bad = bad_rows(block.system, block.valid_ns, block.state, block.cov)
    return block.take(~np.logical_or.reduce(list(bad.values()))) if bad else block


def frames_of(
    clusters: Clusters, touched: Sequence[int], ended: Sequence[int], to: Sequence[Nation], stamp: Stamp, raid: Raid | None
) -> list[PictureFrame]:
    """Frames of at most MAX_FRAME_ROWS tracks and as many endings, a copy for each recipient."""
    pieces = [touched[i : i + MAX_FRAME_ROWS] for i in range(0, len(touched), MAX_FRAME_ROWS)]
    endings = [ended[i : i + MAX_FRAME_ROWS] for i in range(0, len(ended), MAX_FRAME_ROWS)]
    frames: list[PictureFrame] = []
    for piece, ending in zip_longest(pieces, endings, fillvalue=()):
        block = rows_of(clusters, piece)
        columns = block.to_wire()
        frames += [
            PictureFrame(
                session=0,
                seq=0,
                recipient=recipient,
                released_ns=stamp.released_ns,
                due_ns=stamp.due_ns,
                received_ns=stamp.received_ns,
                n=len(block),
                dropped=list(ending),
                raid=raid,
                columns=columns,
            )
            for recipient in to
        ]
    return frames
