"""The result of an exercise, as `triwarn run --json` prints it. Field names are the interface: scripts read them."""

from __future__ import annotations

from typing import Final, Literal, get_args

from msgspec import UNSET, Struct, UnsetType

from bus.audit import AuditHead
from bus.classes import RangeClass
from bus.release import Nation

Arrangement = Literal["bilateral"]  # of sharing: what it is, `bench.sharing`
ARRANGEMENTS: Final[tuple[Arrangement, ...]] = get_args(Arrangement)


class Warned(Struct, frozen=True, kw_only=True):
    """One launch at one recipient. Times are scenario seconds after launch, but `machine_ms`; None where it never happened.

    `warned_after_s` is `physics_s` (launch to release by the feed whose report raised the alert) and `machine_ms` (release to
    the receiver holding the alert, wall time) together. `national_only_after_s` is the same from the recipient's own feed alone.
    """

    warned_after_s: float | None = None
    confirmed_after_s: float | None = None
    lead_s: float | None = None
    national_only_after_s: float | None = None
    gain_s: float | None = None
    physics_s: float | None = None
    machine_ms: float | None = None


class Told(Struct, frozen=True, kw_only=True):
    """What one recipient is told of one launch under one arrangement of sharing, None where it never is.

    Seconds from launch to the first alert, the first that is confirmed, and the first that predicts an impact; and the larger
    half-axis of the 95-percent ellipse of the impact as last predicted by the middle of the flight.
    """

    warned_after_s: float | None = None
    confirmed_after_s: float | None = None
    predicted_after_s: float | None = None
    halfway_km: float | None = None


class Launch(Struct, frozen=True, kw_only=True):
    """One launch of the scenario, and how each recipient was warned of it.

    `range_class` is of its energy at burnout; `classes`: as last told to each recipient in alerts of it that were not withdrawn.
    `sharing`: what they are told as run (`run`), from their own feeds (`alone`, on the simulated clock as the next one), and
    under the arrangement that the exercise is compared with; left out where with none.
    """

    launch_id: str
    type: str
    impact_after_s: float | None
    range_class: RangeClass
    classes: dict[Nation, RangeClass]
    recipients: dict[Nation, Warned]
    sharing: dict[str, dict[Nation, Told]] | UnsetType = UNSET


class Alerts(Struct, frozen=True, kw_only=True):
    """Alerts over all recipients.

    false: named no launch and was confirmed or never withdrawn, or stood beside another alert of the same launch to the end;
    missed: a launch that a recipient was never warned of; retracted: withdrawn; standing: neither closed nor withdrawn at the
    end.
    """

    false: int
    missed: int
    retracted: int
    confirmed: int
    standing: int


class StageTimes(Struct, frozen=True, kw_only=True):
    """One stage of the machine over all alerts, wall milliseconds; None on the simulated clock."""

    p50: float | None
    p99: float | None
    budget: float
    over: int | None


class Stages(Struct, frozen=True, kw_only=True):
    """Where the machine's milliseconds went, from a report's release to the receiver holding the alert."""

    publish_ms: StageTimes
    transit_ms: StageTimes
    fuse_ms: StageTimes
    alert_ms: StageTimes
    total_ms: StageTimes


class Tracks(Struct, frozen=True, kw_only=True):
    """The picture against truth.

    reports: rows the feeds released in frames; system_tracks: in the largest picture, over the whole exercise;
    correct_association: share of the pairs of national tracks held together that follow the same launch; anees: 1 is consistent;
    gospa_m: mean GOSPA (p = 2, cut-off 10 km, alpha = 2) at one-second steps, against the launches that some sensor had detected.
    """

    reports: int
    system_tracks: int
    correct_association: float | None
    anees: float | None
    gospa_m: float | None


class RaidTold(Struct, frozen=True, kw_only=True):
    """One recipient's raid count against truth.

    largest: most missiles told in flight at once, as expected; true: most that were, of launches that some sensor had detected;
    total: of the raid, as last told; inside: share of the seconds with something told or true in which the 90-percent interval
    held the number in flight. None where nothing was told or true.
    """

    largest: float | None
    true: int
    total: float | None
    inside: float | None


class BusCounts(Struct, frozen=True, kw_only=True):
    """Messages over all processes that lived to tell; None where they are others' (`--attach`): their metrics have it."""

    published: int | None = None
    received: int | None = None
    gaps: int | None = None
    duplicates: int | None = None


class Result(Struct, frozen=True, kw_only=True):
    """A whole exercise. `complete`: neither stopped early nor left by one of its processes; those are named in `lost`.

    `audit`: where each process's audit log ended, where they were kept.
    """

    scenario: str
    seed: int
    speed: float | str
    broker: str
    wall_s: float
    scenario_s: float
    complete: bool
    lost: list[str]
    launches: list[Launch]
    alerts: Alerts
    stages: Stages
    tracks: Tracks
    raids: dict[Nation, RaidTold]
    bus: BusCounts
    audit: list[AuditHead] = []


GOSPA_CUTOFF_M: Final = 10_000.0
