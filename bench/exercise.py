"""`triwarn run`: one exercise from the scenario's name to the printed table, live or simulated."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import click
import msgspec
from rich.console import Console

from bench.comparison import Told, comparison_page, comparison_table
from bench.display import Display
from bench.interrupts import INTERRUPTED, Interrupts
from bench.kernels import make_ready
from bench.keys import keys_of_a_run
from bench.links import link_maker
from bench.live import ExerciseFailed, Plan, Watch, brokers_for, conduct
from bench.report import for_terminal, to_json, write_report
from bench.result import Arrangement, Result
from bench.score import held_alerts, score
from bench.settings import Settings
from bench.simulate import Outcome, simulate
from bench.topology import Topology, called, network
from bench.turns import Tally, turns
from bench.world import World, play_out
from bus.audit import audited
from bus.credentials import load_credentials
from bus.errors import BadInput, BusError, Unreachable
from bus.link import shown
from bus.mosquitto import MOSQUITTO, NO_MOSQUITTO
from bus.recording import Entry
from bus.release import NATIONS, Nation
from bus.seals import Seals
from bus.security import CONDUCTOR
from sensors.scenario import Scenario, load_scenario, possible_releases
from sensors.truth import build_truth

_OURS = ("*.capture", "*.summary.json", "*.log", "scenario.toml")


def run_exercise(
    name: str,
    speed: str,
    seed: int | None,
    settings: Settings,
    *,
    settings_file: Path | None,
    report: Path | None,
    attach: bool,
    as_json: bool,
    secure: bool = False,
    topologies: Sequence[Topology] = (),
    compare: Arrangement | None = None,
    for_s: float | None = None,
) -> int:
    """Run, score, print, and write the report; the exit code. Raises BadInput before anything is started.

    Of several topologies each is run in turn, with a report of its own in a folder of its name, and they are compared. With
    `for_s` it is played again and again, with the next seed each time, until so many seconds have gone by; each has a line.
    """
    scenario = load_scenario(name)
    pace = _pace(speed)
    secure = _secured(settings, asked=secure, simulated=pace is None)
    if attach and not settings.broker.url:
        raise BadInput("flag --attach", "broker", "needs --broker, the bus that the waiting processes are on")
    if pace is None and (attach or settings.broker.url):
        raise BadInput("flag --speed", "speed", "max runs in one process, without a broker or other processes", "a number")
    if topologies and (pace is None or settings.broker.url):
        raise BadInput("flag --topology", "", "starts brokers of its own", "neither --broker nor --speed max beside it")
    if for_s is not None and topologies:
        raise BadInput("flag --for", "", "plays on one broker", "no --topology beside it")
    if topologies and MOSQUITTO is None:
        raise Unreachable(f"{NO_MOSQUITTO} (Debian: apt-get install mosquitto)")
    asked = _Asked(scenario, scenario.seed if seed is None else seed, pace, settings, settings_file, attach, secure, topologies)
    show = _Show(report, as_json=as_json, in_lines=for_s is not None)
    _make_folder(report)
    tally = Tally()
    with Interrupts() as interrupts:
        Display(Console(stderr=True)).say("compiling kernels (a minute the first time, seconds after)")
        make_ready()
        for turn, each_seed in enumerate(turns(asked.seed, for_s), start=1):
            each = show if for_s is None or report is None else show._replace(report=report / f"{turn:05}")
            code = _turn(asked._replace(seed=each_seed), each, compare, interrupts, tally)
            if code or interrupts.asked:
                return code
    if for_s is not None and not as_json:
        click.echo(tally.total())
    return 0


class _Show(NamedTuple):
    """How results are shown: in a folder, as JSON, and each in a line where there are many."""

    report: Path | None
    as_json: bool
    in_lines: bool


def _turn(asked: _Asked, show: _Show, compare: Arrangement | None, interrupts: Interrupts, tally: Tally) -> int:
    """One exercise over each topology that was asked for, scored and shown; the exit code."""
    settings, pace, report = asked.settings, asked.pace, show.report
    told: dict[Topology, Told] = {}
    several = len(asked.topologies) > 1
    for topology in asked.topologies or (None,):
        folder = report / topology if report and topology and several else report
        _make_folder(folder)
        begun = time.monotonic()
        try:
            world, outcome = _run(asked, topology, folder, interrupts)
        except (ExerciseFailed, BusError) as error:
            click.echo(f"triwarn: {error}", err=True)
            return 1
        result = score(
            world,
            outcome,
            settings.fusion,
            settings.budgets,
            speed="max" if pace is None else pace,
            broker="none" if pace is None else _broker_name(settings, topology, secure=asked.secure),
            wall_s=time.monotonic() - begun,
            complete=not interrupts.stopped(),
            compare=compare,
        )
        _publish(result, world, outcome, show._replace(report=folder), tally, quiet=show.as_json and several)
        if topology is not None:
            told[topology] = Told(result, {nation: _seen(world, entries) for nation, entries in outcome.received.items()})
        if interrupts.stopped():
            return INTERRUPTED
    if several:
        _compare(told, report, as_json=show.as_json)
    return 0


class _Asked(NamedTuple):
    """What was asked for, and is the same over every topology. `pace` is None on the simulated clock."""

    scenario: Scenario
    seed: int
    pace: float | None
    settings: Settings
    settings_file: Path | None
    attach: bool
    secure: bool
    topologies: Sequence[Topology]


def _run(asked: _Asked, topology: Topology | None, folder: Path | None, interrupts: Interrupts) -> tuple[World, Outcome]:
    """One exercise, simulated or live, and its world."""
    display = Display(Console(stderr=True))
    scenario, seed, settings = asked.scenario, asked.seed, asked.settings
    try:
        if asked.pace is None:
            return _simulated(scenario, seed, settings, display, interrupts)
        build_truth(scenario)
        interrupts.stage = "running"
        with _directory(folder) as directory, _keys(settings, asked.topologies, secure=asked.secure) as keys:
            outcome = _live(_plan(asked, asked.pace, directory, keys, topology), asked, display, interrupts)
        interrupts.stage = "reporting"
        display.say("scoring against truth")
        return play_out(scenario, seed, display.say), outcome
    finally:
        display.close()


def _seen(world: World, entries: Sequence[Entry]) -> set[Nation]:
    """The nations whose tracks were in what a recipient was told."""
    return {member.nation for held in held_alerts(world, list(entries)) for member in held.alert.members}


def _compare(told: Mapping[Topology, Told], report: Path | None, *, as_json: bool) -> None:
    if report is not None:
        path = report / "topologies.md"
        path.write_text(comparison_page(told), encoding="utf-8")
        click.echo(f"wrote {path}", err=True)
    if as_json:
        click.echo(msgspec.json.encode({topology: each.result for topology, each in told.items()}).decode())
    else:
        Console().print(comparison_table(told))


def _secured(settings: Settings, *, asked: bool, simulated: bool) -> bool:
    """Whether the exercise runs over TLS: it was asked for, or there is a key folder. Raises where that cannot be."""
    if asked and simulated:
        raise BadInput("flag --secure", "", "max runs in one process, without a broker", "--speed N")
    if asked and settings.broker.url and not settings.security.folder:
        raise BadInput("flag --secure", "", "a broker of your own wants keys of your own", "--keys FOLDER")
    secure = not simulated and (asked or bool(settings.security.folder))
    if secure and not settings.broker.url and MOSQUITTO is None:
        raise Unreachable(f"{NO_MOSQUITTO}, and the embedded broker has no TLS (Debian: apt-get install mosquitto)")
    return secure


@contextlib.contextmanager
def _keys(settings: Settings, topologies: Sequence[Topology], *, secure: bool) -> Iterator[Path | None]:
    """The key folder: the settings', or one of this exercise alone; None where it is not secured."""
    if not secure:
        yield None
    elif settings.security.folder:
        yield Path(settings.security.folder)
    else:
        workers = {worker.name for each in topologies or ("single",) for worker in network(each, settings.worker.name).workers}
        with keys_of_a_run(sorted(workers)) as folder:
            yield folder


