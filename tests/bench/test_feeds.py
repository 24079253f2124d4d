"""The measure of the national feeds: it finds what is there, over every published flight, and faster than real time."""

from __future__ import annotations

import json

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner
from rich.console import Console
from scipy.stats import chi2

from bench.cli import main
from bench.consistency import NEES_999, figures
from bench.feeds import FeedQuality, measure_feeds
from bench.feedtables import feed_tables
from bench.population import find_populations, flyable, population_names
from bus.errors import BadInput
from bus.release import NATIONS
from sensors.flight import solve
from sensors.missiles import find_type, published_flights
from sensors.scenario import SCENARIOS
from sensors.truth import PHASE_COAST, build_truth


@pytest.fixture(scope="module")
def overflight() -> FeedQuality:
    return measure_feeds(2, ("overflight",))


def test_the_feeds_of_an_overflight_are_measured_by_nation_and_phase(overflight: FeedQuality) -> None:
    assert {(row.nation, row.phase) for row in overflight.consistency} >= {(n, p) for n in NATIONS for p in ("boost", "coast")}
    for row in overflight.consistency:
        assert row.reports > 0
        assert 0.05 < row.anees < 3.0
        assert row.anees_sigma is not None
        assert 0.0 <= row.outside_999 < 0.5
        assert 10.0 < row.position_rms_m < 20e3
    first = {row.nation: row for row in overflight.first}
    for nation in NATIONS:
        detected, reported = first[nation].detected_after_s, first[nation].reported_after_s
        assert detected is not None
        assert reported is not None
        assert 0.0 < detected < reported
        assert first[nation].reported_share == 1.0
    assert first["usa"].detected_after_s < first["kor"].detected_after_s < first["jpn"].detected_after_s  # type: ignore[operator]
    assert overflight.speed[0].times_real_time > 100.0


def test_over_one_scenario_everything_is_that_scenario(overflight: FeedQuality) -> None:
    alone = [msgspec.structs.asdict(row) for row in overflight.consistency]
    assert [{**msgspec.structs.asdict(row), "scenario": "overflight"} for row in overflight.phases] == alone


def test_the_tables_fit_into_a_hundred_columns(overflight: FeedQuality) -> None:
    console = Console(width=200, record=True, quiet=True)
    titles = [table.title for table in feed_tables(overflight)]
    for table in feed_tables(overflight):
        assert console.measure(table).maximum <= 100
    assert titles == [
        "National tracks against truth, over everything",
        "The same by scenario",
        "Seconds after launch, medians",
        "Truth to national tracks on one core",
    ]


def test_the_tail_begins_at_the_99_9_percent_point() -> None:
    assert pytest.approx(chi2.ppf(0.999, 6), abs=1e-6) == NEES_999


def test_a_run_is_one_sample_however_alike_its_reports_are() -> None:
    """Runs whose reports all share one error: measured over and over, the mean scatters as its standard error says."""
    rng = np.random.default_rng(1)
    found = []
    for _ in range(400):
        means, counts = 1.0 + 0.3 * rng.standard_normal(100), rng.integers(10, 200, 100)
        runs = [np.array([n, n * mean, 0.0, n * 4.0, 0.0, 0.0, 10.0, 9.0]) for n, mean in zip(counts, means, strict=True)]
        found.append(figures(("jpn", PHASE_COAST), runs))
    assert np.mean([each.anees for each in found]) == pytest.approx(1.0, abs=0.006)
    sigmas = [each.anees_sigma for each in found if each.anees_sigma is not None]
    assert np.std([each.anees for each in found]) == pytest.approx(np.sqrt(np.mean(np.square(sigmas))), rel=0.1)
    assert (found[-1].reports, found[-1].position_rms_m, found[-1].outside_999) == (counts.sum(), 2.0, 0.0)
    assert (found[-1].lpe_coverage, found[-1].ipp_coverage) == (None, 0.9)


