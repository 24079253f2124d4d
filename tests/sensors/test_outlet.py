"""The outlet: who gets what of a nation's reports, when, and that nobody learns of what is somebody else's."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from bus.access import may_read, may_write
from bus.columns import Reports
from bus.messages import MAX_FRAME_ROWS
from bus.release import NATIONS, Nation
from bus.topics import feed_events, feed_tracks
from sensors.outlet import Outlet, Release, track_numbers
from sensors.policy import Decided, Facts, Policy, Rule
from sensors.scenario import DecorrelationPlan
from tests.rows import reports
from tests.sensors.policies import DELAYS_S, random_facts, random_policy

S = 1_000_000_000
BOOST, COAST = Facts(phase="boost"), Facts(phase="coast")
OTHERS: dict[Nation, list[Nation]] = {nation: [each for each in NATIONS if each != nation] for nation in NATIONS}
TO_ALL = {nation: Policy(nation, (Rule(to=OTHERS[nation]),), 1.0) for nation in NATIONS}


def outlet(*rules: Rule, delay_s: float = 1.0, **more: object) -> Outlet:
    """Japan's, by these rules."""
    return Outlet(TO_ALL | {"jpn": Policy("jpn", rules, delay_s)}, "jpn", **more)  # type: ignore[arg-type]


def rows(*tracks: int, t_s: float) -> Reports:
    """A report of each track, valid at this second."""
    block = reports(len(tracks), valid_ns=round(t_s * S))
    return replace(block, track=np.array(tracks, np.uint32))


def shown(releases: Sequence[Release]) -> list[tuple[float, str, str, list[int]]]:
    """Each release as (second, kind, marking, tracks)."""
    return [
        (each.released_ns / S, each.kind, "-".join(each.to), each.tracks if each.reports is None else each.reports.track.tolist())
        for each in releases
    ]


def test_rows_leave_in_frames_of_those_that_may_see_them() -> None:
    out = outlet(Rule(to=["kor"], phases=["boost"]), Rule(to=["usa"], phases=["coast"]))
    out.report(rows(1, 2, 3, 4, t_s=10.0), 10 * S, [BOOST, COAST, BOOST, Facts()])
    assert shown(list(out.rest())) == [
        (11.0, "launch_detected", "jpn", [1, 2, 3, 4]),
        (11.0, "launch_detected", "jpn-kor", [1, 3]),
        (11.0, "launch_detected", "jpn-usa", [2]),
        (11.0, "frame", "jpn", [4]),
        (11.0, "frame", "jpn-kor", [1, 3]),
        (11.0, "frame", "jpn-usa", [2]),
    ]


def test_a_longer_delay_brings_the_same_rows_later_and_the_originator_waits_for_nobody() -> None:
    out = outlet(Rule(to=["kor"]), Rule(to=["usa"], delay_s=5.0))
    out.report(rows(1, t_s=10.0), 10 * S)
    out.report(rows(1, t_s=11.0), 11 * S)
    out.end(1, "impact", 12 * S)
    assert shown(list(out.rest())) == [
        (11.0, "launch_detected", "jpn", [1]),
        (11.0, "launch_detected", "jpn-kor", [1]),
        (11.0, "frame", "jpn-kor", [1]),
        (12.0, "frame", "jpn-kor", [1]),
        (13.0, "dropped", "jpn", [1]),
        (13.0, "dropped", "jpn-kor", [1]),
        (15.0, "launch_detected", "jpn-usa", [1]),
        (15.0, "frame", "jpn-usa", [1]),
        (16.0, "frame", "jpn-usa", [1]),
        (17.0, "dropped", "jpn-usa", [1]),
    ]


def test_a_track_that_is_released_to_somebody_later_is_announced_then() -> None:
    out = outlet(Rule(to=["kor"]), Rule(to=["usa"], phases=["coast"]))
    out.report(rows(1, t_s=10.0), 10 * S, [BOOST])
    out.report(rows(1, t_s=20.0), 20 * S, [COAST])
    out.report(rows(1, t_s=21.0), 21 * S, [COAST])
    assert shown(list(out.rest())) == [
        (11.0, "launch_detected", "jpn", [1]),
        (11.0, "launch_detected", "jpn-kor", [1]),
        (11.0, "frame", "jpn-kor", [1]),
        (21.0, "launch_detected", "jpn-usa", [1]),
        (21.0, "frame", "jpn-kor-usa", [1]),
        (22.0, "frame", "jpn-kor-usa", [1]),
    ]


