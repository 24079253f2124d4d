"""Each container killed in mid-exercise, between a launch and its alert, and started again as an operator would."""

from __future__ import annotations

import time
from collections.abc import Sequence

import pytest

from bus.release import NATIONS
from tests.compose.conftest import tell
from tests.compose.stack import Stack, docker, eventually, sure_alerts, unreported

pytestmark = [pytest.mark.compose, pytest.mark.timeout(600)]

SPEED = 8  # a second of the wall is eight of the scenario: the launches are at 2 to 27 s, the first alerts come after 30 s
KILLED_AFTER_S = 2.5
DOWN_S = 1.0
RECEIVERS = tuple(f"receive-{nation}" for nation in NATIONS)


def _services() -> list[str]:
    names = [f"{role}-{nation}" for role in ("feed", "receive") for nation in NATIONS]
    return ["mosquitto", "fusion", *names, "canary", "prometheus", "grafana"]


@pytest.mark.parametrize("service", _services())
def test_a_killed_container_leaves_no_launch_unreported(stack: Stack, service: str) -> None:
    """`docker kill` is an operator's word, after which no restart policy acts: `docker start` is the next one.

    Every receiver counts an alert for each launch at least; one that was killed, since its new start: what stands is retained.
    """
    if service not in stack.services:
        pytest.skip(f"{service} is not in this stack")
    stack.all_healthy()
    before = _counted(stack, RECEIVERS) | {service: 0.0}
    with stack.exercise("short.toml", "--speed", str(SPEED)) as exercise:
        exercise.until("T+0 s")
        time.sleep(KILLED_AFTER_S)
        docker("kill", stack.container(service))
        time.sleep(DOWN_S)
        docker("start", stack.container(service))
        result = exercise.result()
    assert unreported(result) == []
    assert result["alerts"]["missed"] == 0
    assert (result["complete"], result["lost"]) == (True, [])
    after = _counted(stack, RECEIVERS)
    assert all(after[each] - before[each] >= len(result["launches"]) for each in RECEIVERS), (before, after)
    eventually(lambda: stack.healthy(service), f"{service} healthy again")
    tell(f"{service} killed: {len(result['launches'])} launches, none unreported")


def _counted(stack: Stack, receivers: Sequence[str]) -> dict[str, float]:
    return {each: sure_alerts(stack.exported(each)) for each in receivers}


def test_a_process_that_dies_is_started_again_by_the_engine(stack: Stack) -> None:
    container, before = stack.container("fusion"), stack.restarts("fusion")
    stack.crash("fusion")
    eventually(lambda: stack.restarts("fusion") > before, "fusion started again", 30.0)
    eventually(lambda: stack.healthy("fusion"), "fusion healthy again")
    assert stack.container("fusion") == container


def test_killed_parties_that_stay_away_leave_no_launch_unreported(stack: Stack) -> None:
    """Without a feed the others' data warn everybody; without a receiver the bus still has its alerts. Both are named."""
    stack.all_healthy()
    gone, there = ["feed-jpn", "receive-kor"], ["receive-jpn", "receive-usa"]
    before = _counted(stack, there)
    try:
        with stack.exercise("short.toml", "--speed", str(SPEED)) as exercise:
            exercise.until("T+0 s")
            time.sleep(KILLED_AFTER_S)
            for service in gone:
                docker("kill", stack.container(service))
            result = exercise.result()
        assert unreported(result) == []
        assert (result["complete"], result["lost"]) == (False, ["feed jpn", "receiver kor"])
        assert any("receiver kor is gone" in line for line in exercise.said)
        after = _counted(stack, there)
        assert all(after[each] - before[each] >= len(result["launches"]) for each in there), (before, after)
    finally:
        for service in gone:
            docker("start", stack.container(service))
