"""What the fusion core decides by: one frozen section a concept. No kernels here, so that reading settings compiles nothing."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from bus.release import NATIONS, Nation
from physics.constants import USUAL_BETA_KG_M2, USUAL_BETA_SIGMA


class Motion(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What may be beside the mean push of thrust and drag, held constant over the span, as one standard deviation: along the
    velocity and on each axis across it as a share of the push, and on every axis of whatever flies.
    """

    thrust_share: Annotated[
        float, Meta(ge=0.0, le=10.0, description="along; a sixth of thrust below 50 km, two fifths above, more as burns end")
    ] = 0.4
    tilt_share: Annotated[
        float,
        Meta(ge=0.0, le=10.0, description="across; thrust is ahead of the velocity in its tilt: a sixth, near burnout a half"),
    ] = 0.3
    drag_share: Annotated[
        float, Meta(ge=0.0, le=10.0, description="along; bodies differ by a third, and the air grows denser meanwhile")
    ] = 0.5
    lift_share: Annotated[
        float, Meta(ge=0.0, le=10.0, description="across; of what glides, lift is some times its drag, of others it is none")
    ] = 1.0
    free_m_s2: Annotated[
        float, Meta(ge=0.0, le=500.0, description="m/s2; what the model of free flight leaves out: Sun, Moon, odd gravity")
    ] = 0.002
    lost_m_s2: Annotated[
        float,
        Meta(ge=0.0, le=500.0, description="m/s2 added for a track nobody reports: grows to 1.4 km in 4 min, 290 km in an hour"),
    ] = 0.05


