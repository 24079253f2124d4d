"""Every kernel is compiled before a first start, and a later one only loads them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numba
import pytest

from bench.kernels import make_ready


def test_what_is_compiled_is_marked_and_then_no_process_is_started_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    make_ready()
    assert (Path(numba.config.CACHE_DIR) / "all-compiled").exists()  # type: ignore[attr-defined]
    monkeypatch.setattr(subprocess, "Popen", None)
    make_ready()