def test_runs_without_many_reports_weigh_little_and_one_run_has_no_standard_error() -> None:
    alike = [np.array([100.0, 100.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0])] * 4
    one = figures(("kor", PHASE_COAST), alike[:1])
    odd = figures(("kor", PHASE_COAST), [*alike, np.array([1.0, 9.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0])])
    assert (one.anees, one.anees_sigma, one.outside_999) == (1.0, None, 0.01)
    assert odd.anees == pytest.approx(409.0 / 401.0, abs=1e-3)
    assert odd.anees_sigma is not None
    assert odd.anees_sigma < 0.03


@pytest.mark.parametrize(("name", "glide", "least"), [("published-flights", False, 11), ("published-glides", True, 3)])
def test_every_published_flight_is_flown_in_turn_with_a_glide_or_without(name: str, glide: bool, least: int) -> None:
    wanted = [row for row in published_flights() if bool(find_type(row.type, "test", "type").glide) == glide]
    assert len(wanted) >= least
    (population,) = find_populations((name,))
    assert population.counts != glide
    flown = [population.scenario(run) for run in range(2 * len(wanted))]
    assert flown[: len(wanted)] == flown[len(wanted) :] == list(flyable(glide=glide))
    for row, scenario in zip(wanted, flown, strict=False):
        (launch,) = build_truth(scenario).launches  # a salvo's row is one missile too
        assert launch.apogee_km == pytest.approx(row.apogee_km, rel=1e-3)
        assert launch.range_km == pytest.approx(row.range_km, rel=1e-3)
    solved = solve.cache_info().misses
    for scenario in flown:
        build_truth(scenario)
    assert solve.cache_info().misses == solved


def test_published_flights_are_measured_as_one_scenario() -> None:
    steps: list[tuple[int, int]] = []
    lines: list[str] = []
    result = measure_feeds(2, ("published-flights",), lines.append, lambda done, total: steps.append((done, total)))
    assert {row.scenario for row in result.consistency} == {"published-flights"}
    assert {row.nation for row in result.phases} == set(NATIONS)
    assert lines == ["published-flights, 2 runs"]
    assert steps == [(0, 2), (1, 2)]


@pytest.mark.long
def test_a_hundred_launches_at_once_are_tracked_faster_than_real_time() -> None:
    result = measure_feeds(1, ("hundred",))
    (speed,) = result.speed
    assert speed.launches == 100
    assert speed.times_real_time > 1.0
    assert {row.nation for row in result.first if row.reported_share > 0.9} == set(NATIONS)
    assert result.phases == []  # it is there for its load


def test_the_hundred_are_all_in_flight_at_once_and_take_few_runs() -> None:
    (hundred,) = find_populations(("hundred",))
    launches = build_truth(hundred.scenario(1)).launches
    assert max(launch.launch_ns for launch in launches) - min(launch.launch_ns for launch in launches) < 10e9
    assert len({launch.type for launch in launches}) == 5
    assert hundred.most_runs == 2


def test_a_scenario_without_launches_has_a_speed_and_nothing_else() -> None:
    result = measure_feeds(1, ("quiet",))
    assert (result.phases, result.consistency, result.first) == ([], [], [])
    assert len(feed_tables(result)) == 1


def test_an_unknown_name_is_refused_with_the_list() -> None:
    with pytest.raises(BadInput, match=r"no such scenario 'overfly'.*quiet.*published-flights, published-glides, hundred"):
        find_populations(("overflight", "overfly"))
    done = CliRunner().invoke(main, ["bench", "sensors", "--scenario", "overfly"])
    assert done.exit_code == 2
    assert [*SCENARIOS, "published-flights", "published-glides", "hundred"] == population_names()


def test_the_command_prints_one_json_object_of_what_was_asked_for() -> None:
    done = CliRunner().invoke(main, ["bench", "sensors", "--runs", "1", "--scenario", "Overflight", "--json"])
    assert done.exit_code == 0
    assert done.stderr == "- overflight, 1 run\n"
    tree = json.loads(done.stdout)
    assert set(tree) == {"machine", "runs", "phases", "consistency", "first", "speed"}
    assert {row["scenario"] for row in tree["consistency"]} == {"overflight"}
    assert tree["phases"][0]["anees_sigma"] is None
