"""How a picture is copied, fast: a group that splits copies its own between a report and its alert.

What a class lists as flat are containers of what never changes (numbers, bytes, frozen structs): they are copied, what is in them
is not. What it lists as shared never changes. All else is copied deeply, so that what is new is safe until somebody lists it.
"""

from __future__ import annotations

import copy
from typing import Any, ClassVar, Self


class Copied:
    """Copied by what it lists: names of attributes."""

    __slots__ = ()
    FLAT: ClassVar[frozenset[str]] = frozenset()
    SHARED: ClassVar[frozenset[str]] = frozenset()

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        twin = object.__new__(type(self))
        memo[id(self)] = twin
        for name, value in vars(self).items():
            if name in self.SHARED:
                setattr(twin, name, value)
            elif name in self.FLAT:
                setattr(twin, name, tuple(each.copy() for each in value) if isinstance(value, tuple) else value.copy())
            else:
                setattr(twin, name, copy.deepcopy(value, memo))
        return twin
