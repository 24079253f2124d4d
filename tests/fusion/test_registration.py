"""Registration: offsets between feeds are found, taken off and forgotten; within what reports claim, nothing is touched."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bus.columns import pack_cov
from bus.release import NATIONS
from fusion.associate import Associator
from fusion.clusters import Clusters
from fusion.registration import Registration, common_chi2, least_chi2, told_by
from fusion.settings import FusionSettings
from physics.motion import ballistic_acceleration
from physics.propagate import propagate_one
from tests import oracles_fusion as oracle
from tests.fusion.scenes import JPN, KOR, START_NS, USA, S, report_block, scattered

Float = NDArray[np.float64]
Rows = NDArray[np.int64]

_SETTINGS = FusionSettings()
_SIGMA = np.repeat([100.0, 8.0], 3)
CHI2_95_4 = 9.488
_JPN, _KOR, _USA = (NATIONS.index(nation) for nation in NATIONS)


def registration(settings: FusionSettings = _SETTINGS) -> Registration:
    """One with the rules of association that the engine gives it."""
    rules = Associator(settings)
    return Registration(settings, rules.miss, rules.motion, rules.bias_var)


def held(true: Float, seconds: float, *, offset_m: Float, late_s: float, seed: int, joined: bool) -> Clusters:
    """What jpn and kor report of these objects: kor displaced, and by a clock that is slow by `late_s`."""
    rng, clusters = np.random.default_rng(seed), Clusters(_SETTINGS.timing)
    at_ns = START_NS + int(seconds * S)
    for column, eye in ((_JPN, JPN), (_KOR, KOR)):
        states = np.array([propagate_one(x, seconds + (late_s if eye is KOR else 0.0)) for x in true])
        states = states + rng.normal(size=states.shape) * _SIGMA
        states[:, :3] += offset_m if eye is KOR else 0.0
        block = report_block(np.arange(1, len(true) + 1), at_ns, states, _SIGMA, np.zeros(len(true), np.bool_), eye)
        clusters.begin_session(column, 1)
        clusters.take(column, block, at_ns, at_ns)
    rows = [clusters.rows_of(column) for column in (_JPN, _KOR)]
    for one, other in zip(*(each.tolist() for each in rows), strict=True):
        system = clusters.found(one)
        if joined:
            clusters.join(other, system)
        else:
            clusters.found(other)
    return clusters


@pytest.mark.parametrize("joined", [True, False])
def test_an_offset_in_position_is_found_within_what_is_claimed_of_it(joined: bool) -> None:
    offset = np.array([1200.0, -900.0, 700.0])
    errors = []
    for seed in range(20):
        clusters = held(scattered(20, seed), 3.0, offset_m=offset, late_s=0.0, seed=seed, joined=joined)
        register = registration()
        assert register.review(clusters, START_NS)
        between = register.between(_KOR, _JPN)
        errors.append(np.linalg.norm(between.position_m - offset) / between.sigma_m)
        assert abs(between.time_s) < 4.0 * between.sigma_s
    assert 0.77 < np.sqrt(np.mean(np.square(errors))) < 1.23  # 0.99 of chi-square with 60 degrees of freedom


def test_a_slow_clock_is_told_from_a_displaced_feed_by_objects_that_fly_every_way() -> None:
    late_s = 0.4
    clusters = held(scattered(40, 1), 3.0, offset_m=np.array([2000.0, 0.0, 0.0]), late_s=late_s, seed=2, joined=True)
    register = registration()
    assert register.review(clusters, START_NS)
    between = register.between(_KOR, _JPN)
    assert between.time_s == pytest.approx(late_s, abs=4.0 * between.sigma_s)
    assert between.sigma_s < 0.05
    assert np.linalg.norm(between.position_m - [2000.0, 0.0, 0.0]) < 4.0 * between.sigma_m


def test_what_is_taken_off_makes_the_feeds_agree() -> None:
    offset, late_s = np.array([1500.0, 1500.0, -800.0]), 0.3
    clusters = held(scattered(30, 3), 3.0, offset_m=offset, late_s=late_s, seed=4, joined=True)
    register, table = registration(), clusters.reports
    before = table.state.copy()
    assert register.review(clusters, START_NS)
    clusters.correct(register.offsets, register.left_open)
    one, other = clusters.rows_of(_JPN), clusters.rows_of(_KOR)
    apart = table.state[one] - table.state[other]
    chi2 = (apart / (np.sqrt(2.0) * _SIGMA)) ** 2
    assert 0.7 < chi2.mean() < 1.3
    np.testing.assert_allclose(table.state + table.shift, before, atol=1e-6)  # and what was reported is not lost


def test_each_report_is_corrected_once_and_a_new_track_by_its_own_feeds_offset_alone() -> None:
    clusters = held(scattered(4, 3), 3.0, offset_m=np.zeros(3), late_s=0.0, seed=4, joined=False)
    table, offsets = clusters.reports, np.zeros((len(NATIONS), 4))
    offsets[_KOR, :3] = 700.0, 0.0, 0.0
    clusters.correct(offsets, np.zeros((8, 4, 4)))

    def report(nation: int, track: int, second: int) -> tuple[Float, Float]:
        states, at_ns = scattered(1, second), START_NS + second * S
        eye = KOR if nation == _KOR else JPN
        clusters.take(nation, report_block(np.array([track]), at_ns, states, _SIGMA, np.zeros(1, np.bool_), eye), at_ns, at_ns)
        (row,) = [row for row in clusters.rows_of(nation).tolist() if table.track[row] == track]
        return states[0], table.state[row]

    for second in (5, 6):
        reported, taken = report(_KOR, 1, second)
        np.testing.assert_allclose(reported - taken, [700.0, 0.0, 0.0, 0.0, 0.0, 0.0], atol=1e-6)
    gone = clusters.drop(_KOR, 1)
    assert gone is not None
    clusters.end(gone[0])
    reported, taken = report(_JPN, 99, 7)  # takes the row that was given back
    assert (reported == taken).all()
    assert not table.shift[clusters.rows_of(_JPN)].any()


def test_the_surer_feed_is_moved_less() -> None:
    clusters = held(scattered(20, 5), 3.0, offset_m=np.array([1500.0, 0.0, 0.0]), late_s=0.0, seed=6, joined=True)
    clusters.reports.cov[clusters.rows_of(_JPN)] *= 9.0
    register = registration()
    assert register.review(clusters, START_NS)
    moved = np.linalg.norm(register.offsets[:, :3], axis=1)
    assert moved[_JPN] == pytest.approx(9.0 * moved[_KOR], rel=0.05)
    assert moved[_USA] < 1.0  # nobody saw anything of it


def test_a_feed_most_of_whose_tracks_have_just_begun_is_held_to_be_off_by_as_little_as_its_others_say() -> None:
    """New tracks are unsure of where their object is, and the feed is no further off than before."""
    clusters = held(scattered(20, 5), 3.0, offset_m=np.array([1500.0, 0.0, 0.0]), late_s=0.0, seed=6, joined=True)
    clusters.reports.cov[clusters.rows_of(_JPN)[:12]] *= 9.0
    register = registration()
    assert register.review(clusters, START_NS)
    moved = np.linalg.norm(register.offsets[:, :3], axis=1)
    assert moved[_JPN] == pytest.approx(moved[_KOR], rel=0.05)


def test_within_what_reports_claim_feeds_are_taken_as_they_are() -> None:
    """Two sigma, the same for all objects: many objects make it certain, and it is still what the reports allow for."""
    clusters = held(scattered(40, 7), 3.0, offset_m=np.array([200.0, 0.0, 0.0]), late_s=0.0, seed=8, joined=True)
    register = registration()
    assert not register.review(clusters, START_NS)
    assert not register.offsets.any()
    between = register.between(_KOR, _JPN)
    assert not between.position_m.any()
    assert between.time_s == 0.0
    assert 200.0 < between.sigma_m < 500.0  # but that they may be as far apart as they are is told
    assert 0.0 < between.sigma_s < 0.3
    assert register.between(_JPN, _KOR)[1:] == between[1:]


def test_how_far_apart_feeds_may_be_that_see_nothing_in_common_nobody_knows() -> None:
    register = registration()
    for _ in range(2):
        assert np.isnan(register.between(_KOR, _USA)[2:]).all()
        assert not register.between(_KOR, _USA).position_m.any()
        assert register.between(_KOR, _USA).time_s == 0.0
        register.review(displaced_by(0.0), START_NS)
    assert np.isfinite(register.between(_KOR, _JPN)[2:]).all()
    register.review(Clusters(_SETTINGS.timing), START_NS + 100 * S)
    assert np.isnan(register.between(_KOR, _JPN)[2:]).all()


def fan(n: int) -> Float:
    """States (n, 6) that fly apart to all sides at 2 km/s: what a clock makes of them is nought on average."""
    states, turn = scattered(n, 7), 2.0 * np.pi * np.arange(n) / n
    east, north = np.array([-0.7, -0.714, 0.0]), np.array([0.464, -0.455, 0.76])
    states[:, 3:] = 2000.0 * (np.cos(turn)[:, None] * east + np.sin(turn)[:, None] * north)
    return states


@pytest.mark.parametrize("late_s", [-0.5, 0.5, 0.8])
def test_a_slow_clock_counts_though_objects_fly_apart_and_their_mean_is_where_it_should_be(late_s: float) -> None:
    clusters = held(fan(12), 3.0, offset_m=np.zeros(3), late_s=late_s, seed=8, joined=True)
    register = registration()
    assert register.review(clusters, START_NS)
    between = register.between(_KOR, _JPN)
    assert between.time_s == pytest.approx(late_s, abs=4.0 * between.sigma_s)
    assert between.sigma_s < 0.1
    assert np.linalg.norm(between.position_m) < 4.0 * between.sigma_m


def test_a_clock_that_is_off_within_what_reports_claim_is_told_by_its_sigma() -> None:
    register = registration()
    assert not register.review(held(fan(12), 3.0, offset_m=np.zeros(3), late_s=0.2, seed=8, joined=True), START_NS)
    assert 0.15 < register.between(_KOR, _JPN).sigma_s < 0.3


def same_for_all(rng: np.random.Generator, states: Float) -> Float:
    """Errors of places (k, 3) of one sigma, one and the same."""
    return np.tile(rng.normal(size=3), (len(states), 1))


def same_along_flight(rng: np.random.Generator, states: Float) -> Float:
    """Errors of places (k, 3) of one sigma: along each object's flight the same, as a clock's."""
    along = states[:, 3:] / np.linalg.norm(states[:, 3:], axis=1, keepdims=True)
    across = rng.normal(size=along.shape)
    return np.asarray(along * rng.normal() + across - along * (across * along).sum(axis=1, keepdims=True), np.float64)


def independent(rng: np.random.Generator, states: Float) -> Float:
    """Errors of places (k, 3) of one sigma, of each object its own."""
    return rng.normal(size=(len(states), 3))


@pytest.mark.parametrize(
    "states", [fan(12), fan(3), scattered(20, 1), np.tile(fan(1), (8, 1))], ids=["fan", "few", "all", "alike"]
)
@pytest.mark.parametrize("errors", [same_for_all, same_along_flight, independent])
def test_feeds_that_are_as_they_claim_are_never_held_to_be_off_whatever_their_errors_have_in_common(
    errors: Callable[[np.random.Generator, Float], Float], states: Float
) -> None:
    """Two thousand draws: an error that all objects share is as likely beyond what is claimed as that of one object is."""
    rng, k, chi2 = np.random.default_rng(1), len(states), []
    spread, pull = np.tile(np.diag(_SIGMA**2), (k, 1, 1)), np.array([ballistic_acceleration(state) for state in states])
    for _ in range(2000):
        apart = np.hstack([errors(rng, states) * _SIGMA[:3], rng.normal(size=(k, 3)) * _SIGMA[3:]])
        chi2.append(common_chi2(told_by(apart, spread, states[:, 3:], pull), 0.08))
    assert max(chi2) < _SETTINGS.registration.counts_chi2
    assert np.mean(np.array(chi2) > CHI2_95_4) < 0.05


def test_places_that_velocities_tie_tell_of_an_offset_within_their_own_spread() -> None:
    """Long tracks: place and velocity are off together, or not at all. Of places alone two sigma never counted, and what was
    fused was off by ten of its own.
    """
    states, tied = fan(6), 0.99 * np.outer(_SIGMA, _SIGMA) * np.kron(np.ones((2, 2)), np.eye(3))
    spread = np.tile(tied + 0.01 * np.diag(_SIGMA**2), (6, 1, 1))
    pull = np.array([ballistic_acceleration(state) for state in states])
    apart = np.tile([200.0, 0.0, 0.0, 0.0, 0.0, 0.0], (6, 1))
    assert common_chi2(told_by(apart, spread, states[:, 3:], pull), 1e-6) > _SETTINGS.registration.counts_chi2
    apart[:, 3] = 2.0 * _SIGMA[3]  # off together
    assert common_chi2(told_by(apart, spread, states[:, 3:], pull), 1e-6) < CHI2_95_4


def displaced_by(offset_m: float) -> Clusters:
    """Forty objects of two feeds, one of them displaced to the east."""
    east = np.array([1.0, 0.0, 0.0])
    return held(scattered(40, 7), 3.0, offset_m=offset_m * east, late_s=0.0, seed=8, joined=True)


def test_an_offset_counts_beyond_what_is_claimed_and_then_for_as_long_as_it_says_more_than_none() -> None:
    """650 m are beyond what these reports claim: an offset about that must not come and go."""
    assert not registration().review(displaced_by(500.0), START_NS)
    register = registration()
    for k, offset_m in enumerate((900.0, 600.0, 500.0)):
        register.review(displaced_by(offset_m), START_NS + 1000 * k * S)
        assert register.between(_KOR, _JPN).position_m[0] == pytest.approx(offset_m, abs=100.0)
    register.review(displaced_by(100.0), START_NS + 3000 * S)
    assert not register.offsets.any()


def test_an_offset_stops_counting_that_explains_little_more_than_none() -> None:
    """What a wrong pair made was kept for four minutes after it was right, for it explained a little more than none."""
    register = registration()
    for look, offset_m in enumerate((900.0, 600.0, 500.0, 300.0)):  # the one before explains a good part of each
        register.review(displaced_by(offset_m), START_NS + 1000 * look * S)
    assert not register.offsets.any()


def test_a_ripple_seen_a_launch_later_is_no_offset() -> None:
    """Each feed sees every other missile, four seconds apart: a slow clock would explain it all, but none is that slow."""
    ripple = scattered(12, 7)
    ripple[:, 3:] = ripple[0, 3:]
    for late_s, counts in ((4.0, False), (0.7, True)):
        clusters = held(ripple, 3.0, offset_m=np.zeros(3), late_s=late_s, seed=8, joined=True)
        assert registration().review(clusters, START_NS) == counts


def reported(clusters: Clusters, column: int, first: int, true: Float, offset_m: float = 0.0) -> list[int]:
    """Rows of objects, three seconds later, that a nation reports as its tracks from `first` on, displaced to the east."""
    at_ns, states = START_NS + 3 * S, np.array([propagate_one(x, 3.0) for x in true])
    states[:, 0] += offset_m
    numbers, eye = np.arange(first, first + len(true)), {_JPN: JPN, _KOR: KOR, _USA: USA}[column]
    clusters.begin_session(column, 1)
    block = report_block(numbers, at_ns, states, _SIGMA, np.zeros(len(true), np.bool_), eye)
    _, fresh, _ = clusters.take(column, block, at_ns, at_ns)
    return fresh


def test_a_feed_is_found_displaced_against_two_that_are_joined_already() -> None:
    """Its tracks are alone, and the others' are not: they were looked for among those that are alone."""
    clusters = held(scattered(12, 7), 3.0, offset_m=np.zeros(3), late_s=0.0, seed=8, joined=True)
    for row in reported(clusters, _USA, 1, scattered(12, 7), 1500.0):
        clusters.found(row)
    register = registration()
    assert register.review(clusters, START_NS)
    for column in (_JPN, _KOR):
        between = register.between(_USA, column)
        assert np.linalg.norm(between.position_m - [1500.0, 0.0, 0.0]) < 4.0 * between.sigma_m < 600.0


