"""Single processes for one machine each, or one container each: a feed, a fusion worker, a receiver, the canary.

Each serves /metrics, /ready and /live, announces itself on the bus, ends cleanly on SIGTERM, and with `--record` leaves what it
saw and what it counted behind.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple, Protocol, cast

import click
import msgspec
from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector

from bench.links import credentials_for, link_maker, seals_for
from bench.settings import Settings, load
from bus.audit import AuditLog
from bus.credentials import check_scheme
from bus.errors import Refused, Unreachable
from bus.link import parse_url, shown
from bus.loop import run_service
from bus.metrics import Endpoint, Metrics
from bus.party import MakeTransport, Party, stop_on_signals
from bus.recording import Entry, Recorder
from bus.release import NATIONS, Nation
from bus.seals import Seals
from bus.security import CANARY, principal
from bus.transport import Transport

log = logging.getLogger(__name__)

_TRY_AGAIN_S = 0.5


class Service(Protocol):
    """What the services have in common."""

    party: Party

    def run(self, stopping: asyncio.Event) -> Awaitable[None]: ...


class Parts(NamedTuple):
    """What a service is built of."""

    make: MakeTransport
    metrics: Metrics
    settings: Settings
    write: Callable[[Entry], None] | None
    seals: Seals | None


Build = Callable[[Parts], Service]


def serve(
    name: str,
    who: Callable[[Settings], str],
    build: Build,
    record: Path | None,
    endpoint_port: int | None,
    with_parent: bool,
    broker: str | None,
    settings_file: Path | None,
) -> None:
    """Build a service and run it until a signal; the endpoint is up from the start, ready when the service is.

    `who` names its principal.
    """
    settings = load(settings_file, broker__url=broker, endpoint__port=endpoint_port)
    credentials, seals = credentials_for(settings, who(settings)), seals_for(settings, who(settings))
    registry = CollectorRegistry()
    for collector in (ProcessCollector, PlatformCollector, GCCollector):
        collector(registry=registry)
    if record is not None:
        record.mkdir(parents=True, exist_ok=True)
    recorder = Recorder(record / f"{name}.capture") if record else None
    metrics = Metrics(registry, settings.budgets)
    if credentials is not None:
        metrics.certificate_expires("own", credentials.expires_s)
        metrics.certificate_expires("authority", credentials.authority_expires_s)

    async def main() -> None:
        stopping = stop_on_signals(with_parent=with_parent)
        service = build(Parts(link_maker(settings, credentials), metrics, settings, recorder.write if recorder else None, seals))
        if settings.audit.folder:
            service.party.audit = AuditLog(Path(settings.audit.folder), service.party.principal)
        service.party.begin = partial(_begun, stopping=stopping, wait_s=settings.broker.wait_s)
        endpoint = Endpoint(registry, lambda: service.party.ready, settings.endpoint.host, settings.endpoint.port)
        click.echo(f"{name}: metrics on http://{settings.endpoint.host}:{endpoint.port}/metrics", err=True)
        try:
            await service.run(stopping)
        except _Stopped:
            pass
        finally:
            endpoint.close()
            if recorder:
                recorder.close()
            service.party.log(AuditLog.close)
            if record is not None:
                (record / f"{name}.summary.json").write_bytes(msgspec.json.encode(service.party.summary()))

    run_service(main())


class _Stopped(Exception):
    """Told to stop while there was no broker yet."""


async def _begun(link: Transport, stopping: asyncio.Event, wait_s: float) -> None:
    """Connect a link once there is a broker: processes may be started in any order, and a broker may go as it is greeted.

    Raises Unreachable after `wait_s`, 0 is for ever; Refused where it is refused twice running, for a broker that dies says
    nothing either; and _Stopped.
    """
    deadline_s, told, refused = time.monotonic() + (wait_s or math.inf), False, False
    while not stopping.is_set():
        try:
            await link.start()
        except Unreachable as error:
            what, colon, why = str(error).partition(": ")
            if time.monotonic() > deadline_s:
                raise Unreachable(f"{what} in {wait_s:g} s{colon}{why}") from None
            if not told:
                log.warning("%s yet%s%s; trying again", what, colon, why)
            told, refused = True, False
        except Refused:
            if refused:
                raise
            refused = True
        else:
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stopping.wait(), _TRY_AGAIN_S)
    raise _Stopped


def run_feed(
    nation: str,
    scenario: str | None,
    seed: int | None,
    record: Path | None,
    endpoint_port: int | None,
    with_parent: bool,
    broker: str | None,
    settings_file: Path | None,
) -> None:
    """`triwarn feed`."""
    from sensors.scenario import default_nation, load_scenario
    from sensors.service import FeedService

    owner = cast("Nation", nation)
    prepared = load_scenario(scenario) if scenario else None
    sensors = list((prepared.nations[owner] if prepared else default_nation(owner)).sensors)

    def build(parts: Parts) -> Service:
        service = FeedService(parts.make, parts.metrics, owner, sensors, parts.seals)
        # Without a scenario to prepare for, preparing for any compiles the kernels.
        ahead = prepared or load_scenario("overflight")
        service.prepare(ahead.text, ahead.seed if seed is None else seed)
        return service

    serve(f"feed-{nation}", lambda _: principal("feed", nation), build, record, endpoint_port, with_parent, broker, settings_file)


def run_fusion(
    record: Path | None, endpoint_port: int | None, with_parent: bool, broker: str | None, settings_file: Path | None
) -> None:
    """`triwarn fuse`. One that does not serve everybody leaves what it saw under its own name: there are others."""
    from fusion.service import FusionWorker

    worker = load(settings_file).worker

    def build(parts: Parts) -> Service:
        return FusionWorker(
            parts.make, parts.metrics, parts.settings.worker, parts.settings.fusion, record=parts.write, seals=parts.seals
        )

    serve(
        "fusion" if len(worker.recipients) == len(NATIONS) else f"fusion-{worker.name}",
        lambda settings: principal("fusion", settings.worker.name),
        build,
        record,
        endpoint_port,
        with_parent,
        broker,
        settings_file,
    )


def run_canary(
    scenario: str,
    every_s: float,
    speed: float,
    also: Sequence[str],
    record: Path | None,
    endpoint_port: int | None,
    with_parent: bool,
    broker: str | None,
    settings_file: Path | None,
) -> None:
    """`triwarn canary`."""
    from bench.canary import CanaryService
    from sensors.scenario import load_scenario

    played = load_scenario(scenario)

    def build(parts: Parts) -> Service:
        credentials = credentials_for(parts.settings, CANARY)
        for url in also:
            check_scheme(parse_url(url), keys=credentials is not None)
        beyond = {shown(url): link_maker(parts.settings, credentials, url) for url in also}
        return CanaryService(
            parts.make,
            parts.metrics,
            played,
            every_s=every_s,
            speed=speed,
            seals=parts.seals,
            fusion=parts.settings.fusion,
            also=beyond,
        )

    serve(CANARY, lambda _: CANARY, build, record, endpoint_port, with_parent, broker, settings_file)


def run_receiver(
    recipient: str,
    record: Path | None,
    endpoint_port: int | None,
    with_parent: bool,
    broker: str | None,
    settings_file: Path | None,
) -> None:
    """`triwarn receive`."""
    from bench.receiver import ReceiverService

    def build(parts: Parts) -> Service:
        return ReceiverService(parts.make, parts.metrics, cast("Nation", recipient), record=parts.write, seals=parts.seals)

    serve(recipient, lambda _: principal("receiver", recipient), build, record, endpoint_port, with_parent, broker, settings_file)
