"""Settings: strict, layered, and every error names the place, the key and what is allowed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import pytest
from msgspec import Meta, Struct

from bus.errors import BadInput
from bus.settings import from_toml, load_settings


class Pace(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    hz: Annotated[float, Meta(gt=0.0, le=10.0, description="hertz, above 0, at most 10")] = 1.0
    mode: Literal["slow", "fast"] = "slow"


class Whole(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    pace: Pace = Pace()
    stops: list[Pace] = []
    named: dict[str, Pace] = {}


@pytest.mark.parametrize(
    ("text", "key", "allowed"),
    [
        ("[pace]\nhz = 0", "pace.hz", "hertz, above 0, at most 10"),
        ("[pace]\nhz = 'x'", "pace.hz", "hertz, above 0, at most 10"),
        ("[pace]\nmode = 'odd'", "pace.mode", "slow, fast"),
        ("[pace]\nherz = 1", "pace.herz", "hz, mode"),
        ("[[stops]]\n[[stops]]\nhz = 99", "stops[1].hz", "hertz"),
        ("[named.a]\nhz = -1", "named.a.hz", "hertz"),
        ("pase = 1", "pase", "named, pace, stops"),
    ],
)
def test_a_wrong_value_names_file_key_and_what_is_allowed(text: str, key: str, allowed: str) -> None:
    with pytest.raises(BadInput) as caught:
        from_toml(text, "my.toml", Whole)
    assert (caught.value.source, caught.value.key) == ("my.toml", key)
    assert allowed in str(caught.value)


def test_text_that_is_not_toml_says_so_with_the_file() -> None:
    with pytest.raises(BadInput, match=r"^my.toml: not TOML: "):
        from_toml("[pace", "my.toml", Whole)


def test_flags_win_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "s.toml"
    file.write_text("[pace]\nhz = 2\nmode = 'fast'\n")
    environment = {"TRIWARN_PACE__HZ": "3", "OTHER": "x"}
    assert load_settings(Whole, file, environment).pace == Pace(hz=3.0, mode="fast")
    assert load_settings(Whole, file, environment, {"pace.hz": 4.0, "pace.mode": None}).pace == Pace(hz=4.0, mode="fast")
    assert load_settings(Whole, None, {}) == Whole()


def test_a_wrong_environment_variable_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"environment variable TRIWARN_PACE__HZ: pace.hz: "):
        load_settings(Whole, None, {"TRIWARN_PACE__HZ": "nought"})
    with pytest.raises(BadInput, match=r"environment variable TRIWARN_PACE_HZ: is no setting"):
        load_settings(Whole, None, {"TRIWARN_PACE_HZ": "3"})


def test_toml_nested_too_deeply_is_told_as_such() -> None:
    with pytest.raises(BadInput, match=r"my.toml: not TOML: nested too deeply"):
        from_toml("a = " + "[" * 100_000, "my.toml", Whole)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"none.toml: cannot be read: No such file"):
        load_settings(Whole, tmp_path / "none.toml", {})
