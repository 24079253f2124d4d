"""Decorrelations: which national tracks are not one object, because an operator has said so.

A word is a nation's about two tracks. The newest of a nation on the two counts, by its release, and of two at the same instant
the one that keeps them apart; tracks are apart while any nation's word says so. So neither the order of arrival nor repetition
changes what holds.

A track is named by its nation, the session of its feed, and its number: a word may come before the track's first report, and
never means another session's track. It is forgotten once one of its two tracks has ended (its feed has dropped it, or begun
another session) and is no more held as a prediction. Of one nation the MOST_WORDS newest are kept.

Knows the table of reports, not what is done about it (`fusion.associate` pairs nothing that is apart, `fusion.picture` parts it).
"""

from __future__ import annotations

import itertools
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fusion.tables import NONE, Float, ReportTable, Rows, SystemTable

MOST_WORDS: Final = 256
_ROWS: Final = 2**32  # more than a table has


class Key(NamedTuple):
    """A national track: its nation's column, the session of that feed, its number."""

    column: int
    session: int
    number: int


Pair = tuple[Key, Key]  # in their order
Pairs = tuple[Rows, Rows, Float]  # candidates: indices into one side, into the other, costs


class Decorrelations:
    """The words that count. `rows` are the pairs of rows of reports that they keep apart now."""

    def __init__(self, reports: ReportTable) -> None:
        self._reports = reports
        self._words: dict[tuple[int, Pair], tuple[int, bool]] = {}  # a nation on two tracks: when, and whether they are apart
        self._held: dict[Key, list[int]] = {}  # of every track that a word is about its rows: two where it came back once lost
        self._ended: set[Key] = set()
        self.rows: list[tuple[int, int]] = []
        self._others: dict[int, list[int]] = {}  # the same by row

    def take(self, column: int, pair: Pair, released_ns: int, apart: bool) -> int:
        """A nation's word on two tracks; how many older ones of the same nation had to make room."""
        about, word = (column, pair), (released_ns, apart)
        if self._words.get(about, word) > word:
            return 0
        self._words[about] = word
        for key in pair:
            self._held.setdefault(key, self.rows_of(key))
        own = [each for each in self._words if each[0] == column]
        pushed_out = sorted(own, key=lambda each: (self._words[each], each))[: max(len(own) - MOST_WORDS, 0)]
        for each in pushed_out:
            del self._words[each]
        self._review()
        return len(pushed_out)

    def rows_of(self, key: Key) -> list[int]:
        """Rows of the reports held of a track, a lost one's last report and one set aside too."""
        held = self._reports
        there = (held.mask != 0) & (held.track == key.number) & (held.nation == key.column) & (held.session == key.session)
        return np.flatnonzero(there).tolist()

    def hold(self, fresh: list[int]) -> None:
        """Reports are held of tracks that were not before."""
        if self._held:
            known = [(self._held[key], row) for row in fresh if (key := self._key(row)) in self._held]
            for rows, row in known:
                rows.append(row)
            if known:
                self._review()

    def let_go(self, row: int) -> None:
        """A report is no more held."""
        if self._held and (rows := self._held.get(key := self._key(row))) and row in rows:
            rows.remove(row)
            if key in self._ended and not rows:
                self._forget({key})
            self._review()

    def end(self, key: Key) -> None:
        """A track has ended: what was said of it is forgotten as soon as nothing is held of it."""
        if key in self._held:
            self._ended.add(key)
            if not self._held[key]:
                self._forget({key})
                self._review()

    def end_session(self, column: int, session: int) -> None:
        """All tracks of a feed's session have ended."""
        for key in [key for key in self._held if key[:2] == (column, session)]:
            self.end(key)

    def sift(self, found: Pairs, one: ReportTable | SystemTable, rows: Rows, others: Rows) -> Pairs:
        """Of candidate pairs those that nobody keeps apart, by any of their members.

        Their first is of `rows` of a table, of reports or of system tracks, their second of `others`, rows of system tracks.
        """
        if not self.rows:
            return found
        first, second, costs = found
        reports = np.array(self.rows, np.int64)
        mine, other = np.concatenate([reports, reports[:, ::-1]]).T
        theirs = self._reports.system[other]
        if one is not self._reports:
            mine = self._reports.system[mine]
        housed = (mine != NONE) & (theirs != NONE)
        apart = np.isin(rows[first] * _ROWS + others[second], mine[housed] * _ROWS + theirs[housed])
        return first[~apart], second[~apart], costs[~apart]

    def allow(self, groups: Rows) -> NDArray[np.bool_]:
        """Which groups (g, 3) of system tracks (rows, NONE for none) hold no two members that are apart."""
        if not self.rows:
            return np.ones(len(groups), np.bool_)
        tracks = [[row for row in group if row != NONE] for group in groups.tolist()]
        return np.array([not any(itertools.starmap(self.between, itertools.combinations(each, 2))) for each in tracks], np.bool_)

    def others(self, row: int) -> list[int]:
        """Rows of the reports that a report is kept apart from."""
        return self._others.get(row, [])

    def between(self, one: int, other: int) -> bool:
        """Whether two system tracks (rows) hold members that are apart."""
        of = self._reports.system
        return any((of[x], of[y]) in ((one, other), (other, one)) for x, y in self.rows)

    def _key(self, row: int) -> Key:
        held = self._reports
        return Key(int(held.nation[row]), int(held.session[row]), int(held.track[row]))

    def _forget(self, gone: set[Key]) -> None:
        self._words = {about: word for about, word in self._words.items() if gone.isdisjoint(about[1])}

    def _review(self) -> None:
        """What follows from the words."""
        named = {key for _, pair in self._words for key in pair}
        self._held = {key: rows for key, rows in self._held.items() if key in named}
        self._ended &= named
        apart = {pair for (_, pair), (_, are_apart) in self._words.items() if are_apart}
        self.rows = sorted((x, y) for one, other in apart for x in self._held[one] for y in self._held[other])
        self._others = {}
        for x, y in self.rows:
            self._others.setdefault(x, []).append(y)
            self._others.setdefault(y, []).append(x)
