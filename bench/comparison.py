"""What an exercise came to over several topologies: warning, gain, the machine's part, and whose tracks were seen."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from rich.box import SIMPLE_HEAD
from rich.table import Table

from bench.report import markdown_table, number
from bench.result import Result
from bench.topology import Topology
from bus.release import NATIONS, Nation

_HEADINGS = ("topology", "recipient", "warned of", "warned s", "confirmed s", "gain s", "machine ms", "over", "saw tracks of")


class Told(NamedTuple):
    """One topology's result, and by recipient the nations whose tracks were in its alerts."""

    result: Result
    saw: Mapping[Nation, set[Nation]]


def comparison_rows(told: Mapping[Topology, Told]) -> Iterator[list[str]]:
    """A row a topology and recipient: medians over launches; the machine's part from a report's release to the alert held."""
    for topology, (result, saw) in told.items():
        for nation in NATIONS:
            each = [launch.recipients[nation] for launch in result.launches if nation in launch.recipients]
            warned = [one for one in each if one.warned_after_s is not None]
            yield [
                topology,
                nation,
                f"{len(warned)} of {len(result.launches)}",
                _median([one.warned_after_s for one in each]),
                _median([one.confirmed_after_s for one in each]),
                _median([one.gain_s for one in each], "+.1f"),
                _median([one.machine_ms for one in each], ".2f"),
                number(result.stages.total_ms.over, "d"),
                ", ".join(sorted(saw.get(nation, ()))) or "-",
            ]


def _median(values: list[float | None], form: str = ".1f") -> str:
    known = [value for value in values if value is not None]
    return number(statistics.median(known) if known else None, form)


def comparison_table(told: Mapping[Topology, Told]) -> Table:
    """For a terminal."""
    table = Table(box=SIMPLE_HEAD, title="Topologies, medians over the launches")
    for heading in _HEADINGS:
        table.add_column(heading, justify="left" if heading in ("topology", "recipient", "saw tracks of") else "right")
    for row in comparison_rows(told):
        table.add_row(*row)
    return table


def comparison_page(told: Mapping[Topology, Told]) -> str:
    """For a file."""
    result = next(iter(told.values())).result
    head = (
        f"# {result.scenario} over {', '.join(told)}\n\nSeed {result.seed}, speed {result.speed}; medians over the launches.\n\n"
    )
    return head + markdown_table(_HEADINGS, list(comparison_rows(told))) + "\n"
