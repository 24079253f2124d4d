"""The quick look at rows: it may doubt a sound row, never pass an unsound one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus.columns import Reports, bad_rows, quickly_sound
from fusion.soundness import surely_sound
from tests.plain import both_ways
from tests.rows import reports

SPOILED = [
    ("track", 0),
    ("valid_ns", -1),
    ("state", np.nan),
    ("state", np.inf),
    ("state", 1e9),
    ("cov", np.nan),
    ("cov", np.inf),
    ("cov", 0.0),
    ("cov", -1.0),
]


def looked_at(block: Reports) -> tuple[bool, bool, bool]:
    """Whether the compiled look, the look without a compiler, and the full check hold every row to be sound."""
    columns = block.track, block.valid_ns, block.state, block.cov
    return surely_sound(*columns), quickly_sound(*columns), not bad_rows(*columns)


def test_usual_rows_pass_at_the_first_look() -> None:
    assert looked_at(reports(5)) == (True, True, True)


@pytest.mark.parametrize(("column", "value"), SPOILED)
@both_ways(surely_sound)
def test_one_unsound_row_is_not_overlooked(column: str, value: float) -> None:
    block = reports(5)
    spoiled = getattr(block, column).copy()
    spoiled[3, ...].flat[0] = value
    assert looked_at(Reports(**{**columns_of(block), column: spoiled})) == (False, False, False)


def test_nothing_is_at_the_centre_of_the_earth() -> None:
    block = reports(2)
    buried = block.state.copy()
    buried[1] = 0.0
    assert looked_at(Reports(**{**columns_of(block), "state": buried})) == (False, False, False)


def columns_of(block: Reports) -> dict[str, np.ndarray]:
    return {name: getattr(block, name) for name in block.COLUMNS}


@settings(deadline=None, max_examples=300)
@given(st.integers(0, 2**32 - 1), st.integers(0, 6), st.floats(-14.0, 6.0), st.floats(5.0, 9.0))
@both_ways(surely_sound)
def test_what_passes_the_first_look_passes_the_full_check(seed: int, rank: int, floor: float, far: float) -> None:
    """Covariances from singular to sound, places from the ground to beyond the limit."""
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(6, rank)) * 300.0
    full = root @ root.T + 10.0**floor * np.eye(6) - (1e-9 if seed % 3 == 0 else 0.0)
    block = reports(1)
    triangle = full[np.triu_indices(6)][None, :]
    state = np.hstack([rng.normal(size=3) * 10.0**far, rng.normal(size=3) * 1e3])[None, :]
    sure, quick, sound = looked_at(Reports(**{**columns_of(block), "cov": triangle, "state": state}))
    assert sound or not (sure or quick)
