"""Scores an exercise against truth: who was warned of what, when, how well, and what it cost. Pure.

Truth is computed again from the scenario, never taken from the bus. An alert belongs to the launch that most of its members'
detections came from.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from msgspec import UNSET
from numpy.typing import NDArray

from bench.accuracy import PictureScore, RaidScore
from bench.result import (
    GOSPA_CUTOFF_M,
    Alerts,
    Arrangement,
    BusCounts,
    Launch,
    RaidTold,
    Result,
    Stages,
    StageTimes,
    Told,
    Tracks,
    Warned,
)
from bench.sharing import arranged
from bench.simulate import Outcome, simulate
from bench.world import World
from bus.classes import RangeClass, class_between
from bus.messages import Alert, PictureFrame, decode, of_canary, system_tracks_of
from bus.metrics import STAGES, Budgets
from bus.party import Summary
from bus.recording import Entry
from bus.release import NATIONS, Nation
from bus.topics import parse_topic
from fusion.settings import FusionSettings
from physics.reach import reaches_m

_SECOND_NS = 1_000_000_000
WARNS: Final = ("quick", "confirmed", "updated")


@dataclass(frozen=True, slots=True)
class Held:
    """An alert as a recipient came to hold it, and the launch it speaks of (None: no launch)."""

    alert: Alert
    entry: Entry
    launch_id: str | None

    @property
    def physics_ns(self) -> int:
        """The scenario instant at which the report that raised it was released (or, where none did, of its arrival)."""
        return self.alert.times.released_ns if self.by_report or not self.entry.wall_ns else self.entry.scenario_ns

    @property
    def by_report(self) -> bool:
        return self.alert.times.due_ns > 0

    @property
    def machine_s(self) -> float:
        """Wall seconds from release to holding it; 0 on the simulated clock."""
        return (self.entry.wall_ns - self.alert.times.due_ns) / 1e9 if self.by_report else 0.0


ByNation = dict[Nation, list[Held]]


def held_alerts(world: World, entries: Iterable[Entry]) -> list[Held]:
    """Every alert message of a recording, in the order of arrival."""
    held = []
    for entry, message in _decoded(entries):
        if isinstance(message, Alert):
            held.append(held_as(world, message, entry))
    return held


def held_as(world: World, alert: Alert, entry: Entry) -> Held:
    """An alert as it came: of the launch that most of its members' detections came from."""
    votes = Counter(world.origin(member.nation, member.track) for member in alert.members)
    return Held(alert, entry, votes.most_common(1)[0][0])


def score(
    world: World,
    outcome: Outcome,
    fusion: FusionSettings,
    budgets: Budgets,
    *,
    speed: float | str,
    broker: str,
    wall_s: float,
    complete: bool,
    compare: Arrangement | None = None,
) -> Result:
    """The result of an exercise: `outcome` against `world`, beside what each nation would have had alone, and under the
    arrangement of sharing to `compare` it with.
    """
    held = {nation: held_alerts(world, entries) for nation, entries in outcome.received.items()}
    sharing = {"alone": {nation: _played(world, fusion, (nation,), (nation,))[nation] for nation in held}}
    if compare is not None:
        sharing |= {compare: _played(arranged(world, compare), fusion, NATIONS, tuple(held)), "run": held}
    pictures = {nation: _picture(world, entries, outcome.end_ns) for nation, entries in outcome.received.items()}
    return Result(
        scenario=world.scenario.name,
        seed=world.seed,
        speed=speed,
        broker=broker,
        wall_s=round(wall_s, 3),
        scenario_s=round((outcome.end_ns - world.truth.start_ns) / 1e9, 3),
        complete=complete and not outcome.lost,
        lost=outcome.lost,
        launches=_launches(world, held, sharing, compared=compare is not None),
        alerts=_count_alerts(world, held, outcome.end_ns),
        stages=_stages(held, budgets),
        tracks=_tracks(world, list(pictures.values()), outcome.end_ns),
        raids={nation: _raid(picture.raid) for nation, picture in pictures.items()},
        bus=_bus(outcome.summaries),
        audit=[each for each in (*(told.audit for told in outcome.summaries or []), outcome.conductor) if each is not None],
    )


def _decoded(entries: Iterable[Entry]) -> Iterator[tuple[Entry, object]]:
    """What was said in the exercise: on a bus that others use too, a recording may begin in their canary."""
    for entry in entries:
        message = decode(parse_topic(entry.topic), entry.payload)
        if not of_canary(message):
            yield entry, message


