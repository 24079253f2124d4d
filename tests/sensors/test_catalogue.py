"""A wrong catalogue is refused: the file, the key, what is wrong and what is allowed."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from bus.errors import BadInput
from sensors.instruments import Infrared, Radar, parse_sensors, sensor_catalogue
from sensors.missiles import CATALOGUE, find_site, find_type, missile_types, parse_flights, parse_sites, parse_types
from sensors.scenario import parse_nations
from tests.reference.read import rows

TYPES = (CATALOGUE / "types.toml").read_text(encoding="utf-8")
SENSORS = (CATALOGUE / "sensors.toml").read_text(encoding="utf-8")
SITES = (CATALOGUE / "sites.csv").read_text(encoding="utf-8")
FLIGHTS = (CATALOGUE / "flights.csv").read_text(encoding="utf-8")
NATIONS = (CATALOGUE / "nations.toml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("payload_kg = 500.0", "payload_kg = -500.0", r"mine.toml: kn-25.payload_kg: .*above 0"),
        ("propellant_kg = 2000.0", "propellant_kg = -2000.0", r"mine.toml: kn-25.stage\[0\].propellant_kg: .*above 0"),
        ("stage_mass_kg = 2500.0", "stage_mass_kg = 1500.0", r"mine.toml: kn-25.stage\[0\].stage_mass_kg: .*propellant"),
        ("boost = 0.6", "boost = 0.0", r"mine.toml: kn-25.rcs_m2.boost: .*above 0"),
        ("payload_kg = 500.0", "payload_kg = inf", r"mine.toml: kn-25.payload_kg: .*at most 1000000"),
        ("beta_kg_m2 = 6000.0", "beta_kg_m2 = inf", r"mine.toml: kn-25.beta_kg_m2: .*kg/m2, 10 to 1000000"),
        ("stage_mass_kg = 2500.0", "stage_mass_kg = inf", r"mine.toml: kn-25.stage\[0\].stage_mass_kg: .*at most 1000000"),
        ("isp_s = 240.0", "isp_s = 1e300", r"mine.toml: kn-25.stage\[0\].isp_s: .*seconds, above 0, at most 1000"),
        ("burn_s = 45.0", "burn_s = 1e-300", r"mine.toml: kn-25.stage\[0\].burn_s: .*seconds, 1 to 1000"),
        ("burn_s = 45.0", "burn_s = 1e12", r"mine.toml: kn-25.stage\[0\].burn_s: .*seconds, 1 to 1000"),
        ("below_km = 45.0", "below_km = 18.0", r"mine.toml: kn-23.glide\[0\].below_km: 18 is not above above_km .*above 18"),
        ("beta_kg_m2 = 6000.0", "beta = 6000.0", r"mine.toml: kn-25.beta: no such key .*beta_kg_m2"),
    ],
)
def test_a_type_that_cannot_be_is_refused_by_file_and_key(old: str, new: str, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        parse_types(TYPES.replace(old, new, 1), "mine.toml")


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("height_m = 20", "height_m = -20", r"mine.toml: Sejong-class Aegis.height_m: .*not under the ground"),
        ("lat_deg = 41.30", "lat_deg = 141.30", r"mine.toml: J/FPS-5 Ominato.lat_deg: .*-90 to 90"),
        ("bit = 1\n", "bit = 0\n", r"mine.toml: J/FPS-5 Sado.bit: 0 is already that of J/FPS-5 Ominato"),
        ("el_max_deg = 85.0", "el_max_deg = 2.0", r"mine.toml: UEWR Clear.el_max_deg: 2 is not above el_min_deg .*above 3"),
        ("search_s = 8.0", "search_s = 0.5", r"mine.toml: J/FPS-5 Ominato.search_s: 0.5 is below track_s"),
        ("az_min_deg = 200", "az_min_deg = 9999", r"mine.toml: J/FPS-5 Ominato.az_min_deg: .*degrees, -360 to 360"),
        ("az_max_deg = 340", "az_max_deg = inf", r"mine.toml: J/FPS-5 Ominato.az_max_deg: .*degrees, -360 to 360"),
        ("range_km = 1800", "range_km = 1_800_000", r"mine.toml: J/FPS-5 Ominato.range_km: .*kilometres, above 0, at most 10000"),
        ("range_bias_m = 20", "range_bias_m = inf", r"mine.toml: J/FPS-5 Ominato.range_bias_m: .*metres, 0 to 10000"),
        ("cell_m = 60", "cell_m = 1e-300", r"mine.toml: J/FPS-5 Ominato.cell_m: .*metres, 0.1 to 10000"),
        ("track_s = 1.0", "track_s = 1e-12", r"mine.toml: J/FPS-5 Ominato.track_s: .*seconds, 0.05 to 600"),
        ("scan_s = 10.0", "scan_s = 1e-12", r"mine.toml: GEO infrared A.scan_s: .*seconds, 0.05 to 600"),
        ("false_alarms = 0.02", "false_alarms = 1e9", r"mine.toml: J/FPS-5 Ominato.false_alarms: .*0 to 1000"),
        ("speed_kn = 12", "speed_kn = 0", r"mine.toml: Sejong-class Aegis.speed_kn: a path and a speed go together"),
        ("noise_kw_sr = 3.0", "noise_kw_sr = 0", r"mine.toml: GEO infrared A.noise_kw_sr: .*0.001 to 1000"),
        ('kind = "radar"', 'kind = "sonar"', r"mine.toml: J/FPS-5 Ominato.kind: no such kind: 'sonar' .*radar, infrared"),
    ],
)
def test_a_sensor_that_cannot_be_is_refused_by_file_and_key(old: str, new: str, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        parse_sensors(SENSORS.replace(old, new, 1), "mine.toml")


@pytest.mark.parametrize("number", ["nan", "inf", "-inf", "1e300", "-1e300"])
@pytest.mark.parametrize(("text", "parse"), [(TYPES, parse_types), (SENSORS, parse_sensors), (NATIONS, parse_nations)])
def test_every_number_has_limits_on_both_sides(text: str, parse: Callable[[str, str], object], number: str) -> None:
    keys = set(re.findall(r"(\w+) = -?\d", text))
    for key in keys:
        with pytest.raises(BadInput, match=rf"^mine.toml: .*{key}: .* \(allowed: .*\d.*\)$"):
            parse(re.sub(rf"\b{key} = [-\d.]+", f"{key} = {number}", text, count=1), "mine.toml")
    assert keys


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("Sunan,39.200", "Sunan,abc", r"mine.csv: Sunan.lat_deg: expected `float`, got 'abc' .*degrees, -90 to 90"),
        ("Sunan,39.200", "Sunan,139.2", r"mine.csv: Sunan.lat_deg: .*degrees, -90 to 90"),
        ("Sunan,39.200", "Sunan,nan", r"mine.csv: Sunan.lat_deg: .*degrees, -90 to 90"),
        ("Sunan,39.200", "Sunan,", r"mine.csv: Sunan.lat_deg: .*degrees, -90 to 90"),
        ("125.210,85", "-inf,85", r"mine.csv: N.Kusong.lon_deg: .*degrees, -180 to 180"),
        ("125.210,85", "125.210,999", r"mine.csv: N.Kusong.usual_azimuth_deg: .*degrees, -360 to 360"),
        ("Sunan,39.200", ",39.200", r"mine.csv: line 2.site: .*a name"),
        ("N.Kusong,", "SUNAN,", r"mine.csv: SUNAN.site: is there already"),
        (",85,CNS/NTI; azimuth notional", "", r"mine.csv: N.Kusong.usual_azimuth_deg: missing .*-360 to 360"),
        ("CNS/NTI;", "CNS,NTI;", r"mine.csv: Sunan: more cells than columns .*quotes"),
        ("CNS/NTI;", '"CNS/NTI;', r"mine.csv: line \d+: not CSV"),
        ("lat_deg", "latitude", r"mine.csv: lat_deg: the column is missing .*site, lat_deg, lon_deg"),
        (SITES, "", r"mine.csv: site: the column is missing"),
    ],
)
def test_a_site_that_cannot_be_is_refused_by_file_site_and_column(old: str, new: str, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        parse_sites(SITES.replace(old, new, 1), "mine.csv")


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (",550,500,", ",high,500,", r"mine.csv: 2017-02-12 Pukguksong-2.apogee_km: .*got 'high' .*0.1 to 20000"),
        (",550,500,", ",0,500,", r"mine.csv: 2017-02-12 Pukguksong-2.apogee_km: .*0.1 to 20000"),
        (",550,500,", ",550,-500,", r"mine.csv: 2017-02-12 Pukguksong-2.range_km: .*0.1 to 20000"),
        (",550,500,", ",550,nan,", r"mine.csv: 2017-02-12 Pukguksong-2.range_km: .*0.1 to 20000"),
        (",550,500,", ",inf,500,", r"mine.csv: 2017-02-12 Pukguksong-2.apogee_km: .*0.1 to 20000"),
        (",Pukguksong-2,", ",Pukguksong-9,", r"mine.csv: 2017-02-12 Pukguksong-9.type: no missile type .*pukguksong-2"),
        (",Kusong,", ",Atlantis,", r"mine.csv: 2017-02-12 Pukguksong-2.site: no launch site 'Atlantis' .*Sohae"),
        ("2017-02-12", "12.2.2017", r"mine.csv: 12.2.2017 Pukguksong-2.date_jst: .*a date like 2017-02-12"),
        (",range_km,", ",range,", r"mine.csv: range_km: the column is missing .*apogee_km, range_km"),
    ],
)
def test_a_flight_that_cannot_be_is_refused_by_file_flight_and_column(old: str, new: str, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        parse_flights(FLIGHTS.replace(old, new, 1), "mine.csv")


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (NATIONS, "", r"mine.toml: jpn: missing .*a table"),
        (NATIONS[NATIONS.index("[usa]") :], "", r"mine.toml: usa: missing .*a table"),
        ("[usa]", "[fra]", r"mine.toml: fra: no such key .*jpn, kor, usa"),
        ("J/FPS-5 Sado", "J/FPS-9", r"mine.toml: jpn.sensors\[1\]: no sensor 'J/FPS-9' of jpn .*J/FPS-5 Sado"),
        ("J/FPS-5 Sado", "GEO infrared A", r"mine.toml: jpn.sensors\[1\]: no sensor 'GEO infrared A' of jpn .*J/FPS-5 Sado"),
        ("[kor]", "[kor]\nbias = nan", r"mine.toml: kor.bias: .*a factor, 0 to 100"),
        ("report_interval_s = 1.0", "report_interval_s = inf", r"mine.toml: jpn.report_interval_s: .*seconds, 0.1 to 60"),
    ],
)
def test_nations_that_cannot_be_are_refused_by_file_nation_and_key(old: str, new: str, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        parse_nations(NATIONS.replace(old, new, 1), "mine.toml")


def test_every_published_type_and_booster_is_in_the_catalogue() -> None:
    for row in rows("flights.csv"):
        find_type(row["type"], "flights.csv", "type")
    for row in rows("boosters.csv"):
        find_type(row["model"], "boosters.csv", "model")


@pytest.mark.parametrize("row", rows("sites.csv"), ids=lambda row: row["site"])
def test_the_catalogue_has_the_published_sites(row: dict[str, str]) -> None:
    site = find_site(row["site"], "sites.csv", "site")
    assert (site.lat_deg, site.lon_deg) == (float(row["lat_deg"]), float(row["lon_deg"]))


@pytest.mark.parametrize("row", rows("sensors.csv"), ids=lambda row: row["sensor"])
def test_the_catalogue_has_the_published_sensors(row: dict[str, str]) -> None:
    """What is published of a sensor: how many there are, whose, what kind, where, its face, and its range within its limits."""
    name = row["sensor"].removesuffix(" (two)")
    alike = [sensor for key, sensor in sensor_catalogue().items() if key.startswith(name)]
    assert len(alike) == (1 if name == row["sensor"] else 2)
    kind = Infrared if row["kind"] == "infrared" else Radar
    for sensor in alike:
        assert isinstance(sensor, kind)
        assert sensor.nation == row["originator"]
    first = alike[0]
    if isinstance(first, Radar):
        for key in ("lat_deg", "lon_deg", "az_min_deg", "az_max_deg", "el_min_deg", "el_max_deg"):
            if row[key]:
                assert getattr(first, key) == float(row[key]), key
        if row["range_km"]:
            least, _, most = row["range_km"].partition("-")
            assert float(least) <= first.range_km <= float(most or least)


def test_what_is_measured_by_phase_is_notional_and_smaller_when_less_is_left() -> None:
    for name, missile in missile_types().items():
        assert missile.rcs_m2.boost >= missile.rcs_m2.coast >= missile.rcs_m2.reentry, name
    for name, sensor in sensor_catalogue().items():
        assert sensor.source, name
