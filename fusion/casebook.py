"""The casebook: a case for each system track, the alerts that they send, and the counts by state.

Judges what a change means (raise, corroborate, predict, end) and writes the alert; the table in `fusion.alert` says what state
comes of it. Alerts wait in `outbox`, in order, until the step collects them. Knows nothing of recipients:
every recipient of a picture gets the same alerts.

Of what is not known nothing is made: no launch point of a report that tells a part of a state (`fusion.partial`), no impact of
such an estimate, and no speed where the velocity is not told.
"""

from __future__ import annotations

import copy
import math
from collections import Counter

import numpy as np

from bus.classes import higher
from bus.messages import Alert, AlertTimes, Member
from bus.release import NATIONS, Nation
from fusion.alert import FINAL, Case, Event, anchor_id, move, needs_impact, news_of, plausible, same_as
from fusion.assess import apogee_of, boosting, class_of, impact_of, launch_of, may_lift
from fusion.clusters import Clusters
from fusion.copied import Copied
from fusion.lineage import describe, phenomenologies
from fusion.partial import TOLD
from fusion.settings import FusionSettings
from fusion.tables import CONFIRMED, HELD, NO_ALERT, NONE, QUICK, TIMES, Rows
from fusion.triangle import square
from physics.ground import heading_deg

_KEEP_ANCHORS = 10_000


