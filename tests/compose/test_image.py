"""The image: its size, who runs in it, and that no layer of it holds a secret."""

from __future__ import annotations

import io
import json
import re
import subprocess
import tarfile
from collections.abc import Iterator

import pytest

from tests.compose.conftest import tell
from tests.compose.stack import IMAGE, Stack, docker

pytestmark = [pytest.mark.compose, pytest.mark.timeout(1800)]

MOST_BYTES = 600e6
PRIVATE = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----\s+[A-Za-z0-9+/=\s]{40}|Ed25519 seeds of [a-z.]+: secret\n[0-9a-f]{64}")


def test_the_image_is_below_600_megabytes(built: Stack) -> None:
    size = int(docker("image", "inspect", "--format", "{{.Size}}", IMAGE))
    tell(f"image: {size / 1e6:.0f} MB")
    assert size < MOST_BYTES


def test_it_runs_as_nobody_of_note_and_tells_how_it_is_used(built: Stack) -> None:
    config = json.loads(docker("image", "inspect", IMAGE))[0]["Config"]
    assert config["User"] == "10001:10001"
    assert "Usage: triwarn" in docker("run", "--rm", IMAGE)


def test_neither_history_nor_environment_holds_a_secret_or_how_packages_were_got(built: Stack) -> None:
    told = docker("history", "--no-trunc", "--format", "{{.CreatedBy}}", IMAGE) + docker("image", "inspect", IMAGE)
    assert not re.search(r"PRIVATE KEY|password|token|secret|PIP_|index-url|_proxy", told, re.IGNORECASE)


def test_every_module_of_the_program_is_there_with_all_that_it_imports(built: Stack) -> None:
    """Libraries are left out of the image by hand; bench.soup is of an extra that the image is without."""
    code = """import importlib, pkgutil
for name in ("physics", "bus", "sensors", "fusion", "bench"):
    for found in pkgutil.iter_modules(importlib.import_module(name).__path__, name + "."):
        if found.name not in ("bench.__main__", "bench.soup"):
            importlib.import_module(found.name)
print("all")"""
    assert docker("run", "--rm", "--entrypoint", "python", IMAGE, "-c", code) == "all"


def files_of_all_layers() -> Iterator[tuple[str, bytes]]:
    """Every file of every layer, those that a later layer hides too."""
    with (
        subprocess.Popen(["docker", "save", IMAGE], stdout=subprocess.PIPE) as saving,
        tarfile.open(fileobj=saving.stdout, mode="r|") as image,
    ):
        for layer in image:
            if content := image.extractfile(layer) if layer.isfile() else None:
                data = content.read()
                try:
                    with tarfile.open(fileobj=io.BytesIO(data)) as files:
                        for each in files:
                            inner = files.extractfile(each) if each.isfile() else None
                            if inner is not None:
                                yield f"{layer.name}:{each.name}", inner.read()
                except tarfile.ReadError:
                    yield layer.name, data


def test_no_layer_holds_a_private_key(built: Stack) -> None:
    """None in a text: libraries of cryptography hold some for their own tests."""
    seen, found = 0, []
    for name, content in files_of_all_layers():
        seen += 1
        if b"\0" not in content and PRIVATE.search(content):
            found.append(name)
    assert seen > 1000
    assert found == []
