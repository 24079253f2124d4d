"""National tracks as people write them: `jpn/4` is Japan's track 4; of two, as a level of a topic: `jpn-4-usa-7`. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, NamedTuple, cast

from bus.release import NATIONS, Nation

TRACK_FORM: Final = f"{', '.join(NATIONS)}, then / and a track number from 1 to {2**32 - 1}, like jpn/4"
PAIR_FORM: Final = "two tracks of two nations, like jpn/4 and usa/7"
_TRACK: Final = re.compile(rf"(?P<nation>{'|'.join(NATIONS)})/(?P<number>[1-9][0-9]{{0,9}})")


class NationalTrack(NamedTuple):
    """A nation's track by its number, in whatever session that nation's feed is."""

    nation: Nation
    number: int

    def __str__(self) -> str:
        return f"{self.nation}/{self.number}"


def parse_track(text: str) -> NationalTrack:
    """The track that `text` names; ValueError where it names none."""
    found = _TRACK.fullmatch(text)
    if not found or int(found["number"]) >= 2**32:
        raise ValueError(f"{text!r} is not a track")
    return NationalTrack(cast("Nation", found["nation"]), int(found["number"]))


def parse_pair(texts: Sequence[str]) -> tuple[NationalTrack, NationalTrack]:
    """Two tracks of two nations; ValueError for anything else."""
    tracks = [parse_track(text) for text in texts]
    if len(tracks) != 2 or tracks[0].nation == tracks[1].nation:
        raise ValueError(f"{' and '.join(texts) or 'none'} are not two tracks of two nations")
    return tracks[0], tracks[1]


def pair_label(one: NationalTrack, other: NationalTrack) -> str:
    """The topic level of two tracks, the same in either order: `jpn-4-usa-7`."""
    return "-".join(f"{track.nation}-{track.number}" for track in sorted((one, other)))


def parse_pair_label(text: str) -> tuple[NationalTrack, NationalTrack]:
    """The two tracks behind a topic level; ValueError unless it is the canonical spelling."""
    levels = text.split("-")
    pair = parse_pair([f"{nation}/{number}" for nation, number in zip(levels[::2], levels[1::2], strict=False)])
    if pair_label(*pair) != text:
        raise ValueError(f"two tracks are written {pair_label(*pair)}, not {text}")
    return pair
