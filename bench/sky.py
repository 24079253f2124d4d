"""A sky of many tracks for the fusion benchmarks: salvos and scattered objects in free flight, seen by three feeds.

Half of the objects fly in salvos of 18 on nearly one path, two seconds and some hundred metres apart; the others are scattered
over a region as wide as the Sea of Japan and its shores, at any height, in every direction. None comes down within two minutes.
Each feed misses its share of the objects, numbers the rest in an order of its own, and is off by a bias of its own beside each
track's error; what it says of its errors is true, but for the bias. All of it is drawn from one seed. Nothing here is fused.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bus.columns import Reports, pack_cov
from bus.messages import MAX_FRAME_ROWS, TrackFrame, decode, encode, reports_of
from bus.release import EVERYONE, Nation
from bus.topics import feed_tracks, parse_topic
from fusion.engine import Inbound
from physics.frames import enu_matrix, geodetic_to_ecef
from physics.propagate import propagate_many

Float = NDArray[np.float64]
Rows = NDArray[np.int64]

START_NS: Final = 1_000_000 * 1_000_000_000
SALVO: Final = 18
_SALVO_GAP_S: Final = 2.0
_SALVO_APART_M: Final = 400.0
_SCATTER_DEG: Final = (12.0, 15.0)  # each way from the middle, in latitude and in longitude
_MIDDLE_DEG: Final = (39.0, 132.0)
_HEIGHT_M: Final = (120e3, 600e3)
_SPEED_M_S: Final = (800.0, 3000.0)
_REMEMBERED: Final = 0.95  # how much of a track's error is left after a second


class Feed(NamedTuple):
    """How a nation sees: one sigma of each axis, m and m/s, when in a second it reports, and its sensor's kind and bit."""

    nation: Nation
    sigma_m: float
    sigma_m_s: float
    at_s: float
    phenomenology: int
    pedigree: int


FEEDS: Final = (
    Feed("jpn", 200.0, 12.0, 0.0, 1, 1 << 1),
    Feed("kor", 80.0, 8.0, 0.3, 1, 1 << 4),
    Feed("usa", 120.0, 10.0, 0.6, 1, 1 << 8),
)


@dataclass(eq=False)
class Sky:
    """`n` objects and what each feed says of them, a second at a time. `seen[nation]` are the objects, by track number less 1."""

    n: int
    seed: int = 1
    missing: float = 0.05
    bias_sigma: float = 1.0

    def __post_init__(self) -> None:
        self._random = np.random.default_rng(self.seed)
        self._states = _objects(self.n, self._random)
        self.seen: dict[Nation, Rows] = {}
        self._errors: dict[Nation, Float] = {}
        self._bias: dict[Nation, Float] = {}
        self._seconds = 0
        for feed in FEEDS:
            order = self._random.permutation(self.n)
            self.seen[feed.nation] = order[: max(1, round(self.n * (1.0 - self.missing)))]
            self._errors[feed.nation] = self._random.standard_normal((len(self.seen[feed.nation]), 6))
            direction = self._random.standard_normal(3)
            self._bias[feed.nation] = self.bias_sigma * feed.sigma_m * direction / np.linalg.norm(direction)

    def cycle(self) -> Iterator[tuple[int, list[Inbound]]]:
        """One second: for each feed the time of its frames and the frames, decoded from the wire as a worker gets them."""
        for feed in FEEDS:
            block = self.reports(feed, feed.at_s)
            yield int(block.valid_ns[0]), _frames(feed, block)
        self._states = propagate_many(self._states, np.ones(self.n))
        self._seconds += 1

    @property
    def states(self) -> Float:
        """The objects (n, 6), ECEF, m and m/s, at the beginning of this second."""
        return self._states.copy()

    def reports(self, feed: Feed, at_s: float) -> Reports:
        """What a feed says of all its tracks `at_s` into this second, in the order of `seen`."""
        seen, m = self.seen[feed.nation], len(self.seen[feed.nation])
        at_ns = START_NS + int((self._seconds + at_s) * 1e9)
        fresh = np.sqrt(1.0 - _REMEMBERED**2) * self._random.standard_normal((m, 6))
        self._errors[feed.nation] = _REMEMBERED * self._errors[feed.nation] + fresh
        sigmas = np.repeat([feed.sigma_m, feed.sigma_m_s], 3)
        states = propagate_many(self._states[seen], np.full(m, at_s)) + sigmas * self._errors[feed.nation]
        states[:, :3] += self._bias[feed.nation]
        return Reports(
            track=np.arange(1, m + 1, dtype=np.uint32),
            valid_ns=np.full(m, at_ns, np.int64),
            state=states,
            cov=pack_cov(np.tile(np.diag(sigmas**2), (m, 1, 1))),
            phase=np.tile(np.array([0, 255, 0], np.uint8), (m, 1)),
            quality=np.full(m, 9, np.uint8),
            phenomenology=np.full(m, feed.phenomenology, np.uint8),
            pedigree=np.full(m, feed.pedigree, np.uint32),
            detected_age_ms=np.full(m, 5000, np.uint32),
            tracked_age_ms=np.full(m, 2000, np.uint32),
        )


