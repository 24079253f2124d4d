"""The commands of release and of the secured profile: `triwarn policy`, `keys`, `audit`. Parse, call, print; decide nothing."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from bench.ranges import Between
from bench.topology import Topology
from bus.release import NATIONS, Nation
from bus.security import DEFAULT_DAYS, MOST_DAYS
from fusion.settings import WorkerSettings

_nation = click.Choice(NATIONS)
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


@keys.command()
@_folder
@click.option(
    "--after-s",
    type=Between(0.0, 1e7),
    default=300.0,
    show_default=True,
    help="When the new keys begin, s from now: by then every party must have its new files.",
)
@click.option("--days", type=click.IntRange(1, MOST_DAYS), default=DEFAULT_DAYS, show_default=True, help="How long they hold.")
def rotate(folder: Path, after_s: float, days: int) -> None:
    """Give everybody in FOLDER a new signing key; the old ones hold until they end. Takes effect while everything runs."""
    from bench.keys import run_rotate

    run_rotate(folder, after_s=after_s, days=days)


@keys.command()
@_folder
@click.argument("to", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option(
    "--host", default="mosquitto", show_default=True, help="The broker's host; brokers apart are at HOST-hub, HOST-jpn."
)
@click.option("--topology", type=click.Choice(["single", "hub", "mesh"]), default="single", show_default=True)
@click.option("--worker", default=WorkerSettings().name, show_default=True, metavar="NAME", help="The fusion worker's name.")
@_days_option
@click.option(
    "--ahead-days",
    type=click.IntRange(0, MOST_DAYS),
    default=DEFAULT_DAYS // 3,
    show_default=True,
    help="Renew what ends within so many days.",
)
@click.option(
    "--seen-as",
    type=click.Path(path_type=Path),
    default="/keys",
    show_default=True,
    help="Where a broker will see its part: the files that its bridges name.",
)
def deal(folder: Path, to: Path, host: str, topology: Topology, worker: str, days: int, ahead_days: int, seen_as: Path) -> None:
    """Give each party whose folder is in TO its own part of FOLDER, which is made where it is not there; renew what ends soon.

    For parties that see nothing but their own, one a container: it may run at every start.
    """
    from bench.deal import run_deal

    run_deal(folder, to, host=host, topology=topology, worker=worker, days=days, ahead_days=ahead_days, seen_as=seen_as)


@click.group()
def policy() -> None:
    """What may be released to whom: why something was or was not, and what the broker is told of it."""


@policy.command()
@click.argument("scenario", default="salvo-2024-05-30")
@click.option("--nation", required=True, type=_nation, help="Whose reports.")
@click.option("--to", type=_nation, help="Only what was decided on this recipient.")
@click.option("--at-s", type=Between(0.0, 86_400.0), help="Only what was in force then, s from the start of the scenario.")
@click.option("--seed", type=click.IntRange(0, 2**53), help="Seed of every random stream.  [default: the scenario's]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on standard output.")
def explain(scenario: str, nation: str, to: str | None, at_s: float | None, seed: int | None, as_json: bool) -> None:
    """Play NATION's feed and tell for each track who got it, from when, by which rule, and why not. Needs no broker.

    SCENARIO is a shipped one's name or a file.
    """
    from bench.policy import run_explain

    run_explain(scenario, nation, to, at_s, seed, as_json=as_json)


@policy.command()
@click.argument("scenario", required=False)
@_worker_option
@click.option("--spoke", type=_nation, help="For this nation's broker where a hub's is bridged to it, not for a broker of all.")
def acl(scenario: str | None, workers: tuple[str, ...], spoke: Nation | None) -> None:
    """Print Mosquitto's access list (acl_file): for what SCENARIO's nations release, or for all that a nation could."""
    from bench.access import run_acl

    run_acl(scenario, workers, spoke)


@click.group()
def audit() -> None:
    """Audit logs: what each process decided, sent and refused (`triwarn run --audit FOLDER`, or the setting `audit.folder`)."""


@audit.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@click.option("--head", "heads", multiple=True, metavar="HEX", help="A log must end in this chain value; repeatable.")
@click.option(
    "--result", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="And in those that a result.json tells."
)
@click.option("--allow-open", is_flag=True, help="A log without its end is no fault: its process runs, or was killed.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on standard output.")
def verify(paths: tuple[Path, ...], heads: tuple[str, ...], result: Path | None, allow_open: bool, as_json: bool) -> None:
    """Find any change in audit logs: PATHS are files, or folders of them. Exit code 1 where there is one."""
    from bench.audit import heads_in, run_verify

    wanted = [*heads, *(heads_in(result) if result else [])]
    sys.exit(run_verify(paths, wanted, allow_open=allow_open, as_json=as_json))
