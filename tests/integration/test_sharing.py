"""The bilateral gap: what a nation that shares with one partner alone is worth to the other, and what a report tells of it."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import msgspec
import pytest

from bench.report import median_row, sharing_headings, sharing_rows, to_csv, to_json, to_markdown
from bench.result import Arrangement, Launch, Result, Told, Warned
from bench.score import score
from bench.sharing import arranged
from bench.simulate import Outcome, simulate
from bench.world import World, play_out
from bus.metrics import Budgets
from bus.release import NATIONS, Nation
from fusion.settings import FusionSettings
from sensors.feed import NationalFeed
from sensors.scenario import load_scenario, parse_scenario
from tests.integration.conftest import SHORT

BILATERAL = '\n[nations.jpn]\nrelease_to = ["usa"]\n\n[nations.kor]\nrelease_to = ["usa"]\n'


def scored(world: World, outcome: Outcome, compare: Arrangement | None = None) -> Result:
    more = {"speed": "max", "broker": "none", "wall_s": 0.0, "complete": True, "compare": compare}
    return score(world, outcome, FusionSettings(), Budgets(), **more)  # type: ignore[arg-type]


def warned_after_s(result: Result, recipient: Nation) -> list[float | None]:
    return [launch.recipients[recipient].warned_after_s for launch in result.launches]


@cache
def bilateral_salvo() -> tuple[World, Outcome]:
    world = play_out(load_scenario("salvo-bilateral"), 1)
    return world, simulate(world, FusionSettings())


@pytest.mark.long
def test_bilateral_sharing_gives_japan_of_the_salvo_what_its_own_and_the_us_data_give_and_no_more() -> None:
    world, outcome = bilateral_salvo()
    alone = simulate(world, FusionSettings(), nations=("jpn", "usa"), recipients=("jpn",))
    theirs = warned_after_s(scored(world, outcome), "jpn")
    assert None not in theirs
    assert theirs == warned_after_s(scored(world, alone), "jpn")


@pytest.mark.long
def test_not_a_byte_of_what_japan_receives_of_the_salvo_depends_on_what_korea_shares_with_the_us() -> None:
    world, outcome = bilateral_salvo()
    text = world.scenario.text.replace('[nations.kor]\nrelease_to = ["usa"]', "[nations.kor]\nrelease_to = []")
    silent = parse_scenario(text, "silent.toml")
    feed = NationalFeed(silent, world.truth, "kor", 1)
    withheld = replace(world, scenario=silent, releases=world.releases | {"kor": list(feed.releases())})
    received = simulate(withheld, FusionSettings()).received
    assert received["jpn"] == outcome.received["jpn"]
    assert received["usa"] != outcome.received["usa"]


def told_under(result: Result, arrangement: str, recipient: Nation) -> list[Told]:
    return [(launch.sharing or {})[arrangement][recipient] for launch in result.launches]


def test_an_exercise_is_compared_with_what_bilateral_policies_would_have_brought() -> None:
    """What is withheld from the releases of a trilateral run is what policies would have withheld."""
    world = play_out(parse_scenario(SHORT, "short.toml"), 1)
    by_policy = play_out(parse_scenario(SHORT + BILATERAL, "short.toml"), 1)
    for nation in NATIONS:
        withheld = arranged(world, "bilateral").releases[nation]
        assert [each.to for each in withheld] == [each.to for each in by_policy.releases[nation]]
    compared = scored(world, simulate(world, FusionSettings()), "bilateral")
    run = scored(by_policy, simulate(by_policy, FusionSettings()), "bilateral")
    for nation in NATIONS:
        assert told_under(compared, "bilateral", nation) == told_under(run, "run", nation) == told_under(run, "bilateral", nation)
        assert told_under(compared, "alone", nation) == told_under(run, "alone", nation)
        for name in ("warned_after_s", "confirmed_after_s"):
            as_run = [getattr(launch.recipients[nation], name) for launch in compared.launches]
            assert [getattr(each, name) for each in told_under(compared, "run", nation)] == as_run


def test_the_report_tells_what_sharing_adds_only_where_it_was_compared() -> None:
    world = play_out(parse_scenario(SHORT, "short.toml"), 1)
    outcome = simulate(world, FusionSettings())
    plain, compared = scored(world, outcome), scored(world, outcome, "bilateral")
    for result in (plain, compared):
        assert msgspec.json.decode(to_json(result), type=Result) == result
    assert "sharing" not in to_json(plain)
    assert "What sharing adds" not in to_markdown(plain, {}, 0)
    assert to_csv(plain) == to_csv(compared)
    assert sharing_headings(compared) == ["recipient", "", "alone", "bilateral", "run", "over alone", "over bilateral"]
    rows = sharing_rows(compared)
    assert [row[0] for row in rows] == [nation for nation in NATIONS for _ in range(4)]
    assert rows[0][5].split()[0] == median_row(compared)[6]  # Japan's gain over its own data
    assert f"| {' | '.join(rows[1])} |" in to_markdown(compared, {}, 0)


def test_a_median_says_of_how_many_launches_it_is_where_not_of_all() -> None:
    def launch(i: int) -> Launch:
        run = Told(warned_after_s=10.0 + i, confirmed_after_s=20.0, halfway_km=1.0)
        alone = Told(warned_after_s=30.0 if i else None, halfway_km=4.0)
        sharing: dict[str, dict[Nation, Told]] = {"alone": {"jpn": alone}, "run": {"jpn": run}}
        return Launch(
            launch_id=f"L{i}",
            type="x",
            impact_after_s=None,
            range_class="unknown",
            classes={},
            recipients={"jpn": Warned()},
            sharing=sharing,
        )

    world = play_out(parse_scenario(SHORT, "short.toml"), 1)
    result = scored(world, simulate(world, FusionSettings()))
    assert sharing_rows(msgspec.structs.replace(result, launches=[launch(i) for i in range(3)])) == [
        ["jpn", "first, s", "30.0 (2/3)", "11.0", "+18.5 (2/3)"],
        ["jpn", "confirmed, s", "-", "20.0", "-"],
        ["jpn", "impact, s", "-", "-", "-"],
        ["jpn", "impact, km", "4.0", "1.0", "+3.0"],
    ]
