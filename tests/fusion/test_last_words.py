"""What is over is said to be over until everybody has heard it: no broker keeps an alert's last word for who was away."""

from __future__ import annotations

import pytest

from bus.clock import SimulatedClock
from bus.messages import Alert
from fusion import service
from tests.fusion.scenes import START_NS, S
from tests.fusion.test_purposes import AT_S, World


def ended() -> World:
    """A worker whose alerts are over, and what it said until then forgotten."""
    world = World()
    world.clock("exercise")
    world.report("exercise")
    assert {alert.state for alert in world.alerts} >= {"confirmed"}
    for after_s in (60.0, 3600.0):  # lost, and given up
        world.worker.party.clock = SimulatedClock(START_NS + int((AT_S + after_s) * S))
        world.worker.tick()
    assert world.alerts[-1].state == "closed"
    return world


def heard_after(world: World) -> list[Alert]:
    before = len(world.alerts)
    world.worker.party.repeat()
    return world.alerts[before:]


def test_a_last_word_is_said_again_as_it_was_and_leaves_nothing_retained() -> None:
    world = ended()
    last = world.alerts[-1]
    again = heard_after(world)
    assert [(each.id, each.revision, each.state) for each in again] == [(last.id, last.revision, "closed")]
    assert again[0].seq > last.seq
    assert not any("/alerts/" in topic for topic in world.bus.retained)
    assert len(heard_after(world)) == 1


def test_a_broker_that_came_back_empty_hears_it_too() -> None:
    """At a hub it may have died with what waited in it for a nation."""
    world = ended()
    before = len(world.alerts)
    world.worker._republish("resumed")
    assert len(world.alerts) == before
    world.worker._republish("connected")
    assert [alert.state for alert in world.alerts[before:]] == ["closed"]


def test_with_the_next_exercise_it_is_forgotten() -> None:
    world = ended()
    world.clock("exercise", "stopped")
    assert heard_after(world) == []


def test_only_the_newest_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "_MOST_ENDED", 2)
    world = ended()  # three recipients: three alerts
    assert len(world.worker._ended) == 2
    assert {topic.split("/")[3] for topic in world.worker._ended} == {"kor", "usa"}
