"""The topics of the bus, built and parsed in one place.

mw/v1/feed/<nation>/status                             birth and death (last will)   QoS 1, retained
mw/v1/feed/<nation>/tracks/<release>                   track frame                   QoS 0
mw/v1/feed/<nation>/events/<release>                   launch, drop                  QoS 1
mw/v1/feed/<nation>/decorrelations/<release>/<pair>    an operator's word            QoS 1, retained for a day
mw/v1/picture/<recipient>/tracks                       frame of system tracks        QoS 0
mw/v1/picture/<recipient>/alerts/<id>                  alert                         QoS 1, retained until closed
mw/v1/receiver/<recipient>/status                      birth and death               QoS 1, retained
mw/v1/fusion/<worker>/status                           birth and death, load         QoS 1, retained
mw/v1/canary/canary/status                             birth and death               QoS 1, retained
mw/v1/exercise/clock                                   the exercise and its clock    QoS 1, retained
mw/v1/canary/clock                                     the same of the canary        QoS 1, retained
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, Literal, NamedTuple

from bus.errors import Rejected
from bus.release import NATIONS, Nation, Release, label, parse
from bus.tracks import NationalTrack, pair_label, parse_pair_label

ROOT: Final = "mw/v1"
EXERCISE_CLOCK: Final = f"{ROOT}/exercise/clock"
CANARY_CLOCK: Final = f"{ROOT}/canary/clock"
ALL_FEED_TRACKS: Final = f"{ROOT}/feed/+/tracks/+"
ALL_FEED_EVENTS: Final = f"{ROOT}/feed/+/events/+"
ALL_FEED_DECORRELATIONS: Final = f"{ROOT}/feed/+/decorrelations/+/+"
ALL_FEED_STATUS: Final = f"{ROOT}/feed/+/status"
ALL_STATUS: Final = f"{ROOT}/+/+/status"
EVERYTHING: Final = f"{ROOT}/#"

_ALERTS_OF: Final = {f"{ROOT}/picture/{nation}/alerts": nation for nation in NATIONS}

Role = Literal["feed", "fusion", "receiver", "canary"]
Kind = Literal["tracks", "events", "decorrelation", "picture", "alert", "status", "clock"]


class Address(NamedTuple):
    """What a topic says: the kind of message, who owns it (of a clock its purpose), and for feeds the release, for alerts the
    alert's id, for operators' words the two tracks.
    """

    kind: Kind
    owner: str
    release: Release = ()
    alert: str = ""
    pair: str = ""
    role: Role | None = None


def feed_tracks(nation: Nation, to: Release) -> str:
    return f"{ROOT}/feed/{nation}/tracks/{label(to)}"


def feed_events(nation: Nation, to: Release) -> str:
    return f"{ROOT}/feed/{nation}/events/{label(to)}"


def feed_decorrelation(nation: Nation, to: Release, one: NationalTrack, other: NationalTrack) -> str:
    """A topic for every two tracks, so that the newest word on them is what is retained."""
    return f"{ROOT}/feed/{nation}/decorrelations/{label(to)}/{pair_label(one, other)}"


def feed_decorrelations(nation: Nation, to: Release) -> str:
    """The filter that matches a nation's words on any two tracks."""
    return f"{ROOT}/feed/{nation}/decorrelations/{label(to)}/+"


def picture_tracks(recipient: Nation) -> str:
    return f"{ROOT}/picture/{recipient}/tracks"


def picture_alert(recipient: Nation, alert: str) -> str:
    return f"{ROOT}/picture/{recipient}/alerts/{alert}"


def picture_alerts(recipient: Nation) -> str:
    """The filter that matches every alert of one recipient."""
    return f"{ROOT}/picture/{recipient}/alerts/+"


def status(role: Role, name: str) -> str:
    return f"{ROOT}/{role}/{name}/status"


def stream_of(address: Address) -> str:
    """The stream a topic belongs to: `jpn tracks jpn-kor-usa`, `kor alert`, `feed jpn status`. A metric's label too."""
    return _stream(address.role, address.owner, address.kind, address.release)


@lru_cache(maxsize=1024)
def _stream(role: Role | None, owner: str, kind: Kind, to: Release) -> str:
    return " ".join(filter(None, [role, owner, kind, label(to)]))


def parse_topic(topic: str) -> Address:
    """What `topic` addresses; raises Rejected("topic", ...) for anything that is not in the table above."""
    above, _, alert = topic.rpartition("/")
    recipient = _ALERTS_OF.get(above)
    if recipient and alert:  # every alert has a topic of its own: no use in remembering it
        return Address("alert", recipient, alert=alert)
    return _parse(topic)


@lru_cache(maxsize=4096)
def _parse(topic: str) -> Address:
    match topic.split("/"):
        case ["mw", "v1", "feed", nation, ("tracks" | "events") as kind, to] if nation in NATIONS:
            try:
                return Address(kind, nation, release=parse(to))
            except ValueError as error:
                raise Rejected("topic", f"{topic}: {error}") from error
        case ["mw", "v1", "feed", nation, "decorrelations", to, pair] if nation in NATIONS:
            try:
                return Address("decorrelation", nation, release=parse(to), pair=pair_label(*parse_pair_label(pair)))
            except ValueError as error:
                raise Rejected("topic", f"{topic}: {error}") from error
        case ["mw", "v1", "picture", recipient, "tracks"] if recipient in NATIONS:
            return Address("picture", recipient)
        case ["mw", "v1", ("exercise" | "canary") as purpose, "clock"]:
            return Address("clock", purpose)
        case ["mw", "v1", ("feed" | "fusion" | "receiver" | "canary") as role, name, "status"] if name:
            return Address("status", name, role=role)
    raise Rejected("topic", f"{topic!r} is not a topic of {ROOT}")