def test_a_drop_goes_to_whom_the_track_ever_was_released_to_and_to_each_for_itself() -> None:
    out = outlet(Rule(to=["kor"], phases=["boost"]), Rule(to=["usa"], phases=["coast"]))
    out.report(rows(1, 2, t_s=10.0), 10 * S, [BOOST, Facts()])
    out.report(rows(1, t_s=20.0), 20 * S, [COAST])
    out.end(1, "lost", 30 * S)
    out.end(2, "false", 31 * S)
    out.end(3, "false", 31 * S)  # never reported
    ends = [each for each in shown(list(out.rest())) if each[1] == "dropped"]
    assert ends == [
        *((31.0, "dropped", to, [1]) for to in ("jpn", "jpn-kor", "jpn-usa")),
        (32.0, "dropped", "jpn", [2]),
    ]


def test_no_report_comes_after_the_drop_though_it_had_a_longer_delay() -> None:
    out = outlet(Rule(to=["usa"], phases=["boost"], delay_s=30.0), Rule(to=["usa"]))
    out.report(rows(1, t_s=10.0), 10 * S, [BOOST])
    out.report(rows(1, t_s=20.0), 20 * S, [COAST])
    out.end(1, "impact", 21 * S)
    to_usa = [each[:2] for each in shown(list(out.rest())) if "usa" in each[2]]
    assert to_usa == [(21.0, "launch_detected"), (21.0, "frame"), (40.0, "launch_detected"), (40.0, "frame"), (40.0, "dropped")]