class Association(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """When two tracks are held to be the same object. Of states told in part, gates keep as many at fewer degrees of freedom."""

    gate_chi2: Annotated[float, Meta(gt=0.0, le=200.0, description="6 degrees of freedom; 27.9 keeps 0.9999 of true pairs")] = (
        27.9
    )
    bias_m: Annotated[float, Meta(ge=0.0, le=1e4, description="m an axis; sensors disagree by this much beyond their noise")] = (
        100.0
    )
    bias_m_s: Annotated[float, Meta(ge=0.0, le=1e3, description="m/s an axis; the same for velocity")] = 5.0
    new_object_m: Annotated[
        float,
        Meta(
            ge=1e2,
            le=1e7,
            description="m; the room of one unseen object: the price of not pairing, and one sigma of what is not told",
        ),
    ] = 200e3
    new_object_m_s: Annotated[float, Meta(ge=1.0, le=2e4, description="m/s; the same for velocity")] = 4000.0
    sure: Annotated[
        float, Meta(ge=0.0, le=1e3, description="join at once when the second-best way costs this much more; odds exp(sure / 2)")
    ] = 30.0
    enough: Annotated[
        float,
        Meta(ge=0.0, le=1e3, description="else when what it costs more adds up to this over looks in a row: errors persist"),
    ] = 60.0
    look_most: Annotated[float, Meta(gt=0.0, le=1e3, description="what one look counts for at most: three looks at least")] = 20.0
    look_every_s: Annotated[float, Meta(gt=0.0, le=60.0, description="seconds of valid time between looks for pairs")] = 1.0
    split_chi2: Annotated[
        float, Meta(gt=0.0, le=1e4, description="a member further off than this is inconsistent; 1e-6 at 6 dof")
    ] = 38.3
    split_after: Annotated[
        int, Meta(ge=1, le=1000, description="inconsistent reports in a row before a member is split off, twice each time after")
    ] = 5
    echo_chi2: Annotated[
        float,
        Meta(ge=0.0, le=100.0, description="a track of sensors not told that is nearer is an echo; 0.014 of others, 6 dof"),
    ] = 1.0
    echo_after: Annotated[int, Meta(ge=1, le=1000, description="looks in a row that near before a track held is set aside")] = 3


Bits = Annotated[int, Meta(ge=0, le=2**32 - 1, description="pedigree bits, one a sensor")]


class Sensors(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which sensors are a nation's own: a report that tells of another nation's is an echo. As of the catalogue."""

    jpn: Bits = 0x0000F
    kor: Bits = 0x020F0
    usa: Bits = 0x1DF00


class Registration(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """When two feeds are held to be displaced against one another, and by how much they may be."""

    sigmas: Annotated[
        float,
        Meta(gt=0.0, le=1e3, description="widest sigma of a feed's offset on each axis, in its reports' position errors"),
    ] = 10.0
    clock_s: Annotated[
        float, Meta(gt=0.0, le=60.0, description="s; sigma of a feed's clock, and of one not kept by satellite four times it")
    ] = 0.2
    counts_chi2: Annotated[
        float,
        Meta(
            gt=0.0,
            le=1e4,
            description="an offset further than this, place and clock, counts; 1e-4 at 4 dof, all errors one",
        ),
    ] = 23.5
    least_objects: Annotated[
        int, Meta(ge=1, le=1000, description="objects that both feeds see: with fewer, an offset is taken for two objects")
    ] = 3
    smooth_s: Annotated[float, Meta(gt=0.0, le=3600.0, description="s over which an offset is smoothed")] = 10.0
    least_m: Annotated[float, Meta(ge=0.0, le=1e4, description="m; an offset that fades is dropped below this")] = 1.0


Correlation = Annotated[
    float, Meta(ge=0.0, le=1.0, description="largest correlation of normalised errors of two nations without a sensor in common")
]


class Combination(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How much of two national tracks' errors is the same although no sensor is: what their object does, by phase.

    That of re-entry is for thick air: as much of it counts as drag is of itself and 30 m/s2. That of thin air is for what comes
    down into it, most of all where drag is 0.01 m/s2: felt, and measured by nobody yet.
    """

    boost: Correlation = 0.3
    coast: Correlation = 0.0
    reentry: Correlation = 0.5
    thin_air: Correlation = 0.15


class Timing(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is late, stale and lost; scenario seconds."""

    lag_s: Annotated[
        float, Meta(gt=0.0, le=600.0, description="reports older than this are late: no sensor's delay is so long")
    ] = 30.0
    stale_s: Annotated[
        float, Meta(gt=0.0, le=600.0, description="a member this much older than the newest is left out of the estimate")
    ] = 20.0
    ahead_s: Annotated[
        float, Meta(ge=0.0, le=600.0, description="reports from further in the future are refused: clocks agree")
    ] = 5.0
    silent_s: Annotated[
        float, Meta(gt=0.0, le=600.0, description="a track unheard for this long is lost; two of the slowest sensor's looks")
    ] = 25.0
    lost_after_s: Annotated[
        float,
        Meta(gt=0.0, le=3600.0, description="a lost track is given up after this long; with an impact predicted, after impact"),
    ] = 90.0
    vanished_s: Annotated[
        float, Meta(ge=0.0, le=600.0, description="a quick alert whose track lived less than this was never a launch: retracted")
    ] = 20.0
    grace_s: Annotated[
        float, Meta(ge=0.0, le=600.0, description="and not before it had so long to come back under another number or session")
    ] = 3.0
    order_tracks: Annotated[
        int,
        Meta(ge=0, le=100_000, description="national tracks up to which a picture is put right whose reports came out of order"),
    ] = 4000


class Assessment(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Launch point and impact prediction."""

    beta_kg_m2: Annotated[
        float, Meta(gt=0.0, le=1e5, description="kg/m2; ballistic coefficient of what falls: the catalogue's geometric mean")
    ] = USUAL_BETA_KG_M2
    beta_sigma: Annotated[
        float, Meta(ge=0.0, le=3.0, description="one sigma of its logarithm: the catalogue's, 5,000 to 19,530")
    ] = USUAL_BETA_SIGMA
    boost_most: Annotated[
        float,
        Meta(ge=0.0, le=1.0, description="no impact prediction above this probability of boost; it errs on the side of boost"),
    ] = 0.02
    coast_for_s: Annotated[
        float, Meta(ge=0.0, le=600.0, description="s below boost_most before impact is predicted; phases flicker")
    ] = 5.0
    impact_every_s: Annotated[
        float, Meta(gt=0.0, le=600.0, description="s of valid time between impact predictions of one track")
    ] = 1.0
    fall_max_s: Annotated[float, Meta(gt=0.0, le=1e5, description="s; the highest lofted flights last some 4,200 s")] = 7200.0


class Alerting(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """When an alert is raised and moved."""

    speed_m_s: Annotated[float, Meta(ge=0.0, le=2e4, description="m/s; no aircraft is faster")] = 700.0
    quality: Annotated[int, Meta(ge=0, le=15, description="track quality that one sensor's coasting track needs")] = 4
    boost_quality: Annotated[int, Meta(ge=0, le=15, description="track quality that one sensor's boosting track needs")] = 1
    hold_s: Annotated[
        float,
        Meta(ge=0.0, le=60.0, description="s that a new track which may be what has been warned of waits for a look; 0: never"),
    ] = 5.0
    moved_sigma: Annotated[
        float,
        Meta(ge=0.0, le=100.0, description="an impact point that moved this many sigma, of what was told or is now, is news"),
    ] = 2.0
    widened: Annotated[float, Meta(ge=1.0, le=1e3, description="an impact ellipse that grew by this factor is news")] = 2.0
    surer: Annotated[
        float, Meta(ge=0.0, le=1.0, description="an impact ellipse below this share of what was told is news; 0: never")
    ] = 0.5
    sure_m: Annotated[
        float, Meta(ge=0.0, le=1e6, description="m; an impact ellipse of this half-axis is sure enough: less counts as this")
    ] = 200.0
    update_every_s: Annotated[float, Meta(ge=0.0, le=3600.0, description="s of valid time between updates of one alert")] = 5.0
    past_sigma: Annotated[float, Meta(ge=0.0, le=100.0, description="closed this many sigma after the time of impact")] = 3.0
    past_s: Annotated[float, Meta(ge=0.0, le=3600.0, description="s; and at least this long after it")] = 5.0
    past_most_s: Annotated[
        float, Meta(ge=0.0, le=3600.0, description="s; and at most this long: a lost track's sigma is no reason")
    ] = 30.0


class Counting(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The raid count."""

    quick_exists: Annotated[
        float, Meta(ge=0.0, le=1.0, description="probability that a quick alert is of a missile: one sensor may be wrong")
    ] = 0.9
    silence_s: Annotated[
        float, Meta(ge=0.0, le=86_400.0, description="s without a standing alert, after which the next one begins another raid")
    ] = 600.0
    every_s: Annotated[float, Meta(gt=0.0, le=60.0, description="s of scenario time between counts of one picture")] = 1.0


class FusionSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All of the fusion core's settings."""

    motion: Motion = Motion()
    sensors: Sensors = Sensors()
    association: Association = Association()
    combination: Combination = Combination()
    registration: Registration = Registration()
    timing: Timing = Timing()
    assessment: Assessment = Assessment()
    alerting: Alerting = Alerting()
    counting: Counting = Counting()


class Shedding(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """When the worker, late by the budgets of transit and fuse, sheds picture work, and until when. Alert work is never shed."""

    late_in_a_row: Annotated[
        int, Meta(ge=1, le=1000, description="messages in a row over a budget before work is shed; one is a hiccup, not a load")
    ] = 3
    calm_s: Annotated[
        float, Meta(gt=0.0, le=600.0, description="wall seconds without such a row before it ends: two updates of every radar")
    ] = 2.0
    picture_ms: Annotated[
        float,
        Meta(ge=0.0, le=10_000.0, description="wall milliseconds between pictures meanwhile: they miss one radar update at most"),
    ] = 1000.0


class WorkerSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How the worker runs; what it decides is in FusionSettings."""

    name: Annotated[str, Meta(pattern="^[a-z0-9-]{1,32}$", description="lower-case letters, digits, hyphens")] = "fusion-1"
    recipients: Annotated[
        tuple[Nation, ...], Meta(min_length=1, max_length=3, description="jpn, kor, usa: whose pictures and alerts it makes")
    ] = NATIONS
    picture_ms: Annotated[
        float, Meta(ge=0.0, le=1000.0, description="wall milliseconds that pictures gather, 0 to 1000; alerts never wait")
    ] = 20.0
    tick_s: Annotated[float, Meta(gt=0.0, le=10.0, description="wall seconds between ageing steps, above 0, at most 10")] = 0.25
    shedding: Shedding = Shedding()
