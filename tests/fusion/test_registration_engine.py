"""Displaced feeds through an engine: what is associated, told and left alone."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from bus.columns import unpack_cov
from bus.messages import TrackFrame, reports_of
from bus.release import NATIONS, Nation
from fusion.assess import impact_of, launch_of
from fusion.engine import FusionEngine, Inbound
from fusion.settings import FusionSettings
from fusion.settings import Registration as Rules
from tests.fusion.scenes import JPN, KOR, START_NS, S, Scene, frame_of

Float = NDArray[np.float64]

_SETTINGS = FusionSettings()
_JPN, _KOR = 0, 1


def displaced(scene: Scene, sigmas: float, seed: int) -> Iterator[tuple[int, Inbound]]:
    """The messages of a scene with each nation's positions off by so many of its sigmas, in a direction of its own."""
    rng = np.random.default_rng(seed)
    offsets: dict[Nation, Float] = {}
    for eye in scene.eyes:
        direction = rng.normal(size=3)
        offsets[eye.nation] = sigmas * eye.sigma_m * direction / np.linalg.norm(direction)
    for at_ns, inbound in scene.messages():
        if isinstance(inbound.message, TrackFrame):
            block, _ = reports_of(inbound.message)
            block = block.take(np.arange(len(block)))
            block.state[:, :3] += offsets[inbound.message.nation]
            inbound = inbound._replace(message=frame_of(block, inbound.message.nation, inbound.message.released_ns))
        yield at_ns, inbound


def pairs_of(settings: FusionSettings, sigmas: float, seed: int) -> tuple[int, int]:
    """Pairs of national tracks held together in a salvo of 18 seen by jpn and kor, and those that are of one missile."""
    scene = Scene(18, eyes=(JPN, KOR), seed=seed)
    engine = FusionEngine(settings, recipients=("kor",))
    held_together = right = 0
    for at_ns, inbound in displaced(scene, sigmas, seed):
        engine.step([inbound], at_ns)
        engine.catch_up(at_ns)
        (group,) = engine._groups
        clusters = group.picture.clusters
        for system in np.flatnonzero(clusters.systems.mask.astype(np.int64) == (1 << _JPN | 1 << _KOR)).tolist():
            names = [
                (NATIONS[int(clusters.reports.nation[row])], int(clusters.reports.track[row])) for row in clusters.members(system)
            ]
            held_together += 1
            right += scene.tracks[names[0]] == scene.tracks[names[1]]
    return held_together, right


def test_a_salvo_seen_by_feeds_that_are_ten_sigma_off_is_associated() -> None:
    """Without registration hardly a pair is found, and what is found is wrong."""
    none = FusionSettings(registration=Rules(least_objects=1000))
    most, _ = pairs_of(none, 0.0, 1)
    with_it, right = np.sum([pairs_of(_SETTINGS, 10.0, seed) for seed in (1, 2, 3)], axis=0)
    without, _ = np.sum([pairs_of(none, 10.0, seed) for seed in (1, 2, 3)], axis=0)
    assert right / with_it > 0.9
    assert with_it > 0.7 * 3 * most
    assert without < 0.5 * with_it


@pytest.mark.parametrize("sigmas", [6.0, 10.0])
def test_what_is_told_of_displaced_feeds_holds_the_truth(sigmas: float) -> None:
    """Of single runs the errors are one: an offset that all have in common. So the mean is over runs, as chi-square with three
    degrees of freedom each at the least. Without what is left open it would be far above.
    """
    told, bare = [], []
    for seed in range(1, 9):
        scene, engine = Scene(18, eyes=(JPN, KOR), seed=seed), FusionEngine(recipients=("kor",))
        run: list[tuple[float, float]] = []
        for at_ns, inbound in displaced(scene, sigmas, seed):
            engine.step([inbound], at_ns)
            engine.catch_up(at_ns)
            clusters = engine._groups[0].picture.clusters
            table, reports = clusters.systems, clusters.reports
            if at_ns < START_NS + 100 * S or inbound.message.nation != "kor":
                continue
            for system in np.flatnonzero(table.mask == (1 << _JPN | 1 << _KOR)).tolist():
                named = [(NATIONS[int(reports.nation[row])], int(reports.track[row])) for row in clusters.members(system)]
                (missile, *others) = {scene.tracks[name] for name in named}
                if others or int(table.valid_ns[system]) % S:
                    continue
                off = table.state[system] - scene.true(missile, int(table.valid_ns[system]))
                covs = clusters.told_cov(system), unpack_cov(table.cov[system])
                run.append((off @ np.linalg.solve(covs[0], off) / 6.0, off @ np.linalg.solve(covs[1], off) / 6.0))
        assert len(run) > 200
        told.append(np.mean([each[0] for each in run]))
        bare.append(np.mean([each[1] for each in run]))
    assert 0.4 < np.mean(told) < 1.9
    assert np.mean(bare) > 4.0 * np.mean(told)