def _broker_name(settings: Settings, topology: Topology | None, *, secure: bool) -> str:
    if settings.broker.url:
        return shown(settings.broker.url)
    if topology in ("hub", "mesh"):
        return f"{topology} of Mosquittos{' with TLS' if secure else ''}"
    return "Mosquitto with TLS" if secure else "Mosquitto" if topology else "embedded"


def _make_folder(report: Path | None) -> None:
    """Before anything runs: whether the report can be written at all."""
    try:
        if report is not None:
            report.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=report).close()
    except OSError as error:
        raise BadInput(
            "flag --report", "report", f"{report} cannot be written: {error.strerror}", "a folder, or a new one"
        ) from None


def _pace(speed: str) -> float | None:
    """The speed as a number, None for `max`."""
    if speed == "max":
        return None
    try:
        pace = float(speed)
    except ValueError:
        pace = 0.0
    if not 0.0 < pace <= 1000.0:
        raise BadInput("flag --speed", "speed", f"{speed!r} is not a speed", "a number above 0 and at most 1000, or max")
    return pace


@contextlib.contextmanager
def _directory(report: Path | None) -> Iterator[Path]:
    """Where the processes leave their recordings and logs: beside the report, or a folder that goes away."""
    if report is not None:
        directory = report / "recordings"
        directory.mkdir(exist_ok=True)
        for pattern in _OURS:  # what an earlier run left, and nothing else
            for old in directory.glob(pattern):
                old.unlink()
        yield directory
    else:
        with tempfile.TemporaryDirectory(prefix="triwarn-") as temporary:
            yield Path(temporary)


