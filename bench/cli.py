"""The command line: `triwarn`. Parses, calls, prints; decides nothing.

Exit codes: 0 done; 1 the exercise or the bus failed; 2 bad input (nothing was started); 130 stopped by Ctrl-C.
"""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import Any

import click

from bench import partycommands, securitycommands
from bench.ranges import Between
from bench.result import ARRANGEMENTS, Arrangement
from bench.settings import load
from bus.errors import BadInput, BusError
from bus.release import NATIONS

_settings_option = click.option(
    "--settings", "settings_file", type=click.Path(path_type=Path, dir_okay=False), help="Settings file (TOML)."
)
_broker_option = click.option("--broker", metavar="URL", help="A broker to use: mqtt://host:port, or mqtts:// over TLS.")
_json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object on standard output.")
_nation = click.Choice(NATIONS)


class Program(click.Group):
    """The command group, with every error that a user can mend told in one line."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BadInput as error:
            click.echo(f"triwarn: {error}", err=True)
            sys.exit(2)
        except BusError as error:
            click.echo(f"triwarn: {error}", err=True)
            sys.exit(1)


@click.group(cls=Program, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="triwarn")
@click.option("-v", "--verbose", count=True, help="Log more: -v state changes, -vv everything.")
def main(verbose: int) -> None:
    """A simulator of real-time missile-warning data sharing, and the message bus that carries it."""
    level = (logging.WARNING, logging.INFO, logging.DEBUG)[min(verbose, 2)]
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)


main.add_command(securitycommands.keys)
main.add_command(securitycommands.policy)
main.add_command(securitycommands.audit)
for _command in (partycommands.feed, partycommands.fuse, partycommands.receive, partycommands.canary):
    main.add_command(_command)


@main.command()
@click.argument("scenario", default="salvo-2024-05-30")
@click.option("--speed", default="10", show_default=True, metavar="N|max", help="Times real time; max: simulated clock.")
@click.option("--seed", type=click.IntRange(0, 2**53), help="Seed of every random stream.  [default: the scenario's]")
@click.option("--report", type=click.Path(path_type=Path, file_okay=False), help="Write JSON, CSV and a Markdown page here.")
@click.option("--audit", metavar="FOLDER", help="Every process keeps its audit log here.")
@click.option(
    "--topology",
    "topologies",
    multiple=True,
    type=click.Choice(["single", "hub", "mesh"]),
    help="Over Mosquittos of its own: one, a hub with one a nation, or a mesh; repeatable: they are compared.",
)
@click.option(
    "--compare", type=click.Choice(ARRANGEMENTS), help="Hold it against another arrangement: Japan and the ROK with the US alone."
)
@click.option(
    "--for",
    "go_on",
    metavar="DURATION",
    help="Play it again and again for so long (90s, 15m, 24h), each time with the next seed.",
)
@click.option("--attach", is_flag=True, help="Start no process: use those that already wait on --broker.")
@click.option("--secure", is_flag=True, help="Over TLS, with an access list: a Mosquitto with keys of this run, or of --keys.")
@click.option("--keys", type=click.Path(file_okay=False), help="Key folder, as `triwarn keys init` makes it; implies --secure.")
@_broker_option
@_settings_option
@_json_option
def run(
    scenario: str,
    speed: str,
    seed: int | None,
    report: Path | None,
    audit: str | None,
    compare: Arrangement | None,
    go_on: str | None,
    attach: bool,
    secure: bool,
    keys: str | None,
    topologies: tuple[Any, ...],
    broker: str | None,
    settings_file: Path | None,
    as_json: bool,
) -> None:
    """Run an exercise: SCENARIO is a shipped one's name (see `triwarn scenarios`) or a file."""
    from bench.exercise import run_exercise
    from bench.turns import duration_s

    settings = load(settings_file, broker__url=broker, security__folder=keys, audit__folder=audit)
    sys.exit(
        run_exercise(
            scenario,
            speed,
            seed,
            settings,
            settings_file=settings_file,
            report=report,
            attach=attach,
            as_json=as_json,
            secure=secure or keys is not None,
            topologies=list(dict.fromkeys(topologies)),
            compare=compare,
            for_s=None if go_on is None else duration_s(go_on),
        )
    )


@main.command()
def scenarios() -> None:
    """List the scenarios that are shipped."""
    from sensors.scenario import SCENARIOS

    width = max(map(len, SCENARIOS))
    for name, title in SCENARIOS.items():
        click.echo(f"{name:<{width}}  {title}")


