"""`triwarn bench seal`: what it costs that nobody need trust the broker, for a frame of 256 reports and for an alert.

Each step is timed by the processor's time of this process, in rounds that go through all steps in turn; the median round counts.
Three throughputs of frames are told, since a percentage says little without its whole:

- fused: a frame through the fusion worker, decoded, checked and fused in full cycles of 3 x 1,000 tracks, to which opening its
  seal is added. This is the system's: fusion is its slowest part.
- decoded: the same without fusing it.
- carried: frames a second over a broker, each numbered and encoded by the publisher, decoded and checked by the subscriber;
  not sealed and sealed, in turn, and by how much the second is less, the median of the pairs. There the seals stand beside
  nothing but transport, and publisher, broker and subscriber share the machine.

For an alert it is told what is added from the fusion worker's decision to the receiver's holding it: sealing, and opening; and
for the last of a launch's alerts, one to each nation, the sealing of those before it.
"""

from __future__ import annotations

import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from hashlib import blake2b
from importlib.metadata import version
from pathlib import Path
from typing import Final, TypeVar

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from msgspec import Struct
from msgspec.structs import replace

from bench.busload import broker_or_own, machine
from bench.busrun import Case, frame_of_reports, run_once
from bench.sky import Sky
from bus.identity import write_identities
from bus.messages import (
    MAX_FRAME_ROWS,
    Alert,
    AlertTimes,
    AnyMessage,
    Member,
    Place,
    TrackFrame,
    decode,
    encode,
    reports_of,
)
from bus.release import EVERYONE, NATIONS
from bus.seals import Seals, SealSettings
from bus.topics import feed_tracks, parse_topic, picture_alert
from bus.transport import Delivery
from fusion.engine import FusionEngine
from fusion.warm import warm_up

WANTED_PERCENT: Final = 5.0
WANTED_US: Final = 200.0
PRINCIPALS: Final = (
    "conductor",
    "fusion.fusion-1",
    *(f"{role}.{nation}" for role in ("feed", "receiver", "operator") for nation in NATIONS),
)
_TRACKS: Final = feed_tracks("jpn", EVERYONE)
_ALERT: Final = picture_alert("jpn", "jpn-1-1")
_FUSED_SIZE: Final = 1000  # tracks a feed
_BATCH: Final = 20
_CYCLES: Final = 40

Given = TypeVar("Given")


class SealCost(Struct, frozen=True, kw_only=True):
    """The whole measurement. Steps are us of processor time each; percentages are of the time, or rate, without seals."""

    machine: dict[str, str | int]
    versions: dict[str, str]
    frame_bytes: int
    sealed_bytes: int
    readers: int
    steps_us: dict[str, float]
    frame_fused_us: float
    fused_percent: float
    decoded_percent: float
    blake2b_percent: float
    broker: str
    carried_per_s: float
    carried_sealed_per_s: float
    carried_percent: float
    alert_us: float
    last_alert_us: float


def measure_seals(
    url: str | None = None,
    *,
    rounds: int = 50,
    seconds: float = 1.5,
    runs: int = 3,
    tell: Callable[[str], None] = lambda line: None,
) -> SealCost:
    """Measure; over the broker at `url`, or one of its own. Raises BusError where a run fails."""
    with tempfile.TemporaryDirectory() as folder:
        write_identities(Path(folder), PRINCIPALS)
        tell("a frame and an alert, step by step")
        steps, size, sealed_size = step_times(Path(folder), rounds)
        tell(f"frames fused, 3 x {_FUSED_SIZE:,} tracks")
        fused_us = _fused_us() + steps["decode frame"]
        with broker_or_own(url) as (at, name):
            rates: dict[str, list[float]] = {"": [], folder: []}
            for run in range(runs):
                tell(f"frames carried over {name}, run {run + 1} of {runs}")
                for keys, of in rates.items():
                    of.append(run_once(at, _case(seconds, keys))[0])
    plain, sealed = (statistics.median(of) for of in rates.values())
    return SealCost(
        machine=machine(),
        versions={"python": platform.python_version(), **{name: version(name) for name in ("pynacl", "cryptography")}},
        frame_bytes=size,
        sealed_bytes=sealed_size,
        readers=len(NATIONS) + 2,
        steps_us={step: round(us, 2) for step, us in steps.items()},
        frame_fused_us=round(fused_us, 1),
        fused_percent=round(100.0 * steps["open frame"] / fused_us, 2),
        decoded_percent=round(100.0 * steps["open frame"] / (steps["decode frame"] + steps["check frame"]), 1),
        blake2b_percent=round(100.0 * steps["BLAKE2b of it instead"] / fused_us, 2),
        broker=name,
        carried_per_s=round(plain, 1),
        carried_sealed_per_s=round(sealed, 1),
        carried_percent=round(
            100.0 * statistics.median(1.0 - after / before for before, after in zip(*rates.values(), strict=True)), 1
        ),
        alert_us=round(steps["seal alert"] + steps["open alert"], 1),
        last_alert_us=round(len(NATIONS) * steps["seal alert"] + steps["open alert"], 1),
    )


