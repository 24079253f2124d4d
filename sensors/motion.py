"""The national filter's models of motion: boost, a change of stage, coast, re-entry and glide. Kernels on one state.

State (9,): ECEF position m, velocity m/s, and specific force m/s2: all that accelerates but gravity. What it is differs by model:

- BOOST: thrust (less drag). Its size grows as mass burns away at a constant exhaust speed, |f|^2 / c (the rocket equation), and
  it wanders with white jerk (Li and Jilkov, Survey of maneuvering target tracking, part II, SPIE 4473, 2001): in size as much as
  that growth, in direction as fast as it has turned from the vertical so far. A lofted path hardly turns, a low one does.
- STAGING: the same for the seconds in which thrust may become any other: a stage burns out, the next one lights. It changes its
  size, hardly its direction.
- COAST: none. Free flight in vacuum.
- REENTRY: drag and lift, which grow and fade with the dynamic pressure along the path and wander in proportion; also on the way
  up after a low burnout. It begins as the drag of a usual ballistic coefficient, give or take a third.
- GLIDE: the same for a body that lifts: the force may become several times its drag, in any direction, in seconds.

Whether coast or one of the last two holds is a matter of how much air there is: `air_share`.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from physics.atmosphere import air
from physics.compile import jit
from physics.constants import USUAL_BETA_KG_M2, USUAL_BETA_SIGMA
from physics.frames import quick_altitude_m
from physics.motion import ballistic_acceleration, drag_acceleration
from physics.propagate import propagate_one, short_transition

Float = NDArray[np.float64]

BOOST, STAGING, COAST, REENTRY, GLIDE = 0, 1, 2, 3, 4  # those under power before COAST, those in air after it
MODELS = 5
_EXHAUST_M_S = 2500.0  # of solid and storable liquid motors alike, within 15 percent
LEAST_THRUST_M_S2, MOST_THRUST_M_S2 = 5.0, 200.0  # outside, it is an error of the estimate, and must not feed on itself
_WANDER_S = 0.02  # s: thrust wanders as white jerk of the rocket equation's own size, |f|^2 / c, this long correlated
_TURN_S = 0.4  # s: and across itself as white jerk of the size of its turn so far, this long correlated
_MOST_TURN = 0.1  # 1/s: of a slow rocket, whose thrust is over its speed at once
_JERK_PSD, _TURN_PSD = 0.004, 0.002  # m2/s5: the least of either
_STAGING_PSD, _STAGING_TURN_PSD = 600.0, 60.0  # m2/s5: thrust becomes any other in seconds
_COAST_PSD = 1e-9  # m2/s3: what the ballistic model leaves out
_GLIDE_SHARE = 0.7  # how lift wanders in a second, as a share of drag
_WANDER_SHARE = 0.005  # how drag wanders in a second, as a share of itself
_NO_DRAG_M_S2, _SOME_DRAG_M_S2 = 0.0003, 0.001  # drag of a usual body where the air begins to matter, and where it does
_LEAST_FORCE2 = 1e-12  # (m/s2)2: no force at all has no direction
_REST_VAR = 1e-6  # (m/s2)2 of the force in coast, where there is none: keeps covariances regular
_STRONG_M_S2, _STRONG_STEP_S = 1.0, 0.2
_SMALL_POWER = 1e-4  # below it, series: differences of exponentials would round away
_MOST_RATE = 2.0  # 1/s: dynamic pressure changes no faster


@jit
def air_share(state: Float) -> float:
    """0 in vacuum, 1 where drag matters, between them where it begins to."""
    drag = drag_acceleration(state, USUAL_BETA_KG_M2)
    size = math.sqrt((drag * drag).sum())
    share: float = min(max((size - _NO_DRAG_M_S2) / (_SOME_DRAG_M_S2 - _NO_DRAG_M_S2), 0.0), 1.0)
    return share


@jit
def usual_drag(state: Float) -> tuple[Float, Float]:
    """Drag (3,) m/s2 of a usual body and its covariance (3, 3): what a model in air begins with."""
    drag = drag_acceleration(state, USUAL_BETA_KG_M2)
    floor = (0.1 * _NO_DRAG_M_S2) ** 2
    return drag, USUAL_BETA_SIGMA**2 * np.outer(drag, drag) + floor * np.eye(3)


@jit
def _pressure(state: Float) -> float:
    """Twice the dynamic pressure of a state (6,), Pa: what drag and lift are in proportion to."""
    density: float = air(quick_altitude_m(state[:3]))[0]
    pressure: float = density * (state[3] * state[3] + state[4] * state[4] + state[5] * state[5])
    return pressure


@jit
def _pressure_rate(state: Float, force: Float, dt_s: float) -> float:
    """Relative change of the dynamic pressure, 1/s, as the mean over dt_s of flight under a force (3,) m/s2."""
    after = state.copy()
    pull = ballistic_acceleration(state) + force
    after[:3] += dt_s * state[3:] + 0.5 * dt_s * dt_s * pull
    after[3:] += dt_s * pull
    first, last = _pressure(state), _pressure(after)
    if not (first > 0.0 and last > 0.0):
        return 0.0
    return min(max(math.log(last / first) / dt_s, -_MOST_RATE), _MOST_RATE)


@jit
def _growth(state: Float, force: Float, model: int, dt_s: float) -> tuple[float, Float]:
    """How the force grows over dt_s, 1/s, and what that growth owes to the force itself: force by its gradient (3, 3), 1/s."""
    if model > COAST:
        return _pressure_rate(state, force, dt_s), np.zeros((3, 3))
    size = math.sqrt((force * force).sum())
    if model == COAST or not LEAST_THRUST_M_S2 < size < MOST_THRUST_M_S2:
        return 0.0, np.zeros((3, 3))
    return size / _EXHAUST_M_S, np.outer(force, force) / (size * _EXHAUST_M_S)


@jit
def _grown(rate: float, t: float) -> tuple[float, float, float]:
    """What a force that grows by exp(rate t) has become after t s, and its integrals to velocity and to position."""
    power = rate * t
    if abs(power) < _SMALL_POWER:
        return 1.0 + power, t * (1.0 + power / 2.0), t * t * (0.5 + power / 6.0)
    grown = math.exp(power)
    return grown, (grown - 1.0) / rate, (grown - 1.0 - power) / (rate * rate)


@jit
def _turn(x: Float) -> float:
    """How fast thrust has turned from the vertical, m/s3: its horizontal part over the time of flight, some speed / thrust."""
    across = x[6:] - (x[6:] * x[:3]).sum() / (x[:3] * x[:3]).sum() * x[:3]
    size, speed = math.sqrt((x[6:] ** 2).sum()), math.sqrt((x[3:6] ** 2).sum())
    turn: float = math.sqrt((across * across).sum()) * min(size / max(speed, 1.0), _MOST_TURN)
    return turn


@jit
def _wander(x: Float, model: int, doubt: float) -> tuple[float, float, float]:
    """Power spectral densities of the force's own change along itself and across, m2/s5, and of the acceleration, m2/s3.

    Along is where the estimate says: as much of it as that is in `doubt` (variance of the force, m2/s4) may be across.
    """
    size2 = (x[6:] ** 2).sum()
    if model > COAST:
        share = _GLIDE_SHARE if model == GLIDE else _WANDER_SHARE
        drag = drag_acceleration(x[:6], USUAL_BETA_KG_M2)
        psd = share**2 * ((drag * drag).sum() + size2)
        return psd, psd, _COAST_PSD
    if model == COAST:
        return 0.0, 0.0, _COAST_PSD
    if model == STAGING:
        along, across = _STAGING_PSD, _STAGING_TURN_PSD
    else:
        along = _JERK_PSD + _WANDER_S * (min(size2, MOST_THRUST_M_S2**2) / _EXHAUST_M_S) ** 2
        across = _TURN_PSD + _TURN_S * _turn(x) ** 2
    known = size2 / (size2 + doubt) if size2 > LEAST_THRUST_M_S2**2 else 0.0  # what hardly pushes has no direction
    return along, known * across + (1.0 - known) * max(along, across), 0.0


@jit
def move(x: Float, dt_s: float, model: int, doubt: float = 0.0) -> tuple[Float, Float, Float]:
    """State (9,) after `dt_s` >= 0 seconds by a model, its transition matrix (9, 9) and its process noise (9, 9).

    `doubt` is the variance of the state's force, m2/s4, its three axes added: of thrust whose direction is not known.
    """
    steps = 1
    if model > COAST and (x[6:] ** 2).sum() > _STRONG_M_S2**2:  # drag may grow threefold in a second
        steps = 1 + int(dt_s / _STRONG_STEP_S)
    out, f, q = _step(x, dt_s / steps, model, doubt)
    for _ in range(1, steps):
        out, g, r = _step(out, dt_s / steps, model, doubt)
        f = g @ f
        q = g @ q @ g.T + r
    return out, f, q


@jit
def _step(x: Float, dt_s: float, model: int, doubt: float) -> tuple[Float, Float, Float]:
    """`move` over a span in which the force changes little."""
    t = dt_s
    rate, own = _growth(x[:6], x[6:], model, t)
    grown, to_velocity, to_position = _grown(rate, t)
    held = 0.0 if model == COAST else 1.0
    out, f, q = np.zeros(9), np.zeros((9, 9)), np.zeros((9, 9))
    out[:6] = propagate_one(x[:6], t)
    f[:6, :6] = short_transition(x[:6], t)
    along, across, noise = _wander(x, model, doubt)
    size2 = max((x[6:] ** 2).sum(), _LEAST_FORCE2)
    for i in range(3):
        force = held * x[6 + i]
        out[i] += force * to_position
        out[3 + i] += force * to_velocity
        out[6 + i] = force * grown
        for j in range(3):
            unit = held if i == j else 0.0
            f[i, 6 + j] = unit * to_position + own[i, j] * t**3 / 6.0
            f[3 + i, 6 + j] = unit * to_velocity + own[i, j] * t * t / 2.0
            f[6 + i, 6 + j] = unit * grown + own[i, j] * t
            same = 1.0 if i == j else 0.0
            jerk = 0.5 * (1.0 + grown * grown) * (across * same + (along - across) * (x[6 + i] * x[6 + j]) / size2)
            q[i, j] = jerk * t**5 / 20.0 + same * noise * t**3 / 3.0
            q[3 + i, 3 + j] = jerk * t**3 / 3.0 + same * noise * t
            q[6 + i, 6 + j] = jerk * t + same * (1.0 - held) * _REST_VAR
            q[i, 3 + j] = q[3 + j, i] = jerk * t**4 / 8.0 + same * noise * t * t / 2.0
            q[i, 6 + j] = q[6 + j, i] = jerk * t**3 / 6.0
            q[3 + i, 6 + j] = q[6 + j, 3 + i] = jerk * t * t / 2.0
    if model > COAST:  # drag stays against the velocity, which gravity turns
        before, after = math.sqrt((x[3:6] ** 2).sum()), math.sqrt((out[3:6] ** 2).sum())
        if before > 0.0 and after > 0.0:
            along = (out[6:] * x[3:6]).sum() / before
            for i in range(3):
                out[6 + i] += along * (out[3 + i] / after - x[3 + i] / before)
    return out, f, q
