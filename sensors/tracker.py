"""A national tracker: scans in, national tracks out. One step a scan; pure.

Detections go to tracks by the likeliest joint assignment; how likely others are stays in the covariance (`sensors.associate`).
What no track takes may begin a tentative track; enough hits confirm it and give it its number; a run of misses ends it. A track
lives on without detections for a while, wider every second, and then ends as what it looks like: come down, lost, or never there.

The reported covariance holds the biases of the sensors that fed the track: averaging takes out noise, never bias.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from bus.columns import Reports, pack_cov, to_u1
from physics.constants import USUAL_BETA_KG_M2, USUAL_BETA_SIGMA
from physics.fall import LIFTS_BELOW_M, apogee_m
from physics.frames import altitude_m
from sensors.associate import choose
from sensors.detect import Scan
from sensors.filter import combined, gate_all, predict, predict_all, update
from sensors.initiate import begun
from sensors.instruments import INFRARED, RADAR
from sensors.motion import BOOST, COAST, GLIDE, REENTRY, STAGING
from sensors.places import GroundPoint, felt_beta, impact_point, launch_point

Float = NDArray[np.float64]
Mask = NDArray[np.bool_]
Stacked = tuple[Float, Float, Float, Float]  # x, cov, cross and mu of tracks, the track first
EndReason = Literal["impact", "lost", "false"]

GATE: Final = 28.0  # squared distance; chi-square of 3 degrees of freedom leaves out 4 in a million
NEAR_M: Final = 30e3  # a radar's detection further than this, and six sigma, from a prediction is not its track's
# What it costs a track to have no detection, in negative log-likelihood: a new missile is not rare in a salvo. It is rarer where
# infrared has announced it before a radar sees it.
NONE_COST: Final = {RADAR: 16.0, INFRARED: 9.0}
MISSED: Final = 5.0  # so much of infrared's is that it misses a plume: of what has burnt out there is none to miss
UNANNOUNCED: Final = 3.0  # the less, of a track that radars alone have seen
DARK: Final = {RADAR: 0.0, INFRARED: math.log(1e-3)}  # log-likelihood that what does not burn is detected
STRUNG_M_S: Final = 1000.0  # how wrong a velocity from lines of sight of several missiles is, each axis
SWAPPED_M_S: Final = 300.0  # how wrong a velocity is that came of taking one missile for another, each axis
DOUBT: Final = 0.05  # probability that a detection given to another track was this one's, from which on it matters
RADAR_HITS: Final = 4  # hits that confirm a track seen by radar
INFRARED_HITS: Final = 2  # and by infrared alone, where clutter is rare: two sights of one rising plume
TENTATIVE_S: Final = 25.0  # a tentative track not confirmed by then ends
TENTATIVE_MISSES: Final = 2  # misses in a row, by sensors that had seen it, that end a tentative track
LOST_S: Final = 20.0  # a confirmed track not seen for so long is lost
LAUNCH_SURER: Final = 0.5  # a later launch estimate has to have an ellipse this much smaller: the smallest of many errs
LAUNCH_S: Final = 60.0  # a launch estimate may become surer for so long after a track was confirmed
BOOST_MOST: Final = 0.02  # no impact prediction above this probability of boost ...
COAST_S: Final = 10.0  # ... nor until it has been below for so long: a weak stage that lights looks like coast for up to 7 s
GLIDES: Final = 0.1  # a track that once was more likely to glide than this has no impact prediction from then on
REENTRY_BELOW_M: Final = 80e3
DOWN_BELOW_M: Final = 8e3
DOWN_S: Final = 3.0  # and not seen for longer than this: what was seen since is not down
MIN_SPEED_M_S: Final = 250.0  # slower than any missile once confirmed: clutter
MAX_SPEED_M_S: Final = 9_000.0
_QUALITY_SIGMA_M: Final = 10.0  # position sigma of quality 15
_QUALITY_STEP: Final = 1.8  # each step below is this many times as much: one line of sight has quality 1
_LATEST: Final = 3  # detections that tell which launch a track follows now
_SEVERAL: Final = -2
_IDLE_NS: Final = 1_000_000_000  # tracks are moved at least so often, also while no sensor detects anything


@dataclass(slots=True, eq=False)
class Track:
    """One track: the filter's models (shapes in `sensors.filter`), and its history. `number` is 0 until it is confirmed."""

    x: Float
    cov: Float
    cross: Float
    mu: Float
    at_ns: int
    first_ns: int
    seen_ns: int
    number: int = 0
    confirmed_ns: int = 0
    hits: int = 1
    misses: int = 0
    pedigree: int = 0
    phenomenology: int = 0
    boosted_ns: int = 0  # when it last may have boosted
    apogee_m: float | None = None  # of its path as it was before re-entry
    lifts: bool = False  # it once seemed to glide
    sights: float = 1.0  # probability that all its lines of sight are of the same missile
    launch: GroundPoint | None = None  # the surest estimate so far
    origins: Counter[int] = field(default_factory=Counter)
    latest: deque[int] = field(default_factory=lambda: deque(maxlen=_LATEST))  # origins of the latest detections

    def doubt_sights(self, phenomenology: int, belief: float) -> None:
        """Before a detection so likely its own: of what its lines of sight have made of the velocity, the radar's first hit
        finds as much as they are likely to be of one missile. In a ripple they string several together.
        """
        if self.phenomenology != INFRARED:
            return
        if phenomenology == INFRARED:
            self.sights *= min(belief, 1.0)
        else:
            self.cov[:, 3:6, 3:6] += (1.0 - self.sights) * STRUNG_M_S**2 * np.eye(3)

    def doubt_choice(self, phenomenology: int, belief: float) -> None:
        """After a radar's detection that may as well have been a neighbour's: the next ones will be the neighbour's too, and what
        the jump between the two made of the velocity is no one's. Doubt after doubt does not add up.
        """
        if phenomenology == RADAR and belief < 1.0 - DOUBT:
            known = np.trace(self.cov[:, 3:6, 3:6], axis1=1, axis2=2) / 3.0
            missing = np.maximum((1.0 - belief) * SWAPPED_M_S**2 - known, 0.0)
            self.cov[:, 3:6, 3:6] += missing[:, None, None] * np.eye(3)

    def take(self, scan: Scan, k: int) -> None:
        """Note that detection `k` of a scan was this track's."""
        self.seen_ns = scan.at_ns
        self.misses = 0
        self.pedigree |= 1 << scan.bit
        self.phenomenology |= scan.phenomenology
        if not scan.merged[k]:
            self.origins[int(scan.origin[k])] += 1
        self.latest.append(_SEVERAL if scan.merged[k] else int(scan.origin[k]))

    def follows(self) -> int:
        """For the scorer: the launch that its latest detections came from; -1 where they were merged or disagree.

        With radar all of them: two radars that see two missiles by turns leave the track where it was. In infrared most of them.
        """
        index = max(self.latest, key=self.latest.count)
        count = self.latest.count(index)
        agree = count == len(self.latest) if self.phenomenology & RADAR else count * 2 > len(self.latest)
        return index if index >= 0 and agree else -1


