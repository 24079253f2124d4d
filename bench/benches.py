"""`triwarn bench ...`: run the measurement, tell how it goes, print a table or JSON."""

from __future__ import annotations

import asyncio

import click
import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TimeRemainingColumn
from rich.table import Table

from bench.busload import BusLoad, broker_or_own, machine, measure_bus
from bench.feeds import measure_feeds
from bench.feedtables import feed_tables
from bench.latency import RATES_HZ, Latency, measure
from bench.order import measure_order, order_rows
from bench.peers import measure_peers, peer_rows
from bench.quality import find_cases, measure_quality
from bench.qualityrows import quality_phase_rows, quality_rows
from bench.sealcost import measure_seals, seal_rows
from bench.settings import Settings
from bench.throughput import measure_throughput, throughput_rows


def _tell(line: str) -> None:
    click.echo(f"- {line}", err=True)


def run_latency(settings: Settings, seconds: float, *, as_json: bool) -> None:
    """Measure and print."""
    with broker_or_own(settings.broker.url or None) as (url, name):
        rows = asyncio.run(measure(settings, url, RATES_HZ, seconds, _tell))
    result = Latency(broker=name, machine=machine(), seconds=seconds, rows=rows)
    if as_json:
        click.echo(msgspec.json.encode(result))
    else:
        Console().print(latency_table(result))


def run_bus(settings: Settings, seconds: float, runs: int, *, as_json: bool) -> None:
    """Measure and print."""
    result = measure_bus(settings.broker.url or None, seconds=seconds, runs=runs, tell=_tell)
    if as_json:
        click.echo(msgspec.json.encode(result))
    else:
        Console().print(bus_table(result))


def run_sensors(runs: int, scenarios: tuple[str, ...], *, as_json: bool) -> None:
    """Measure and print; on a terminal with a bar of the runs that moves."""
    console = Console(stderr=True)
    columns = (SpinnerColumn(), MofNCompleteColumn(), BarColumn(bar_width=24), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=None)
        result = measure_feeds(
            runs,
            scenarios,
            tell=lambda line: console.print(f"- {line}", highlight=False, soft_wrap=True),
            step=lambda done, total: progress.update(task, completed=done, total=total),
        )
    if as_json:
        click.echo(msgspec.json.encode(result))
    else:
        for table in feed_tables(result):
            Console().print(table)


def run_throughput(sizes: tuple[int, ...], seconds: float, *, as_json: bool) -> None:
    """Measure and print."""
    result = measure_throughput(sizes, seconds, _tell)
    if as_json:
        click.echo(msgspec.json.encode(result))
    else:
        Console().print(plain_table("Full fusion cycles on one core", *throughput_rows(result)))


def run_seal(settings: Settings, seconds: float, runs: int, *, as_json: bool) -> None:
    """Measure and print."""
    result = measure_seals(settings.broker.url or None, seconds=seconds, runs=runs, tell=_tell)
    if as_json:
        click.echo(msgspec.json.encode(result))
    else:
        Console().print(plain_table("What seals cost", *seal_rows(result)))


def run_order(scenario: str, runs: int, *, as_json: bool) -> None:
    """Measure and print."""
    result = measure_order(scenario, runs, _tell)
    if as_json:
        click.echo(msgspec.json.encode(result))
    else:
        Console().print(plain_table(f"Reports out of order against in order: {result.scenario}", *order_rows(result)))


def run_peers(sizes: tuple[int, ...], budget_s: float, seed: int, *, as_json: bool) -> None:
    """Measure and print."""
    result = measure_peers(sizes, budget_s, seed, _tell)
    if as_json:
        click.echo(msgspec.json.encode(result))
    else:
        Console().print(plain_table("Two feeds' tracks gated, assigned and fused", *peer_rows(result)))


def run_quality(runs: int, seed: int, names: tuple[str, ...], jobs: int, *, as_json: bool) -> None:
    """Measure and print."""
    result = measure_quality(runs, seed, _tell, find_cases(names), jobs)
    if as_json:
        click.echo(msgspec.json.encode(result))
    else:
        Console().print(plain_table("The fused picture against truth", *quality_rows(result)))
        Console().print(plain_table("Fused estimates by true phase", *quality_phase_rows(result)))


def plain_table(title: str, headings: tuple[str, ...], rows: list[list[str]]) -> Table:
    """A table of cells as they are."""
    table = Table(title=title, header_style="bold")
    for heading in headings:
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(*row)
    return table


def latency_table(result: Latency) -> Table:
    """A row a rate: the floor, the warning and their ratio at p50, p99 and p99.9."""
    table = Table(title=f"New launch in a frame to alert held, over {result.broker}", header_style="bold")
    for heading in ("rate Hz", "launches", "missed", "floor us\\np50 / p99 / p99.9", "warning us\\np50 / p99 / p99.9", "ratio"):
        table.add_column(heading, justify="right")
    for row in result.rows:
        spans = [f"{each.p50:.0f} / {each.p99:.0f} / {each.p999:.0f}" for each in (row.floor_us, row.warning_us)]
        ratio = f"{row.ratio.p50:.2f} / {row.ratio.p99:.2f} / {row.ratio.p999:.2f}"
        table.add_row(str(row.rate_hz), str(row.launches), str(row.missed), *spans, ratio)
    return table


def bus_table(result: BusLoad) -> Table:
    """A row a combination of adapter, QoS and payload."""
    table = Table(title=f"One way over {result.broker}", header_style="bold")
    for heading in ("adapter", "QoS", "payload", "measured", "messages/s", "reports/s", "MB/s", "lost"):
        table.add_column(heading, justify="left" if heading in ("adapter", "payload", "measured") else "right")
    for row in result.rows:
        reports = "-" if row.reports_per_s is None else f"{row.reports_per_s:,.0f}"
        figures = (f"{row.messages_per_s:,.0f}", reports, f"{row.megabytes_per_s:,.1f}", str(row.lost))
        table.add_row(row.adapter, str(row.qos), row.payload, row.measured, *figures)
    return table
