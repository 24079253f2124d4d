"""`triwarn keys`: development certificates, made and renewed; and those of one run, which go with it."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from bus.certificates import MARK, Made, make_keys, renew
from bus.identity import add_key, trust_file, write_identities
from bus.security import BROKER, MOST_DAYS, authority_key, parted, principals


def run_init(folder: Path, *, days: int, hosts: Sequence[str], workers: Sequence[str]) -> None:
    """`triwarn keys init`."""
    _tell(make_keys(folder, principals(workers), days=days, hosts=hosts))
    write_identities(folder, _speakers(workers), days=MOST_DAYS)
    click.echo(f"signing keys, {MOST_DAYS} days, and whom to believe: {trust_file(folder)}")
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
        write_identities(Path(folder), _speakers(workers))
        yield Path(folder)


def run_rotate(folder: Path, principal: str, *, after_s: float, days: int) -> None:
    """`triwarn keys rotate`."""
    begin = datetime.now(UTC) + timedelta(seconds=after_s)
    add_key(folder, principal, begin, begin + timedelta(days=days))
    click.echo(f"{principal} speaks with another key from {begin:%Y-%m-%d %H:%M:%S} UTC.")
    click.echo(f"{trust_file(folder)} must be everywhere by then.")


def _speakers(workers: Sequence[str]) -> list[str]:
    """Everybody who says anything: a broker and its bridges do not."""
    return [name for name in principals(workers) if parted(name)[0] not in (BROKER, "bridge")]


def _tell(made: Sequence[Made]) -> None:
    width = max(len(each.principal) for each in made)
    for each in made:
        click.echo(f"{each.principal:<{width}}  until {each.expires:%Y-%m-%d %H:%M} UTC  {each.path}")
