"""The filter's models of motion: against flights they stand for, and their own derivatives."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from physics.frames import geodetic_to_ecef
from physics.motion import drag_acceleration
from physics.propagate import propagate_one
from sensors.motion import BOOST, COAST, GLIDE, REENTRY, STAGING, air_share, move, usual_drag
from tests.oracles_physics import fallen
from tests.plain import both_ways

Float = NDArray[np.float64]


def state(height_m: float, speed_m_s: float, force: Float | None = None) -> Float:
    """At a height over Sunan, moving north and down; with a specific force."""
    r = geodetic_to_ecef(math.radians(39.2), math.radians(125.7), height_m)
    up = r / np.linalg.norm(r)
    north = np.cross(up, np.cross([0.0, 0.0, 1.0], up))
    v = speed_m_s * (0.6 * north / np.linalg.norm(north) - 0.8 * up)
    return np.concatenate([r, v, np.zeros(3) if force is None else force])


def test_thrust_grows_as_mass_burns_away() -> None:
    """The rocket equation at constant thrust: f(t) = f0 / (1 - f0 t / c), as long as little burns away."""
    f0 = np.array([0.0, 0.0, 40.0])
    after, _, _ = move(state(30e3, 800.0, f0), 2.0, BOOST)
    assert after[8] == pytest.approx(40.0 / (1.0 - 40.0 * 2.0 / 2500.0), rel=1e-3)


def test_coast_is_free_flight_in_vacuum() -> None:
    x = state(200e3, 2000.0, np.array([1.0, 2.0, 3.0]))
    after, _, _ = move(x, 5.0, COAST)
    np.testing.assert_allclose(after[:6], propagate_one(x[:6], 5.0), atol=1e-6)
    assert not after[6:].any()


@pytest.mark.parametrize(("height_m", "speed_m_s"), [(70e3, 6000.0), (40e3, 6000.0), (25e3, 1500.0), (12e3, 1000.0)])
@both_ways(move)
def test_re_entry_is_a_fall_with_drag(height_m: float, speed_m_s: float) -> None:
    """A second of it against a fine integration with the ballistic coefficient that the force stands for."""
    x = state(height_m, speed_m_s)
    x[6:] = drag_acceleration(x[:6], 8000.0)
    after, _, _ = move(x, 1.0, REENTRY)
    want = fallen(x[:6], 1.0, 8000.0)
    lost = np.linalg.norm(want[3:] - propagate_one(x[:6], 1.0)[3:])
    assert np.linalg.norm(after[:3] - want[:3]) < 0.1 + 0.02 * lost
    assert np.linalg.norm(after[3:6] - want[3:]) < 0.1 + 0.02 * lost
    np.testing.assert_allclose(np.linalg.norm(after[6:]), np.linalg.norm(drag_acceleration(want, 8000.0)), rtol=0.02)


@pytest.mark.parametrize(("height_m", "speed_m_s"), [(90e3, 7000.0), (60e3, 7000.0), (30e3, 3000.0)])
def test_drag_keeps_its_relative_error_as_the_air_thickens(height_m: float, speed_m_s: float) -> None:
    """Grown to first order alone, drag lagged behind the air and its sigma behind the drag: ANEES of 10 at 7 km/s."""
    x = state(height_m, speed_m_s)
    x[6:] = drag_acceleration(x[:6], 8000.0)
    for _ in range(2):
        after, f, _ = move(x, 1.0, REENTRY)
        grown = np.linalg.norm(after[6:]) / np.linalg.norm(x[6:])
        assert grown == pytest.approx(np.linalg.norm(drag_acceleration(after[:6], 8000.0)) / np.linalg.norm(x[6:]), rel=0.02)
        assert f[6, 6] == pytest.approx(grown, rel=0.02)
        x = after


def test_drag_that_grows_in_one_step_takes_the_position_with_it() -> None:
    """Just too weak for smaller steps, and more than twice as strong after a second."""
    x = state(80e3, 7000.0)
    x[6:] = drag_acceleration(x[:6], 600.0)
    after, _, _ = move(x, 1.0, REENTRY)
    want = fallen(x[:6], 1.0, 600.0)
    along = want[3:] / np.linalg.norm(want[3:])
    assert np.linalg.norm(after[6:]) > 2.0 * np.linalg.norm(x[6:])
    assert abs((after[:3] - want[:3]) @ along) < 0.03
    assert abs((after[3:6] - want[3:]) @ along) < 0.03


def test_noise_grows_with_the_drag_that_wanders() -> None:
    """A step in which drag grows more than twofold widens its force like ten small ones, within a factor of two."""
    x = state(80e3, 7000.0)
    x[6:] = drag_acceleration(x[:6], 8000.0)
    whole = move(x, 1.0, REENTRY)[2]
    total = np.zeros((9, 9))
    for _ in range(10):
        x, f, q = move(x, 0.1, REENTRY)
        total = f @ total @ f.T + q
    assert 0.5 < whole[6, 6] / total[6, 6] < 2.0


def test_drag_stays_against_the_velocity_that_gravity_turns() -> None:
    x = state(25e3, 1000.0)
    x[6:] = drag_acceleration(x[:6], 8000.0)
    after, _, _ = move(x, 5.0, REENTRY)
    before, now, force = (each / np.linalg.norm(each) for each in (x[3:6], after[3:6], after[6:]))
    turned, off = np.linalg.norm(np.cross(before, now)), np.linalg.norm(np.cross(force, now))
    assert turned > 0.02  # rad
    assert off < 0.02 * turned


@pytest.mark.parametrize("model", [BOOST, STAGING, COAST])
@both_ways(move)
def test_the_transition_matrix_is_the_derivative_of_the_motion(model: int) -> None:
    x = state(60e3, 1500.0, np.array([10.0, -15.0, 20.0]))
    _, f, q = move(x, 1.0, model)
    step = np.array([10.0] * 3 + [0.1] * 3 + [0.01] * 3)
    columns = [(move(x + d, 1.0, model)[0] - move(x - d, 1.0, model)[0]) / (2.0 * d.sum()) for d in np.diag(step)]
    np.testing.assert_allclose(f, np.column_stack(columns), atol=2e-3)
    assert np.linalg.eigvalsh(q).min() >= -1e-12


@pytest.mark.parametrize("model", [REENTRY, GLIDE])
def test_in_air_the_transition_matrix_carries_an_error_of_the_force(model: int) -> None:
    """To velocity and position as the growing force does: what the force itself owes to the path is left out."""
    x = state(45e3, 3000.0)
    x[6:] = drag_acceleration(x[:6], 8000.0)
    _, f, q = move(x, 1.0, model)
    for i in range(3):
        d = 0.01 * np.eye(9)[6 + i]
        slope = (move(x + d, 1.0, model)[0] - move(x - d, 1.0, model)[0]) / 0.02
        np.testing.assert_allclose(f[:6, 6 + i], slope[:6], atol=0.02)
    assert np.linalg.eigvalsh(q).min() >= -1e-9


def test_process_noise_adds_up_over_steps() -> None:
    """Two steps of half a second widen a covariance as one of a second."""
    x = state(60e3, 1500.0, np.array([10.0, -15.0, 20.0]))
    _, f, q = move(x, 1.0, STAGING)
    half, g, r = move(x, 0.5, STAGING)
    _, h, s = move(half, 0.5, STAGING)
    scale = np.sqrt(np.outer(np.diag(q), np.diag(q)))
    np.testing.assert_allclose((h @ r @ h.T + s) / scale, q / scale, atol=0.05)
    np.testing.assert_allclose(h @ g, f, atol=2e-3)


def test_air_begins_to_matter_between_space_and_the_stratosphere() -> None:
    assert air_share(state(200e3, 3000.0)[:6]) == 0.0
    assert air_share(state(50e3, 1500.0)[:6]) == 1.0
    drag, spread = usual_drag(state(50e3, 1500.0)[:6])
    assert math.sqrt(np.trace(spread)) == pytest.approx(0.31 * np.linalg.norm(drag), rel=0.01)


def test_a_glide_may_turn_where_a_fall_may_not() -> None:
    x = state(40e3, 3000.0)
    x[6:] = drag_acceleration(x[:6], 8000.0)
    assert move(x, 1.0, GLIDE)[2][6, 6] > 100.0 * move(x, 1.0, REENTRY)[2][6, 6]


def rising(tilt_rad: float, thrust_m_s2: float = 30.0, speed_m_s: float = 1500.0) -> Float:
    """At 60 km, thrust along the velocity, so far from the vertical."""
    x = state(60e3, speed_m_s)
    up = x[:3] / np.linalg.norm(x[:3])
    level = np.cross(up, [0.0, 0.0, 1.0])
    along = math.cos(tilt_rad) * up + math.sin(tilt_rad) * level / np.linalg.norm(level)
    return np.concatenate([x[:3], speed_m_s * along, thrust_m_s2 * along])


def widths(x: Float, model: int) -> tuple[float, float, float]:
    """Of the thrust after a second: variance along it, and on the two axes across it, m2/s4."""
    q, along = move(x, 1.0, model)[2][6:, 6:], x[6:] / np.linalg.norm(x[6:])
    one = np.cross(along, [0.0, 0.0, 1.0])
    one /= np.linalg.norm(one)
    other = np.cross(along, one)
    return float(along @ q @ along), float(one @ q @ one), float(other @ q @ other)


def test_thrust_that_has_turned_may_turn_on() -> None:
    """Taken to wander alike in every direction, and six times as much, it left velocities in boost off by 11 m/s for 7."""
    along, *across = widths(rising(0.02), BOOST)
    turned_along, *turned = widths(rising(1.0), BOOST)
    assert across == pytest.approx([across[0]] * 2, rel=1e-9)
    assert turned == pytest.approx([turned[0]] * 2, rel=1e-9)
    assert along == pytest.approx(turned_along, rel=0.01)
    assert across[0] < 0.5 * along
    turn_m_s3 = 30.0 * math.sin(1.0) * 30.0 / 1500.0
    assert turned[0] - across[0] == pytest.approx(0.4 * turn_m_s3**2, rel=0.05)


@pytest.mark.parametrize("model", [BOOST, STAGING])
def test_thrust_of_no_known_direction_may_change_in_any(model: int) -> None:
    """One line of sight tells little of the thrust: along an estimate that is mostly its prior, headings were 2 sigma wrong."""
    x = rising(0.1)
    known, halfway, unknown = (np.diag(move(x, 1.0, model, doubt)[2])[6:].sum() for doubt in (0.0, 900.0, 1e6))
    assert unknown == pytest.approx(3.0 * widths(x, model)[0], rel=0.01)
    assert halfway == pytest.approx(0.5 * (known + unknown), rel=0.01)


def test_a_change_of_stage_changes_the_size_of_thrust_rather_than_its_direction() -> None:
    along, *across = widths(rising(0.5), STAGING)
    assert math.sqrt(along) > 20.0
    assert across == pytest.approx([0.1 * along] * 2, rel=0.01)
    out = rising(0.5, thrust_m_s2=1.0)  # burnt out: the next stage's thrust may be on any axis
    assert widths(out, STAGING) == pytest.approx([along] * 3, rel=0.05)
