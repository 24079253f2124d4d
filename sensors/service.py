"""A feed's shell: waits for an exercise, then publishes what the national feed releases, each at its instant.

The next release is computed while the shell waits for its instant, so the wire sees it on time. It takes nothing from the bus
but the exercise clock, and the sessions of all feeds: what an operator says of tracks names theirs.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections import deque
from collections.abc import Iterator, Mapping
from functools import partial

from bus.audit import AuditLog
from bus.clock import Clock
from bus.errors import BadInput
from bus.messages import (
    AnyMessage,
    Decorrelation,
    ExerciseClock,
    FeedMessage,
    LaunchDetected,
    Purpose,
    Status,
    TrackDropped,
    TrackFrame,
    TrackName,
)
from bus.metrics import Metrics
from bus.pace import until_wall
from bus.party import MakeTransport, Party
from bus.release import Nation
from bus.seals import Seals
from bus.topics import ALL_FEED_STATUS, Address, feed_decorrelation, feed_events, feed_tracks
from bus.transport import Delivery
from sensors.feed import NationalFeed, Release
from sensors.policy import Decided
from sensors.scenario import parse_scenario
from sensors.truth import build_truth

log = logging.getLogger(__name__)

_NO_SESSION = 0  # of a feed that has not announced itself: a word about its tracks finds none


def outgoing(
    release: Release,
    nation: Nation,
    clock: Clock,
    sessions: Mapping[str, int] | None = None,
    purpose: Purpose = "exercise",
) -> FeedMessage:
    """The message of a release; session, sequence and sent time are stamped when it is sent. `sessions` are the feeds'."""
    released_ns, due_ns = release.released_ns, clock.wall_at(release.released_ns)
    if release.word is not None:
        tracks = [
            TrackName(nation=track.nation, session=(sessions or {}).get(track.nation, _NO_SESSION), track=track.number)
            for track in release.word.pair
        ]
        apart = not release.word.undo
        return Decorrelation(session=0, seq=0, nation=nation, released_ns=released_ns, due_ns=due_ns, tracks=tracks, apart=apart)
    if release.reports is None:
        return TrackDropped(
            session=0,
            seq=0,
            nation=nation,
            released_ns=released_ns,
            due_ns=due_ns,
            purpose=purpose,
            tracks=release.tracks,
            reason=release.reason,
        )
    kind = LaunchDetected if release.kind == "launch_detected" else TrackFrame
    columns, n = release.reports.to_wire(), len(release.reports)
    return kind(session=0, seq=0, nation=nation, released_ns=released_ns, due_ns=due_ns, purpose=purpose, n=n, columns=columns)


class FeedService:
    """One nation's feed on the bus."""

    def __init__(
        self, make: MakeTransport, metrics: Metrics, nation: Nation, sensors: list[str], seals: Seals | None = None
    ) -> None:
        self.nation: Nation = nation
        self.party = Party("feed", nation, make, metrics, sensors=sensors, seals=seals)
        self._metrics = metrics
        self.sessions: dict[str, int] = {}  # of the feeds that have announced themselves
        self.decided: deque[Decided] = deque()  # of the release policy, not yet in the audit log
        self._prepared: tuple[str, int, Iterator[Release]] | None = None
        self._changed = asyncio.Event()
        self.party.on_exercise(lambda _: self._changed.set())
        self.party.listen(self.party.urgent, ALL_FEED_STATUS, self._know_session, qos=1)

    def prepare(self, scenario_text: str, seed: int) -> None:
        """Solve a scenario and compute its first release before the exercise starts; compiles the kernels on the way."""
        self._prepared = (scenario_text, seed, _with_first_ready(self._releases(scenario_text, seed)))

    def _releases(self, scenario_text: str, seed: int) -> Iterator[Release]:
        scenario = parse_scenario(scenario_text, "the exercise's scenario")
        self.decided.clear()
        return NationalFeed(scenario, build_truth(scenario), self.nation, seed, on_decision=self.decided.append).releases()

    async def run(self, stopping: asyncio.Event) -> None:
        """Connect, then feed every exercise that comes, until `stopping` is set."""
        await self.party.start()
        self.party.announce("ready")
        told = asyncio.create_task(stopping.wait())
        try:
            while not stopping.is_set():
                changed = asyncio.create_task(self._changed.wait())
                await asyncio.wait({told, changed}, return_when=asyncio.FIRST_COMPLETED)
                changed.cancel()
                self._changed.clear()
                exercise = self.party.exercise
                if exercise is not None and exercise.state == "running" and not stopping.is_set():
                    await self._feed(exercise, stopping)
        finally:
            told.cancel()
            await self.party.stop()

    async def _feed(self, exercise: ExerciseClock, stopping: asyncio.Event) -> None:
        """Publish one exercise's releases, each when it is due; ends early when the exercise changes or the process stops."""
        prepared = self._prepared
        if prepared is not None and prepared[:2] == (exercise.scenario, exercise.seed):
            releases, self._prepared = prepared[2], None
        else:
            try:
                releases = _with_first_ready(self._releases(exercise.scenario, exercise.seed))
            except BadInput as error:  # the conductor's fault, not a reason to end: another exercise may come
                self.party.reject("scenario")
                log.error("feed %s cannot take part in exercise %s: %s", self.nation, exercise.exercise, error)
                return
        for release in releases:
            message = outgoing(release, self.nation, self.party.clock, self.sessions, exercise.purpose)
            if not await until_wall(message.due_ns, lambda: self._changed.is_set() or stopping.is_set()):
                return
            self.send(message, release)
        self.log_decisions()
        log.info("feed %s has nothing more to say in exercise %s", self.nation, exercise.exercise)

    def send(self, message: FeedMessage, release: Release) -> None:
        """Publish a release: frames on the bulk link, all else on the urgent one at QoS 1, an operator's words retained."""
        if release.kind == "frame":
            self.party.publish(self.party.bulk, feed_tracks(self.nation, release.to), message, kind="tracks")
            self._metrics.reports.labels("out").inc(len(release.reports or ()))
        elif isinstance(message, Decorrelation):
            topic = feed_decorrelation(self.nation, release.to, *message.pair)
            self.party.publish(self.party.urgent, topic, message, kind="decorrelation", qos=1, retain=True)
            self.party.log(partial(AuditLog.word, word=message, to=release.to, by="policies"))
        else:
            self.party.publish(self.party.urgent, feed_events(self.nation, release.to), message, kind="events", qos=1)
        self.log_decisions(release.released_ns)
        self._metrics.stage("publish", (self.party.clock.wall_ns() - message.due_ns) / 1e9)

    def log_decisions(self, until_ns: int | None = None) -> None:
        """Into the audit log, those on reports valid until then: the next release is computed ahead of its time."""
        while self.decided and (until_ns is None or self.decided[0].valid_ns <= until_ns):
            self.party.log(partial(AuditLog.write, kind="decision", **self.decided.popleft()._asdict()))

    def _know_session(self, address: Address, message: AnyMessage, delivery: Delivery) -> None:
        """Of a feed that ended, its last session stays known: what it told last is held for a while."""
        if isinstance(message, Status) and message.state != "offline":
            self.sessions[message.name] = message.session


def _with_first_ready(releases: Iterator[Release]) -> Iterator[Release]:
    """The same releases, the first already computed."""
    first = next(releases, None)
    return itertools.chain([] if first is None else [first], releases)
