"""Classes of missiles by range, as release rules and alerts name them.

After NASIC, Ballistic and Cruise Missile Threat (2020): short up to 1,000 km, medium to 3,000, intermediate to 5,500,
intercontinental beyond. What glides is a class of its own, and so is what nobody can tell yet.
"""

from __future__ import annotations

import math
from typing import Final, Literal

RangeClass = Literal["short-range", "medium-range", "intermediate-range", "intercontinental", "gliding", "unknown"]

_UP_TO_M: Final[dict[RangeClass, float]] = {
    "short-range": 1_000e3,
    "medium-range": 3_000e3,
    "intermediate-range": 5_500e3,
    "intercontinental": math.inf,
}
_RANKS: Final = list(_UP_TO_M)


def class_between(least_m: float, most_m: float) -> RangeClass:
    """The class of what reaches no less and no more than these, m; unknown where they are of two classes, or not numbers."""
    least, most = _class_of(least_m), _class_of(most_m)
    return least if least == most else "unknown"


def _class_of(reach_m: float) -> RangeClass:
    return next((name for name, up_to_m in _UP_TO_M.items() if reach_m <= up_to_m), "unknown")


def higher(shown: RangeClass, now: RangeClass) -> RangeClass:
    """Of two classes by range the one that reaches further; air takes energy away, so that what was shown once stays."""
    if now not in _RANKS or (shown in _RANKS and _RANKS.index(shown) >= _RANKS.index(now)):
        return shown
    return now
