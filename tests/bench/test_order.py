"""The order benchmark: what is delayed is all there, what is compared is what differs, and estimates do not depend on order."""

from __future__ import annotations

import json
from collections import Counter

import numpy as np
import pytest
from click.testing import CliRunner

from bench.cli import main
from bench.order import JITTER_S, Estimate, compared, delayed, measure_order, messages_of, relative_difference
from bench.world import play_out
from fusion.engine import Inbound
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
    messages = list(messages_of(world))
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


def test_an_estimate_is_the_same_to_1e_9_whatever_the_order_of_arrival() -> None:
    result = measure_order("overflight", 2, lambda line: None)
    assert [row.jitter_s for row in result.rows] == list(JITTER_S)
    for row in result.rows:
        assert row.pictures == 8
        assert row.system_tracks > 0
        assert row.worst_difference <= 1e-9
        assert row.identical == 1.0
        assert row.same_members >= 0.8


def test_the_command_prints_its_rows_as_json() -> None:
    done = CliRunner().invoke(main, ["bench", "order", "--runs", "1", "--scenario", "lost-track", "--json"])
    assert done.exit_code == 0
    assert {"jitter_s", "same_members", "worst_difference"} <= set(json.loads(done.stdout)["rows"][0])
