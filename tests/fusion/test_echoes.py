"""Echoes: a partner's report that holds another's sensor, or our own picture coming back, never counts twice."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from bench.distort import fed_back
from bus.columns import SystemTracks, pack_cov, unpack_cov
from bus.messages import Alert, PictureFrame, TrackDropped, TrackFrame, reports_of, system_tracks_of
from bus.release import EVERYONE, NATIONS, Nation
from fusion.engine import FusionEngine, Inbound
from fusion.settings import FusionSettings
from sensors.instruments import sensor_catalogue
from tests.fusion.scenes import JPN, KOR, OWN_SENSOR, START_NS, USA, S, Scene, dropped, frame_of, one
from tests.fusion.test_engine import RECIPIENT, at, rows_of, step


def retold(message: Inbound, nation: Nation, pedigree: int, track: int = 77, **fields: object) -> Inbound:
    """A report as another nation's, of these sensors."""
    assert isinstance(message.message, TrackFrame)
    block, _ = reports_of(message.message)
    n = len(block)
    changed = replace(block, track=np.full(n, track, np.uint32), pedigree=np.full(n, pedigree, np.uint32), **fields)  # type: ignore[arg-type]
    return Inbound(frame_of(changed, nation, at(message)), EVERYONE)


def test_a_nations_own_sensors_are_those_of_the_catalogue() -> None:
    own = dict.fromkeys(NATIONS, 0)
    for sensor in sensor_catalogue().values():
        own[sensor.nation] |= 1 << sensor.bit
    assert {nation: getattr(FusionSettings().sensors, nation) for nation in NATIONS} == own


@pytest.mark.parametrize("own", [0, OWN_SENSOR["jpn"]])
def test_a_report_that_holds_anothers_sensor_is_left_out_while_that_other_is_heard(own: int) -> None:
    """Its own nation's too is left out where that sensor has another part in the object."""
    engine = FusionEngine()
    heard = one("kor", 80.0, eye=KOR)
    step(engine, [heard, one("jpn", 80.0, eye=JPN)] if own else [heard], at(heard))
    outputs = step(engine, [retold(heard, "jpn", OWN_SENSOR["kor"] | own)], at(heard))
    assert engine.rejected == Counter(echo=1)
    assert not outputs.alerts
    assert rows_of(outputs) is None


@pytest.mark.parametrize("mixed_first", [True, False])
@pytest.mark.parametrize(("kor_m", "jpn_m"), [(1000.0, 60.0), (80.0, 80.0)])
def test_what_a_nation_makes_of_anothers_sensor_and_its_own_is_intersected_with_that_others_report(
    kor_m: float, jpn_m: float, mixed_first: bool
) -> None:
    """As sure as the mixed report alone, and consistent: no sensor counts twice, nor confirms what it saw itself."""
    rng, engines, nees = np.random.default_rng(5), [FusionEngine() for _ in range(8)], list[float]()
    p_k, p_j = (np.diag(np.repeat([sigma**2, sigma**2 / 100.0], 3)) for sigma in (kor_m, jpn_m))
    p_m = np.asarray(np.linalg.inv(np.linalg.inv(p_k) + np.linalg.inv(p_j)), np.float64)
    both = OWN_SENSOR["kor"] | OWN_SENSOR["jpn"]
    for engine in engines:
        for t_s in np.arange(80.0, 120.0):
            seen = one("kor", t_s, eye=KOR)
            true = reports_of(seen.message)[0].state[0]  # type: ignore[arg-type]
            x_k, x_j = (true + rng.multivariate_normal(np.zeros(6), p) for p in (p_k, p_j))
            x_m = p_m @ (np.linalg.solve(p_k, x_k) + np.linalg.solve(p_j, x_j))
            plain = retold(seen, "kor", OWN_SENSOR["kor"], 1, state=x_k[None], cov=pack_cov(p_k[None]))
            mixed = retold(seen, "jpn", both, 1, state=x_m[None], cov=pack_cov(p_m[None]))
            for inbound in (mixed, plain) if mixed_first else (plain, mixed):
                outputs = step(engine, [inbound], at(seen))
            rows = rows_of(outputs)
            assert rows is not None
            assert rows.members[-1].tolist() == [1, 1, 0]
            p = unpack_cov(rows.cov)[-1]
            assert p[0, 0] < 1.02 * p_m[0, 0]
            off = rows.state[-1] - true
            nees.append(float(off @ np.linalg.solve(p, off)) / 6.0)
        assert engine.system_tracks[RECIPIENT] == 1
        assert {alert.state for alert in engine.standing_alerts()} == {"quick"}
        assert not engine.rejected
    assert 0.95 < np.mean(nees) < 1.05


