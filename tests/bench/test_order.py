"""The order benchmark: what is delayed is all there, what is compared is what differs, and estimates do not depend on order."""

from __future__ import annotations

import itertools
import json
from collections import Counter

import numpy as np
import pytest
from click.testing import CliRunner

from bench.cli import main
from bench.distort import arrivals_of
from bench.order import (
    BIAS_SIGMAS,
    JITTER_S,
    Estimate,
    Message,
    compared,
    delayed,
    measure_order,
    messages_of,
    relative_difference,
)
from bench.world import play_out
from fusion.engine import FusionEngine, Inbound
from sensors.scenario import load_scenario
from tests.fusion.scenes import S, Scene


def test_every_message_arrives_within_its_delay_and_some_twice() -> None:
    messages = list(Scene(3).messages())
    arrived = delayed(messages, 5.0, np.random.default_rng(1))
    sent_ns = {id(inbound.message): at_ns for at_ns, inbound in messages}
    times = Counter(id(inbound.message) for _, inbound in arrived)
    assert set(times) == set(sent_ns)
    assert set(times.values()) == {1, 2}
    late = [at_ns - sent_ns[id(inbound.message)] for at_ns, inbound in arrived]
    assert min(late) >= 0
    assert 4 * S < max(late) <= 5 * S
    assert [at_ns for at_ns, _ in arrived] == sorted(at_ns for at_ns, _ in arrived)
    assert [id(inbound.message) for _, inbound in arrived] != list(sent_ns)


def test_the_messages_of_a_world_are_those_of_its_feeds_in_order() -> None:
    world = play_out(load_scenario("lost-track"), 1)
    messages = list(messages_of(arrivals_of(world), world.truth.start_ns))
    assert len(messages) == sum(len(releases) for releases in world.releases.values())
    assert [at_ns for at_ns, _ in messages] == sorted(at_ns for at_ns, _ in messages)
    assert all(isinstance(inbound, Inbound) and "jpn" in inbound.to for _, inbound in messages)


def test_differences_are_shares_of_the_largest_part() -> None:
    one = Estimate(5, np.array([1e6, 2e6, 3e6, 10.0, 20.0, 40.0]), np.diag([4.0] * 6))
    state = one.state + np.array([0.0, 0.0, 0.0, 0.0, 4.0, 0.0])
    assert relative_difference(one, one) == 0.0
    assert relative_difference(one, one._replace(state=state)) == pytest.approx(0.1)
    assert relative_difference(one, one._replace(cov=1.5 * one.cov)) == pytest.approx(0.5)
    assert relative_difference(one, one._replace(valid_ns=6)) == float("inf")
    found = compared({(1, 2, 3): one, (4, 0, 0): one}, {(1, 2, 3): one._replace(state=state), (5, 0, 0): one})
    ((same, difference),) = found
    assert not same
    assert difference == pytest.approx(0.1)


@pytest.mark.parametrize("scenario", ["overflight", "lofted-2022-11-18"])
def test_a_picture_is_the_same_to_the_bit_whatever_the_order_of_arrival(scenario: str) -> None:
    result = measure_order(scenario, 2, lambda line: None)
    assert [(row.bias_sigmas, row.jitter_s) for row in result.rows] == list(itertools.product(BIAS_SIGMAS, JITTER_S))
    for row in result.rows:
        assert row.pictures == 8
        assert row.system_tracks > 0
        assert row.same_members == 1.0
        assert row.identical == 1.0
        assert row.worst_difference == 0.0


def alert_ids(messages: list[Message]) -> set[str]:
    """Of the alerts to one recipient, the clock ticking every half second."""
    engine, found, tick_ns = FusionEngine(), set[str](), messages[0][0]
    for at_ns, inbound in messages:
        alerts = engine.step([inbound], at_ns) + engine.catch_up(at_ns)
        while tick_ns <= at_ns:
            alerts += engine.step((), tick_ns) + engine.catch_up(tick_ns)
            tick_ns += S // 2
        found |= {alert.id for alert in alerts if alert.recipient == "jpn"}
    return found


@pytest.mark.parametrize("jitter_s", [0.02, 2.0])
def test_putting_a_picture_right_raises_no_more_alerts_than_there_are_in_order(jitter_s: float) -> None:
    """What it parts that was joined some seconds too soon is mostly joined again before it is warned of."""
    world = play_out(load_scenario("salvo-2024-05-30"), 1)
    until_ns = world.truth.start_ns + 120 * S
    messages = [each for each in messages_of(arrivals_of(world), world.truth.start_ns) if each[0] < until_ns]
    late = alert_ids(delayed(messages, jitter_s, np.random.default_rng(1)))
    assert len(late) <= len(alert_ids(messages))
    assert len(late) >= 18


@pytest.mark.long
def test_a_salvos_picture_is_the_same_to_the_bit_whatever_the_order_of_arrival() -> None:
    for row in measure_order("salvo-2024-05-30", 3, lambda line: None).rows:
        assert row.system_tracks > 150
        assert (row.same_members, row.identical, row.worst_difference) == (1.0, 1.0, 0.0)


def test_the_command_prints_its_rows_as_json() -> None:
    done = CliRunner().invoke(main, ["bench", "order", "--runs", "1", "--scenario", "lost-track", "--json"])
    assert done.exit_code == 0
    assert {"jitter_s", "same_members", "worst_difference"} <= set(json.loads(done.stdout)["rows"][0])