def test_points_on_the_ground_are_told_with_what_registration_leaves_open() -> None:
    engine, rules = FusionEngine(recipients=("kor",)), _SETTINGS.assessment
    for at_ns, inbound in displaced(Scene(18, eyes=(JPN, KOR), seed=1), 10.0, 1):
        if at_ns > START_NS + 130 * S:
            break
        engine.step([inbound], at_ns)
        engine.catch_up(at_ns)
    book, clusters = engine._groups[0].picture.book, engine._groups[0].picture.clusters
    table, held = clusters.systems, clusters.reports
    (system, *_) = np.flatnonzero(table.predicted & (table.mask == (1 << _JPN | 1 << _KOR))).tolist()
    row = clusters.members(system)[0]
    book.predict(system)
    book._launch(system, row)
    case, valid_ns = book.cases[system], int(table.valid_ns[system])
    bare = (
        impact_of(valid_ns, table.state[system], unpack_cov(table.cov[system]), rules),
        launch_of(int(held.valid_ns[row]), held.state[row], unpack_cov(held.cov[row]), held.phase[row], rules),
    )
    for told, without in zip((case.impact, case.launch), bare, strict=True):
        assert told is not None
        assert without is not None
        assert told.semi_major_m > 1.01 * without.semi_major_m
        assert told.semi_minor_m > 1.01 * without.semi_minor_m


def test_the_engine_tells_each_recipient_what_was_taken_off() -> None:
    scene = Scene(18, eyes=(JPN, KOR), seed=1)
    engine = FusionEngine()
    largest_m, sigma_m = 0.0, 0.0
    for at_ns, inbound in displaced(scene, 10.0, 1):
        engine.step([inbound], at_ns)
        engine.catch_up(at_ns)
        told = engine.offsets
        assert told["jpn", "jpn", "kor"].time_s == told["usa", "jpn", "kor"].time_s
        offset = told["usa", "jpn", "kor"]
        if np.linalg.norm(offset.position_m) > largest_m:
            largest_m, sigma_m = float(np.linalg.norm(offset.position_m)), offset.sigma_m
    assert len(told) == 9
    assert 1000.0 < largest_m < 4000.0  # 2,000 m and 800 m, each in a direction of its own
    assert 10.0 < sigma_m < 400.0


def test_what_no_message_touched_is_estimated_anew_when_offsets_change() -> None:
    """Single tracks: each is where its nation reports it, less what is taken off now."""
    engine, shifted = FusionEngine(recipients=("kor",)), 0
    for at_ns, inbound in displaced(Scene(18, eyes=(JPN, KOR), seed=1), 10.0, 1):
        engine.step([inbound], at_ns)
        engine.catch_up(at_ns)
        clusters = engine._groups[0].picture.clusters
        table, reports = clusters.systems, clusters.reports
        for system in np.flatnonzero(table.number != 0).tolist():
            members = clusters.members(system)
            if len(members) == 1 and table.mask[system] and table.valid_ns[system] == reports.valid_ns[members[0]]:
                assert (table.state[system] == reports.state[members[0]]).all()
                shifted += bool(reports.shift[members[0]].any())
    assert shifted > 100


def test_a_salvo_seen_by_feeds_that_are_as_they_claim_is_left_alone() -> None:
    scene = Scene(18, seed=4)
    engine = FusionEngine(recipients=("usa",))
    for at_ns, inbound in scene.messages():
        engine.step([inbound], at_ns)
        engine.catch_up(at_ns)
        assert not engine._groups[0].picture.registration.offsets.any()
