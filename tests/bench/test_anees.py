"""ANEES of a running exercise: the same figures as its result's, from frames as they come."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest

from bench.accuracy import PictureScore
from bench.anees import Anees
from bench.simulate import simulate
from bus.columns import unpack_cov
from bus.messages import PictureFrame, decode, system_tracks_of
from bus.release import NATIONS
from bus.topics import parse_topic
from fusion.settings import FusionSettings
from sensors.facts import PHASES
from tests.bench.worlds import one_missile


def test_anees_as_frames_come_is_the_results_by_recipient_and_phase() -> None:
    """The twin inverts one covariance after the other, with the world that was played out whole."""
    world = one_missile()
    outcome = simulate(world, FusionSettings(), recipients=("jpn", "usa"))
    told, scores = Anees(world), {nation: PictureScore(world, 1e4) for nation in outcome.received}
    expected: dict[tuple[str, str], list[float]] = defaultdict(list)
    for nation, entries in outcome.received.items():
        for entry in entries:
            frame = decode(parse_topic(entry.topic), entry.payload)
            if not isinstance(frame, PictureFrame):
                continue
            told.take(frame)
            block, _ = system_tracks_of(frame)
            scores[nation].take(block, frame.dropped)
            for row, members in enumerate(block.members.tolist()):
                origins = {world.origin(of, track) for of, track in zip(NATIONS, members, strict=True) if track}
                phase = int(world.truth.phase_at(int(block.valid_ns[row]))[0])
                if origins == {"L01"} and phase >= 0:
                    error = block.state[row] - world.truth.states_at(int(block.valid_ns[row]))[0]
                    expected[nation, PHASES[phase]].append(error @ np.linalg.inv(unpack_cov(block.cov)[row]) @ error / 6.0)
    figures = told.told()
    assert {recipient for recipient, _ in figures} == {"jpn", "usa"}
    assert len({phase for _, phase in figures}) > 1
    assert figures == pytest.approx({key: np.mean(each) for key, each in expected.items()}, rel=1e-6)
    for nation, score in scores.items():
        assert sum(len(each) for (to, _), each in expected.items() if to == nation) == len(score.nees)
