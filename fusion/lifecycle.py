"""The lifecycle of system tracks: founded, joined, merged, split and parted, dropped, lost, recognised again, and ended.

Each change keeps clusters, estimates and cases of alerts in step. When, is decided elsewhere: by messages, looks and the clock's
tick (`fusion.picture`).
"""

from __future__ import annotations

from typing import Final

import numpy as np

from fusion.alert import Event
from fusion.associate import Associator
from fusion.casebook import Casebook
from fusion.clusters import Clusters
from fusion.copied import Copied
from fusion.estimate import Estimator
from fusion.settings import FusionSettings
from fusion.tables import NONE, Float, Rows

_S: Final = 1_000_000_000


class Lifecycle(Copied):
    """What becomes of one picture's system tracks (rows of the table), and what of that is still to be told.

    `fused`: those that messages have changed since the last upkeep; `touched`: whether any changed since they were last handed
    out; `ended`: the numbers of those that ended since.
    """

    FLAT, SHARED = frozenset(("fused", "ended")), frozenset(("_settings",))

    def __init__(self, settings: FusionSettings) -> None:
        self._settings = settings
        self.clusters = Clusters(settings.timing, settings.sensors, settings.association)
        self.book = Casebook(settings, self.clusters)
        self.associator = Associator(settings, self.clusters.decorrelations)
        tables = self.clusters.systems, self.clusters.reports
        self._estimator = Estimator(settings, *tables, self.associator.motion, self.associator.bias_var)
        self.fused: list[Rows] = []
        self.touched = False
        self.ended: list[int] = []

    def house(self, row: int, home: int | None) -> int:
        """The system track of a new report: the one it surely belongs to, or its own."""
        if home is None:
            home = self.clusters.found(row)
            self.book.open(home, row)
        else:
            self.clusters.join(row, home)
        return home

    def estimate(self, systems: list[int] | Rows, at_ns: int = 0, column: int = NONE) -> Float:
        """Estimate anew from the members' latest reports; how far the member in `column` is from the others (m,), d2."""
        off = self._estimator.estimate(np.asarray(systems, np.int64), at_ns, column)
        self.touched |= len(systems) > 0
        return off

    def expect_landing(self, system: int) -> None:
        """The clock's tick is to look at it again when its object should be down."""
        landing_ns, table = self.book.landing_ns(system), self.clusters.systems
        if landing_ns is not None and self.book.cases[system].standing:
            table.due_ns[system] = min(int(table.due_ns[system]), landing_ns)

    def merge(self, one: int, other: int, now_ns: int) -> int:
        """Make two system tracks one: the one that was founded first, which is returned."""
        kept, gone = sorted((one, other), key=lambda system: int(self.clusters.systems.number[system]))
        self.book.merge(kept, gone)
        self.ended.append(self.clusters.absorb(kept, gone))
        self.estimate([kept])
        self.book.judge(kept, now_ns)
        return kept

    def split(self, system: int, row: int, now_ns: int) -> None:
        """A member that has been elsewhere for too long gets a system track of its own; if it comes back, not so soon again."""
        members = self.clusters.members(system)
        if len(members) < 2:
            return
        self.clusters.reports.parted[members] += 1  # whose fault it is they do not tell: next time another may go
        own = self._move_out(row, system)
        self.estimate([system, own])
        self.book.judge(own, now_ns)

    def _part(self, one: int, other: int, now_ns: int) -> None:
        """Two members are not one object. What was detected first keeps the system track with its alert; the other gets its own,
        and an alert where there was one. A third is placed anew, as if it came only now.
        """
        table, held = self.clusters.systems, self.clusters.reports
        system = int(held.system[one])
        warned = self.book.cases[system].standing
        stays, leaves = sorted((one, other), key=lambda row: (int(held.detected_ns[row]), int(held.nation[row])))
        third = [row for row in self.clusters.members(system) if row not in (one, other)]
        own, *alone = [self._move_out(row, system) for row in (leaves, *third)]
        table.kinds[system], table.impact_ns[system] = held.phenomenology[stays], 0  # what they were was of two objects
        self.estimate([system, own, *alone])
        for row, apart in zip(third, alone, strict=True):
            home = self.associator.place(self.clusters, [row], int(held.nation[row])).homes.get(row)
            if home is None:
                self.book.judge(apart, now_ns)
            else:
                self.merge(home, apart, now_ns)
        self.book.cases[own].warned = warned
        self.book.judge(own, now_ns)
        self.fused.append(np.array([system, own, *alone], np.int64))

    def keep_apart(self, now_ns: int) -> None:
        """Part what is held as one, or for an echo of one, and by an operator's word is not."""
        home, aside, held = self.clusters.home, self.clusters.aside, self.clusters.reports
        for one, other in self.clusters.decorrelations.rows:
            system = home(one)
            if system == NONE or system != home(other):
                continue
            echoes = [row for row in (one, other) if row in aside]
            if echoes:
                newest = max(echoes, key=lambda row: (int(held.detected_ns[row]), int(held.nation[row])))
                self.take_again(newest, None, now_ns, warned=self.book.cases[system].standing)
            else:
                self._part(one, other, now_ns)

    def set_aside(self, row: int, system: int) -> None:
        """A member of another is an echo of a system track; of what is left of the other the alert goes on, as this one's."""
        before = int(self.clusters.reports.system[row])
        self.clusters.set_aside(row, system)
        if self.clusters.systems.mask[before]:
            self.estimate([before])
        else:
            self.book.merge(system, before)
            self.ended.append(self.clusters.end(before))

    def take_again(self, row: int, home: int | None, now_ns: int, *, warned: bool = False) -> None:
        """House a report that was set aside; its alert is of its own worth, or as it was `warned` of."""
        system, table = self.clusters.aside.pop(row), self.clusters.systems
        own = self.house(row, home)
        if home is None:
            table.times[own] = table.times[system]
        self.estimate([own])
        self.book.cases[own].warned |= warned
        self.book.judge(own, now_ns)
        self.fused.append(np.array([own], np.int64))

    def drop(self, column: int, number: int, reason: str, as_of_ns: int) -> None:
        """A national track is over: what becomes of a system track that is left without any goes by the reason."""
        dropped = self.clusters.drop(column, number)
        if dropped is None:
            return
        system, alone = dropped
        if not alone:
            self.estimate([system])
            self.expect_landing(system)
        elif reason == "impact" and (self.book.cases[system].was_confirmed or not self._recognise(system, as_of_ns)):
            self.end(system, "landed", "impact reported")
        elif reason == "false":
            self.end(system, "false", "reported as a false track")
        elif reason == "lost":
            self._lose(system, as_of_ns)

    def look_back(self, rows: Rows, now_ns: int) -> None:
        """Of lost system tracks the last report (rows) is a newer one: predicted from that, and as soon as may be asked whether
        others report them.
        """
        systems = self.clusters.reports.system[rows]
        self.estimate(systems, now_ns)
        self.clusters.systems.due_ns[systems] = now_ns
        self.fused.append(systems)

    def age(self, system: int, now_ns: int) -> None:
        """One that is due: drop its silent members, widen what is lost, end what has landed, vanished, or was lost long ago."""
        table, held, timing = self.clusters.systems, self.clusters.reports, self._settings.timing
        landing_ns = self.book.landing_ns(system)
        standing = self.book.cases[system].standing
        if standing and landing_ns is not None and now_ns >= landing_ns:
            if table.mask[system] == 0:
                self.end(system, "landed", "the time of impact has passed")
                return
            self.book.send(system, "landed", "the time of impact has passed")
        silent_ns = now_ns - int(timing.silent_s * _S)
        if table.mask[system]:
            silent = [row for row in self.clusters.members(system) if held.valid_ns[row] <= silent_ns]
            for row in silent:
                self.drop(int(held.nation[row]), int(held.track[row]), "lost", now_ns)
            if not silent:
                members = self.clusters.members(system)
                table.due_ns[system] = min(int(held.valid_ns[row]) for row in members) + int(timing.silent_s * _S)
                self.expect_landing(system)
        elif self._vanished(system, now_ns):
            self.end(system, "false", "vanished soon after it appeared")
        elif landing_ns is None and now_ns - table.newest_ns[system] >= timing.lost_after_s * _S:
            self.end(system, "lost", "lost, and not found again")
        else:
            self.estimate([system], now_ns)
            if not self._recognise(system, now_ns):
                every_ns = min(max((now_ns - int(table.newest_ns[system])) // (20 * _S), 1), 5) * _S
                table.due_ns[system] = (now_ns // every_ns + 1) * every_ns  # whenever it was lost

    def end(self, system: int, event: Event, reason: str) -> None:
        """Close its case, and let it go."""
        self.book.close(system, event, reason)
        self.ended.append(self.clusters.end(system))

    def _move_out(self, row: int, system: int) -> int:
        """Out of a system track that has other members into one of its own."""
        table = self.clusters.systems
        self.clusters.leave(row)
        table.seen[system] = table.mask[system]
        own = self.house(row, None)
        table.times[own] = table.times[system]
        return own

    def _lose(self, system: int, as_of_ns: int) -> None:
        """Every member is gone: it may be seen by others already, may never have been, or is kept as a prediction."""
        if self.book.cases[system].instead:
            self.book.judge(system, as_of_ns)
        if not self.book.cases[system].to_be_told:
            self.end(system, "lost", "lost")
        elif not self._recognise(system, as_of_ns):
            self.clusters.systems.due_ns[system] = self.clusters.systems.lost_ns[system] = as_of_ns

    def _vanished(self, system: int, now_ns: int) -> bool:
        """Whether a lost system track was seen for too short to be kept, and has not come back under another number meanwhile."""
        case, table, timing = self.book.cases[system], self.clusters.systems, self._settings.timing
        brief = int(table.newest_ns[system]) - case.first_ns < timing.vanished_s * _S
        return brief and not case.was_confirmed and now_ns - table.lost_ns[system] >= timing.grace_s * _S

    def _recognise(self, system: int, now_ns: int) -> bool:
        """Whether a lost system track is one that others report: then they are one, and the elder alert goes on."""
        same = self.associator.likeness(self.clusters, system)
        if same is None:
            return False
        self.merge(system, same, now_ns)
        return True
