"""When work is shed, and until when."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from bus.metrics import Stage
from fusion.load import TRANSITIONS, Load
from fusion.settings import Shedding

MS = 1_000_000
S = 1000 * MS
START_NS = 1_700_000_000 * S
DEADLINES_S: dict[Stage, float] = {"transit": 0.02, "fuse": 0.04}
IN_TIME: dict[Stage, float] = {"transit": 0.02, "fuse": 0.04}
LATE: dict[Stage, float] = {"transit": 0.021, "fuse": 0.0}


def pressed() -> Load:
    load = Load(Shedding(late_in_a_row=3, calm_s=2.0), DEADLINES_S)
    assert [load.take(START_NS, LATE) for _ in range(3)] == [False, False, True]
    assert load.sheds
    return load


def test_every_level_is_reached_and_left() -> None:
    assert set(TRANSITIONS.values()) == {level for level, _ in TRANSITIONS} == {"normal", "shedding"}


def test_either_stage_over_its_budget_for_some_messages_in_a_row_begins_it() -> None:
    for late in (LATE, {"transit": -5.0, "fuse": 0.041}):
        load = Load(Shedding(late_in_a_row=2), DEADLINES_S)
        assert not load.take(START_NS, late)  # type: ignore[arg-type]
        assert load.take(START_NS + MS, late)  # type: ignore[arg-type]
        assert load.sheds


def test_a_feed_whose_clock_is_off_presses_nothing_while_others_speak() -> None:
    load = Load(Shedding(late_in_a_row=2), DEADLINES_S)
    for i in range(100):
        load.take(START_NS + i * S, {"transit": 3600.0, "fuse": 0.0})
        load.take(START_NS + i * S, IN_TIME)
    assert not load.sheds


def test_it_ends_once_nothing_was_late_in_a_row_for_long_enough_and_not_before() -> None:
    load = pressed()
    assert not load.take(START_NS + 1900 * MS, IN_TIME)
    assert load.sheds
    assert load.rest(START_NS + 2000 * MS)  # though nothing arrives any more
    assert not load.sheds
    assert not load.rest(START_NS + 3000 * MS)


def test_another_row_of_late_ones_puts_the_end_off() -> None:
    load = pressed()
    for _ in range(3):
        assert not load.take(START_NS + 1500 * MS, LATE)
    assert not load.rest(START_NS + 3400 * MS)
    assert load.rest(START_NS + 3500 * MS)


def test_a_wall_clock_that_was_set_back_does_not_hold_it() -> None:
    assert pressed().rest(START_NS - 3600 * S)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3000), st.booleans()), max_size=60))
def test_what_is_told_is_every_change_and_nothing_else(messages: list[tuple[int, bool]]) -> None:
    """And it never sheds less than `late_in_a_row` late messages after the last change."""
    load, at_ns, late_since = Load(Shedding(), DEADLINES_S), START_NS, 0
    for after_ms, late in messages:
        at_ns += after_ms * MS
        before = load.sheds
        late_since = late_since + 1 if late else 0
        changed = load.take(at_ns, LATE if late else IN_TIME)
        assert changed == (load.sheds != before)
        if changed and load.sheds:
            assert late_since >= Shedding().late_in_a_row
        if changed and not load.sheds:
            assert late_since < Shedding().late_in_a_row


def test_without_machine_time_nothing_is_ever_shed() -> None:
    load = Load(Shedding(late_in_a_row=1), DEADLINES_S)
    assert not any(load.take(0, {"transit": 0.0, "fuse": 0.0}) for _ in range(100))
