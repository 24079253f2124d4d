"""The slow, obvious twins of the physics kernels: plain numpy and scipy, no code in common with them."""

from __future__ import annotations

import numpy as np
import pymap3d
from numpy.typing import NDArray
from scipy.integrate import solve_ivp

Float = NDArray[np.float64]

GM, A, J2, OMEGA = 3.986004418e14, 6378137.0, 1.0826261e-3, 7.292115e-5


def acceleration(y: Float, j2: float = J2, spin_rad_s: float = OMEGA) -> Float:
    """Point mass, oblateness and the rotating frame, written from the potential's gradient."""
    r, v, spin = y[:3], y[3:], np.array([0.0, 0.0, spin_rad_s])
    d = np.linalg.norm(r)
    point = -GM * r / d**3
    oblate = -1.5 * j2 * GM * A**2 / d**5 * (r * (1.0 - 5.0 * r[2] ** 2 / d**2) + np.array([0.0, 0.0, 2.0 * r[2]]))
    inertial = -2.0 * np.cross(spin, v) - np.cross(spin, np.cross(spin, r))
    total: Float = point + oblate + inertial
    return total


def free_flight(state: Float, seconds: float, *, j2: float = J2, spin_rad_s: float = OMEGA) -> Float:
    """DOP853 at 1e-12 without air; without oblateness or rotation where they are given as 0."""

    def rate(_: float, y: Float) -> Float:
        return np.concatenate([y[3:], acceleration(y, j2, spin_rad_s)])

    done = solve_ivp(rate, (0.0, seconds), state, method="DOP853", rtol=1e-12, atol=1e-9)
    out: Float = done.y[:, -1]
    return out


def _height_m(r: Float) -> float:
    return float(pymap3d.ecef2geodetic(*r)[2])


def density_kg_m3(alt_m: float) -> float:
    """US Standard Atmosphere 1976 by integrating the hydrostatic equation layer by layer; to 84.852 km geopotential."""
    bases = [0.0, 11e3, 20e3, 32e3, 47e3, 51e3, 71e3, 84_852.0]
    lapses = [-6.5e-3, 0.0, 1e-3, 2.8e-3, 0.0, -2.8e-3, -2e-3]
    gas, g0, height = 287.05287, 9.80665, 6_356_766.0 * alt_m / (6_356_766.0 + alt_m)
    kelvin, log_pascal = 288.15, np.log(101_325.0)
    for low, high, lapse in zip(bases, bases[1:], lapses, strict=False):
        rise = min(height, high) - low
        if rise <= 0.0:
            break
        if lapse == 0.0:
            log_pascal -= g0 * rise / (gas * kelvin)
        else:
            log_pascal -= g0 / (gas * lapse) * np.log1p(lapse * rise / kelvin)
        kelvin += lapse * rise
    return float(np.exp(log_pascal)) / (gas * kelvin) if height <= bases[-1] else 0.0


def drag(y: Float, beta_kg_m2: float) -> Float:
    """Acceleration of drag, m/s2."""
    return -0.5 * density_kg_m3(max(_height_m(y[:3]), 0.0)) * float(np.linalg.norm(y[3:])) / beta_kg_m2 * y[3:]


def _falling(y: Float, beta_kg_m2: float) -> Float:
    return np.concatenate([y[3:], acceleration(y) + drag(y, beta_kg_m2)])


def fallen(state: Float, seconds: float, beta_kg_m2: float) -> Float:
    """State after so many seconds of falling through the air: DOP853."""
    done = solve_ivp(lambda _, y: _falling(y, beta_kg_m2), (0.0, seconds), state, method="DOP853", rtol=1e-9, atol=1e-6)
    return np.asarray(done.y[:, -1])


def fall(state: Float, beta_kg_m2: float) -> tuple[float, Float]:
    """Seconds and state at height 0 on the ellipsoid, falling through the air: DOP853 with its event."""

    def rate(_: float, y: Float) -> Float:
        return _falling(y, beta_kg_m2)

    def ground(_: float, y: Float) -> float:
        return _height_m(y[:3])

    ground.terminal, ground.direction = True, -1.0  # type: ignore[attr-defined]  # scipy reads them off the function
    done = solve_ivp(rate, (0.0, 9000.0), state, method="DOP853", rtol=1e-9, atol=1e-6, max_step=20.0, events=ground)
    assert done.t_events is not None
    assert done.y_events is not None
    return float(done.t_events[0][0]), np.asarray(done.y_events[0][0])


def jacobi(state: Float) -> float:
    """The Jacobi integral, J/kg: constant in free flight seen from the turning Earth."""
    r, v = state[:3], state[3:]
    d = float(np.linalg.norm(r))
    potential = -GM / d * (1.0 - J2 * (A / d) ** 2 * (1.5 * (r[2] / d) ** 2 - 0.5))
    return float(0.5 * v @ v + potential - 0.5 * OMEGA**2 * (r[0] ** 2 + r[1] ** 2))
