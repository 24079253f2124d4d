"""The throughput benchmark: what flies is what it says, what comes out is the work asked for, and the figures add up."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner

from bench.cli import main
from bench.sky import FEEDS, SALVO, START_NS, Sky, launches
from bench.throughput import joined_share, measure_size
from bus.columns import unpack_cov
from bus.messages import MAX_FRAME_ROWS, TrackFrame, reports_of
from bus.release import NATIONS
from fusion.lifecycle import Lifecycle
from physics.frames import altitude_m
from physics.propagate import propagate_many


@pytest.mark.parametrize("n", [18, 100, 1000])
def test_a_sky_has_salvos_and_scattered_objects_in_flight(n: int) -> None:
    states = Sky(n)._states
    assert states.shape == (n, 6)
    heights = np.array([altitude_m(state[:3]) for state in states])
    assert heights.min() > 50e3
    later = propagate_many(states, np.full(n, 110.0))
    assert min(altitude_m(state[:3]) for state in later) > 0.0  # as long as it is measured
    near = [np.sort(np.linalg.norm(states[:, :3] - state[:3], axis=1))[1] for state in states]
    assert (np.array(near) < 20e3).sum() >= SALVO * max(1, n // 2 // SALVO)


def test_a_cycle_brings_every_track_of_every_feed_in_frames_of_the_wire() -> None:
    sky = Sky(1000)
    cycle = list(sky.cycle())
    assert [at_ns for at_ns, _ in cycle] == [START_NS + int(feed.at_s * 1e9) for feed in FEEDS]
    for feed, (_, frames) in zip(FEEDS, cycle, strict=True):
        assert len(sky.seen[feed.nation]) == 950
        sizes = [inbound.message.n for inbound in frames if isinstance(inbound.message, TrackFrame)]
        assert sizes == [MAX_FRAME_ROWS] * 3 + [950 - 3 * MAX_FRAME_ROWS]


def test_the_errors_of_a_sky_are_as_told_and_remembered() -> None:
    sky, off = Sky(2000, bias_sigma=0.0), []
    for _ in range(2):
        truth = sky._states.copy()
        (_, frames), *_ = sky.cycle()
        blocks = [reports_of(inbound.message)[0] for inbound in frames if isinstance(inbound.message, TrackFrame)]
        states, cov = np.vstack([block.state for block in blocks]), unpack_cov(np.vstack([block.cov for block in blocks]))
        error = states - truth[sky.seen["jpn"]]
        nees = (error * np.linalg.solve(cov, error[..., None])[..., 0]).sum(axis=1)
        assert np.mean(nees) / 6.0 == pytest.approx(1.0, abs=5.0 * np.sqrt(2.0 / (6.0 * len(nees))))
        off.append(error)
    assert np.corrcoef(off[0].ravel(), off[1].ravel())[0, 1] == pytest.approx(0.95, abs=0.02)


def test_a_size_is_measured_and_its_objects_are_joined() -> None:
    row = measure_size(100, 0.05)
    assert row.reports_per_s == pytest.approx(285 / row.cycle_p50_ms * 1e3, rel=1e-3)
    assert row.first_cycle_ms > 0.0
    assert 0.0 < row.launch_p50_ms <= row.launch_p99_ms
    assert row.tick_p50_ms > 0.0
    assert row.cycle_p99_ms >= row.cycle_p50_ms
    assert sum(row.shares.values()) == pytest.approx(1.0, abs=1e-3)
    assert min(row.shares.values()) >= 0.0
    assert {"check", "hold", "estimate", "draw"} <= set(row.shares)
    assert row.joined_share > 0.5
    assert Lifecycle.estimate.__name__ == "estimate"  # the clocks are gone


def test_a_launch_comes_in_the_last_frame_of_a_cycle_among_known_tracks() -> None:
    sky = Sky(600)
    for before, (at_ns, inbound) in launches(sky, 3):
        assert len(before) == 8
        assert before[-1][0] == at_ns
        assert isinstance(inbound.message, TrackFrame)
        block, left_out = reports_of(inbound.message)
        assert not left_out
        assert (block.track > 600).sum() == 1
        assert block.phase[block.track > 600].tolist() == [[255, 0, 0]]


def test_joined_is_what_has_all_of_an_objects_tracks_and_no_other() -> None:
    sky = Sky(3, missing=0.0)
    tracks = {nation: {int(i): t + 1 for t, i in enumerate(sky.seen[nation])} for nation in NATIONS}
    right = {1 + i: tuple(tracks[nation][i] for nation in NATIONS) for i in range(3)}
    assert joined_share(sky, right) == 1.0
    swapped = right | {1: (right[2][0], *right[1][1:]), 2: (right[1][0], *right[2][1:])}
    assert joined_share(sky, swapped) == pytest.approx(1.0 / 3.0)
    assert joined_share(sky, {1: (*right[1][:2], 0)}) == 0.0


def test_the_command_prints_its_rows_as_json() -> None:
    done = CliRunner().invoke(main, ["bench", "throughput", "--tracks", "18", "--seconds", "0.1", "--json"])
    assert done.exit_code == 0
    (row,) = json.loads(done.stdout)["rows"]
    assert {"tracks_per_feed", "reports_per_s", "cycle_p50_ms", "cycle_p99_ms", "rss_mb"} <= set(row)
    assert row["tracks_per_feed"] == 18
