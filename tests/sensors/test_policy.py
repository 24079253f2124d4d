"""Release policies: the first rule that a report meets decides, nothing else leaves, and what is not known is not let go."""

from __future__ import annotations

import itertools
import math
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus.errors import BadInput
from bus.release import NATIONS, Nation, Release, release
from bus.tracks import NationalTrack
from sensors.policy import MOST_RULES, Facts, Policy, Region, Rule, decide
from sensors.scenario import parse_scenario, possible_releases
from sensors.words import hearers, possible_word_releases, word_sets
from tests.oracles_sensors import decision
from tests.sensors.policies import SENSORS, random_facts, random_policy
from tests.sensors.test_scenario import HEAD, LAUNCH

ONE, OTHER, THIRD = SENSORS["jpn"]
RNG = st.randoms(use_true_random=False)
EVERYTHING = Facts(frozenset({ONE}), "short-range", "coast", 39.0, 126.0)
NOTHING = Facts()


def japans(*rules: Rule, delay_s: float = 1.0) -> Policy:
    return Policy("jpn", rules, delay_s)


@settings(max_examples=200, deadline=None)
@given(RNG, st.sampled_from(NATIONS))
def test_a_decision_is_that_of_the_first_rule_that_is_met(rng: random.Random, nation: Nation) -> None:
    policy, facts = random_policy(rng, nation), random_facts(rng, nation)
    for to in policy.others:
        found = decide(policy, facts, to)
        assert (found.allowed, found.delay_s if found.allowed else None, found.rule) == decision(policy, facts, to)
        assert found.reason


def test_without_a_rule_nothing_leaves_and_the_originator_has_its_own() -> None:
    assert not decide(japans(), EVERYTHING, "usa").allowed
    assert decide(japans(), EVERYTHING, "usa").reason == "no rule names usa"
    assert decide(japans(), NOTHING, "jpn").allowed


@pytest.mark.parametrize(
    ("condition", "why"),
    [
        ({"sensors": [ONE]}, "sensors not known"),
        ({"classes": ["short-range"]}, "class not known"),
        ({"phases": ["coast"]}, "phase not known"),
        ({"region": Region(lat_deg=(-90.0, 90.0), lon_deg=(-180.0, 180.0))}, "position not known"),
    ],
)
def test_what_a_report_does_not_tell_allows_nothing_and_is_refused_as_it_may_be(condition: dict[str, Any], why: str) -> None:
    allows, refuses = Rule(to=["usa"], **condition), Rule(to=["usa"], allow=False, **condition)
    anything = Rule(to=["usa"])
    assert decide(japans(allows), EVERYTHING, "usa").allowed
    closed = decide(japans(allows), NOTHING, "usa")
    assert (closed.allowed, closed.rule, closed.reason) == (False, "", f"rule[0]: {why}")
    closed = decide(japans(refuses, anything), NOTHING, "usa")
    assert (closed.allowed, closed.rule, closed.reason) == (False, "rule[0]", f"refused, as it may be: {why}")


def test_a_position_that_is_not_a_number_is_in_no_region() -> None:
    everywhere = Rule(to=["usa"], region=Region(lat_deg=(-90.0, 90.0), lon_deg=(-180.0, 180.0)))
    for lat_deg, lon_deg in ((math.nan, 126.0), (39.0, math.nan), (math.inf, 126.0)):
        assert not decide(japans(everywhere), EVERYTHING._replace(lat_deg=lat_deg, lon_deg=lon_deg), "usa").allowed


def test_a_rule_that_allows_names_all_contributing_sensors_and_one_that_refuses_any() -> None:
    both = EVERYTHING._replace(sensors=frozenset({ONE, OTHER}))
    assert not decide(japans(Rule(to=["usa"], sensors=[ONE])), both, "usa").allowed
    assert decide(japans(Rule(to=["usa"], sensors=[ONE, OTHER, THIRD])), both, "usa").allowed
    refusing = japans(Rule(to=["usa"], sensors=[ONE], allow=False), Rule(to=["usa"]))
    assert decide(refusing, both, "usa").reason == f"refused: sensor {ONE}"
    assert decide(refusing, both._replace(sensors=frozenset({OTHER})), "usa").allowed


def test_a_class_that_is_not_known_is_met_where_it_is_named() -> None:
    assert decide(japans(Rule(to=["usa"], classes=["unknown", "short-range"])), NOTHING, "usa").allowed


def test_a_region_may_reach_across_the_antimeridian() -> None:
    across = Region(lat_deg=(30.0, 50.0), lon_deg=(170.0, -170.0))
    assert across.holds(40.0, 179.0)
    assert across.holds(40.0, -175.0)
    assert not across.holds(40.0, 0.0)
    assert not across.holds(29.9, 180.0)


