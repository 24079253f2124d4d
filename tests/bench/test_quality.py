"""The quality benchmark: its arithmetic on a case made by hand, what it shows where nothing is to be seen, and its command."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from bench.cli import main
from bench.distort import FED_BACK, Arrival
from bench.fused import FusedScore, Sums, holds
from bench.quality import ALONE_A_RUN, CASES, find_cases, measure_quality, salvo_of, scenarios_of
from bench.qualityrows import row_of
from bus.columns import Reports, SystemTracks, pack_cov
from bus.errors import BadInput
from bus.messages import Alert, AlertTimes, Member, PictureFrame, Place
from bus.release import NATIONS, Nation
from sensors.feed import Known, Release
from tests.bench.worlds import two_missiles

S = 1_000_000_000
SIGMA_M, SIGMA_M_S = 100.0, 10.0
COV = np.diag([SIGMA_M**2] * 3 + [SIGMA_M_S**2] * 3)
WORLD = two_missiles()
AT_NS = WORLD.truth.start_ns + 150 * S  # a whole ten seconds since the epoch; both coast


def says(score: FusedScore, nation: Nation, follows: dict[int, int], at_ns: int = AT_NS) -> None:
    """A nation reports these tracks; each follows that launch."""
    n = len(follows)
    block = Reports(
        np.array(list(follows), np.uint32),
        np.full(n, at_ns, np.int64),
        np.zeros((n, 6)),
        np.zeros((n, 21)),
        np.zeros((n, 3), np.uint8),
        *np.zeros((2, n), np.uint8),
        *np.zeros((3, n), np.uint32),
    )
    known = [Known(index, None, None) for index in follows.values()]
    score.hear(Arrival(at_ns, nation, Release(at_ns, "frame", NATIONS, block, known=known)))


def shows(
    score: FusedScore,
    rows: dict[int, tuple[tuple[int, int, int], np.ndarray[Any, np.dtype[np.float64]]]],
    dropped: list[int],
    alerts: list[Alert],
) -> None:
    """The picture's new rows: by system track its members and its state."""
    n = len(rows)
    block = SystemTracks(
        np.array(list(rows), np.uint32),
        np.full(n, AT_NS, np.int64),
        np.array([state for _, state in rows.values()]).reshape(n, 6),
        pack_cov(np.repeat(COV[None], n, axis=0)),
        np.zeros((n, 3), np.uint8),
        np.zeros(n, np.uint8),
        np.zeros(n, np.uint8),
        np.zeros(n, np.uint32),
        np.array([members for members, _ in rows.values()], np.uint32).reshape(n, 3),
        np.zeros(n, np.uint32),
    )
    frame = PictureFrame(session=0, seq=0, recipient="jpn", released_ns=AT_NS, n=n, dropped=dropped, columns=block.to_wire())
    score.take(alerts, [frame])


def warns(system: int, launch: tuple[float, float] | None, impact: tuple[float, float] | None, state: Any = "updated") -> Alert:
    """An alert with ellipses of 1 km by 100 m, the long way north."""
    places = [
        None
        if at is None
        else Place(
            lat_deg=at[0],
            lon_deg=at[1],
            semi_major_m=1000.0,
            semi_minor_m=100.0,
            bearing_deg=0.0,
            time_ns=AT_NS,
            time_sigma_s=1.0,
        )
        for at in (launch, impact)
    ]
    times = AlertTimes(valid_ns=AT_NS, detected_ns=AT_NS, tracked_ns=AT_NS, released_ns=AT_NS)
    return Alert(
        session=0,
        seq=0,
        id=f"a{system}",
        recipient="jpn",
        state=state,
        revision=1,
        system=system,
        members=[Member("kor", 1)],
        phenomenology=1,
        reason="",
        times=times,
        heading_deg=0.0,
        launch=places[0],
        impact=places[1],
    )


