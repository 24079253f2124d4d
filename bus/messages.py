"""The messages of the bus, and their wire: MessagePack, typed and validated on decode.

Any bytes whatever decode to a message or raise Rejected with a reason. A frame with some unsound rows keeps the sound
ones and says how many were left out and why (`reports_of`, `system_tracks_of`).

Times ending in `_ns` are ns since the Unix epoch. Two clocks appear, never mixed: scenario time (`valid`, `detected`,
`tracked`, `released`) and wall time (`due`, `sent`, `received`, `fused`, `alerted`). On a simulated clock wall times are 0.

All that is said of launches says for which purpose: of an exercise, or of the canary, so that the two are never mixed.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, TypeVar, get_args

import msgspec
import numpy as np
from msgspec import Meta, Struct

from bus.classes import RangeClass
from bus.columns import QuickLook, Reports, SystemTracks, bad_rows, quickly_sound
from bus.errors import Rejected
from bus.release import Nation
from bus.topics import Address, Role
from bus.tracks import NationalTrack, pair_label

SCHEMA: Final = 1
MAX_PAYLOAD_BYTES: Final = 256 * 1024
MAX_SCENARIO_BYTES: Final = 200_000
DECORRELATION_EXPIRY_S: Final = 86_400  # for how long an operator's word is retained: no flight lasts a day
MAX_FRAME_ROWS: Final = 256  # a frame of this many reports stays under 64 kB

Nanos = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Count = Annotated[int, Meta(ge=0, le=2**53)]
TrackNumber = Annotated[int, Meta(ge=1, le=2**32 - 1)]
Short = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._:+-]*$")]
Text = Annotated[str, Meta(max_length=256)]
Latitude = Annotated[float, Meta(ge=-90.0, le=90.0)]
Longitude = Annotated[float, Meta(ge=-180.0, le=180.0)]
NonNegative = Annotated[float, Meta(ge=0.0, le=1e9)]


Purpose = Literal["exercise", "canary"]
PURPOSES: Final[tuple[Purpose, ...]] = get_args(Purpose)


class Message(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What every message carries: schema version, its sender's session, a sequence number within it, sent time (wall)."""

    v: int = SCHEMA
    session: Count
    seq: Count
    sent_ns: Nanos = 0


