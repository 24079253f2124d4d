"""`triwarn decorrelate`: an operator's word on the bus that two national tracks are not one object, or may be one again.

It takes from the bus what makes the word exact: the sessions of both tracks' feeds (their retained status), the exercise's clock,
and the release policies of its scenario: who is sure to have been told of both tracks (`sensors.words`). The operator may name
others, but nobody to whom either track may not go. The broker retains the word: a fusion worker that starts later hears it too.

What is said, and to whom, is in the audit log before it leaves: a word that cannot be logged is not said.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Literal, cast

import click

from bench.links import credentials_for, link_maker, link_url, seals_for
from bench.settings import Settings
from bus.audit import AuditLog, audited, kept
from bus.clock import Clock, ScaledClock, WallClock
from bus.errors import BadInput, BusError, Refused, Rejected
from bus.link import shown
from bus.messages import DECORRELATION_EXPIRY_S, Decorrelation, ExerciseClock, Status, TrackName, encode
from bus.party import new_session
from bus.release import NATIONS, Nation, Release, label, parse, release
from bus.seals import Seals, read
from bus.security import principal
from bus.topics import EXERCISE_CLOCK, feed_decorrelation, status
from bus.tracks import PAIR_FORM, TRACK_FORM, NationalTrack, parse_pair, parse_track
from bus.transport import Delivery
from sensors.policy import Policy
from sensors.scenario import default_nation, parse_scenario
from sensors.words import hearers, possible_hearers

_STATUS_WITHIN_S = 5.0
_CLOCK_WITHIN_S = 0.5  # what is retained comes at once; there may be no exercise


def run_decorrelate(settings: Settings, nation: str, tracks: Sequence[str], to: str | None, *, undo: bool) -> None:
    """Say it, and return once the broker has it. BadInput before it connects, BusError where the bus is not as needed."""
    speaker, pair = cast("Nation", nation), _pair(tracks)
    released = _release(speaker, to)
    with audited(settings.audit.folder, principal("operator", speaker)) as audit:
        to_whom = asyncio.run(_say(settings, speaker, pair, released, undo, audit))
    said = "may be one object again" if undo else "are not one object"
    click.echo(f"{nation} to {label(to_whom)}: {pair[0]} and {pair[1]} {said}", err=True)


async def _comes(heard: _Heard, enough: Callable[[], bool], within_s: float) -> bool:
    """Whether what was heard is enough, or becomes so in time."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(within_s):
            while not enough():
                heard.came.clear()
                await heard.came.wait()
    return enough()


def _pair(texts: Sequence[str]) -> tuple[NationalTrack, NationalTrack]:
    for text in texts:
        try:
            parse_track(text)
        except ValueError as error:
            raise BadInput("argument TRACK", "", str(error), TRACK_FORM) from None
    try:
        return parse_pair(texts)
    except ValueError as error:
        raise BadInput("argument TRACK", "", str(error), PAIR_FORM) from None


def _release(speaker: Nation, text: str | None) -> Release | None:
    """The release that was given, None for none; BadInput unless it is one of the speaker's."""
    if text is None:
        return None
    try:
        to = parse(text)
    except ValueError as error:
        raise BadInput("flag --release", "", str(error), f"{', '.join(NATIONS)}, sorted and joined by hyphens") from None
    if speaker not in to:
        raise BadInput("flag --release", "", f"{text} leaves out {speaker}, which says it", f"one with {speaker}")
    return to


