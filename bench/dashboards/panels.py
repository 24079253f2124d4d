"""What a dashboard is made of: rows of panels, each with its queries, unit, limits and what it tells. No Grafana in here.

Panels of a row flow from left to right over 24 columns and begin a new line where one does not fit, so that none overlap.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

Colour = Literal["green", "yellow", "orange", "red", "blue", "purple", "grey"]
Kind = Literal["stat", "gauge", "bars", "lines", "columns", "states", "heatmap", "table"]

COLUMNS: Final = 24
_ROW_HEIGHT: Final = 1


@dataclass(frozen=True, slots=True)
class Query:
    """One query of a panel (PromQL) and how its series are called in the legend."""

    expr: str
    legend: str = ""


@dataclass(frozen=True, slots=True)
class Limits:
    """Colours of values: that of the lowest, then each from a value on."""

    lowest: Colour
    steps: tuple[tuple[float, Colour], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One panel.

    `unit` is Grafana's name of it, `limits` are drawn as lines where they are `marked`. `names` are words for values.
    `colours`, and what is drawn `dashed`, are of series by their legends (regular expressions). Of a table, `columns` are its
    columns in order: the label, or the legend of a query, the heading, and a unit of its own; a `matrix` has a column a value
    of its second label.
    """

    title: str
    kind: Kind
    about: str
    unit: str
    limits: Limits
    queries: tuple[Query, ...]
    width: int = 8
    height: int = 7
    decimals: int | None = None
    lowest: float | None = None
    highest: float | None = None
    names: tuple[tuple[float, str, Colour], ...] = ()
    columns: tuple[tuple[str, str, str], ...] = ()
    colours: tuple[tuple[str, Colour], ...] = ()
    dashed: str = ""
    marked: bool = False
    stacked: bool = False
    matrix: tuple[str, str] | None = None
    empty: str = "nothing yet"


@dataclass(frozen=True, slots=True)
class Row:
    """Panels under a heading."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True)
class Variable:
    """What a reader may choose: some of the values of a list, or of those that a label has (`query`)."""

    name: str
    label: str
    about: str
    values: tuple[str, ...] = ()
    query: str = ""
    several: bool = True


@dataclass(frozen=True, slots=True)
class Dashboard:
    """One dashboard: `uid` is its address and its file's name."""

    uid: str
    title: str
    about: str
    variables: tuple[Variable, ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Placed:
    """A row's heading or a panel, where it stands on the grid, and its number."""

    item: Row | Panel
    number: int
    x: int
    y: int
    width: int
    height: int


def placed(board: Dashboard) -> Iterator[Placed]:
    """Everything of a dashboard where it stands, from the top."""
    number = y = 0
    for row in board.rows:
        number += 1
        yield Placed(row, number, 0, y, COLUMNS, _ROW_HEIGHT)
        y += _ROW_HEIGHT
        x = tallest = 0
        for panel in row.panels:
            if x + panel.width > COLUMNS:
                x, y, tallest = 0, y + tallest, 0
            number += 1
            yield Placed(panel, number, x, y, panel.width, panel.height)
            x, tallest = x + panel.width, max(tallest, panel.height)
        y += tallest
