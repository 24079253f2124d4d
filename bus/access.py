"""Who may read and write what on the bus: one table, a broker's access list made from it, and its pure twin. No I/O.

Fails closed: what the table does not grant is refused, to principals it does not know everything.

- A nation's parties write their own tree alone, and of the feeds read only what is released to the nation, each topic by its
  whole name. What may go to several nations may go to fewer, never to others: all else is granted to nobody, its originator too.
- A fusion worker named after a nation serves that nation only, any other serves all (the hub). It writes the pictures of whom it
  serves, so the hub is trusted with them.
- A bridge only writes: a nation's what the nation says, the hub's what is for the nation to whose broker it comes. So each spoke
  has a list of its own; everywhere else the hub's bridge may nothing.
- The conductor is the exercise's control: it reads everything, and clears alerts that a worker which died left retained. A
  broker cannot grant clearing without writing, so it could write one too.
- The canary sees what every recipient is told, and says its own clock alone: it can begin no exercise and end none.
- A broker grants any subscription and filters on delivery: a filter wider than what is granted finds what is granted.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from itertools import combinations
from typing import Final, Literal, NamedTuple, get_args

from bus.release import NATIONS, Nation, Release, release
from bus.routing import matches
from bus.security import ALONE, BROKER, CANARY, CONDUCTOR, HUB, parted, principal, principals
from bus.topics import (
    CANARY_CLOCK,
    EVERYTHING,
    EXERCISE_CLOCK,
    Role,
    feed_decorrelations,
    feed_events,
    feed_tracks,
    picture_alerts,
    picture_tracks,
    status,
)

Releases = Mapping[Nation, Collection[Release]]
Subject = Literal[
    "clocks", "statuses", "everything", "released", "picture", "alerts", "reports", "events", "words",
    "feed", "receiver", "fusion", "others", "exercise", "canary",
]  # fmt: skip


class Access(NamedTuple):
    """The topic filters that one principal may read and write."""

    reads: tuple[str, ...]
    writes: tuple[str, ...]


class _Grants(NamedTuple):
    reads: tuple[Subject, ...]
    writes: tuple[Subject, ...]


_BRIDGE_OF_HUB: Final = principal("bridge", HUB)
_GRANTS: Final[dict[str, _Grants]] = {
    "feed": _Grants(reads=("clocks", "statuses"), writes=("feed", "reports", "events", "words")),
    "operator": _Grants(reads=("clocks", "statuses", "released", "picture", "alerts"), writes=("words",)),
    "receiver": _Grants(reads=("clocks", "statuses", "released", "picture", "alerts"), writes=("receiver",)),
    "bridge": _Grants(reads=(), writes=("feed", "reports", "events", "words", "receiver")),
    _BRIDGE_OF_HUB: _Grants(reads=(), writes=("clocks", "others", "picture", "alerts")),
    "fusion": _Grants(reads=("clocks", "statuses", "released"), writes=("fusion", "picture", "alerts")),
    CONDUCTOR: _Grants(reads=("everything",), writes=("exercise", "alerts")),
    CANARY: _Grants(reads=("clocks", "statuses", "picture", "alerts"), writes=("canary",)),
    BROKER: _Grants(reads=(), writes=()),
}


class _Who(NamedTuple):
    """A principal's owner, and the nations whose part it takes."""

    owner: str
    nations: tuple[Nation, ...]


def every_release() -> dict[Nation, tuple[Release, ...]]:
    """All that a nation could release: every set of nations that holds itself."""
    all_sets = [release(*chosen) for n in range(1, len(NATIONS) + 1) for chosen in combinations(NATIONS, n)]
    return {nation: tuple(to for to in all_sets if nation in to) for nation in NATIONS}


_EVERY_RELEASE: Final = every_release()


