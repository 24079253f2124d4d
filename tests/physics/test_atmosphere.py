"""The air against the printed tables of the U.S. Standard Atmosphere, 1976 (NOAA-S/T 76-1562, table I, geometric altitude)."""

from __future__ import annotations

import pytest

from physics.atmosphere import air
from tests.oracles_physics import density_kg_m3
from tests.plain import both_ways
from tests.reference.read import rows


@pytest.mark.parametrize("row", rows("us76.csv"), ids=lambda row: row["alt_m"])
def test_density_and_speed_of_sound_are_the_tables(row: dict[str, str]) -> None:
    density, sound = air(float(row["alt_m"]))
    assert density == pytest.approx(float(row["density_kg_m3"]), rel=1e-3)
    assert sound == pytest.approx(float(row["sound_m_s"]), rel=1e-3)


def test_density_falls_without_a_jump_up_to_space() -> None:
    before = air(0.0)[0]
    for alt_m in range(100, 250_000, 100):
        now = air(float(alt_m))[0]
        assert 0.97 < now / before < 1.0
        before = now
    assert air(300e3)[0] == 0.0


@both_ways(air)
def test_the_layers_agree_with_the_hydrostatic_equation_written_plainly() -> None:
    for alt_m in range(0, 86_000, 250):
        assert air(float(alt_m))[0] == pytest.approx(density_kg_m3(float(alt_m)), rel=1e-9)
