"""The measure of the national feeds: it finds what is there."""

from __future__ import annotations

import msgspec

from bench.feeds import feed_tables, measure_feeds
from bus.release import NATIONS


def test_the_feeds_of_an_overflight_are_measured_by_nation_and_phase() -> None:
    result = measure_feeds(2, ("overflight",))
    assert {(row.nation, row.phase) for row in result.consistency} >= {(n, p) for n in NATIONS for p in ("boost", "coast")}
    for row in result.consistency:
        assert row.reports > 0
        assert 0.05 < row.anees < 3.0
        assert 10.0 < row.position_rms_m < 20e3
    first = {row.nation: row for row in result.first}
    for nation in NATIONS:
        detected, reported = first[nation].detected_after_s, first[nation].reported_after_s
        assert detected is not None
        assert reported is not None
        assert 0.0 < detected < reported
        assert first[nation].reported_share == 1.0
    assert first["usa"].detected_after_s < first["kor"].detected_after_s < first["jpn"].detected_after_s  # type: ignore[operator]
    assert result.speed[0].times_real_time > 100.0
    assert msgspec.json.decode(msgspec.json.encode(result))["runs"] == 2
    assert len(feed_tables(result)) == 3
