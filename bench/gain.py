"""What sharing has bought so far while an exercise runs: first alerts against those of each recipient's own feed alone. Pure.

Which launch an alert speaks of, and which is its first alert, is told as the scorer has it (`bench.score`): so that what is told
at the end of an exercise is what its result tells. What a recipient would have had alone is played on the simulated clock, ahead.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from statistics import fmean
from typing import NamedTuple

from bench.score import WARNS, Held, after_s, first_alerts, held_alerts, held_as
from bench.simulate import simulate
from bench.world import World
from bus.messages import Alert
from bus.recording import Entry
from bus.release import NATIONS, Nation
from fusion.settings import FusionSettings

ByLaunch = dict[str, float]


class Bought(NamedTuple):
    """What a recipient has of sharing: the mean gain, s, over launches that it would have been warned of alone too (None: of none
    yet), and how many it was warned of beside these.
    """

    gain_s: float | None
    only_shared: int


def alone(world: World, fusion: FusionSettings, stopped: Callable[[], bool] = lambda: False) -> dict[Nation, ByLaunch]:
    """Seconds after each launch at which each nation would have been warned by its own feed alone; of some launches never."""
    told: dict[Nation, ByLaunch] = {}
    for nation in NATIONS:
        outcome = simulate(world, fusion, (nation,), (nation,), stopped)
        first = first_alerts(world, held_alerts(world, outcome.received[nation]), WARNS)
        told[nation] = _seconds(world, first)
    return told


def _seconds(world: World, first: Mapping[str, Held]) -> ByLaunch:
    launched = {launch.launch_id: launch.launch_ns for launch in world.truth.launches}
    return {launch: told for launch, held in first.items() if (told := after_s(held, launched[launch])) is not None}


class Gain:
    """One exercise's alerts against what each recipient would have had alone."""

    def __init__(self, world: World, alone_s: Mapping[Nation, ByLaunch]) -> None:
        self._world, self._alone_s = world, alone_s
        self._warned_s: dict[Nation, ByLaunch] = defaultdict(dict)

    def take(self, alert: Alert, wall_ns: int, scenario_ns: int) -> None:
        """An alert as a recipient came to hold it, at an instant of the exercise."""
        held = held_as(self._world, alert, Entry(wall_ns, scenario_ns, "", b""))
        for launch, told_s in _seconds(self._world, first_alerts(self._world, [held], WARNS)).items():
            self._warned_s[alert.recipient].setdefault(launch, told_s)

    def told(self) -> dict[Nation, Bought]:
        """What sharing bought each recipient that was warned of anything."""
        told = {}
        for recipient, warned_s in self._warned_s.items():
            alone_s = self._alone_s[recipient]
            gains = [alone_s[launch] - at_s for launch, at_s in warned_s.items() if launch in alone_s]
            told[recipient] = Bought(fmean(gains) if gains else None, len(warned_s) - len(gains))
        return told