def access_of(name: str, releases: Releases = _EVERY_RELEASE, spoke: Nation | None = None) -> Access:
    """What a principal may read and write where each nation releases no more than `releases` say.

    At a hub's spoke, the broker of the nation `spoke`; else at any other broker.
    """
    role, owner = parted(name)
    grants = _GRANTS.get(name, _GRANTS.get(role))
    served = spoke if name == _BRIDGE_OF_HUB else owner
    nations: tuple[Nation, ...] = tuple(nation for nation in NATIONS if nation == served)
    stands_alone = role in ALONE
    if grants is None or stands_alone != (not owner) or not (nations or stands_alone or role == "fusion"):
        return Access((), ())
    who, narrowed = _Who(owner, nations or NATIONS), _narrowed(releases)

    def filters(subjects: tuple[Subject, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(found for subject in subjects for found in _FILTERS[subject](who, narrowed)))

    return Access(filters(grants.reads), filters(grants.writes))


def may_read(name: str, topic: str, releases: Releases = _EVERY_RELEASE, spoke: Nation | None = None) -> bool:
    """Whether a message on the topic may reach the principal."""
    return any(matches(granted, topic) for granted in access_of(name, releases, spoke).reads)


def may_write(name: str, topic: str, releases: Releases = _EVERY_RELEASE, spoke: Nation | None = None) -> bool:
    """Whether the principal may publish on the topic."""
    return any(matches(granted, topic) for granted in access_of(name, releases, spoke).writes)


def access_list(releases: Releases = _EVERY_RELEASE, workers: Collection[str] = (), spoke: Nation | None = None) -> str:
    """Mosquitto's `acl_file` for an exercise with these fusion workers; at a hub's spoke, for the broker of that nation."""
    lines = ["# Made by `triwarn policy acl`. What is not granted here is refused.", ""]
    for name in principals(workers):
        granted = access_of(name, releases, spoke)
        if granted != Access((), ()):
            lines += [f"user {name}", *(f"topic read {each}" for each in granted.reads)]
            lines += [*(f"topic write {each}" for each in granted.writes), ""]
    return "\n".join(lines)


def _narrowed(releases: Releases) -> Releases:
    """The releases and all that go to fewer, the originator always among them."""
    return {
        nation: tuple(to for to in _EVERY_RELEASE[nation] if any(set(to) <= set(wider) for wider in allowed))
        for nation, allowed in releases.items()
    }


# What the table's words stand for ------------------------------------------------------------------------------------------


def _released(who: _Who, releases: Releases) -> Iterator[str]:
    """Reports, events and words released to one whose part is taken, the originator's own included."""
    for nation in NATIONS:
        for to in releases.get(nation, ()):
            if any(reader in to for reader in who.nations):
                yield feed_tracks(nation, to)
                yield feed_events(nation, to)
                yield feed_decorrelations(nation, to)


def _each(make: Callable[[Nation], str]) -> Callable[[_Who, Releases], Iterator[str]]:
    return lambda who, _: (make(nation) for nation in who.nations)


def _each_release(make: Callable[[Nation, Release], str]) -> Callable[[_Who, Releases], Iterator[str]]:
    return lambda who, releases: (make(nation, to) for nation in who.nations for to in releases.get(nation, ()))


_FILTERS: Final[dict[Subject, Callable[[_Who, Releases], Iterator[str]]]] = {
    "clocks": lambda who, releases: iter((EXERCISE_CLOCK, CANARY_CLOCK)),
    "exercise": lambda who, releases: iter((EXERCISE_CLOCK,)),
    "canary": lambda who, releases: iter((CANARY_CLOCK, status("canary", CANARY))),
    "statuses": lambda who, releases: (status(role, "+") for role in get_args(Role)),
    "everything": lambda who, releases: iter((EVERYTHING,)),
    "released": _released,
    "picture": _each(picture_tracks),
    "alerts": _each(picture_alerts),
    "reports": _each_release(feed_tracks),
    "events": _each_release(feed_events),
    "words": _each_release(feed_decorrelations),
    "feed": lambda who, releases: iter((status("feed", who.owner),)),
    "receiver": lambda who, releases: iter((status("receiver", who.owner),)),
    "fusion": lambda who, releases: iter((status("fusion", who.owner),)),
    "others": lambda who, releases: iter(
        (status("fusion", "+"), *(status("feed", nation) for nation in NATIONS if nation not in who.nations))
    ),
}