def test_a_hand_made_picture_has_the_figures_that_it_was_made_for() -> None:
    score, truth = FusedScore(WORLD, 10_000.0), WORLD.truth.states_at(AT_NS)
    one_sigma = np.array([SIGMA_M] * 3 + [SIGMA_M_S] * 3)
    says(score, "jpn", {11: 0, 12: 1})
    says(score, "kor", {21: 0, 22: 0, 23: 1})
    says(score, "usa", {31: 0})
    says(score, "usa", {31: 1}, AT_NS - S)  # late: tells nothing
    shows(
        score,
        {1: ((11, 21, 31), truth[0] + one_sigma), 2: ((12, 22, 0), truth[1]), 3: ((0, 23, 0), truth[1] + 3.0 * one_sigma)},
        [],
        [],
    )
    sums = score.sums
    assert sums.estimates[1].tolist() == pytest.approx(
        [2.0, 1.0 + 9.0, (1.0 + 9.0) * 3.0 * SIGMA_M**2]
    )  # the mixed one is not in
    assert not sums.estimates[[0, 2]].any()
    score.sample(AT_NS)
    assert (sums.pairs, sums.right) == (4, 3)  # three of the first, and the mixed pair
    assert (sums.due, sums.met) == (4, 3)  # launch 0: three pairs of nations; launch 1: jpn and kor, apart
    assert sums.swaps == 0
    first, false = 3.0 * SIGMA_M**2, 10_000.0**2 / 2.0
    assert sums.gospa_m == [pytest.approx(np.sqrt(first + false))]  # the exact one is matched, the third is false
    for nation, track in (("jpn", 11), ("kor", 21), ("usa", 31)):
        says(score, nation, {track: 1}, AT_NS + S)  # type: ignore[arg-type]
    shows(score, {}, [3], [])
    score.sample(AT_NS + S)
    assert (sums.swaps, sums.by_fusion) == (1, 0)
    row = row_of("by hand", [([sums], [100.0, 300.0])])
    assert row.anees == pytest.approx(5.0)
    assert row.anees_sigma is None
    assert [phase.estimates for phase in row.phases] == [0, 2, 0]
    assert row.phases[1].position_rms_m == pytest.approx(np.sqrt(15.0) * SIGMA_M, abs=0.1)
    assert row.correct_association == pytest.approx(6.0 / 8.0)
    assert (row.track_swaps, row.swaps_by_fusion) == (1.0, 0.0)
    assert row.gospa_centralised_m == 200.0


def test_a_swap_is_fusions_own_where_no_national_track_that_stayed_has_changed() -> None:
    score, truth = FusedScore(WORLD, 10_000.0), WORLD.truth.states_at(AT_NS)
    says(score, "jpn", {11: 0, 12: 1})
    says(score, "kor", {21: 0, 22: 1})
    for k, members in enumerate([(11, 21, 0), (11, 22, 0), (12, 22, 0), (11, 0, 0)]):  # the second agrees on no launch
        shows(score, {1: (members, truth[0])}, [], [])
        score.sample(AT_NS + k * S)
    assert (score.sums.swaps, score.sums.by_fusion) == (2, 2)


def test_what_is_fed_back_follows_what_it_was_made_of_and_not_itself() -> None:
    score, truth = FusedScore(WORLD, 10_000.0), WORLD.truth.states_at(AT_NS)
    says(score, "jpn", {FED_BACK + 1: 1})
    says(score, "kor", {21: 0})
    shows(score, {1: ((FED_BACK + 1, 21, 0), truth[0])}, [], [])
    assert score.seen_of(1) == 0
    assert score.follows_now(1) == -1


def test_points_on_the_ground_are_those_of_standing_alerts_on_the_launch_followed() -> None:
    score, truth, (one, other) = FusedScore(WORLD, 10_000.0), WORLD.truth.states_at(AT_NS), WORLD.truth.launches
    says(score, "kor", {21: 0, 22: 1, 23: 1})
    north, east = 0.5 / 111.2, 0.5 / 86.0  # half a kilometre, in degrees: within the major axis, beyond the minor one
    alerts = [
        warns(1, (one.launch_lat_deg + north, one.launch_lon_deg), (one.impact_lat_deg, one.impact_lon_deg + east)),
        warns(2, (other.launch_lat_deg, other.launch_lon_deg + east), None),
        warns(3, (other.launch_lat_deg, other.launch_lon_deg), None, state="retracted"),
    ]
    shows(score, {i + 1: ((0, 21 + i, 0), truth[min(i, 1)]) for i in range(3)}, [], alerts)
    score.sample(AT_NS)
    assert score.sums.places.tolist() == [[2.0, 1.0], [1.0, 0.0]]
    score.sample(AT_NS + S)  # not a whole ten seconds
    assert score.sums.places.tolist() == [[2.0, 1.0], [1.0, 0.0]]
    row = row_of("places", [([score.sums], [])])
    assert (row.lpe_coverage, row.ipp_coverage) == (0.5, 0.0)


