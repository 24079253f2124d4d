"""Pedigree: what an estimate was made of. One bit a sensor, one a phenomenology, one column a nation. Pure.

Members are held as one row number a nation (column order: `bus.release.NATIONS`), -1 for none.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bus.release import NATIONS, Nation
from fusion.settings import Sensors

RADAR: Final = 1
INFRARED: Final = 2
COLUMN_OF: Final[dict[str, int]] = {nation: column for column, nation in enumerate(NATIONS)}
_NAMES: Final = {0: "no sensor", RADAR: "radar", INFRARED: "infrared", RADAR | INFRARED: "radar and infrared"}


def own_bits(sensors: Sensors) -> NDArray[np.int64]:
    """By column (3,), the pedigree bits of a nation's own sensors."""
    return np.array([getattr(sensors, nation) for nation in NATIONS], np.int64)


def foreign_bits(sensors: Sensors) -> NDArray[np.int64]:
    """By column (3,), the pedigree bits of all other nations' sensors. A sensor of nobody's is foreign to nobody."""
    own = own_bits(sensors)
    return np.asarray(np.bitwise_or.reduce(own) & ~own, np.int64)


def phenomenologies(bits: int) -> int:
    """How many kinds of sensor contributed."""
    return (bits & (RADAR | INFRARED)).bit_count()


def describe(bits: int, nations: Iterable[Nation]) -> str:
    """`radar of kor, usa`: for an alert's reason."""
    return f"{_NAMES[bits & (RADAR | INFRARED)]} of {', '.join(nations)}"
