"""What is done to reports on their way into fusion: just that, nothing else, and what fusion makes of it."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.distort import (
    FED_BACK,
    LATE_S,
    Arrival,
    arrivals_of,
    displaced,
    fed_back,
    foreign,
    mistimed,
    twice,
    typical_sigma_m,
)
from bench.quality import Case, fly, seconds_of
from bus.columns import Reports, SystemTracks, unpack_cov
from bus.release import NATIONS, Nation
from sensors.feed import Release
from tests.bench.worlds import one_missile

SAME = ("track", "valid_ns", "cov", "phase", "quality", "phenomenology", "pedigree", "detected_age_ms", "tracked_age_ms")


def with_reports(arrivals: list[Arrival]) -> list[tuple[Arrival, Reports]]:
    return [(each, each.release.reports) for each in arrivals if each.release.reports is not None]


@pytest.mark.parametrize("sigmas", [2.0, 10.0])
def test_a_displaced_feed_is_off_by_so_many_sigmas_in_one_direction_and_nothing_else_changes(sigmas: float) -> None:
    arrivals = arrivals_of(one_missile())
    moved = displaced(arrivals, sigmas, np.random.default_rng(1))
    assert [each.release.tracks for each in moved] == [each.release.tracks for each in arrivals]
    moves: dict[Nation, NDArray[np.float64]] = {}
    for (before, old), (after, new) in zip(with_reports(arrivals), with_reports(moved), strict=True):
        assert (after.at_ns, after.nation, after.release.kind) == (before.at_ns, before.nation, before.release.kind)
        assert after.release.known is before.release.known
        assert all((getattr(old, name) == getattr(new, name)).all() for name in SAME)
        by = new.state - old.state
        assert (by[:, 3:] == 0.0).all()
        assert np.abs(by - moves.setdefault(after.nation, by[0])).max() < 1e-6
    for nation, by in moves.items():
        assert np.linalg.norm(by) == pytest.approx(sigmas * typical_sigma_m(arrivals, nation), rel=1e-6)
    one, other, third = (move[:3] / np.linalg.norm(move) for move in moves.values())
    assert max(one @ other, other @ third, third @ one) < 0.99


@pytest.mark.parametrize("by_s", [0.2, -1.0])
def test_a_clock_that_is_off_changes_when_reports_are_said_to_hold_and_nothing_else(by_s: float) -> None:
    arrivals = arrivals_of(one_missile())
    timed = mistimed(arrivals, "kor", by_s)
    assert [each._replace(release=each.release._replace(reports=None)) for each in timed] == [
        each._replace(release=each.release._replace(reports=None)) for each in arrivals
    ]
    moved = set()
    for (before, old), (_, new) in zip(with_reports(arrivals), with_reports(timed), strict=True):
        assert all((getattr(old, name) == getattr(new, name)).all() for name in ("state", *SAME) if name != "valid_ns")
        moved |= {(before.nation, by) for by in (new.valid_ns - old.valid_ns).tolist()}
    assert moved == {("jpn", 0), ("kor", round(by_s * 1e9)), ("usa", 0)}


def test_a_typical_sigma_is_the_median_of_the_rows() -> None:
    first = next(reports for _, reports in with_reports(arrivals_of(one_missile())))
    block = first.take(np.zeros(3, np.int64))
    block.cov[:] = 0.0
    block.cov[:, [0, 6, 11]] = 3.0 * np.array([1.0, 4.0, 100.0])[:, None]  # the same variance of x, y and z, a row each
    arrivals = [Arrival(0, "kor", Release(0, "frame", NATIONS, block))]
    assert typical_sigma_m(arrivals, "kor") == pytest.approx(np.sqrt(12.0))
    assert typical_sigma_m(arrivals, "jpn") == 0.0


def test_every_message_comes_twice_some_late() -> None:
    arrivals = arrivals_of(one_missile())
    doubled = twice(arrivals, np.random.default_rng(1))
    assert [each.at_ns for each in doubled] == sorted(each.at_ns for each in doubled)
    at_ns: dict[int, list[int]] = {}
    for each in doubled:
        at_ns.setdefault(id(each.release), []).append(each.at_ns)
    assert len(at_ns) == len(arrivals)
    assert {len(times) for times in at_ns.values()} == {2}
    late_s = np.array([(times[1] - times[0]) / 1e9 for times in at_ns.values()])
    assert late_s.min() == 0.0
    assert 0.9 * LATE_S < late_s.max() <= LATE_S
    assert 0.4 < (late_s == 0.0).mean() < 0.6


def test_duplicates_change_no_estimate_and_no_second_of_the_picture() -> None:
    plain, doubled = fly(one_missile(), Case(name="once")), fly(one_missile(), Case(name="twice", twice=True))
    assert plain.estimates[:, 0].sum() > 100
    assert (plain.estimates == doubled.estimates).all()
    assert plain.gospa_m == doubled.gospa_m
    assert (plain.pairs, plain.right, plain.due, plain.met) == (doubled.pairs, doubled.right, doubled.due, doubled.met)


def picture_at(second: int) -> SystemTracks:
    """What is held of the missile, so many seconds into it."""
    for at_ns, score in seconds_of(one_missile(), Case(name="")):
        if at_ns >= one_missile().truth.start_ns + second * 1_000_000_000:
            picture = score.picture()
            assert picture is not None
            return picture
    raise AssertionError


def test_fed_back_is_what_others_have_a_part_in_under_numbers_of_its_own() -> None:
    picture = picture_at(200).take(np.zeros(3, np.int64))
    picture.members[:] = [[5, 6, 0], [5, 0, 0], [0, 0, 7]]
    picture.system[:] = [1, 2, 3]
    assert foreign(picture, "jpn").tolist() == [True, False, True]
    frame, dropped = fed_back(picture, [4, 5, -1], {FED_BACK + 1, FED_BACK + 9}, "jpn", 77, pedigree_known=True)
    assert frame.reports is not None
    assert frame.reports.track.tolist() == [FED_BACK + 1, FED_BACK + 3]
    assert (frame.reports.state == picture.state[[0, 2]]).all()
    assert (frame.reports.cov == picture.cov[[0, 2]]).all()
    assert (frame.reports.valid_ns == picture.valid_ns[[0, 2]]).all()
    assert (frame.reports.pedigree == picture.pedigree[[0, 2]]).all()
    assert [known.follows for known in frame.known] == [4, -1]
    assert (dropped.kind, dropped.tracks, dropped.reason) == ("dropped", [FED_BACK + 9], "lost")
    (silent,) = fed_back(picture, [4, 5, -1], set(), "jpn", 77, pedigree_known=False)
    assert silent.reports is not None
    assert not silent.reports.pedigree.any()


@cache
def volumes(case: Case) -> dict[tuple[int, tuple[int, ...]], float]:
    """log det of the covariances by instant and the members of kor and usa, where both are held."""
    found = {}
    for at_ns, score in seconds_of(one_missile(), case):
        picture = score.picture()
        if picture is not None:
            for members, cov in zip(picture.members.tolist(), unpack_cov(picture.cov), strict=True):
                if all(members[1:]):
                    found[at_ns, tuple(members[1:])] = float(np.linalg.slogdet(cov)[1])
    return found


@pytest.mark.parametrize("case", [Case(name="", blind=True, feedback="known"), Case(name="", blind=True, feedback="unknown")])
def test_feedback_makes_no_estimate_surer(case: Case) -> None:
    without, fed = volumes(Case(name="", blind=True)), volumes(case)
    both = without.keys() & fed.keys()
    assert len(both) > 100
    assert all(fed[key] >= without[key] for key in both)
