"""The documents' tables are what the code makes, and the channels' description names every topic."""

from __future__ import annotations

import json
import re

import pytest

from bench.reference import DOCS, TABLES, metric_table, renewed
from bus import topics
from bus.release import NATIONS
from bus.tracks import NationalTrack


@pytest.mark.parametrize("path", sorted(DOCS.glob("*.md")), ids=lambda path: path.name)
def test_the_committed_tables_are_what_the_code_makes(path) -> None:  # type: ignore[no-untyped-def]
    assert renewed(path.read_text(encoding="utf-8")) == path.read_text(encoding="utf-8")


def test_every_table_stands_in_a_document() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in DOCS.glob("*.md"))
    for name in TABLES:
        assert f"made from the code: {name} -->" in text


def test_metrics_are_named_by_their_unit_or_count() -> None:
    rows = [line.split(" | ") for line in metric_table().splitlines()[2:]]
    assert len(rows) > 15
    for name, kind, *_ in rows:
        bare = name.strip("| `")
        assert bare.startswith("triwarn_")
        assert bare.endswith("_total") == (kind == "counter")
        assert kind != "histogram" or bare.endswith("_seconds")


def test_every_topic_is_a_channel() -> None:
    channels = json.loads((DOCS / "asyncapi.json").read_text(encoding="utf-8"))["channels"]
    patterns = [re.sub(r"\{\w+\}", "[^/]+", channel["address"]) for channel in channels.values()]
    for topic in (
        topics.feed_tracks("jpn", NATIONS),
        topics.feed_events("kor", ("kor", "usa")),
        topics.feed_decorrelation("kor", ("kor", "usa"), NationalTrack("jpn", 4), NationalTrack("usa", 7)),
        topics.picture_tracks("usa"),
        topics.picture_alert("jpn", "jpn-usa-1-17"),
        topics.status("fusion", "fusion-1"),
        topics.EXERCISE_CLOCK,
        topics.CANARY_CLOCK,
        topics.status("canary", "canary"),
    ):
        assert sum(re.fullmatch(pattern, topic) is not None for pattern in patterns) == 1, topic
