"""Associates: which new tracks belong to which system tracks, and which system tracks are one object.

A pair is joined at once only where the second-best way to explain everything in sight costs `sure` more. Short of that the tracks
wait apart and are looked at again: a pair that wins look after look adds up evidence, a look counting for at most a part of what
is needed (errors persist from look to look), and a look that it loses takes all of it away. Better late than wrong: waiting
costs a confirmation some seconds, a wrong pair is kept.

A look is one problem over all nations' tracks that wait: which of them are one object, two or three together
(`fusion.partition`). So what a third nation says of a pair speaks for it or against it. What an operator keeps apart is in no
pair and no triple. Changes nothing but its own evidence.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bus.release import NATIONS
from fusion.assign import assign
from fusion.clusters import Clusters
from fusion.crowd import crowded, dearer, neighbours
from fusion.decorrelation import Decorrelations
from fusion.gate import pairs_within
from fusion.partial import prior_of, quantiles
from fusion.partition import partition
from fusion.settings import FusionSettings
from fusion.tables import NONE, ReportTable, SystemTable
from fusion.triangle import VARIANCES
from fusion.triples import triples_within
from physics.compile import jit

Float = NDArray[np.float64]
Rows = NDArray[np.int64]

_REACH_SIGMAS: Final = 8.0  # of the least sure of what may be a pair: further neighbours leave all the room there is


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


@jit
def waiting_for(nations: int, mask: Rows, most: int) -> Rows:
    """Rows of the system tracks that some of these nations (bits) report and others do not; of more than `most`, so many and one.

    It is asked with every frame, most often of a sky where too many wait for a look.
    """
    rows = np.empty(min(len(mask), most + 1), np.int64)
    n = 0
    for row in range(len(mask)):
        if mask[row] != 0 and mask[row] != nations:
            rows[n] = row
            n += 1
            if n > most:
                break
    return rows[:n].copy()


class Places(NamedTuple):
    """Where new reports (rows) belong: the system track that each surely is of; those that each of the others may be of by
    itself, the likeliest first.
    """

    homes: dict[int, int]
    may_be: dict[int, list[int]]


@dataclass(slots=True)
class Associator:
    """The rules of association, and the evidence gathered so far for pairs of system tracks (by their numbers).

    `gap`: the largest duality gap of the last look, as a share of the bound; 0 where its answer is proven best. `asked`: how many
    pairs the last call of `look` was about.
    """

    settings: FusionSettings
    decorrelations: Decorrelations = field(default_factory=lambda: Decorrelations(ReportTable()))
    evidence: dict[tuple[int, int], float] = field(default_factory=dict)
    looked_ns: int = 0
    gap: float = 0.0
    asked: int = 0
    _prior: Float = field(init=False)
    _gates: Float = field(init=False)

    def __post_init__(self) -> None:
        rules = self.settings.association
        self._prior, self._gates = prior_of(rules), quantiles(rules.gate_chi2)

    @property
    def motion(self) -> Float:
        """What `align.accelerations` goes by (5,)."""
        rules = self.settings.motion
        return np.array([rules.thrust_share, rules.tilt_share, rules.drag_share, rules.lift_share, rules.free_m_s2])

    @property
    def bias_var(self) -> Float:
        """Variance (2,) of what sensors disagree by, position and velocity."""
        rules = self.settings.association
        return np.array([rules.bias_m**2, rules.bias_m_s**2])

    @property
    def miss(self) -> float:
        """The cost of not pairing: the log of the room that an unseen object may be in, twice."""
        rules = self.settings.association
        return 6.0 * math.log(rules.new_object_m) + 6.0 * math.log(rules.new_object_m_s)

    def place(self, clusters: Clusters, fresh: list[int], column: int) -> Places:
        """Where the new tracks (report rows) of one nation belong."""
        systems = clusters.systems
        lacking = without(1 << column, systems.number, systems.mask)
        if not len(lacking):
            return Places({}, {})
        rows = np.array(fresh, np.int64)
        first, second, costs = self._pairs(clusters.reports, rows, systems, lacking)
        if not len(costs):  # a launch: its alert waits for this
            return Places({}, {})
        costs = costs + self._crowding(clusters.reports, rows, systems, lacking, first, second)
        matches = assign(first, second, costs, self.miss)
        sure = self.settings.association.sure
        homes = {row: other for row, other, regret in matches if regret >= sure}
        left = costs < self.miss
        left[left] = ~np.isin(first[left], list(homes))
        likely = np.argsort(costs[left], kind="stable")
        may_be: dict[int, list[int]] = {}
        for row, other in zip(first[left][likely].tolist(), lacking[second[left][likely]].tolist(), strict=True):
            may_be.setdefault(fresh[row], []).append(other)
        return Places({fresh[row]: int(lacking[other]) for row, other in homes.items()}, may_be)

    def due(self, at_ns: int) -> bool:
        """Whether it is time for another look, by the newest report's time."""
        return at_ns - self.looked_ns >= self.settings.association.look_every_s * 1e9

    def look(self, clusters: Clusters, at_ns: int, most_waiting: int) -> list[tuple[int, ...]]:
        """Groups of system tracks (rows) now held to be one object, each track in one group at most.

        With more than `most_waiting` tracks that lack a nation there is no look: its cost grows faster than their number.
        """
        self.asked = 0
        if not self.due(at_ns):
            return []
        systems = clusters.systems
        waiting = waiting_for((1 << len(NATIONS)) - 1, systems.mask, most_waiting)
        if len(waiting) > most_waiting:
            return []
        self.looked_ns = at_ns
        won = self._winners(systems, waiting)
        rules, numbers = self.settings.association, systems.number
        gathered: dict[tuple[int, int], float] = {}
        ready: list[tuple[float, int, int]] = []
        for (one, other), regret in won.items():
            key = (int(numbers[one]), int(numbers[other]))
            total = self.evidence.get(key, 0.0) + min(regret, rules.look_most)
            gathered[key] = total
            if regret >= rules.sure or total >= rules.enough:
                ready.append((-regret, one, other))
        self.evidence = gathered
        groups: dict[int, list[int]] = {}
        for _, one, other in sorted(ready):
            group = groups.setdefault(one, [one])
            if other not in group:
                group += groups.get(other, [other])
                groups.update(dict.fromkeys(group, group))
        return list(dict.fromkeys(map(tuple, groups.values())))

    def _winners(self, systems: SystemTable, waiting: Rows) -> dict[tuple[int, int], float]:
        """Pairs of rows that are together in the best partition of all that wait, and their regrets."""
        members, gains, pairs = self.groups(systems, waiting)
        self.asked = pairs
        rules = self.settings.association
        regret, self.gap = partition(members, gains, pairs, len(waiting), max(rules.sure, rules.look_most))
        won = members[:pairs][regret > 0.0]
        ends = np.sort(waiting[won[won != NONE]].reshape(-1, 2))
        return dict(zip(map(tuple, ends.tolist()), regret[regret > 0.0].tolist(), strict=True))

    def groups(self, systems: SystemTable, waiting: Rows) -> tuple[Rows, Float, int]:
        """What may be one object of tracks that wait (rows): groups (g, 3), what they gain (g,), and how many are pairs.

        Pairs come first, then triples. They are indices of tracks by the first nation that each holds, NONE for none.
        """
        mask = systems.mask[waiting]
        first, second, third = (np.flatnonzero(mask & -mask == 1 << side) for side in range(len(NATIONS)))
        others = np.concatenate([first, second])
        a, b, costs = self._pairs(systems, waiting[first], systems, waiting[second])
        c, d, more = self._pairs(systems, waiting[third], systems, waiting[others])
        pairs = np.full((len(a) + len(c), len(NATIONS)), NONE)
        pairs[: len(a), 0], pairs[: len(a), 1], pairs[len(a) :, 2] = first[a], second[b], third[c]
        pairs[np.arange(len(a), len(pairs)), (d >= len(first)).astype(np.int64)] = others[d]
        more_dear = np.concatenate(
            [
                self._crowding(systems, waiting[first], systems, waiting[second], a, b),
                self._crowding(systems, waiting[third], systems, waiting[others], c, d),
            ]
        )
        gains = self.miss - np.concatenate([costs, more]) - more_dear
        pairs, gains, more_dear = pairs[gains > 0.0], gains[gains > 0.0], more_dear[gains > 0.0]
        triples, joint = triples_within(
            pairs,
            gains,
            waiting,
            systems.mask,
            systems.valid_ns,
            systems.state,
            systems.cov,
            systems.phase,
            self.motion,
            self.bias_var,
            self._prior,
            self._gates,
            self.miss,
        )
        may_be = self.decorrelations.allow(np.where(triples == NONE, NONE, waiting[triples]))
        triples, joint = triples[may_be], joint[may_be]
        if more_dear.any():
            triples, joint = crowded(triples, joint, pairs, gains, more_dear, len(waiting))
        return np.concatenate([pairs, triples]), np.concatenate([gains, joint]), len(pairs)

    def _crowding(
        self, one: ReportTable | SystemTable, rows: Rows, other: SystemTable, others: Rows, first: Rows, second: Rows
    ) -> Float:
        """By how much pairs (indices into rows and others) are dearer for tracks of their own nations (`fusion.crowd`).

        Of reports that have no system track yet the neighbours are those beside them, and those that have one.
        """
        if not len(first):
            return np.zeros(0)
        held = np.flatnonzero(other.mask)
        (of_a, first), (of_b, second) = (np.unique(ends, return_inverse=True) for ends in (first, second))
        rows_a, rows_b = rows[of_a], others[of_b]
        widest = max(
            float(table.cov[each][:, VARIANCES[:3]].sum(axis=1).max()) for table, each in ((one, rows_a), (other, rows_b))
        )
        reach_m = _REACH_SIGMAS * math.sqrt(2.0 * widest + 3.0 * self.bias_var[0])
        near_a = self._neighbours(one, rows_a, other, held, reach_m)
        if one is not other:
            near_a = np.concatenate([near_a, self._neighbours(one, rows_a, one, rows, reach_m)], axis=1)
        near_b = self._neighbours(other, rows_b, other, held, reach_m)
        return dearer(first, second, rows_a, one.cov, near_a, rows_b, other.cov, near_b, self.bias_var, self._prior, self.miss)

    def _neighbours(
        self, of: ReportTable | SystemTable, rows: Rows, among: ReportTable | SystemTable, others: Rows, reach_m: float
    ) -> Float:
        return neighbours(
            rows,
            of.valid_ns,
            of.state,
            of.mask,
            others,
            among.valid_ns,
            among.state,
            among.cov,
            among.phase,
            among.mask,
            reach_m,
            self.motion,
        )

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

    def doubtful(self, clusters: Clusters, chosen: Rows) -> tuple[Rows, Rows, Float]:
        """Of system tracks (rows) the pairs (indices into them) that may be one object, and their log odds against being two.

        Each pair once. A lost one has none: it is joined as soon as there is any.
        """
        systems = clusters.systems
        mask = systems.mask[chosen]
        waiting = np.flatnonzero((mask != 0) & (mask != (1 << len(NATIONS)) - 1))
        rows = chosen[waiting]
        first, second, costs = self._pairs(systems, rows, systems, rows)
        once = first < second
        first, second = first[once], second[once]
        costs = costs[once] + self._crowding(systems, rows, systems, rows, first, second)
        return waiting[first], waiting[second], 0.5 * (self.miss - costs)

    def _pairs(self, one: ReportTable | SystemTable, rows: Rows, other: SystemTable, others: Rows) -> tuple[Rows, Rows, Float]:
        found = pairs_within(
            rows,
            one.valid_ns,
            one.state,
            one.cov,
            one.phase,
            one.mask,
            one.whole,
            others,
            other.valid_ns,
            other.state,
            other.cov,
            other.phase,
            other.mask,
            other.whole,
            self.motion,
            self.bias_var,
            self._prior,
            self._gates,
            int((self.settings.timing.lag_s + self.settings.timing.silent_s) * 1e9),
        )
        return self.decorrelations.sift(found, one, rows, others)
