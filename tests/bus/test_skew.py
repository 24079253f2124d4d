"""Clock skew: what stamps of wall time can tell, and that nothing more is told."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from bus.memory import MemoryBus
from bus.messages import TrackDropped
from bus.metrics import Budgets, Metrics
from bus.party import Party
from bus.skew import ClockSkew, party_of
from bus.topics import (
    ALL_FEED_EVENTS,
    CANARY_CLOCK,
    EXERCISE_CLOCK,
    Address,
    feed_decorrelation,
    feed_events,
    parse_topic,
    picture_alert,
    picture_tracks,
    status,
)
from bus.tracks import parse_pair

SECOND = 10**9
NOW_NS = 1_800_000_000 * SECOND
FEED, HUB = (parse_topic(topic) for topic in (feed_events("jpn", ("jpn", "usa")), picture_tracks("jpn")))


@given(
    ahead_ms=st.integers(-60_000, 60_000),
    there_ms=st.lists(st.integers(0, 2_000), min_size=1),
    back_ms=st.lists(st.integers(0, 2_000), min_size=1),
)
def test_what_both_sides_say_holds_the_true_skew_between_them(ahead_ms: int, there_ms: list[int], back_ms: list[int]) -> None:
    """The feed's clock is `ahead_ms` ahead of fusion's; messages take this long."""
    fusion, feed = ClockSkew(), ClockSkew()
    for number, delay_ms in enumerate(there_ms):
        sent_ms = NOW_NS // 10**6 + number
        fusion.hear(FEED, (sent_ms + ahead_ms) * 10**6, (sent_ms + delay_ms) * 10**6)
    for number, delay_ms in enumerate(back_ms):
        sent_ms = NOW_NS // 10**6 + number
        feed.hear(HUB, sent_ms * 10**6, (sent_ms + delay_ms + ahead_ms) * 10**6)
    least_s, most_s = fusion.ahead_s(NOW_NS)["feed.jpn"], -feed.ahead_s(NOW_NS + ahead_ms * 10**6)["fusion"]
    assert least_s <= ahead_ms / 1e3 <= most_s
    assert most_s - least_s == pytest.approx((min(there_ms) + min(back_ms)) / 1e3)


def test_a_clock_that_was_put_right_is_not_blamed_for_long() -> None:
    skew = ClockSkew()
    skew.hear(FEED, NOW_NS + 7 * SECOND, NOW_NS)
    assert skew.ahead_s(NOW_NS + 100 * SECOND) == {"feed.jpn": 7.0}
    assert skew.ahead_s(NOW_NS + 300 * SECOND) == {}
    skew.hear(FEED, NOW_NS + 300 * SECOND - 1_000_000, NOW_NS + 300 * SECOND)
    assert skew.ahead_s(NOW_NS + 300 * SECOND) == {"feed.jpn": -0.001}


def test_the_newest_minutes_count_though_the_span_turns_between() -> None:
    skew = ClockSkew()
    begin_ns = NOW_NS // (150 * SECOND) * 150 * SECOND
    skew.hear(FEED, begin_ns + 3 * SECOND, begin_ns)
    skew.hear(FEED, begin_ns + 150 * SECOND, begin_ns + 150 * SECOND)
    assert skew.ahead_s(begin_ns + 299 * SECOND) == {"feed.jpn": 3.0}
    assert skew.ahead_s(begin_ns + 300 * SECOND) == {"feed.jpn": 0.0}


@pytest.mark.parametrize(
    ("topic", "party"),
    [
        (feed_events("jpn", ("jpn", "usa")), "feed.jpn"),
        (status("feed", "kor"), "feed.kor"),
        (status("receiver", "usa"), "receiver.usa"),
        (status("receiver", "nobody-knows-whom"), ""),
        (status("fusion", "any-name"), "fusion"),
        (picture_tracks("jpn"), "fusion"),
        (picture_alert("jpn", "a-1"), "fusion"),
        (EXERCISE_CLOCK, "conductor"),
        (CANARY_CLOCK, "canary"),
        (status("canary", "any-name"), "canary"),
        (feed_decorrelation("jpn", ("jpn", "usa"), *parse_pair(["jpn/4", "usa/5"])), ""),
    ],
)
def test_a_party_is_named_by_few_words_whatever_names_come(topic: str, party: str) -> None:
    assert party_of(parse_topic(topic)) == party
    assert party_of(Address("decorrelation", "jpn")) == ""


async def test_a_party_exports_the_skew_of_live_messages_alone() -> None:
    """What was retained, and a last will, were sent who knows when."""
    bus, registry = MemoryBus(), CollectorRegistry()
    worker = Party("fusion", "fusion-1", bus.transport, Metrics(registry, Budgets()))
    worker.listen(worker.urgent, ALL_FEED_EVENTS, lambda *_: None, qos=1)
    await worker.start()
    feed = Party("feed", "jpn", bus.transport, Metrics(CollectorRegistry(), Budgets()))
    worker.listen(worker.urgent, status("feed", "+"), lambda *_: None, qos=1)
    assert exported(registry) is None
    await feed.start()
    topic, dropped = (
        feed_events("jpn", ("jpn", "usa")),
        TrackDropped(session=1, seq=1, nation="jpn", released_ns=1, tracks=[1], reason="lost"),
    )
    feed.publish(feed.urgent, topic, dropped, kind="events", qos=1)
    told = exported(registry)
    assert told is not None
    assert -1.0 < told <= 0.0
    await feed.stop()
    await worker.stop()


def exported(registry: CollectorRegistry) -> float | None:
    return registry.get_sample_value("triwarn_clock_skew_seconds", {"party": "feed.jpn"})
