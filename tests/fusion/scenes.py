"""Synthetic national tracks for tests: missiles on nearly the same path, seen by three nations with errors that mean something.

A missile rises with constant thrust that pitches over, burns for BURN_S, then flies freely. A national track's error is
stationary and correlated in time, and its covariance is the truth about it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from bus.columns import Reports, pack_cov
from bus.messages import Decorrelation, TrackDropped, TrackFrame, TrackName
from bus.release import EVERYONE, Nation, Release
from bus.tracks import parse_pair
from fusion.engine import Inbound
from physics.frames import enu_matrix, geodetic_to_ecef
from physics.propagate import propagate_one

Float = NDArray[np.float64]

S = 1_000_000_000
START_NS = 1_000_000 * S
BURN_S = 60.0
_LAT, _LON = np.radians(39.2), np.radians(125.7)
_SITE_M = geodetic_to_ecef(_LAT, _LON, 0.0)
_ENU = enu_matrix(_LAT, _LON)
_STEP_S = 0.25
OWN_SENSOR = {"jpn": 1, "kor": 1 << 4, "usa": 1 << 8}  # a nation's first radar, as a pedigree bit; the next is its infrared


@cache
def flight(seconds: int) -> Float:
    """ECEF states (4 * seconds, 6) of one missile every quarter second from its launch."""
    local = np.zeros(6)
    states = []
    for i in range(int(BURN_S / _STEP_S)):
        states.append(np.hstack([_SITE_M + _ENU.T @ local[:3], _ENU.T @ local[3:]]))
        pitch = np.radians(90.0 - 50.0 * min(i * _STEP_S / 40.0, 1.0))
        thrust = 28.0 * np.array([0.6 * np.cos(pitch), -0.8 * np.cos(pitch), np.sin(pitch)])
        local = local + _STEP_S * np.hstack([local[3:] + 0.5 * _STEP_S * thrust, thrust])
    while len(states) < 4 * seconds:
        states.append(propagate_one(states[-1], _STEP_S))
    path = np.array(states)
    path.setflags(write=False)
    return path


@dataclass(frozen=True)
class Eye:
    """How a nation sees: one sigma an axis, from when and until when after a launch, its sensors, how often."""

    nation: Nation
    sigma_m: float
    sigma_m_s: float
    from_s: float
    until_s: float
    phenomenology: int
    every_s: float = 1.0
    delay_s: float = 0.5
    end: str | None = None  # why its tracks end; else as the scene says


USA = Eye("usa", 1500.0, 90.0, 30.0, 75.0, 2, delay_s=1.0, end="lost")
KOR = Eye("kor", 80.0, 8.0, 42.0, 150.0, 1)
JPN = Eye("jpn", 200.0, 15.0, 70.0, 160.0, 1)


@dataclass
class Scene:
    """`n` missiles, `gap_s` apart, from launchers `apart_m` from one another, and the messages that `eyes` send of them.

    With `drift_m_s` they drift sideways, the first and the last by so much in opposite directions, and meet at the age `meet_s`.
    """

    n: int
    eyes: tuple[Eye, ...] = (JPN, KOR, USA)
    gap_s: float = 2.0
    apart_m: float = 400.0
    seed: int = 1
    end: str = "impact"
    drift_m_s: float = 0.0
    meet_s: float = 90.0
    tracks: dict[tuple[str, int], int] = field(default_factory=dict)  # (nation, track) -> missile

    def true(self, missile: int, at_ns: int) -> Float:
        """The state (6,) ECEF of a missile that does not drift, to a quarter of a second."""
        offsets = np.random.default_rng(self.seed).normal(scale=self.apart_m, size=(self.n, 3)) @ _ENU
        age_s = (at_ns - START_NS) / S - self.gap_s * missile
        return np.hstack([flight(180)[int(age_s * 4), :3] + offsets[missile], flight(180)[int(age_s * 4), 3:]])

    def messages(self) -> Iterator[tuple[int, Inbound]]:
        """(time of arrival, message), in order of time."""
        rng = np.random.default_rng(self.seed)
        path = flight(180)
        offsets = rng.normal(scale=self.apart_m, size=(self.n, 3)) @ _ENU * np.array([1.0, 1.0, 1.0])
        drifts = np.linspace(-1.0, 1.0, self.n)[:, None] * self.drift_m_s * _ENU[0] if self.drift_m_s else np.zeros((self.n, 3))
        found: list[tuple[int, int, Inbound]] = []
        for eye in self.eyes:
            numbers = rng.permutation(self.n) + 1
            self.tracks.update({(eye.nation, int(numbers[i])): i for i in range(self.n)})
            sigma = np.repeat([eye.sigma_m, eye.sigma_m_s], 3)
            errors = rng.normal(size=(self.n, 6))
            for tick in np.arange(eye.from_s, eye.until_s + self.gap_s * self.n, eye.every_s):
                errors = 0.9 * errors + np.sqrt(1.0 - 0.9**2) * rng.normal(size=errors.shape)
                ages = tick - self.gap_s * np.arange(self.n)
                seen = np.flatnonzero((ages >= eye.from_s) & (ages < eye.until_s))
                at_ns = START_NS + int((tick + eye.delay_s) * S)
                if len(seen):
                    states = path[(ages[seen] * 4).astype(int)] + errors[seen] * sigma
                    states[:, :3] += offsets[seen] + drifts[seen] * (ages[seen, None] - self.meet_s)
                    states[:, 3:] += drifts[seen]
                    block = report_block(numbers[seen], START_NS + int(tick * S), states, sigma, ages[seen] < BURN_S, eye)
                    found.append((at_ns, len(found), Inbound(frame_of(block, eye.nation, at_ns), EVERYONE)))
                over = np.flatnonzero((ages >= eye.until_s) & (ages < eye.until_s + eye.every_s))
                if len(over):
                    found.append(
                        (
                            at_ns,
                            len(found),
                            Inbound(dropped(eye.nation, numbers[over].tolist(), eye.end or self.end, at_ns), EVERYONE),
                        )
                    )
        for at_ns, _, inbound in sorted(found, key=lambda each: each[:2]):
            yield at_ns, inbound


def scattered(n: int, seed: int) -> Float:
    """States (n, 6) over the Sea of Japan, flying every way."""
    rng = np.random.default_rng(seed)
    up = np.array([-0.54, 0.53, 0.65])
    return np.hstack([(6.6e6 * up + rng.normal(size=(n, 3)) * 2e5), rng.normal(size=(n, 3)) * 1500.0])


def report_block(
    numbers: NDArray[np.int64], valid_ns: int, states: Float, sigma: Float, boosts: NDArray[np.bool_], eye: Eye
) -> Reports:
    """Reports with a diagonal covariance."""
    n = len(numbers)
    return Reports(
        track=np.asarray(numbers, np.uint32),
        valid_ns=np.full(n, valid_ns, np.int64),
        state=states,
        cov=pack_cov(np.tile(np.diag(sigma**2), (n, 1, 1))),
        phase=np.where(boosts[:, None], np.array([250, 5, 0]), np.array([0, 255, 0])).astype(np.uint8),
        quality=np.full(n, 9, np.uint8),
        phenomenology=np.full(n, eye.phenomenology, np.uint8),
        pedigree=np.full(n, OWN_SENSOR[eye.nation] << (eye.phenomenology - 1), np.uint32),
        detected_age_ms=np.full(n, 3000, np.uint32),
        tracked_age_ms=np.full(n, 1000, np.uint32),
    )


def frame_of(block: Reports, nation: Nation, at_ns: int, session: int = 1) -> TrackFrame:
    """A frame that was released at `at_ns`."""
    return TrackFrame(session=session, seq=1, nation=nation, released_ns=at_ns, n=len(block), columns=block.to_wire())


def dropped(nation: Nation, tracks: list[int], reason: str, at_ns: int, session: int = 1) -> TrackDropped:
    """The end of national tracks."""
    assert reason in ("impact", "lost", "false")
    return TrackDropped(session=session, seq=1, nation=nation, released_ns=at_ns, tracks=tracks, reason=reason)  # type: ignore[arg-type]


def decorrelation(
    nation: Nation, tracks: str, t_s: float, *, apart: bool = True, sessions: tuple[int, int] = (1, 1), to: Release = EVERYONE
) -> Inbound:
    """A nation's word on two tracks, such as `jpn/1 kor/2`, `t_s` seconds after the first launch."""
    named = [
        TrackName(nation=track.nation, session=session, track=track.number)
        for track, session in zip(parse_pair(tracks.split()), sessions, strict=True)
    ]
    at_ns = START_NS + int(t_s * S)
    return Inbound(Decorrelation(session=9, seq=1, nation=nation, released_ns=at_ns, tracks=named, apart=apart), to)


def one(nation: Nation, t_s: float, *, track: int = 1, east_m: float = 0.0, sigma_m: float = 100.0, eye: Eye = KOR) -> Inbound:
    """One report of one missile, `t_s` seconds after its launch, shifted east."""
    state = flight(int(t_s) + 2)[int(t_s * 4)].copy()
    state[:3] += _ENU.T @ np.array([east_m, 0.0, 0.0])
    at_ns = START_NS + int(t_s * S)
    sigma = np.repeat([sigma_m, sigma_m / 10.0], 3)
    block = report_block(np.array([track]), at_ns, state[None, :], sigma, np.array([t_s < BURN_S]), replace(eye, nation=nation))
    return Inbound(frame_of(block, nation, at_ns), EVERYONE)