def _plan(asked: _Asked, pace: float, directory: Path, keys: Path | None, topology: Topology | None) -> Plan:
    scenario, settings = asked.scenario, asked.settings
    (directory / "scenario.toml").write_text(scenario.text, encoding="utf-8")
    return Plan(
        scenario_name=scenario.name,
        scenario_text=scenario.text,
        seed=asked.seed,
        speed=pace,
        broker_url=settings.broker.url or None,
        directory=directory,
        settings_file=asked.settings_file,
        net=network(topology or "single", settings.worker.name),
        releases=possible_releases(scenario),
        attach=asked.attach,
        audit_folder=settings.audit.folder,
        mosquitto=topology is not None or keys is not None,
        keys=keys,
    )


def _simulated(
    scenario: Scenario, seed: int, settings: Settings, display: Display, interrupts: Interrupts
) -> tuple[World, Outcome]:
    world = play_out(scenario, seed, display.say)
    interrupts.stage = "running"
    display.say("fusing on a simulated clock")
    outcome = simulate(world, settings.fusion, stopped=interrupts.stopped, audit_folder=settings.audit.folder)
    interrupts.stage = "reporting"
    return world, outcome


def _live(plan: Plan, asked: _Asked, display: Display, interrupts: Interrupts) -> Outcome:
    truth, settings = build_truth(asked.scenario), asked.settings
    workers = {("fusion", worker.name) for worker in plan.net.workers}
    wanted = workers | {(role, nation) for role in ("feed", "receiver") for nation in NATIONS}
    credentials = load_credentials(plan.keys, CONDUCTOR) if plan.keys else None
    seals = Seals.of(plan.keys, CONDUCTOR, settings.seals) if plan.keys else None
    watch = Watch(wanted, entries={nation: [] for nation in NATIONS} if plan.attach else {}, seals=seals)
    display.follow(watch, truth, plan.speed)

    async def main(urls: Mapping[str, str]) -> Outcome:
        stopping, loop = asyncio.Event(), asyncio.get_running_loop()
        interrupts.on_stop(lambda: loop.call_soon_threadsafe(stopping.set))
        make = partial(link_maker, settings, credentials)
        return await conduct(plan, urls, truth, make, watch, stopping, display.say)

    with audited(plan.audit_folder, CONDUCTOR) as watch.audit, brokers_for(plan) as urls:
        where = ", ".join(f"{called(broker)} at {shown(url)}" for broker, url in urls.items())
        what = "joining the processes that are on it" if plan.attach else "starting three feeds, fusion and three receivers"
        display.say(f"{where}; {what}")
        try:
            outcome = asyncio.run(main(urls))
        finally:
            interrupts.on_stop(lambda: None)
            display.close()
    return outcome if watch.audit is None else replace(outcome, conductor=watch.audit.told())


def _publish(result: Result, world: World, outcome: Outcome, show: _Show, tally: Tally, *, quiet: bool) -> None:
    if show.report is not None:
        held = {nation: held_alerts(world, entries) for nation, entries in outcome.received.items()}
        for path in write_report(show.report, result, held, world.truth.start_ns):
            click.echo(f"wrote {path}", err=True)
    if quiet:  # one object is printed of all
        return
    if show.as_json:
        click.echo(to_json(result))
    elif show.in_lines:
        click.echo(tally.line(result))
    else:
        Console().print(for_terminal(result))
