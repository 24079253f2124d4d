"""Warm-up: compiles (or loads from the cache) every kernel, by pushing a small synthetic exercise through an engine.

It matters: without it the first alert of a run waits many seconds for the compiler.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from bus.columns import Reports, pack_cov
from bus.messages import TrackFrame
from bus.release import EVERYONE, NATIONS, Nation
from fusion.engine import FusionEngine, Inbound

_SITE_ECEF_M: Final = np.array([-3.05e6, 4.05e6, 3.95e6])
_START_NS: Final = 1_000_000_000_000
_S: Final = 1_000_000_000
_OWN: Final[dict[Nation, int]] = {"jpn": 1, "kor": 1 << 4, "usa": 1 << 8}  # a sensor of each, as a pedigree bit


def warm_up() -> None:
    """Push boosting and coasting tracks of three nations through an engine, lose them, let them age; a displaced feed; echoes."""
    engine, apart, echoing = FusionEngine(), FusionEngine(), FusionEngine()
    for second in (0, 1, 2, 3, 9):
        for nation in NATIONS:
            now_ns = _START_NS + second * _S
            _through(engine, now_ns, _frame(nation, now_ns, boost=second == 0))
        _through(engine, now_ns)
    for second, nation in enumerate(NATIONS):  # first seen in coast, at times of their own
        now_ns = _START_NS + (20 + second) * _S
        _through(FusionEngine(), now_ns, _frame(nation, now_ns, boost=False))
    for second in (30, 31):  # rows left out of a frame make copies of the others, which the kernels take as another type
        now_ns = _START_NS + second * _S
        _through(engine, now_ns, _frame("jpn", now_ns, boost=False, unsound=True))
    for second in (0, 1, 2, 9):  # a feed that is displaced, and predictions of what it sees
        for nation in NATIONS[:2]:
            now_ns = _START_NS + (60 + second) * _S
            _through(apart, now_ns, _frame(nation, now_ns, boost=False, n=4, off_m=8e3 if nation == NATIONS[0] else 0.0))
    for second in range(5):  # our own picture, with the sensors told and not
        now_ns = _START_NS + (70 + second) * _S
        for nation, pedigree in (("kor", None), ("jpn", 0), ("usa", _OWN["kor"])):
            _through(echoing, now_ns, _frame(nation, now_ns, boost=False, pedigree=pedigree))
    for second in (40, 50, 300):
        _through(engine, _START_NS + second * _S)


def _through(engine: FusionEngine, now_ns: int, *frames: TrackFrame) -> None:
    """A step with all that follows it."""
    engine.step([Inbound(frame, EVERYONE) for frame in frames], now_ns)
    engine.catch_up(now_ns)
    engine.draw(now_ns)


def _frame(
    nation: Nation,
    now_ns: int,
    *,
    boost: bool,
    unsound: bool = False,
    n: int = 2,
    off_m: float = 0.0,
    pedigree: int | None = None,
) -> TrackFrame:
    """Reports of one moment; of the nation's own sensors, where nothing else is said."""
    pedigree = _OWN[nation] if pedigree is None else pedigree
    up = _SITE_ECEF_M / np.linalg.norm(_SITE_ECEF_M)
    age_s = (now_ns - _START_NS) / _S
    valid_ns = now_ns - NATIONS.index(nation) * 100_000_000
    state = np.hstack([_SITE_ECEF_M + up * (60e3 + 1500.0 * age_s), 1500.0 * up])
    states = state + np.arange(n)[:, None] * np.array([5e4, 0.0, 0.0, 0.0, 0.0, 0.0])
    states[:, 0] += off_m
    if unsound:
        states[-1] = np.nan
    cov = np.diag([1e5, 1e5, 1e5, 100.0, 100.0, 100.0])
    block = Reports(
        track=np.arange(1, n + 1, dtype=np.uint32),
        valid_ns=np.full(n, valid_ns, np.int64),
        state=states,
        cov=pack_cov(np.tile(cov, (n, 1, 1))),
        phase=np.tile(np.array([255, 0, 0] if boost else [0, 255, 0], np.uint8), (n, 1)),
        quality=np.full(n, 9, np.uint8),
        phenomenology=np.full(n, 1, np.uint8),
        pedigree=np.full(n, pedigree, np.uint32),
        detected_age_ms=np.full(n, 1000, np.uint32),
        tracked_age_ms=np.full(n, 500, np.uint32),
    )
    return TrackFrame(session=1, seq=1, nation=nation, released_ns=now_ns, n=n, columns=block.to_wire())