def launches(sky: Sky, count: int) -> Iterator[tuple[list[tuple[int, Inbound]], tuple[int, Inbound]]]:
    """Cycles of which the last frame has a new launch among its rows: (time, frame) of all before it, and of that one."""
    feed = FEEDS[-1]
    random = np.random.default_rng(sky.seed)
    for k in range(count):
        *before, (at_ns, last) = [(at_ns, inbound) for at_ns, frames in sky.cycle() for inbound in frames]
        known = last.message
        assert isinstance(known, TrackFrame)
        block, _ = reports_of(known)
        fresh = block.take(np.zeros(1, np.int64))
        lat, lon = np.radians(np.array(_MIDDLE_DEG) + random.uniform(-4.0, 4.0, 2))
        up = geodetic_to_ecef(lat, lon, 40e3)
        fresh.state[0, :3], fresh.state[0, 3:] = up, 1200.0 * up / np.linalg.norm(up)
        fresh.track[0], fresh.phase[0] = sky.n + 1 + k, (255, 0, 0)
        rows = Reports.join([block.take(np.arange(min(len(block), MAX_FRAME_ROWS - 1))), fresh])
        frame = TrackFrame(session=1, seq=1, nation=feed.nation, released_ns=at_ns, n=len(rows), columns=rows.to_wire())
        yield before, (at_ns, Inbound(frame, EVERYONE))


def _frames(feed: Feed, block: Reports) -> list[Inbound]:
    """The frames of one report of a feed, decoded from the wire."""
    address, at_ns = parse_topic(feed_tracks(feed.nation, EVERYONE)), int(block.valid_ns[0])
    assert address is not None
    inbound = []
    for start in range(0, len(block), MAX_FRAME_ROWS):
        rows = block.take(np.arange(start, min(start + MAX_FRAME_ROWS, len(block))))
        frame = TrackFrame(session=1, seq=1, nation=feed.nation, released_ns=at_ns, n=len(rows), columns=rows.to_wire())
        message = decode(address, encode(frame))
        assert isinstance(message, TrackFrame)
        inbound.append(Inbound(message, EVERYONE))
    return inbound


def _objects(n: int, random: np.random.Generator) -> Float:
    """States (n, 6) of the objects, ECEF: the first half in salvos."""
    salvos = n // 2 // SALVO if n > SALVO else 1
    scattered = n - min(n, salvos * SALVO)
    heads = _scattered(salvos, random)
    flying: list[Float] = []
    ages: Float = _SALVO_GAP_S * np.arange(min(SALVO, n), dtype=np.float64)
    for head in heads:
        members = propagate_many(np.tile(head, (len(ages), 1)), -ages)
        members[:, :3] += _SALVO_APART_M * random.standard_normal((len(ages), 3))
        flying.append(members)
    return np.vstack([*flying, _scattered(scattered, random)])


def _scattered(n: int, random: np.random.Generator) -> Float:
    """States (n, 6) anywhere in the region, climbing in any direction."""
    middle, width = np.array(_MIDDLE_DEG), np.array(_SCATTER_DEG)
    places = np.radians(middle + width * random.uniform(-1.0, 1.0, (n, 2)))
    heights = random.uniform(*_HEIGHT_M, n)
    headings, climbs = random.uniform(0.0, 2.0 * np.pi, n), random.uniform(0.0, 0.8, n)
    speeds = random.uniform(*_SPEED_M_S, n)
    states = np.empty((n, 6))
    for i, (lat, lon) in enumerate(places):
        level = speeds[i] * np.cos(climbs[i])
        local = np.array([level * np.sin(headings[i]), level * np.cos(headings[i]), speeds[i] * np.sin(climbs[i])])
        states[i, :3] = geodetic_to_ecef(lat, lon, heights[i])
        states[i, 3:] = enu_matrix(lat, lon).T @ local
    return states
