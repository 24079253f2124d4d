"""What the earlier lives of a receiver held in an exercise, by the audit logs that they left.

A receiver that is killed and started again counts from 0, and hears what stands; what it held when, and so what it has counted
already, is in its audit log alone. An entry is in the file before the alert is counted, so that a life that is killed leaves
nothing behind that it counted and did not log.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bench.warning import Held
from bus.chain import Entry, entries, parted, runs_of
from bus.clock import ScaledClock
from bus.messages import ExerciseClock


def held_before(log: Path, exercise: ExerciseClock) -> list[Held]:
    """What the lives before the one that writes `log` held of an exercise, oldest first. OSError where a log cannot be read."""
    named = parted(log.name)
    before = [path for path in runs_of(log.parent, named[0]) if path != log] if named is not None else []
    lives: list[list[Held]] = []
    for path in reversed(before):
        entry = next(told := entries(path), None)
        lives.insert(0, list(_held(told, exercise)))
        if entry is not None and entry.at_ns < exercise.start_wall_ns:
            break
    return [word for life in lives for word in life]


def _held(told: Iterator[Entry], exercise: ExerciseClock) -> Iterator[Held]:
    """When it was held goes by the exercise's clock, in which the machine's part is as many times longer as that is fast."""
    clock = ScaledClock(exercise.start_ns, exercise.start_wall_ns, exercise.speed)
    for entry in told:
        facts = entry.facts
        if entry.kind == "held" and entry.at_ns >= exercise.start_wall_ns and facts["purpose"] == exercise.purpose:
            yield Held(facts["id"], facts["state"], clock.scenario_at(entry.at_ns) / 1e9, facts.get("launch_ns"))
