"""Hub and spokes: a broker for each nation, bridged; and the files of both stacks as compose reads them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from bus.release import NATIONS
from tests.compose.conftest import tell
from tests.compose.stack import DOCKER, Stack, docker, eventually, sure_alerts, unreported
from tests.compose.test_kills import KILLED_AFTER_S, RECEIVERS, SPEED

BROKERS: Final = {"mosquitto-hub", *(f"mosquitto-{nation}" for nation in NATIONS)}

pytestmark = [pytest.mark.compose, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
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


@pytest.mark.parametrize("dead", [("mosquitto-jpn",), ("mosquitto-hub", "mosquitto-jpn")], ids=" and ".join)
def test_brokers_of_a_hub_that_crash_come_back_by_themselves_and_leave_no_launch_unreported(
    hub: Stack, dead: tuple[str, ...]
) -> None:
    """Between the launches and their alerts. They come back empty; every receiver counts an alert for each launch at least.

    The conductor, which is at the hub, names its own link as that goes and as it is back; a nation's broker it does not see.
    """
    hub.all_healthy()
    restarts = {each: hub.restarts(each) for each in dead}
    before = {each: sure_alerts(hub.exported(each)) for each in RECEIVERS}
    with hub.exercise("short.toml", "--speed", str(SPEED)) as exercise:
        exercise.until("T+0 s")
        time.sleep(KILLED_AFTER_S)
        hub.crash(*dead)
        result = exercise.result()
    assert unreported(result) == []
    assert result["alerts"]["missed"] == 0
    assert (result["complete"], result["lost"]) == (True, [])
    for words in ("the link to the broker is lost; trying again", "the broker is back"):
        assert any(words in line for line in exercise.said) == ("mosquitto-hub" in dead), exercise.said
    for each in dead:
        eventually(lambda each=each: hub.restarts(each) > restarts[each], f"{each} started again")  # type: ignore[misc]
    after = {each: sure_alerts(hub.exported(each)) for each in RECEIVERS}
    assert all(after[each] - before[each] >= len(result["launches"]) for each in RECEIVERS), (before, after)
    hub.all_healthy()
    tell(f"over a hub {' and '.join(dead)} killed: {len(result['launches'])} launches, none unreported")


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
