"""`triwarn run`: one exercise from the scenario's name to the printed table, live or simulated."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import click
from rich.console import Console

from bench.access import releases_of
from bench.display import Display
from bench.interrupts import INTERRUPTED, Interrupts
from bench.keys import keys_of_a_run
from bench.links import link_maker
from bench.live import ExerciseFailed, Plan, Watch, broker_for, conduct
from bench.report import for_terminal, to_json, write_report
from bench.result import Result
from bench.score import held_alerts, score
from bench.settings import Settings
from bench.simulate import Outcome, simulate
from bench.world import World, play_out
from bus.access import access_list
from bus.credentials import load_credentials
from bus.errors import BadInput, BusError, Unreachable
from bus.link import shown
from bus.mosquitto import MOSQUITTO, NO_MOSQUITTO
from bus.release import NATIONS
from bus.security import CONDUCTOR
from fusion.warm import warm_up
from sensors.scenario import Scenario, load_scenario
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
) -> int:
    """Run, score, print, and write the report; the exit code. Raises BadInput before anything is started."""
    scenario = load_scenario(name)
    pace = _pace(speed)
    secure = _secured(settings, asked=secure, simulated=pace is None)
    if attach and not settings.broker.url:
        raise BadInput("flag --attach", "broker", "needs --broker, the bus that the waiting processes are on")
    if pace is None and (attach or settings.broker.url):
        raise BadInput("flag --speed", "speed", "max runs in one process, without a broker or other processes", "a number")
    seed = scenario.seed if seed is None else seed
    _make_folder(report)
    with Interrupts() as interrupts:
        display = Display(Console(stderr=True))
        begun = time.monotonic()
        display.say("compiling kernels (a minute the first time, seconds after)")
        warm_up()
        try:
            if pace is None:
                world, outcome = _simulated(scenario, seed, settings, display, interrupts)
            else:
                build_truth(scenario)
                interrupts.stage = "running"
                with _directory(report) as directory, _keys(settings, secure=secure) as keys:
                    plan = _plan(scenario, seed, pace, settings, settings_file, directory, keys, attach=attach)
                    outcome = _live(scenario, plan, settings, display, interrupts)
                interrupts.stage = "reporting"
                display.say("scoring against truth")
                world = play_out(scenario, seed, display.say)
        except (ExerciseFailed, BusError) as error:
            click.echo(f"triwarn: {error}", err=True)
            return 1
        finally:
            display.close()
        result = score(
            world,
            outcome,
            settings.fusion,
            settings.budgets,
            speed="max" if pace is None else pace,
            broker="none" if pace is None else _broker_name(settings, secure=secure),
            wall_s=time.monotonic() - begun,
            complete=not interrupts.stopped(),
        )
        _publish(result, world, outcome, report, as_json=as_json)
        return INTERRUPTED if interrupts.stopped() else 0


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
def _keys(settings: Settings, *, secure: bool) -> Iterator[Path | None]:
    """The key folder: the settings', or one of this exercise alone; None where it is not secured."""
    if not secure:
        yield None
    elif settings.security.folder:
        yield Path(settings.security.folder)
    else:
        with keys_of_a_run(settings.worker.name) as folder:
            yield folder


def _broker_name(settings: Settings, *, secure: bool) -> str:
    if settings.broker.url:
        return shown(settings.broker.url)
    return "Mosquitto with TLS" if secure else "embedded"


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


def _plan(
    scenario: Scenario,
    seed: int,
    pace: float,
    settings: Settings,
    settings_file: Path | None,
    directory: Path,
    keys: Path | None,
    *,
    attach: bool,
) -> Plan:
    (directory / "scenario.toml").write_text(scenario.text, encoding="utf-8")
    return Plan(
        scenario_name=scenario.name,
        scenario_text=scenario.text,
        seed=seed,
        speed=pace,
        broker_url=settings.broker.url or None,
        directory=directory,
        settings_file=settings_file,
        worker=settings.worker.name,
        attach=attach,
        audit_folder=settings.audit.folder,
        keys=keys,
        access=access_list(releases_of(scenario), [settings.worker.name]),
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


def _live(scenario: Scenario, plan: Plan, settings: Settings, display: Display, interrupts: Interrupts) -> Outcome:
    truth = build_truth(scenario)
    wanted = {("fusion", plan.worker)} | {(role, nation) for role in ("feed", "receiver") for nation in NATIONS}
    watch = Watch(wanted, entries={nation: [] for nation in NATIONS} if plan.attach else {})
    credentials = load_credentials(plan.keys, CONDUCTOR) if plan.keys else None
    display.follow(watch, truth, plan.speed)

    async def main(url: str) -> Outcome:
        stopping, loop = asyncio.Event(), asyncio.get_running_loop()
        interrupts.on_stop(lambda: loop.call_soon_threadsafe(stopping.set))
        return await conduct(plan, url, truth, link_maker(settings, credentials, url), watch, stopping, display.say)

    with broker_for(plan) as url:
        display.say(f"broker at {shown(url)}; starting three feeds, fusion and three receivers")
        try:
            return asyncio.run(main(url))
        finally:
            interrupts.on_stop(lambda: None)
            display.close()


def _publish(result: Result, world: World, outcome: Outcome, report: Path | None, *, as_json: bool) -> None:
    if report is not None:
        held = {nation: held_alerts(world, entries) for nation, entries in outcome.received.items()}
        for path in write_report(report, result, held, world.truth.start_ns):
            click.echo(f"wrote {path}", err=True)
    if as_json:
        click.echo(to_json(result))
    else:
        Console().print(for_terminal(result))
