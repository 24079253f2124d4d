"""Clusters: which national tracks are held, and which system track each is a member of.

Association has memory: a member stays until it is split off, dropped or merged away. A national track's newest report counts; of
two for one time, the one released later; any other is a repetition. A dropped track's stragglers are refused for a while. A
feed's new session ends its old tracks. Of a system track whose last member was dropped that member's last report is kept, for
prediction only: of its stragglers the newest is its last. A report set aside is held, and a member of none. Which tracks are not
one object by an operator's word is held beside them (`fusion.decorrelation`).

Does not decide who belongs together (`fusion.associate`), nor what is told (`fusion.picture`).
"""

from __future__ import annotations

from itertools import islice
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bus.columns import Reports
from bus.messages import Decorrelation
from bus.release import NATIONS
from fusion.copied import Copied
from fusion.decorrelation import Decorrelations, Key
from fusion.lineage import COLUMN_OF, foreign_bits
from fusion.offsets import WIDTH, with_open
from fusion.partial import prior_of
from fusion.settings import Association, Sensors, Timing
from fusion.tables import NONE, Float, ReportTable, Rows, SystemTable, hold_into, shift_into
from fusion.triangle import square
from fusion.upkeep import next_of_each

MAX_NUMBER: Final = 2**32 - 1
_MOST_FRAMES: Final = 1024  # of a feed whose tracks are remembered
_MOST_HAD: Final = 8  # national tracks that a system track had: by them hindsight knows it again
_SENSORS: Final = Sensors()
_RULES: Final = Association()


