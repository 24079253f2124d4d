"""Topics and releases: built and parsed alike, and nothing else is taken."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus import release, topics
from bus.errors import Rejected
from bus.release import NATIONS
from bus.tracks import NationalTrack


@given(st.sets(st.sampled_from(NATIONS), min_size=1))
def test_a_release_survives_its_label(nations: set[str]) -> None:
    to = release.release(*nations)
    assert release.parse(release.label(to)) == to
    assert list(to) == sorted(to)


@pytest.mark.parametrize("text", ["", "usa-jpn", "jpn-jpn", "fra", "jpn_kor", "JPN"])
def test_a_release_that_is_not_canonical_is_released_to_nobody(text: str) -> None:
    with pytest.raises(ValueError, match=r"release"):
        release.parse(text)


@pytest.mark.parametrize(
    ("topic", "kind", "owner"),
    [
        (topics.feed_tracks("kor", ("kor", "usa")), "tracks", "kor"),
        (topics.feed_events("usa", NATIONS), "events", "usa"),
        (
            topics.feed_decorrelation("usa", NATIONS, NationalTrack("usa", 7), NationalTrack("jpn", 4)),
            "decorrelation",
            "usa",
        ),
        (topics.picture_tracks("jpn"), "picture", "jpn"),
        (topics.picture_alert("jpn", "jpn-usa-1-9"), "alert", "jpn"),
        (topics.status("fusion", "fusion-1"), "status", "fusion-1"),
        (topics.EXERCISE_CLOCK, "clock", "exercise"),
        (topics.CANARY_CLOCK, "clock", "canary"),
        (topics.status("canary", "canary"), "status", "canary"),
    ],
)
def test_every_topic_that_is_built_is_parsed(topic: str, kind: str, owner: str) -> None:
    address = topics.parse_topic(topic)
    assert (address.kind, address.owner) == (kind, owner)


@given(st.text(max_size=60))
def test_any_text_is_a_topic_of_the_table_or_rejected(text: str) -> None:
    with pytest.raises(Rejected):
        topics.parse_topic("mw/v1/feed/" + text + "/tracks")
