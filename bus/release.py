"""Nations and release: who may see what. Pure.

A release is the sorted tuple of nations that a report may reach, its originator included (`REL TO JPN, KOR, USA`). On the
wire's topics it is written `jpn-kor-usa`. Fails closed: what does not parse is released to nobody.
"""

from __future__ import annotations

from typing import Final, Literal, get_args

Nation = Literal["jpn", "kor", "usa"]
NATIONS: Final[tuple[Nation, ...]] = get_args(Nation)
Release = tuple[Nation, ...]
EVERYONE: Final[Release] = NATIONS


def release(*nations: str) -> Release:
    """The release to these nations: sorted, each once. ValueError names an unknown nation or an empty set."""
    unknown = sorted(set(nations) - set(NATIONS))
    if unknown or not nations:
        raise ValueError(f"a release is one or more of {', '.join(NATIONS)}; got {', '.join(unknown) or 'none'}")
    return tuple(nation for nation in NATIONS if nation in nations)


def label(to: Release) -> str:
    """The topic level of a release: `jpn-kor-usa`."""
    return "-".join(to)


def parse(text: str) -> Release:
    """The release behind a topic level; ValueError unless it is the canonical spelling."""
    parsed = release(*text.split("-"))
    if label(parsed) != text:
        raise ValueError(f"a release is written sorted and once each: {label(parsed)}, not {text}")
    return parsed
