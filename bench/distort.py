"""What may happen to national reports on their way into fusion: a bias that nobody tells of, repetition, feedback. Pure.

An arrival is a release of a feed and the instant at which fusion gets it. Distortions take arrivals and give arrivals; feeds and
truth stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.world import World
from bus import release
from bus.columns import Reports, SystemTracks, unpack_cov
from bus.release import NATIONS, Nation
from sensors.feed import Known, Release

Float = NDArray[np.float64]

LATE_S: Final = 5.0  # the longest that a repetition is late, where it is late at all
LATE_SHARE: Final = 0.5
FED_BACK: Final = 1_000_000  # numbers from here on are of tracks that were fed back: far beyond a feed's own


class Arrival(NamedTuple):
    """A release of a nation's feed, and when it gets to fusion, ns."""

    at_ns: int
    nation: Nation
    release: Release


def arrivals_of(world: World) -> list[Arrival]:
    """Every release of the three feeds, each arriving as it is released; at the same instant by nation."""
    sent = [Arrival(each.released_ns, nation, each) for nation in NATIONS for each in world.releases[nation]]
    return sorted(sent, key=lambda arrival: arrival.at_ns)


def typical_sigma_m(arrivals: Iterable[Arrival], nation: Nation) -> float:
    """One sigma an axis, m, of the position in a nation's reports: the median over all of their rows; 0 without any."""
    covs = [each.release.reports.cov for each in arrivals if each.nation == nation and each.release.reports is not None]
    if not covs:
        return 0.0
    position = unpack_cov(np.vstack(covs))[:, :3, :3]
    return float(np.median(np.sqrt(np.trace(position, axis1=1, axis2=2) / 3.0)))


def displaced(arrivals: list[Arrival], sigmas: float, random: np.random.Generator) -> list[Arrival]:
    """Every position of a nation moved by so many of its typical sigmas, all in one direction; nothing tells of it.

    The direction (ECEF) is drawn for each nation.
    """
    directions = random.standard_normal((len(NATIONS), 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    moves = {
        nation: sigmas * typical_sigma_m(arrivals, nation) * direction
        for nation, direction in zip(NATIONS, directions, strict=True)
    }
    return [each._replace(release=_moved(each.release, moves[each.nation])) for each in arrivals]


def _moved(sent: Release, by_m: Float) -> Release:
    if sent.reports is None:
        return sent
    return sent._replace(reports=replace(sent.reports, state=sent.reports.state + np.concatenate([by_m, np.zeros(3)])))


def mistimed(arrivals: list[Arrival], nation: Nation, by_s: float) -> list[Arrival]:
    """The reports of one nation, each said to hold so much later than it does (negative: earlier); nothing tells of it."""
    return [each._replace(release=_timed(each.release, by_s)) if each.nation == nation else each for each in arrivals]


def _timed(sent: Release, by_s: float) -> Release:
    if sent.reports is None:
        return sent
    return sent._replace(reports=replace(sent.reports, valid_ns=sent.reports.valid_ns + round(by_s * 1e9)))


def twice(arrivals: list[Arrival], random: np.random.Generator) -> list[Arrival]:
    """Every message a second time: at once, or, a share LATE_SHARE of them, up to LATE_S later."""
    late_s = random.uniform(0.0, LATE_S, len(arrivals)) * (random.random(len(arrivals)) < LATE_SHARE)
    again = [each._replace(at_ns=each.at_ns + int(by * 1e9)) for each, by in zip(arrivals, late_s.tolist(), strict=True)]
    return sorted(arrivals + again, key=lambda arrival: arrival.at_ns)


def foreign(block: SystemTracks, nation: Nation) -> NDArray[np.bool_]:
    """Which system tracks hold a track of somebody else than `nation`, (n,)."""
    return np.asarray(np.delete(block.members > 0, NATIONS.index(nation), axis=1).any(axis=1), np.bool_)


def fed_back(
    picture: SystemTracks, follows: list[int], before: set[int], nation: Nation, at_ns: int, *, pedigree_known: bool
) -> list[Release]:
    """What `nation` makes of the picture that it holds at `at_ns`: each fused estimate in which somebody else has a part goes out
    as a track of its own, of which it says the contributing sensors or, not `pedigree_known`, none.

    `follows`: for the scorer, the launch of each system track, -1 for none. `before`: the tracks of its last such frame; those
    that are gone now go out as lost. The release is to everyone, at `at_ns`.
    """
    rows = np.flatnonzero(foreign(picture, nation))
    numbers = (picture.system[rows] + FED_BACK).astype(np.uint32)
    to, sent = release.release(*NATIONS), []
    if len(rows):
        block = picture.take(rows)
        sensors = block.pedigree if pedigree_known else np.zeros_like(block.pedigree)
        unknown_age = np.zeros(len(rows), np.uint32)
        reports = Reports(
            numbers,
            block.valid_ns,
            block.state,
            block.cov,
            block.phase,
            block.quality,
            block.phenomenology,
            sensors,
            unknown_age,
            unknown_age,
        )
        sent.append(Release(at_ns, "frame", to, reports, known=[Known(follows[i], None, None) for i in rows.tolist()]))
    ended = sorted(before - set(numbers.tolist()))
    if ended:
        sent.append(Release(at_ns, "dropped", to, tracks=ended, reason="lost"))
    return sent