def _fused_us() -> float:
    """Processor time of a frame of 256 reports through full cycles of fusion, us: the median cycle."""
    warm_up()
    sky, engine = Sky(_FUSED_SIZE), FusionEngine()
    spent = []
    for _ in range(_CYCLES):
        cycle_ns, reports = 0, 0
        for at_ns, frames in sky.cycle():
            begun = time.process_time_ns()
            for inbound in frames:
                engine.step([inbound], at_ns)
                engine.catch_up(at_ns)
            engine.draw(at_ns)
            cycle_ns += time.process_time_ns() - begun
            reports += sum(inbound.message.n for inbound in frames if isinstance(inbound.message, TrackFrame))
        spent.append(cycle_ns / 1e3 / reports * MAX_FRAME_ROWS)
    return statistics.median(spent[1:])  # in the first, every track is new


def _case(seconds: float, keys: str) -> Case:
    return Case(adapter="mqtt", qos=0, payload="frame", measured="decoded", seconds=seconds, numbered=True, keys=keys)


def seal_rows(result: SealCost) -> tuple[tuple[str, ...], list[list[str]]]:
    """Headings and cells of its table."""
    steps = [[step, f"{us:,.1f} us", ""] for step, us in result.steps_us.items()]
    carried = f"{result.carried_per_s:,.0f} frames/s, sealed {result.carried_sealed_per_s:,.0f}"
    return ("what", "processor time", "seals add"), [
        *steps,
        ["frame decoded and fused", f"{result.frame_fused_us:,.1f} us", f"{result.fused_percent:.1f} percent (wanted: 5)"],
        ["the same, had BLAKE2b hashed its bytes", "", f"{result.blake2b_percent:.1f} percent at least"],
        ["frame decoded and checked by arrays", "", f"{result.decoded_percent:.1f} percent"],
        [f"frame carried over {result.broker}", carried, f"{result.carried_percent:.1f} percent less"],
        ["an alert", "", f"{result.alert_us:.0f} us (wanted: 200)"],
        ["the last alert of a launch", "", f"{result.last_alert_us:.0f} us (wanted: 200)"],
    ]


def step_times(folder: Path, rounds: int) -> tuple[dict[str, float], int, int]:
    """Median us of each step, and the sizes of a frame without and with its seal."""
    settings, now_ns = SealSettings(), time.time_ns()
    feed, worker, receiver = (Seals.of(folder, who, settings) for who in ("feed.jpn", "fusion.fusion-1", "receiver.jpn"))
    frame = _frame(decode(parse_topic(_TRACKS), frame_of_reports()))
    count = 0

    def numbered(message: AnyMessage) -> bytes:
        nonlocal count
        count += 1
        return encode(replace(message, seq=count, sent_ns=now_ns))

    spent: dict[str, list[float]] = {}

    def timed(step: str, work: Callable[[Given], object], batch: Sequence[Given]) -> None:
        """Time it for each of them; what it makes is let go at once, as where it is used."""
        begun = time.process_time_ns()
        for each in batch:
            work(each)
        spent.setdefault(step, []).append((time.process_time_ns() - begun) / 1e3 / len(batch))

    key, nonce = AESGCM(bytes(32)), bytes(12)
    on_tracks, on_alert = parse_topic(_TRACKS), parse_topic(_ALERT)
    for _ in range(rounds):
        frames = [numbered(frame) for _ in range(_BATCH)]
        sealed = [Delivery(_TRACKS, feed.seal(_TRACKS, each, now_ns)) for each in frames]
        alerts = [numbered(_alert()) for _ in range(_BATCH)]
        warned = [Delivery(_ALERT, worker.seal(_ALERT, each, now_ns), 1) for each in alerts]
        timed("encode frame", numbered, [frame] * _BATCH)
        timed("seal frame", lambda each: feed.seal(_TRACKS, each, now_ns), frames)
        timed("open and decode frame", lambda each: worker.read(each, now_ns), sealed)
        timed("decode frame", lambda each: decode(on_tracks, each), frames)
        timed("check frame", reports_of, [_frame(decode(on_tracks, each)) for each in frames])
        timed("a tag of it", lambda each: key.encrypt(nonce, b"", each), frames)
        timed("BLAKE2b of it instead", lambda each: blake2b(each, digest_size=32).digest(), frames)
        timed("encode alert", numbered, [_alert()] * _BATCH)
        timed("seal alert", lambda each: worker.seal(_ALERT, each, now_ns), alerts)
        timed("open and decode alert", lambda each: receiver.read(each, now_ns), warned)
        timed("decode alert", lambda each: decode(on_alert, each), alerts)
    steps = {step: statistics.median(of) for step, of in spent.items()}
    for what in ("frame", "alert"):
        steps[f"open {what}"] = steps.pop(f"open and decode {what}") - steps[f"decode {what}"]
    return steps, len(frames[0]), len(sealed[0].payload)


def _frame(message: AnyMessage) -> TrackFrame:
    assert isinstance(message, TrackFrame)
    return message


def _alert() -> Alert:
    """An alert with everything that one can hold."""
    place = Place(
        lat_deg=39.2, lon_deg=125.7, semi_major_m=900.0, semi_minor_m=400.0, bearing_deg=80.0, time_ns=5, time_sigma_s=2.0
    )
    return Alert(
        session=7,
        seq=1,
        id="jpn-1-1",
        recipient="jpn",
        state="confirmed",
        revision=2,
        system=1,
        members=[Member(nation=nation, track=4) for nation in NATIONS],
        phenomenology=3,
        reason="two nations",
        times=AlertTimes(valid_ns=4, detected_ns=2, tracked_ns=3, released_ns=5),
        heading_deg=120.0,
        launch=place,
        impact=place,
    )
