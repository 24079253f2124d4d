"""The kernel cache: of other sources, another folder; old ones go, its own stays."""

from __future__ import annotations

from pathlib import Path

import numba

import physics.compile
from physics.compile import cache_folder


def test_a_change_to_any_kernel_file_gives_another_cache_and_removes_the_old(tmp_path: Path) -> None:
    for package in ("physics", "sensors", "fusion"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "kernels.py").write_text("one")
    first = cache_folder(tmp_path)
    first.mkdir(parents=True)
    assert cache_folder(tmp_path) == first
    assert first.exists()
    (tmp_path / "fusion" / "kernels.py").write_text("two")
    second = cache_folder(tmp_path)
    assert second != first
    assert not first.exists()


def test_the_kernels_of_this_process_are_kept_under_their_sources_digest() -> None:
    root = Path(physics.compile.__file__).parents[1]
    assert Path(numba.config.CACHE_DIR) == cache_folder(root)  # type: ignore[attr-defined]