def test_an_ellipse_holds_what_is_in_it() -> None:
    place = Place(
        lat_deg=39.0, lon_deg=126.0, semi_major_m=2000.0, semi_minor_m=500.0, bearing_deg=90.0, time_ns=0, time_sigma_s=0.0
    )
    assert holds(place, 39.0, 126.0 + 1.9 / 86.5)
    assert not holds(place, 39.0 + 1.9 / 111.2, 126.0)
    assert holds(place, 39.0 + 0.45 / 111.2, 126.0)
    assert not holds(place, 39.0, 126.0 + 2.1 / 86.5)


def test_where_there_is_nothing_there_is_no_figure() -> None:
    row = row_of("nothing", [([Sums()], [])])
    assert {row.anees, row.anees_sigma, row.correct_association, row.completeness, row.gospa_m, row.gospa_ratio} == {None}
    assert {row.lpe_coverage, row.ipp_coverage, row.gospa_centralised_m} == {None}
    assert all((phase.estimates, phase.anees, phase.position_rms_m) == (0, None, None) for phase in row.phases)


def test_the_standard_error_is_by_runs() -> None:
    runs = []
    for nees in (0.8, 1.2):
        sums = Sums()
        sums.estimates[1] = 10.0, 10.0 * nees, 0.0
        runs.append(([sums, sums], [1.0]))
    row = row_of("two runs", runs)
    assert row.anees == pytest.approx(1.0)
    assert row.anees_sigma == pytest.approx(0.2)  # of the mean of 0.8 and 1.2
    assert row.phases[0].anees_sigma is None


def test_cases_fly_what_they_say() -> None:
    assert {case.bias_sigmas for case in CASES} == {0.0, 2.0, 5.0, 10.0}
    assert {case.clock_s for case in CASES} == {0.0, 0.2, 1.0}
    assert {case.spacing_m for case in CASES} == {50.0, 400.0, 1000.0, 5000.0}
    assert {case.feedback for case in CASES} == {"none", "known", "unknown"}
    assert len({case.name for case in CASES}) == len(CASES)
    for case in CASES:
        for abreast in (False, True):
            launch = salvo_of(case.spacing_m, abreast=abreast).launches[0]
            assert (launch.spacing_m, launch.interval_s == 0.0) == (case.spacing_m, abreast)
    flown = [scenario.name for run in range(1, 6) for scenario in scenarios_of("alone", 400.0, run)]
    assert len(set(flown)) == 5 * ALONE_A_RUN
    with pytest.raises(BadInput, match="no such case"):
        find_cases(("salvo", "none such"))


def test_the_command_prints_the_rows_of_the_cases_asked_for_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    """One flight in place of three. Where nothing else flies there is nothing to be confused with."""
    monkeypatch.setattr("bench.quality.ALONE_A_RUN", 1)
    asked = ["--case", "alone", "--case", "alone, duplicates"]
    done = CliRunner().invoke(main, ["bench", "quality", "--runs", "1", "--seed", "2", *asked, "--json"])
    assert done.exit_code == 0
    result = json.loads(done.stdout)
    assert (result["runs"], result["seed"]) == (1, 2)
    plain, doubled = result["rows"]
    assert [plain.pop("case"), doubled.pop("case")] == asked[1::2]
    assert plain == doubled
    assert plain["correct_association"] >= 0.99
    assert plain["gospa_centralised_m"] > 0.0
    assert [phase["phase"] for phase in plain["phases"]] == ["boost", "coast", "re-entry"]


@pytest.mark.long
def test_runs_side_by_side_find_what_runs_one_by_one_find() -> None:
    (alone,) = find_cases(("alone",))
    one_by_one = measure_quality(2, 1, lambda _: None, (alone,), jobs=1)
    assert measure_quality(2, 1, lambda _: None, (alone,), jobs=2) == one_by_one
    assert one_by_one.rows[0].runs == 2
