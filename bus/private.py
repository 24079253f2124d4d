"""Files and folders that nobody but their owner reads, from their first byte on: created so, never changed to it afterwards."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from bus.errors import BadInput

OWNER_ONLY: Final = 0o600
PUBLIC: Final = 0o644
_FOLDER: Final = 0o700


def write_new(path: Path, content: bytes, mode: int = OWNER_ONLY) -> None:
    """Create a file with this mode. BadInput where it exists already, a link too, or cannot be written."""
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(content)
    except FileExistsError:
        raise BadInput(str(path), "", "exists, and nothing is overwritten") from None
    except OSError as error:
        raise BadInput(str(path), "", f"cannot be written: {error.strerror}") from None


def replace_file(path: Path, content: bytes, mode: int = OWNER_ONLY) -> None:
    """Put a file in the place of another of that name, or of none, at once: who reads it finds the old one or the new one."""
    fresh = path.with_name(f".{path.name}.new")
    try:
        fresh.unlink(missing_ok=True)  # what a killed process left
    except OSError as error:
        raise BadInput(str(fresh), "", f"is in the way, and cannot be removed: {error.strerror}") from None
    write_new(fresh, content, mode)
    try:
        fresh.replace(path)
    except OSError as error:
        fresh.unlink(missing_ok=True)
        raise BadInput(str(path), "", f"cannot be replaced: {error.strerror}") from None


def new_folder(folder: Path) -> None:
    """Create a folder where there is none. BadInput where it holds something already, or cannot be made."""
    try:
        folder.mkdir(mode=_FOLDER, parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise BadInput(str(folder), "", "is not empty, and nothing is overwritten", "a new folder")
    except FileExistsError:
        raise BadInput(str(folder), "", "is a file", "a new folder") from None
    except OSError as error:
        raise BadInput(str(folder), "", f"cannot be made: {error.strerror}") from None
