"""The air against the printed tables of the U.S. Standard Atmosphere, 1976 (NOAA-S/T 76-1562, table I, geometric altitude)."""

from __future__ import annotations

import pytest

from physics.atmosphere import air
from tests.oracles_physics import density_kg_m3


@pytest.mark.parametrize(
    ("alt_m", "density", "sound"),
    [
        (0.0, 1.2250, 340.294),
        (5_000.0, 7.3643e-1, 320.545),
        (11_000.0, 3.6480e-1, 295.154),
        (20_000.0, 8.8910e-2, 295.069),
        (30_000.0, 1.8410e-2, 301.709),
        (50_000.0, 1.0269e-3, 329.799),
        (70_000.0, 8.2829e-5, 297.139),
        (80_000.0, 1.8458e-5, 282.538),
    ],
)
def test_density_and_speed_of_sound_are_the_tables(alt_m: float, density: float, sound: float) -> None:
    got = air(alt_m)
    assert got[0] == pytest.approx(density, rel=1e-3)
    assert got[1] == pytest.approx(sound, rel=1e-3)


def test_density_falls_without_a_jump_up_to_space() -> None:
    before = air(0.0)[0]
    for alt_m in range(100, 250_000, 100):
        now = air(float(alt_m))[0]
        assert 0.97 < now / before < 1.0
        before = now
    assert air(300e3)[0] == 0.0


def test_the_layers_agree_with_the_hydrostatic_equation_written_plainly() -> None:
    for alt_m in range(0, 86_000, 250):
        assert air(float(alt_m))[0] == pytest.approx(density_kg_m3(float(alt_m)), rel=1e-9)
