"""An exercise in one process on a simulated clock, over the in-memory bus: the same services, no waiting, no chance.

Everything the live exercise runs is here too (feeds, wire, fusion worker, receivers) but for the broker and the processes.
A message arrives at the instant it was released. There are no machine times: on this clock there is nothing to measure.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from prometheus_client import CollectorRegistry

from bench.receiver import ReceiverService
from bench.world import World
from bus.audit import AuditHead, AuditLog
from bus.clock import SimulatedClock
from bus.memory import MemoryBus, MemoryTransport
from bus.metrics import Budgets, Metrics
from bus.party import MakeTransport, Party, Summary
from bus.recording import Entry
from bus.release import NATIONS, Nation
from fusion.service import FusionWorker
from fusion.settings import FusionSettings, WorkerSettings
from sensors.feed import Release
from sensors.service import FeedService, outgoing

_TICK_NS = 500_000_000


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an exercise left behind: what each recipient received and when, what each process counted, and when it ended.

    `summaries` is None where the processes are others'. `lost` names the processes that ended before their time, or that,
    others', were not there at the end. `conductor` is where the conductor's audit log ended.
    """

    received: dict[Nation, list[Entry]]
    summaries: list[Summary] | None
    end_ns: int
    lost: list[str] = field(default_factory=list)
    conductor: AuditHead | None = None


def simulate(
    world: World,
    fusion: FusionSettings,
    nations: tuple[Nation, ...] = NATIONS,
    recipients: tuple[Nation, ...] = NATIONS,
    stopped: Callable[[], bool] = lambda: False,
    audit_folder: str = "",
) -> Outcome:
    """Run the releases of `nations` through one fusion worker to `recipients`, on a simulated clock, until `stopped()`.

    With a folder, every party keeps its audit log there; the wall time of its entries is 0, as of everything here.
    """
    bus, clock = MemoryBus(), SimulatedClock(world.truth.start_ns)
    received: dict[Nation, list[Entry]] = {recipient: [] for recipient in recipients}
    make: MakeTransport = bus.transport
    feeds = {nation: FeedService(make, _metrics(), nation, world.feeds[nation].sensor_names()) for nation in nations}
    worker = FusionWorker(make, _metrics(), WorkerSettings(picture_ms=0.0, recipients=recipients), fusion)
    receivers = {nation: ReceiverService(make, _metrics(), nation, record=received[nation].append) for nation in recipients}
    parties = [each.party for each in feeds.values()] + [worker.party] + [each.party for each in receivers.values()]
    for number, party in enumerate(parties):
        _join(party, clock, session=number + 1)
        if audit_folder:
            party.audit = AuditLog(Path(audit_folder), party.principal, clock.wall_ns)
    for nation, feed in feeds.items():
        feed.decided.extend(world.decided[nation])
        feed.party.announce("starting")
    for at_ns, nation, release in _in_order(world, nations):
        if stopped():
            break
        clock.advance_to(at_ns)
        if release is None:
            worker.tick()
        else:
            feeds[nation].send(outgoing(release, nation, clock, feeds[nation].sessions), release)
    for feed in feeds.values():
        feed.log_decisions()
    for party in parties:
        party.log(AuditLog.close)
    return Outcome(received, [party.summary() for party in parties], clock.now_ns())


def _metrics() -> Metrics:
    return Metrics(CollectorRegistry(), Budgets())


def _join(party: Party, clock: SimulatedClock, session: int) -> None:
    """Connect a party to the in-memory bus, on the shared clock, with a session that is the same in every run."""
    party.clock = clock
    party.streams.session = session
    for link in (party.bulk, party.urgent):
        assert isinstance(link, MemoryTransport)
        link.connect_nowait()


def _in_order(world: World, nations: tuple[Nation, ...]) -> Iterator[tuple[int, Nation, Release | None]]:
    """Every release and every clock tick (None) in order of time; at the same instant by nation, ticks last."""

    def timed(rank: int, nation: Nation) -> Iterator[tuple[int, int, int, Nation, Release | None]]:
        for index, release in enumerate(world.releases[nation]):
            yield release.released_ns, rank, index, nation, release

    ticks = (
        (at_ns, len(NATIONS), 0, NATIONS[0], None)
        for at_ns in range(world.truth.start_ns + _TICK_NS, world.truth.end_ns + _TICK_NS, _TICK_NS)
    )
    for at_ns, _, _, nation, release in heapq.merge(*(timed(NATIONS.index(n), n) for n in nations), ticks):
        yield at_ns, nation, release