class Clusters(Copied):
    """Reports and system tracks, and the bookkeeping between them."""

    FLAT = frozenset(("aside", "_row_of", "_rows_in", "_gone", "_lost", "_had", "_session", "_echoed"))

    def __init__(self, timing: Timing, sensors: Sensors = _SENSORS, rules: Association = _RULES) -> None:
        self.reports, self.systems = ReportTable(), SystemTable()
        self.decorrelations = Decorrelations(self.reports)
        self._lag_ns, self._ahead_ns = int(timing.lag_s * 1e9), int(timing.ahead_s * 1e9)
        self._grace_ns = int(timing.grace_s * 1e9)
        self.aside: dict[int, int] = {}  # reports set aside (rows), and the system track whose echo each is
        self._row_of: tuple[dict[int, int], ...] = tuple({} for _ in NATIONS)  # a column: its tracks' rows by number
        self._rows_in: tuple[dict[bytes, Rows], ...] = tuple({} for _ in NATIONS)  # a column: rows by a frame's track numbers
        self._gone: dict[tuple[int, int], int] = {}  # dropped tracks, and until when of release their stragglers are refused
        self._lost: tuple[dict[tuple[int, int], int], ...] = tuple({} for _ in NATIONS)  # kept rows by session and number
        self._had: dict[
            int, tuple[Key, ...]
        ] = {}  # a system track (row): those of its members that were dropped and are no more held
        self._session: dict[int, int] = {}
        self._past: dict[int, dict[int, None]] = {}
        self._next = self._next_told = 1
        self._echoed: dict[tuple[int, int], int] = {}  # echoes of what has ended, and until when of release they are left out
        self._offsets = np.zeros((len(NATIONS), WIDTH))
        self.left_open = np.zeros((1 << len(NATIONS), WIDTH, WIDTH))
        self._leaves_open = [False] * len(self.left_open)
        self._foreign, self._prior = foreign_bits(sensors), prior_of(rules)

    def __len__(self) -> int:
        return len(self.systems)

    def begin_session(self, column: int, session: int) -> tuple[bool, list[int]]:
        """Whether a message of this session is to be taken, and the tracks of the former session that it ends."""
        known = self._session.get(column)
        if known == session:
            return True, []
        past = self._past.setdefault(column, {})
        if session in past:
            return False, []
        ended: list[int] = []
        if known is not None:
            past[known] = None
            if len(past) > 8:
                del past[next(iter(past))]
            ended = sorted(self._row_of[column])
            self.decorrelations.end_session(column, known)
            self._gone = {key: until for key, until in self._gone.items() if key[0] != column}
            self._echoed = {key: until for key, until in self._echoed.items() if key[0] != column}
        self._session[column] = session
        return True, ended

    def take(self, column: int, block: Reports, now_ns: int, released_ns: int) -> tuple[Rows, list[int], dict[str, int]]:
        """Hold a frame's newest reports: rows that moved, rows that are new, and counts of those refused by reason."""
        oldest, youngest = now_ns - self._lag_ns, now_ns + self._ahead_ns
        rows = self._known(column, block)
        if rows is not None and next_of_each(rows, block.valid_ns, self.reports.valid_ns, oldest, youngest):
            self._write(column, block, rows, np.arange(len(rows)), [], released_ns)
            return rows, [], {}
        return self._take_one_by_one(column, block, now_ns, released_ns)

    def take_overtaken(self, column: int, session: int, block: Reports, now_ns: int, released_ns: int) -> tuple[Rows, Reports]:
        """Hold what a frame tells of tracks that are kept for prediction, and whose end has overtaken it: rows that moved, and
        the rest of the frame.
        """
        lost, held = self._lost[column], self.reports
        if not lost:
            return np.empty(0, np.int64), block
        oldest, youngest = now_ns - self._lag_ns, now_ns + self._ahead_ns
        over, newer = session != self._session.get(column), dict[int, int]()
        for index, (number, valid_ns) in enumerate(zip(block.track.tolist(), block.valid_ns.tolist(), strict=True)):
            row = lost.get((session, number))
            if row is None or not (over or (column, number) in self._gone) or not oldest <= valid_ns <= youngest:
                continue
            if (valid_ns, released_ns) > (held.valid_ns[row], held.released_ns[row]):
                held.valid_ns[row], held.released_ns[row], newer[row] = valid_ns, released_ns, index
        if not newer:
            return np.empty(0, np.int64), block
        rows, indices = (np.fromiter(each, np.int64, len(newer)) for each in (newer, newer.values()))
        self._write(column, block, rows, indices, [], released_ns)
        return rows, block.take(np.delete(np.arange(len(block)), indices))

    def _known(self, column: int, block: Reports) -> Rows | None:
        """The rows of a frame's tracks, as in almost every frame; None where one is not held, or is in it twice.

        Feeds report the same tracks time after time: a frame's are remembered until any track of the feed comes or goes.
        """
        numbers, seen = block.track.tobytes(), self._rows_in[column]
        rows = seen.get(numbers)
        if rows is None:
            known = list(map(self._row_of[column].get, block.track.tolist()))
            if None in known or len(set(known)) != len(known):
                return None
            if len(seen) >= _MOST_FRAMES:
                seen.clear()
            rows = seen[numbers] = np.array(known, np.int64)
        return rows

    def _take_one_by_one(
        self, column: int, block: Reports, now_ns: int, released_ns: int
    ) -> tuple[Rows, list[int], dict[str, int]]:
        oldest, youngest = now_ns - self._lag_ns, now_ns + self._ahead_ns
        valid_held, released_held, row_of = self.reports.valid_ns, self.reports.released_ns, self._row_of[column]
        chosen: dict[int, int] = {}
        fresh: dict[int, None] = {}
        late = ahead = echoes = 0
        for index, (number, valid_ns) in enumerate(zip(block.track.tolist(), block.valid_ns.tolist(), strict=True)):
            if not oldest <= valid_ns <= youngest:
                late, ahead = late + (valid_ns < oldest), ahead + (valid_ns > youngest)
                continue
            row = row_of.get(number)
            if row is None:
                if self._gone.get((column, number), -1) >= released_ns:
                    late += 1
                    continue
                if self._echoed.get((column, number), -1) >= released_ns:
                    echoes += 1
                    continue
                self._gone.pop((column, number), None)
                row = self.reports.take()
                valid_held, released_held = self.reports.valid_ns, self.reports.released_ns
                row_of[number] = row
                self._rows_in[column].clear()
                fresh[row] = None
            elif (valid_ns, released_ns) <= (valid_held[row], released_held[row]):
                continue
            valid_held[row], released_held[row] = valid_ns, released_ns
            chosen[row] = index
        if chosen:
            rows, indices = (np.fromiter(each, np.int64, len(chosen)) for each in (chosen, chosen.values()))
            self._write(column, block, rows, indices, list(fresh), released_ns)
        refused = {reason: n for reason, n in (("late", late), ("range", ahead), ("echo", echoes)) if n}
        moved = np.fromiter((row for row in chosen if row not in fresh), np.int64, len(chosen) - len(fresh))
        return moved, list(fresh), refused

    def _write(self, column: int, block: Reports, rows: Rows, indices: Rows, fresh: list[int], released_ns: int) -> None:
        held = self.reports
        held.released_ns[rows] = released_ns
        hold_into(
            held.valid_ns,
            held.state,
            held.cov,
            held.phase,
            held.quality,
            held.phenomenology,
            held.pedigree,
            held.whole,
            held.detected_ns,
            held.tracked_ns,
            held.track,
            rows,
            indices,
            block.valid_ns,
            block.state,
            block.cov,
            block.phase,
            block.quality,
            block.phenomenology,
            block.pedigree,
            block.detected_age_ms,
            block.tracked_age_ms,
            block.track,
            self._prior,
        )
        session = self._session.get(column, 0)
        for row in fresh:
            held.nation[row], held.session[row], held.mask[row] = column, session, 1 << column
            held.system[row], held.off[row], held.parted[row], held.dropped[row] = NONE, 0, 0, False
            held.shift[row] = 0.0
        self.decorrelations.hold(fresh)
        if self._offsets[column].any():
            held.shift[rows] = 0.0
            shift_into(held.state, held.shift, rows, self._offsets[column])

    def may_echo(self, row: int) -> bool:
        """Whether a report may be made of others' (`fusion.echoes`): it tells of no sensor, or of another nation's."""
        pedigree = int(self.reports.pedigree[row])
        return not pedigree or bool(pedigree & int(self._foreign[self.reports.nation[row]]))

    def may_be_echoes(self, rows: Rows) -> NDArray[np.bool_]:
        """`may_echo` for rows of any shape."""
        pedigree = self.reports.pedigree[rows]
        return np.asarray((pedigree == 0) | (pedigree & self._foreign[self.reports.nation[rows]] != 0), np.bool_)

    def rows_of(self, column: int, most: int | None = None) -> Rows:
        """Rows of all reports held of a nation, by when it began to report them, but for those set aside: of many more
        than `most` so many, taken evenly.
        """
        row_of = self._row_of[column]
        step = 1 if most is None else max(len(row_of) // most, 1)
        rows = np.array(list(islice(row_of.values(), 0, None, step)), np.int64)
        return rows[~np.isin(rows, list(self.aside))] if self.aside else rows

    def correct(self, offsets: Float, left_open: Float) -> None:
        """Take these offsets (3, 4), m and s by nation, off what is held and what will be; what they leave open, by nations."""
        for column in np.flatnonzero((offsets != self._offsets).any(axis=1)).tolist():
            shift_into(self.reports.state, self.reports.shift, self.rows_of(column), offsets[column])
        self._offsets, self.left_open = offsets.copy(), left_open
        self._leaves_open = [bool(cov.any()) for cov in left_open]

    def put_right(self, column: int, states: Float) -> Float:
        """States (n, 6) that a nation reports, less what its feed is displaced by."""
        corrected = states.copy()
        if self._offsets[column].any():
            shift_into(corrected, np.zeros_like(corrected), np.arange(len(states)), self._offsets[column])
        return corrected

    def told_cov(self, system: int) -> Float:
        """The covariance (6, 6) of a system track, with what registration leaves open."""
        table = self.systems
        cov, nations = square(table.cov[system]), int(table.mask[system] or table.seen[system])
        return with_open(table.state[system], cov, self.left_open[nations]) if self._leaves_open[nations] else cov

    def reported_cov(self, row: int) -> Float:
        """The covariance (6, 6) of a report, with what registration leaves open of its nation's."""
        held = self.reports
        cov, nation = square(held.cov[row]), int(held.mask[row])
        return with_open(held.state[row], cov, self.left_open[nation]) if self._leaves_open[nation] else cov

    def found(self, row: int) -> int:
        """A new system track with this report as its only member."""
        system, table = self.systems.take(), self.systems
        table.number[system] = self._next
        self._next = self._next % MAX_NUMBER + 1
        self.name(system)
        table.members[system] = NONE
        table.mask[system] = table.seen[system] = 0
        table.due_ns[system] = table.impact_ns[system] = 0
        table.first_ns[system] = table.coast_ns[system] = self.reports.valid_ns[row]
        self.join(row, system)
        return system

    def name(self, system: int) -> None:
        """Give a system track the next of the numbers that recipients know them by."""
        self.systems.told[system] = self._next_told
        self._next_told = self._next_told % MAX_NUMBER + 1

    def name_on(self, told: Clusters) -> None:
        """Go on numbering where others have left off."""
        self._next_told = told._next_told

    def join(self, row: int, system: int) -> None:
        """Make a report a member; what a lost system track was predicted from goes."""
        table = self.systems
        if table.mask[system] == 0:
            for old in self.members(system):
                self._remember(system, self._key(old))
                self._forget(old)
            table.members[system] = NONE
        column = int(self.reports.nation[row])
        table.members[system, column] = row
        table.mask[system] |= 1 << column
        if not self.may_echo(row):
            table.seen[system] |= 1 << column
        self.reports.system[row], self.reports.off[row] = system, 0

    def leave(self, row: int) -> None:
        """Take a member out of a system track that has others."""
        system, column = int(self.reports.system[row]), int(self.reports.nation[row])
        self.systems.members[system, column] = NONE
        self.systems.mask[system] &= ~(1 << column)
        self.reports.system[row] = NONE

    def set_aside(self, row: int, system: int) -> None:
        """Hold a report as an echo of a system track, no more as a member of any."""
        if self.reports.system[row] != NONE:
            self.leave(row)
        self.aside[row], self.reports.off[row] = system, 0

    def home(self, row: int) -> int:
        """The system track that a report is a member of, or set aside for; NONE where it is not held."""
        return self.aside.get(row, int(self.reports.system[row]))

    def is_apart(self, row: int, system: int) -> bool:
        """Whether an operator keeps a report apart from a system track: from a member, or from an echo of it."""
        return any(self.home(other) == system for other in self.decorrelations.others(row))

    def are_apart(self, one: int, other: int) -> bool:
        """Whether members or echoes of two system tracks are kept apart."""
        return any({self.home(x), self.home(y)} == {one, other} for x, y in self.decorrelations.rows)

    def members(self, system: int) -> list[int]:
        """Report rows of a system track, by nation."""
        return [row for row in self.systems.members[system].tolist() if row != NONE]

    def had(self, system: int) -> tuple[Key, ...]:
        """National tracks of a system track that were dropped, and are not held any more: the newest."""
        return self._had.get(system, ())

    def refuse(self, column: int, number: int, released_ns: int) -> None:
        """A national track was dropped by its feed: what is on its way of it is not taken, nor what follows within the window."""
        self._gone[column, number] = released_ns + self._lag_ns
        self.decorrelations.end(Key(column, self._session.get(column, 0), number))

    def decorrelate(self, message: Decorrelation, now_ns: int) -> dict[str, int]:
        """Take an operator's word on two national tracks; words that were refused, by reason. What has ended it is not about."""
        if message.released_ns > now_ns + self._ahead_ns:
            return {"range": 1}
        one, other = sorted(Key(COLUMN_OF[each.nation], each.session, each.track) for each in message.tracks)
        over = [key for key in (one, other) if self._is_over(key)]
        if not all(map(self.decorrelations.rows_of, over)):
            return {}
        pushed_out = self.decorrelations.take(COLUMN_OF[message.nation], (one, other), message.released_ns, message.apart)
        for key in over:  # nothing but a prediction is left of it
            self.decorrelations.end(key)
        return {"crowded": pushed_out} if pushed_out else {}

    def _is_over(self, key: Key) -> bool:
        """Whether a track has ended: of those that ended long ago nobody speaks any more."""
        if key.session == self._session.get(key.column):
            return (key.column, key.number) in self._gone
        return key.session in self._past.get(key.column, ())

    def drop(self, column: int, number: int) -> tuple[int, bool] | None:
        """A national track has ended: its system track and whether that has no member left; None where it was not held."""
        self._rows_in[column].clear()
        row = self._row_of[column].pop(number, None)
        if row is None:
            return None
        if self.aside.pop(row, None) is not None:
            self._forget(row)
            return None
        system = int(self.reports.system[row])
        alone = int(self.systems.mask[system]) == 1 << column
        if alone:
            self.reports.dropped[row] = True
            self._lost[column][int(self.reports.session[row]), number] = row
            self.systems.mask[system] = 0
        else:
            self.leave(row)
            self._remember(system, self._key(row))
            self._forget(row)
        return system, alone

    def end(self, system: int) -> int:
        """Forget a system track, its reports and its echoes; the number that it was told by.

        What made the echoes has yet to hear of it: they are left out for a while.
        """
        echoes, held = [row for row, of in self.aside.items() if of == system], self.reports
        for row in echoes:
            del self.aside[row]
            newest_ns = max(int(held.released_ns[row]), int(self.systems.valid_ns[system]))
            self._echoed[int(held.nation[row]), int(held.track[row])] = newest_ns + self._grace_ns
        for row in self.members(system) + echoes:
            if not self.reports.dropped[row]:
                column = int(self.reports.nation[row])
                del self._row_of[column][int(self.reports.track[row])]
                self._rows_in[column].clear()
            self._forget(row)
        number = int(self.systems.told[system])
        self._had.pop(system, None)
        self.systems.give_back(system)
        return number

    def absorb(self, kept: int, gone: int) -> int:
        """Move the members of `gone` that are still reported into `kept`; the number that `gone`, which ends, was told by."""
        self._remember(kept, *self.had(gone))
        for row in self.members(gone):
            if self.reports.dropped[row]:
                self._remember(kept, self._key(row))
            else:
                self.join(row, kept)
                self.systems.members[gone, self.reports.nation[row]] = NONE
        self.systems.seen[kept] |= self.systems.seen[gone]
        self.aside.update({row: kept for row, system in self.aside.items() if system == gone})
        return self.end(gone)

    def _key(self, row: int) -> Key:
        return Key(int(self.reports.nation[row]), int(self.reports.session[row]), int(self.reports.track[row]))

    def _remember(self, system: int, *tracks: Key) -> None:
        if tracks:
            self._had[system] = (*self.had(system), *tracks)[-_MOST_HAD:]

    def forget_stragglers(self, now_ns: int) -> None:
        """Dropped tracks of which nothing can be on its way any more that was released by the end of their refusal."""
        if self._gone:
            self._gone = {key: until for key, until in self._gone.items() if until >= now_ns - self._lag_ns}
        if self._echoed:
            self._echoed = {key: until for key, until in self._echoed.items() if until >= now_ns - self._lag_ns}

    def _forget(self, row: int) -> None:
        self.decorrelations.let_go(row)
        if self.reports.dropped[row]:
            of = self._lost[int(self.reports.nation[row])]
            key = int(self.reports.session[row]), int(self.reports.track[row])
            if of.get(key) == row:
                del of[key]
        self.reports.system[row] = NONE
        self.reports.give_back(row)
