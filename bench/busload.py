"""`triwarn bench bus`: how many messages and track reports a second one way, by adapter, QoS and payload, over a real broker.

A frame of 256 reports is measured twice: delivered (its bytes are in the handler) and decoded (every report checked, as fusion
takes it). Each rate is the median of several runs of `bench.busrun`. What else the machine does lowers the figures, and
there is no way to tell that from here.
"""

from __future__ import annotations

import contextlib
import os
import platform
import statistics
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Final

from msgspec import Struct

from bench.busrun import LOADS, AdapterName, Case, Measured, PayloadName, run_once
from bus.broker import EmbeddedBroker
from bus.link import parse_url
from bus.mosquitto import MOSQUITTO, MosquittoBroker
from bus.transport import QoS

_LIBRARIES: Final = ("mqtt5", "aiomqtt", "paho-mqtt", "msgspec", "numpy")


class Row(Struct, frozen=True, kw_only=True):
    """One combination: the median of the runs. `reports_per_s` is None where the payload holds no reports."""

    adapter: AdapterName
    qos: QoS
    payload: PayloadName
    measured: Measured
    payload_bytes: int
    messages_per_s: float
    reports_per_s: float | None
    megabytes_per_s: float
    lost: int
    runs: list[float]


class BusLoad(Struct, frozen=True, kw_only=True):
    """The whole measurement, with what it was measured on."""

    broker: str
    machine: dict[str, str | int]
    versions: dict[str, str]
    seconds: float
    rows: list[Row]
    times_aiomqtt: dict[str, float]


def measure_bus(
    url: str | None = None,
    *,
    adapters: tuple[AdapterName, ...] = ("mqtt", "aiomqtt"),
    levels: tuple[QoS, ...] = (0, 1),
    payloads: tuple[PayloadName, ...] = ("256 B", "4 kB", "frame"),
    seconds: float = 1.5,
    runs: int = 3,
    tell: Callable[[str], None] = lambda line: None,
) -> BusLoad:
    """Measure every combination over the broker at `url`, or over one of its own. Raises BusError where a run fails."""
    cases = [
        Case(adapter=adapter, qos=qos, payload=payload, measured=measured, seconds=seconds)
        for payload in payloads
        for measured in _ways(payload)
        for qos in levels
        for adapter in adapters
    ]
    rows: list[Row] = []
    with broker_or_own(url) as (at, name):
        for case in cases:
            tell(f"{case.adapter}, QoS {case.qos}, {case.payload}, {case.measured}")
            rows.append(_row(at, case, runs))
    return BusLoad(
        broker=name,
        machine=machine(),
        versions={"python": platform.python_version(), **{library: version(library) for library in _LIBRARIES}},
        seconds=seconds,
        rows=rows,
        times_aiomqtt=_times_aiomqtt(rows),
    )


@contextlib.contextmanager
def broker_or_own(url: str | None) -> Iterator[tuple[str, str]]:
    """A broker's URL and the name to report: the user's, or a Mosquitto where one is installed, or the embedded one."""
    if url is not None:
        yield url, str(parse_url(url))
        return
    with MosquittoBroker() if MOSQUITTO else EmbeddedBroker() as own:
        yield own.url, "mosquitto" if MOSQUITTO else "embedded (rumqttd)"


def machine() -> dict[str, str | int]:
    """What the figures were measured on."""
    processor = platform.processor() or "unknown"
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        processor = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return {"cpus": os.cpu_count() or 0, "processor": processor, "system": platform.system()}


def _ways(payload: PayloadName) -> tuple[Measured, ...]:
    return ("delivered", "decoded") if LOADS[payload].reports else ("delivered",)


def _row(url: str, case: Case, runs: int) -> Row:
    load = LOADS[case.payload]
    results = [run_once(url, case) for _ in range(runs)]
    rate, size = statistics.median(rate for rate, _ in results), len(load.make())
    return Row(
        adapter=case.adapter,
        qos=case.qos,
        payload=case.payload,
        measured=case.measured,
        payload_bytes=size,
        messages_per_s=round(rate, 1),
        reports_per_s=round(rate * load.reports, 1) if load.reports else None,
        megabytes_per_s=round(rate * size / 1e6, 2),
        lost=sum(lost for _, lost in results),
        runs=[round(rate, 1) for rate, _ in results],
    )


def _times_aiomqtt(rows: list[Row]) -> dict[str, float]:
    """Ours over the baseline, by combination."""
    by_case = {(row.qos, row.payload, row.measured, row.adapter): row.messages_per_s for row in rows}
    return {
        f"QoS {qos}, {payload}, {measured}": round(ours / by_case[qos, payload, measured, "aiomqtt"], 2)
        for (qos, payload, measured, adapter), ours in by_case.items()
        if adapter == "mqtt" and (qos, payload, measured, "aiomqtt") in by_case
    }
