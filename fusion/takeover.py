"""A picture that was made anew goes on in place of the one that recipients have been told of.

What is the same object goes on under its number, with its alert. What was told as two and is one ends in the elder. What was told
as one and is two keeps number and alert for the greater part; the other is told of anew, and warned of in a while: it may soon be
a part again. So is what nobody reports any more and was told as over, but is not. What is no more ends.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bus.messages import Alert
from bus.release import NATIONS, Nation
from fusion.alert import FINAL, Event, merged_into
from fusion.clusters import Clusters
from fusion.picture import Picture
from fusion.tables import Rows

Track = tuple[int, int, int]  # a nation's column, the session of its feed, its number
Tracks = dict[int, list[Track]]  # the national tracks of each system track (row)


class Likeness(NamedTuple):
    """System tracks by row: which here are the `same` as which there; which there are `gone`, each with the row here, if any,
    that it is a part of; which here were `parted` from one there that has an alert.
    """

    same: dict[int, int]
    gone: dict[int, int | None]
    parted: set[int]


def take_over(redone: Picture, told: Picture, now_ns: int) -> None:
    """Have `redone`, the picture of the same recipients as `told`, go on in its place; that one is of no use afterwards."""
    ours, theirs = _tracks_of(redone.clusters), _tracks_of(told.clusters)
    known = _with_had(theirs, told.clusters)
    same, gone, parted = _likeness(_with_had(ours, redone.clusters), known, redone, told)
    ended = []
    for system, home in gone.items():
        if home is None:
            told.book.close(system, *_ending(told, system, _names(known[system]), redone.book.outbox))
        else:
            told.book.merge(same[home], system)
        ended.append(told.clusters.end(system))
    redone.book.go_on_from(told.book, same, parted | _lost(redone) - same.keys(), now_ns)
    redone.clusters.name_on(told.clusters)
    for system in sorted(redone.book.cases.keys() - same.keys()):
        redone.clusters.name(system)
        redone.clusters.systems.touched[system] = True
    table, before = redone.clusters.systems, told.clusters.systems
    here, there = (np.fromiter(each, np.int64, len(same)) for each in (same, same.values()))
    table.told[here] = before.told[there]
    table.touched[here] = before.touched[there] | _differ(redone.clusters, told.clusters, here, there)
    table.touched[here] |= np.array([ours[system] != theirs[at] for system, at in same.items()], np.bool_)
    redone.go_on_from(told, ended)
    for system in redone.book.cases:
        redone.book.judge(system, now_ns)


def _lost(redone: Picture) -> set[int]:
    """What nobody reports any more: where it was told as over, that was too soon."""
    table = redone.clusters.systems
    return set(np.flatnonzero((table.number != 0) & (table.mask == 0)).tolist())


def _differ(redone: Clusters, told: Clusters, here: Rows, there: Rows) -> NDArray[np.bool_]:
    """Whether system tracks (rows of both) are estimated otherwise, or who reports them is another."""
    one, other = redone.systems, told.systems
    alike = np.full(len(here), np.array_equal(redone.left_open, told.left_open))
    alike &= (one.mask[here] == other.mask[there]) & (one.valid_ns[here] == other.valid_ns[there])
    alike &= (one.state[here] == other.state[there]).all(axis=1) & (one.cov[here] == other.cov[there]).all(axis=1)
    return ~alike


def _likeness(ours: Tracks, theirs: Tracks, redone: Picture, told: Picture) -> Likeness:
    """The elder alerts choose first, each what it has the most national tracks in common with."""
    of = {track: system for system, tracks in theirs.items() for track in tracks}
    shared = Counter((system, of[track]) for system, tracks in ours.items() for track in tracks if track in of)
    numbers, told_as, cases = redone.clusters.systems.number, told.clusters.systems.told, told.book.cases
    same: dict[int, int] = {}
    homes: dict[int, int] = {}
    taken: set[int] = set()
    for system, before in sorted(
        shared, key=lambda pair: (cases[pair[1]].raised_ns, told_as[pair[1]], -shared[pair], numbers[pair[0]])
    ):
        homes.setdefault(before, system)
        if system not in same and before not in taken:
            same[system] = before
            taken.add(before)
    gone: dict[int, int | None] = {}
    for before in sorted(theirs.keys() - taken, key=lambda system: (cases[system].raised_ns, told_as[system])):
        home = homes[before] if before in homes else _heir(redone, _names(theirs[before]))
        if home is None or home in same:
            gone[before] = home
        else:
            same[home] = before
    return Likeness(same, gone, {system for system, before in shared if system not in same and cases[before].standing})


def _heir(redone: Picture, names: set[tuple[Nation, int]]) -> int | None:
    """What a system track went on as a part of, by the last word on one of its members; None where it did not."""
    last = _last_word(names, redone.book.outbox)
    while last is not None and (kept := merged_into(last.reason)) is not None:
        heir = next((system for system, case in redone.book.cases.items() if case.anchor == kept), None)
        if heir is not None:
            return heir
        last = _end_of(kept, redone.book.outbox)
    return None


def _tracks_of(clusters: Clusters) -> Tracks:
    """The last report of a lost one counts too."""
    held, table = clusters.reports, clusters.systems
    nation, session, track = held.nation.tolist(), held.session.tolist(), held.track.tolist()
    return {
        system: [(nation[row], session[row], track[row]) for row in clusters.members(system)]
        for system in np.flatnonzero(table.number).tolist()
    }


def _with_had(tracks: Tracks, clusters: Clusters) -> Tracks:
    """With those that a system track had, if no other has them now: whichever was dropped last, it is the same."""
    held = {track for each in tracks.values() for track in each}
    return {system: each + [track for track in clusters.had(system) if track not in held] for system, each in tracks.items()}


def _names(tracks: Sequence[Track]) -> set[tuple[Nation, int]]:
    """As alerts name them."""
    return {(NATIONS[column], number) for column, _, number in tracks}


def _ending(told: Picture, system: int, names: set[tuple[Nation, int]], alerts: Sequence[Alert]) -> tuple[Event, str]:
    """How a system track ended, and why, by the last word on one of its members. What went on as a part of another ended as
    that did, unless that was told with an alert of its own.
    """
    last = _last_word(names, alerts)
    while last is not None and (kept := merged_into(last.reason)) is not None:
        if told.book.has_told(kept) and kept != told.book.cases[system].anchor:
            return "merged", last.reason
        last = _end_of(kept, alerts)
    if last is None:
        return "lost", "lost"
    return "false" if last.state == "retracted" else "lost", last.reason


def _last_word(names: set[tuple[Nation, int]], alerts: Sequence[Alert]) -> Alert | None:
    """The last of these alerts that says of one of these national tracks that it is over."""
    over = (alert for alert in reversed(alerts) if alert.state in FINAL)
    return next((alert for alert in over if any((each.nation, each.track) in names for each in alert.members)), None)


def _end_of(anchor: str, alerts: Sequence[Alert]) -> Alert | None:
    return next((alert for alert in alerts if alert.id == anchor and alert.state in FINAL), None)
