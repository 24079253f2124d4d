"""Random release policies and facts, from a generator."""

from __future__ import annotations

import math
import random
from typing import Final

from bus.classes import RangeClass
from bus.release import NATIONS, Nation
from sensors.instruments import sensor_catalogue
from sensors.policy import Facts, Phase, Policy, Region, Rule

SENSORS: Final[dict[Nation, list[str]]] = {
    nation: [name for name, each in sensor_catalogue().items() if each.nation == nation][:3] for nation in NATIONS
}
CLASSES: Final[list[RangeClass]] = ["short-range", "medium-range", "intercontinental", "gliding", "unknown"]
KNOWN_PHASES: Final[list[Phase]] = ["boost", "coast", "re-entry"]
DELAYS_S: Final = (0.0, 0.5, 2.0, 7.0)


def random_rule(rng: random.Random, nation: Nation) -> Rule:
    """Any conditions, each left out as often as not."""
    others = [each for each in NATIONS if each != nation]
    allow = rng.random() < 0.7
    south, west = rng.uniform(30.0, 42.0), rng.uniform(-180.0, 180.0)
    return Rule(
        to=rng.sample(others, rng.randint(1, 2)),
        allow=allow,
        sensors=rng.sample(SENSORS[nation], rng.randint(1, 3)) if rng.random() < 0.3 else None,
        classes=rng.sample(CLASSES, rng.randint(1, 3)) if rng.random() < 0.3 else None,
        phases=rng.sample(KNOWN_PHASES, rng.randint(1, 2)) if rng.random() < 0.4 else None,
        region=Region(lat_deg=(south, south + 5.0), lon_deg=(west, rng.uniform(-180.0, 180.0))) if rng.random() < 0.3 else None,
        delay_s=rng.choice(DELAYS_S) if allow and rng.random() < 0.6 else None,
    )


def random_policy(rng: random.Random, nation: Nation, most: int = 5) -> Policy:
    """Up to `most` rules; now and then none."""
    return Policy(nation, tuple(random_rule(rng, nation) for _ in range(rng.randint(0, most))), rng.choice(DELAYS_S))


def random_facts(rng: random.Random, nation: Nation) -> Facts:
    """What a report may tell, and now and then does not."""
    return Facts(
        frozenset(rng.sample(SENSORS[nation], rng.randint(1, 3))) if rng.random() < 0.8 else None,
        rng.choice(CLASSES),
        rng.choice([*KNOWN_PHASES, None]),
        *((rng.uniform(30.0, 45.0), rng.uniform(-180.0, 180.0)) if rng.random() < 0.8 else (math.nan, math.nan)),
    )
