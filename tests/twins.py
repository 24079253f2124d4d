"""Every kernel, and the test that compares it with a twin: `python -m tests.twins` prints the list.

A kernel is compared where a test marked `both_ways` names it. A part of others may be compared by way of them: what it gets
wrong, they get wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from tests.plain import COMPARED, name_of

_ROOT = Path(__file__).parents[1]
PACKAGES = ("physics", "sensors", "fusion")


@cache
def kernels() -> dict[str, Callable[..., Any]]:
    """Every compiled function by module and name."""
    found = {}
    for package in PACKAGES:
        for path in sorted((_ROOT / package).glob("*.py")):
            module = import_module(f"{package}.{path.stem}")
            own = [each for each in vars(module).values() if hasattr(each, "py_func") and each.__module__ == module.__name__]
            found.update({name_of(kernel): kernel for kernel in own})
    return found


def compared() -> dict[str, list[str]]:
    """By kernel the tests that name it."""
    for package in PACKAGES:
        for path in sorted((_ROOT / "tests" / package).glob("test_*.py")):
            import_module(f"tests.{package}.{path.stem}")
    return COMPARED


def parts_of(kernel: str) -> set[str]:
    """The kernels that a kernel is made of, those of which they are made too."""
    every, parts, waiting = kernels(), set[str](), [kernel]
    while waiting:
        function: Any = every[waiting.pop()].py_func  # type: ignore[attr-defined]
        named = (function.__globals__.get(name) for name in function.__code__.co_names)
        fresh = {name_of(each) for each in named if hasattr(each, "py_func")} - parts
        parts |= fresh
        waiting += fresh
    return parts


def main() -> None:
    """Print the list."""
    tests = compared()
    parts = {kernel: parts_of(kernel) for kernel in tests}
    for kernel in kernels():
        wholes = [whole for whole in parts if kernel in parts[whole]]
        held = tests[kernel] if kernel in tests else ["part of " + " and ".join(wholes)] if wholes else ["NO TWIN"]
        print(f"{kernel}: {', '.join(held)}")


if __name__ == "__main__":
    main()
