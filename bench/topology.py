"""Where the brokers of an exercise stand, and who is on which: one broker, a hub with a spoke a nation, or a mesh.

`triwarn run --topology` starts these for the length of an exercise, each a Mosquitto of its own. A description is a table;
`opened` makes it real.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, Literal, NamedTuple, get_args

from bus.access import Releases, access_list
from bus.bridges import BridgeKeys, Crossing, Remote, bridge_lines, from_hub, session_secret, to_hub, to_partner
from bus.broker import free_port
from bus.errors import BadInput
from bus.mosquitto import ANONYMOUS, MosquittoBroker, SecuredMosquitto
from bus.release import NATIONS, Nation
from bus.security import HUB, key_files, principal
from bus.topics import EVERYTHING, ROOT

Topology = Literal["single", "hub", "mesh"]
TOPOLOGIES: Final[tuple[Topology, ...]] = get_args(Topology)

ALONE: Final = "broker"
_LOOPBACK: Final = "127.0.0.1"


class Worker(NamedTuple):
    """A fusion worker: its name, the broker that it is on, and whose pictures it makes."""

    name: str
    broker: str
    recipients: tuple[Nation, ...]


class Network(NamedTuple):
    """The brokers by name, which of them a nation's feed and receiver are on, the workers, and what the conductor watches where.

    On each broker that is watched the conductor also tells the exercise clock.
    """

    topology: Topology
    brokers: tuple[str, ...]
    spoke: Mapping[Nation, str]
    workers: tuple[Worker, ...]
    watched: Mapping[str, tuple[str, ...]]


def network(topology: Topology, worker: str) -> Network:
    """The network of a topology; `worker` is the name of the fusion worker where there is one for all."""
    apart: dict[Nation, str] = {nation: nation for nation in NATIONS}
    match topology:
        case "single":
            together = dict.fromkeys(NATIONS, ALONE)
            return Network(topology, (ALONE,), together, (Worker(worker, ALONE, NATIONS),), {ALONE: (EVERYTHING,)})
        case "hub":
            return Network(topology, (HUB, *NATIONS), apart, (Worker(worker, HUB, NATIONS),), {HUB: (EVERYTHING,)})
        case "mesh":
            workers = tuple(Worker(nation, nation, (nation,)) for nation in NATIONS)
            return Network(topology, NATIONS, apart, workers, {nation: _own(nation) for nation in NATIONS})


def called(broker: str) -> str:
    """What a broker is called in a sentence."""
    return broker if broker == ALONE else f"broker {broker}"


def _own(nation: Nation) -> tuple[str, ...]:
    """On its broker in a mesh, what is a nation's own, not what has crossed from others."""
    feed, picture = f"{ROOT}/feed/{nation}/#", f"{ROOT}/picture/{nation}/#"
    return feed, picture, f"{ROOT}/receiver/{nation}/status", f"{ROOT}/fusion/{nation}/status"


def bridges(
    net: Network, broker: str, places: Mapping[str, Remote], releases: Releases, keys: BridgeKeys | None
) -> tuple[str, ...]:
    """The lines of the bridges that a broker makes. `places` are the brokers by name, `keys` those of its bridges."""
    made = (bridge_lines(broker, places[far], crossings, keys) for far, crossings in _crossings(net, broker, releases))
    return tuple(itertools.chain.from_iterable(made))


def _crossings(net: Network, broker: str, releases: Releases) -> Iterator[tuple[str, tuple[Crossing, ...]]]:
    """The brokers that one speaks to, and what goes there."""
    for nation in NATIONS:
        if net.topology == "hub" and broker == HUB:
            yield nation, from_hub(nation)
        elif net.topology == "hub" and broker == nation:
            yield HUB, to_hub(nation, releases[nation])
        elif net.topology == "mesh" and broker == nation:
            for partner in NATIONS:
                if partner != nation:
                    yield partner, to_partner(nation, partner, releases[nation])


def access(net: Network, broker: str, releases: Releases) -> str:
    """The access list of a broker."""
    spoke = next((nation for nation in NATIONS if net.topology == "hub" and broker == nation), None)
    return access_list(releases, [worker.name for worker in net.workers], spoke)


def bridge_keys(folder: Path, broker: str, seen_as: Path | None = None) -> BridgeKeys | None:
    """The keys of a broker's bridges in a key folder, which the broker sees as another; None where it makes no bridge."""
    if broker not in (HUB, *NATIONS):
        return None
    name = principal("bridge", broker)
    key = key_files(folder, name).key
    try:
        secret = session_secret(key.read_bytes())
    except OSError as error:
        raise BadInput(str(key), "", f"cannot be read: {error.strerror}") from None
    return BridgeKeys(*key_files(seen_as or folder, name), secret)


@contextlib.contextmanager
def opened(net: Network, releases: Releases, keys: Path | None = None) -> Iterator[dict[str, str]]:
    """The URLs of a network's brokers by name, for as long as it is open: each a Mosquitto, secured where there are keys."""
    places = {broker: Remote(broker, _LOOPBACK, free_port()) for broker in net.brokers}
    with contextlib.ExitStack() as stack:
        urls: dict[str, str] = {}
        for broker in net.brokers:
            lines = bridges(net, broker, places, releases, bridge_keys(keys.resolve(), broker) if keys else None)
            made = (
                MosquittoBroker((*ANONYMOUS, *lines), places[broker].port)
                if keys is None
                else SecuredMosquitto(keys, access(net, broker, releases), lines, places[broker].port)
            )
            urls[broker] = stack.enter_context(made).url
        yield urls
