"""Release policies: which of a nation's reports may reach whom, and how late. Pure; rules are data, each decision has a reason.

For a report and a recipient the first rule decides that names the recipient and that the report meets. Where none does, the
report stays. Its originator has it always.

It fails closed. What a report does not tell (sensors, class, phase, position) meets no rule that asks for it; but a rule that
refuses also refuses what may be what it names. And where several sensors contributed, a rule that allows has to name them all,
one that refuses any of them.

Knows no scenario, no bus and no time: what leaves when is `sensors.outlet`, what a report tells is `sensors.facts`;
who may hear an operator's word, `sensors.words`.
"""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Final, Literal, NamedTuple

from msgspec import Meta, Struct
from msgspec.structs import replace

from bus.classes import RangeClass
from bus.errors import BadInput
from bus.release import NATIONS, Nation, Release, release
from sensors.instruments import find_sensors
from sensors.quantities import Latitude, Longitude

Phase = Literal["boost", "coast", "re-entry"]
Delay = Annotated[float, Meta(ge=0.0, le=600.0, description="seconds, 0 to 600")]

MOST_RULES: Final = 32
_NS: Final = 1_000_000_000
_ONE_OR_MORE: Final = Meta(min_length=1)


class Region(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A box of latitudes and longitudes, each from the first to the second; from 170 to -170 is across the antimeridian."""

    lat_deg: tuple[Latitude, Latitude]
    lon_deg: tuple[Longitude, Longitude]

    def holds(self, lat_deg: float, lon_deg: float) -> bool:
        """Whether a point is inside, its edges included; the antimeridian is one line, written 180 or -180."""
        west, east = self.lon_deg
        ways = (lon_deg, -lon_deg) if abs(lon_deg) == 180.0 else (lon_deg,)
        between = any(west <= lon <= east if west <= east else lon >= west or lon <= east for lon in ways)
        return between and self.lat_deg[0] <= lat_deg <= self.lat_deg[1]


class Rule(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Who may see (`allow`) or may not see what. Conditions that are left out are met by every report.

    `sensors` are the nation's by their catalogue names, `classes` a track's by its energy, `phases` the most probable, `region`
    where it is. `delay_s` counts from a report's valid time; left out, the nation's `release_delay_s`.
    """

    to: Annotated[list[Nation], Meta(min_length=1, description=f"other nations, one or more of {', '.join(NATIONS)}")]
    allow: bool = True
    sensors: Annotated[list[str], Meta(min_length=1, description="names from the sensor catalogue")] | None = None
    classes: Annotated[list[RangeClass], _ONE_OR_MORE] | None = None
    phases: Annotated[list[Phase], _ONE_OR_MORE] | None = None
    region: Region | None = None
    delay_s: Delay | None = None

    @property
    def conditions(self) -> tuple[str, ...]:
        """The names of those that it has."""
        return tuple(name for name in _MEETS if getattr(self, name) is not None)


class Facts(NamedTuple):
    """What a report tells that a rule may ask for: None, `unknown` or NaN where it does not."""

    sensors: frozenset[str] | None = None
    range_class: RangeClass = "unknown"
    phase: Phase | None = None
    lat_deg: float = math.nan
    lon_deg: float = math.nan


class Decision(NamedTuple):
    """Whether a report may reach a recipient, so long after its valid time; by which rule (empty for none), and why."""

    allowed: bool
    delay_s: float
    rule: str
    reason: str


class Decided(NamedTuple):
    """A decision on a national track, when it is first made and when it changes: for an audit."""

    nation: Nation
    track: int
    recipient: Nation
    allowed: bool
    delay_s: float
    rule: str
    reason: str
    valid_ns: int


Outcome = Mapping[Nation, Rule | None]  # what decides on each other nation: a rule, or none
Sets = list[tuple[int, Release]]  # delays, ns, and who gets a report after them


@dataclass(frozen=True)
class Policy:
    """A nation's rules in order. `delay_s` is that of its own copy, and of rules without one. `short`: of `release_to` alone."""

    nation: Nation
    rules: tuple[Rule, ...]
    delay_s: float
    short: bool = False

    @property
    def others(self) -> list[Nation]:
        """All nations but the originator."""
        return [nation for nation in NATIONS if nation != self.nation]

    @cached_property
    def conditions(self) -> frozenset[str]:
        """The conditions that any rule has."""
        return frozenset(name for rule in self.rules for name in rule.conditions)

    def name(self, index: int) -> str:
        """A rule as its key in the file says it."""
        return "release_to" if self.short else f"rule[{index}]"

    def delay_of(self, rule: Rule) -> float:
        """The delay of an allowing rule, s."""
        return self.delay_s if rule.delay_s is None else rule.delay_s

    def sets(self, delays_s: Mapping[Nation, float]) -> Sets:
        """Who gets a report when, from the delay for each other nation that may have it: a set a delay, the shortest first.

        The originator is in all of them, and has its own copy no later than it is ready.
        """
        own_ns = round(self.delay_s * _NS)
        found: dict[int, list[Nation]] = defaultdict(list)
        for recipient, delay_s in delays_s.items():
            found[round(delay_s * _NS)].append(recipient)
        if own_ns < min(found, default=own_ns + 1):
            found[own_ns] = []
        return [(delay_ns, release(self.nation, *to)) for delay_ns, to in sorted(found.items())]

    @cached_property
    def outcomes(self) -> list[Outcome]:
        """All that the rules may decide on one report: a condition may be met or not, but by all recipients alike."""
        naming = {to: [i for i, rule in enumerate(self.rules) if to in rule.to] for to in self.others}
        found: list[Outcome] = []
        for chosen in itertools.product(*([*naming[to], None] for to in self.others)):
            met = {i for i in chosen if i is not None}
            unmet = {i for to, last in zip(self.others, chosen, strict=True) for i in naming[to] if last is None or i < last}
            if not met & unmet and all(self.rules[i].conditions for i in unmet):
                found.append({to: None if i is None else self.rules[i] for to, i in zip(self.others, chosen, strict=True)})
        return found

    @cached_property
    def always(self) -> frozenset[Nation]:
        """The other nations to which everything goes, sooner or later."""
        return frozenset(to for to in self.others if all((rule := each[to]) and rule.allow for each in self.outcomes))

    @cached_property
    def markings(self) -> frozenset[Release]:
        """Every release set that a report may get."""
        return frozenset(to for outcome in self.outcomes for _, to in self.sets(self._delays(outcome)))

    @cached_property
    def plain(self) -> bool:
        """Whether all reports go to the same nations at the same time."""
        return not self.conditions and len(self.markings) == 1

    @cached_property
    def releases(self) -> frozenset[Release]:
        """Every release set that a message may get: unless all is plain, each is told for itself what begins and ends."""
        return self.markings if self.plain else self.markings | {self.alone(to) for to in (self.nation, *self.longest_s)}

    def alone(self, to: Nation) -> Release:
        """The release set for a recipient alone."""
        return release(self.nation, to)

    @cached_property
    def longest_s(self) -> dict[Nation, float]:
        """The longest delay after which a report may reach each of the others that any may reach."""
        found: dict[Nation, float] = {}
        for outcome in self.outcomes:
            for to, delay_s in self._delays(outcome).items():
                found[to] = max(found.get(to, 0.0), delay_s)
        return found

    @cached_property
    def shortest_ns(self) -> int:
        """No report leaves sooner after its valid time, ns."""
        return min(delay_ns for outcome in self.outcomes for delay_ns, _ in self.sets(self._delays(outcome)))

    def _delays(self, outcome: Outcome) -> dict[Nation, float]:
        return {to: self.delay_of(rule) for to, rule in outcome.items() if rule is not None and rule.allow}


def decide(policy: Policy, facts: Facts, recipient: Nation) -> Decision:
    """Whether a report of these facts may reach a recipient, and why."""
    if recipient == policy.nation:
        return Decision(True, policy.delay_s, "", "the originator has its own")
    missed = []
    for index, rule in enumerate(policy.rules):
        if recipient in rule.to:
            met, why = _met(rule, facts)
            name = policy.name(index)
            if met and rule.allow:
                return Decision(True, policy.delay_of(rule), name, f"allowed{why}")
            if met is not False and not rule.allow:
                return Decision(False, 0.0, name, f"refused{why}" if met else f"refused, as it may be: {why}")
            missed.append(f"{name}: {why}")
    return Decision(False, 0.0, "", "; ".join(missed) or f"no rule names {recipient}")


def _met(rule: Rule, facts: Facts) -> tuple[bool | None, str]:
    """Whether a report meets a rule, None where it does not tell, and by or for what."""
    unknown, by = "", []
    for name in rule.conditions:
        met, told = _MEETS[name](rule, facts)
        if met is False:
            return False, told
        if met is None:
            unknown = unknown or told
        by.append(told)
    return (None, unknown) if unknown else (True, f": {', '.join(by)}" if by else "")


def _meets_sensors(rule: Rule, facts: Facts) -> tuple[bool | None, str]:
    if not facts.sensors:
        return None, "sensors not known"
    named = facts.sensors & set(rule.sensors or ())
    met = named == facts.sensors if rule.allow else bool(named)
    shown = sorted(named if met else facts.sensors - named)
    return met, f"sensor {' and '.join(shown)}"


def _meets_classes(rule: Rule, facts: Facts) -> tuple[bool | None, str]:
    if facts.range_class in (rule.classes or ()):
        return True, f"class {facts.range_class}"
    return (None, "class not known") if facts.range_class == "unknown" else (False, f"class {facts.range_class}")


def _meets_phases(rule: Rule, facts: Facts) -> tuple[bool | None, str]:
    if facts.phase is None:
        return None, "phase not known"
    return facts.phase in (rule.phases or ()), f"phase {facts.phase}"


def _meets_region(rule: Rule, facts: Facts) -> tuple[bool | None, str]:
    if not (math.isfinite(facts.lat_deg) and math.isfinite(facts.lon_deg)):
        return None, "position not known"
    inside = rule.region is not None and rule.region.holds(facts.lat_deg, facts.lon_deg)
    return inside, f"{'inside' if inside else 'outside'} the region"


_MEETS: Final[dict[str, Callable[[Rule, Facts], tuple[bool | None, str]]]] = {
    "sensors": _meets_sensors,
    "classes": _meets_classes,
    "phases": _meets_phases,
    "region": _meets_region,
}


def checked_rules(rules: Sequence[Rule], nation: Nation, source: str, key: str) -> list[Rule]:
    """The rules with the catalogue's names of sensors; BadInput names `source`, the key, what is wrong and what is allowed."""
    if len(rules) > MOST_RULES:
        raise BadInput(source, key, f"{len(rules)} are too many", f"at most {MOST_RULES} rules")
    found = []
    for index, rule in enumerate(rules):
        at = f"{key}[{index}]"
        others = ", ".join(each for each in NATIONS if each != nation)
        for place, recipient in enumerate(rule.to):
            if recipient == nation:
                raise BadInput(source, f"{at}.to[{place}]", f"{nation} always has its own", others)
        if not rule.allow and rule.delay_s is not None:
            raise BadInput(source, f"{at}.delay_s", "what is refused has no delay", "with allow = true")
        if rule.region is not None and rule.region.lat_deg[0] > rule.region.lat_deg[1]:
            raise BadInput(source, f"{at}.region.lat_deg", "the first is above the second", "from south to north")
        sensors = None if rule.sensors is None else list(find_sensors(rule.sensors, nation, source, f"{at}.sensors"))
        found.append(replace(rule, sensors=sensors))
    return found
