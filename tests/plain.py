"""Kernels as plain Python, so that one test holds both to a twin: what is compiled, and what is written."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from types import FunctionType
from typing import Any, Final, ParamSpec, TypeVar

import numpy as np

P = ParamSpec("P")
R = TypeVar("R")

COMPARED: Final[dict[str, list[str]]] = defaultdict(list)  # kernel -> the tests that compare it with a twin, as far as imported
_MADE: Final[dict[FunctionType, FunctionType]] = {}


def both_ways(*kernels: Callable[..., Any], few: int = 3) -> Callable[[Callable[P, None]], Callable[P, None]]:
    """Marks a comparison of kernels with a twin: each example runs compiled, and the first `few` again with every kernel that the
    test's module names as plain Python. Below `@given` and `@parametrize`.
    """

    def mark(test: Callable[P, None]) -> Callable[P, None]:
        for kernel in kernels:
            COMPARED[name_of(kernel)].append(f"{test.__module__}.{test.__name__}")
        left = few

        @wraps(test)
        def run(*args: P.args, **kwargs: P.kwargs) -> None:
            nonlocal left
            test(*args, **kwargs)
            if left > 0:
                with _uncompiled(test.__globals__):
                    test(*args, **kwargs)
                left -= 1  # what fails is run again, so that it fails again

        return run

    return mark


def name_of(kernel: Callable[..., Any]) -> str:
    """Module and name."""
    return f"{kernel.__module__}.{kernel.__name__}"


@contextmanager
def _uncompiled(names: dict[str, Any]) -> Iterator[None]:
    """The kernels among a module's names, as they are written."""
    compiled = {name: value for name, value in names.items() if getattr(value, "py_func", None) is not None}
    names.update({name: plain(kernel) for name, kernel in compiled.items()})
    try:
        with np.errstate(all="ignore"):  # as compiled
            yield
    finally:
        names.update(compiled)


def plain(value: Any) -> Any:
    """A kernel and every kernel that it calls, uncompiled; anything else as it is."""
    function = getattr(value, "py_func", None)  # with NUMBA_DISABLE_JIT=1 kernels are plain already
    if function is None:
        return value
    if function not in _MADE:
        names = dict(function.__globals__)
        _MADE[function] = FunctionType(function.__code__, names, function.__name__, function.__defaults__)
        names.update({name: plain(names[name]) for name in function.__code__.co_names if name in names})
    return _MADE[function]
