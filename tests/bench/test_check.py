"""`triwarn check`: what it tells of a sound scenario."""

from __future__ import annotations

from pathlib import Path

from bench.check import describe
from tests.sensors.test_scenario import HEAD, LAUNCH, WORD


def test_a_check_tells_what_operators_will_say(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(HEAD + LAUNCH + WORD + WORD + "undo = true\n")
    told = describe(file).splitlines()
    assert told[-2:] == [
        "  at 30 s jpn says that jpn/4 and usa/7 are not one object",
        "  at 30 s jpn says that jpn/4 and usa/7 may be one object again",
    ]


def test_a_check_tells_how_what_a_nation_lets_go_may_be_marked(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(HEAD + LAUNCH + '[[nations.jpn.rule]]\nto = ["usa"]\nphases = ["coast"]\n')
    told = describe(file).splitlines()
    assert told[-1] == "  jpn releases by 1 rules, marked jpn, jpn-usa"
