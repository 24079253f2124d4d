"""Constants of the Earth and its air, each with its source. SI units and radians."""

from __future__ import annotations

from typing import Final

# World Geodetic System 1984 (NGA.STND.0036, 2014, table 3.1).
EARTH_A_M: Final = 6_378_137.0
EARTH_F: Final = 1.0 / 298.257223563
EARTH_B_M: Final = EARTH_A_M * (1.0 - EARTH_F)
EARTH_E2: Final = EARTH_F * (2.0 - EARTH_F)
EARTH_GM_M3_S2: Final = 3.986004418e14
EARTH_OMEGA_RAD_S: Final = 7.292115e-5
# EGM2008 second zonal harmonic, normalised C20 = -4.841654767e-4, J2 = -C20 sqrt(5) (NGA.STND.0036, 2014, table 5.1).
EARTH_J2: Final = 4.841654767e-4 * 5.0**0.5

# IUGG mean radius, for ground distances on a sphere (Moritz, Geodetic Reference System 1980).
EARTH_MEAN_RADIUS_M: Final = 6_371_008.8

# US Standard Atmosphere 1976, tables 1 and 2.
AIR_GAS_J_KG_K: Final = 287.05287
AIR_GAMMA: Final = 1.4
STANDARD_GRAVITY_M_S2: Final = 9.80665
GEOPOTENTIAL_RADIUS_M: Final = 6_356_766.0

# Ballistic coefficients of the ballistic types of the catalogue: geometric mean, and one sigma of the logarithm (held by
# tests/physics/test_fall.py).
USUAL_BETA_KG_M2: Final = 8500.0
USUAL_BETA_SIGMA: Final = 0.31
