"""National tracks as people write them: read back, and nothing else is taken."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.release import NATIONS, Nation
from bus.tracks import NationalTrack, pair_label, parse_pair, parse_pair_label, parse_track


@given(st.sampled_from(NATIONS), st.integers(1, 2**32 - 1))
def test_a_track_survives_being_written(nation: Nation, number: int) -> None:
    assert parse_track(str(NationalTrack(nation, number))) == (nation, number)


@pytest.mark.parametrize("text", ["", "jpn", "jpn/", "jpn/0", "jpn/04", "JPN/4", "fra/4", "jpn/4 ", "jpn/-4", "jpn/4294967296"])
def test_what_names_no_track_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a track"):
        parse_track(text)


@pytest.mark.parametrize("texts", [[], ["jpn/4"], ["jpn/4", "jpn/5"], ["jpn/4", "jpn/4"], ["jpn/4", "usa/7", "kor/1"]])
def test_two_tracks_of_two_nations_are_a_pair_and_nothing_else(texts: list[str]) -> None:
    assert parse_pair(["jpn/4", "usa/7"]) == (("jpn", 4), ("usa", 7))
    with pytest.raises(ValueError, match="two tracks of two nations"):
        parse_pair(texts)


@given(st.permutations(NATIONS), st.integers(1, 2**32 - 1), st.integers(1, 2**32 - 1))
def test_a_pair_survives_being_a_topic_level_and_has_but_one(nations: list[Nation], first: int, second: int) -> None:
    one, other = NationalTrack(nations[0], first), NationalTrack(nations[1], second)
    assert pair_label(one, other) == pair_label(other, one)
    assert set(parse_pair_label(pair_label(one, other))) == {one, other}


@pytest.mark.parametrize(
    "text",
    ["", "jpn-4", "jpn-4-jpn-5", "usa-7-jpn-4", "jpn-4-usa-07", "jpn-4-usa-7-kor-1", "jpn-4-usa", "jpn-4-fra-7"],
)
def test_what_is_not_the_one_way_to_write_a_pair_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="track"):
        parse_pair_label(text)
