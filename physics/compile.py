"""The one jit decorator: every kernel is compiled with the same flags.

No fastmath: results must not depend on the machine. The cache is on: a second start loads machine code instead of compiling.
Kernels are compiled into their callers, and the library's own cache looks only at the file of the caller: so the cache's folder
is named after all sources, and a change to any of them compiles anew. With NUMBA_DISABLE_JIT=1 the kernels run as plain Python,
for debugging and for tests that compare the two; NUMBA_CACHE_DIR puts the cache elsewhere.

Where the cache is there and cannot be written, in a container whose file system is read-only, the process works in a temporary
folder of links to it: the library takes no cache that it could not add to.
"""

from __future__ import annotations

import atexit
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final, ParamSpec, TypeVar

import numba

P = ParamSpec("P")
R = TypeVar("R")

_ROOT: Final = Path(__file__).parents[1]
_PREFIX: Final = "kernels-"


def sources_digest(root: Path) -> str:
    """A digest of every source file that holds kernels."""
    digest = hashlib.sha256()
    for path in sorted(path for package in ("physics", "sensors", "fusion") for path in (root / package).glob("*.py")):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def cache_folder(root: Path) -> Path:
    """Where the kernels of these sources are kept; removes those of others, but never its own, which another
    process may have begun.
    """
    folder = root / "__pycache__" / f"{_PREFIX}{sources_digest(root)}"
    for old in folder.parent.glob(f"{_PREFIX}*"):
        if old != folder:
            shutil.rmtree(old, ignore_errors=True)
    return folder


def writable(folder: Path) -> Path:
    """A folder with what this one holds that can be written: itself or, for the length of this process, one of links to it."""
    if not folder.exists() or os.access(folder, os.W_OK):
        return folder
    links = Path(tempfile.mkdtemp(prefix="triwarn-kernels-"))
    atexit.register(shutil.rmtree, links, ignore_errors=True)
    shutil.copytree(folder, links, copy_function=os.symlink, dirs_exist_ok=True)
    return links


if "NUMBA_CACHE_DIR" not in os.environ:
    numba.config.CACHE_DIR = str(writable(cache_folder(_ROOT)))  # type: ignore[attr-defined]


def jit(kernel: Callable[P, R]) -> Callable[P, R]:
    """Compile `kernel` on first use, or load it from the cache. It must not raise; it returns a status or NaN."""
    compiled: Callable[P, R] = numba.njit(cache=True, nogil=True, error_model="numpy")(kernel)
    return compiled


def inlined(kernel: Callable[P, R]) -> Callable[P, R]:
    """As `jit`, and always compiled into its callers: a call within a loop keeps the loop from becoming vector instructions."""
    compiled: Callable[P, R] = numba.njit(cache=True, nogil=True, error_model="numpy", forceinline=True)(kernel)
    return compiled
