"""Keys for everybody there can be, and one who may do anything: the witness."""

from __future__ import annotations

from pathlib import Path

import pytest

from bus.certificates import make_keys
from bus.security import principals

WORKERS = ("fusion-1", "jpn", "kor", "usa")
WITNESS = "witness"
WITNESS_MAY = f"user {WITNESS}\ntopic readwrite #\n"


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    make_keys(folder, [*principals(WORKERS), WITNESS])
    return folder
