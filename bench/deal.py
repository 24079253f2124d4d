"""`triwarn keys deal`: one key folder, and to each party its own part of it, for parties that see nothing but theirs.

    FOLDER              everything, the authority's key too: what `triwarn keys init` makes, and who keeps it is no party
    TO/feed.jpn/        a party's part: authority.crt, trust.toml, and in feed.jpn/ its own certificate and keys
    TO/broker/          a broker's: in broker/ its certificate, in health/ that of its health check, access.list, and in bridges/
                        the bridges that it makes, with their certificate; brokers apart have TO/broker.hub/, TO/broker.jpn/

Each folder in TO that it may write in gets its part: a party is added by making its folder, in a read-only container by mounting
a volume there. Safe at every start: the first time it makes the keys, later it renews what ends soon, and writes only what
differs, each file at once.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple

import click

from bench.keys import make_folder
from bench.topology import ALONE, TOPOLOGIES, Network, Topology, access, bridge_keys, bridges, network
from bus.access import every_release
from bus.bridges import Remote
from bus.certificates import read_certificate, renew
from bus.errors import BadInput
from bus.identity import add_key, load_trust, trust_file
from bus.link import PORTS
from bus.private import OWNER_ONLY, PUBLIC, replace_file
from bus.security import BROKER, HEALTH, authority_certificate, parted, principal, principals
from fusion.settings import WorkerSettings

_KNOWN_BY: Final = timedelta(minutes=5)  # a new signing key begins so much later, so that everybody has heard of it
_PUBLIC_NAMES: Final = (".crt", ".toml")  # bridges.conf holds client ids, and who knows one can take its session over


class Dealt(NamedTuple):
    """To whom a part was dealt, until when its certificate is valid, and how many files were new or other than before."""

    party: str
    expires: datetime
    changed: int


def run_deal(
    folder: Path, to: Path, *, host: str, topology: Topology, worker: str, days: int, ahead_days: int, seen_as: Path
) -> None:
    """`triwarn keys deal`."""
    net, now = network(topology, worker), datetime.now(UTC)
    parties = _parties_in(to, net)
    _have_keys(folder, net, host=host, days=days, ahead=timedelta(days=ahead_days), now=now)
    width = max(map(len, parties))
    for each in [deal(folder, to, party, net, host, seen_as) for party in parties]:
        news = f"{each.changed} files written" if each.changed else "as it was"
        click.echo(f"{each.party:<{width}}  until {each.expires:%Y-%m-%d %H:%M} UTC  {news}")


def everybody(net: Network) -> tuple[str, ...]:
    """Who has keys in a network: all principals, a broker for each of its brokers, and their health check."""
    others = [name for name in principals(worker.name for worker in net.workers) if name != BROKER]
    return (*(_broker(each) for each in net.brokers), HEALTH, *others)


def possible_parties() -> tuple[str, ...]:
    """Everybody who has keys in some network, the worker's name being the usual one: for whom an image has a folder in TO."""
    names = [name for each in TOPOLOGIES for name in everybody(network(each, WorkerSettings().name))]
    return tuple(dict.fromkeys(names))


def deal(folder: Path, to: Path, party: str, net: Network, host: str, seen_as: Path) -> Dealt:
    """Lay a party's part into its folder."""
    part = dict(_part(folder, party, net, host, seen_as))
    changed = 0
    for name, content in part.items():
        path = to / party / name
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists() or path.read_bytes() != content:
            replace_file(path, content, PUBLIC if path.suffix in _PUBLIC_NAMES else OWNER_ONLY)
            changed += 1
    return Dealt(party, read_certificate(folder / party / "tls.crt").not_valid_after_utc, changed)


def _parties_in(to: Path, net: Network) -> list[str]:
    """The parties whose folders may be written in; BadInput where there is none, or a folder is nobody's."""
    known = everybody(net)
    found = sorted(path.name for path in to.glob("*") if path.is_dir() and os.access(path, os.W_OK))
    for name in found:
        if name not in known:
            raise BadInput(str(to / name), "", "is no party's folder", ", ".join(known))
    if not found:
        raise BadInput(str(to), "", "holds no party's folder that can be written", ", ".join(known))
    return found


def _have_keys(folder: Path, net: Network, *, host: str, days: int, ahead: timedelta, now: datetime) -> None:
    """See to it that the key folder is there, whole, and good for some time."""
    if not folder.exists():
        making = folder.with_name(f"{folder.name}.making")
        shutil.rmtree(making, ignore_errors=True)  # of one that was killed
        make_folder(making, everybody(net), days=days, hosts=[host])
        making.rename(folder)
        click.echo(f"made {folder}: an authority and keys for {len(everybody(net))} parties")
    if missing := [name for name in everybody(net) if not (folder / name / "tls.crt").exists()]:
        raise BadInput(str(folder), "", f"has no keys of {', '.join(missing)}", "a folder made for this topology, or none")
    if min(read_certificate(path).not_valid_after_utc for path in folder.glob("*/tls.crt")) < now + ahead:
        renew(folder, days=days, now=now)
        click.echo("renewed the certificates: a process shows its own once it is started again, Mosquitto after SIGHUP")
    for name, ends in _signing_keys(folder).items():
        if ends < now + ahead:
            begins = max(now, min(ends, now + _KNOWN_BY))
            add_key(folder, name, begins, begins + timedelta(days=days))
            click.echo(f"{name}: a new signing key from {begins:%Y-%m-%d %H:%M:%S} UTC")


def _signing_keys(folder: Path) -> dict[str, datetime]:
    """Until when each speaker has a key to sign with."""
    ends: dict[str, datetime] = {}
    for key in load_trust(folder).keys.values():
        until = datetime.fromtimestamp(key.until_ns / 1e9, UTC)
        ends[key.principal] = max(until, ends.get(key.principal, until))
    return ends


def _part(folder: Path, party: str, net: Network, host: str, seen_as: Path) -> Iterator[tuple[str, bytes]]:
    """The files of a party's part by their names in it."""
    role, owner = parted(party)
    yield from _files(authority_certificate(folder).parent, [authority_certificate(folder), trust_file(folder)])
    yield from _own(folder, party, as_name=BROKER if role == BROKER else party)
    if role != BROKER:
        return
    yield from _own(folder, HEALTH)
    broker = owner or ALONE
    yield "access.list", access(net, broker, every_release()).encode()
    places = {each: Remote(each, f"{host}-{each}", PORTS["mqtts"]) for each in net.brokers}
    lines = bridges(net, broker, places, every_release(), bridge_keys(folder, owner, seen_as))
    yield "bridges/bridges.conf", "\n".join(["# Made by `triwarn keys deal`.", *lines, ""]).encode()
    if lines:
        yield from _own(folder, principal("bridge", owner))


def _own(folder: Path, name: str, as_name: str = "") -> Iterator[tuple[str, bytes]]:
    for path in sorted((folder / name).iterdir()):
        yield f"{as_name or name}/{path.name}", path.read_bytes()


def _files(folder: Path, paths: list[Path]) -> Iterator[tuple[str, bytes]]:
    for path in paths:
        yield str(path.relative_to(folder)), path.read_bytes()


def _broker(name: str) -> str:
    return BROKER if name == ALONE else principal(BROKER, name)