@pytest.mark.parametrize("lon_deg", [180.0, -180.0])
def test_the_antimeridian_is_in_every_region_that_reaches_it_however_it_is_written(lon_deg: float) -> None:
    """A rule that refuses a region to its very edge refuses what is on the edge."""
    for ends in ((-180.0, -170.0), (170.0, 180.0), (180.0, -170.0), (170.0, -180.0), (-180.0, 180.0), (180.0, -180.0)):
        assert Region(lat_deg=(30.0, 50.0), lon_deg=ends).holds(40.0, lon_deg)
    assert not Region(lat_deg=(30.0, 50.0), lon_deg=(-179.0, 179.0)).holds(40.0, lon_deg)


def test_a_region_begins_at_its_edge_and_not_within_rounding_of_it() -> None:
    """The twin subtracted longitudes in floating point, and took 359 degrees for a little less."""
    nearly_all = Rule(to=["usa"], region=Region(lat_deg=(30.0, 35.0), lon_deg=(1.0, -1e-149)))
    facts = EVERYTHING._replace(lat_deg=30.0, lon_deg=0.0)
    assert not decide(japans(nearly_all), facts, "usa").allowed
    assert decision(japans(nearly_all), facts, "usa") == (False, None, "")


@settings(max_examples=100, deadline=None)
@given(RNG, st.sampled_from(NATIONS))
def test_the_markings_of_a_policy_are_all_that_its_conditions_may_bring_about(rng: random.Random, nation: Nation) -> None:
    """Against every way in which the conditions of the rules may be met or not."""
    policy, found = random_policy(rng, nation, most=4), set[Release]()
    every = {to: list[bool]() for to in policy.others}
    for met in itertools.product(*([True, False] if rule.conditions else [True] for rule in policy.rules)):
        delays = {}
        for to in policy.others:
            first = next((rule for rule, holds in zip(policy.rules, met, strict=True) if holds and to in rule.to), None)
            every[to].append(first is not None and first.allow)
            if first is not None and first.allow:
                delays[to] = policy.delay_of(first)
        own_s = min([policy.delay_s, *delays.values()])
        found |= {release(nation, *(to for to in delays if delays[to] == at_s)) for at_s in {own_s, *delays.values()}}
    assert policy.markings == found
    assert policy.always == {to for to, allowed in every.items() if all(allowed)}


@settings(max_examples=100, deadline=None)
@given(RNG, st.sampled_from(NATIONS))
def test_no_report_gets_a_marking_that_is_not_among_the_possible(rng: random.Random, nation: Nation) -> None:
    policy, facts = random_policy(rng, nation), random_facts(rng, nation)
    decided = {to: decide(policy, facts, to) for to in policy.others}
    sets = policy.sets({to: each.delay_s for to, each in decided.items() if each.allowed})
    assert {to for _, to in sets} <= policy.markings <= policy.releases
    assert set().union(*(to for _, to in sets)) == {nation, *(to for to, each in decided.items() if each.allowed)}
    assert min(delay_ns for delay_ns, _ in sets) >= policy.shortest_ns


def test_the_originators_copy_waits_for_nobody() -> None:
    late = japans(delay_s=2.0)
    assert late.sets({"usa": 30.0}) == [(2_000_000_000, ("jpn",)), (30_000_000_000, ("jpn", "usa"))]
    assert late.sets({"usa": 0.5}) == [(500_000_000, ("jpn", "usa"))]


def test_the_short_form_is_one_rule() -> None:
    short = parse_scenario(HEAD + LAUNCH + '[nations.jpn]\nrelease_to = ["usa"]\nrelease_delay_s = 3.0\n', "my.toml")
    long = parse_scenario(HEAD + LAUNCH + '[nations.jpn]\nrelease_delay_s = 3.0\n[[nations.jpn.rule]]\nto = ["usa"]\n', "my.toml")
    for to in ("kor", "usa"):
        one, other = (decide(each.policies["jpn"], EVERYTHING, to) for each in (short, long))
        assert one[:2] == other[:2]
    assert decide(short.policies["jpn"], EVERYTHING, "usa").rule == "release_to"
    assert possible_releases(short)["jpn"] == possible_releases(long)["jpn"] == {("jpn", "usa")}


def test_a_scenario_without_rules_may_release_as_the_catalogue_says() -> None:
    assert possible_releases(parse_scenario(HEAD + LAUNCH, "my.toml")) == {nation: {NATIONS} for nation in NATIONS}


RULE = '[[nations.jpn.rule]]\nto = ["usa"]\n'