def _played(world: World, fusion: FusionSettings, nations: tuple[Nation, ...], recipients: tuple[Nation, ...]) -> ByNation:
    """What these recipients would have held of the feeds of these nations alone, on the simulated clock."""
    outcome = simulate(world, fusion, nations=nations, recipients=recipients)
    return {nation: held_alerts(world, entries) for nation, entries in outcome.received.items()}


def first_alerts(world: World, held: Iterable[Held], states: tuple[str, ...]) -> dict[str, Held]:
    """The first alert in one of `states` for each launch.

    Not before some sensor had detected that launch: a track that later follows it may have begun on another's detections.
    """
    detected = dict(zip((launch.launch_id for launch in world.truth.launches), world.detected_ns(), strict=True))
    first: dict[str, Held] = {}
    for each in held:
        if each.launch_id is not None and each.alert.state in states:
            seen_ns = detected[each.launch_id]
            if seen_ns is not None and each.physics_ns >= seen_ns:
                first.setdefault(each.launch_id, each)
    return first


def _launches(world: World, held: ByNation, sharing: dict[str, ByNation], *, compared: bool) -> list[Launch]:
    warned = {nation: first_alerts(world, each, WARNS) for nation, each in held.items()}
    confirmed = {nation: first_alerts(world, each, WARNS[1:]) for nation, each in held.items()}
    alone = {nation: first_alerts(world, each, WARNS) for nation, each in sharing["alone"].items()}
    told = {name: {nation: _told(world, each) for nation, each in by.items()} for name, by in sharing.items() if compared}
    classes = {nation: _classes(each) for nation, each in held.items()}
    launches = []
    for index, truth in enumerate(world.truth.launches):
        impact_s = (truth.impact_ns - truth.launch_ns) / 1e9
        recipients: dict[Nation, Warned] = {}
        for nation in held:
            first = warned[nation].get(truth.launch_id)
            warned_s, alone_s = (after_s(each, truth.launch_ns) for each in (first, alone[nation].get(truth.launch_id)))
            recipients[nation] = Warned(
                warned_after_s=_round(warned_s),
                confirmed_after_s=_round(after_s(confirmed[nation].get(truth.launch_id), truth.launch_ns)),
                lead_s=None if warned_s is None else _round(impact_s - warned_s),
                national_only_after_s=_round(alone_s),
                gain_s=None if warned_s is None or alone_s is None else _round(alone_s - warned_s),
                physics_s=None if first is None else _round((first.physics_ns - truth.launch_ns) / 1e9),
                machine_ms=None if first is None or not first.by_report else _round(first.machine_s * 1e3),
            )
        launches.append(
            Launch(
                launch_id=truth.launch_id,
                type=truth.type,
                impact_after_s=_round(impact_s),
                range_class=_range_class(world.truth.states_at(truth.burnout_ns)[index]),
                classes={nation: each.get(truth.launch_id, "unknown") for nation, each in classes.items()},
                recipients=recipients,
                sharing={name: {to: of[truth.launch_id] for to, of in each.items()} for name, each in told.items()} or UNSET,
            )
        )
    return launches


def _classes(held: list[Held]) -> dict[str | None, RangeClass]:
    """The class last told of each launch."""
    return {each.launch_id: each.alert.range_class for each in held if each.alert.state != "retracted"}


def _range_class(state: NDArray[np.float64]) -> RangeClass:
    """The class of the energy of a true state (6,)."""
    return class_between(*reaches_m(state, np.zeros((6, 6)), 0.0))


def _told(world: World, held: list[Held]) -> dict[str, Told]:
    """What a recipient is told of each launch."""
    predicting = [each for each in held if each.alert.impact is not None]
    warned, confirmed, predicted = (
        first_alerts(world, held, WARNS),
        first_alerts(world, held, WARNS[1:]),
        first_alerts(world, predicting, WARNS),
    )
    told = {}
    for truth in world.truth.launches:
        halfway_ns = (truth.launch_ns + truth.impact_ns) // 2
        by_then = [each for each in predicting if each.launch_id == truth.launch_id and each.physics_ns <= halfway_ns]
        place = next((each.alert.impact for each in reversed(by_then) if each.alert.state in WARNS), None)
        warned_s, confirmed_s, predicted_s = (
            _round(after_s(first.get(truth.launch_id), truth.launch_ns)) for first in (warned, confirmed, predicted)
        )
        told[truth.launch_id] = Told(
            warned_after_s=warned_s,
            confirmed_after_s=confirmed_s,
            predicted_after_s=predicted_s,
            halfway_km=None if place is None else _round(place.semi_major_m / 1e3),
        )
    return told