@dataclass(frozen=True, slots=True)
class Ended:
    """A confirmed track that ended."""

    number: int
    reason: EndReason


class NationalTracker:
    """The tracks of one nation, whose sensors have these pedigree bits. They get `numbers` as they are confirmed: 1, 2, 3."""

    def __init__(self, bits: list[int], numbers: Iterator[int] | None = None) -> None:
        self.tracks: list[Track] = []
        self._slots = {bit: slot for slot, bit in enumerate(sorted(bits))}  # where a sensor's biases stand in a track
        self._numbers = itertools.count(1) if numbers is None else numbers
        self._moved_ns = 0

    def step(self, scan: Scan) -> tuple[list[Track], list[Ended]]:
        """Take one scan; the tracks that it confirmed, and the confirmed ones that ended."""
        moved = None
        if len(scan.position) or scan.at_ns - self._moved_ns >= _IDLE_NS:
            moved = self._predict(scan.at_ns)
            self._moved_ns = scan.at_ns
        taken, known = self._associate(scan, moved)
        self._initiate(scan, taken, known)
        ended = self._end(scan)
        confirmed = [track for track in self.tracks if self._confirms(track)]
        for track in confirmed:
            track.number, track.confirmed_ns = next(self._numbers), scan.at_ns
        return confirmed, ended

    def live(self) -> list[Track]:
        """The confirmed tracks, by number."""
        return sorted((track for track in self.tracks if track.number), key=lambda track: track.number)

    def _predict(self, at_ns: int) -> Stacked | None:
        """Move all tracks to an instant; their models as they then are, one array over all."""
        if not self.tracks:
            return None
        dt_s = np.array([(at_ns - track.at_ns) / 1e9 for track in self.tracks])
        x, cov, cross, mu = predict_all(*_stacked(self.tracks), dt_s)
        for i, track in enumerate(self.tracks):
            track.x, track.cov, track.cross, track.mu, track.at_ns = x[i], cov[i], cross[i], mu[i], max(at_ns, track.at_ns)
            if mu[i, BOOST] + mu[i, STAGING] > BOOST_MOST:
                track.boosted_ns = track.at_ns
        return x, cov, cross, mu

    def _associate(self, scan: Scan, moved: Stacked | None) -> tuple[set[int], NDArray[np.bool_]]:
        """Give detections to tracks, which were moved to the scan: those that were taken, and whether each may be of a track."""
        n, slot = len(scan.position), self._slots[scan.bit]
        if not n or moved is None:
            for track in self.tracks:
                self._miss(track, scan)
            return set(), np.zeros(n, np.bool_)
        cost = gate_all(
            *moved,
            scan.position,
            scan.information,
            scan.bias,
            slot,
            DARK[scan.phenomenology],
            GATE,
            math.inf if scan.phenomenology == INFRARED else NEAR_M,
        )
        confirmed = np.array([track.number > 0 for track in self.tracks])
        radar_only = np.array([track.phenomenology == RADAR for track in self.tracks])
        mu = moved[-1]
        choice = choose(cost, confirmed, scan.merged, none_cost(scan.phenomenology, radar_only, mu[:, COAST:].sum(axis=1)))
        for i, track in enumerate(self.tracks):
            k, belief = int(choice.taken[i]), choice.belief[i]
            if k >= 0:
                track.doubt_sights(scan.phenomenology, belief[k])
            if k >= 0 or belief.sum() > DOUBT:
                track.x, track.cov, track.cross, track.mu = update(
                    track.x,
                    track.cov,
                    track.cross,
                    track.mu,
                    k,
                    belief,
                    scan.position,
                    scan.information,
                    scan.bias,
                    slot,
                    DARK[scan.phenomenology],
                )
            if k >= 0:
                track.doubt_choice(scan.phenomenology, belief[k])
                track.hits += 1
                track.take(scan, k)
            else:
                self._miss(track, scan)
        return set(choice.taken.tolist()), np.isfinite(cost).any(axis=0)

    def _miss(self, track: Track, scan: Scan) -> None:
        if track.pedigree >> scan.bit & 1 and not scan.verify:
            track.misses += 1

    def _initiate(self, scan: Scan, taken: set[int], known: NDArray[np.bool_]) -> None:
        rising = ~(known | scan.merged)
        for k in range(len(scan.position)):
            if k not in taken:
                self.tracks.append(_begin(scan, k, self._slots[scan.bit], len(self._slots), rising=bool(rising[k])))

    def _confirms(self, track: Track) -> bool:
        if track.number:
            return False
        needed = RADAR_HITS if track.phenomenology & RADAR else INFRARED_HITS
        if track.hits < needed:
            return False
        if track.phenomenology == INFRARED:
            return True
        x, cov = combined(track.x, track.cov, track.mu)
        speed = float(np.linalg.norm(x[3:]))
        sigma = math.sqrt(float(np.trace(cov[3:, 3:])))
        return MIN_SPEED_M_S < speed < MAX_SPEED_M_S and speed > 2.0 * sigma and altitude_m(x[:3]) > 0.0

    def _end(self, scan: Scan) -> list[Ended]:
        ended: list[Ended] = []
        kept: list[Track] = []
        for track in self.tracks:
            reason = self._over(track, scan.at_ns)
            if reason is None:
                kept.append(track)
            elif track.number:
                ended.append(Ended(track.number, reason))
        self.tracks = kept
        return ended

    def _over(self, track: Track, at_ns: int) -> EndReason | None:
        unseen_s = (at_ns - track.seen_ns) / 1e9
        if not track.number:
            stale = track.misses >= TENTATIVE_MISSES
            return "false" if stale or unseen_s > TENTATIVE_S or (at_ns - track.first_ns) / 1e9 > 2 * TENTATIVE_S else None
        if unseen_s <= DOWN_S:  # most of all tracks, at every scan
            return None
        x = track.x[int(track.mu.argmax()), :6]
        climbing = float(x[:3] @ x[3:]) > 0.0
        height = altitude_m(x[:3])
        if (height < DOWN_BELOW_M and not climbing) or height < -DOWN_BELOW_M:
            return "impact"
        if unseen_s > LOST_S:
            return "false" if track.hits <= RADAR_HITS + 1 else "lost"
        return None


