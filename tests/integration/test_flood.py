"""A worker that gets more than it can work off in time, over real brokers: pictures wait, warnings do not, and it recovers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

import msgspec
import numpy as np
import pytest

from bus.broker import EmbeddedBroker, free_port
from bus.messages import MAX_FRAME_ROWS, Alert, LaunchDetected, PictureFrame, decode, encode, system_tracks_of
from bus.mosquitto import MosquittoBroker
from bus.mqtt import MqttTransport
from bus.release import NATIONS, Nation
from bus.topics import feed_events, feed_tracks, parse_topic, picture_alerts, picture_tracks
from bus.transport import Delivery
from tests.fusion.scenes import JPN, KOR, flight, frame_of, report_block
from tests.integration.children import page, triwarn

pytestmark = pytest.mark.timeout(240)

BURST: Final = 8  # frames of each feed at once, of as many tracks as fit
LAUNCHES: Final = 10
WARNED_WITHIN_S: Final = 3.0  # a launch sent into the flood, on a machine that others load too


class Flood:
    """Two feeds of so many slow objects, of which nobody warns, launches among them, and what the recipients are told."""

    def __init__(self, url: str) -> None:
        self.bulk, self.urgent = (MqttTransport(url, client_id=f"flood-{name}") for name in ("bulk", "urgent"))
        self.warned: dict[tuple[Nation, int], float] = {}  # recipient and national track -> when
        self.drawn: set[int] = set()
        self.seq = 0
        rng = np.random.default_rng(1)
        self.objects = flight(90)[4 * 80] + rng.normal(size=(MAX_FRAME_ROWS, 6)) * np.repeat([2e4, 0.0], 3)
        self.objects[:, 3:] *= 0.2
        for nation in NATIONS:
            self.urgent.subscribe(picture_alerts(nation), self._take_alert, qos=1)
        self.bulk.subscribe(picture_tracks("kor"), self._take_picture)

    def _take_alert(self, delivery: Delivery) -> None:
        if delivery.payload:
            alert = decode(parse_topic(delivery.topic), delivery.payload)
            assert isinstance(alert, Alert)
            self.warned.setdefault((alert.recipient, alert.members[0].track), time.monotonic())

    def _take_picture(self, delivery: Delivery) -> None:
        frame = decode(parse_topic(delivery.topic), delivery.payload)
        assert isinstance(frame, PictureFrame)
        self.drawn |= set(system_tracks_of(frame)[0].system.tolist())
        self.drawn -= set(frame.dropped)

    def burst(self, frames: int = BURST) -> None:
        """All at once."""
        for _ in range(frames):
            for eye in (JPN, KOR):
                now_ns, self.seq = time.time_ns(), self.seq + 1
                sigma = np.repeat([eye.sigma_m, eye.sigma_m_s], 3)
                slow = np.zeros(MAX_FRAME_ROWS, np.bool_)
                block = report_block(np.arange(1, MAX_FRAME_ROWS + 1), now_ns, self.objects, sigma, slow, eye)
                frame = msgspec.structs.replace(frame_of(block, eye.nation, now_ns, 6), seq=self.seq, sent_ns=now_ns)
                self.bulk.publish(feed_tracks(eye.nation, NATIONS), encode(frame))

    def launch(self, number: int) -> None:
        """A new track of a missile that boosts."""
        now_ns, self.seq = time.time_ns(), self.seq + 1
        state = flight(90)[4 * 50] + np.array([0.0, 0.0, 2e4 * (number % 100), 0.0, 0.0, 0.0])
        block = report_block(np.array([number]), now_ns, state[None], np.repeat([80.0, 8.0], 3), np.array([True]), KOR)
        message = LaunchDetected(
            session=6, seq=self.seq, sent_ns=now_ns, nation="kor", released_ns=now_ns, n=1, columns=block.to_wire()
        )
        self.urgent.publish(feed_events("kor", NATIONS), encode(message), qos=1)


async def until(done: Callable[[], bool], what: str, meanwhile: Callable[[], None] = lambda: None) -> None:
    deadline = time.monotonic() + 200.0
    while not await asyncio.to_thread(done):
        assert time.monotonic() < deadline, f"{what} did not happen"
        meanwhile()
        await asyncio.sleep(0.02)


async def test_a_flooded_worker_sheds_pictures_warns_of_every_launch_in_time_and_recovers(
    broker: EmbeddedBroker | MosquittoBroker,
) -> None:
    endpoint, flood = free_port(), Flood(broker.url)
    await flood.bulk.start()
    await flood.urgent.start()

    def metric(name: str) -> float:
        found = [line.split()[-1] for line in page(endpoint, "/metrics")[1].splitlines() if line.startswith(f"{name} ")]
        return float(found[0]) if found else 0.0

    shed = 'triwarn_shed_total{work="pictures"}'
    with triwarn("fuse", "--broker", broker.url, "--endpoint-port", str(endpoint)):
        await until(lambda: page(endpoint, "/ready")[0] == 200, "readiness")
        assert metric(shed) == 0.0
        await until(lambda: metric(shed) > 0.0 and metric("triwarn_shedding") == 1.0, "shedding", flood.burst)
        due = {(recipient, 1001 + i) for recipient in NATIONS for i in range(LAUNCHES)}
        sent: dict[int, float] = {}
        for number in sorted({number for _, number in due}):
            flood.burst(1)
            flood.launch(number)
            sent[number] = time.monotonic()
        await until(lambda: due <= set(flood.warned), "a warning of every launch to everybody")
        late_s = {key: flood.warned[key] - sent[key[1]] for key in due}
        assert max(late_s.values()) < WARNED_WITHIN_S
        assert set(flood.warned) == due
        await until(lambda: metric("triwarn_shedding") == 0.0, "recovery")
        flood.drawn.clear()
        flood.burst(1)
        flood.launch(1001 + LAUNCHES)
        await until(lambda: len(flood.drawn) > MAX_FRAME_ROWS, "a picture of them all")
        await until(lambda: {(recipient, 1001 + LAUNCHES) for recipient in NATIONS} <= set(flood.warned), "a warning of the last")
    await flood.bulk.stop()
    await flood.urgent.stop()
