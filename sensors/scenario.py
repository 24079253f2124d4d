"""Scenarios: strict TOML, read into frozen structs. What happens, who watches, and what fails.

A scenario's text travels on the bus, so that every process computes the same truth from it; nothing here reads truth.
"""

from __future__ import annotations

import tomllib
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Annotated, Final, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

from bus.errors import BadInput
from bus.messages import MAX_SCENARIO_BYTES
from bus.release import NATIONS, Nation, Release
from bus.settings import from_toml
from bus.tracks import PAIR_FORM, TRACK_FORM, NationalTrack, parse_pair, parse_track
from sensors.instruments import find_sensors
from sensors.missiles import CATALOGUE, find_site, find_type
from sensors.policy import Delay, Policy, Rule, checked_rules
from sensors.quantities import Degrees, Kilometres, Seconds
from sensors.words import possible_word_releases

_FOLDER: Final = Path(__file__).parent / "scenarios"
_NATIONS_FILE: Final = CATALOGUE / "nations.toml"

_YEARS: Final = range(1970, 2200)  # what int64 nanoseconds since the Unix epoch hold, with room to spare

Factor = Annotated[float, Meta(ge=0.0, le=100.0, description="a factor, 0 to 100")]


class LaunchPlan(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One launch, or a salvo of `count`. Flown to `apogee_km` and `range_km`, or to `range_km` alone on a minimum-energy path.

    `azimuth_deg` is the bearing from launch to impact, clockwise from north; left out, the site's usual one.
    """

    type: str
    site: str
    at_s: Seconds
    range_km: Kilometres
    apogee_km: Kilometres | None = None
    azimuth_deg: Degrees | None = None
    count: Annotated[int, Meta(ge=1, le=200, description="1 to 200 missiles")] = 1
    interval_s: Seconds = 0.0
    spacing_m: Annotated[float, Meta(ge=0.0, le=50_000.0, description="metres between launchers, 0 to 50000")] = 0.0
    azimuth_spread_deg: Annotated[float, Meta(ge=0.0, le=60.0, description="degrees from first to last, 0 to 60")] = 0.0


class Outage(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Sensors that see nothing: of a kind, of one nation or all; from `from_s` to `to_s`.

    With `after_burnout_s` they are blind, for each launch apart, from that long after its burnout on.
    """

    kind: Literal["radar", "infrared", "all"] = "all"
    nation: Nation | None = None
    from_s: Seconds = 0.0
    to_s: Seconds = 86_400.0
    after_burnout_s: Seconds | None = None


class NationPlan(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One nation: its sensors (catalogue names), how often it reports, how late, to whom else, and how good its sensors are.

    `rule` is its release policy: the first that a report meets decides. `release_to` is short for one rule that lets everything
    go to these others, `release_delay_s` after it is valid; it always sees its own. `false_alarms` and `bias` multiply the
    catalogue's figures.
    """

    sensors: Annotated[list[str], Meta(max_length=32, description="names from the sensor catalogue")]
    report_interval_s: Annotated[float, Meta(ge=0.1, le=60.0, description="seconds, 0.1 to 60")] = 1.0
    release_delay_s: Delay = 0.0
    release_to: list[Nation] = []
    rule: list[Rule] | None = None
    false_alarms: Factor = 1.0
    bias: Factor = 1.0

    def policy(self, nation: Nation) -> Policy:
        """Its release policy, as this nation's."""
        if self.rule is not None:
            return Policy(nation, tuple(self.rule), self.release_delay_s)
        others = [each for each in NATIONS if each in self.release_to and each != nation]
        return Policy(nation, (Rule(to=others),) if others else (), self.release_delay_s, short=True)


_Complete = Annotated[NationPlan, Meta(description="a table with all that a nation has")]


class NationPlans(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The catalogue's nations: each of the three, and no other."""

    jpn: _Complete
    kor: _Complete
    usa: _Complete


class NationChange(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a scenario changes about a nation; what is left out stays as in the catalogue."""

    sensors: Annotated[list[str], Meta(max_length=32, description="names from the sensor catalogue")] | None = None
    report_interval_s: Annotated[float, Meta(ge=0.1, le=60.0, description="seconds, 0.1 to 60")] | None = None
    release_delay_s: Delay | None = None
    release_to: list[Nation] | None = None
    rule: list[Rule] | None = None
    false_alarms: Factor | None = None
    bias: Factor | None = None


class DecorrelationPlan(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An operator's word at `at_s` that two national tracks are not one object or, with `undo`, that they may be one again.

    `tracks` are two of two nations, like `jpn/4`, by the numbers that they have with the seed that is run. `nation` says so, to
    those that both are released to (`sensors.words`), and as late as its reports.
    """

    nation: Nation
    at_s: Seconds
    tracks: Annotated[list[str], Meta(min_length=2, max_length=2, description=PAIR_FORM)]
    undo: bool = False

    @property
    def pair(self) -> tuple[NationalTrack, NationalTrack]:
        """The two tracks."""
        return parse_pair(self.tracks)


class ScenarioFile(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A scenario as it is written. `start` is a date and time with its zone; without launches `duration_s` is required."""

    name: Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,47}$", description="lower-case letters, digits and hyphens")]
    title: Annotated[str, Meta(min_length=1, max_length=200, description="one line")]
    start: datetime
    duration_s: Annotated[float, Meta(gt=0.0, le=86_400.0, description="seconds, above 0, at most 86400")] | None = None
    seed: Annotated[int, Meta(ge=0, le=2**53, description="a whole number from 0")] = 1
    launch: Annotated[list[LaunchPlan], Meta(max_length=64, description="at most 64 launches")] = []
    nations: dict[Nation, NationChange] = {}
    outage: Annotated[list[Outage], Meta(max_length=64, description="at most 64 outages")] = []
    decorrelation: Annotated[list[DecorrelationPlan], Meta(max_length=64, description="at most 64 decorrelations")] = []


class Scenario(Struct, frozen=True, kw_only=True):
    """A scenario ready to be computed: checked, with every nation complete, and its own text."""

    name: str
    title: str
    text: str
    source: str
    seed: int
    start_ns: int
    duration_s: float | None
    launches: list[LaunchPlan]
    nations: dict[Nation, NationPlan]
    outages: list[Outage]
    decorrelations: list[DecorrelationPlan]

    @property
    def policies(self) -> dict[Nation, Policy]:
        """Every nation's release policy."""
        return {nation: plan.policy(nation) for nation, plan in self.nations.items()}


def possible_releases(scenario: Scenario) -> dict[Nation, set[Release]]:
    """Every release set that each nation's feed may ever publish to: of its reports, exact but for conditions that exclude one
    another, and of its words.
    """
    policies = scenario.policies
    found = {nation: set(policy.releases) for nation, policy in policies.items()}
    for word in scenario.decorrelations:
        found[word.nation] |= possible_word_releases(policies, word.nation, word.pair)
    return found


def parse_scenario(text: str, source: str) -> Scenario:
    """The scenario that `text` holds; BadInput names `source`, the key, what is wrong and what is allowed."""
    if len(text.encode()) > MAX_SCENARIO_BYTES:
        raise BadInput(
            source, "", f"{len(text.encode())} bytes are too many to send over the bus", f"at most {MAX_SCENARIO_BYTES}"
        )
    file = from_toml(text, source, ScenarioFile)
    if file.start.tzinfo is None:
        raise BadInput(source, "start", "has no time zone", "a date and time like 2024-05-30T06:14:00+09:00")
    if file.start.year not in _YEARS:
        raise BadInput(source, "start", f"the year {file.start.year} cannot be taken", f"{_YEARS[0]} to {_YEARS[-1]}")
    if not file.launch and file.duration_s is None:
        raise BadInput(source, "duration_s", "missing, and there is no launch that would end", "seconds above 0")
    for index, launch in enumerate(file.launch):
        key = f"launch[{index}]"
        find_type(launch.type, source, f"{key}.type")
        find_site(launch.site, source, f"{key}.site")
        last_s = launch.at_s + (launch.count - 1) * launch.interval_s
        if file.duration_s is not None and last_s >= file.duration_s:
            raise BadInput(
                source, f"{key}.at_s", f"its last launch at {last_s:g} s is after the end", f"below {file.duration_s:g}"
            )
    for index, outage in enumerate(file.outage):
        if outage.to_s <= outage.from_s:
            raise BadInput(source, f"outage[{index}].to_s", f"{outage.to_s:g} is not after from_s", f"above {outage.from_s:g}")
    for index, word in enumerate(file.decorrelation):
        _check_decorrelation(word, file.duration_s, source, f"decorrelation[{index}]")
    changes = {nation: _checked(change, nation, source, f"nations.{nation}") for nation, change in file.nations.items()}
    return Scenario(
        name=file.name,
        title=file.title,
        text=text,
        source=source,
        seed=file.seed,
        start_ns=int(file.start.timestamp()) * 1_000_000_000 + file.start.microsecond * 1000,
        duration_s=file.duration_s,
        launches=file.launch,
        nations={nation: _changed(nation, changes.get(nation)) for nation in NATIONS},
        outages=file.outage,
        decorrelations=file.decorrelation,
    )


def _check_decorrelation(word: DecorrelationPlan, duration_s: float | None, source: str, key: str) -> None:
    for index, text in enumerate(word.tracks):
        try:
            parse_track(text)
        except ValueError as error:
            raise BadInput(source, f"{key}.tracks[{index}]", str(error), TRACK_FORM) from None
    try:
        parse_pair(word.tracks)
    except ValueError as error:
        raise BadInput(source, f"{key}.tracks", str(error), PAIR_FORM) from None
    if duration_s is not None and word.at_s >= duration_s:
        raise BadInput(source, f"{key}.at_s", f"{word.at_s:g} s is after the end", f"below {duration_s:g}")


def parse_nations(text: str, source: str) -> dict[Nation, NationPlan]:
    """Every nation, complete. BadInput names `source`, the nation and the key, what is wrong and what is allowed."""
    file = from_toml(text, source, NationPlans)
    plans: dict[Nation, NationPlan] = {nation: getattr(file, nation) for nation in NATIONS}
    return {nation: _checked(plan, nation, source, nation) for nation, plan in plans.items()}


Plan = TypeVar("Plan", NationPlan, NationChange)


def _checked(plan: Plan, nation: Nation, source: str, key: str) -> Plan:
    """The plan with the catalogue's names in its rules; BadInput for what a nation cannot have."""
    find_sensors(plan.sensors or [], nation, source, f"{key}.sensors")
    if plan.rule is None:
        return plan
    if plan.release_to:
        raise BadInput(source, f"{key}.release_to", "there are rules too", "release_to or rule")
    return msgspec.structs.replace(plan, rule=checked_rules(plan.rule, nation, source, f"{key}.rule"))


@cache
def _default_nations() -> dict[Nation, NationPlan]:
    return parse_nations(_NATIONS_FILE.read_text(encoding="utf-8"), _NATIONS_FILE.name)


def default_nation(nation: Nation) -> NationPlan:
    """A nation as the catalogue has it."""
    return _default_nations()[nation]


def _changed(nation: Nation, change: NationChange | None) -> NationPlan:
    """The catalogue's nation with a scenario's changes; its policy is changed as a whole."""
    plan = default_nation(nation)
    if change is None:
        return plan
    given = {name: value for name, value in msgspec.structs.asdict(change).items() if value is not None}
    if "rule" in given:
        given["release_to"] = []
    elif "release_to" in given:
        given["rule"] = None
    return msgspec.structs.replace(plan, **given)


def _shipped() -> dict[str, str]:
    """Names and titles of the scenarios that come with the program."""
    trees = (tomllib.loads(path.read_text(encoding="utf-8")) for path in sorted(_FOLDER.glob("*.toml")))
    return {tree["name"]: tree["title"] for tree in trees}


SCENARIOS: Final[dict[str, str]] = _shipped()


def load_scenario(name_or_path: str) -> Scenario:
    """A shipped scenario by its name, or the scenario in a file."""
    path = _FOLDER / f"{name_or_path.lower()}.toml" if name_or_path.lower() in SCENARIOS else Path(name_or_path)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise BadInput(name_or_path, "", "no such scenario or file", f"{', '.join(SCENARIOS)}, or a path") from None
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(name_or_path, "", f"cannot be read: {error}") from None
    return parse_scenario(text, path.name if path.parent == _FOLDER else str(path))
