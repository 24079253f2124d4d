"""An exercise again and again: for how long, with which seeds, and what is told of it."""

from __future__ import annotations

import json
import time
from itertools import islice
from pathlib import Path

import pytest
from click.testing import CliRunner

from bench import exercise
from bench.cli import main
from bench.turns import duration_s, turns
from bus.errors import BadInput
from tests.bench.test_score import ONE


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90.0), ("1.5m", 90.0), ("24h", 86_400.0), ("2d", 172_800.0), ("0s", 0.0)])
def test_a_duration_has_a_unit(text: str, seconds: float) -> None:
    assert duration_s(text) == seconds


@pytest.mark.parametrize("text", ["", "24", "h", "-1h", "1e3s", "24 h", "24hours", "nan s"])
def test_what_is_no_duration_is_told(text: str) -> None:
    with pytest.raises(BadInput, match="is no duration"):
        duration_s(text)


def test_turns_take_the_next_seed_each_until_the_time_is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now_s[0])
    seeds = turns(7, 60.0)
    assert list(islice(seeds, 3)) == [7, 8, 9]
    now_s[0] = 159.9
    assert next(seeds) == 10
    now_s[0] = 160.0
    assert list(seeds) == []
    assert list(turns(7, None)) == list(turns(7, 0.0)) == [7]


def test_each_turn_is_an_exercise_of_its_own_with_a_line_and_a_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exercise, "turns", lambda seed, for_s: iter((seed, seed + 1)))
    scenario, report = tmp_path / "one.toml", tmp_path / "report"
    scenario.write_text(ONE, encoding="utf-8")
    arguments = ["run", str(scenario), "--speed", "max", "--seed", "3", "--for", "1h"]
    done = CliRunner().invoke(main, [*arguments, "--report", str(report)])
    assert done.exit_code == 0, done.output
    *lines, total = done.stdout.splitlines()
    assert [line.split(":")[0] for line in lines] == ["seed 3", "seed 4"]
    assert total == "2 exercises of 2 launches: 0 missed, 0 false."
    assert [json.loads(path.read_text())["seed"] for path in sorted(report.glob("*/result.json"))] == [3, 4]
    done = CliRunner().invoke(main, [*arguments, "--json"])
    assert [json.loads(line)["seed"] for line in done.stdout.splitlines()] == [3, 4]


def test_topologies_are_not_played_again_and_again(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["run", "--topology", "hub", "--for", "1h"])
    assert (done.exit_code, done.stdout) == (2, "")
    assert "flag --for: plays on one broker" in done.stderr
