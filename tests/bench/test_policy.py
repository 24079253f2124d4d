"""`triwarn policy explain`: who got what, from when, by which rule, and why not."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from bench.cli import main
from bench.policy import Explanation
from tests.bench.worlds import short_flights

RULES = """
[[nations.kor.rule]]
to = ["jpn", "usa"]
phases = ["boost"]
delay_s = 2.0

[[nations.kor.rule]]
to = ["usa"]
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mine.toml"
    path.write_text(short_flights(1).text + RULES)
    return path


def explained(file: Path, *more: str) -> Explanation:
    done = CliRunner().invoke(main, ["policy", "explain", str(file), "--nation", "kor", "--json", *more])
    assert done.exit_code == 0, done.output
    return msgspec.json.decode(done.stdout, type=Explanation)


def test_it_tells_who_got_a_track_from_when_by_which_rule_and_why_not(file: Path) -> None:
    found = explained(file)
    assert (found.nation, found.seed, found.releases) == ("kor", 1, ["jpn-kor", "jpn-kor-usa", "kor", "kor-usa"])
    assert {each.launch for each in found.decisions} == {"L01"}
    to_japan, to_usa = ([each for each in found.decisions if each.to == to] for to in ("jpn", "usa"))
    boosts, coasts, falls = (
        (True, "rule[0]", "allowed: phase boost"),
        (False, "", "rule[0]: phase coast"),
        (False, "", "rule[0]: phase re-entry"),
    )
    told = [(each.allowed, each.rule, each.reason) for each in to_japan]
    assert (told[0], told[-2:]) == (boosts, [coasts, falls])
    assert set(told[1:-2]) <= {boosts, coasts}  # at burnout a tracker may think again
    phases = [("rule[0]", 2.0) if each == boosts else ("rule[1]", 1.0) for each in told[:-1]]
    assert [(each.rule, each.delay_s) for each in to_usa] == phases
    assert all(each.allowed for each in to_usa)
    for each in found.decisions:
        assert each.first_leaves_s == (pytest.approx(each.from_s + each.delay_s) if each.allowed else None)
    in_time = [each.from_s for each in to_usa]
    assert in_time == sorted(in_time)


def test_at_an_instant_it_tells_what_is_in_force_then(file: Path) -> None:
    change_s = next(each.from_s for each in reversed(explained(file, "--to", "usa").decisions))
    before, after, over = (
        explained(file, "--to", "usa", "--at-s", f"{at_s}").decisions for at_s in (change_s - 0.5, change_s, 9000)
    )
    assert [each.rule for each in before] == ["rule[0]"]
    assert [each.rule for each in after] == ["rule[1]"]
    assert over == []


def test_without_json_it_is_a_table(file: Path) -> None:
    done = CliRunner().invoke(main, ["policy", "explain", str(file), "--nation", "kor"])
    assert done.exit_code == 0
    assert "rule[1]" in done.stdout
    assert "what kor lets go is marked jpn-kor, jpn-kor-usa, kor, kor-usa" in " ".join(done.stdout.split())


def test_a_nation_is_no_recipient_of_its_own(file: Path) -> None:
    done = CliRunner().invoke(main, ["policy", "explain", str(file), "--nation", "kor", "--to", "kor"])
    assert done.exit_code == 2
    assert "flag --to: kor has its own always (allowed: jpn, usa)" in done.output
