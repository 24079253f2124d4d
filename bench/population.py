"""What `triwarn bench sensors` flies: the shipped scenarios, every published flight, and a hundred launches at once.

A population gives a scenario for every run. A shipped one gives itself; `published-flights` gives one published flight after the
other, each from its site alone on the usual azimuth; `published-glides` those of types that glide, which stay out of the figures
over everything: a tracker learns of lift only as it feels it. `hundred` is there for its load, and takes few runs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Final

from bus.errors import BadInput
from sensors.missiles import PublishedFlight, find_type, published_flights, type_key
from sensors.scenario import SCENARIOS, Scenario, load_scenario, parse_scenario
from sensors.truth import build_truth

PUBLISHED: Final = "published-flights"
GLIDES: Final = "published-glides"
HUNDRED: Final = "hundred"
MEASURED: Final = ("salvo-2024-05-30", "overflight", "lofted-2022-11-18", PUBLISHED, HUNDRED)
_HUNDRED_RUNS: Final = 2

# Five ripples of twenty, all away within seven seconds, from launchers 400 m apart. The apogees and ranges are published ones but
# for Hwasong-12's; that they come together is notional. It ends as the first come down: all hundred fly nearly all of its time.
_HUNDRED_TEXT: Final = """
name = "hundred"
title = "A hundred launches at once, of five types from five sites"
start = 2030-01-01T09:00:00+09:00
duration_s = 335.0
""" + "".join(
    f"""
[[launch]]
type = "{type_name}"
site = "{site}"
at_s = {at_s}
apogee_km = {apogee_km}
range_km = {range_km}
count = 20
interval_s = 0.3
spacing_m = 400.0
azimuth_spread_deg = 6.0
"""
    for type_name, site, at_s, apogee_km, range_km in (
        ("KN-25", "Sunan", 10.0, 100.0, 350.0),
        ("Scud-ER", "Sohae", 10.3, 260.0, 1000.0),
        ("Pukguksong-2", "Kusong", 10.6, 550.0, 500.0),
        ("Pukguksong-3", "Yonghung Bay", 10.9, 910.0, 450.0),
        ("Hwasong-12", "N.Kusong", 11.2, 750.0, 2000.0),
    )
)


@dataclass(frozen=True, slots=True)
class Population:
    """What is measured under one name: the scenario of run k, the most runs of it, and whether it counts over everything."""

    name: str
    scenario: Callable[[int], Scenario]
    most_runs: int | None = None
    counts: bool = True


def population_names() -> list[str]:
    """Every name that can be measured."""
    return [*SCENARIOS, PUBLISHED, GLIDES, HUNDRED]


def find_populations(names: tuple[str, ...]) -> list[Population]:
    """The populations of these names, each once; BadInput lists what there is."""
    for name in names:
        if name.lower() not in population_names():
            raise BadInput("bench sensors", "--scenario", f"no such scenario {name!r}", ", ".join(population_names()))
    return [_population(name) for name in dict.fromkeys(name.lower() for name in names)]


def _population(name: str) -> Population:
    if name in (PUBLISHED, GLIDES):
        flights = flyable(glide=name == GLIDES)
        return Population(name, lambda run: flights[run % len(flights)], counts=name == PUBLISHED)  # the rows in turn
    if name == HUNDRED:
        hundred = parse_scenario(_HUNDRED_TEXT, HUNDRED)
        return Population(name, lambda _: hundred, _HUNDRED_RUNS, counts=False)
    shipped = load_scenario(name)
    return Population(name, lambda _: shipped)


@cache
def flyable(*, glide: bool) -> tuple[Scenario, ...]:
    """A scenario a published flight of types that glide, or of those that do not. Left out is what cannot be flown."""
    rows = [row for row in published_flights() if bool(find_type(row.type, PUBLISHED, "type").glide) == glide]
    return tuple(scenario for scenario in map(_alone, rows) if _can_be_flown(scenario))


def _alone(row: PublishedFlight) -> Scenario:
    """One missile on the path of a row. The time of day is not published."""
    text = f"""
name = "{row.date_jst}-{type_key(row.type)}"
title = "{row.type} from {row.site} ({row.date_jst})"
start = {row.date_jst}T09:00:00+09:00

[[launch]]
type = "{row.type}"
site = "{row.site}"
at_s = 10.0
apogee_km = {row.apogee_km}
range_km = {row.range_km}
"""
    return parse_scenario(text, f"{PUBLISHED} {row.date_jst}")


def _can_be_flown(scenario: Scenario) -> bool:
    try:
        build_truth(scenario)
    except BadInput:
        return False
    return True
