"""Hub and spokes: a broker for each nation, bridged; and the files of both stacks as compose reads them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from bus.release import NATIONS
from tests.compose.conftest import tell
from tests.compose.stack import DOCKER, Stack, docker, unreported

BROKERS: Final = {"mosquitto-hub", *(f"mosquitto-{nation}" for nation in NATIONS)}

pytestmark = [pytest.mark.compose, pytest.mark.timeout(600)]


@pytest.fixture
def hub(built: Stack, scenarios: Path) -> Iterator[Stack]:
    stack = Stack(DOCKER / "hub.yaml", scenarios)
    try:
        stack.up()
        yield stack
    finally:
        stack.down()


@pytest.mark.parametrize("name", ["compose.yaml", "hub.yaml"])
def test_both_files_are_valid(engine: None, name: str, scenarios: Path) -> None:
    Stack(DOCKER / name, scenarios).compose("config", "--quiet")


def test_over_a_hub_no_launch_is_unreported_each_nation_reaches_its_own_alone_and_nothing_is_left_behind(hub: Stack) -> None:
    with hub.exercise("short.toml", "--speed", "10") as exercise:
        result = exercise.result()
    assert unreported(result) == []
    hub.all_healthy()
    for broker in ("hub", *NATIONS):
        keys = docker("exec", hub.container(f"mosquitto-{broker}"), "find", "/keys", "-name", "tls.key").split()
        assert sorted(keys) == [f"/keys/bridge.{broker}/tls.key", "/keys/broker/tls.key", "/keys/health/tls.key"]
    for nation in NATIONS:
        networks = hub.inspected(f"feed-{nation}")["NetworkSettings"]["Networks"]
        assert list(networks) == [f"{hub.project}_{nation}"]
        own = {f"feed-{nation}", f"receive-{nation}", f"mosquitto-{nation}"}
        assert hub.reached_from(f"receive-{nation}") == own
        assert hub.reached_from(f"mosquitto-{nation}") == own | BROKERS
    assert hub.reached_from("fusion") == {"fusion", "canary", "mosquitto-hub"}
    assert hub.reached_from("prometheus") == set(hub.services)
    tell(f"over a hub: {len(result['launches'])} launches, none unreported")
    hub.down()
    assert hub.left_behind() == []
