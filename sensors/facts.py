"""What a track report honestly tells that a release policy may ask for: sensors, class, phase, position.

Its class is that of the greatest range that its energy could reach (NASIC, Ballistic and Cruise Missile Threat, 2020: short up to
1,000 km, medium to 3,000, intermediate to 5,500, intercontinental beyond), so that a lofted flight is of the class of what flies
it. It shows only in free flight that is sure, and where it is the same at two sigma of the speed to either side. What boosts may
become anything: unknown. Air takes energy away, and phases waver: in free flight a track has the highest class that it has shown.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bus.columns import Reports, unpack_cov
from physics.constants import EARTH_GM_M3_S2, EARTH_MEAN_RADIUS_M
from physics.frames import ecef_to_geodetic
from sensors.policy import Facts, Phase, RangeClass

Float = NDArray[np.float64]

PHASES: Final[tuple[Phase, ...]] = ("boost", "coast", "re-entry")  # as in the wire's column
_UP_TO_M: Final[dict[RangeClass, float]] = {
    "short-range": 1_000e3,
    "medium-range": 3_000e3,
    "intermediate-range": 5_500e3,
    "intercontinental": math.inf,
}
_RANKS: Final = list(_UP_TO_M)
_MAY_BOOST: Final = 5  # in 1/255, two percent: as for a track's impact prediction
_SIGMAS: Final = 2.0


def reach_m(radius_m: float, speed_m_s: float) -> float:
    """The greatest ground range, m, of a flight with this speed at this distance from the Earth's centre: no air, a sphere at
    rest. Half round the Earth where it may get there. The inverse of `kepler.minimum_energy`.
    """
    at_ground = speed_m_s**2 + 2.0 * EARTH_GM_M3_S2 * (1.0 / EARTH_MEAN_RADIUS_M - 1.0 / radius_m)
    energy = at_ground * EARTH_MEAN_RADIUS_M / EARTH_GM_M3_S2  # v^2 r / GM
    if not energy < 1.0:
        return math.pi * EARTH_MEAN_RADIUS_M if energy >= 1.0 else math.nan
    return 2.0 * EARTH_MEAN_RADIUS_M * math.asin(max(energy, 0.0) / (2.0 - max(energy, 0.0)))


def range_class(state: Float, cov: Float) -> RangeClass:
    """The class of a state (6,) in free flight, with its covariance (6, 6); unknown where it is not sure."""
    radius_m, speed_m_s = math.hypot(*state[:3]), math.hypot(*state[3:])
    if not (radius_m > 0.0 and speed_m_s > 0.0):
        return "unknown"
    along = state[3:] / speed_m_s
    sigma_m_s = math.sqrt(max(float(along @ cov[3:, 3:] @ along), 0.0))
    least, most = (_class_of(reach_m(radius_m, max(speed_m_s + sigmas * sigma_m_s, 0.0))) for sigmas in (-_SIGMAS, _SIGMAS))
    return least if least == most else "unknown"


def _class_of(reach: float) -> RangeClass:
    return next((name for name, up_to_m in _UP_TO_M.items() if reach <= up_to_m), "unknown")


class FactFinder:
    """The facts of one nation's reports. It remembers the class that each track has shown; `names`: its sensors' by bit."""

    def __init__(self, names: Mapping[int, str]) -> None:
        self._names = names
        self._shown: dict[int, RangeClass] = {}

    def of(self, block: Reports, glides: Sequence[bool]) -> list[Facts]:
        """The facts of each report; `glides`: whether its track ever seemed to glide."""
        covs = unpack_cov(block.cov)
        return [
            Facts(
                self._sensors(int(block.pedigree[i])),
                "gliding" if glides[i] else self._class(int(block.track[i]), block.phase[i], block.state[i], covs[i]),
                _phase(block.phase[i]),
                *_position_deg(block.state[i, :3]),
            )
            for i in range(len(block))
        ]

    def _sensors(self, pedigree: int) -> frozenset[str] | None:
        """The contributing sensors; None where there are none, or others than the nation's."""
        bits = [bit for bit in range(pedigree.bit_length()) if pedigree >> bit & 1]
        known = all(bit in self._names for bit in bits)
        return frozenset(self._names[bit] for bit in bits) if bits and known else None

    def _class(self, track: int, phase: NDArray[np.uint8], state: Float, cov: Float) -> RangeClass:
        if _phase(phase) in (None, "boost"):
            return "unknown"
        now, shown = range_class(state, cov), self._shown.get(track, "unknown")
        if (
            phase[0] <= _MAY_BOOST
            and phase[1] >= phase[2]
            and now != "unknown"
            and (shown == "unknown" or _RANKS.index(now) > _RANKS.index(shown))
        ):
            self._shown[track] = shown = now
        return shown


def _phase(phase: NDArray[np.uint8]) -> Phase | None:
    return PHASES[int(phase.argmax())] if phase.any() else None


def _position_deg(r_ecef_m: Float) -> tuple[float, float]:
    if not np.isfinite(r_ecef_m).all():
        return math.nan, math.nan
    lat_rad, lon_rad, _ = ecef_to_geodetic(r_ecef_m)
    return math.degrees(lat_rad), math.degrees(lon_rad)