def test_what_feeds_report_alone_that_agree_with_a_third_is_not_matched() -> None:
    """In a ripple one sees what rises, another what coasts: shifted by some launches, the one may be taken for the other."""
    by_kor, by_usa, alone = np.split(scattered(18, 7), 3)
    clusters = held(by_kor, 3.0, offset_m=np.zeros(3), late_s=0.0, seed=8, joined=True)
    for one, other in zip(reported(clusters, _JPN, 7, by_usa), reported(clusters, _USA, 1, by_usa), strict=True):
        clusters.join(other, clusters.found(one))
    for column, offset_m in ((_KOR, 0.0), (_USA, 1500.0)):
        for row in reported(clusters, column, 101, alone, offset_m):
            clusters.found(row)
    assert not registration().review(clusters, START_NS)


def test_what_registration_leaves_open_is_told_until_it_is_forgotten() -> None:
    """More of one feed's tracks than of what both see; and as much more as has faded."""
    clusters = held(scattered(20, 5), 3.0, offset_m=np.array([1500.0, 0.0, 0.0]), late_s=0.0, seed=6, joined=True)
    register, nothing = registration(), Clusters(_SETTINGS.timing)
    assert not register.left_open.any()
    register.review(clusters, START_NS)
    one, both, neither = 1 << _JPN, 1 << _JPN | 1 << _KOR, 1 << _USA
    found = np.trace(register.left_open[:, :3, :3], axis1=1, axis2=2) ** 0.5
    assert 300.0 < found[both] <= found[one] < 1500.0
    assert found[neither] == 0.0
    register.review(nothing, START_NS + 30 * S)
    faded = np.trace(register.left_open[:, :3, :3], axis1=1, axis2=2) ** 0.5
    assert faded[one] ** 2 - found[one] ** 2 == pytest.approx((0.95 * 750.0) ** 2, rel=0.1)
    for second in range(40, 200, 10):
        register.review(nothing, START_NS + second * S)
    assert not register.left_open.any()


