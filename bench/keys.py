"""`triwarn keys`: development certificates and signing keys, made and renewed; and those of one run, which go with it."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from bus.certificates import MARK, Made, make_keys, renew
from bus.identity import add_key, load_identity, load_trust, write_identities
from bus.security import DEFAULT_DAYS, SILENT, authority_key, parted, principals


def run_init(folder: Path, *, days: int, hosts: Sequence[str], workers: Sequence[str]) -> None:
    """`triwarn keys init`."""
    _tell(make_folder(folder, principals(workers), days=days, hosts=hosts))
    click.echo(f"{MARK}.")
    click.echo(f"Keep {authority_key(folder)} away from every process: who has it can be anybody.")


def run_renew(folder: Path, *, days: int) -> None:
    """`triwarn keys renew`."""
    _tell(renew(folder, days=days))
    click.echo("A process shows its renewed certificate once it is started again, Mosquitto after SIGHUP.")


def run_rotate(folder: Path, *, after_s: float, days: int) -> None:
    """`triwarn keys rotate`."""
    begin = datetime.now(UTC) + timedelta(seconds=after_s)
    names = sorted({key.principal for key in load_trust(folder).keys.values()})
    for name in names:
        load_identity(folder, name)  # what is wrong with one is told before any has another
    for name in names:
        add_key(folder, name, begin, begin + timedelta(days=days))
        click.echo(f"{name}: a new signing key from {begin:%Y-%m-%d %H:%M:%S} UTC")
    click.echo("Processes take it up by themselves; trust.toml must be everywhere before that.")


def make_folder(folder: Path, names: Sequence[str], *, days: int = DEFAULT_DAYS, hosts: Sequence[str] = ()) -> list[Made]:
    """Everything that an exercise with these principals needs: certificates for all, signing keys for all that speak."""
    made = make_keys(folder, names, days=days, hosts=hosts)
    write_identities(folder, [name for name in names if parted(name)[0] not in SILENT], days=days)
    return made


@contextlib.contextmanager
def keys_of_a_run(workers: Sequence[str]) -> Iterator[Path]:
    """A key folder for one exercise, gone with it."""
    with tempfile.TemporaryDirectory(prefix="triwarn-keys-") as folder:
        make_folder(Path(folder), principals(workers))
        yield Path(folder)


def _tell(made: Sequence[Made]) -> None:
    width = max(len(each.principal) for each in made)
    for each in made:
        click.echo(f"{each.principal:<{width}}  until {each.expires:%Y-%m-%d %H:%M} UTC  {each.path}")
