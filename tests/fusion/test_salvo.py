"""A salvo: 18 missiles two seconds apart from launchers some hundred metres apart, seen by three nations."""

from __future__ import annotations

from collections import Counter

import pytest

from bus.messages import PictureFrame, system_tracks_of
from bus.release import NATIONS
from fusion.engine import FusionEngine
from tests.fusion.scenes import Scene
from tests.fusion.test_engine import play, step


@pytest.mark.parametrize("seed", [1, 2])
def test_salvo_ends_with_one_confirmed_alert_a_launch_and_none_beside(seed: int) -> None:
    scene, engine = Scene(18, seed=seed), FusionEngine()
    told = play(engine, scene.messages(), until_s=500.0)
    right = Counter[bool]()
    for recipient in NATIONS:
        last = {alert.id: alert for _, outputs in told for alert in outputs.alerts if alert.recipient == recipient}
        kept = {key: alert for key, alert in last.items() if alert.state != "retracted"}
        ever = {a.id for _, outputs in told for a in outputs.alerts if a.recipient == recipient and a.state == "confirmed"}
        assert len(kept) == 18
        assert set(kept) <= ever
        assert {alert.state for alert in kept.values()} == {"closed"}
    for _, outputs in told:
        for frame in outputs.pictures:
            right.update(_pairs(scene, frame))
    assert right[True] / right.total() >= 0.97
    assert engine.standing_alerts() == []


@pytest.mark.parametrize("meet_s", [60.0, 90.0])
def test_crossing_tracks_of_a_salvo_do_not_swap(meet_s: float) -> None:
    """Six that cross at one point and instant: while two nations' tracks are still being joined, and when all are."""
    scene, engine = Scene(6, gap_s=0.0, apart_m=100.0, drift_m_s=60.0, meet_s=meet_s), FusionEngine()
    right, joined = Counter[bool](), dict[int, set[int]]()
    for _, outputs in play(engine, scene.messages(), until_s=200.0):
        for frame in outputs.pictures:
            right.update(_pairs(scene, frame))
            block, _ = system_tracks_of(frame)
            for number, members in zip(block.system.tolist(), block.members.tolist(), strict=True):
                missiles = [scene.tracks[nation, track] for nation, track in zip(NATIONS, members, strict=True) if track]
                if len(missiles) > 1:
                    joined.setdefault(number, set()).update(missiles)
    assert set(right) == {True}
    assert {len(missiles) for missiles in joined.values()} == {1}
    assert set().union(*joined.values()) == set(range(6))


def _pairs(scene: Scene, frame: PictureFrame) -> list[bool]:
    """Whether members held together are the same missile."""
    pairs = []
    for members in system_tracks_of(frame)[0].members.tolist():
        missiles = [scene.tracks[nation, track] for nation, track in zip(NATIONS, members, strict=True) if track]
        pairs += [one == other for i, one in enumerate(missiles) for other in missiles[:i]]
    return pairs


def test_each_launch_of_a_salvo_is_alerted_in_the_frame_that_first_shows_it() -> None:
    """Association waits; warning does not."""
    scene, engine = Scene(6), FusionEngine()
    warned: set[int] = set()
    for at_ns, inbound in scene.messages():
        outputs = step(engine, [inbound], at_ns)
        for alert in outputs.alerts:
            warned |= {scene.tracks[member.nation, member.track] for member in alert.members}
        for frame in outputs.pictures[:1]:
            for members in system_tracks_of(frame)[0].members.tolist():
                assert {scene.tracks[n, t] for n, t in zip(NATIONS, members, strict=True) if t} & warned
    assert warned == set(range(6))
