"""A look for pairs: one problem over the tracks of all three nations."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray

from bus.columns import pack_cov, unpack_cov
from bus.release import NATIONS
from fusion.assign import assign
from fusion.associate import Associator, waiting_for, without
from fusion.clusters import Clusters
from fusion.settings import FusionSettings
from tests import oracles_fusion as oracle
from tests.fusion.scenes import START_NS, S, flight
from tests.plain import both_ways

Float = NDArray[np.float64]

SETTINGS = FusionSettings()
RULES = SETTINGS.association
APART_M = 1500.0
SKEW = np.radians(65.0)
ALONG, SKEWED, AGAINST = (np.array([np.cos(angle), np.sin(angle), 0.0]) for angle in (0.0, SKEW, -SKEW))


class Sky:
    """System tracks that wait, two of each nation: of one object and of another so far from it, m, as the nation says. Row 2n + i
    holds nation n's track of object i.
    """

    def __init__(self, apart_m: tuple[Float, Float, Float], sigma_m: tuple[float, float, float]) -> None:
        self.clusters, self.associator = Clusters(SETTINGS.timing), Associator(SETTINGS)
        table, home = self.clusters.systems, flight(100)[-1]
        for nation, index in itertools.product(range(len(NATIONS)), range(2)):
            row = table.take()
            table.number[row], table.mask[row], table.valid_ns[row] = row + 1, 1 << nation, START_NS
            table.state[row] = home + np.append((index - 0.5) * apart_m[nation], np.zeros(3))
            table.cov[row] = pack_cov(np.diag(np.repeat([sigma_m[nation] ** 2, 100.0], 3)))
            table.phase[row] = 0.0, 1.0, 0.0

    def look(self) -> list[tuple[int, ...]]:
        found = self.associator.look(self.clusters, START_NS + S, 100)
        return sorted(tuple(sorted(group)) for group in found)

    def won(self) -> dict[tuple[int, int], float]:
        """Pairs of rows, and what the look counted for them."""
        self.look()
        return {(min(pair) - 1, max(pair) - 1): told for pair, told in self.associator.evidence.items()}

    def won_by_two(self, one: int, other: int) -> dict[tuple[int, int], float]:
        """Pairs of rows that win among two nations alone, and their regrets."""
        table, rows = self.clusters.systems, list(itertools.product(range(2), range(2)))
        covs = unpack_cov(table.cov)
        costs = [
            sum(oracle.distance(table.state[a], covs[a], table.state[b], covs[b], self.associator.bias_var))
            for a, b in ((2 * one + i, 2 * other + j) for i, j in rows)
        ]
        first, second = np.array(rows).T
        matches = assign(first, second, np.array(costs), self.associator.miss)
        return {(2 * one + match.row, 2 * other + match.column): match.regret for match in matches}


def test_two_nations_that_would_swap_are_overruled_by_one_that_sees_well() -> None:
    """Of all that nations tell in twos, the swap is even the surest."""
    sky = Sky((2.0 * APART_M * SKEWED, APART_M * ALONG, 2.0 * APART_M * AGAINST), (1000.0, 100.0, 1000.0))
    assert set(sky.won_by_two(0, 1)) == {(0, 2), (1, 3)}
    assert set(sky.won_by_two(1, 2)) == {(2, 4), (3, 5)}
    swapped = sky.won_by_two(0, 2)
    assert set(swapped) == {(0, 5), (1, 4)}
    assert min(swapped.values()) > max([*sky.won_by_two(0, 1).values(), *sky.won_by_two(1, 2).values()])
    won = sky.won()
    assert set(won) == {(0, 2), (0, 4), (2, 4), (1, 3), (1, 5), (3, 5)}
    assert sky.associator.gap == 0.0


def test_what_no_two_nations_are_sure_of_three_are() -> None:
    apart_m = 1.56 * APART_M * ALONG
    for absent in range(3):
        sky = Sky((apart_m,) * 3, (300.0,) * 3)
        table = sky.clusters.systems
        table.number[2 * absent : 2 * absent + 2] = table.mask[2 * absent : 2 * absent + 2] = 0
        assert len(sky.won()) == 2
        sky.associator.looked_ns = 0
        assert sky.look() == []
    assert Sky((apart_m,) * 3, (300.0,) * 3).look() == [(0, 2, 4), (1, 3, 5)]


def test_what_is_not_sure_is_joined_after_looks_that_agree_and_not_before() -> None:
    sky = Sky((0.7 * APART_M * ALONG,) * 3, (300.0,) * 3)
    told = min(sky.won().values())
    assert 0.0 < told < RULES.sure
    looks, joined = 1, list[tuple[int, ...]]()
    while not joined and looks < 20:
        sky.associator.looked_ns = 0
        looks, joined = looks + 1, sky.look()
    assert joined == [(0, 2, 4), (1, 3, 5)]
    assert looks == pytest.approx(RULES.enough / told, abs=1.0)


def test_a_look_that_cannot_tell_takes_away_what_was_gathered() -> None:
    sky = Sky((0.7 * APART_M * ALONG,) * 3, (300.0,) * 3)
    assert sky.won()
    table = sky.clusters.systems
    table.state[5] = table.state[4]
    table.state[3] = table.state[2]
    table.state[1] = table.state[0]
    sky.associator.looked_ns = 0
    assert max(sky.won().values(), default=0.0) < 1e-6


def test_a_track_of_two_nations_takes_the_third_that_fits_both() -> None:
    sky = Sky((2.0 * APART_M * ALONG,) * 3, (300.0,) * 3)
    table = sky.clusters.systems
    for row in (0, 1):
        table.mask[row] |= 2
        table.number[row + 2] = table.mask[row + 2] = 0
    assert sky.look() == [(0, 4), (1, 5)]


@both_ways(without)
def test_a_nation_looks_at_system_tracks_that_it_has_no_part_in() -> None:
    rng = np.random.default_rng(1)
    number, mask = rng.integers(0, 3, 40), rng.integers(0, 8, 40)
    for bit in (1, 2, 4):
        assert without(bit, number, mask).tolist() == [row for row in range(40) if number[row] and not mask[row] & bit]


@both_ways(waiting_for)
def test_those_wait_that_some_nations_report_and_others_do_not_and_too_many_are_not_counted() -> None:
    mask = np.random.default_rng(2).integers(0, 8, 40)
    every = [row for row in range(40) if 0 < mask[row] < 7]
    for most in (0, 1, len(every) - 1, len(every), 1000):
        assert waiting_for(7, mask, most).tolist() == every[: most + 1]


def test_a_look_tells_how_many_pairs_it_asked_and_one_that_is_not_due_or_has_too_many_none() -> None:
    sky = Sky((APART_M * ALONG,) * 3, (300.0,) * 3)
    for at_ns, most_waiting, asked in ((START_NS, 5, 0), (START_NS, 6, 12), (START_NS + 1, 6, 0)):
        sky.associator.look(sky.clusters, at_ns, most_waiting)
        assert sky.associator.asked == asked
