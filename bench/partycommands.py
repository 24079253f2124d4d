"""The commands of single processes: `triwarn feed`, `fuse`, `receive`, `canary`. Parse and call; decide nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from bench.ranges import Between
from bus.release import NATIONS

_nation = click.Choice(NATIONS)
_options = [
    click.option("--record", type=click.Path(path_type=Path, file_okay=False), help="Write what was seen and counted here."),
    click.option("--endpoint-port", type=click.IntRange(0, 65535), help="Port of /metrics, /ready, /live (0: a free one)."),
    click.option("--with-parent", is_flag=True, hidden=True, help="End when standard input closes."),
    click.option("--broker", metavar="URL", help="A broker to use: mqtt://host:port, or mqtts:// over TLS."),
    click.option("--settings", "settings_file", type=click.Path(path_type=Path, dir_okay=False), help="Settings file (TOML)."),
]


def single_process(command: Any) -> Any:
    """The options that every single process takes."""
    for option in reversed(_options):
        command = option(command)
    return command


@click.command()
@click.argument("nation", type=_nation)
@click.option("--scenario", help="Prepare for this scenario, so that the exercise finds everything computed.")
@click.option("--seed", type=click.IntRange(0, 2**53), help="Seed to prepare for.  [default: the scenario's]")
@single_process
def feed(nation: str, scenario: str | None, seed: int | None, **common: Any) -> None:
    """Run one nation's feed; it publishes when an exercise starts on the bus."""
    from bench.single import run_feed

    run_feed(nation, scenario, seed, **common)


@click.command()
@single_process
def fuse(**common: Any) -> None:
    """Run a fusion worker."""
    from bench.single import run_fusion

    run_fusion(**common)


@click.command()
@click.argument("recipient", type=_nation)
@single_process
def receive(recipient: str, **common: Any) -> None:
    """Run one nation's receiver."""
    from bench.single import run_receiver

    run_receiver(recipient, **common)


@click.command()
@click.option("--every", "every_s", default=60.0, show_default=True, type=Between(1.0, 86_400.0), help="From one to the next, s.")
@click.option("--speed", default=2.0, show_default=True, type=Between(0.1, 1000.0), help="Times real time.")
@click.option("--scenario", default="canary", show_default=True, help="What is played: a shipped scenario, or a file.")
@click.option("--also", multiple=True, metavar="URL", help="Another broker of a mesh, for the same canary; repeatable.")
@single_process
def canary(scenario: str, every_s: float, speed: float, also: tuple[str, ...], **common: Any) -> None:
    """Play a notional launch again and again while no exercise runs, so that it is known that warnings still come.

    All of it is marked CANARY, and an exercise ends it at once. Where the access list is made for a scenario that releases less
    than the catalogue's nations do, give it a scenario with the same nations.
    """
    from bench.single import run_canary

    run_canary(scenario, every_s, speed, also, **common)
