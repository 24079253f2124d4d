"""Scenarios: strict, and every refusal names the file, the key and what is allowed."""

from __future__ import annotations

from pathlib import Path

import pytest

from bus.errors import BadInput
from sensors import scenario
from sensors.scenario import default_nation, load_scenario, parse_scenario
from sensors.truth import build_truth

HEAD = 'name = "t"\ntitle = "t"\nstart = 2024-05-30T06:14:00+09:00\n'
LAUNCH = '[[launch]]\ntype = "KN-25"\nsite = "sunan"\nat_s = 1.0\nrange_km = 350.0\n'
WORD = '[[decorrelation]]\nnation = "jpn"\nat_s = 30.0\ntracks = ["jpn/4", "usa/7"]\n'


@pytest.mark.parametrize(
    ("text", "key", "says"),
    [
        (HEAD, "duration_s", "missing"),
        (HEAD.replace("+09:00", "") + LAUNCH, "start", "no time zone"),
        (HEAD.replace("2024", "9999") + LAUNCH, "start", "1970 to 2199"),
        (HEAD.replace("2024", "0001") + LAUNCH, "start", "1970 to 2199"),
        (HEAD + LAUNCH.replace("350.0", "nan"), "launch[0].range_km", "0.1 to 20000"),
        (HEAD + LAUNCH.replace("KN-25", "KN-99"), "launch[0].type", "hwasong-17"),
        (HEAD + LAUNCH.replace("sunan", "Atlantis"), "launch[0].site", "Sohae"),
        (HEAD + LAUNCH.replace("350.0", "-1"), "launch[0].range_km", "0.1 to 20000"),
        (HEAD + LAUNCH.replace("at_s", "when"), "launch[0].when", "azimuth_deg"),
        (HEAD + "duration_s = 10.0\n" + LAUNCH.replace("1.0", "11.0"), "launch[0].at_s", "after the end"),
        (HEAD + LAUNCH + "[nations.fra]\nbias = 1.0\n", "nations", "fra"),
        (HEAD + LAUNCH + "[nations.jpn]\nrelease_to = ['mars']\n", "nations.jpn.release_to[0]", "mars"),
        (HEAD + LAUNCH + "[nations.jpn]\nsensors = ['nope']\n", "nations.jpn.sensors[0]", "J/FPS-5 Sado"),
        (HEAD + LAUNCH + "[nations.jpn]\nsensors = ['AN/TPY-2 Shariki']\n", "nations.jpn.sensors[0]", "J/FPS-5 Sado"),
        (HEAD + LAUNCH + "[[outage]]\nfrom_s = 5.0\nto_s = 5.0\n", "outage[0].to_s", "above 5"),
        (HEAD + LAUNCH + "[[outage]]\nkind = 'sonar'\n", "outage[0].kind", "radar"),
        (HEAD + LAUNCH + WORD.replace("jpn/4", "jpn-4"), "decorrelation[0].tracks[0]", "like jpn/4"),
        (HEAD + LAUNCH + WORD.replace("usa/7", "usa/0"), "decorrelation[0].tracks[1]", "from 1 to 4294967295"),
        (HEAD + LAUNCH + WORD.replace("usa/7", "jpn/7"), "decorrelation[0].tracks", "two tracks of two nations, like"),
        (HEAD + LAUNCH + WORD.replace(', "usa/7"', ""), "decorrelation[0].tracks", "two tracks of two nations, like"),
        (HEAD + LAUNCH + WORD.replace('"jpn"', '"fra"'), "decorrelation[0].nation", "jpn"),
        (HEAD + LAUNCH + WORD + "apart = true\n", "decorrelation[0].apart", "undo"),
        (HEAD + "duration_s = 30.0\n" + LAUNCH + WORD, "decorrelation[0].at_s", "below 30"),
    ],
)
def test_a_wrong_scenario_is_refused_by_file_key_and_what_is_allowed(text: str, key: str, says: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse_scenario(text, "my.toml")
    assert caught.value.source == "my.toml"
    assert caught.value.key.startswith(key)
    assert says in str(caught.value)


def test_a_scenario_is_not_blamed_for_the_catalogues_nations(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "nations.toml"
    file.write_text(scenario._NATIONS_FILE.read_text().replace("J/FPS-5 Sado", "nope"))
    monkeypatch.setattr(scenario, "_NATIONS_FILE", file)
    scenario._default_nations.cache_clear()  # what is refused is not kept: the next test reads the catalogue's own
    with pytest.raises(BadInput, match=r"^nations.toml: jpn.sensors\[1\]: no sensor 'nope' of jpn"):
        parse_scenario(HEAD + LAUNCH, "my.toml")
    with pytest.raises(BadInput, match=r"^my.toml: nations.jpn.sensors\[0\]: no sensor 'mine' of jpn"):
        parse_scenario(HEAD + LAUNCH + "[nations.jpn]\nsensors = ['mine']\n", "my.toml")


def test_limits_of_optional_fields_are_told_too() -> None:
    with pytest.raises(BadInput, match=r"launch\[0\].apogee_km: .*kilometres, 0.1 to 20000"):
        parse_scenario(HEAD + LAUNCH + "apogee_km = -1.0\n", "my.toml")
    with pytest.raises(BadInput, match=r"nations.kor.release_delay_s: .*seconds, 0 to 600"):
        parse_scenario(HEAD + LAUNCH + "[nations.jpn]\n[nations.kor]\nrelease_delay_s = -5.0\n", "my.toml")


def test_a_scenario_too_large_for_the_bus_is_refused() -> None:
    with pytest.raises(BadInput, match=r"my.toml: \d+ bytes are too many"):
        parse_scenario(HEAD + LAUNCH + "#" * 200_000, "my.toml")


def test_an_apogee_out_of_reach_is_refused_by_key() -> None:
    with pytest.raises(BadInput, match=r"my.toml: launch\[0\].range_km: KN-25 .* cannot fly"):
        build_truth(parse_scenario(HEAD + LAUNCH.replace("350.0", "3500.0"), "my.toml"))


def test_names_are_taken_in_any_letter_case() -> None:
    upper = parse_scenario(HEAD + LAUNCH.replace("KN-25", "kn-25").replace("sunan", "SUNAN"), "my.toml")
    assert build_truth(upper).launches[0].type == "kn-25"
    spaced = parse_scenario(HEAD + LAUNCH.replace("KN-25", "No-Dong A"), "my.toml")
    assert build_truth(spaced).launches[0].type == "no-dong-a"


def test_azimuth_and_range_fly_a_minimum_energy_path_on_that_bearing() -> None:
    launch = build_truth(parse_scenario(HEAD + LAUNCH + "azimuth_deg = 90.0\n", "my.toml")).launches[0]
    assert launch.range_km == pytest.approx(350.0, rel=2e-3)
    assert launch.apogee_km == pytest.approx(86.0, rel=0.02)
    assert launch.impact_lat_deg == pytest.approx(launch.launch_lat_deg, abs=0.2)


def test_a_scenario_changes_only_what_it_names() -> None:
    plan = parse_scenario(HEAD + LAUNCH + "[nations.jpn]\nrelease_delay_s = 9.0\n", "my.toml").nations["jpn"]
    assert plan.release_delay_s == 9.0
    assert plan.sensors == default_nation("jpn").sensors


def test_a_file_that_is_not_there_is_named_with_what_is(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"nowhere.toml: no such scenario or file .*salvo-2024-05-30"):
        load_scenario(str(tmp_path / "nowhere.toml"))
