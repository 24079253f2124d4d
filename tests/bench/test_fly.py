"""`triwarn fly` as a user runs it."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bench.cli import main
from bench.fly import path_of, predict, to_geojson

LOFTED = ("--type", "hwasong-17", "--site", "Sunan", "--apogee-km", "6040.9", "--range-km", "999.2")


def fly(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["fly", *arguments])


def test_the_published_lofted_flight_is_predicted_in_all_its_figures() -> None:
    """Published on 2022-11-18: 4,135 s of flight (CNS/NTI)."""
    told = json.loads(fly(*LOFTED, "--flight-time-s", "4135", "--json").stdout)
    assert told["apogee_km"] == pytest.approx(6040.9, rel=1e-3)
    assert told["range_km"] == pytest.approx(999.2, rel=1e-3)
    assert told["flight_time_s"] == pytest.approx(4135.0, rel=0.02)
    assert 0.0 < told["burnout_time_s"] < told["kepler_time_s"] < told["flight_time_s"]
    assert 5e3 < told["burnout_speed_m_s"] < 8e3
    assert 100.0 < told["burnout_altitude_km"] < 1000.0
    assert told["claim_differs_s"] == pytest.approx(4135.0 - told["flight_time_s"], abs=0.01)
    assert told["claim_differs_percent"] == pytest.approx(100.0 * told["claim_differs_s"] / told["flight_time_s"], abs=0.01)


def test_a_plot_without_the_library_for_it_is_refused_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    result = fly(*LOFTED, "--plot", str(tmp_path / "flight.png"))
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1] == "triwarn: flag --plot: needs matplotlib, which is not installed here"


def test_names_may_be_in_any_letter_case_and_the_azimuth_is_the_users() -> None:
    told = json.loads(fly("--type", "HWASONG-17", "--site", "sUNAN", *LOFTED[4:], "--azimuth-deg", "90", "--json").stdout)
    assert (told["type"], told["site"], told["azimuth_deg"]) == ("hwasong-17", "Sunan", 90.0)
    assert told["impact_lon_deg"] > 125.673
    assert told["impact_lat_deg"] == pytest.approx(39.2, abs=1.0)


def test_without_an_apogee_the_path_is_of_minimum_energy() -> None:
    """Published: 74 km over 300 km (a sphere without air)."""
    told = json.loads(fly("--type", "kn-25", "--site", "Sunan", "--range-km", "300", "--json").stdout)
    assert told["apogee_km"] == pytest.approx(74.0, rel=0.01)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((*LOFTED, "--flight-time-s", "3900"), "the Kepler ellipse alone takes 3947 s"),
        (("--type", "scud-b", "--site", "Hodo", "--range-km", "3000"), "cannot fly"),
        (("--type", "kn-99", "--site", "Hodo", "--range-km", "300"), "no missile type 'kn-99'"),
        (("--type", "kn-25", "--site", "Atlantis", "--range-km", "300"), "no launch site 'Atlantis'"),
        (("--type", "kn-25", "--site", "Hodo", "--range-km", "-1"), "0.1 to 20000"),
        (("--type", "kn-25", "--site", "Hodo", "--range-km", "nan"), "0.1 to 20000"),
        (("--type", "kn-25", "--site", "Hodo", "--range-km", "300", "--apogee-km", "0"), "0.1 to 20000"),
        (("--type", "kn-25", "--site", "Hodo", "--range-km", "300", "--czml", "/nowhere/x.czml"), "/nowhere/x.czml: cannot be"),
    ],
)
def test_what_cannot_be_flown_or_written_is_refused_in_one_line(arguments: tuple[str, ...], says: str) -> None:
    result = fly(*arguments)
    assert result.exit_code == 2
    assert says in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert result.stdout == ""


@pytest.mark.parametrize("number", ["nan", "inf", "-inf", "1e200"])
@pytest.mark.parametrize("option", ["--range-km", "--apogee-km", "--azimuth-deg", "--flight-time-s"])
def test_a_number_that_no_flight_has_is_refused_by_its_option(option: str, number: str) -> None:
    result = fly(*LOFTED, option, number)
    assert result.exit_code == 2
    assert re.fullmatch(rf"triwarn: fly: {option}: expected .* \(allowed: .*\d\)\n", result.stderr)
    assert result.stdout == ""


@pytest.mark.parametrize("option", ["--range-km", "--apogee-km"])
def test_a_distance_too_small_for_a_flight_is_refused(option: str) -> None:
    result = fly(*LOFTED, option, "1e-300")
    assert result.exit_code == 2
    assert f"triwarn: fly: {option}: " in result.stderr
    assert "0.1 to 20000" in result.stderr


def test_the_exported_paths_begin_at_the_site_and_end_at_the_impact(tmp_path: Path) -> None:
    czml, geojson = tmp_path / "a.czml", tmp_path / "a.geojson"
    told = json.loads(fly(*LOFTED, "--czml", str(czml), "--geojson", str(geojson), "--json").stdout)
    line, launch, impact = json.loads(geojson.read_text())["features"]
    assert line["geometry"]["type"] == "LineString"
    assert launch["geometry"]["coordinates"][:2] == pytest.approx([125.673, 39.2], abs=1e-3)
    assert impact["geometry"]["coordinates"][:2] == pytest.approx([told["impact_lon_deg"], told["impact_lat_deg"]], abs=1e-3)
    assert max(point[2] for point in line["geometry"]["coordinates"]) == pytest.approx(told["apogee_km"] * 1e3, rel=1e-3)
    assert len(line["properties"]["seconds"]) == len(line["geometry"]["coordinates"])
    document, packet = json.loads(czml.read_text())
    cartesian = packet["position"]["cartesian"]
    assert document["version"] == "1.0"
    assert cartesian[0] == 0.0
    assert cartesian[-4] == pytest.approx(told["flight_time_s"], abs=0.01)
    assert sum(value**2 for value in cartesian[1:4]) ** 0.5 == pytest.approx(6.37e6, rel=1e-3)


@pytest.mark.parametrize("eastward", [True, False])
def test_an_exported_path_over_the_antimeridian_is_cut_there(eastward: bool) -> None:
    """RFC 7946, 3.1.9. No site lies east of it, so the way back is the same flight in a mirror."""
    prediction, flight = predict("generic liquid icbm", "sunan", 8000.0)
    path, side = path_of(flight), 180.0 if eastward else -180.0
    flown = path if eastward else replace(path, lon_deg=-path.lon_deg)
    line, launch, impact = json.loads(to_geojson(prediction, flown))["features"]
    assert line["geometry"]["type"] == "MultiLineString"
    before, after = line["geometry"]["coordinates"]
    seconds = line["properties"]["seconds"]
    assert (before[0], after[-1]) == (launch["geometry"]["coordinates"], impact["geometry"]["coordinates"])
    assert (before[-1][0], after[0][0]) == (side, -side)
    assert (before[-1][1:], seconds[0][-1]) == (after[0][1:], seconds[1][0])
    for k in (1, 2):  # latitude and altitude at the cut: as far along as the time is
        along = (seconds[0][-1] - seconds[0][-2]) / (seconds[1][1] - seconds[0][-2])
        assert before[-1][k] == pytest.approx(before[-2][k] + along * (after[1][k] - before[-2][k]), abs=2.0 if k == 2 else 1e-4)
    for piece, times in zip((before, after), seconds, strict=True):
        assert len(piece) == len(times)
        assert all(one < other for one, other in pairwise(times))
        assert all(abs(one[0] - other[0]) < 1.0 for one, other in pairwise(piece))


def test_the_plot_is_a_picture(tmp_path: Path) -> None:
    from matplotlib.image import imread

    file = tmp_path / "a.png"
    assert fly(*LOFTED, "--plot", str(file)).exit_code == 0
    picture = imread(file)
    assert min(picture.shape[:2]) > 400
    assert picture[..., :3].std() > 0.05