class TrackFrame(Message, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Many reports of one feed (topic `feed/<nation>/tracks/<release>`).

    `released_ns` is the scenario instant the reports were free to go; `due_ns` the wall instant that it fell on.
    """

    nation: Nation
    released_ns: Nanos
    due_ns: Nanos = 0
    purpose: Purpose = "exercise"
    n: Annotated[int, Meta(ge=0, le=MAX_FRAME_ROWS)]
    columns: dict[str, memoryview]


class LaunchDetected(TrackFrame, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="launch_detected"):
    """First reports of new national tracks, at QoS 1: the same rows as in the frame beside it, which may be lost."""


class TrackDropped(Message, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="track_dropped"):
    """A national track has ended; `reason` says whether its object came down, was lost, or was never there (retraction)."""

    nation: Nation
    released_ns: Nanos
    due_ns: Nanos = 0
    purpose: Purpose = "exercise"
    tracks: Annotated[list[TrackNumber], Meta(min_length=1, max_length=MAX_FRAME_ROWS)]
    reason: Literal["impact", "lost", "false"]


class TrackName(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One national track. `session` is of its nation's feed, as in the frames that report it and in the feed's status: a number
    means a track only within it.
    """

    nation: Nation
    session: Count
    track: TrackNumber


class Decorrelation(Message, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="decorrelation"):
    """An operator's word that two tracks of two nations are not the same object or, not `apart`, that they may be one again
    (topic `feed/<nation>/decorrelations/<release>/<pair>`, retained).

    Of a nation's words on the same two the newest counts, by `released_ns`; of two at one instant the one that keeps them apart.
    """

    nation: Nation
    released_ns: Nanos
    due_ns: Nanos = 0
    tracks: Annotated[list[TrackName], Meta(min_length=2, max_length=2)]
    apart: bool = True

    def __post_init__(self) -> None:
        if len({each.nation for each in self.tracks}) != 2:
            raise ValueError("two tracks of two nations are needed")

    @property
    def pair(self) -> tuple[NationalTrack, NationalTrack]:
        """The two tracks, whatever their sessions."""
        one, other = (NationalTrack(each.nation, each.track) for each in self.tracks)
        return one, other


Event = LaunchDetected | TrackDropped
FeedMessage = TrackFrame | Event | Decorrelation


class Tally(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A number of missiles that is not quite known: expected, one sigma, and the least and most of its 90-percent interval."""

    expected: NonNegative
    sigma: NonNegative
    least: Count
    most: Count


class Raid(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How many missiles a recipient's picture holds: `in_flight` now, `total` with those down since the raid began.

    `began_ns` is the valid time of the raid's first report.
    """

    began_ns: Nanos
    in_flight: Tally
    total: Tally


class PictureFrame(Message, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """System tracks of one recipient's picture that changed (topic `picture/<recipient>/tracks`).

    `raid` is of the whole picture, at most a second old; None while nothing in it is alerted.
    """

    recipient: Nation
    released_ns: Nanos
    due_ns: Nanos = 0
    received_ns: Nanos = 0
    fused_ns: Nanos = 0
    purpose: Purpose = "exercise"
    n: Annotated[int, Meta(ge=0, le=MAX_FRAME_ROWS)]
    dropped: Annotated[list[TrackNumber], Meta(max_length=MAX_FRAME_ROWS)] = []
    raid: Raid | None = None
    columns: dict[str, memoryview]


class Member(Struct, frozen=True, forbid_unknown_fields=True, array_like=True):
    """One national track held in a system track."""

    nation: Nation
    track: TrackNumber


class Place(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A point on the ground with its 95-percent ellipse, and the time it is reached or left.

    `semi_major_m`, `semi_minor_m` and `bearing_deg` (of the major axis, clockwise from north) describe the ellipse;
    `time_sigma_s` is one standard deviation.
    """

    lat_deg: Latitude
    lon_deg: Longitude
    semi_major_m: NonNegative
    semi_minor_m: NonNegative
    bearing_deg: Annotated[float, Meta(ge=0.0, le=360.0)]
    time_ns: Nanos
    time_sigma_s: NonNegative


AlertState = Literal["quick", "confirmed", "updated", "closed", "retracted"]


class AlertTimes(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The stage times of the report that moved the alert: so that a warning can be taken apart."""

    valid_ns: Nanos
    detected_ns: Nanos
    tracked_ns: Nanos
    released_ns: Nanos
    due_ns: Nanos = 0
    sent_ns: Nanos = 0
    received_ns: Nanos = 0
    fused_ns: Nanos = 0
    alerted_ns: Nanos = 0


class Alert(Message, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A warning about one launch to one recipient. `revision` counts from 1; the highest one seen is the truth.

    `impact` is None while the object boosts: nothing honest can be said yet. `heading_deg` is of the horizontal velocity, 0 where
    that is not told. `range_class` is of the energy that it showed in free flight: unknown before that, or where it is not sure.
    A canary's alert, by its `purpose`, warns of nothing and must never be shown as one that does.
    """

    id: Short
    recipient: Nation
    purpose: Purpose = "exercise"
    state: AlertState
    revision: Annotated[int, Meta(ge=1, le=2**31)]
    system: TrackNumber
    members: Annotated[list[Member], Meta(min_length=1, max_length=16)]
    phenomenology: Annotated[int, Meta(ge=0, le=3)]
    reason: Text
    times: AlertTimes
    heading_deg: Annotated[float, Meta(ge=0.0, le=360.0)]
    launch: Place | None = None
    impact: Place | None = None
    range_class: RangeClass = "unknown"


class Status(Message, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Birth and death of a process (retained; the death is its last will)."""

    role: Role
    name: Short
    state: Literal["starting", "ready", "offline"]
    sensors: Annotated[list[Text], Meta(max_length=64)] = []
    load: dict[str, float] = {}


class ExerciseClock(Message, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The exercise that runs and its clock: scenario time = start_ns + speed * (wall - start_wall_ns).

    `scenario` is the scenario file's whole text, so that every process computes the same truth. `purpose`: an exercise, or the
    canary, which only shows that warnings still come; it is the topic's. `end_ns` is when it is over should nobody say so; 0: not
    told.
    """

    exercise: Short
    scenario: Annotated[str, Meta(max_length=MAX_SCENARIO_BYTES)]
    seed: Count
    speed: Annotated[float, Meta(ge=1e-3, le=1000.0)]
    start_ns: Nanos
    start_wall_ns: Nanos
    end_ns: Nanos = 0
    state: Literal["running", "stopped"] = "running"
    purpose: Purpose = "exercise"


AnyMessage = FeedMessage | PictureFrame | Alert | Status | ExerciseClock


def of_canary(message: AnyMessage) -> bool:
    """Whether it is marked as the canary's: no launch, no alert, no exercise of anybody's."""
    return isinstance(message, TrackFrame | TrackDropped | PictureFrame | Alert | ExerciseClock) and message.purpose == "canary"


_encoder = msgspec.msgpack.Encoder()
_decoders: Final[dict[str, msgspec.msgpack.Decoder[Any]]] = {
    "tracks": msgspec.msgpack.Decoder(TrackFrame),
    "events": msgspec.msgpack.Decoder(Event),
    "decorrelation": msgspec.msgpack.Decoder(Decorrelation),
    "picture": msgspec.msgpack.Decoder(PictureFrame),
    "alert": msgspec.msgpack.Decoder(Alert),
    "status": msgspec.msgpack.Decoder(Status),
    "clock": msgspec.msgpack.Decoder(ExerciseClock),
}


class _Version(Struct):
    v: int


_version = msgspec.msgpack.Decoder(_Version)


def encode(message: AnyMessage) -> bytes:
    """The wire form of a message."""
    return _encoder.encode(message)


def decode(address: Address, payload: bytes | memoryview) -> AnyMessage:
    """The message that `payload` holds for this topic; raises Rejected for anything else, and never anything else."""
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise Rejected("oversized", f"{len(payload)} bytes, at most {MAX_PAYLOAD_BYTES}")
    try:
        message: AnyMessage = _decoders[address.kind].decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, OverflowError) as error:
        raise Rejected(_why(payload), str(error)) from None
    if message.v != SCHEMA:
        raise Rejected("version", f"schema {message.v}, this program speaks {SCHEMA}")
    _check_attribution(address, message)
    return message


def _why(payload: bytes | memoryview) -> str:
    try:
        return "malformed" if _version.decode(payload).v == SCHEMA else "version"
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, OverflowError):
        return "malformed"


def _check_attribution(address: Address, message: AnyMessage) -> None:
    claimed: str
    inside: bool
    match message:
        case TrackFrame() | TrackDropped():
            claimed, inside = message.nation, message.nation in address.release
        case Decorrelation():
            claimed, inside = message.nation, message.nation in address.release and pair_label(*message.pair) == address.pair
        case PictureFrame():
            claimed, inside = message.recipient, True
        case Alert():
            claimed, inside = message.recipient, message.id == address.alert
        case Status():
            claimed, inside = message.name, message.role == address.role
        case ExerciseClock():
            claimed, inside = message.purpose, True
    if claimed != address.owner or not inside:
        raise Rejected("attribution", f"the topic says {address}, the message {claimed}")


def reports_of(frame: TrackFrame, quick_look: QuickLook = quickly_sound) -> tuple[Reports, dict[str, int]]:
    """The sound reports of a frame as views of its bytes, and the count of those left out by reason.

    `quick_look` answers for all rows at once where it is sure; who has a compiler at hand has a quicker one than the default.
    """
    return _sound(Reports.from_wire(frame.n, frame.columns), quick_look)


def system_tracks_of(frame: PictureFrame) -> tuple[SystemTracks, dict[str, int]]:
    """The sound system tracks of a picture frame, and the count of those left out by reason."""
    return _sound(SystemTracks.from_wire(frame.n, frame.columns), quickly_sound)


BlockRow = TypeVar("BlockRow", Reports, SystemTracks)


def _sound(block: BlockRow, quick_look: QuickLook) -> tuple[BlockRow, dict[str, int]]:
    number = block.track if isinstance(block, Reports) else block.system
    if quick_look(number, block.valid_ns, block.state, block.cov):
        return block, {}
    found = bad_rows(number, block.valid_ns, block.state, block.cov)
    if not found:
        return block, {}
    bad = np.logical_or.reduce(list(found.values()))
    counts: dict[str, int] = {}
    left = np.ones(len(block), np.bool_)
    for reason, mask in found.items():
        counts[reason] = int((mask & left).sum())
        left &= ~mask
    return block.take(~bad), {reason: n for reason, n in counts.items() if n}
