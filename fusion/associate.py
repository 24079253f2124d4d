"""Associates: which new tracks belong to which system tracks, and which system tracks are one object.

A pair is joined at once only where the second-best way to explain everything in sight costs `sure` more. Short of that the tracks
wait apart and are looked at again: a pair that wins look after look adds up evidence, a look counting for at most a part of what
is needed (errors persist from look to look), and a look that it loses takes all of it away. Better late than wrong: waiting
costs a confirmation some seconds, a wrong pair is kept.

Looks are taken for each pair of nations, over all tracks at once. What an operator keeps apart is no pair anywhere. Changes
nothing but its own evidence.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bus.release import NATIONS
from fusion.assign import assign
from fusion.clusters import Clusters
from fusion.decorrelation import Decorrelations
from fusion.gate import pairs_within
from fusion.settings import FusionSettings
from fusion.tables import ReportTable, SystemTable
from physics.compile import jit

Rows = NDArray[np.int64]


@jit
def without(nation: int, number: Rows, mask: Rows) -> Rows:
    """Rows of the system tracks that have no member of a nation (its bit of the mask)."""
    rows = np.empty(len(number), np.int64)
    n = 0
    for row in range(len(number)):
        if number[row] != 0 and mask[row] & nation == 0:
            rows[n] = row
            n += 1
    return rows[:n].copy()


@dataclass(slots=True)
class Associator:
    """The rules of association, and the evidence gathered so far for pairs of system tracks (by their numbers)."""

    settings: FusionSettings
    decorrelations: Decorrelations = field(default_factory=lambda: Decorrelations(ReportTable()))
    evidence: dict[tuple[int, int], float] = field(default_factory=dict)
    looked_ns: int = 0

    @property
    def sigmas_m_s2(self) -> NDArray[np.float64]:
        """Unmodelled accelerations (3,) by phase."""
        motion = self.settings.motion
        return np.array([motion.boost_m_s2, motion.coast_m_s2, motion.reentry_m_s2])

    @property
    def bias_var(self) -> NDArray[np.float64]:
        """Variance (2,) of what sensors disagree by, position and velocity."""
        rules = self.settings.association
        return np.array([rules.bias_m**2, rules.bias_m_s**2])

    @property
    def miss(self) -> float:
        """The cost of not pairing: the log of the room that an unseen object may be in, twice."""
        rules = self.settings.association
        return 6.0 * math.log(rules.new_object_m) + 6.0 * math.log(rules.new_object_m_s)

    def place(self, clusters: Clusters, fresh: list[int], column: int) -> dict[int, int]:
        """Report rows of one nation's new tracks -> the system tracks that they surely belong to."""
        systems = clusters.systems
        lacking = without(1 << column, systems.number, systems.mask)
        if not len(lacking):
            return {}
        rows = np.array(fresh, np.int64)
        first, second, costs = self._pairs(clusters.reports, rows, systems, lacking)
        matches = assign(first, second, costs, self.miss)
        sure = self.settings.association.sure
        return {fresh[row]: int(lacking[other]) for row, other, regret in matches if regret >= sure}

    def due(self, at_ns: int) -> bool:
        """Whether it is time for another look, by the newest report's time."""
        return at_ns - self.looked_ns >= self.settings.association.look_every_s * 1e9

    def look(self, clusters: Clusters, at_ns: int, most_waiting: int) -> list[tuple[int, int]]:
        """Pairs of system tracks (rows) now held to be one object, each track in one pair at most.

        With more than `most_waiting` tracks that lack a nation there is no look: its cost grows faster than their number.
        """
        if not self.due(at_ns):
            return []
        systems = clusters.systems
        waiting = (systems.mask != 0) & (systems.mask != (1 << len(NATIONS)) - 1)
        if np.count_nonzero(waiting) > most_waiting:
            return []
        self.looked_ns = at_ns
        won = self._winners(clusters, waiting)
        rules, numbers = self.settings.association, clusters.systems.number
        gathered: dict[tuple[int, int], float] = {}
        ready: list[tuple[float, int, int]] = []
        for (one, other), regret in won.items():
            key = (int(numbers[one]), int(numbers[other]))
            total = self.evidence.get(key, 0.0) + min(regret, rules.look_most)
            gathered[key] = total
            if regret >= rules.sure or total >= rules.enough:
                ready.append((-regret, one, other))
        self.evidence = gathered
        joined: list[tuple[int, int]] = []
        taken: set[int] = set()
        for _, one, other in sorted(ready):
            if one not in taken and other not in taken:
                taken |= {one, other}
                joined.append((one, other))
        return joined

    def _winners(self, clusters: Clusters, single: NDArray[np.bool_]) -> dict[tuple[int, int], float]:
        """Pairs that win wherever they compete, and their smallest regret."""
        systems = clusters.systems
        won: dict[tuple[int, int], float] = {}
        beaten: set[tuple[int, int]] = set()
        for one, other in itertools.combinations(range(len(NATIONS)), 2):
            left = np.flatnonzero(single & (systems.mask >> one & 1 == 1) & (systems.mask >> other & 1 == 0))
            right = np.flatnonzero(single & (systems.mask >> other & 1 == 1) & (systems.mask >> one & 1 == 0))
            if not (len(left) and len(right)):
                continue
            first, second, costs = self._pairs(systems, left, systems, right)
            regrets = {(int(left[i]), int(right[j])): regret for i, j, regret in assign(first, second, costs, self.miss)}
            for a, b in zip(left[first].tolist(), right[second].tolist(), strict=True):
                pair = (min(a, b), max(a, b))
                regret = regrets.get((a, b))
                if regret is None:
                    beaten.add(pair)
                else:
                    won[pair] = min(won.get(pair, math.inf), regret)
        return {pair: regret for pair, regret in won.items() if pair not in beaten}

    def likeness(self, clusters: Clusters, system: int) -> int | None:
        """The system track that a lost one most likely is: none of its nations saw both at once. None without any in the gate."""
        systems = clusters.systems
        unseen = (systems.seen & systems.seen[system]) == 0
        after = systems.first_ns > systems.newest_ns[system]
        apart = np.flatnonzero((systems.number != 0) & (systems.mask != 0) & (unseen | after))
        if not len(apart):
            return None
        _, second, costs = self._pairs(systems, np.array([system], np.int64), systems, apart)
        if not len(costs):
            return None
        return int(apart[second[int(np.argmin(costs))]])

    def doubtful(self, clusters: Clusters, chosen: Rows) -> tuple[Rows, Rows, NDArray[np.float64]]:
        """Of system tracks (rows) the pairs (indices into them) that may be one object, and their log odds against being two.

        Each pair once. A lost one has none: it is joined as soon as there is any.
        """
        systems = clusters.systems
        mask = systems.mask[chosen]
        waiting = np.flatnonzero((mask != 0) & (mask != (1 << len(NATIONS)) - 1))
        first, second, costs = self._pairs(systems, chosen[waiting], systems, chosen[waiting])
        once = first < second
        return waiting[first[once]], waiting[second[once]], 0.5 * (self.miss - costs[once])

    def _pairs(
        self, one: ReportTable | SystemTable, rows: Rows, other: SystemTable, others: Rows
    ) -> tuple[Rows, Rows, NDArray[np.float64]]:
        rules = self.settings.association
        found = pairs_within(
            rows,
            one.valid_ns,
            one.state,
            one.cov,
            one.phase,
            one.mask,
            others,
            other.valid_ns,
            other.state,
            other.cov,
            other.phase,
            other.mask,
            self.sigmas_m_s2,
            self.bias_var,
            rules.gate_chi2,
            int((self.settings.timing.lag_s + self.settings.timing.silent_s) * 1e9),
        )
        return self.decorrelations.sift(found, one, rows, others)