@pytest.mark.parametrize(
    ("text", "key", "says"),
    [
        ('[[nations.jpn.rule]]\nto = ["mars"]\n', "nations.jpn.rule[0].to[0]", "jpn, kor, usa"),
        ('[[nations.jpn.rule]]\nto = ["usa", "jpn"]\n', "nations.jpn.rule[0].to[1]", "kor, usa"),
        ("[[nations.jpn.rule]]\nto = []\n", "nations.jpn.rule[0].to", "one or more of jpn, kor, usa"),
        ("[[nations.jpn.rule]]\nallow = true\n", "nations.jpn.rule[0].to", "missing"),
        (RULE + RULE + 'phase = ["boost"]\n', "nations.jpn.rule[1].phase", "phases"),
        (RULE + 'phases = ["cruise"]\n', "nations.jpn.rule[0].phases[0]", "boost, coast, re-entry"),
        (RULE + 'classes = ["long-range"]\n', "nations.jpn.rule[0].classes[0]", "intercontinental"),
        (RULE + "classes = []\n", "nations.jpn.rule[0].classes", "length >= 1"),
        (RULE + 'sensors = ["Green Pine B 1"]\n', "nations.jpn.rule[0].sensors[0]", "J/FPS-5 Sado"),
        (RULE + "delay_s = -1.0\n", "nations.jpn.rule[0].delay_s", "seconds, 0 to 600"),
        (RULE + "allow = false\ndelay_s = 1.0\n", "nations.jpn.rule[0].delay_s", "with allow = true"),
        (RULE + "region = { lat_deg = [40.0, 30.0], lon_deg = [0.0, 1.0] }\n", "nations.jpn.rule[0].region.lat_deg", "south"),
        (RULE + "region = { lat_deg = [40.0, 91.0], lon_deg = [0.0, 1.0] }\n", "nations.jpn.rule[0].region.lat_deg[1]", "-90"),
        (RULE + "region = { lat_deg = [40.0, 41.0] }\n", "nations.jpn.rule[0].region.lon_deg", "missing"),
        ('[nations.jpn]\nrelease_to = ["usa"]\n' + RULE, "nations.jpn.release_to", "release_to or rule"),
        (RULE * (MOST_RULES + 1), "nations.jpn.rule", "at most 32"),
    ],
)
def test_a_wrong_rule_is_refused_by_file_key_and_what_is_allowed(text: str, key: str, says: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse_scenario(HEAD + LAUNCH + text, "my.toml")
    assert caught.value.source == "my.toml"
    assert caught.value.key == key
    assert says in str(caught.value)


def test_sensors_of_a_rule_are_taken_in_any_letter_case() -> None:
    scenario = parse_scenario(HEAD + LAUNCH + RULE + f'sensors = ["{ONE.lower()}"]\n', "my.toml")
    assert decide(scenario.policies["jpn"], EVERYTHING, "usa").allowed


JPN, KOR, USA = (NationalTrack(nation, 1) for nation in NATIONS)
TO_ALL = {nation: Policy(nation, (Rule(to=[each for each in NATIONS if each != nation]),), 1.0) for nation in NATIONS}


def test_a_word_reaches_whom_everything_of_both_tracks_reaches() -> None:
    assert hearers(TO_ALL, "jpn", (JPN, USA), lambda *_: False) == ["kor", "usa"]
    assert hearers(TO_ALL, "jpn", (KOR, USA), lambda *_: False) == ["kor", "usa"]
    hidden = TO_ALL | {"kor": Policy("kor", (Rule(to=["jpn"]),), 1.0)}
    assert hearers(hidden, "jpn", (JPN, KOR), lambda *_: False) == ["kor"]
    assert hearers(hidden, "jpn", (KOR, USA), lambda *_: False) == ["kor"]
    silent = TO_ALL | {"jpn": Policy("jpn", (), 1.0)}
    assert hearers(silent, "jpn", (JPN, USA), lambda *_: True) == ["kor", "usa"]
    assert hearers(silent, "jpn", (KOR, USA), lambda *_: True) == []


def test_a_word_on_a_track_that_may_be_withheld_reaches_those_that_were_told_of_it() -> None:
    policies = TO_ALL | {"jpn": Policy("jpn", (Rule(to=["kor", "usa"], phases=["coast"], delay_s=4.0),), 1.0)}
    assert hearers(policies, "jpn", (JPN, USA), lambda *_: False) == []
    assert hearers(policies, "jpn", (JPN, USA), lambda track, to: track == JPN and to == "usa") == ["usa"]
    assert hearers(policies, "kor", (JPN, KOR), lambda *_: True) == ["jpn"]  # how would Korea know who has Japan's?
    assert word_sets(policies["jpn"], ["usa"]) == [(1_000_000_000, ("jpn",)), (4_000_000_000, ("jpn", "usa"))]
    assert possible_word_releases(policies, "jpn", (JPN, USA)) == {("jpn",), ("jpn", "kor"), ("jpn", "usa")}
