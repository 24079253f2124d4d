"""`triwarn policy acl`: the broker's access list, made from what the nations of a scenario may release."""

from __future__ import annotations

from collections.abc import Sequence

import click

from bus.access import Releases, access_list, every_release
from bus.release import release
from sensors.scenario import Scenario, load_scenario


def releases_of(scenario: Scenario) -> Releases:
    """What each nation may ever release in a scenario."""
    return {nation: (release(nation, *plan.release_to),) for nation, plan in scenario.nations.items()}


def run_acl(scenario: str | None, workers: Sequence[str]) -> None:
    """Print the list; without a scenario, for everything that a nation could release."""
    releases = releases_of(load_scenario(scenario)) if scenario else every_release()
    click.echo(access_list(releases, workers))