@pytest.mark.parametrize("joined", [True, False])
@pytest.mark.parametrize("offset_m", [0.0, 1500.0])
def test_reports_that_tell_a_part_of_a_state_tell_of_no_offset(joined: bool, offset_m: float) -> None:
    """What remains is as if they were not there: neither what they are off by counts, nor how unsure they are."""
    told = []
    for partial in (True, False):
        clusters = held(scattered(20, 5), 3.0, offset_m=np.array([offset_m, 0.0, 0.0]), late_s=0.0, seed=6, joined=joined)
        table = clusters.reports
        for row in clusters.rows_of(_KOR)[8:].tolist():
            if partial:
                table.state[row] += np.repeat([20e3, 3e3], 3)
                table.cov[row] = pack_cov(np.diag([30.0**2] * 3 + [4e3**2] * 3))
            else:
                system = clusters.drop(_KOR, int(table.track[row]))
                assert system is not None
                if system[1]:
                    clusters.end(system[0])
        register = registration()
        assert register.review(clusters, START_NS) == (offset_m > 0.0)
        told.append(register.offsets)
    np.testing.assert_allclose(told[0], told[1], atol=1e-9)


def test_pairs_that_may_as_well_be_shifted_by_one_tell_of_no_offset() -> None:
    """Five in a row, a kilometre apart, and four that stand between them: half a kilometre to this side, or to that."""
    row = scattered(1, 1) + np.arange(5)[:, None] * np.array([1000.0, 0.0, 0.0, 0.0, 0.0, 0.0])
    clusters = held(row, 3.0, offset_m=np.array([500.0, 0.0, 0.0]), late_s=0.0, seed=3, joined=False)
    fifth = clusters.drop(_KOR, 5)
    assert fifth is not None
    clusters.end(fifth[0])
    assert not registration().review(clusters, START_NS)


