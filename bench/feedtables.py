"""The measure of the national feeds as tables for a terminal; they fit into 100 columns."""

from __future__ import annotations

from typing import Final

from rich.table import Table

from bench.consistency import Consistency, PhaseFigures
from bench.feeds import FeedQuality, FirstSeen, Speed

_WORDS: Final = ("scenario", "nation", "phase")
_TAIL: Final = ("beyond\n99.9 %", "position\nrms m", "LPE in\n95 %", "IPP in\n95 %")


def feed_tables(result: FeedQuality) -> list[Table]:
    """By nation and phase over everything, the same by scenario, first detections, speed; what has no rows is left out."""
    kinds: list[tuple[str, tuple[str, ...], list[tuple[str, ...]]]] = [
        (
            "National tracks against truth, over everything",
            ("nation", "phase", "reports", "ANEES", "std error", *_TAIL),
            [_overall(row) for row in result.phases],
        ),
        (
            "The same by scenario",
            ("scenario", "nation", "phase", "reports", "ANEES", *_TAIL),
            [_of_scenario(row) for row in result.consistency],
        ),
        (
            "Seconds after launch, medians",
            ("scenario", "nation", "detected", "reported", "share reported"),
            [_first(row) for row in result.first],
        ),
        (
            "Truth to national tracks on one core",
            ("scenario", "launches", "CPU s", "times real time"),
            [_speed(row) for row in result.speed],
        ),
    ]
    return [_table(title, headings, rows) for title, headings, rows in kinds if rows]


def _overall(row: PhaseFigures) -> tuple[str, ...]:
    return row.nation, row.phase, f"{row.reports:,}", f"{row.anees:.2f}", _or_dash(row.anees_sigma, 3), *_tail(row)


def _of_scenario(row: Consistency) -> tuple[str, ...]:
    return row.scenario, row.nation, row.phase, f"{row.reports:,}", f"{row.anees:.2f}", *_tail(row)


def _tail(row: PhaseFigures) -> tuple[str, ...]:
    places = (_or_dash(share if share is None else 100.0 * share, 1) for share in (row.lpe_coverage, row.ipp_coverage))
    return f"{100.0 * row.outside_999:.2f} %", f"{row.position_rms_m:,.0f}", *places


def _first(row: FirstSeen) -> tuple[str, ...]:
    detected, reported = _or_dash(row.detected_after_s, 1), _or_dash(row.reported_after_s, 1)
    return row.scenario, row.nation, detected, reported, f"{row.reported_share:.3f}"


def _speed(row: Speed) -> tuple[str, ...]:
    return row.scenario, str(row.launches), f"{row.cpu_s:.2f}", f"{row.times_real_time:,.0f}"


def _table(title: str, headings: tuple[str, ...], rows: list[tuple[str, ...]]) -> Table:
    table = Table(title=title, header_style="bold")
    for heading in headings:
        table.add_column(heading, justify="left" if heading in _WORDS else "right", no_wrap=heading in _WORDS)
    for row in rows:
        table.add_row(*row)
    return table


def _or_dash(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
