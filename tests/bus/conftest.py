from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from bus.broker import EmbeddedBroker
from bus.mosquitto import MOSQUITTO, NO_MOSQUITTO, MosquittoBroker
from tests.bus.rigs import BrokerRig, MemoryRig, RealBroker, Rig

needs_mosquitto = [pytest.mark.mosquitto, pytest.mark.skipif(MOSQUITTO is None, reason=NO_MOSQUITTO)]
EVERYWHERE = [
    pytest.param(("mqtt", "mosquitto"), id="mqtt-mosquitto", marks=needs_mosquitto),
    pytest.param(("mqtt", "embedded"), id="mqtt-embedded"),
    pytest.param(("aiomqtt", "mosquitto"), id="aiomqtt-mosquitto", marks=needs_mosquitto),
    pytest.param(("aiomqtt", "embedded"), id="aiomqtt-embedded"),
    pytest.param(("aiomqtt-3.1.1", "mosquitto"), id="aiomqtt-3.1.1-mosquitto", marks=needs_mosquitto),
    pytest.param(("memory", "memory"), id="memory"),
]


@pytest.fixture(scope="session")
def embedded() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker() as broker:
        yield broker


@pytest.fixture(scope="session")
def mosquitto() -> Iterator[MosquittoBroker]:
    with MosquittoBroker() as broker:
        yield broker


@pytest.fixture(params=EVERYWHERE)
async def rig(request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    """Every adapter on every broker; let off where LIMITS gives a reason for the test's `claim` marker."""
    adapter, broker_name = request.param
    made: Rig
    if adapter == "memory":
        made = MemoryRig()
    else:
        broker: RealBroker = request.getfixturevalue(broker_name)
        made = BrokerRig(adapter, broker_name, broker)
        await made.gate.open()
    yield made
    await made.close()


@pytest.fixture(params=EVERYWHERE[:-1])
async def own_rig(request: pytest.FixtureRequest) -> AsyncIterator[BrokerRig]:
    """A rig with a broker of its own, that the test may kill."""
    adapter, broker_name = request.param
    broker: RealBroker = MosquittoBroker().start() if broker_name == "mosquitto" else EmbeddedBroker().start()
    made = BrokerRig(adapter, broker_name, broker)
    await made.gate.open()
    yield made
    await made.close()
    broker.stop()