@dataclass(slots=True)
class _Heard:
    """What the bus retains of feeds and exercise."""

    sessions: dict[str, int] = field(default_factory=dict)
    exercise: ExerciseClock | None = None
    unbelieved: str = ""  # why an exercise's clock that is there cannot be taken
    came: asyncio.Event = field(default_factory=asyncio.Event)
    seals: Seals | None = None
    audit: AuditLog | None = None

    def take(self, delivery: Delivery) -> None:
        try:
            message = read(delivery, self.seals, time.time_ns()).message
        except Rejected as rejected:
            kept(self.audit, partial(AuditLog.reject, reason=rejected.reason, topic=delivery.topic))
            if delivery.topic == EXERCISE_CLOCK and delivery.payload:
                self.unbelieved = str(rejected)
            return
        match message:
            case Status() as told:
                self.sessions[told.name] = told.session
            case ExerciseClock() as told:
                self.exercise = told
        self.came.set()

    @property
    def clock(self) -> Clock:
        """Scenario time: the exercise's, or the wall's where none runs."""
        told = self.exercise
        return ScaledClock(told.start_ns, told.start_wall_ns, told.speed) if told else WallClock()

    def release_of(self, speaker: Nation, pair: Sequence[NationalTrack], wanted: Release | None) -> Release:
        """Those that the operator wants to hear it, BadInput where a track may not go to one; or all who surely know both."""
        policies = self._policies()
        if wanted is None:
            return release(speaker, *hearers(policies, speaker, pair, lambda track, to: False))
        allowed = possible_hearers(policies, speaker, pair)
        if beyond := [to for to in wanted if to not in (speaker, *allowed)]:
            problem = f"{label(wanted)} is too wide: {pair[0]} and {pair[1]} may not both go to {' and '.join(beyond)}"
            raise BadInput("flag --release", "", problem, ", ".join(_releases(speaker, allowed)))
        return wanted

    def _policies(self) -> Mapping[Nation, Policy]:
        """Those of the exercise's scenario; of the catalogue, where none runs. BusError where that cannot be told."""
        if self.exercise:
            return parse_scenario(self.exercise.scenario, "the exercise's scenario").policies
        if self.unbelieved:
            raise BusError(f"the exercise's clock cannot be taken, so its release policies are not known: {self.unbelieved}")
        return {each: default_nation(each).policy(each) for each in NATIONS}


def _releases(speaker: Nation, allowed: Sequence[Nation]) -> list[str]:
    """Every release with the speaker and some of those that are allowed, the narrowest first."""
    chosen = (each for n in range(len(allowed) + 1) for each in itertools.combinations(allowed, n))
    return [label(release(speaker, *each)) for each in chosen]


async def _say(
    settings: Settings,
    speaker: Nation,
    pair: tuple[NationalTrack, NationalTrack],
    to: Release | None,
    undo: bool,
    audit: AuditLog | None,
) -> Release:
    who = principal("operator", speaker)
    credentials, seals = credentials_for(settings, who), seals_for(settings, who)
    heard, feeds = _Heard(seals=seals, audit=audit), sorted(track.nation for track in pair)
    link = link_maker(settings, credentials)(f"triwarn-operator-{speaker}-{secrets.token_hex(4)}", None)
    link.subscribe(EXERCISE_CLOCK, heard.take, qos=1)
    for feed in feeds:
        link.subscribe(status("feed", feed), heard.take, qos=1)
    await link.start()
    try:
        if not await _comes(heard, lambda: all(feed in heard.sessions for feed in feeds), _STATUS_WITHIN_S):
            silent = ", ".join(feed for feed in feeds if feed not in heard.sessions)
            raise BusError(f"no feed of {silent} has announced itself at {shown(link_url(settings))}")
        await _comes(heard, lambda: heard.exercise is not None, _CLOCK_WITHIN_S)
        by: Literal["policies", "operator"] = "operator" if to else "policies"
        to = heard.release_of(speaker, pair, to)
        now_ns = heard.clock.now_ns()
        word = Decorrelation(
            session=new_session(),
            seq=1,
            sent_ns=(sent_ns := time.time_ns()),
            nation=speaker,
            released_ns=max(now_ns, 0),
            due_ns=max(heard.clock.wall_at(now_ns), 0),
            tracks=[TrackName(nation=each.nation, session=heard.sessions[each.nation], track=each.number) for each in pair],
            apart=not undo,
        )
        topic, payload = feed_decorrelation(speaker, to, *pair), encode(word)
        sealed = payload if seals is None else seals.seal(topic, payload, sent_ns)
        _log(audit, word, to, by)
        taken = link.publish(topic, sealed, qos=1, retain=True, expiry_s=DECORRELATION_EXPIRY_S)
        if not (taken and await link.flush()):
            kept(audit, partial(AuditLog.reject, reason="unconfirmed", topic=topic))
            raise BusError(f"the broker at {shown(link_url(settings))} has not confirmed it")
        if link.stats.dropped["refused"]:
            kept(audit, partial(AuditLog.reject, reason="refused", topic=topic))
            raise Refused(f"the broker at {shown(link_url(settings))} lets {speaker} release nothing to {label(to)}")
    finally:
        await link.stop()
    return to


def _log(audit: AuditLog | None, word: Decorrelation, to: Release, by: Literal["policies", "operator"]) -> None:
    """A person's release, not a machine's warning: it can wait for room on the disk."""
    if audit is None:
        return
    try:
        audit.word(word, to, by)
    except OSError as error:
        raise BusError(f"nothing was said: the audit log {audit.path} takes nothing more: {error.strerror}") from None
