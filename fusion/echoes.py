"""Echoes: reports that are made of what others report, our own picture coming back among them.

- Known by its pedigree, where that tells a sensor of another nation. While each such nation is heard itself, what tells no other
  sensors has nothing new in it: it is left out before it is held. What tells its own nation's too is left out where it stands on
  a system track that its nation has another part in, with one of its sensors; elsewhere its own sensors have no other way here,
  and it is taken, and never set aside: what it shares with others' parts is intersected (`fusion.combine`). So it is where a
  nation is not heard: its sensors have no other way here.
- Unknown, where no sensor is told. It may be anything, so it is taken: it founds, and adds what intersection gives
  (`fusion.combine`), but it confirms nothing. It is found out by where it stands: so near to what those say whose sensors are
  told as independent errors are once in a hundred times. A new one that does, and a held one that does look after look, is set
  aside: its latest report is held and watched, and has no part in any system track. What strays out of the gate of what it was
  set aside for is taken again.
- Of what is lost there is only a prediction. What is made of it stands on it, and is no surer than it is: that is set aside too,
  and taken again once it is further off than an echo, or surer, for then somebody sees the object. While it is set aside nothing
  holds the prediction up. With its end its echoes end: what is still on its way of them is left out for `timing.grace_s`.

What an operator says is not the other's object is none of its echoes.

A nation cannot see one object twice: without this, its own track and its echo would stand apart, and so would two halves of one
object that each hold their own echo.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bus.columns import Reports
from bus.release import NATIONS
from fusion.clusters import Clusters
from fusion.combine import bounds_of
from fusion.fuse import fuse_many
from fusion.gate import pairs_within
from fusion.lineage import foreign_bits, own_bits
from fusion.partial import prior_of, quantiles, tells_whole
from fusion.settings import FusionSettings
from fusion.tables import NONE, Float, ReportTable, Rows
from fusion.triangle import square

_NO_BIAS: Final = np.zeros(2)
_LONG_AGO: Final = -(2**62)
_NEAR: Final = 4.0  # of the gate: what is held to be there already may have turned meanwhile
_SURER: Final = 2.0  # times in variance: what is made of a prediction is as sure as that


class _Known(NamedTuple):
    """What reports may be echoes of: system tracks, the members that they are known by, whether lost, and the estimates."""

    systems: Rows
    members: Rows
    lost: NDArray[np.bool_]
    valid_ns: Rows
    state: Float
    cov: Float
    phase: Float
    whole: NDArray[np.bool_]


class Echoes:
    """What one picture knows of its echoes; `motion` as of the associator. Changes nothing but its own counts."""

    def __init__(self, settings: FusionSettings, motion: Float) -> None:
        self._rules, self._timing, self._motion = settings.association, settings.timing, motion
        self._correlations, self._lost_m_s2 = bounds_of(settings.combination), settings.motion.lost_m_s2
        self._prior, self._splits = prior_of(self._rules), quantiles(self._rules.split_chi2)
        self._echo, self._gates = quantiles(self._rules.echo_chi2), quantiles(self._rules.gate_chi2)
        self._near_gates = quantiles(_NEAR * self._rules.gate_chi2)
        self._own: Final = own_bits(settings.sensors)
        self._foreign: Final[list[int]] = foreign_bits(settings.sensors).tolist()
        self._heard_ns = [_LONG_AGO] * len(NATIONS)
        self._near: dict[int, tuple[int, int]] = {}  # a report's row: the system track that it stands on, and for how many looks
        self._any = False

    def sift(self, clusters: Clusters, column: int, block: Reports, released_ns: int) -> tuple[Reports, int]:
        """A frame of a nation, released then, without its known echoes, and how many those were."""
        told, foreign = set(block.pedigree.tolist()), self._foreign[column]
        if 0 not in told and not any(pedigree & foreign for pedigree in told):  # almost every frame: a few values, no arrays
            self._heard_ns[column] = max(self._heard_ns[column], released_ns)
            return block, 0
        others = block.pedigree & foreign
        echo, self._any = others != 0, self._any or 0 in told
        if (block.pedigree[~echo] != 0).any():
            self._heard_ns[column] = max(self._heard_ns[column], released_ns)
        silent_ns = released_ns - int(self._timing.silent_s * 1e9)
        heard = np.bitwise_or.reduce(self._own[[at_ns >= silent_ns for at_ns in self._heard_ns]])
        old = echo & (others & ~heard == 0)
        mixed = np.flatnonzero(old & (block.pedigree & self._own[column] != 0))
        if len(mixed):
            old[mixed] = self._has_part(clusters, column, block, mixed)
        self._any = self._any or bool((echo & ~old).any())
        return (block.take(~old), int(old.sum())) if old.any() else (block, 0)

    def _has_part(self, clusters: Clusters, column: int, block: Reports, rows: Rows) -> NDArray[np.bool_]:
        """Of these reports of a frame whether each stands on a system track that their nation has another part in, with one of
        their sensors.
        """
        table, held = clusters.systems, clusters.reports
        systems, nobody = np.flatnonzero((table.number != 0) & (table.mask != 0)), np.zeros(table.capacity, np.int64)
        whole = np.zeros(len(block), np.bool_)
        whole[rows] = [tells_whole(cov, self._prior) for cov in block.cov[rows]]
        first, second, _ = pairs_within(
            rows,
            block.valid_ns,
            clusters.put_right(column, block.state),
            block.cov,
            block.phase.astype(np.float64),
            np.zeros(len(block), np.int64),
            whole,
            systems,
            table.valid_ns,
            table.state,
            table.cov,
            table.phase,
            nobody,
            table.whole,
            self._motion,
            _NO_BIAS,
            self._prior,
            self._near_gates,
            int((self._timing.lag_s + self._timing.silent_s) * 1e9),
        )
        found = np.zeros(len(rows), np.bool_)
        for i, j in zip(first.tolist(), second.tolist(), strict=True):
            row = int(rows[i])
            for member in clusters.members(int(systems[j])):
                own = held.nation[member] == column and held.track[member] != block.track[row]
                found[i] |= bool(own and held.pedigree[member] & block.pedigree[row])
        return found

    def at_once(self, clusters: Clusters, fresh: list[int]) -> dict[int, int]:
        """New reports that stand on what is told already: by row, the system track."""
        if not self._any:
            return {}
        rows = np.array(fresh, np.int64)
        return self._standing_on(clusters, self._suspects(clusters, rows), self._echo)

    def review(self, clusters: Clusters) -> tuple[list[tuple[int, int]], list[int]]:
        """At a look: reports (rows) that have been echoes of a system track for long enough, and those set aside that strayed."""
        if not self._any:
            return [], []
        held, table = clusters.reports, clusters.systems
        members = table.members[(table.number != 0) & (table.mask != 0)].ravel()
        members = members[members != NONE]
        suspects = self._suspects(clusters, members)
        near, found = self._standing_on(clusters, suspects, self._echo), []
        self._near = {row: (system, self._near_for(row, system) + 1) for row, system in near.items()}
        for row, (system, looks) in self._near.items():
            if looks >= self._rules.echo_after:
                found.append((row, system))
        strayed = []
        still = self._standing_on(clusters, np.array(list(clusters.aside), np.int64), self._gates, clusters.aside)
        for row in clusters.aside:
            held.off[row] = 0 if row in still else held.off[row] + 1
            if held.off[row] >= self._rules.split_after:
                strayed.append(row)
        self._any = bool(len(suspects) or clusters.aside)
        return found, strayed

    def _suspects(self, clusters: Clusters, rows: Rows) -> Rows:
        """Those of the reports (rows) that may be echoes, and of which no sensor of their own nation's is told."""
        held = clusters.reports
        own = held.pedigree[rows] & self._own[held.nation[rows]]
        return np.asarray(rows[clusters.may_be_echoes(rows) & (own == 0)], np.int64)

    def _near_for(self, row: int, system: int) -> int:
        before, looks = self._near.get(row, (NONE, 0))
        return looks if before == system else 0

    def _standing_on(self, clusters: Clusters, rows: Rows, gates: Float, only: dict[int, int] | None = None) -> dict[int, int]:
        """Of reports (rows) those inside these gates of what is told of a system track, the nearest such, or that in `only`."""
        if not len(rows):
            return {}
        known, held = self._known(clusters), clusters.reports
        live, lost = np.flatnonzero(~known.lost), np.flatnonzero(known.lost)
        found = self._pairs(held, rows, known, live, gates)
        if len(lost):
            again = self._pairs(held, rows, known, lost, self._echo)
            tells_more = self._tell_more(held, rows[again[0]], known.members[again[1]])
            first, second, costs = (np.concatenate([one, other[~tells_more]]) for one, other in zip(found, again, strict=True))
            found = first, second, costs
        nearest: dict[int, tuple[float, int]] = {}
        for i, j, cost in zip(*(each.tolist() for each in found), strict=True):
            row, system = int(rows[i]), int(known.systems[j])
            if (only is None or only[row] == system) and not clusters.is_apart(row, system):
                nearest[row] = min(nearest.get(row, (cost, system)), (cost, system))
        return {row: system for row, (_, system) in nearest.items()}

    def _pairs(self, held: ReportTable, rows: Rows, known: _Known, others: Rows, gates: Float) -> tuple[Rows, Rows, Float]:
        """Reports (indices into rows) inside these gates of what is known (indices, of `others`), and the costs."""
        first, second, costs = pairs_within(
            rows,
            held.valid_ns,
            held.state,
            held.cov,
            held.phase,
            np.zeros(held.capacity, np.int64),
            held.whole,
            others,
            known.valid_ns,
            known.state,
            known.cov,
            known.phase,
            np.zeros(len(known.systems), np.int64),
            known.whole,
            self._motion,
            _NO_BIAS,
            self._prior,
            gates,
            int((self._timing.lag_s + self._timing.silent_s) * 1e9),
        )
        return first, others[second], costs

    def _tell_more(self, held: ReportTable, rows: Rows, members: Rows) -> NDArray[np.bool_]:
        """Whether reports (rows) are surer in any direction than what these members (n, 3), lost, predict for their time."""
        _, _, _, predicted, _, _ = self._fuse(held, members, held.valid_ns[rows])
        pairs = zip(held.cov[rows], predicted, strict=True)
        ratios = [np.linalg.eigvals(np.linalg.solve(square(told), square(p))).real.max() for told, p in pairs]
        return np.array(ratios, np.float64) > _SURER

    def _known(self, clusters: Clusters) -> _Known:
        """Estimates of objects by those who tell their sensors, and predictions of those that were lost."""
        held, table = clusters.reports, clusters.systems
        systems = np.flatnonzero(table.number != 0)
        members, lost = table.members[systems], table.mask[systems] == 0
        members[clusters.may_be_echoes(members) & ~lost[:, None]] = NONE
        some = (members != NONE).any(axis=1)
        systems, members, lost = systems[some], members[some], lost[some]
        valid_ns, _, x, p, phase, _ = self._fuse(held, members, np.where(lost, table.valid_ns[systems], 0))
        whole = (held.whole[members] & (members != NONE)).any(axis=1)
        return _Known(systems, members, lost, valid_ns, x, p, phase, whole)

    def _fuse(self, held: ReportTable, members: Rows, at_ns: Rows) -> tuple[Rows, Rows, Float, Float, Float, Float]:
        return fuse_many(
            members,
            at_ns,
            held.valid_ns,
            held.state,
            held.cov,
            held.phase,
            held.pedigree,
            held.whole,
            self._motion,
            self._correlations,
            self._lost_m_s2,
            int(self._timing.stale_s * 1e9),
            _NO_BIAS,
            self._prior,
            self._splits,
            NONE,
        )
