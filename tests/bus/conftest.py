from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from bus.broker import EmbeddedBroker
from bus.certificates import make_keys
from bus.credentials import Credentials, load_credentials
from bus.mosquitto import MOSQUITTO, NO_MOSQUITTO, MosquittoBroker, SecuredMosquitto
from bus.security import CONDUCTOR, principals
from tests.bus.rigs import BrokerRig, MemoryRig, RealBroker, Rig

needs_mosquitto = [pytest.mark.mosquitto, pytest.mark.skipif(MOSQUITTO is None, reason=NO_MOSQUITTO)]
EVERYWHERE = [
    pytest.param(("mqtt", "mosquitto"), id="mqtt-mosquitto", marks=needs_mosquitto),
    pytest.param(("mqtt", "secured"), id="mqtt-secured", marks=needs_mosquitto),
    pytest.param(("mqtt", "embedded"), id="mqtt-embedded"),
    pytest.param(("aiomqtt", "mosquitto"), id="aiomqtt-mosquitto", marks=needs_mosquitto),
    pytest.param(("aiomqtt", "secured"), id="aiomqtt-secured", marks=needs_mosquitto),
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


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key folder."""
    folder = tmp_path_factory.mktemp("keys")
    make_keys(folder, principals(["fusion-1"]))
    return folder


@pytest.fixture(scope="session")
def secured(keys: Path) -> Iterator[SecuredMosquitto]:
    """A Mosquitto on TLS, without an access list: the contract's topics are its own."""
    with SecuredMosquitto(keys, access=None) as broker:
        yield broker


def credentials(keys: Path, broker_name: str) -> Credentials | None:
    return load_credentials(keys, CONDUCTOR) if broker_name == "secured" else None


@pytest.fixture(params=EVERYWHERE)
async def rig(request: pytest.FixtureRequest, keys: Path) -> AsyncIterator[Rig]:
    """Every adapter on every broker; let off where LIMITS gives a reason for the test's `claim` marker."""
    adapter, broker_name = request.param
    made: Rig
    if adapter == "memory":
        made = MemoryRig()
    else:
        broker: RealBroker = request.getfixturevalue(broker_name)
        made = BrokerRig(adapter, broker_name, broker, credentials(keys, broker_name))
        await made.gate.open()
    yield made
    await made.close()


@pytest.fixture(params=EVERYWHERE[:-1])
async def own_rig(request: pytest.FixtureRequest, keys: Path) -> AsyncIterator[BrokerRig]:
    """A rig with a broker of its own, that the test may kill."""
    adapter, broker_name = request.param
    made_by: dict[str, Callable[[], RealBroker]] = {
        "mosquitto": MosquittoBroker,
        "secured": lambda: SecuredMosquitto(keys, access=None),
        "embedded": EmbeddedBroker,
    }
    broker = made_by[broker_name]()
    broker.start()
    made = BrokerRig(adapter, broker_name, broker, credentials(keys, broker_name))
    await made.gate.open()
    yield made
    await made.close()
    broker.stop()
