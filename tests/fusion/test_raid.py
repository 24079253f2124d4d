"""The raid count: what is sure counts whole, what is in doubt by its probability, and the interval holds the truth."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus.messages import PictureFrame, Raid
from bus.release import NATIONS
from fusion.engine import FusionEngine, Inbound
from fusion.raid import ROUNDS, SETTLED, SUREST, RaidCounter, distribution, same, shares, tally
from fusion.settings import Counting, FusionSettings
from tests import oracles_fusion as oracle
from tests.fusion.scenes import JPN, KOR, START_NS, USA, S, Scene, dropped, one
from tests.fusion.test_engine import FAR_APART, Outputs, play, step
from tests.plain import both_ways

NOBODY = np.zeros(0, np.int64)
JPN_BIT, KOR_BIT, USA_BIT = 1, 2, 4
QUICK = Counting().quick_exists


def told(outputs: Iterable[Outputs], recipient: str = "kor") -> list[Raid | None]:
    return [frame.raid for each in outputs for frame in each.pictures if frame.recipient == recipient]


def of(*outputs: Outputs) -> Raid:
    last = told(outputs)[-1]
    assert last is not None
    return last


def test_eighteen_confirmed_tracks_are_eighteen_sure() -> None:
    count = tally(shares(np.ones(18), np.full(18, 7), NOBODY, NOBODY, np.zeros(0)))
    assert (count.expected, count.sigma, count.least, count.most) == (18.0, 0.0, 18, 18)


@pytest.mark.parametrize("log_odds", [-2.0, 0.0, 1.0, 4.0])
def test_two_that_may_be_one_are_between_one_and_two_with_the_spread_of_that_doubt(log_odds: float) -> None:
    one_object = 1.0 / (1.0 + math.exp(-log_odds))
    terms = shares(np.ones(2), np.array([JPN_BIT, KOR_BIT]), np.array([0]), np.array([1]), np.array([log_odds]))
    count = tally(terms)
    assert count.expected == pytest.approx(2.0 - one_object)
    assert count.sigma == pytest.approx(math.sqrt(one_object * (1.0 - one_object)))
    assert (count.least, count.most) == ((1, 2) if one_object < 0.95 else (1, 1))


def test_two_quick_ones_that_are_one_are_one_beyond_doubt() -> None:
    terms = shares(np.full(2, QUICK), np.array([JPN_BIT, KOR_BIT]), np.array([1]), np.array([0]), np.array([30.0]))
    assert tally(terms).expected == pytest.approx(1.0, abs=1e-4)


def test_each_is_one_with_one_other_at_most() -> None:
    """Three tracks that compete for two leave one over, whichever it is; so does the exact sum over all ways to pair them."""
    first, second = (np.array(each) for each in zip(*itertools.product(range(3), (3, 4)), strict=True))
    masks = np.array([KOR_BIT] * 3 + [USA_BIT] * 2)
    terms = shares(np.ones(5), masks, first, second, np.full(6, 20.0))
    assert tally(terms).expected == pytest.approx(3.0, abs=0.02)
    assert tally(terms).sigma == pytest.approx(0.0, abs=0.1)


def test_probabilities_are_those_of_all_ways_to_pair() -> None:
    """Held to the sum over all matchings, on trees, where belief propagation is exact."""
    first, second, log_odds = np.array([0, 0, 1]), np.array([0, 1, 1]), np.array([1.0, 2.0, 0.5])
    a, b, c = np.exp(log_odds)
    whole = 1.0 + a + b + c + a * c
    np.testing.assert_allclose(same(first, second, log_odds), [(a + a * c) / whole, b / whole, (c + a * c) / whole], rtol=1e-3)


@settings(deadline=None)  # the first example compiles
@given(st.integers(0, 2**32 - 1))
@both_ways(same)
def test_messages_one_by_one_say_what_they_say_at_once(seed: int) -> None:
    rng = np.random.default_rng(seed)
    pairs = np.argwhere(rng.random((rng.integers(1, 9), rng.integers(1, 9))) < 0.6)
    log_odds = rng.uniform(-5.0, 30.0, len(pairs))
    told = same(pairs[:, 0].copy(), pairs[:, 1].copy(), log_odds)
    if len(pairs):
        twin = oracle.same(pairs[:, 0], pairs[:, 1], log_odds, SUREST, ROUNDS, SETTLED)
        np.testing.assert_allclose(told, twin, rtol=1e-9, atol=1e-12)
    assert len(told) == len(pairs)


@settings(deadline=None)  # the first example compiles
@given(st.lists(st.floats(0.0, 1.0), max_size=40))
@both_ways(distribution)
def test_the_distribution_of_a_sum_is_the_convolution_of_its_terms(chances: list[float]) -> None:
    np.testing.assert_allclose(distribution(np.array(chances)), oracle.distribution(np.array(chances)), rtol=1e-9, atol=1e-15)


def test_a_nation_that_sees_the_object_elsewhere_already_takes_no_second_track_of_it() -> None:
    """Two US tracks near one of Japan and Korea and one of Korea alone: five tracks, of three objects."""
    masks = np.array([USA_BIT, USA_BIT, JPN_BIT | KOR_BIT, KOR_BIT, JPN_BIT | KOR_BIT])
    first, second = (np.array(each) for each in zip(*itertools.product((0, 1), (2, 3, 4)), strict=True))
    assert tally(shares(np.ones(5), masks, first, second, np.full(6, 20.0))).expected == pytest.approx(3.0, abs=0.02)


def test_three_nations_tracks_of_one_object_are_one() -> None:
    masks = np.array([JPN_BIT, KOR_BIT, USA_BIT])
    first, second = np.array([0, 0, 1]), np.array([1, 2, 2])
    assert tally(shares(np.ones(3), masks, first, second, np.full(3, 20.0))).expected == pytest.approx(1.0, abs=0.01)


def test_the_interval_holds_ninety_percent_or_more_of_the_sum() -> None:
    rng = np.random.default_rng(3)
    for n in (1, 4, 30, 700):
        chances = rng.uniform(size=n)
        drawn = (rng.uniform(size=(4000, n)) < chances).sum(axis=1)
        count = tally(chances)
        assert ((drawn >= count.least) & (drawn <= count.most)).mean() > 0.88
        assert drawn.std() == pytest.approx(count.sigma, rel=0.1)


def test_a_quick_track_counts_with_its_probability() -> None:
    count = of(step(FusionEngine(), [one("kor", 50.0)], START_NS + 50 * S)).in_flight
    assert count.expected == pytest.approx(QUICK)
    assert count.sigma == pytest.approx(math.sqrt(QUICK * (1.0 - QUICK)))
    assert (count.least, count.most) == (0, 1)


def test_tracks_far_apart_are_two() -> None:
    engine, outputs = FusionEngine(), []
    for t_s, (nation, east_m, eye) in zip((50, 52), FAR_APART, strict=True):
        outputs.append(step(engine, [one(nation, float(t_s), east_m=east_m, eye=eye)], START_NS + t_s * S))
    assert of(*outputs).in_flight.expected == pytest.approx(2.0 * QUICK)


def test_what_is_closed_no_longer_flies_but_was_of_the_raid() -> None:
    engine = FusionEngine()
    step(engine, [one("kor", 50.0), one("jpn", 50.0, eye=JPN), one("usa", 50.0, track=2, east_m=9e4, eye=USA)], START_NS + 50 * S)
    landed = [Inbound(dropped("kor", [1], "impact", 0), NATIONS), Inbound(dropped("jpn", [1], "impact", 0), NATIONS)]
    raid = of(step(engine, landed, START_NS + 52 * S))
    assert raid.in_flight.expected == pytest.approx(QUICK)
    assert raid.total.expected == pytest.approx(1.0 + QUICK)


def test_what_was_never_there_is_not_of_the_raid() -> None:
    engine = FusionEngine()
    step(engine, [one("kor", 50.0), one("usa", 50.0, track=2, east_m=9e4, eye=USA)], START_NS + 50 * S)
    raid = of(step(engine, [Inbound(dropped("kor", [1], "false", 0), NATIONS)], START_NS + 52 * S))
    assert raid.total.expected == pytest.approx(QUICK)


def test_nothing_is_told_where_nothing_flies() -> None:
    engine = FusionEngine()
    step(engine, [one("kor", 50.0)], START_NS + 50 * S)
    outputs = step(engine, [Inbound(dropped("kor", [1], "impact", 0), NATIONS)], START_NS + 50 * S + 1)
    assert [frame.raid for frame in outputs.pictures] == [None] * 3


@pytest.mark.parametrize(("silence_s", "total"), [(599.0, 2.0), (601.0, 1.0)])
def test_a_raid_begins_after_a_silence(silence_s: float, total: float) -> None:
    counter = RaidCounter(Counting())
    counter.take(START_NS, START_NS, np.array([1]), np.ones(1))
    counter.end([(1, True)])
    assert counter.take(START_NS + S, START_NS, NOBODY, np.zeros(0)) is None
    raid = counter.take(START_NS + int(silence_s * S), START_NS + 500 * S, np.array([2]), np.ones(1))
    assert raid is not None
    assert raid.total.expected == total
    assert raid.began_ns == START_NS + (0 if total == 2.0 else 500 * S)


def test_the_count_is_taken_once_a_second_by_the_time_of_the_reports() -> None:
    engine = FusionEngine()
    outputs = [
        step(engine, [one("kor", 50.0 + k / 4.0, track=k + 1, east_m=9e4 * k)], START_NS + 50 * S + k * S // 4) for k in range(9)
    ]
    counts = [raid.in_flight.expected / QUICK for raid in told(outputs) if raid is not None]
    assert counts == pytest.approx([1, 1, 1, 1, 5, 5, 5, 5, 9])


def test_a_report_that_another_may_not_see_is_not_in_its_count() -> None:
    engine = FusionEngine()
    for_kor = Inbound(one("kor", 50.0).message, ("kor",))
    outputs = step(engine, [for_kor, one("usa", 50.0, track=2, east_m=9e4, eye=USA)], START_NS + 50 * S)
    counts = {frame.recipient: frame.raid.in_flight.expected for frame in outputs.pictures if frame.raid is not None}
    assert counts == pytest.approx({"jpn": QUICK, "kor": 2.0 * QUICK, "usa": QUICK})


def flying(scene: Scene, frame: PictureFrame, sees_all_s: float, ends_s: float) -> bool:
    """Whether the picture is of a time at which every missile is tracked, and none has ended."""
    at_s = (frame.released_ns - START_NS) / S
    return scene.gap_s * (scene.n - 1) + sees_all_s <= at_s < ends_s


@pytest.mark.parametrize(("n", "apart_m"), [(1, 400.0), (4, 2000.0), (18, 400.0)])
def test_the_interval_holds_the_truth_once_every_missile_is_tracked(n: int, apart_m: float) -> None:
    inside: list[bool] = []
    for seed in range(1, 7):
        scene = Scene(n, seed=seed, apart_m=apart_m)
        for _, outputs in play(FusionEngine(), scene.messages()):
            for frame in outputs.pictures:
                if frame.recipient == "jpn" and flying(scene, frame, KOR.from_s, KOR.until_s):
                    assert frame.raid is not None
                    inside.append(frame.raid.in_flight.least <= n <= frame.raid.in_flight.most)
    assert len(inside) > 500
    assert np.mean(inside) >= 0.9


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_salvo_ends_with_the_interval_holding_all_of_it(seed: int) -> None:
    last = [raid for raid in told(each for _, each in play(FusionEngine(), Scene(18, seed=seed).messages(), 500.0)) if raid]
    assert last[-1].total.least <= 18 <= last[-1].total.most
    assert last[-1].in_flight.most < 18


def test_every_setting_of_the_count_has_its_effect() -> None:
    sure = FusionEngine(FusionSettings(counting=Counting(quick_exists=1.0)))
    assert of(step(sure, [one("kor", 50.0)], START_NS + 50 * S)).in_flight.sigma == 0.0
