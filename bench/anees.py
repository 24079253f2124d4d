"""ANEES of the recipients' pictures while an exercise runs: real truth against real pictures, by recipient and phase. Pure.

Which launch a system track follows is told by its members, as the scorer has it (`bench.accuracy`): so that what is told at the
end of an exercise is what its result tells. Nobody who is on the way of a warning computes truth; who does this has time.
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from numpy.typing import NDArray

from bench.accuracy import against, followed
from bench.world import World
from bus.messages import PictureFrame, system_tracks_of
from bus.release import Nation
from sensors.facts import PHASES


class Anees:
    """One exercise's pictures against its world; of each recipient and phase a sum and a count."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._sums: dict[Nation, NDArray[np.float64]] = defaultdict(lambda: np.zeros((len(PHASES), 2)))

    def take(self, frame: PictureFrame) -> None:
        """Hold the rows of a picture against the truth. Raises Rejected where it cannot be read."""
        block, _ = system_tracks_of(frame)
        errors = against(self._world.truth, block, followed(self._world, block))
        np.add.at(self._sums[frame.recipient], errors.phase, np.column_stack([np.ones(len(errors.nees)), errors.nees]))

    def told(self) -> dict[tuple[Nation, str], float]:
        """The ANEES so far, by recipient and phase; of what nothing is known, nothing."""
        return {
            (recipient, phase): float(total / count)
            for recipient, sums in self._sums.items()
            for phase, (count, total) in zip(PHASES, sums.tolist(), strict=True)
            if count
        }
