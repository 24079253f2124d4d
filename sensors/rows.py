"""The one strict reader of the catalogue's CSV files: rows as structs, with errors as of `bus.settings.from_toml`."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import TypeVar

import msgspec
from msgspec import Struct

from bus.errors import BadInput
from bus.settings import from_tree

T = TypeVar("T", bound=Struct)


def rows_from_csv(text: str, source: str, kind: type[T], *named_by: str) -> Iterator[tuple[str, T]]:
    """Each row with its name, which is what it has in the columns `named_by`. Columns that `kind` does not ask for are left out.

    BadInput names `source`, the row and the column, what is wrong and what is allowed.
    """
    columns = [field.encode_name for field in msgspec.structs.fields(kind)]
    reader = csv.DictReader(io.StringIO(text), strict=True)
    try:
        for column in columns:
            if column not in (reader.fieldnames or ()):
                raise BadInput(source, column, "the column is missing", f"with others, {', '.join(columns)}")
        for row in reader:
            cells = {column: row[column] for column in columns if row[column] is not None}
            name = " ".join(cells.get(column, "") for column in named_by).strip() or f"line {reader.line_num}"
            if reader.restkey in row:
                raise BadInput(source, name, "more cells than columns", "a cell that holds a comma stands in quotes")
            yield name, _row(cells, source, name, kind)
    except csv.Error as error:
        raise BadInput(source, f"line {reader.line_num}", f"not CSV: {error}") from None


def _row(cells: dict[str, str], source: str, name: str, kind: type[T]) -> T:
    try:
        return from_tree(cells, source, kind, strict=False)
    except BadInput as error:
        problem = error.problem.replace("got `str`", f"got {cells.get(error.key)!r}")  # every cell is a string
        raise BadInput(source, f"{name}.{error.key}", problem, error.allowed) from None