@main.command()
@click.option("--type", "type_name", required=True, help="Missile type, as in the catalogue, in any letter case.")
@click.option("--site", required=True, help="Launch site, as in the catalogue, in any letter case.")
@click.option("--range-km", required=True, type=float, help="Ground range, km.")
@click.option("--apogee-km", type=float, help="Apogee, km.  [default: that of a minimum-energy path]")
@click.option(
    "--azimuth-deg", type=float, help="Bearing from launch to impact, clockwise from north.  [default: the site's usual one]"
)
@click.option("--flight-time-s", "claimed_s", type=float, help="A claimed flight time, s, to hold against the prediction.")
@click.option(
    "--plot", "plot_file", type=click.Path(path_type=Path, dir_okay=False), help="Draw altitude over time and range (PNG)."
)
@click.option("--czml", type=click.Path(path_type=Path, dir_okay=False), help="Export the path for globes (CZML).")
@click.option("--geojson", type=click.Path(path_type=Path, dir_okay=False), help="Export the path for maps (GeoJSON).")
@_json_option
def fly(
    type_name: str,
    site: str,
    range_km: float,
    apogee_km: float | None,
    azimuth_deg: float | None,
    claimed_s: float | None,
    plot_file: Path | None,
    czml: Path | None,
    geojson: Path | None,
    as_json: bool,
) -> None:
    """Fly a missile type from a site to an apogee and a range, and predict everything else."""
    from bench.fly import predict, run_fly

    prediction, flight = predict(type_name, site, range_km, apogee_km, azimuth_deg, claimed_s)
    run_fly(prediction, flight, plot_file, czml, geojson, as_json=as_json)


@main.command()
@click.argument("file", type=click.Path(path_type=Path))
def check(file: Path) -> None:
    """Check a scenario or settings FILE; says what is wrong with it, or what it holds."""
    from bench.check import describe

    click.echo(describe(file))


@main.command()
@click.argument("nation", type=_nation)
@click.argument("tracks", metavar="TRACK TRACK", nargs=2)
@click.option(
    "--release",
    "to",
    metavar="NATIONS",
    help="Who may see it, if the tracks may go there: jpn-usa.  [default: who is sure to know both]",
)
@click.option("--undo", is_flag=True, help="Take it back: they may be one object again.")
@_broker_option
@_settings_option
def decorrelate(
    nation: str, tracks: tuple[str, str], to: str | None, undo: bool, broker: str | None, settings_file: Path | None
) -> None:
    """Say as NATION's operator that two national tracks, like jpn/4 and usa/7, are not the same object.

    From then on no picture that may know it holds them in one system track, until one of them ends or NATION takes it back.
    """
    from bench.decorrelate import run_decorrelate

    run_decorrelate(load(settings_file, broker__url=broker), nation, tracks, to, undo=undo)


@main.command()
@click.option("--topic", default="mw/v1/#", show_default=True, help="Topic filter.")
@click.option("--count", type=click.IntRange(min=1), help="Stop after this many messages.")
@_broker_option
@_settings_option
@_json_option
def tap(topic: str, count: int | None, broker: str | None, settings_file: Path | None, as_json: bool) -> None:
    """Print live bus traffic, decoded, a line each."""
    from bench.tap import run_tap

    run_tap(load(settings_file, broker__url=broker), topic, count, as_json=as_json)


@main.group()
def bench() -> None:
    """Measure the bus (over --broker, a Mosquitto if installed, or the embedded broker), the fusion core and national feeds."""


@bench.command()
@click.option("--seconds", default=10.0, show_default=True, type=Between(1.0, 600.0), help="Length at each rate.")
@_broker_option
@_settings_option
@_json_option
def latency(seconds: float, broker: str | None, settings_file: Path | None, as_json: bool) -> None:
    """From a new launch in a frame to the alert held, beside the floor: the same bytes over raw sockets."""
    from bench.benches import run_latency

    run_latency(load(settings_file, broker__url=broker), seconds, as_json=as_json)


@bench.command()
@click.option("--seconds", default=1.5, show_default=True, type=Between(0.2, 60.0), help="Length of each run.")
@click.option("--runs", default=3, show_default=True, type=click.IntRange(1, 20), help="Runs of each; the median counts.")
@_broker_option
@_settings_option
@_json_option
def bus(seconds: float, runs: int, broker: str | None, settings_file: Path | None, as_json: bool) -> None:
    """Messages and track reports a second, one way, by adapter, QoS and payload."""
    from bench.benches import run_bus

    run_bus(load(settings_file, broker__url=broker), seconds, runs, as_json=as_json)


