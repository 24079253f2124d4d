from __future__ import annotations

import pytest

from bench.floor import measure_floor
from bus.broker import EmbeddedBroker, free_port
from bus.errors import Unreachable


def test_the_floor_times_every_message_from_when_it_was_due() -> None:
    with EmbeddedBroker() as broker:
        seconds = measure_floor(broker.url, bytes(300), bytes(70_000), rate_hz=200.0, count=40, warmup=10)
    assert seconds.shape == (40,)
    assert (seconds > 0.0).all()
    assert float(seconds.min()) < 1.0


def test_the_floor_of_an_unreachable_broker_is_an_error() -> None:
    with pytest.raises(Unreachable):
        measure_floor(f"mqtt://127.0.0.1:{free_port()}", bytes(300), bytes(300), rate_hz=100.0, count=1, warmup=0)
