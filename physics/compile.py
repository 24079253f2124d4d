"""The one jit decorator: every kernel is compiled with the same flags.

No fastmath: results must not depend on the machine. The cache is on: a second start loads machine code instead of compiling. With
NUMBA_DISABLE_JIT=1 the kernels run as plain Python, for debugging and for tests that compare the two.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

import numba

P = ParamSpec("P")
R = TypeVar("R")


def jit(kernel: Callable[P, R]) -> Callable[P, R]:
    """Compile `kernel` on first use, or load it from the cache. It must not raise; it returns a status or NaN."""
    compiled: Callable[P, R] = numba.njit(cache=True, nogil=True, error_model="numpy")(kernel)
    return compiled
