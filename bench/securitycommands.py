"""The commands of the secured profile: `triwarn keys` and `triwarn policy`. Parses, calls, prints; decides nothing."""

from __future__ import annotations

from pathlib import Path

import click

from bus.security import DEFAULT_DAYS, MOST_DAYS
from fusion.settings import WorkerSettings

_folder = click.argument("folder", type=click.Path(path_type=Path))
_days_option = click.option(
    "--days", type=click.IntRange(1, MOST_DAYS), default=DEFAULT_DAYS, show_default=True, help="How long certificates are valid."
)
_worker_option = click.option(
    "--worker",
    "workers",
    multiple=True,
    default=(WorkerSettings().name,),
    show_default=True,
    metavar="NAME",
    help="A fusion worker's name; repeatable. One named after a nation serves that nation only.",
)


@click.group()
def keys() -> None:
    """Make and renew development certificates: who is who on a secured bus."""


@keys.command()
@_folder
@_days_option
@click.option("--host", "hosts", multiple=True, metavar="NAME", help="The broker's host, beside the local ones; repeatable.")
@_worker_option
def init(folder: Path, days: int, hosts: tuple[str, ...], workers: tuple[str, ...]) -> None:
    """Make an authority and a certificate a party in FOLDER, which must be new or empty. For development, not for real use."""
    from bench.keys import run_init

    run_init(folder, days=days, hosts=hosts, workers=workers)


@keys.command()
@_folder
@_days_option
def renew(folder: Path, days: int) -> None:
    """Renew every certificate in FOLDER, by its authority; keys stay what they are."""
    from bench.keys import run_renew

    run_renew(folder, days=days)


@click.group()
def policy() -> None:
    """What may be released to whom, as the broker is told it."""


@policy.command()
@click.argument("scenario", required=False)
@_worker_option
def acl(scenario: str | None, workers: tuple[str, ...]) -> None:
    """Print Mosquitto's access list (acl_file): for what SCENARIO's nations release, or for all that a nation could."""
    from bench.access import run_acl

    run_acl(scenario, workers)
