"""The slow, obvious twins of the physics kernels: plain numpy and scipy, no code in common with them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import solve_ivp

Float = NDArray[np.float64]

GM, A, J2, OMEGA = 3.986004418e14, 6378137.0, 1.0826261e-3, 7.292115e-5


def free_flight(state: Float, seconds: float) -> Float:
    """DOP853 at 1e-12 with point mass, J2 and the rotating frame, written from the potential's gradient."""
    spin = np.array([0.0, 0.0, OMEGA])

    def rate(_: float, y: Float) -> Float:
        r, v = y[:3], y[3:]
        d = np.linalg.norm(r)
        point = -GM * r / d**3
        oblate = -1.5 * J2 * GM * A**2 / d**5 * (r * (1.0 - 5.0 * r[2] ** 2 / d**2) + np.array([0.0, 0.0, 2.0 * r[2]]))
        inertial = -2.0 * np.cross(spin, v) - np.cross(spin, np.cross(spin, r))
        return np.concatenate([v, point + oblate + inertial])

    done = solve_ivp(rate, (0.0, seconds), state, method="DOP853", rtol=1e-12, atol=1e-9)
    out: Float = done.y[:, -1]
    return out


def jacobi(state: Float) -> float:
    """The Jacobi integral, J/kg: constant in free flight seen from the turning Earth."""
    r, v = state[:3], state[3:]
    d = float(np.linalg.norm(r))
    potential = -GM / d * (1.0 - J2 * (A / d) ** 2 * (1.5 * (r[2] / d) ** 2 - 0.5))
    return float(0.5 * v @ v + potential - 0.5 * OMEGA**2 * (r[0] ** 2 + r[1] ** 2))
