"""The peers benchmark: all contenders do one job and agree, and with the truth; rows, budgets and an absent library are told."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest
from click.testing import CliRunner

import bench.peers
from bench.cli import main
from bench.contenders import GATE_D2, Answer, Contender, Job, Prepared, Side, job_of, numpy_scipy, triwarn
from bench.peers import NAMES, PeerRow, Peers, _runs, agreement, foretold, installed, measure_peers, peer_rows, row_of
from bench.sky import FEEDS

SOUP = ("all_pairs", "tpr_tree", "kd_tree")
needs_stonesoup = pytest.mark.skipif(not installed(), reason="stonesoup is not installed: pip install .[peers]")


def answer_of(contender: Contender, job: Job) -> Answer:
    prepared = contender(job)
    return prepared.read(prepared.run())


def soup(name: str) -> Contender:
    import bench.soup

    found: Contender = getattr(bench.soup, name)
    return found


def cut(job: Job, first: list[int], second: list[int]) -> Job:
    """The job with some tracks of each feed only."""
    one, other = (Side(side.state[i], side.cov[i], side.objects[i]) for side, i in ((job.first, first), (job.second, second)))
    return Job(one, other, job.truth)


def contested() -> Job:
    """Two tracks of each feed on a line, at 0 and 300 m, and at 290 and 600 m: the two nearest are not the cheapest pairs."""
    job = cut(job_of(10, 1), [0, 1], [0, 1])
    truth = job.truth[[0, 0]]
    truth[1, 0] += 300.0
    second = truth.copy()
    second[0, 0] += 290.0
    second[1, 0] += 300.0
    both = np.arange(2)
    return Job(job.first._replace(state=truth, objects=both), job.second._replace(state=second, objects=both), truth)


@pytest.mark.parametrize("tracks", [2, 10, 30, 37, 100, 1000])
def test_a_job_has_as_many_tracks_as_it_says_and_errors_as_it_claims(tracks: int) -> None:
    job = job_of(tracks, 1)
    for side in (job.first, job.second):
        assert side.state.shape == (tracks, 6)
        off = side.state - job.truth[side.objects]
        d2 = (off * np.linalg.solve(side.cov, off[..., None])[..., 0]).sum(axis=1)
        assert np.mean(d2) / 6.0 == pytest.approx(1.0, abs=5.0 * np.sqrt(2.0 / (6.0 * tracks)))


def brute_force(job: Job) -> set[tuple[int, int]]:
    """The cheapest set of pairs, by trying all; few tracks only."""
    n, m = len(job.first.state), len(job.second.state)
    d2 = np.empty((n, m))
    for i in range(n):
        for j in range(m):
            off = job.second.state[j] - job.first.state[i]
            d2[i, j] = off @ np.linalg.inv(job.first.cov[i] + job.second.cov[j]) @ off

    def best(row: int, taken: frozenset[int]) -> tuple[float, tuple[tuple[int, int], ...]]:
        if row == n:
            return 0.0, ()
        cost, pairs = best(row + 1, taken)
        ways = [(cost + GATE_D2, pairs)]
        for column in set(range(m)) - taken:
            if d2[row, column] <= GATE_D2:
                cost, pairs = best(row + 1, taken | {column})
                ways.append((cost + d2[row, column], ((row, column), *pairs)))
        return min(ways)

    return set(best(0, frozenset())[1])


def assert_the_job_is_done(job: Job, answer: Answer) -> None:
    """The pairs are the cheapest, and each estimate is the sum of information."""
    assert set(map(tuple, answer.pairs.tolist())) == brute_force(job)
    for (i, j), x, p in zip(answer.pairs, answer.state, answer.cov, strict=True):
        one, other = np.linalg.inv(job.first.cov[i]), np.linalg.inv(job.second.cov[j])
        wanted = np.linalg.inv(one + other)
        np.testing.assert_allclose(p, wanted, rtol=1e-9, atol=1e-6)
        np.testing.assert_allclose(x, wanted @ (one @ job.first.state[i] + other @ job.second.state[j]), rtol=1e-9)


CONTESTED: dict[str, Callable[[], Job]] = {
    "alone": lambda: job_of(6, 1),
    "one more": lambda: cut(job_of(10, 2), [0, 1, 2, 3, 4], [0, 1, 2, 3, 4, 5]),
    "the nearest is another's": contested,
}


@pytest.mark.parametrize("job", CONTESTED.values(), ids=list(CONTESTED))
@pytest.mark.parametrize("contender", [triwarn, numpy_scipy])
def test_the_cheapest_pairs_are_made_and_fused_by_information(contender: Contender, job: Callable[[], Job]) -> None:
    assert_the_job_is_done(job(), answer_of(contender, job()))


@needs_stonesoup
@pytest.mark.parametrize("job", CONTESTED.values(), ids=list(CONTESTED))
@pytest.mark.parametrize("name", SOUP)
def test_stone_soup_does_the_same_job(name: str, job: Callable[[], Job]) -> None:
    assert_the_job_is_done(job(), answer_of(soup(name), job()))


def assert_agree(one: Answer, other: Answer) -> None:
    np.testing.assert_array_equal(one.pairs, other.pairs)
    np.testing.assert_allclose(one.state, other.state, rtol=1e-12)
    np.testing.assert_allclose(one.cov, other.cov, rtol=1e-9, atol=1e-6)


def test_numpy_agrees_with_the_project_and_both_with_the_truth() -> None:
    job = job_of(300, 2)
    ours = answer_of(triwarn, job)
    assert_agree(ours, answer_of(numpy_scipy, job))
    objects = job.first.objects[ours.pairs[:, 0]]
    np.testing.assert_array_equal(objects, job.second.objects[ours.pairs[:, 1]])
    assert len(objects) == pytest.approx(len(np.intersect1d(job.first.objects, job.second.objects)), abs=2)
    variance = 1.0 / sum(feed.sigma_m**-2 for feed in FEEDS[:2])
    off = (ours.state - job.truth[objects])[:, :3]
    assert np.sqrt((off**2).sum(axis=1).mean()) == pytest.approx(np.sqrt(3.0 * variance), rel=0.1)


@needs_stonesoup
@pytest.mark.parametrize("name", ["all_pairs", "kd_tree"])
def test_stone_soup_agrees_with_the_project(name: str) -> None:
    job = job_of(30, 3)
    assert_agree(answer_of(triwarn, job), answer_of(soup(name), job))


@needs_stonesoup
def test_the_pairs_of_the_tpr_tree_are_some_of_ours() -> None:
    job = job_of(100, 1)
    ours, theirs = answer_of(triwarn, job), answer_of(soup("tpr_tree"), job)
    assert set(map(tuple, theirs.pairs.tolist())) <= set(map(tuple, ours.pairs.tolist()))
    assert len(theirs.pairs) >= 0.9 * len(ours.pairs)


def test_a_row_holds_an_answer_against_the_truth_and_ours() -> None:
    truth = np.zeros((4, 6))
    some = np.zeros((3, 6))
    job = Job(Side(some, some, np.array([0, 1, 2])), Side(some, some, np.array([0, 2, 3])), truth)
    state = np.zeros((2, 6))
    state[0, :3], state[1, 0] = [3.0, 0.0, 4.0], 99.0
    theirs = Answer(np.array([[0, 0], [1, 1]]), state, np.zeros((2, 6, 6)))
    ours = Answer(np.array([[0, 0], [2, 1]]), np.zeros((2, 6)), np.zeros((2, 6, 6)))
    blank = PeerRow(contender="other", tracks_per_feed=3, in_both=2)
    row = row_of(blank, job, [0.4, 0.2, 0.9], theirs, (0.1, ours))
    assert (row.runs, row.median_ms, row.times_triwarn) == (3, 400.0, 4.0)
    assert (row.pairs, row.right, row.position_rms_m) == (2, 0.5, 5.0)  # the wrong pair is no estimate of anything
    assert row.same_pairs == pytest.approx(1.0 / 3.0, abs=1e-5)
    assert row.apart_m == 5.0
    assert row_of(blank, job, [0.4], theirs, None).times_triwarn is None
    assert agreement(ours, ours) == (1.0, 0.0)


def test_the_time_of_a_size_is_foretold_from_those_before() -> None:
    assert foretold({10: 2.0}, 10) == 2.0
    assert foretold({10: 2.0}, 100) == pytest.approx(200.0)
    assert foretold({10: 5.0, 30: 1.0, 60: 8.0}, 120) == pytest.approx(64.0)
    assert foretold({10: 1.0, 20: 1.0}, 40) == pytest.approx(2.0)  # never less than in proportion
    assert foretold({10: 1.0, 20: 999.0}, 40) == pytest.approx(8.0 * 999.0)


def test_what_would_go_beyond_its_budget_is_not_begun_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[int] = []

    def slow(job: Job) -> Prepared:
        begun.append(len(job.first.state))
        return triwarn(job)

    monkeypatch.setattr(bench.peers, "_contenders", lambda: {"triwarn": triwarn, "numpy": slow, "stonesoup": None})
    monkeypatch.setattr(bench.peers, "_warmed", lambda contender, job: 2.0 if contender is slow else 1e-4)
    told: list[str] = []
    ours, row, _ = measure_peers((20,), 2.5, 1, told.append).rows
    assert not begun
    assert ours.times_triwarn == 1.0
    assert row.reason == "a run would take some 8 s, the budget is 2.5 s"
    assert (row.runs, row.median_ms, row.times_triwarn, row.pairs, row.right) == (0, None, None, None, None)
    assert f"numpy, 20 x 20: {row.reason}" in told


def test_runs_end_when_another_would_go_beyond_the_budget() -> None:
    spent, answer = _runs(triwarn, job_of(10, 1), 0.0)
    assert len(spent) == 1
    assert len(answer.pairs) > 0


def test_without_stone_soup_the_others_are_measured_and_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench.peers, "installed", lambda: False)
    done = CliRunner().invoke(main, ["bench", "peers", "--tracks", "10", "--budget-s", "0.2", "--json"])
    assert done.exit_code == 0
    assert done.stderr.count("pip install .[peers]") == 1
    result = json.loads(done.stdout)
    assert {"machine", "seed", "versions", "budget_s"} <= set(result)
    assert "stonesoup" not in result["versions"]
    rows = {row["contender"]: row for row in result["rows"]}
    assert list(rows) == list(NAMES)
    assert rows["triwarn"]["times_triwarn"] == 1.0
    assert rows["numpy"]["median_ms"] > 0.0
    for name in NAMES[2:]:
        assert rows[name]["median_ms"] is None
        assert rows[name]["reason"] == "stonesoup is not installed: pip install .[peers]"


def test_a_table_has_a_dash_for_what_was_not_measured() -> None:
    row = PeerRow(contender="stonesoup", tracks_per_feed=1000, in_both=950, reason="too long")
    headings, (cells,) = peer_rows(Peers(machine={}, versions={}, seed=1, budget_s=1.0, rows=[row]))
    assert cells == ["1,000", "stonesoup", *["-"] * 6]
    assert len(cells) == len(headings)