def elsewhere(message: Inbound, track: int) -> Inbound:
    """A report of another object, 300 km away."""
    assert isinstance(message.message, TrackFrame)
    block, _ = reports_of(message.message)
    state = block.state + np.array([300e3, 0.0, 0.0, 0.0, 0.0, 0.0])
    changed = replace(block, track=np.full(len(block), track, np.uint32), state=state)
    return Inbound(frame_of(changed, message.message.nation, at(message)), EVERYONE)


def test_what_a_nation_sees_itself_is_taken_though_anothers_sensor_is_in_it_who_tells_of_something_else() -> None:
    """A missile that Korea's radar sees with an American cue, of which America says nothing: nobody was warned of it."""
    engine = FusionEngine()
    for t_s in np.arange(80.0, 90.0):
        seen, other = one("kor", t_s, eye=KOR), elsewhere(one("usa", t_s, eye=KOR), 7)
        step(engine, [other], at(other))
        step(engine, [retold(seen, "kor", OWN_SENSOR["kor"] | OWN_SENSOR["usa"])], at(seen))
    assert not engine.rejected
    assert {alert.system for alert in engine.standing_alerts()} == {1, 2}


def test_what_a_nation_goes_on_seeing_itself_is_kept_when_the_other_whose_sensor_is_in_it_loses_it() -> None:
    engine, told = FusionEngine(), list[Alert]()
    for t_s in np.arange(80.0, 110.0):
        seen, other = one("usa", t_s, eye=KOR), elsewhere(one("usa", t_s, eye=KOR), 7)
        if t_s == 90.0:
            told += step(engine, [Inbound(dropped("usa", [1], "lost", at(other)), EVERYONE)], at(other)).alerts
        told += step(engine, [other] if t_s >= 90.0 else [seen, other], at(other)).alerts
        outputs = step(engine, [retold(seen, "kor", OWN_SENSOR["kor"] | OWN_SENSOR["usa"])], at(other) + S // 10)
        told += outputs.alerts
    assert not engine.rejected
    rows = rows_of(outputs)
    assert rows is not None
    assert rows.members.tolist() == [[0, 77, 0]]
    assert len(engine.standing_alerts()) == 2 * len(NATIONS)
    assert {alert.state for alert in told} == {"quick"}


def test_a_displaced_feeds_echo_is_known_by_where_it_would_be_if_it_were_not() -> None:
    """Japan is 8 km off, and known to be; so is the track in which it passes on what its own radar and a Korean one saw."""
    engine, off = FusionEngine(), np.array([8e3, 0.0, 0.0, 0.0, 0.0, 0.0])
    scene = Scene(6, eyes=(JPN, KOR), seed=3)
    for at_ns, inbound in scene.messages():
        if at_ns > START_NS + 130 * S:
            break
        if isinstance(inbound.message, TrackFrame) and inbound.message.nation == "jpn":
            block, _ = reports_of(inbound.message)
            block = replace(block, state=block.state + off)
            inbound = Inbound(frame_of(block, "jpn", at_ns), EVERYONE)
            mixed = np.full(len(block), OWN_SENSOR["jpn"] | OWN_SENSOR["kor"], np.uint32)
            echo = replace(block, track=block.track + np.uint32(100), pedigree=mixed)
            if at_ns > START_NS + 120 * S:
                before = engine.rejected["echo"]
                step(engine, [Inbound(frame_of(echo, "jpn", at_ns), EVERYONE)], at_ns)
                assert engine.rejected["echo"] - before == len(block)
        step(engine, [inbound], at_ns)
    assert engine.rejected["echo"] > 10


def test_a_report_that_holds_anothers_sensor_is_taken_where_that_other_is_not_heard() -> None:
    engine, message = FusionEngine(), one("kor", 80.0, eye=KOR)
    outputs = step(engine, [retold(message, "jpn", OWN_SENSOR["kor"])], at(message))
    assert not engine.rejected
    assert [alert.state for alert in outputs.alerts] == ["quick"] * 3
    silent_s = FusionSettings().timing.silent_s
    for t_s, left_out in ((81.0, 1), (82.0 + silent_s, 0)):  # heard once, and then no more
        engine.rejected.clear()
        own = one("kor", 81.0, eye=KOR)
        if left_out:
            step(engine, [own], at(own))
        later = one("kor", t_s, eye=KOR)
        step(engine, [retold(later, "jpn", OWN_SENSOR["kor"])], at(later))
        assert engine.rejected["echo"] == left_out


@pytest.mark.parametrize("pedigree", [0, OWN_SENSOR["usa"]])
def test_an_echo_confirms_nothing(pedigree: int) -> None:
    """Nor one that says that it is of two kinds of sensor, where there is none beside it."""
    engine = FusionEngine()
    for t_s in np.arange(40.0, 60.0):
        seen = one("usa", t_s, sigma_m=2000.0, eye=USA)
        step(engine, [seen], at(seen))
        step(engine, [retold(seen, "jpn", pedigree)], at(seen))
    assert {alert.state for alert in engine.standing_alerts()} == {"quick"}
    assert len(engine.standing_alerts()) == 3
    alone, both = FusionEngine(), np.array([3], np.uint8)
    outputs = step(alone, [retold(seen, "jpn", pedigree, phenomenology=both)], at(seen))
    assert [alert.state for alert in outputs.alerts] == ["quick"] * 3


def fed(scene: Scene, *, sensors: str) -> tuple[dict[int, bytes], Counter[str], int, int]:
    """Play a scene whose picture jpn sends back every second, with its sensors known, unknown, or (none) not at all.

    The estimates by time and members, the states of alerts, how many system tracks too many there were, and how many in all.
    """
    engine, held, before = FusionEngine(), dict[int, SystemTracks](), set[int]()
    found: dict[int, bytes] = {}
    alerts: list[Alert] = []
    next_ns, apart, rows = START_NS, 0, 0
    for at_ns, inbound in scene.messages():
        while next_ns < at_ns:
            sent_ns = next_ns + S // 1000  # what is sent back is released after what it is made of
            for messages in [*([Inbound(each, EVERYONE)] for each in _echo(held, before, sent_ns, sensors)), []]:
                outputs = step(engine, messages, sent_ns)
                alerts += outputs.alerts
                _hold(held, outputs.pictures)
            next_ns += S
        outputs = step(engine, [inbound], at_ns)
        alerts += outputs.alerts
        _hold(held, outputs.pictures)
        missiles = Counter[int]()
        for block in held.values():
            members = block.members[0].tolist()
            real = {scene.tracks[n, t] for n, t in zip(NATIONS, members, strict=True) if 0 < t < 1_000_000}
            missiles.update(real or {-1 for t in members if t})
            if len(real) == 1 and all(t < 1_000_000 for t in members):
                found[hash((at_ns, tuple(members)))] = block.state.tobytes() + block.cov.tobytes()
        apart += sum(count - 1 for missile, count in missiles.items() if missile >= 0) + missiles[-1]
        rows += len(held)
    return found, Counter(alert.state for alert in alerts if alert.recipient == RECIPIENT), apart, rows


def _hold(held: dict[int, SystemTracks], pictures: list[PictureFrame]) -> None:
    for frame in pictures:
        if frame.recipient == "jpn":
            block, _ = system_tracks_of(frame)
            held.update({system: block.take(np.array([i])) for i, system in enumerate(block.system.tolist())})
            for system in frame.dropped:
                held.pop(system, None)


def _echo(held: dict[int, SystemTracks], before: set[int], at_ns: int, sensors: str) -> list[TrackFrame | TrackDropped]:
    if sensors == "none" or not held:
        return []
    picture = SystemTracks.join(list(held.values()))
    sent = fed_back(picture, [-1] * len(picture), before, "jpn", at_ns, pedigree_known=sensors == "known")
    messages: list[TrackFrame | TrackDropped] = []
    before.clear()
    for each in sent:
        if each.reports is not None:
            before |= set(each.reports.track.tolist())
            messages.append(frame_of(each.reports, "jpn", at_ns))
        else:
            messages.append(dropped("jpn", each.tracks, "lost", at_ns))
    return messages


def test_a_picture_is_the_same_to_the_bit_though_it_comes_back_with_its_sensors_told() -> None:
    scene = Scene(3)
    assert fed(scene, sensors="known") == fed(scene, sensors="none")


def test_a_picture_is_the_same_though_it_comes_back_without_its_sensors() -> None:
    """But for the first looks at each new object, and the alerts that those raised and retracted."""
    scene = Scene(3)
    plain, states, apart, rows = fed(scene, sensors="none")
    found, states_fed, apart_fed, _ = fed(scene, sensors="unknown")
    same = [found[key] == value for key, value in plain.items() if key in found]
    assert len(same) > 0.9 * len(plain)
    assert np.mean(same) == 1.0
    assert states_fed["closed"] == states["closed"]
    assert states_fed["confirmed"] == states["confirmed"]
    assert states_fed["quick"] - states["quick"] == states_fed["retracted"] - states["retracted"]
    assert apart_fed - apart < 0.05 * rows


def lost_and_fed_back(sensors: str, end: str) -> tuple[Counter[tuple[str, str]], list[int]]:
    """Korea sees an object for 30 s, and goes on with another; Japan sends all of its picture back, a second late.

    Alerts by their object's founder and state, and how many system tracks there were each second.
    """
    engine, held, before = FusionEngine(), dict[int, SystemTracks](), set[int]()
    told, numbers = Counter[tuple[str, str]](), list[int]()
    for t_s in np.arange(70.0, 440.0):
        other = elsewhere(one("kor", t_s, eye=KOR), 7)
        assert isinstance(other.message, TrackFrame)
        block, now_ns = reports_of(other.message)[0], START_NS + int(t_s * S)
        sent: list[TrackFrame | TrackDropped] = [frame_of(replace(block, valid_ns=np.array([now_ns])), "kor", now_ns)]
        sent += _echo(held, before, now_ns, sensors)
        if t_s < 100.0:
            sent.append(one("kor", t_s, eye=KOR).message)  # type: ignore[arg-type]
        elif t_s == 100.0 and end == "dropped":
            sent.append(dropped("kor", [1], "lost", now_ns))
        for messages in [*([Inbound(each, EVERYONE)] for each in sent), []]:
            outputs = step(engine, messages, now_ns)
            told.update((alert.id[4:9], alert.state) for alert in outputs.alerts if alert.recipient == RECIPIENT)
            _hold(held, outputs.pictures)
        numbers.append(engine.system_tracks[RECIPIENT])
    return told, numbers


@pytest.mark.parametrize("end", ["dropped", "silent"])
def test_what_is_made_of_a_prediction_of_a_lost_object_is_an_echo(end: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It raises no alert, again and again, and nothing stands for longer by it."""
    monkeypatch.setattr("bench.distort.foreign", lambda picture, _: np.ones(len(picture), np.bool_))
    told, numbers = lost_and_fed_back("unknown", end)
    assert (told, numbers) == lost_and_fed_back("none", end)
    assert max(numbers) == 2
    assert numbers[-1] == 0


@pytest.mark.parametrize("others", [True, False])
@pytest.mark.parametrize("first_s", [85, 101, 130])
@pytest.mark.parametrize("seed", range(4))
def test_who_sees_a_lost_object_is_heard_though_no_sensor_is_told(seed: int, first_s: int, others: bool) -> None:
    """With errors of his own, from before the object was lost or later, where others still report something or nobody does."""
    engine, rng, sigma = FusionEngine(), np.random.default_rng(seed), np.repeat([100.0, 10.0], 3)
    errors, heard = rng.normal(size=6), 0
    for t_s in np.arange(80.0, 150.0):
        now_ns = START_NS + int(t_s * S)
        errors = 0.95 * errors + np.sqrt(1.0 - 0.95**2) * rng.normal(size=6)
        seen = one("kor", t_s, eye=KOR)
        if t_s < 100.0:
            step(engine, [seen], now_ns)
        elif t_s == 100.0:
            step(engine, [Inbound(dropped("kor", [1], "lost", now_ns), EVERYONE)], now_ns)
        if others:
            step(engine, [elsewhere(seen, 7)], now_ns)
        if t_s >= first_s:
            state = reports_of(seen.message)[0].state + errors * sigma  # type: ignore[arg-type]
            step(engine, [retold(seen, "jpn", 0, state=state)], now_ns)
        step(engine, [], now_ns)
        clusters = engine._groups[0].picture.clusters
        heard += int(t_s >= max(first_s, 100) and (clusters.systems.mask & 1).any())
    assert heard >= 150 - max(first_s, 100) - 12


def test_an_echo_that_is_surer_than_the_prediction_is_taken_again() -> None:
    """Exactly on the path, time and again: somebody sees the object, for a prediction grows ever less sure."""
    engine, mask = FusionEngine(), list[int]()
    for t_s in np.arange(80.0, 140.0):
        now_ns, seen = START_NS + int(t_s * S), one("kor", t_s, eye=KOR)
        if t_s < 100.0:
            step(engine, [seen], now_ns)
        elif t_s == 100.0:
            step(engine, [Inbound(dropped("kor", [1], "lost", now_ns), EVERYONE)], now_ns)
        step(engine, [retold(seen, "jpn", 0)], now_ns)
        step(engine, [], now_ns)
        mask.append(int(engine._groups[0].picture.clusters.systems.mask.max()))
    assert mask[15:22] == [2] * 5 + [0] * 2
    assert mask[-20:] == [1] * 20


def test_what_stands_on_a_track_for_a_while_and_goes_its_own_way_is_taken_again() -> None:
    """A missile of its own, of a nation that tells no sensors."""
    engine, east_m = FusionEngine(), np.concatenate([np.zeros(8), np.arange(1.0, 25.0) * 500.0])
    numbers = []
    for second, off_m in enumerate(east_m.tolist()):
        seen = one("kor", 80.0 + second, eye=KOR)
        other = retold(one("jpn", 80.0 + second, east_m=off_m, eye=KOR), "jpn", 0)
        step(engine, [seen], at(seen))
        step(engine, [other], at(other))
        numbers.append(engine.system_tracks[RECIPIENT])
    assert numbers[:8] == [1] * 8
    assert numbers[-1] == 2


def test_reports_that_tell_no_sensor_but_err_on_their_own_are_fused() -> None:
    """Off by 1.7 sigma on every axis: no echo of one that is not off."""
    sigma = np.repeat([KOR.sigma_m, KOR.sigma_m_s], 3)
    engine, members = FusionEngine(), list[list[list[int]] | None]()
    for second in range(12):
        seen = one("kor", 80.0 + second, eye=KOR)
        block = reports_of(one("jpn", 80.0 + second, eye=KOR).message)[0]  # type: ignore[arg-type]
        other = retold(one("jpn", 80.0 + second, eye=KOR), "jpn", 0, state=block.state + 1.7 * sigma)
        step(engine, [seen], at(seen))
        rows = rows_of(step(engine, [other], at(other)))
        members.append(None if rows is None else rows.members.tolist())
    assert members[-1] == [[77, 1, 0]]


def ended_with_an_echo(reason: str) -> FusionEngine:
    """Korea sees an object for five seconds, which Japan sends back without its sensors until 84.5 s."""
    engine = FusionEngine()
    for t_s in np.arange(80.0, 85.0):
        seen = one("kor", t_s, eye=KOR)
        step(engine, [seen], at(seen))
        step(engine, [retold(one("kor", t_s + 0.5, eye=KOR), "jpn", 0)], at(seen) + S // 2)
    end_ns = START_NS + 84 * S + 3 * S // 4
    step(engine, [Inbound(dropped("kor", [1], reason, end_ns), EVERYONE)], end_ns)
    return engine


@pytest.mark.parametrize(("after_s", "left_out"), [(0.5, True), (3.0, True), (3.25, False)])
def test_what_is_on_its_way_of_an_objects_echo_is_left_out_for_a_while_after_the_object_has_ended(
    after_s: float, left_out: bool
) -> None:
    """From the last that came of it on."""
    engine, later = ended_with_an_echo("false"), retold(one("kor", 84.5 + after_s, eye=KOR), "jpn", 0)
    assert FusionSettings().timing.grace_s == 3.0
    assert engine.system_tracks[RECIPIENT] == 0
    step(engine, [], at(later))
    step(engine, [later], at(later))
    assert engine.rejected == (Counter(echo=1) if left_out else Counter())
    assert engine.system_tracks[RECIPIENT] == (not left_out)


@pytest.mark.parametrize("left_out", [True, False])
def test_an_objects_echo_is_left_out_for_as_long_after_the_last_prediction_of_it(left_out: bool) -> None:
    engine, end_s = ended_with_an_echo("lost"), 84.75
    while engine.system_tracks[RECIPIENT]:
        end_s += 0.25
        step(engine, [], START_NS + int(end_s * S))
    assert 87.5 < end_s < 90.0
    later = retold(one("kor", end_s + (1.5 if left_out else 3.25), eye=KOR), "jpn", 0)
    step(engine, [later], at(later))
    assert engine.rejected == (Counter(echo=1) if left_out else Counter())
