from __future__ import annotations

import msgspec
import pytest

from bench.busload import measure_bus
from bench.busrun import frame_of_reports
from bus.broker import EmbeddedBroker, free_port
from bus.errors import Unreachable
from bus.messages import TrackFrame, decode, reports_of
from bus.release import EVERYONE
from bus.topics import feed_tracks, parse_topic


def test_the_measured_frame_is_one_that_fusion_would_take_whole() -> None:
    frame = decode(parse_topic(feed_tracks("jpn", EVERYONE)), frame_of_reports())
    assert isinstance(frame, TrackFrame)
    reports, bad = reports_of(frame)
    assert (len(reports), bad) == (256, {})


def test_a_short_measurement_loses_nothing_and_is_ready_for_json() -> None:
    with EmbeddedBroker() as broker:
        load = measure_bus(broker.url, adapters=("mqtt",), levels=(0,), payloads=("256 B",), seconds=0.3, runs=1)
    (row,) = load.rows
    assert row.lost == 0
    assert row.messages_per_s > 1000
    assert msgspec.json.decode(msgspec.json.encode(load))["rows"][0]["reports_per_s"] is None


def test_an_unreachable_broker_is_an_error_and_not_a_figure() -> None:
    with pytest.raises(Unreachable):
        measure_bus(f"mqtt://127.0.0.1:{free_port()}", adapters=("mqtt",), levels=(0,), payloads=("256 B",), seconds=0.1, runs=1)
