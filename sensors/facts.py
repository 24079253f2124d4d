"""What a track report honestly tells that a release policy may ask for: sensors, class, phase, position.

Its class is that of the greatest range that its energy could reach, so that a lofted flight is of the class of what flies it.
It shows only in free flight that is sure, and where it is the same at two sigma of the speed to either side. What boosts may
become anything: unknown. Air takes energy away, and phases waver: in free flight a track has the highest class that it has
shown.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bus.classes import RangeClass, class_between, higher
from bus.columns import Reports, unpack_cov
from physics.frames import ecef_to_geodetic
from physics.reach import reaches_m
from sensors.policy import Facts, Phase

Float = NDArray[np.float64]

PHASES: Final[tuple[Phase, ...]] = ("boost", "coast", "re-entry")  # as in the wire's column
_MAY_BOOST: Final = 5  # in 1/255, two percent: as for a track's impact prediction
_SIGMAS: Final = 2.0


def range_class(state: Float, cov: Float) -> RangeClass:
    """The class of a state (6,) in free flight, with its covariance (6, 6); unknown where it is not sure."""
    return class_between(*reaches_m(state, cov, _SIGMAS))


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
        shown = self._shown.get(track, "unknown")
        if phase[0] <= _MAY_BOOST and phase[1] >= phase[2]:
            self._shown[track] = shown = higher(shown, range_class(state, cov))
        return shown


def _phase(phase: NDArray[np.uint8]) -> Phase | None:
    return PHASES[int(phase.argmax())] if phase.any() else None


def _position_deg(r_ecef_m: Float) -> tuple[float, float]:
    if not np.isfinite(r_ecef_m).all():
        return math.nan, math.nan
    lat_rad, lon_rad, _ = ecef_to_geodetic(r_ecef_m)
    return math.degrees(lat_rad), math.degrees(lon_rad)