def none_cost(phenomenology: int, radar_only: Mask, dark: Float) -> Float:
    """What it costs each track (n,) to have no detection in a scan: of one that radars alone have seen, and that so likely
    burns no more (0 to 1). A track that burnt out between two scans leaves the next missile's plume to the next missile's track.
    """
    cost = NONE_COST[phenomenology] - UNANNOUNCED * radar_only
    if phenomenology != INFRARED:
        return np.asarray(cost, np.float64)
    return np.asarray(cost - MISSED - np.log(dark + (1.0 - dark) * math.exp(-MISSED)), np.float64)


def _stacked(tracks: list[Track]) -> Stacked:
    return (
        np.array([track.x for track in tracks]),
        np.array([track.cov for track in tracks]),
        np.array([track.cross for track in tracks]),
        np.array([track.mu for track in tracks]),
    )


def _begin(scan: Scan, k: int, slot: int, slots: int, *, rising: bool) -> Track:
    """A tentative track from one detection."""
    track = Track(*begun(scan, k, slot, slots, rising=rising), scan.at_ns, scan.at_ns, scan.at_ns)
    track.take(scan, k)
    return track


def report(tracks: list[Track], at_ns: int) -> Reports:
    """The wire's block of these tracks, each predicted to `at_ns` (ns), with bias inside the covariance; keeps surer launches."""
    n = len(tracks)
    state, cov = np.empty((n, 6)), np.empty((n, 6, 6))
    phase = np.empty((n, 3))
    for i, track in enumerate(tracks):
        x, p, _, mu = predict(track.x, track.cov, track.cross, track.mu, (at_ns - track.at_ns) / 1e9)
        state[i], cov[i] = combined(x, p, mu)
        phase[i] = _phase(state[i], float(mu[BOOST] + mu[STAGING]))
        track.lifts |= bool(mu[GLIDE] > GLIDES)
        if track.apogee_m is None or not phase[i, 2]:
            track.apogee_m = apogee_m(state[i])
        if track.launch is None or (at_ns - track.confirmed_ns) / 1e9 < LAUNCH_S:
            found = launch_point(at_ns, state[i], cov[i], float(phase[i, 0]))
            if found is not None and (track.launch is None or found.area_m2 < LAUNCH_SURER * track.launch.area_m2):
                track.launch = found
    ages = [((at_ns - track.first_ns) // 1_000_000, (at_ns - track.confirmed_ns) // 1_000_000) for track in tracks]
    return Reports(
        track=np.array([track.number for track in tracks], np.uint32),
        valid_ns=np.full(n, at_ns, np.int64),
        state=state,
        cov=pack_cov(cov),
        phase=to_u1(phase),
        quality=_quality(cov),
        phenomenology=np.array([track.phenomenology for track in tracks], np.uint8),
        pedigree=np.array([track.pedigree for track in tracks], np.uint32),
        detected_age_ms=np.array([age for age, _ in ages], np.uint32),
        tracked_age_ms=np.array([age for _, age in ages], np.uint32),
    )


def impact_of(track: Track, at_ns: int) -> GroundPoint | None:
    """Where a track will come down, as of `at_ns` (ns), by what was last reported of it.

    None where no prediction would be honest: while it may boost, once it may glide, and where it never leaves the air.
    """
    if track.lifts or track.apogee_m is None or track.apogee_m < LIFTS_BELOW_M:
        return None
    x, p, _, mu = predict(track.x, track.cov, track.cross, track.mu, (at_ns - track.at_ns) / 1e9)
    if mu[BOOST] + mu[STAGING] > BOOST_MOST or (at_ns - track.boosted_ns) / 1e9 < COAST_S:
        return None
    air = int(mu[REENTRY] > 0.5)
    beta = felt_beta(x[REENTRY], p[REENTRY]) if air else (USUAL_BETA_KG_M2, USUAL_BETA_SIGMA)
    return impact_point(at_ns, *combined(x, p, mu), beta)


def _phase(state: Float, boost: float) -> tuple[float, float, float]:
    """Probability of boost, coast and re-entry; whatever descends below 80 km re-enters."""
    descending = float(state[:3] @ state[3:]) < 0.0
    if descending and altitude_m(state[:3]) < REENTRY_BELOW_M:
        return 0.0, 0.0, 1.0
    return boost, 1.0 - boost, 0.0


def _quality(cov: Float) -> NDArray[np.uint8]:
    """Track quality 0 to 15 from the position's one-sigma radius."""
    sigma = np.sqrt(np.trace(cov[:, :3, :3], axis1=1, axis2=2))
    steps = np.log(np.maximum(sigma, 1e-3) / _QUALITY_SIGMA_M) / math.log(_QUALITY_STEP)
    quality: NDArray[np.uint8] = np.clip(15.0 - steps, 0.0, 15.0).astype(np.uint8)
    return quality