def test_two_objects_are_not_enough() -> None:
    clusters = held(scattered(2, 9), 3.0, offset_m=np.array([1500.0, 0.0, 0.0]), late_s=0.0, seed=1, joined=True)
    assert not registration().review(clusters, START_NS)


@pytest.mark.parametrize("scale", [1e-300, 1e-30, 1e30, 1e300])
@pytest.mark.parametrize("joined", [True, False])
def test_reports_of_absurd_spread_do_not_stop_it(scale: float, joined: bool) -> None:
    """A sound row may claim to know everything or nothing: a matrix that had no inverse ended the step."""
    clusters = held(scattered(6, 5), 3.0, offset_m=np.array([1500.0, 0.0, 0.0]), late_s=0.0, seed=6, joined=joined)
    cov = clusters.reports.cov
    cov[clusters.rows_of(_JPN)[:2]] *= scale
    cov[clusters.rows_of(_KOR)] *= scale
    register = registration()
    register.review(clusters, START_NS)
    assert np.isfinite(register.offsets).all()
    assert np.isfinite(register.between(_KOR, _JPN).sigma_m) == (scale < 1.0)  # who knows nothing of places tells of none


def test_an_offset_that_is_no_longer_told_fades() -> None:
    clusters = held(scattered(20, 5), 3.0, offset_m=np.array([1500.0, 0.0, 0.0]), late_s=0.0, seed=6, joined=True)
    register, nothing = registration(), Clusters(_SETTINGS.timing)
    register.review(clusters, START_NS)
    found = np.linalg.norm(register.offsets)
    register.review(nothing, START_NS + 10 * S)
    assert np.linalg.norm(register.offsets) == pytest.approx(found * np.exp(-1.0))
    for second in range(20, 200, 10):
        register.review(nothing, START_NS + second * S)
    assert not register.offsets.any()


