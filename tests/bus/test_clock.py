"""Clocks: scenario and wall time, and the way between them."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.clock import ScaledClock, SimulatedClock, WallClock
from bus.pace import until_wall


@given(st.integers(0, 10**12), st.floats(0.1, 100.0))
def test_the_wall_instant_of_a_scenario_instant_is_scaled_by_speed(ahead_ns: int, speed: float) -> None:
    clock = ScaledClock(5 * 10**17, 10**18, speed)
    assert clock.wall_at(5 * 10**17 + ahead_ns) - 10**18 == pytest.approx(ahead_ns / speed, rel=1e-9, abs=2)


def test_a_scaled_clock_runs_as_fast_as_it_says() -> None:
    clock = ScaledClock(0, time.time_ns(), 50.0)
    first, wall = clock.now_ns(), time.monotonic_ns()
    while time.monotonic_ns() - wall < 20_000_000:
        pass
    assert (clock.now_ns() - first) / (time.monotonic_ns() - wall) == pytest.approx(50.0, rel=0.2)


def test_a_simulated_clock_never_goes_back_and_has_no_wall() -> None:
    clock = SimulatedClock(10)
    clock.advance_to(20)
    clock.advance_to(15)
    assert (clock.now_ns(), clock.wall_ns(), clock.wall_at(20)) == (20, 0, 0)


def test_outside_an_exercise_scenario_time_is_wall_time() -> None:
    clock = WallClock()
    assert clock.wall_at(123) == 123
    assert abs(clock.now_ns() - clock.wall_ns()) < 10**9


async def test_waiting_ends_at_the_instant_and_not_before() -> None:
    due_ns = time.time_ns() + 30_000_000
    assert await until_wall(due_ns)
    assert 0 <= time.time_ns() - due_ns < 50_000_000


async def test_waiting_ends_at_once_when_interrupted() -> None:
    assert not await until_wall(time.time_ns() + 10**12, lambda: True)
