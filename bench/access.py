"""`triwarn policy acl`: the broker's access list, made from what the nations of a scenario may release."""

from __future__ import annotations

from collections.abc import Sequence

import click

from bus.access import Releases, access_list, every_release
from bus.release import Nation
from sensors.scenario import load_scenario, possible_releases


def run_acl(scenario: str | None, workers: Sequence[str], spoke: Nation | None) -> None:
    """Print the list; without a scenario, for everything that a nation could release."""
    releases: Releases = possible_releases(load_scenario(scenario)) if scenario is not None else every_release()
    click.echo(access_list(releases, workers, spoke))
