"""Reads the published figures of this folder."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent


def rows(name: str) -> list[dict[str, str]]:
    """The rows of a file of this folder, by its column names."""
    with (FOLDER / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
