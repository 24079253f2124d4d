"""The simulated world of one exercise: truth, and everything the three national feeds will ever say.

A feed takes nothing from the bus, so its releases are a pure function of the scenario and the seed. Live processes compute
their own; the simulated exercise and the scorer compute them here, and get the same to the bit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import takewhile

from bus.release import NATIONS, Nation
from sensors.feed import NationalFeed, Release
from sensors.policy import Decided
from sensors.scenario import Scenario
from sensors.truth import Truth, build_truth


@dataclass(frozen=True, slots=True)
class World:
    """A scenario played out: truth, the feeds, their releases in order of time, and what their policies decided."""

    scenario: Scenario
    seed: int
    truth: Truth
    feeds: dict[Nation, NationalFeed]
    releases: dict[Nation, list[Release]]
    decided: dict[Nation, list[Decided]]

    def origin(self, nation: Nation, track: int) -> str | None:
        """The launch that a national track follows (by most of its detections), or None for a false track."""
        return self.feeds[nation].origins.get(track)

    def index(self, launch_id: str) -> int:
        """Where a launch stands in truth's arrays."""
        return next(i for i, launch in enumerate(self.truth.launches) if launch.launch_id == launch_id)

    def detected_ns(self) -> list[int | None]:
        """For each launch the instant at which some sensor of some nation first detected it, None where none ever did."""
        seen = [feed.first_seen for feed in self.feeds.values()]
        return [
            min((each[launch.launch_id][1] for each in seen if launch.launch_id in each), default=None)
            for launch in self.truth.launches
        ]


def play_out(
    scenario: Scenario,
    seed: int,
    tell: Callable[[str], None] = lambda _: None,
    *,
    scored: bool = False,
    stopped: Callable[[], bool] = lambda: False,
) -> World:
    """Compute the truth and every release of the three feeds, `scored` as of a feed; `tell` hears what is being done.

    Ends early, with less, once `stopped()`.
    """
    tell("solving flights")
    truth = build_truth(scenario)
    decided: dict[Nation, list[Decided]] = {nation: [] for nation in NATIONS}
    feeds = {
        nation: NationalFeed(scenario, truth, nation, seed, scored=scored, on_decision=told.append)
        for nation, told in decided.items()
    }
    releases = {}
    for nation, feed in feeds.items():
        tell(f"sensors and tracker of {nation}")
        releases[nation] = list(takewhile(lambda _: not stopped(), feed.releases()))
    return World(scenario, seed, truth, feeds, releases, decided)
