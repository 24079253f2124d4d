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

from bus.columns import TRIANGLE, SystemTracks, bad_rows
from bus.messages import MAX_FRAME_ROWS, PictureFrame, Raid
from bus.release import Nation
from fusion.clusters import Clusters
from fusion.offsets import with_open
from fusion.soundness import surely_sound
from fusion.tables import Float, Rows
from fusion.triangle import square, triangle_of
from physics.compile import jit

_QUALITY_STEP_MS: Final = 2000
_NS_A_MS: Final = 1_000_000
_MOST_AGE_MS: Final = 2**32 - 1
_NOTHING: Final = np.empty(0, np.int64)

Numbers = NDArray[np.uint32]
Small = NDArray[np.uint8]


class Stamp(NamedTuple):
    """Times of the newest message behind a picture."""

    released_ns: int
    due_ns: int = 0
    received_ns: int = 0


@jit
def told(
    systems: Rows,
    number: Rows,
    valid_ns: Rows,
    newest_ns: Rows,
    state: Float,
    cov: Float,
    phase: Float,
    mask: Rows,
    seen: Rows,
    members: Rows,
    left_open: Float,
    track: Numbers,
    dropped: NDArray[np.bool_],
    quality: Rows,
    phenomenology: Rows,
    pedigree: Rows,
) -> tuple[Numbers, Rows, Float, Float, Small, Small, Small, Numbers, Numbers, Numbers]:
    """Rows of the table of system tracks as they are told, in the order of the fields of `SystemTracks`."""
    m = len(systems)
    numbers, valid, states, triangles = np.empty(m, np.uint32), np.empty(m, np.int64), np.empty((m, 6)), np.empty((m, TRIANGLE))
    phases, best, kinds = np.empty((m, 3), np.uint8), np.empty(m, np.uint8), np.zeros(m, np.uint8)
    sensors, tracks, age_ms = np.zeros(m, np.uint32), np.zeros((m, 3), np.uint32), np.empty(m, np.uint32)
    for i in range(m):
        system = systems[i]
        numbers[i], valid[i] = number[system], valid_ns[system]
        left = left_open[mask[system] or seen[system]]
        states[i], triangles[i] = state[system], cov[system]
        if left[0, 0] > 0.0:
            triangles[i] = triangle_of(with_open(state[system], square(cov[system]), left))
        for share in range(3):
            phases[i, share] = np.uint8(np.rint(min(max(phase[system, share], 0.0), 1.0) * 255.0))
        age, highest = (valid_ns[system] - newest_ns[system]) // _NS_A_MS, 0
        for c in range(3):
            row = members[system, c]
            if row >= 0:
                highest = max(highest, quality[row])
                kinds[i] |= phenomenology[row]
                sensors[i] |= pedigree[row]
                if not dropped[row]:
                    tracks[i, c] = track[row]
        best[i] = max(highest - age // _QUALITY_STEP_MS, 0)
        age_ms[i] = min(age, _MOST_AGE_MS)
    return numbers, valid, states, triangles, phases, best, kinds, sensors, tracks, age_ms


def rows_of(clusters: Clusters, systems: Rows) -> SystemTracks:
    """The system tracks (rows of the table) as they are told."""
    table, held = clusters.systems, clusters.reports
    own = (table.told, table.valid_ns, table.newest_ns, table.state, table.cov, table.phase, table.mask, table.seen)
    theirs = (held.track, held.dropped, held.quality, held.phenomenology, held.pedigree)
    block = SystemTracks(*told(systems, *own, table.members, clusters.left_open, *theirs))
    if surely_sound(block.system, block.valid_ns, block.state, block.cov):
        return block
    bad = bad_rows(block.system, block.valid_ns, block.state, block.cov)
    return block.take(~np.logical_or.reduce(list(bad.values()))) if bad else block


def frames_of(
    clusters: Clusters, touched: Rows, ended: Sequence[int], to: Sequence[Nation], stamp: Stamp, raid: Raid | None
) -> list[PictureFrame]:
    """Frames of at most MAX_FRAME_ROWS tracks and as many endings, a copy for each recipient."""
    pieces = [touched[i : i + MAX_FRAME_ROWS] for i in range(0, len(touched), MAX_FRAME_ROWS)]
    endings = [ended[i : i + MAX_FRAME_ROWS] for i in range(0, len(ended), MAX_FRAME_ROWS)]
    frames: list[PictureFrame] = []
    for piece, ending in zip_longest(pieces, endings):
        block = rows_of(clusters, _NOTHING if piece is None else piece)
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
                dropped=list(ending or ()),
                raid=raid,
                columns=columns,
            )
            for recipient in to
        ]
    return frames
