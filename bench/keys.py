"""`triwarn keys`: development certificates, made and renewed; and those of one run, which go with it."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from bus.certificates import MARK, Made, make_keys, renew
from bus.security import authority_key, principals


def run_init(folder: Path, *, days: int, hosts: Sequence[str], workers: Sequence[str]) -> None:
    """`triwarn keys init`."""
    _tell(make_keys(folder, principals(workers), days=days, hosts=hosts))
    click.echo(f"{MARK}.")
    click.echo(f"Keep {authority_key(folder)} away from every process: who has it can be anybody.")


def run_renew(folder: Path, *, days: int) -> None:
    """`triwarn keys renew`."""
    _tell(renew(folder, days=days))
    click.echo("A process shows its renewed certificate once it is started again, Mosquitto after SIGHUP.")


@contextlib.contextmanager
def keys_of_a_run(workers: Sequence[str]) -> Iterator[Path]:
    """A key folder for one exercise, gone with it."""
    with tempfile.TemporaryDirectory(prefix="triwarn-keys-") as folder:
        make_keys(Path(folder), principals(workers))
        yield Path(folder)


def _tell(made: Sequence[Made]) -> None:
    width = max(len(each.principal) for each in made)
    for each in made:
        click.echo(f"{each.principal:<{width}}  until {each.expires:%Y-%m-%d %H:%M} UTC  {each.path}")