@bench.command()
@click.option("--runs", default=20, show_default=True, type=click.IntRange(1, 1000), help="Seeded runs of each scenario.")
@click.option(
    "--scenario",
    "names",
    multiple=True,
    metavar="NAME",
    help="Measure only this: a shipped scenario, published-flights, published-glides or hundred; repeatable.  "
    "[default: three shipped, published-flights, hundred]",
)
@_json_option
def sensors(runs: int, names: tuple[str, ...], as_json: bool) -> None:
    """National tracks against truth: consistency by nation and phase, first reports, and speed. Needs no broker.

    published-flights flies one published flight after the other, published-glides those of gliders; hundred is a hundred launches
    at once, in two runs at most.
    """
    from bench.benches import run_sensors
    from bench.population import MEASURED

    run_sensors(runs, names or MEASURED, as_json=as_json)


@bench.command()
@click.option("--seconds", default=10.0, show_default=True, type=Between(0.1, 600.0), help="Cycles of each size for so long.")
@click.option(
    "--tracks",
    "sizes",
    multiple=True,
    type=click.IntRange(1, 1_000_000),
    help="Tracks a feed; repeatable.  [default: 18, 100, 1000, 10000, 100000]",
)
@_json_option
def throughput(seconds: float, sizes: tuple[int, ...], as_json: bool) -> None:
    """Full fusion cycles over many tracks on one core: decoded frames in, system tracks and alerts out. Needs no broker."""
    from bench.benches import run_throughput
    from bench.throughput import SIZES

    run_throughput(sizes or SIZES, seconds, as_json=as_json)


@bench.command()
@click.option("--seconds", default=1.5, show_default=True, type=Between(0.2, 60.0), help="Length of each run.")
@click.option("--runs", default=3, show_default=True, type=click.IntRange(1, 20), help="Runs over the broker; the median counts.")
@_broker_option
@_settings_option
@_json_option
def seal(seconds: float, runs: int, broker: str | None, settings_file: Path | None, as_json: bool) -> None:
    """What seals cost: a frame sealed and opened beside decoded, fused and carried, and what they add to an alert."""
    from bench.benches import run_seal

    run_seal(load(settings_file, broker__url=broker), seconds, runs, as_json=as_json)


@bench.command()
@click.option("--runs", default=10, show_default=True, type=click.IntRange(1, 1000), help="Seeded runs.")
@click.option("--scenario", default="salvo-2024-05-30", show_default=True, help="A shipped scenario, or a file.")
@_json_option
def order(runs: int, scenario: str, as_json: bool) -> None:
    """Whether the picture depends on the order of arrival: under delay, repetition and loss, against the same in order."""
    from bench.benches import run_order

    run_order(scenario, runs, as_json=as_json)


@bench.command()
@click.option(
    "--tracks",
    "sizes",
    multiple=True,
    type=click.IntRange(2, 3000),
    help="Tracks a feed; repeatable.  [default: 10, 30, 100, 300, 1000]",
)
@click.option(
    "--budget-s",
    default=20.0,
    show_default=True,
    type=Between(0.01, 3600.0),
    help="A contender's time at a size; one that cannot do a single run in it is told so.",
)
@click.option("--seed", default=1, show_default=True, type=click.IntRange(0, 2**53), help="Seed of the sky.")
@_json_option
def peers(sizes: tuple[int, ...], budget_s: float, seed: int, as_json: bool) -> None:
    """Two feeds' tracks gated, assigned and fused: beside plain numpy and scipy, and Stone Soup. Needs no broker.

    Stone Soup comes with the extra: pip install .[peers]. Without it the others are measured.
    """
    from bench.benches import run_peers
    from bench.peers import SIZES

    run_peers(sizes or SIZES, budget_s, seed, as_json=as_json)


@bench.command()
@click.option("--runs", default=5, show_default=True, type=click.IntRange(1, 1000), help="Seeded runs of each case.")
@click.option(
    "--seed", default=1, show_default=True, type=click.IntRange(1, 2**53), help="Seed of the first run; then one more each."
)
@click.option("--case", "names", multiple=True, metavar="NAME", help="Measure only this, as the table names it; repeatable.")
@click.option("--jobs", default=os.cpu_count() or 1, show_default="processors", type=click.IntRange(1, 256), help="Runs at once.")
@_json_option
def quality(runs: int, seed: int, names: tuple[str, ...], jobs: int, as_json: bool) -> None:
    """The fused picture against truth and a centralised tracker: with biases, duplicates, feedback, and at spacings of launchers.

    ANEES by phase, association, GOSPA, and the ellipses of launch points and impacts. Needs no broker; two minutes
    a run, and a process each.
    """
    from bench.benches import run_quality

    run_quality(runs, seed, names, jobs, as_json=as_json)
