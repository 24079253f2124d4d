"""`triwarn policy explain`: why a nation's reports went where they went. Every decision of its release policy in a simulated run,
by track and recipient, as it was first made and as it changed.
"""

from __future__ import annotations

from typing import Final, cast

import click
import msgspec
from msgspec import Struct
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from bus.errors import BadInput
from bus.release import NATIONS, Nation, label
from sensors.feed import NationalFeed
from sensors.policy import Decided
from sensors.scenario import Scenario, load_scenario, possible_releases
from sensors.truth import build_truth

_NOBODY: Final = "-"
_HEADINGS: Final = ("track", "launch", "to", "valid T+ s", "leaves", "rule", "why")


class Explained(Struct, frozen=True, kw_only=True):
    """One decision on a national track, in force from the report valid at `from_s`, scenario s, until the track's next on `to`.

    `first_leaves_s`: when the first of these reports left, None where they stayed. `launch` is what the track follows, None for a
    false one.
    """

    track: int
    launch: str | None
    to: Nation
    from_s: float
    allowed: bool
    delay_s: float
    first_leaves_s: float | None
    rule: str
    reason: str


class Explanation(Struct, frozen=True, kw_only=True):
    """All decisions of a run that were asked for. `releases`: every marking that the nation's messages may have."""

    scenario: str
    seed: int
    nation: Nation
    releases: list[str]
    decisions: list[Explained]


def run_explain(name: str, whose: str, to: str | None, at_s: float | None, seed: int | None, *, as_json: bool) -> None:
    """Play a nation's feed and print what its policy decided."""
    nation, recipient = cast("Nation", whose), cast("Nation | None", to)
    if recipient == nation:
        others = ", ".join(each for each in NATIONS if each != nation)
        raise BadInput("flag --to", "", f"{nation} has its own always", others)
    scenario = load_scenario(name)
    found = explain(scenario, nation, scenario.seed if seed is None else seed, recipient, at_s)
    if as_json:
        click.echo(msgspec.json.encode(found).decode())
        return
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for heading in _HEADINGS:
        table.add_column(heading, justify="right" if heading in ("valid T+ s", "leaves") else "left", overflow="fold")
    for each in found.decisions:
        table.add_row(*_cells(nation, each))
    marked = ", ".join(found.releases)
    Console().print(table, f"{found.scenario}, seed {found.seed}: what {nation} lets go is marked {marked}.", sep="")


def _cells(nation: Nation, each: Explained) -> list[str]:
    leaves = f"+{each.delay_s:g} s" if each.allowed else "no"
    launch = each.launch or _NOBODY
    return [f"{nation}/{each.track}", launch, each.to, f"{each.from_s:.1f}", leaves, each.rule or _NOBODY, each.reason]


def explain(scenario: Scenario, nation: Nation, seed: int, to: Nation | None = None, at_s: float | None = None) -> Explanation:
    """What a nation's policy decides in a run, on one recipient or all others; with `at_s` only what is in force then."""
    truth, heard = build_truth(scenario), list[Decided]()
    feed = NationalFeed(scenario, truth, nation, seed, on_decision=heard.append)
    lasts_ns: dict[int, int] = {}
    for release in feed.releases():
        if release.reports is not None:
            valid_ns = zip(release.reports.track.tolist(), release.reports.valid_ns.tolist(), strict=True)
            lasts_ns.update({track: max(at_ns, lasts_ns.get(track, 0)) for track, at_ns in valid_ns})
    asked = [each for each in heard if to in (None, each.recipient)]
    if at_s is not None:
        at_ns = truth.start_ns + round(at_s * 1e9)
        interval_ns = round(scenario.nations[nation].report_interval_s * 1e9)
        until_ns = {track: last_ns + interval_ns for track, last_ns in lasts_ns.items()}
        in_force = {(each.track, each.recipient): each for each in asked if each.valid_ns <= at_ns < until_ns[each.track]}
        asked = list(in_force.values())
    order = {track: place for place, track in enumerate(dict.fromkeys(each.track for each in heard))}
    return Explanation(
        scenario=scenario.name,
        seed=seed,
        nation=nation,
        releases=sorted(map(label, possible_releases(scenario)[nation])),
        decisions=[
            _explained(each, feed.origins.get(each.track), truth.start_ns)
            for each in sorted(asked, key=lambda each: (order[each.track], each.recipient, each.valid_ns))
        ],
    )


def _explained(each: Decided, launch: str | None, start_ns: int) -> Explained:
    from_s = (each.valid_ns - start_ns) / 1e9
    return Explained(
        track=each.track,
        launch=launch,
        to=each.recipient,
        from_s=round(from_s, 3),
        allowed=each.allowed,
        delay_s=each.delay_s,
        first_leaves_s=round(from_s + each.delay_s, 3) if each.allowed else None,
        rule=each.rule,
        reason=each.reason,
    )