def test_one_object_that_is_tracked_wrong_is_no_offset() -> None:
    """A feed that has just found four: one of them is off by ten sigma, and says that it is the surest."""
    clusters = held(scattered(4, 5), 3.0, offset_m=np.zeros(3), late_s=0.0, seed=6, joined=True)
    row = clusters.rows_of(_JPN)[0]
    clusters.reports.state[row, :3] += 1000.0
    clusters.reports.cov[row] /= 4.0
    assert not registration().review(clusters, START_NS)
    assert registration().review(displaced_by(1000.0), START_NS)


def but_one(k: int) -> list[Rows]:
    """All of so many but one, in each way."""
    return [np.delete(np.arange(k), left_out) for left_out in range(k)]


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_the_distance_of_an_offset_of_place_and_clock_is_that_of_numpy(seed: int) -> None:
    rng, k, clock_var = np.random.default_rng(seed), 5, 0.08
    apart, root = rng.normal(size=(k, 6)) * 100.0, rng.normal(size=(k, 6, 6)) * 100.0
    spread, velocity, pull = root @ root.transpose(0, 2, 1), rng.normal(size=(k, 3)) * 1500.0, rng.normal(size=(k, 3)) * 9.0
    for alike in (False, True):
        velocity = np.tile(velocity[0], (k, 1)) if alike else velocity
        differences = apart, spread, velocity, pull
        found = told_by(*differences)
        assert common_chi2(found, clock_var) == pytest.approx(oracle.common_chi2(*differences, clock_var), rel=1e-6)
        all_but_one = [oracle.common_chi2(apart[r], spread[r], velocity[r], pull[r], clock_var) for r in but_one(k)]
        assert least_chi2(found, clock_var) == pytest.approx(min(all_but_one), rel=1e-6)
    assert least_chi2(told_by(*(each[:1] for each in differences)), clock_var) == 0.0


def test_one_object_that_is_ever_so_sure_hides_nothing_of_what_the_others_tell() -> None:
    """All but it was all less it: what is left of a large number, or nothing, and nothing has no inverse."""
    states, spread = fan(3), np.tile(np.diag(np.repeat([2e5**2, 2e3**2], 3)), (3, 1, 1))
    spread[0] = np.diag(np.repeat([1e-6, 1e-8], 3))
    pull = np.array([ballistic_acceleration(state) for state in states])
    differences = np.tile(np.repeat([5e5, 0.0], 3), (3, 1)), spread, states[:, 3:], pull
    but_the_sure_one = oracle.common_chi2(differences[0][1:], spread[1:], states[1:, 3:], pull[1:], 0.08)
    assert least_chi2(told_by(*differences), 0.08) == pytest.approx(but_the_sure_one, rel=1e-6)
