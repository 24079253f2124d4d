"""A picture: the state of fusion for a group of recipients who have been released the same reports.

Takes reports and drops in, has system tracks live and end (`fusion.lifecycle`), and hands out what changed. A message is fused
when it is taken: hold, associate, estimate, judge. The clock's tick is what ages: it finds the silent, widens the lost, closes
what is over. Looks for pairs and impact predictions are the upkeep after either, in a call of its own and within bounds, so that
no alert waits for them. Nothing else looks at the time but for refusing late reports, so that a step which brings a recipient
nothing does nothing to its picture, and leaves no upkeep.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from bus.columns import Reports
from bus.messages import Decorrelation, FeedMessage, Raid, TrackDropped, TrackFrame
from bus.metrics import Work
from bus.release import NATIONS
from fusion.alert import may_be_plausible
from fusion.assess import BOOSTING
from fusion.copied import Copied
from fusion.echoes import Echoes
from fusion.lifecycle import Lifecycle
from fusion.lineage import COLUMN_OF
from fusion.raid import RaidCounter, shares
from fusion.registration import Registration
from fusion.settings import FusionSettings
from fusion.tables import CONFIRMED, NO_ALERT, NONE, Float, Rows
from fusion.upkeep import due, longest_overdue, tend_into

_S: Final = 1_000_000_000
_IMPACTS_A_MESSAGE: Final = 3  # some 0.05 ms each with its alert, the longest overdue first; the rest follow later
_IMPACTS_A_TICK: Final = 64
_WAITING_A_MESSAGE: Final = 64  # tracks that wait for a partner: with more, the look is left to the tick
_WAITING_A_TICK: Final = 100_000


class Picture(Copied):
    """Fusion for one group of recipients."""

    SHARED = frozenset(("_settings",))

    def __init__(self, settings: FusionSettings) -> None:
        self._settings = settings
        self._life = Lifecycle(settings)
        self.clusters, self.book = self._life.clusters, self._life.book
        self.counter = RaidCounter(settings.counting)
        self._associator = self._life.associator
        motion, bias = self._associator.motion, self._associator.bias_var
        self._echoes = Echoes(settings, motion)
        self.registration = Registration(settings, self._associator.miss, motion, bias)
        self._ahead_ns = int(settings.timing.ahead_s * _S)
        self._newest_ns = 0
        self._aged = False  # whether there was a tick since the last upkeep
        self.looked = False  # whether the last upkeep looked for pairs or displaced feeds

    def take(self, message: FeedMessage, block: Reports | None, received_ns: int, now_ns: int) -> dict[str, int]:
        """Take a message of a feed, of a frame its sound rows; the counts of what was refused, by reason."""
        if isinstance(message, TrackFrame):
            return self._take_reports(message, block, received_ns, now_ns) if block is not None else {}
        if isinstance(message, Decorrelation):
            return self._take_decorrelation(message, now_ns)
        self._take_drop(message, now_ns)
        return {}

    def _take_reports(self, frame: TrackFrame, block: Reports, received_ns: int, now_ns: int) -> dict[str, int]:
        """Fuse a frame; the counts of its rows that were refused, by reason."""
        column = COLUMN_OF[frame.nation]
        in_session = self._in_session(column, frame.session, self._as_of(frame, now_ns))
        overtaken, block = self.clusters.take_overtaken(column, frame.session, block, now_ns, frame.released_ns)
        if len(overtaken):
            self._life.look_back(overtaken, now_ns)
        if not in_session:
            return {"late": len(block)} if len(block) else {}
        block, echoes = self._echoes.sift(self.clusters, column, block, self._as_of(frame, now_ns))
        moved, fresh, refused = self.clusters.take(column, block, now_ns, frame.released_ns)
        if echoes:
            refused["echo"] = refused.get("echo", 0) + echoes
        held = self.clusters.reports
        if self.clusters.aside:  # which are looked at though nobody else reports
            self._newest_ns = max(self._newest_ns, int(held.valid_ns[moved].max(initial=0)))
            moved = moved[held.system[moved] != NONE]
        if fresh:
            fresh = self._without_echoes(fresh)
        if not (len(moved) or fresh):
            return refused
        joined = self._house(fresh, column, now_ns) if fresh else []
        rows, systems = moved, held.system[moved]  # each system track once: it has one member a nation
        if fresh:
            rows = np.array(moved.tolist() + fresh, np.int64)
            systems = np.array(systems.tolist() + joined, np.int64)
        off, rules, table = self._life.estimate(systems, column=column), self._settings, self.clusters.systems
        newest_ns, odd, doubtful = tend_into(
            table.times,
            table.kinds,
            held.off,
            held.parted,
            systems,
            rows,
            off,
            held.valid_ns,
            held.detected_ns,
            held.tracked_ns,
            held.phenomenology,
            frame.released_ns,
            frame.due_ns,
            frame.sent_ns,
            received_ns,
            rules.association.split_chi2,
            rules.association.split_after,
            table.settled,
        )
        self._newest_ns = max(self._newest_ns, newest_ns)
        for i in odd.tolist():
            self._life.split(int(systems[i]), int(rows[i]), now_ns)
        for system in doubtful.tolist():
            self.book.judge(system, now_ns)
        self._life.fused.append(systems)
        return refused

    def _house(self, fresh: list[int], column: int, now_ns: int) -> list[int]:
        """The system tracks of new reports of one nation: those that they surely belong to, or their own."""
        homes, may_be = self._associator.place(self.clusters, fresh, column)
        joined = {row: self._life.house(row, homes.get(row)) for row in fresh}
        for row, others in may_be.items():
            self.book.hold(joined[row], others, now_ns)
        return list(joined.values())

    def _without_echoes(self, fresh: list[int]) -> list[int]:
        """The new reports but for those that stand on what is told already, which are set aside."""
        echoes = self._echoes.at_once(self.clusters, fresh)
        for row, system in echoes.items():
            self.clusters.set_aside(row, system)
        return [row for row in fresh if row not in echoes]

    def _take_drop(self, message: TrackDropped, now_ns: int) -> None:
        """End national tracks; what becomes of a system track left without any depends on the reason."""
        column = COLUMN_OF[message.nation]
        if self._in_session(column, message.session, self._as_of(message, now_ns)):
            for number in message.tracks:
                self.clusters.refuse(column, number, self._as_of(message, now_ns))
                self._life.drop(column, number, message.reason, self._as_of(message, now_ns))

    def _take_decorrelation(self, message: Decorrelation, now_ns: int) -> dict[str, int]:
        """Two national tracks are not one object, or may be again; held as one, they are parted. Words refused, by reason."""
        refused = self.clusters.decorrelate(message, now_ns)
        self._life.keep_apart(now_ns)
        return refused

    def tick(self, now_ns: int) -> bool:
        """Age: drop the silent, widen the lost, close what is over. Whether there was anything to age, or a wait ran out."""
        table = self.clusters.systems
        self.clusters.forget_stragglers(now_ns)
        due: list[int] = np.flatnonzero((table.number != 0) & (table.due_ns <= now_ns)).tolist()
        for system in due:
            if table.number[system] and table.due_ns[system] <= now_ns:
                self._life.age(system, now_ns)
        waited = self.book.judge_waiting(now_ns)
        self._aged = True
        return bool(due) or waited

    def go_on_from(self, told: Picture, ended: list[int]) -> None:
        """Tell what another picture of the same recipients has still to tell, and that these (numbers) ended too."""
        self.counter, self._life.ended = told.counter, told._life.ended + ended
        self._life.touched = bool(self.clusters.systems.touched.any())

    def hush(self) -> None:
        """Have nothing to tell: somebody else has told it."""
        self.book.outbox.clear()
        self.book.over.clear()
        self._life.ended.clear()

    def catch_up(self, now_ns: int, *, shed: bool = False) -> dict[Work, int]:
        """The upkeep after messages and ticks: look for pairs, forget and make impact predictions. Without any of them, nothing.

        After messages, of the system tracks that they changed; after a tick, of all. Where it is to shed, what no alert needs is
        put off until it is not, and the counts of that returned: looks where no track that waits has an alert or may get one,
        predictions that could not be told.
        """
        put_off: dict[Work, int] = {}
        fused, aged = self._life.fused, self._aged
        self.looked = False
        if not (fused or aged):
            return put_off
        self._life.fused, self._aged = [], False
        if shed and self._associator.due(self._newest_ns) and not self._alert_waits():
            put_off["looks"] = 1
        else:
            self.looked = self._look(now_ns, _WAITING_A_TICK if aged else _WAITING_A_MESSAGE)
        table = self.clusters.systems
        systems = np.flatnonzero(table.number) if aged else fused[0] if len(fused) == 1 else np.unique(np.concatenate(fused))
        void, ripe = due(systems, *self._due_by())
        if shed and len(ripe):
            needed = [system for system in ripe.tolist() if self.book.needs_impact(system)]
            put_off["impacts"], ripe = len(ripe) - len(needed), np.array(needed, np.int64)
        most = _IMPACTS_A_TICK if aged else _IMPACTS_A_MESSAGE
        self._predict(void, longest_overdue(ripe, table.impact_ns, table.number, most))
        return put_off

    @property
    def changed(self) -> bool:
        """Whether there is anything that `changes` would hand out."""
        return self._life.touched or bool(self._life.ended)

    def changes(self) -> tuple[Rows, list[int]]:
        """System tracks (rows) that changed and numbers of those that ended since the last time."""
        touched, ended = self.clusters.systems.touched, self._life.ended
        rows = np.flatnonzero(touched)
        touched[rows] = False
        self._life.touched, self._life.ended = False, []
        return rows, ended

    @property
    def asked(self) -> int:
        """How many pairs the last upkeep asked about."""
        return self._associator.asked if self.looked else 0

    @property
    def gap(self) -> float:
        """The largest duality gap of the last look for pairs."""
        return self._associator.gap

    def raid(self, at_ns: int) -> Raid | None:
        """How many missiles there are, counted anew where the last count is old; None where no alert stands."""
        self.counter.end(self.book.over)
        self.book.over.clear()
        if self.book.any_standing and not self.counter.due(at_ns):
            return self.counter.told
        table = self.clusters.systems
        rows = np.flatnonzero(table.alert)
        exists = self.counter.exists(table.alert[rows] == CONFIRMED)
        terms = shares(exists, table.mask[rows], *self._associator.doubtful(self.clusters, rows))
        first_ns = self.book.first_ns(rows) if self.counter.begins(at_ns) else 0
        return self.counter.take(at_ns, first_ns, table.told[rows], terms)

    def _alert_waits(self) -> bool:
        """Whether a track that waits for a partner has an alert, which that may confirm or retract, or may be raised with it."""
        table = self.clusters.systems
        waits = (table.mask != 0) & (table.mask != (1 << len(NATIONS)) - 1)
        raisable = ~table.settled & may_be_plausible(table.phase, table.state, table.whole, self._settings.alerting)
        return bool((waits & (raisable | (table.alert != NO_ALERT))).any())

    def _due_by(self) -> tuple[Rows, Float, NDArray[np.bool_], Rows, Rows, Rows, Rows, int, int, float]:
        """What `fusion.upkeep.due` goes by."""
        table, rules = self.clusters.systems, self._settings.assessment
        tables = (table.number, table.phase, table.predicted, table.valid_ns, table.newest_ns, table.impact_ns, table.coast_ns)
        return (*tables, int(rules.impact_every_s * _S), int(rules.coast_for_s * _S), BOOSTING)

    def _predict(self, void: Rows, ripe: Rows) -> None:
        """Forget and make impact predictions."""
        for system in void.tolist():
            self.book.forget_impact(system)
        for system in ripe.tolist():
            self.book.predict(system)
            self._life.expect_landing(system)

    def _look(self, now_ns: int, most_waiting: int) -> bool:
        """Look for displaced feeds and for pairs, each where it is time; whether it was."""
        due, reviewed = self._associator.due(self._newest_ns), self.registration.due(self._newest_ns)
        if self.registration.review(self.clusters, self._newest_ns):
            self.clusters.correct(self.registration.offsets, self.registration.left_open)
            table = self.clusters.systems
            self._life.estimate(np.flatnonzero((table.number != 0) & (table.mask != 0)))
        if due:
            self._tend_echoes(now_ns)
        for kept, *others in self._associator.look(self.clusters, self._newest_ns, most_waiting):
            for other in others:
                if not self.clusters.are_apart(kept, other):  # each pair may be, and the whole that they make not
                    kept = self._life.merge(kept, other, now_ns)
        return due or reviewed

    def _tend_echoes(self, now_ns: int) -> None:
        """Set aside what has been found out, and take again what strayed."""
        self._life.keep_apart(now_ns)
        found, strayed = self._echoes.review(self.clusters)
        for row, system in found:
            before = int(self.clusters.reports.system[row])
            if before != system and self.book.cases[before].standing and not self.book.cases[system].standing:
                continue  # of a warning and none the warning stays
            if self.clusters.is_apart(row, system):
                continue  # from another that was found just now
            self._life.set_aside(row, system)
        for row in strayed:
            home = self._associator.place(self.clusters, [row], int(self.clusters.reports.nation[row])).homes.get(row)
            self._life.take_again(row, home, now_ns)

    def _as_of(self, message: TrackFrame | TrackDropped, now_ns: int) -> int:
        """When a message counts as said: when it was released, but no later than clocks may be off."""
        return min(message.released_ns, now_ns + self._ahead_ns)

    def _in_session(self, column: int, session: int, as_of_ns: int) -> bool:
        taken, ended = self.clusters.begin_session(column, session)
        for number in ended:
            self._life.drop(column, number, "lost", as_of_ns)
        return taken
