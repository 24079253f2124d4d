from __future__ import annotations

import pytest

from bench.floor import Floor
from bus.broker import EmbeddedBroker, free_port
from bus.errors import Unreachable


def test_the_floor_times_every_message_from_when_it_was_due() -> None:
    with EmbeddedBroker() as broker, Floor(broker.url, bytes(300), bytes(70_000), count=50) as floor:
        floor.fire(200.0, 10)
        floor.fire(400.0, 40)
        seconds = floor.seconds()
    assert seconds.shape == (50,)
    assert (seconds > 0.0).all()
    assert float(seconds.min()) < 1.0


def test_the_floor_of_an_unreachable_broker_is_an_error() -> None:
    with pytest.raises(Unreachable), Floor(f"mqtt://127.0.0.1:{free_port()}", bytes(300), bytes(300), count=1):
        pass
