"""What one look cannot tell apart: objects in the same cell give one detection.

Two are in one cell where both their distances (m) and their directions (rad) differ by less than the sensor resolves; cells join
in chains. The one detection has the sum of their powers, and wanders from look to look about the mean of their places weighted by
power, as far as they are apart: glint. A monopulse radar sees that (Blair and Brandt-Pearce, Monopulse DOA estimation of two
unresolved Rayleigh targets, IEEE Trans. AES 37(2), 2001), so that what is detected says how wide it is.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from physics.compile import jit

Float = NDArray[np.float64]
Rows = NDArray[np.int64]


@jit
def resolve(
    site: Float, points: Float, powers: Float, glint: Float, cell_m: float, beam_rad: float
) -> tuple[Rows, Float, Float, Float]:
    """Of objects at points (n, 3) with powers (n,) above 0 and unit noise glint (n,): m detections.

    The row of the strongest object in each (m,), its place (m, 3), its power (m,), and the mean square of its objects' places
    about it (m, 3, 3), 0 where it is one alone.
    """
    n = points.shape[0]
    distance, sight = np.empty(n), np.empty((n, 3))
    for i in range(n):
        offset = points[i] - site
        distance[i] = np.sqrt((offset**2).sum())
        sight[i] = offset / distance[i]
    cell = np.arange(n)
    for i in range(n):
        for j in range(i):
            near = abs(distance[i] - distance[j]) < cell_m and ((sight[i] - sight[j]) ** 2).sum() < beam_rad**2
            if near and cell[i] != cell[j]:
                old, new = max(cell[i], cell[j]), min(cell[i], cell[j])
                for k in range(n):
                    if cell[k] == old:
                        cell[k] = new
    strongest, places, power, spread = np.empty(n, np.int64), np.zeros((n, 3)), np.zeros(n), np.zeros((n, 3, 3))
    found = 0
    for first in range(n):
        if cell[first] != first:
            continue
        best, members = first, 0
        for k in range(first, n):
            if cell[k] == first:
                members += 1
                places[found] += powers[k] * points[k]
                power[found] += powers[k]
                best = k if powers[k] > powers[best] else best
        places[found] = places[found] / power[found] if members > 1 else points[first]
        wander = np.zeros(3)
        for k in range(first, n):
            if members > 1 and cell[k] == first:
                off, share = points[k] - places[found], powers[k] / power[found]
                spread[found] += np.outer(off, off) / members
                wander += np.sqrt(share) * glint[k] * off
        places[found] += wander
        strongest[found] = best
        found += 1
    return strongest[:found], places[:found], power[:found], spread[:found]
