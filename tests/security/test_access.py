"""Every principal against every topic: what must be refused is refused, what must pass passes, and nothing is left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus.access import Releases, access_list, access_of, every_release, may_read, may_write
from bus.errors import BadInput
from bus.mosquitto import MOSQUITTO, NO_MOSQUITTO, SecuredMosquitto
from bus.release import NATIONS, Nation
from bus.routing import matches
from tests.security.conftest import WITNESS, WITNESS_MAY, WORKERS
from tests.security.raw import NOT_AUTHORIZED, RawClient, context_of
from tests.security.rules import EVERYBODY, POLICIES, SPOKES, readers, topics, writers

TOPICS = topics()
PAIRS = [(who, topic) for who in sorted(EVERYBODY) for topic in TOPICS]


@pytest.fixture(params=POLICIES)
def policy(request: pytest.FixtureRequest) -> Releases:
    return POLICIES[request.param]


@pytest.fixture
def spoke(request: pytest.FixtureRequest) -> Nation | None:
    """Whose broker it is, where a hub's is bridged to it; another with each policy."""
    return SPOKES[request.node.callspec.params["policy"]]


@pytest.fixture
def broker(policy: Releases, spoke: Nation | None, keys: Path) -> Iterator[SecuredMosquitto]:
    with SecuredMosquitto(keys, access_list(policy, WORKERS, spoke) + WITNESS_MAY) as running:
        yield running


def client(broker: SecuredMosquitto, keys: Path, who: str, name: str = "") -> RawClient:
    return RawClient(broker.port, context_of(keys, who), f"{who}-{name}")


@pytest.mark.parametrize("at", [None, *NATIONS])
def test_the_table_grants_what_a_person_would(policy: Releases, at: Nation | None) -> None:
    for who, topic in PAIRS:
        assert may_read(who, topic, policy, at) == (who in readers(topic, policy)), (who, topic)
        assert may_write(who, topic, policy, at) == (who in writers(topic, policy, at)), (who, topic)


@settings(deadline=None, max_examples=50)
@given(st.fixed_dictionaries({}, optional={nation: st.sets(st.sampled_from(own)) for nation, own in every_release().items()}))
def test_the_table_grants_what_a_person_would_whatever_the_policy(policy: Releases) -> None:
    for who in EVERYBODY:
        granted = access_of(who, policy)
        for filters, allowed in ((granted.reads, readers), (granted.writes, writers)):
            reached = {topic for topic in TOPICS if any(matches(each, topic) for each in filters)}
            assert reached == {topic for topic in TOPICS if who in allowed(topic, policy)}


def test_the_pairs_are_all_there_and_most_are_refused(policy: Releases) -> None:
    assert len(PAIRS) == len(set(PAIRS)) == 19 * len(TOPICS)
    assert len(TOPICS) > 90
    for allowed in (readers, writers):
        granted = sum(who in allowed(topic, policy) for who, topic in PAIRS)
        assert 0 < granted < len(PAIRS) / 2


@pytest.mark.parametrize(
    "nobody",
    [
        "",
        "feed",
        "feed.",
        "feed.chn",
        "fusion",
        "fusion.",
        "conductor.jpn",
        "broker",
        "broker.jpn",
        "canary.jpn",
        "bridge",
        "bridge.hub",
        "feed.hub",
        "witness",
        "#",
        "+",
    ],
)
def test_who_is_not_known_may_nothing(nobody: str) -> None:
    assert access_of(nobody) == ((), ())


@pytest.mark.parametrize("name", ["", "Fusion", "a b", "../up", "x\ntopic readwrite #", "f" * 33])
def test_a_worker_whose_name_is_more_than_a_name_gets_no_line_of_the_list(name: str) -> None:
    with pytest.raises(BadInput, match="lower-case letters"):
        access_list(workers=[name])


@pytest.mark.mosquitto
@pytest.mark.skipif(MOSQUITTO is None, reason=NO_MOSQUITTO)
def test_every_pair_that_must_not_write_is_refused_and_every_other_passes(
    broker: SecuredMosquitto, keys: Path, policy: Releases, spoke: Nation | None
) -> None:
    answers: dict[tuple[str, str], bool] = {}
    with client(broker, keys, WITNESS) as witness:
        witness.subscribe("#")
        for who in sorted(EVERYBODY):
            one = client(broker, keys, who)
            for topic in TOPICS:
                try:
                    reason = one.publish([topic], who.encode())[topic]
                except OSError:  # Mosquitto 2.0 ends a connection whose publishing it has just refused
                    one.vanish()
                    one = client(broker, keys, who)
                    reason = one.publish([topic], who.encode())[topic]
                answers[who, topic] = reason != NOT_AUTHORIZED
            one.vanish()
        passed = Counter((packet.payload.decode(), packet.topic) for packet in witness.heard())
    assert answers.keys() == set(PAIRS)
    assert [pair for pair, granted in answers.items() if granted != (pair[0] in writers(pair[1], policy, spoke))] == []
    assert passed == Counter(pair for pair, granted in answers.items() if granted)


@pytest.mark.mosquitto
@pytest.mark.skipif(MOSQUITTO is None, reason=NO_MOSQUITTO)
def test_every_pair_that_must_not_read_hears_nothing_however_it_subscribes(
    broker: SecuredMosquitto, keys: Path, policy: Releases
) -> None:
    """By a wildcard, by the topic's whole name, in a shared subscription, and of what is retained."""
    ways = {"wildcard": ["#"], "whole name": TOPICS, "shared": ["$share/all/#"]}
    heard: Counter[tuple[str, str, str]] = Counter()
    for who in sorted(EVERYBODY):
        clients = {way: client(broker, keys, who, way) for way in ways}
        for way, one in clients.items():
            one.subscribe(*ways[way])
        with client(broker, keys, WITNESS) as witness:
            answers = witness.publish(TOPICS, b"x")
            assert NOT_AUTHORIZED not in answers.values()
        for way, one in clients.items():
            heard.update((way, who, packet.topic) for packet in one.heard())
            one.vanish()
    with client(broker, keys, WITNESS) as witness:
        witness.publish(TOPICS, b"x", retain=True)
    for who in sorted(EVERYBODY):
        with client(broker, keys, who, "late") as late:
            late.subscribe("#")
            heard.update(("retained", who, packet.topic) for packet in late.heard())
    expected = {(way, who, topic) for way in (*ways, "retained") for who, topic in PAIRS if who in readers(topic, policy)}
    assert heard == Counter(expected)