class Casebook(Copied):
    """Cases by row of their system track."""

    FLAT, SHARED = frozenset(("outbox", "over", "counts", "_anchors", "_waits", "_held")), frozenset(("_settings",))

    def __init__(self, settings: FusionSettings, clusters: Clusters) -> None:
        self._settings, self._clusters = settings, clusters
        self._prior_m2_s2 = settings.association.new_object_m_s**2
        self.cases: dict[int, Case] = {}
        self.outbox: list[Alert] = []
        self.over: list[tuple[int, bool]] = []  # system tracks whose alert was closed (number, whether confirmed), until counted
        self.counts: Counter[str] = Counter()
        self._anchors: dict[str, None] = {}
        self._waits: list[int] = []  # until when cases wait that are not raised yet
        self._held: dict[int, int] = {}  # by the system track (number) that it may be: one of these

    def open(self, system: int, row: int) -> None:
        """A case for a new system track, founded by a report; its launch point comes from that report."""
        table, held = self._clusters.systems, self._clusters.reports
        table.kinds[system], table.settled[system], table.predicted[system] = held.phenomenology[row], False, False
        table.alert[system] = NO_ALERT
        self.cases[system] = Case(self._anchor(row), int(held.valid_ns[row]))
        self._launch(system, row)

    def hold(self, system: int, may_be: list[int], now_ns: int) -> None:
        """A new system track may be one of others (rows, the likeliest first). Of the first that has been warned of, and that no
        other is held to be, it may be another report: it needs no alert of its own until a look has had time to tell.
        """
        table, case, hold_ns = self._clusters.systems, self.cases[system], int(self._settings.alerting.hold_s * 1e9)
        for other in may_be if hold_ns else ():
            number = int(table.number[other])
            if self._may_be(system, other) and not self._is_held_to_be(number, now_ns):
                case.instead, case.instead_at, case.waits_ns = number, other, now_ns + hold_ns
                table.alert[system] = HELD
                self._held[number] = system
                self._waits.append(case.waits_ns)
                return

    def go_on_from(self, told: Casebook, same: dict[int, int], parted: set[int], now_ns: int) -> None:
        """Tell on where another casebook has left off, of system tracks (rows) that are the `same` as some there. The others have
        not been told of: what was warned of here is to be, and in a while the `parted`: what has been as a part of another, for
        it may soon be a part again, or has been told as over. What is held here goes on being held.
        """
        table, theirs = self._clusters.systems, told._clusters.systems
        self.outbox, self.over, self.counts, self._anchors = told.outbox, told.over, told.counts, told._anchors
        until_ns = now_ns + int(self._settings.timing.grace_s * 1e9)
        for system, case in self.cases.items():
            case.warned |= case.standing
            held = (case.instead, case.instead_at, case.waits_ns) if case.held(now_ns) else (0, 0, 0)
            if system in same:
                before = same[system]
                case.go_on_from(told.cases[before])
                table.alert[system], table.settled[system] = theirs.alert[before], theirs.settled[before]
            else:
                case.go_on_from(Case(self._anchor(self._clusters.members(system)[0]), case.first_ns))
                case.waits_ns = until_ns if system in parted else 0
                table.alert[system], table.settled[system] = NO_ALERT, False
            if case.state is None and (case.instead or any(held)):
                case.instead, case.instead_at, case.waits_ns = held
                table.alert[system] = HELD if any(held) else NO_ALERT
        self._held = {case.instead: system for system, case in self.cases.items() if case.held(now_ns)}
        self._waits = [case.waits_ns for case in self.cases.values() if case.waits_ns > now_ns]

    def judge_waiting(self, now_ns: int) -> bool:
        """Judge those that wait no longer: for their time is over, or what they may have been is. Whether there were any.

        Nobody may report them any more.
        """
        self._held = {number: system for number, system in self._held.items() if self._is_held_to_be(number, now_ns)}
        over = [system for system in self._held.values() if not self._may_still_be(system)]
        if self._waits and min(self._waits) <= now_ns:
            self._waits = [until_ns for until_ns in self._waits if until_ns > now_ns]
            over += [system for system, case in self.cases.items() if case.state is None and 0 < case.waits_ns <= now_ns]
        for system in over:
            self._let_go(system)
            self.judge(system, now_ns)
        return bool(over)

    def judge(self, system: int, now_ns: int) -> None:
        """After a change of the estimate or the members: is there an alert to raise or to confirm?"""
        case, table, held = self.cases[system], self._clusters.systems, self._clusters.reports
        if table.settled[system]:
            return
        if case.seeks_launch:
            self._seek_launch(system)
        kinds, seen = int(table.kinds[system]), int(table.seen[system])
        corroborated = seen.bit_count() >= 2 or (seen != 0 and phenomenologies(kinds) >= 2)  # an echo alone confirms nothing
        nations = self._nations(seen or int(table.mask[system]))
        if case.state is None:
            if now_ns < case.waits_ns:
                if not case.instead or (not corroborated and self._may_still_be(system)):
                    return
                self._let_go(system)
            quality = max(int(held.quality[row]) for row in self._clusters.members(system))
            if case.warned or plausible(*self._moves(system), quality, self._settings.alerting):
                if case.anchor in self._anchors:  # another of the same founder has been raised meanwhile
                    case.anchor = self._anchor(self._clusters.members(system)[0])
                case.raised_ns, case.instead = now_ns, 0
                self._anchors[case.anchor] = None
                if len(self._anchors) > _KEEP_ANCHORS:
                    del self._anchors[next(iter(self._anchors))]
                event: Event = "corroborated" if corroborated else "raised"
                self.send(system, event, describe(kinds, nations))
        elif corroborated:
            self.send(system, "corroborated", describe(kinds, nations))

    def predict(self, system: int) -> None:
        """A fresh impact prediction; told where it is news."""
        case, table = self.cases[system], self._clusters.systems
        valid_ns = int(table.valid_ns[system])
        table.impact_ns[system] = valid_ns
        if case.impact is not None and not table.mask[system] and valid_ns >= case.impact.time_ns:
            return  # nobody sees it, and it should be down: no later time of impact is made up
        if not table.whole[system]:
            return  # a prediction made when more was told stands
        case.apogee_m = apogee_of(table.state[system], table.phase[system], case.apogee_m)
        if may_lift(case.apogee_m):
            self.forget_impact(system)
            return
        of, rules = (table.state[system], self._clusters.told_cov(system)), self._settings.assessment
        case.range_class = class_of(*of, table.phase[system], case.range_class, rules.boost_most)
        case.impact = impact_of(valid_ns, *of, rules)
        table.predicted[system] = case.impact is not None
        news = news_of(case, self._settings.alerting, valid_ns)
        if news is not None:
            self.send(system, "predicted", news if table.mask[system] else "lost: the impact prediction widens")

    def needs_impact(self, system: int) -> bool:
        """Whether its alert may be told a fresh impact prediction, or be closed by it."""
        return needs_impact(self.cases[system], self._settings.alerting, int(self._clusters.systems.valid_ns[system]))

    def forget_impact(self, system: int) -> None:
        """No prediction is honest any more."""
        self.cases[system].impact, self._clusters.systems.predicted[system] = None, False

    def landing_ns(self, system: int) -> int | None:
        """When its object is down beyond doubt; None without a prediction."""
        impact, rules = self.cases[system].impact, self._settings.alerting
        if impact is None:
            return None
        after_s = min(max(rules.past_s, rules.past_sigma * impact.time_sigma_s), rules.past_most_s)
        return impact.time_ns + int(after_s * 1e9)

    def send(self, system: int, event: Event, reason: str) -> None:
        """Move the case; what comes of it goes to the outbox."""
        case, table, held = self.cases[system], self._clusters.systems, self._clusters.reports
        before = case.state
        if case.seeks_launch:
            self._seek_launch(system)
        heading = heading_deg(table.state[system]) if self._tells_velocity(system) else 0.0
        members = [Member(NATIONS[int(held.nation[row])], int(held.track[row])) for row in self._clusters.members(system)]
        moved = move(
            case,
            event,
            at_ns=int(table.valid_ns[system]),
            system=int(table.told[system]),
            members=members,
            phenomenology=int(table.kinds[system]),
            times=AlertTimes(**dict(zip(TIMES, table.times[system].tolist(), strict=True))),
            reason=reason,
            heading_deg=heading if math.isfinite(heading) else 0.0,
        )
        table.settled[system] = case.state not in (None, "quick")
        table.alert[system] = (CONFIRMED if case.was_confirmed else QUICK) if case.standing else NO_ALERT
        if moved and case.sent is not None and case.state is not None:
            self.outbox.append(case.sent)
            if before is not None:
                self.counts[before] -= 1
            self.counts[case.state] += 1
            if case.state == "closed":
                self.over.append((int(table.told[system]), before != "quick"))

    def merge(self, kept: int, gone: int) -> None:
        """Two are one: of their alerts the one that was raised first goes on, as `kept`, which keeps the better launch point; the
        other is retracted.
        """
        elder, younger = self.cases[kept], self.cases[gone]
        told = self._clusters.systems.told
        if (younger.raised_ns, told[gone]) < (elder.raised_ns, told[kept]):
            self._exchange(kept, gone)
        self.send(gone, "merged", same_as(elder.anchor))
        elder.first_ns = min(elder.first_ns, younger.first_ns)
        elder.seeks_launch &= younger.seeks_launch
        elder.range_class = higher(elder.range_class, younger.range_class)
        places = [place for place in (elder.launch, younger.launch) if place is not None]
        elder.launch = min(places, key=lambda place: place.semi_major_m, default=None)
        table = self._clusters.systems
        table.kinds[kept] |= table.kinds[gone]
        if table.times[gone, 0] > table.times[kept, 0]:
            table.times[kept] = table.times[gone]
        del self.cases[gone]

    def close(self, system: int, event: Event, reason: str) -> None:
        """End the alert, if one stands, and the case."""
        self.send(system, event, reason)
        del self.cases[system]

    def has_told(self, anchor: str) -> bool:
        """Whether an alert of this id (less the recipient) was raised, of the newest."""
        return anchor in self._anchors

    def first_ns(self, systems: Rows) -> int:
        """When the first of these was reported first; 0 without any."""
        return min((self.cases[system].first_ns for system in systems.tolist()), default=0)

    @property
    def any_standing(self) -> bool:
        """Whether any alert is neither closed nor retracted."""
        return any(count for state, count in self.counts.items() if state not in FINAL)

    def standing(self) -> list[Alert]:
        """Every alert that is neither closed nor retracted, as last sent."""
        return [case.sent for _, case in sorted(self.cases.items()) if case.sent is not None and case.state not in FINAL]

    def _anchor(self, row: int) -> str:
        """What the id of an alert is made of that a report founds: one that no other has had."""
        held = self._clusters.reports
        nation, track, detected_ns = NATIONS[int(held.nation[row])], int(held.track[row]), int(held.detected_ns[row])
        anchor = anchor_id(nation, track, detected_ns)
        while anchor in self._anchors:  # the same national track founds again after a split
            detected_ns += 1_000_000_000
            anchor = anchor_id(nation, track, detected_ns)
        return anchor

    def _exchange(self, one: int, other: int) -> None:
        """Have each of two system tracks go on as what the other was told as."""
        table, before = self._clusters.systems, copy.copy(self.cases[one])
        self.cases[one].go_on_from(self.cases[other])
        self.cases[other].go_on_from(before)
        for column in (table.told, table.alert, table.settled):
            column[one], column[other] = column[other], column[one]
        self._held.update({self.cases[each].instead: each for each in (one, other) if self.cases[each].instead})

    def _may_be(self, system: int, other: int) -> bool:
        """Whether one may be what has been warned of as another: that stands, none of its own nations reports it, and no operator
        keeps the two apart.
        """
        mask = self._clusters.systems.mask
        return self.cases[other].standing and not mask[system] & mask[other] and not self._clusters.are_apart(system, other)

    def _may_still_be(self, system: int) -> bool:
        """The same of one that is held and what it is held to be."""
        case = self.cases[system]
        there = case.instead_at in self.cases and self._clusters.systems.number[case.instead_at] == case.instead
        return there and self._may_be(system, case.instead_at)

    def _is_held_to_be(self, number: int, now_ns: int) -> bool:
        """Whether one is held for it may be another report of a system track (number)."""
        case = self.cases.get(self._held.get(number, NONE))
        return case is not None and case.instead == number and case.held(now_ns)

    def _let_go(self, system: int) -> None:
        """Have a case wait no longer."""
        case = self.cases[system]
        case.waits_ns = case.instead = 0
        if case.state is None:
            self._clusters.systems.alert[system] = NO_ALERT

    def _launch(self, system: int, row: int) -> None:
        """The launch point by a report, if that tells of a whole state; else one that does is waited for."""
        held, case = self._clusters.reports, self.cases[system]
        case.seeks_launch = not held.whole[row]
        if not case.seeks_launch:
            of = int(held.valid_ns[row]), held.state[row], self._clusters.reported_cov(row), held.phase[row]
            case.launch = launch_of(*of, self._settings.assessment)

    def _seek_launch(self, system: int) -> None:
        """The launch point of an object whose founding report told a part, by the first member that tells all."""
        for row in self._clusters.members(system):
            if self.cases[system].seeks_launch:
                self._launch(system, row)

    def _moves(self, system: int) -> tuple[bool, float]:
        """Whether it boosts, and its speed, m/s: none where the velocity is not told, and then no phase at all is no boost."""
        table = self._clusters.systems
        boosts = boosting(table.phase[system])
        if self._tells_velocity(system):
            return boosts, math.hypot(*table.state[system, 3:].tolist())
        return boosts and bool(table.phase[system].any()), 0.0

    def _tells_velocity(self, system: int) -> bool:
        table = self._clusters.systems
        return bool(table.whole[system] or np.linalg.eigvalsh(square(table.cov[system])[3:, 3:])[-1] < TOLD * self._prior_m2_s2)

    @staticmethod
    def _nations(mask: int) -> list[Nation]:
        return [nation for column, nation in enumerate(NATIONS) if mask >> column & 1]
