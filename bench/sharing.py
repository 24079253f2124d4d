"""Other arrangements of sharing, to hold an exercise against: the same reports, less of them released. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from bench.result import Arrangement
from bench.world import World
from bus.release import Nation, release
from sensors.feed import Release

# Japan and the Republic of Korea each share with the US alone: the arrangement before real-time sharing among all three.
WITHHELD: Final[dict[Arrangement, tuple[Nation, Nation]]] = {"bilateral": ("jpn", "kor")}


def arranged(world: World, arrangement: Arrangement) -> World:
    """The world in which two nations withhold from one another whatever their policies let go."""
    one, other = WITHHELD[arrangement]
    releases = dict(world.releases)
    for nation, partner in ((one, other), (other, one)):
        releases[nation] = [_without(each, nation, partner) for each in world.releases[nation]]
    return replace(world, releases=releases)


def _without(each: Release, nation: Nation, partner: Nation) -> Release:
    return each._replace(to=release(nation, *(to for to in each.to if to != partner)))
