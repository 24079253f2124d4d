"""Exercise after exercise in the same processes: memory stays flat. Two minutes here stand for a day."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import pytest

from bench.topology import network
from bus.broker import free_port
from bus.mosquitto import MOSQUITTO, NO_MOSQUITTO, MosquittoBroker
from tests.integration.children import finished, triwarn
from tests.integration.test_canary_live import parties

WARM_UP: Final = 8  # exercises until caches and the allocator have what they need
MEASURED: Final = 18  # exercises behind them
MOST_KB: Final = 32.0  # an exercise; one picture frame that is kept of each is some hundreds


def slope_kb(resident_kb: Sequence[float]) -> float:
    """By how much a least-squares line through resident memory grows with each exercise, kB; the first ones left out."""
    behind = resident_kb[WARM_UP:]
    return float(np.polyfit(np.arange(len(behind)), behind, 1)[0])


@pytest.mark.parametrize(("leak_kb", "flat"), [(0.0, True), (5.0, True), (64.0, False)])
def test_the_slope_tells_a_leak_from_steps_and_noise(leak_kb: float, flat: bool) -> None:
    """A step of 256 kB in the middle, as an allocator makes them, and growth while it warms up, are no leak."""
    exercises = np.arange(WARM_UP + MEASURED)
    noise = np.random.default_rng(1).normal(scale=20.0, size=len(exercises))
    resident_kb = 2e5 + leak_kb * exercises + 256.0 * (exercises > WARM_UP + MEASURED // 2) + 3e3 * np.exp(-exercises) + noise
    assert (slope_kb(resident_kb.tolist()) < MOST_KB) == flat


def resident_kb(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1024


@pytest.mark.long
@pytest.mark.mosquitto
@pytest.mark.skipif(MOSQUITTO is None, reason=NO_MOSQUITTO)
@pytest.mark.timeout(400)
def test_memory_is_flat_over_many_exercises(short: Path) -> None:
    measured: dict[str, list[float]] = {}
    with contextlib.ExitStack() as stack:
        broker = stack.enter_context(MosquittoBroker())
        running = stack.enter_context(parties(network("single", "fusion-1"), {"broker": broker.url}, None))
        watching = stack.enter_context(triwarn("canary", "--broker", broker.url, "--endpoint-port", str(free_port())))
        again = ("--speed", "100", "--for", "1h")
        conductor = stack.enter_context(triwarn("run", str(short), "--attach", "--broker", broker.url, *again))
        assert conductor.stdout is not None
        for line in conductor.stdout:
            if line.startswith("seed "):
                assert ": 0 missed, " in line
                for name, process in {**running, "canary": watching}.items():
                    measured.setdefault(name, []).append(resident_kb(process.pid))
            if measured and min(map(len, measured.values())) == WARM_UP + MEASURED:
                break
        conductor.send_signal(signal.SIGINT)
        code, _, err = finished(conductor)
        assert code in (0, 130), err
    slopes = {name: round(slope_kb(each), 1) for name, each in measured.items()}
    print(report(measured, slopes))
    assert max(slopes.values()) < MOST_KB, slopes


def report(measured: Mapping[str, Sequence[float]], slopes: Mapping[str, float]) -> str:
    """Resident memory when warm and at the end, MB, and the slope, kB an exercise."""
    return "\n".join(
        f"{name}: {each[WARM_UP] / 1024:.1f} to {each[-1] / 1024:.1f} MB in {len(each) - WARM_UP} turns, {slopes[name]} kB each"
        for name, each in measured.items()
    )
