"""Which detection may be which track's: probabilities, not only the best guess. Kernels; no filter, no policy.

The marginal probabilities of all joint hypotheses in which no detection has two tracks and no track two detections (JPDA:
Fortmann, Bar-Shalom and Scheffe, IEEE J. Oceanic Engineering 8(3), 1983) by loopy belief propagation, whose cost is that of the
matrix times some twenty rounds, however many hypotheses there are (Williams and Lau, IEEE Trans. AES 50(4), 2014, algorithm 1).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from physics.compile import jit

Float = NDArray[np.float64]

_ROUNDS = 60
_SETTLED = 1e-4


@jit
def marginals(odds: Float) -> Float:
    """Probabilities (tracks, detections) that a detection is a track's, from the odds of that against the track having none.

    0 where the pair cannot be. Exact where the pairs form no loop.
    """
    tracks, detections = odds.shape
    back = np.ones((detections, tracks))
    there = np.zeros((tracks, detections))
    for _ in range(_ROUNDS):
        for i in range(tracks):
            total = 1.0
            for k in range(detections):
                total += odds[i, k] * back[k, i]
            for k in range(detections):
                there[i, k] = odds[i, k] / (total - odds[i, k] * back[k, i]) if odds[i, k] > 0.0 else 0.0
        change = 0.0
        for k in range(detections):
            total = 1.0
            for i in range(tracks):
                total += there[i, k]
            for i in range(tracks):
                after = 1.0 / (total - there[i, k])
                change = max(change, abs(after - back[k, i]))
                back[k, i] = after
        if change < _SETTLED:
            break
    out = np.zeros((tracks, detections))
    for i in range(tracks):
        total = 1.0
        for k in range(detections):
            total += odds[i, k] * back[k, i]
        for k in range(detections):
            out[i, k] = odds[i, k] * back[k, i] / total
    return out
