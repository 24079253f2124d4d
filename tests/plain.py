"""Kernels as plain Python, so that one test holds both: what is compiled, and what is written."""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import Any, Final, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

_MADE: Final[dict[FunctionType, FunctionType]] = {}


def plain(kernel: Callable[P, R]) -> Callable[P, R]:
    """The kernel as it is written, and every kernel that it calls, uncompiled."""
    made: Callable[P, R] = _plain(kernel)
    return made


def _plain(value: Any) -> Any:
    function = getattr(value, "py_func", None)  # with NUMBA_DISABLE_JIT=1 kernels are plain already
    if function is None:
        return value
    if function not in _MADE:
        names = dict(function.__globals__)
        _MADE[function] = FunctionType(function.__code__, names, function.__name__, function.__defaults__)
        names.update({name: _plain(names[name]) for name in function.__code__.co_names if name in names})
    return _MADE[function]
