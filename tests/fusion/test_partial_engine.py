"""Partial states over the wire, through an engine: what is held, told and warned of where reports tell a part of a state."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Final

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bus.columns import SystemTracks, bad_rows, pack_cov, unpack_cov
from bus.messages import Alert, TrackFrame, reports_of, system_tracks_of
from bus.release import EVERYONE, Nation
from fusion.engine import FusionEngine, Inbound
from fusion.partial import told
from fusion.settings import Assessment, FusionSettings
from tests.fusion.scenes import JPN, KOR, START_NS, USA, Eye, S, dropped, flight, frame_of, one
from tests.fusion.test_engine import RECIPIENT, Outputs, at, step
from tests.fusion.test_kernels import PRIOR
from tests.fusion.test_partial import line_cov, place_cov

Float = NDArray[np.float64]

UP: Final = flight(1)[0, :3] / np.linalg.norm(flight(1)[0, :3])
SIGHT: Final = (UP + 0.5 * np.cross(UP, [0.0, 0.0, 1.0])) / np.linalg.norm(UP + 0.5 * np.cross(UP, [0.0, 0.0, 1.0]))
KINDS: Final = {"position": place_cov(100.0), "line of sight": line_cov(100.0, line=SIGHT)}


def seen(
    nation: Nation, t_s: float, cov: Float, *, track: int = 5, eye: Eye = KOR, off_m: Float | None = None, **fields: Any
) -> Inbound:
    """One partial report of the missile of `scenes.one`: no velocity, and 300 km along the line where there is one."""
    block, _ = reports_of(frame_in(one(nation, t_s, eye=eye)))
    state = block.state.copy()
    state[:, :3] += (0.0 if off_m is None else off_m) + (3e5 * SIGHT if told(cov, PRIOR) == 2 else 0.0)
    state[:, 3:] = 0.0
    changed = replace(block, track=np.array([track], np.uint32), state=state, cov=pack_cov(cov[None]), **fields)
    return Inbound(frame_of(changed, nation, START_NS + int(t_s * S)), EVERYONE)


def frame_in(inbound: Inbound) -> TrackFrame:
    assert isinstance(inbound.message, TrackFrame)
    return inbound.message


def through(engine: FusionEngine, messages: Iterable[Inbound]) -> tuple[list[Alert], dict[int, SystemTracks]]:
    """Steps with all that follows them: alerts to one recipient, and the last row of each system track that is left."""
    alerts: list[Alert] = []
    rows: dict[int, SystemTracks] = {}
    for message in messages:
        outputs = step(engine, [message], at(message))
        alerts += [alert for alert in outputs.alerts if alert.recipient == RECIPIENT]
        keep(rows, outputs)
    return alerts, rows


def keep(rows: dict[int, SystemTracks], outputs: Outputs) -> None:
    for frame in outputs.pictures:
        if frame.recipient == RECIPIENT:
            block = system_tracks_of(frame)[0]
            rows.update({int(number): block.take(np.array([k])) for k, number in enumerate(block.system)})
            for number in frame.dropped:
                rows.pop(number, None)


@pytest.mark.parametrize("kind", KINDS)
def test_a_partial_report_of_a_known_object_joins_its_system_track_and_makes_it_better(kind: str) -> None:
    engine, alone = FusionEngine(), FusionEngine()
    whole = [one("kor", float(t), sigma_m=300.0) for t in range(80, 90)]
    part = [seen("jpn", t + 0.5, KINDS[kind], eye=JPN) for t in range(84, 89)]
    mixed = sorted(whole + part, key=at)
    alerts, rows = through(engine, mixed)
    _, without = through(alone, whole)
    assert not engine.rejected
    (row,), (less,) = rows.values(), without.values()
    assert row.members.tolist() == [[5, 1, 0]]
    assert less.members.tolist() == [[0, 1, 0]]
    assert "confirmed" in [alert.state for alert in alerts]
    assert alerts[-1].impact is not None
    before, after = unpack_cov(less.cov)[0], unpack_cov(row.cov)[0]
    assert np.linalg.slogdet(after)[1] < np.linalg.slogdet(before)[1] - 0.5
    assert np.diag(after)[:3].sum() < np.diag(before)[:3].sum()
    assert np.diag(after)[3:].sum() < 1.001 * np.diag(before)[3:].sum()
    true = flight(92)[4 * 89]
    assert np.abs(row.state[0] - true)[:3].max() < 30.0
    assert np.abs(row.state[0] - true)[3:].max() < 3.0
    if kind == "line of sight":
        assert SIGHT @ after[:3, :3] @ SIGHT == pytest.approx(SIGHT @ before[:3, :3] @ SIGHT, rel=1e-2)


@pytest.mark.parametrize("kind", KINDS)
def test_a_partial_report_of_elsewhere_stays_apart(kind: str) -> None:
    aside = 2000.0 * np.cross(SIGHT, [0.0, 0.0, 1.0])
    messages = [one("kor", float(t), sigma_m=100.0) for t in range(80, 90)]
    messages += [seen("jpn", t + 0.5, KINDS[kind], eye=JPN, off_m=aside) for t in range(84, 89)]
    _, rows = through(FusionEngine(), sorted(messages, key=at))
    assert sorted(row.members[0].tolist() for row in rows.values()) == [[0, 1, 0], [5, 0, 0]]


@pytest.mark.parametrize("kind", KINDS)
def test_a_member_that_turns_out_to_be_elsewhere_is_split_off_by_what_it_tells(kind: str) -> None:
    aside = 2000.0 * np.cross(SIGHT, [0.0, 0.0, 1.0])
    messages = [one("kor", float(t), sigma_m=100.0) for t in range(80, 98)]
    messages += [seen("jpn", t + 0.5, KINDS[kind], eye=JPN, off_m=None if t < 89 else aside) for t in range(84, 98)]
    _, rows = through(FusionEngine(), sorted(messages, key=at))
    assert sorted(row.members[0].tolist() for row in rows.values()) == [[0, 1, 0], [5, 0, 0]]


@pytest.mark.parametrize("kind", KINDS)
def test_a_partial_report_alone_is_held_and_alerts_of_nothing_that_it_does_not_know(kind: str) -> None:
    engine = FusionEngine()
    messages = [seen("jpn", float(t), KINDS[kind], eye=JPN) for t in range(80, 95)]
    alerts, rows = through(engine, messages)
    assert not engine.rejected
    assert not alerts
    (row,) = rows.values()
    assert row.members.tolist() == [[5, 0, 0]]
    unknown = FusionEngine()
    no_phase = [seen("jpn", float(t), KINDS[kind], eye=JPN, phase=np.zeros((1, 3), np.uint8)) for t in range(80, 95)]
    assert not through(unknown, no_phase)[0]


def test_a_velocity_claimed_beside_a_spread_that_denies_it_is_no_speed() -> None:
    block, _ = reports_of(frame_in(one("kor", 80.0)))
    fast = replace(block, cov=pack_cov(place_cov(100.0)[None]))
    assert np.linalg.norm(fast.state[0, 3:]) > FusionSettings().alerting.speed_m_s
    assert not through(FusionEngine(), [Inbound(frame_of(fast, "kor", START_NS + 80 * S), EVERYONE)])[0]


@pytest.mark.parametrize("kind", KINDS)
def test_a_partial_report_of_a_plume_is_warned_of_without_a_place_of_launch_until_one_tells_all(kind: str) -> None:
    engine = FusionEngine()
    messages = [seen("usa", float(t), KINDS[kind], track=1, eye=USA) for t in range(45, 49)]
    alerts, _ = through(engine, messages)
    assert [alert.state for alert in alerts] == ["quick"]
    assert (alerts[0].launch, alerts[0].impact, alerts[0].heading_deg) == (None, None, 0.0)
    more, _ = through(engine, [one("usa", 50.0, sigma_m=500.0, eye=USA), *(one("kor", t, eye=KOR) for t in (50.5, 51.5))])
    assert more[-1].state == "confirmed"
    assert more[-1].launch is not None
    assert abs(more[-1].launch.time_ns - START_NS) / S < 4.0 * more[-1].launch.time_sigma_s
    assert more[-1].heading_deg != 0.0


@pytest.mark.parametrize("kind", KINDS)
def test_a_prediction_made_when_more_was_told_stands_while_a_part_is_told(kind: str) -> None:
    engine = FusionEngine()
    messages = [one("kor", float(t), sigma_m=30.0) for t in range(80, 95)]
    messages += [seen("jpn", t + 0.5, KINDS[kind], eye=JPN) for t in range(84, 120)]
    messages.append(Inbound(dropped("kor", [1], "lost", START_NS + 95 * S), EVERYONE))
    through(engine, sorted(messages, key=at))
    (standing,) = [alert for alert in engine.standing_alerts() if alert.recipient == RECIPIENT]
    assert standing.impact is not None
    assert standing.times.valid_ns < START_NS + 96 * S


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(sorted(KINDS)))
def test_neither_order_of_arrival_nor_repetition_of_partial_reports_changes_the_estimate(seed: int, kind: str) -> None:
    rng, engine, other = np.random.default_rng(seed), FusionEngine(), FusionEngine()
    messages = [one("kor", float(t)) for t in range(80, 88)] + [seen("jpn", t + 0.5, KINDS[kind], eye=JPN) for t in range(80, 88)]
    messages += [one("usa", t + 0.25, sigma_m=500.0, eye=USA) for t in range(80, 88)]
    in_order = sorted(messages, key=at)
    last = in_order[-6:]
    through(engine, in_order)
    _, rows = through(engine, [seen("jpn", 88.0, KINDS[kind], eye=JPN)])
    shuffled = [in_order[:-6][k] for k in range(len(in_order) - 6)] + [last[k] for k in rng.permutation(6)]
    repeated = [each for message in shuffled for each in [message] * int(rng.integers(1, 3))]
    through(other, repeated)
    _, again = through(other, [seen("jpn", 88.0, KINDS[kind], eye=JPN)] * 2)
    (row,), (same,) = rows.values(), again.values()
    assert row.members.tolist() == same.members.tolist() == [[5, 1, 1]]
    np.testing.assert_array_equal(row.state, same.state)
    np.testing.assert_array_equal(row.cov, same.cov)


@pytest.mark.parametrize(("until_s", "predicted"), [(99, True), (103, False)])
def test_no_impact_is_predicted_by_a_whole_report_that_is_left_out_for_its_age(until_s: int, predicted: bool) -> None:
    """It is 20 s behind from 100 s on, and the first prediction is due a second before `until_s`."""
    engine = FusionEngine(FusionSettings(assessment=Assessment(coast_for_s=float(until_s) - 81.0)))
    through(
        engine, [one("kor", 80.0, sigma_m=30.0), *(seen("jpn", float(t), KINDS["position"], eye=JPN) for t in range(80, 104))]
    )
    (standing,) = [alert for alert in engine.standing_alerts() if alert.recipient == RECIPIENT]
    assert (standing.impact is not None) == predicted


def test_partial_rows_are_sound() -> None:
    for cov in (*KINDS.values(), line_cov(1.0, 1e6), place_cov(1.0, 1e8)):
        block, left_out = reports_of(frame_in(seen("jpn", 80.0, cov, eye=JPN)))
        assert len(block) == 1
        assert not left_out
        assert not bad_rows(block.track, block.valid_ns, block.state, block.cov)


def test_a_plume_that_one_nation_tracks_and_another_sees_in_part_is_counted_once() -> None:
    for kind, most in (("position", 1.05), ("line of sight", 1.05)):
        engine = FusionEngine()
        step(engine, [one("kor", 50.0, sigma_m=100.0)], START_NS + 50 * S)
        outputs = step(engine, [seen("usa", 50.0, KINDS[kind], eye=USA)], START_NS + 50 * S)
        raid = [frame.raid for frame in outputs.pictures if frame.recipient == RECIPIENT][-1] or engine.raids[RECIPIENT]
        assert raid is not None
        assert 0.9 <= raid.in_flight.expected < most
