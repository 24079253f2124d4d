"""The kernel cache: of other sources, another folder; old ones go, its own stays. Read-only it is used all the same."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numba
import pytest

import physics.compile
from physics.compile import cache_folder, writable


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


def test_a_cache_that_cannot_be_written_is_read_through_links_and_new_kernels_go_beside_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "fusion").mkdir()
    (tmp_path / "fusion" / "kernel.nbi").write_bytes(b"machine code")
    assert writable(tmp_path) == tmp_path
    monkeypatch.setattr(os, "access", lambda *_: False)
    links = writable(tmp_path)
    assert links != tmp_path
    assert (links / "fusion" / "kernel.nbi").read_bytes() == b"machine code"
    fresh = links / "fusion" / "kernel.nbi.tmp"
    fresh.write_bytes(b"newer")
    fresh.replace(links / "fusion" / "kernel.nbi")
    assert (tmp_path / "fusion" / "kernel.nbi").read_bytes() == b"machine code"
    assert writable(tmp_path / "not there") == tmp_path / "not there"


def test_the_links_go_with_the_process(tmp_path: Path) -> None:
    code = "import os, sys, pathlib, physics.compile; os.access = lambda *_: False"
    code += "; print(physics.compile.writable(pathlib.Path(sys.argv[1])))"
    said = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert said.stdout.strip()
    assert not Path(said.stdout.strip()).exists()
