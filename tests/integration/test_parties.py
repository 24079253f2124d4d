"""Single processes over real brokers: alone, with an operator's console, and in an exercise that attaches to them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np
import pytest

from bus.broker import EmbeddedBroker, free_port
from bus.link import LinkSettings
from bus.messages import Alert, PictureFrame, Status, decode, encode, system_tracks_of
from bus.mosquitto import MosquittoBroker
from bus.mqtt import MqttTransport
from bus.release import NATIONS
from bus.topics import feed_tracks, parse_topic, picture_alerts, picture_tracks, status
from bus.transport import Delivery
from physics.propagate import propagate_one
from tests.fusion.scenes import JPN, KOR, flight, frame_of, report_block
from tests.integration.children import eventually, everyone_was_warned, finished, page, sample, triwarn

pytestmark = pytest.mark.timeout(240)

Broker = EmbeddedBroker | MosquittoBroker


async def test_a_fusion_worker_alone_is_ready_drops_rubbish_and_ends_cleanly(broker: Broker) -> None:
    port = free_port()
    states: list[bytes] = []
    link = MqttTransport(broker.url, client_id="rubbish", settings=LinkSettings())
    link.subscribe(status("fusion", "fusion-1"), lambda delivery: states.append(delivery.payload), qos=1)
    await link.start()
    with triwarn("fuse", "--broker", broker.url, "--endpoint-port", str(port)) as process:
        eventually(lambda: page(port, "/ready")[0] == 200, "readiness")
        for payload in (b"", b"\x00", b"\xff" * 1000, b"{}", os.urandom(300_000)):
            link.publish(feed_tracks("jpn", NATIONS), payload, qos=1)
        assert await link.flush()
        eventually(lambda: 'triwarn_rejected_total{reason="malformed"} 3.0' in page(port, "/metrics")[1], "three rejections")
        eventually(lambda: 'triwarn_rejected_total{reason="oversized"} 1.0' in page(port, "/metrics")[1], "the fourth")
        process.send_signal(signal.SIGTERM)
        code, _, err = finished(process, within_s=30.0)
    assert code == 0, err
    assert "Traceback" not in err
    assert await link.flush()
    await link.stop()
    assert b"offline" in states[-1]


@dataclass
class Reporters:
    """Two feeds that see one missile, and what Korea is told: by system track its members (jpn, kor)."""

    link: MqttTransport
    held: dict[int, tuple[int, ...]] = field(default_factory=dict)
    begun_ns: int = field(default_factory=time.time_ns)
    seq: int = 0

    def take(self, delivery: Delivery) -> None:
        frame = decode(parse_topic(delivery.topic), delivery.payload)
        assert isinstance(frame, PictureFrame)
        block, _ = system_tracks_of(frame)
        self.held.update(zip(block.system.tolist(), map(tuple, block.members[:, :2].tolist()), strict=True))
        for number in frame.dropped:
            self.held.pop(number, None)

    def announce(self) -> None:
        for nation, (session, _) in FEEDS.items():
            birth = Status(session=session, seq=1, role="feed", name=nation, state="ready")
            self.link.publish(status("feed", nation), encode(birth), qos=1, retain=True)

    async def report_until(self, done: Callable[[], bool]) -> None:
        """A report of each feed every tenth of a second, of a missile in free flight 80 s after its launch."""
        async with asyncio.timeout(200.0):
            while not done():
                now_ns, self.seq = time.time_ns(), self.seq + 1
                state = propagate_one(flight(90)[4 * 80], (now_ns - self.begun_ns) / 1e9)
                for session, eye in FEEDS.values():
                    sigma = np.repeat([eye.sigma_m, eye.sigma_m_s], 3)
                    block = report_block(np.array([1]), now_ns, state[None, :], sigma, np.array([False]), eye)
                    frame = msgspec.structs.replace(frame_of(block, eye.nation, now_ns, session), seq=self.seq, sent_ns=now_ns)
                    self.link.publish(feed_tracks(eye.nation, NATIONS), encode(frame))
                await asyncio.sleep(0.1)


FEEDS = {"jpn": (5, JPN), "kor": (6, KOR)}
ONE, TWO = [(1, 1)], [(0, 1), (1, 0)]


async def test_an_operator_parts_two_tracks_over_a_real_broker_and_takes_it_back(broker: Broker) -> None:
    link = MqttTransport(broker.url, client_id="world")
    world = Reporters(link)
    link.subscribe(picture_tracks("kor"), world.take)
    await link.start()
    world.announce()

    def say(*arguments: str) -> tuple[int, str, str]:
        with triwarn("decorrelate", "kor", *arguments, "--broker", broker.url) as process:
            return finished(process, within_s=60.0)

    with triwarn("fuse", "--broker", broker.url) as fusion:
        ready = asyncio.Event()
        link.subscribe(status("fusion", "fusion-1"), lambda told: ready.set() if b"ready" in told.payload else None, qos=1)
        await asyncio.wait_for(ready.wait(), 200.0)
        await world.report_until(lambda: sorted(world.held.values()) == ONE)
        code, _, err = await asyncio.to_thread(say, "kor/1", "jpn/1")
        assert (code, err.splitlines()[-1]) == (0, "kor to jpn-kor-usa: kor/1 and jpn/1 are not one object")
        await world.report_until(lambda: sorted(world.held.values()) == TWO)
        looks = time.monotonic() + 6.0  # six looks for pairs: joined again by the third, were it not for the word
        await world.report_until(lambda: sorted(world.held.values()) != TWO or time.monotonic() > looks)
        assert sorted(world.held.values()) == TWO
        code, _, err = await asyncio.to_thread(say, "jpn/1", "kor/1", "--undo", "--release", "jpn-kor")
        assert (code, err.splitlines()[-1]) == (0, "kor to jpn-kor: jpn/1 and kor/1 may be one object again")
        await world.report_until(lambda: sorted(world.held.values()) == ONE)
        code, _, err = await asyncio.to_thread(say, "kor/1", "usa/1")
        assert (code, "no feed of usa has announced itself" in err) == (1, True)
        fusion.send_signal(signal.SIGTERM)
        code, _, err = await asyncio.to_thread(finished, fusion, 30.0)
    assert code == 0, err
    assert "Traceback" not in err
    await link.stop()


async def test_an_operators_word_outlives_the_worker_that_heard_it_and_the_console_that_said_it(broker: Broker) -> None:
    link = MqttTransport(broker.url, client_id="world")
    world = Reporters(link)
    link.subscribe(picture_tracks("kor"), world.take)
    await link.start()
    world.announce()
    with triwarn("fuse", "--broker", broker.url) as first:
        await world.report_until(lambda: sorted(world.held.values()) == ONE)
        with triwarn("decorrelate", "kor", "kor/1", "jpn/1", "--broker", broker.url) as console:
            code, _, err = await asyncio.to_thread(finished, console, 60.0)
        assert code == 0, err
        await world.report_until(lambda: sorted(world.held.values()) == TWO)
        first.kill()
        await asyncio.to_thread(first.wait)
    world.held.clear()
    with triwarn("fuse", "--broker", broker.url):
        await world.report_until(lambda: sorted(world.held.values()) == TWO)
        looks = time.monotonic() + 6.0  # as above
        await world.report_until(lambda: sorted(world.held.values()) != TWO or time.monotonic() > looks)
        assert sorted(world.held.values()) == TWO
    await link.stop()


def test_a_single_process_waits_for_its_broker() -> None:
    endpoint = free_port()
    with EmbeddedBroker() as broker:
        port = broker.port
    with triwarn("receive", "kor", "--broker", f"mqtt://127.0.0.1:{port}", "--endpoint-port", str(endpoint)) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "no broker at 127.0.0.1" in line:
                break
        assert page(endpoint, "/live")[0] == 200
        assert page(endpoint, "/ready")[0] == 503
        with broker:
            eventually(lambda: page(endpoint, "/ready")[0] == 200, "readiness")
            process.send_signal(signal.SIGTERM)
            code, _, err = finished(process, within_s=30.0)
    assert code == 0, err


def test_a_single_process_waits_no_longer_than_it_is_told() -> None:
    address = f"127.0.0.1:{free_port()}"
    with triwarn(
        "receive", "kor", "--broker", f"mqtt://{address}", env={**os.environ, "TRIWARN_BROKER__WAIT_S": "0.2"}
    ) as process:
        code, _, err = finished(process, within_s=60.0)
    assert code == 1
    assert err.strip().splitlines()[-1] == f"triwarn: no broker at {address} in 0.2 s: Connection refused"


async def test_single_processes_take_part_in_an_exercise_that_attaches(mosquitto: MosquittoBroker, short: Path) -> None:
    """And the canary makes way for it: whatever it has begun is in no figure of the exercise."""
    canaries: list[str] = []
    warned_of_canary = asyncio.Event()

    def hear(delivery: Delivery) -> None:
        message = decode(parse_topic(delivery.topic), delivery.payload) if delivery.payload else None
        if isinstance(message, Alert) and message.purpose == "canary":
            canaries.append(message.id)
            warned_of_canary.set()

    link = MqttTransport(mosquitto.url, client_id="watch")
    link.subscribe(picture_alerts("kor"), hear, qos=1)
    await link.start()
    endpoint, told = free_port(), free_port()
    commands: list[tuple[str, ...]] = [("feed", nation) for nation in NATIONS]
    commands += [("fuse",), ("receive", "jpn"), ("receive", "usa")]
    commands.append(("receive", "kor", "--endpoint-port", str(endpoint)))
    commands.append(("canary", "--scenario", "overflight", "--speed", "20", "--endpoint-port", str(told)))  # a long one
    processes = [triwarn(*command, "--broker", mosquitto.url) for command in commands]
    running = [each.__enter__() for each in processes]
    try:
        async with asyncio.timeout(180.0):
            await warned_of_canary.wait()
        with triwarn("run", str(short), "--attach", "--broker", mosquitto.url, "--speed", "10", "--json") as conductor:
            code, out, err = finished(conductor)
        assert code == 0, err
        result = json.loads(out)
        assert everyone_was_warned(result)
        assert (result["alerts"]["false"], result["alerts"]["missed"]) == (0, 0)
        assert result["bus"]["gaps"] is None
        assert canaries[0] not in err
        warned = [launch["recipients"]["kor"]["warned_after_s"] for launch in result["launches"]]
        shown = page(told, "/metrics")[1]
        assert 'triwarn_canary_rounds_total{outcome="missed",recipient="kor"} 0.0' in shown
        assert 'triwarn_canary_rounds_total{outcome="warned",recipient="kor"} 0.0' in shown  # it was not played to its end
        exported = page(endpoint, "/metrics")[1]
        assert 'triwarn_alerts_received_total{purpose="canary",recipient="kor",state="quick"} 1.0' in exported
        assert 'triwarn_warning_time_seconds_count{purpose="exercise",recipient="kor"} 6.0' in exported
        assert 'triwarn_missed_launches_total{purpose="exercise",recipient="kor"} 0.0' in exported
        assert "triwarn_exercise_running 0.0" in exported
        assert sample("process_resident_memory_bytes", exported) > 10e6
        assert -1.0 < sample('triwarn_clock_skew_seconds{party="fusion"}', exported) < 0.0
        summed = sample('triwarn_warning_time_seconds_sum{purpose="exercise",recipient="kor"}', exported)
        # A track of two missiles' detections speaks of a launch to the receiver, and to the scorer of none.
        assert summed == pytest.approx(sum(warned), rel=0.1)
    finally:
        for process in running:
            process.send_signal(signal.SIGTERM)
        for each in processes:
            each.__exit__(None, None, None)
    await link.stop()