def test_a_frame_is_full_by_what_it_holds_and_not_by_what_somebody_else_may_see() -> None:
    out = outlet(Rule(to=["kor"]), Rule(to=["usa"], phases=["coast"]))
    n = MAX_FRAME_ROWS + 100
    facts = [COAST if i % 2 else BOOST for i in range(n)]
    out.report(rows(*range(1, n + 1), t_s=10.0), 10 * S, facts)
    sent = [(each.kind, len(each.reports or ()), "-".join(each.to)) for each in out.rest() if each.to != ("jpn",)]
    assert sent == [
        *(("launch_detected", some, "jpn-kor") for some in (MAX_FRAME_ROWS, 100)),
        ("launch_detected", n // 2, "jpn-usa"),
        ("frame", n // 2, "jpn-kor"),
        ("frame", n // 2, "jpn-kor-usa"),
    ]


def test_an_operators_word_reaches_those_that_hold_the_track_and_as_late_as_its_reports() -> None:
    word = DecorrelationPlan(nation="jpn", at_s=0.0, tracks=["jpn/1", "usa/7"])
    rules = (Rule(to=["kor"], phases=["boost"]), Rule(to=["kor", "usa"], phases=["coast"], delay_s=4.0))
    out = outlet(*rules, words=[(12 * S, word), (30 * S, word)])
    out.report(rows(1, t_s=10.0), 10 * S, [BOOST])
    before = list(out.due(13 * S))
    out.report(rows(1, t_s=20.0), 20 * S, [COAST])
    words = [each for each in shown([*before, *out.rest()]) if each[1] == "decorrelation"]
    assert words == [
        (13.0, "decorrelation", "jpn", []),
        (16.0, "decorrelation", "jpn-kor", []),
        (31.0, "decorrelation", "jpn", []),
        (34.0, "decorrelation", "jpn-kor", []),
        (34.0, "decorrelation", "jpn-usa", []),
    ]


def test_the_audit_hears_each_decision_as_it_is_made_and_as_it_changes() -> None:
    heard: list[Decided] = []
    out = outlet(Rule(to=["kor"], phases=["coast"], delay_s=2.0), on_decision=heard.append)
    for t_s, facts in ((10, BOOST), (11, BOOST), (12, COAST), (13, COAST), (14, BOOST)):
        out.report(rows(1, t_s=t_s), t_s * S, [facts])
    assert [(each.recipient, each.allowed, each.rule, each.reason, each.valid_ns // S) for each in heard] == [
        ("kor", False, "", "rule[0]: phase boost", 10),
        ("usa", False, "", "no rule names usa", 10),
        ("kor", True, "rule[0]", "allowed: phase coast", 12),
        ("kor", False, "", "rule[0]: phase boost", 14),
    ]
    assert {(each.nation, each.track) for each in heard} == {("jpn", 1)}


def test_where_all_go_the_same_way_everything_has_the_one_marking() -> None:
    word = DecorrelationPlan(nation="jpn", at_s=0.0, tracks=["jpn/1", "usa/7"])
    out = outlet(Rule(to=["kor", "usa"]), words=[(10 * S, word)])
    out.report(rows(1, 2, t_s=10.0), 10 * S)
    out.end(1, "lost", 11 * S)
    assert shown(list(out.rest())) == [
        (11.0, "launch_detected", "jpn-kor-usa", [1, 2]),
        (11.0, "frame", "jpn-kor-usa", [1, 2]),
        (11.0, "decorrelation", "jpn-kor-usa", []),
        (12.0, "dropped", "jpn-kor-usa", [1]),
    ]


def test_numbers_of_tracks_are_counted_only_where_all_go_the_same_way() -> None:
    def first(*rules: Rule, seed: int = 1) -> list[int]:
        numbers = track_numbers(Policy("jpn", rules, 1.0), seed)
        return [next(numbers) for _ in range(2000)]

    assert first() == first(Rule(to=["kor"])) == list(range(1, 2001))
    drawn = first(Rule(to=["kor"], phases=["boost"]))
    assert len(set(drawn)) == 2000
    assert min(drawn) >= 1
    assert first(Rule(to=["kor"], phases=["boost"])) == drawn
    assert first(Rule(to=["kor"], phases=["boost"]), seed=2) != drawn
    assert sum(other == one + 1 for one, other in pairwise(drawn)) < 5


def played(rng: random.Random, nation: Nation, policy: Policy) -> list[Release]:
    """Some tracks that begin and end, with facts that change now and then, through an outlet that is asked at every instant."""
    out = Outlet(TO_ALL | {nation: policy}, nation)
    live: dict[int, Facts] = {}
    found: list[Release] = []
    number = 0
    for second in range(1, 25):
        for track in list(live):
            if rng.random() < 0.25:
                live[track] = random_facts(rng, nation)
        for _ in range(rng.randint(0, 2)):
            number += 1
            live[number] = random_facts(rng, nation)
        if live:
            out.report(rows(*live, t_s=second), second * S, list(live.values()))
        for track in [each for each in live if rng.random() < 0.1]:
            out.end(track, "lost", second * S)
            del live[track]
        found += out.due(second * S)
        if rng.random() < 0.5:
            assert not list(out.due(second * S))
    return [*found, *out.rest()]


@pytest.mark.parametrize("seed", range(60))
def test_whatever_the_policy_what_each_recipient_hears_is_a_whole_story(seed: int) -> None:
    """In order of time, announced first, nothing after the end, no row twice but to the originator; markings as are possible."""
    rng, nation = random.Random(seed), NATIONS[seed % 3]
    policy = random_policy(rng, nation)
    releases = played(rng, nation, policy)
    assert [each.released_ns for each in releases] == sorted(each.released_ns for each in releases)
    assert {each.to for each in releases} <= policy.releases
    for recipient in NATIONS:
        announced, ended, seen = set[int](), set[int](), set[tuple[int, int]]()
        for each in releases:
            if recipient not in each.to:
                continue
            tracks = each.tracks if each.reports is None else each.reports.track.tolist()
            if each.kind == "launch_detected":
                announced |= set(tracks)
            assert set(tracks) <= announced
            assert recipient == nation or not set(tracks) & ended
            if each.kind == "dropped":
                ended |= set(tracks)
            elif each.kind == "frame" and each.reports is not None:
                rows_of = set(zip(tracks, each.reports.valid_ns.tolist(), strict=True))
                assert recipient == nation or not rows_of & seen
                seen |= rows_of
                delays = {each.released_ns - valid_ns for _, valid_ns in rows_of}
                assert delays <= {round(delay_s * S) for delay_s in DELAYS_S}
        assert recipient in (nation, *policy.longest_s) or not announced


@pytest.mark.parametrize("seed", range(12))
def test_an_access_list_of_the_possible_releases_passes_all_that_leaves_to_whom_it_is_for(seed: int) -> None:
    rng, nation = random.Random(seed), NATIONS[seed % 3]
    policy = random_policy(rng, nation)
    releases = {each: policy.releases if each == nation else {(each,)} for each in NATIONS}
    for to in {each.to for each in played(rng, nation, policy)}:
        for topic in (feed_tracks(nation, to), feed_events(nation, to)):
            assert may_write(f"feed.{nation}", topic, releases)
            assert [recipient for recipient in NATIONS if may_read(f"receiver.{recipient}", topic, releases)] == list(to)


@pytest.mark.parametrize("nation", NATIONS)
def test_every_track_that_ends_is_dropped_for_whoever_heard_of_it(nation: Nation) -> None:
    for seed in range(20):
        rng = random.Random(seed)
        told: dict[Nation, set[int]] = defaultdict(set)
        dropped: dict[Nation, set[int]] = defaultdict(set)
        over: set[int] = set()
        for each in played(rng, nation, random_policy(rng, nation)):
            over |= set(each.tracks)
            for to in each.to:
                dropped[to] |= set(each.tracks)
                told[to] |= set(each.reports.track.tolist()) if each.reports is not None else set()
        for to in NATIONS:
            assert dropped[to] == told[to] & over
