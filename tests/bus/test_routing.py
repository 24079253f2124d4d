from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus.routing import Routes, check_filter, check_topic, matches
from bus.transport import Delivery
from tests.oracles_bus import slow_matches


def one(delivery: Delivery) -> None: ...


def two(delivery: Delivery) -> None: ...


levels = st.sampled_from(["a", "b", "", "$SYS", "jpn-kor"])
topics = st.lists(levels, min_size=1, max_size=4).map("/".join).filter(bool)
filters = st.builds(
    lambda parts, tail: "/".join([*parts, *tail]),
    st.lists(st.one_of(levels, st.just("+")), max_size=4),
    st.sampled_from([[], ["#"]]),
).filter(bool)


@settings(deadline=None, max_examples=500)
@given(filters, topics)
def test_matching_agrees_with_its_slow_twin(topic_filter: str, topic: str) -> None:
    assert matches(topic_filter, topic) == slow_matches(topic_filter, topic)
    assert matches(f"$share/group/{topic_filter}", topic) == slow_matches(topic_filter, topic)


@pytest.mark.parametrize(
    ("topic_filter", "topic", "expected"),
    [  # the examples of MQTT 5, 4.7.1 and 4.7.2
        ("sport/tennis/player1/#", "sport/tennis/player1", True),
        ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", True),
        ("sport/#", "sport", True),
        ("sport/tennis/+", "sport/tennis/player1/ranking", False),
        ("sport/+", "sport", False),
        ("sport/+", "sport/", True),
        ("+/+", "/finance", True),
        ("/+", "/finance", True),
        ("+", "/finance", False),
        ("#", "$SYS/monitor/Clients", False),
        ("+/monitor/Clients", "$SYS/monitor/Clients", False),
        ("$SYS/#", "$SYS/monitor/Clients", True),
    ],
)
def test_the_standards_own_examples_hold(topic_filter: str, topic: str, expected: bool) -> None:
    assert matches(topic_filter, topic) is expected


@pytest.mark.parametrize("topic_filter", ["", "sport/tennis#", "sport/tennis/#/ranking", "sport+", "a\0b"])
def test_what_is_no_filter_is_refused(topic_filter: str) -> None:
    with pytest.raises(ValueError, match="filter"):
        check_filter(topic_filter)


@pytest.mark.parametrize("topic", ["", "a/+", "a/#", "a\0b", "x" * 65_536])
def test_what_is_no_topic_is_refused(topic: str) -> None:
    with pytest.raises(ValueError, match="topic"):
        check_topic(topic)


def test_the_table_forgets_nothing_however_many_topics_pass() -> None:
    routes = Routes()
    routes.add("alerts/+", one, 1)
    for number in range(10_000):
        assert routes.handlers_for(f"alerts/{number}") == (one,)
    routes.add("alerts/#", two, 0)
    assert routes.handlers_for("alerts/7") == (one, two)


def test_a_filter_keeps_the_highest_qos_and_is_asked_for_again() -> None:
    routes = Routes()
    route = routes.add("a", one, 1)
    route.granted = True
    assert routes.add("a", two, 0) is route
    assert (route.qos, route.granted, route.handlers) == (1, False, (one, two))
