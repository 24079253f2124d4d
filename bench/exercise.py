"""`triwarn run`: one exercise from the scenario's name to the printed table, live or simulated."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import click
from rich.console import Console

from bench.display import Display
from bench.links import link_maker
from bench.live import ExerciseFailed, Plan, Watch, broker_for, conduct
from bench.report import for_terminal, to_json, write_report
from bench.result import Result
from bench.score import held_alerts, score
from bench.settings import Settings
from bench.simulate import Outcome, simulate
from bench.world import World, play_out
from bus.errors import BadInput, BusError
from bus.party import stop_on_signals
from bus.release import NATIONS
from fusion.warm import warm_up
from sensors.scenario import Scenario, load_scenario
from sensors.truth import build_truth

_INTERRUPTED = 130


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
) -> int:
    """Run, score, print, and write the report; the exit code. Raises BadInput before anything is started."""
    scenario = load_scenario(name)
    pace = _pace(speed)
    if attach and not settings.broker.url:
        raise BadInput("flag --attach", "broker", "needs --broker, the bus that the waiting processes are on")
    if pace is None and (attach or settings.broker.url):
        raise BadInput("flag --speed", "speed", "max runs in one process, without a broker or other processes", "a number")
    seed = scenario.seed if seed is None else seed
    display = Display(Console(stderr=True))
    begun = time.monotonic()
    interrupted = False
    try:
        if pace is None:
            world, outcome, interrupted = _simulated(scenario, seed, settings, display)
        else:
            with _directory(report) as directory:
                plan = _plan(scenario, seed, pace, settings, settings_file, directory, attach=attach)
                world, outcome, interrupted = _live(scenario, plan, settings, display)
    except (ExerciseFailed, BusError) as error:
        click.echo(f"triwarn: {error}", err=True)
        return 1
    finally:
        display.close()
    wall_s = time.monotonic() - begun
    result = score(
        world,
        outcome,
        settings.fusion,
        settings.budgets,
        speed="max" if pace is None else pace,
        broker="none" if pace is None else (settings.broker.url or "embedded"),
        wall_s=wall_s,
        complete=not interrupted,
    )
    _publish(result, world, outcome, report, as_json=as_json)
    return _INTERRUPTED if interrupted else 0


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
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        yield directory
    else:
        with tempfile.TemporaryDirectory(prefix="triwarn-") as temporary:
            yield Path(temporary)


def _plan(
    scenario: Scenario, seed: int, pace: float, settings: Settings, settings_file: Path | None, directory: Path, *, attach: bool
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
    )


def _simulated(scenario: Scenario, seed: int, settings: Settings, display: Display) -> tuple[World, Outcome, bool]:
    display.say("compiling kernels (a minute the first time, seconds after)")
    warm_up()
    world = play_out(scenario, seed, display.say)
    display.say("fusing on a simulated clock")
    with _interrupts() as interrupted:
        outcome = simulate(world, settings.fusion, stopped=interrupted.is_set)
    return world, outcome, interrupted.is_set()


@contextlib.contextmanager
def _interrupts() -> Iterator[threading.Event]:
    """An event that Ctrl-C and SIGTERM set for the length of the block, in place of ending the program."""
    event = threading.Event()
    signals = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, lambda *_: event.set()) for number in signals]
    try:
        yield event
    finally:
        for number, handler in zip(signals, before, strict=True):
            signal.signal(number, handler)


def _live(scenario: Scenario, plan: Plan, settings: Settings, display: Display) -> tuple[World, Outcome, bool]:
    display.say("compiling kernels (a minute the first time, seconds after)")
    warm_up()
    truth = build_truth(scenario)
    wanted = {("fusion", plan.worker)} | {(role, nation) for role in ("feed", "receiver") for nation in NATIONS}
    watch = Watch(wanted, entries={nation: [] for nation in NATIONS} if plan.attach else {})
    display.follow(watch, truth, plan.speed)

    async def main(url: str) -> tuple[Outcome, bool]:
        stopping = stop_on_signals()
        outcome = await conduct(plan, url, truth, link_maker(settings, url), watch, stopping, display.say)
        return outcome, stopping.is_set()

    with broker_for(plan) as url:
        display.say(f"broker at {url}; starting three feeds, fusion and three receivers")
        outcome, interrupted = asyncio.run(main(url))
    display.close()
    display.say("scoring against truth")
    return play_out(scenario, plan.seed, display.say), outcome, interrupted


def _publish(result: Result, world: World, outcome: Outcome, report: Path | None, *, as_json: bool) -> None:
    if report is not None:
        held = {nation: held_alerts(world, entries) for nation, entries in outcome.received.items()}
        for path in write_report(report, result, held, world.truth.start_ns):
            click.echo(f"wrote {path}", err=True)
    if as_json:
        click.echo(to_json(result))
    else:
        Console().print(for_terminal(result))