def after_s(each: Held | None, launch_ns: int) -> float | None:
    """Seconds after a launch at which an alert was held, the machine's part with it."""
    return None if each is None else (each.physics_ns - launch_ns) / 1e9 + each.machine_s


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _count_alerts(world: World, held: dict[Nation, list[Held]], end_ns: int) -> Alerts:
    counts: Counter[str] = Counter()
    for each in held.values():
        histories: dict[str, list[Held]] = defaultdict(list)
        for one in each:
            histories[one.alert.id].append(one)
        kept: Counter[str] = Counter()
        for history in histories.values():
            last, states = history[-1], {one.alert.state for one in history}
            confirmed, retracted = bool(states & {"confirmed", "updated"}), last.alert.state == "retracted"
            counts["confirmed"] += confirmed
            counts["retracted"] += retracted
            counts["standing"] += last.alert.state in WARNS
            if last.launch_id is None:
                counts["false"] += confirmed or not retracted
            elif not retracted:
                kept[last.launch_id] += 1
        counts["false"] += sum(n - 1 for n in kept.values())
        warned = first_alerts(world, each, WARNS)
        counts["missed"] += sum(launch.launch_id not in warned and launch.impact_ns <= end_ns for launch in world.truth.launches)
    return Alerts(**{name: counts[name] for name in ("false", "missed", "retracted", "confirmed", "standing")})


def _stages(held: dict[Nation, list[Held]], budgets: Budgets) -> Stages:
    spans: dict[str, list[float]] = {stage: [] for stage in STAGES}
    for each in held.values():
        for one in each:
            if one.by_report:
                times = one.alert.times
                marks = (times.due_ns, times.sent_ns, times.received_ns, times.fused_ns, one.entry.wall_ns)
                for stage, begun, done in zip(STAGES, marks, marks[1:], strict=False):
                    spans[stage].append((done - begun) / 1e6)
                spans["total"].append((marks[-1] - marks[0]) / 1e6)
    measured: dict[str, StageTimes] = {}
    for stage in STAGES:
        budget_ms = budgets.seconds(stage) * 1e3
        values = spans[stage]
        p50, p99 = (round(float(q), 4) for q in np.percentile(values, (50, 99))) if values else (None, None)
        over = sum(value > budget_ms for value in values) if values else None
        measured[f"{stage}_ms"] = StageTimes(p50=p50, p99=p99, budget=budget_ms, over=over)
    return Stages(**measured)


def _raid(raid: RaidScore) -> RaidTold:
    return RaidTold(
        largest=_round(raid.largest),
        true=raid.true,
        total=_round(raid.total),
        inside=round(raid.inside / raid.seconds, 4) if raid.seconds else None,
    )


def _tracks(world: World, scores: list[PictureScore], end_ns: int) -> Tracks:
    errors = [value for each in scores for value in each.nees]
    pairs = sum(each.pairs for each in scores)
    gospa_m = [value for each in scores for value in each.gospa_m]
    reports = sum(
        len(release.reports or ())
        for releases in world.releases.values()
        for release in releases
        if release.kind == "frame" and release.released_ns <= end_ns
    )
    return Tracks(
        reports=reports,
        system_tracks=max((len(each.systems) for each in scores), default=0),
        correct_association=round(sum(each.pairs_right for each in scores) / pairs, 4) if pairs else None,
        anees=round(float(np.mean(errors)), 4) if errors else None,
        gospa_m=round(float(np.mean(gospa_m)), 2) if gospa_m else None,
    )


def _picture(world: World, entries: Iterable[Entry], end_ns: int) -> PictureScore:
    """One recipient's picture, scored frame by frame, with a sample at every whole scenario second up to `end_ns`."""
    score = PictureScore(world, GOSPA_CUTOFF_M)
    detected = world.detected_ns()
    next_ns = world.truth.start_ns + _SECOND_NS
    for entry, message in _decoded(entries):
        while next_ns <= min(entry.scenario_ns, end_ns):
            score.sample([i for i, at_ns in enumerate(detected) if at_ns is not None and at_ns <= next_ns], next_ns)
            next_ns += _SECOND_NS
        if isinstance(message, PictureFrame):
            score.take(system_tracks_of(message)[0], message.dropped)
            score.raid.take(message.raid)
    return score


def _bus(listed: list[Summary] | None) -> BusCounts:
    if listed is None:
        return BusCounts()
    return BusCounts(
        published=sum(sum(each.published.values()) for each in listed),
        received=sum(sum(each.received.values()) for each in listed),
        gaps=sum(each.gaps for each in listed),
        duplicates=sum(each.duplicates for each in listed),
    )
