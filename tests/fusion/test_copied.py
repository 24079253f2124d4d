"""Copying a picture: all that it is, and nothing that changes is of both."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterator
from typing import Any, Final

import msgspec
import numpy as np

from bench.distort import arrivals_of
from bench.order import messages_of
from bench.world import play_out
from bus.messages import PictureFrame
from fusion.engine import FusionEngine, Inbound
from sensors.scenario import load_scenario

SCENARIO: Final = "salvo-2024-05-30"
NEVER_WRITTEN: Final = {"_rows_in"}  # its arrays are made anew, and read
S: Final = 1_000_000_000


def changeable(thing: object, path: tuple[str, ...] = ()) -> Iterator[tuple[int, tuple[str, ...]]]:
    """The identity of whatever can change in a thing, and where it is found."""
    if isinstance(thing, msgspec.Struct):
        assert type(thing).__struct_config__.frozen, path
        return
    if isinstance(thing, np.ndarray):
        if not NEVER_WRITTEN & set(path):
            yield id(thing.base if thing.base is not None else thing), path
        return
    parts: Any
    if isinstance(thing, dict):
        parts = ((str(key), value) for key, value in thing.items())
    elif isinstance(thing, list | tuple | set | frozenset):
        parts = ((str(i), value) for i, value in enumerate(thing))
    elif dataclasses.is_dataclass(thing):
        parts = ((each.name, getattr(thing, each.name)) for each in dataclasses.fields(thing))
    elif hasattr(thing, "__dict__"):
        parts = vars(thing).items()
    else:
        return
    if not isinstance(thing, tuple | frozenset) and not callable(thing):
        yield id(thing), path
    for name, part in parts:
        if len(path) < 12:
            yield from changeable(part, (*path, name))


def a_salvo(until_s: float) -> tuple[FusionEngine, list[tuple[int, Inbound]]]:
    """An engine fed with the first of a salvo, and the messages that follow."""
    world = play_out(load_scenario(SCENARIO), 1)
    start_ns, engine = world.truth.start_ns, FusionEngine()
    messages, until_ns = list(messages_of(arrivals_of(world), start_ns)), start_ns + int(until_s * S)
    for at_ns, inbound in messages:
        if at_ns <= until_ns:
            engine.step([inbound], at_ns)
            engine.catch_up(at_ns)
    return engine, [each for each in messages if each[0] > until_ns]


def pictures(engine: FusionEngine, messages: list[tuple[int, Inbound]]) -> list[PictureFrame]:
    """All that it draws of messages in their order."""
    drawn = []
    for at_ns, inbound in messages:
        engine.step([inbound], at_ns)
        engine.step([], at_ns)
        engine.catch_up(at_ns)
        drawn += engine.draw(at_ns)
    return drawn


def test_nothing_that_changes_is_of_both_a_picture_and_its_copy() -> None:
    engine, _ = a_salvo(60.0)
    picture = engine._groups[0].picture
    twin = copy.deepcopy(picture)
    ours, theirs = dict(changeable(picture)), dict(changeable(twin))
    assert len(ours) > 100
    assert len(picture.clusters) >= 9
    assert sorted(ours.values()) == sorted(theirs.values())
    assert {ours[shared] for shared in ours.keys() & theirs.keys()} == set()


def test_a_copy_goes_on_as_its_picture_does_and_neither_touches_the_other() -> None:
    engine, following = a_salvo(60.0)
    group, twin = engine._groups[0], FusionEngine()
    twin._groups = [group.part(())]
    group.recipients = twin._groups[0].recipients
    first = pictures(engine, following[:150])
    assert pictures(twin, following[:150]) == first
    assert len(first) > 100
