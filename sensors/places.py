"""What a national tracker says of the ground: where its track was launched from, and where it will come down, with covariance.

The kernels are those of fusion (`physics.origin`, `physics.fall`). A nation knows more than its reports tell: the drag that its
filter has found, which gives the ballistic coefficient in re-entry, and every estimate since the first, of which the surest
launch is kept. A single line of sight gives a launch point and a heading with a long ellipse; nothing here makes it shorter.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from physics.constants import USUAL_BETA_KG_M2, USUAL_BETA_SIGMA
from physics.fall import GROUND_OK, impact
from physics.ground import Spread, ellipse
from physics.motion import drag_acceleration
from physics.origin import launch_origin

Float = NDArray[np.float64]

_FELT_M_S2: Final = 0.5  # drag that a filter can measure
_LEAST_SIGMA: Final = 0.03
_FALL_MOST_S: Final = 7200.0


class GroundPoint(NamedTuple):
    """A point on the ground, rad, its spread, m2, and when an object is or was there, ns since the epoch, with one sigma, s."""

    lat_rad: float
    lon_rad: float
    spread: Spread
    at_ns: int
    sigma_s: float

    @property
    def area_m2(self) -> float:
        """Of the ellipse, but for a factor: to compare two."""
        major, minor, _ = ellipse(self.spread)
        return major * minor


def launch_point(at_ns: int, state: Float, cov: Float, boost: float) -> GroundPoint | None:
    """Where an object of this state (6,), covariance (6, 6) and probability of boost left the ground; None where it never did."""
    origin = launch_origin(state, cov, boost, USUAL_BETA_KG_M2, USUAL_BETA_SIGMA)
    if origin is None or not math.isfinite(origin.back_s + origin.sigma_s + sum(origin.spread)):
        return None
    return GroundPoint(origin.lat_rad, origin.lon_rad, origin.spread, at_ns - int(origin.back_s * 1e9), origin.sigma_s)


def impact_point(at_ns: int, state: Float, cov: Float, beta: tuple[float, float]) -> GroundPoint | None:
    """Where it will come down, in free flight with a ballistic coefficient, kg/m2, and sigma of its logarithm; None if never."""
    status, fall_s, sigma_s, lat, lon, spread = impact(state, cov, *beta, _FALL_MOST_S)
    if status != GROUND_OK or not math.isfinite(sigma_s + sum(spread)):
        return None
    return GroundPoint(lat, lon, spread, at_ns + int(fall_s * 1e9), sigma_s)


def felt_beta(x: Float, cov: Float) -> tuple[float, float]:
    """Ballistic coefficient and sigma of its logarithm by the force that a filter has found: state (9,), covariance (9, 9)."""
    speed = math.sqrt(float(x[3:6] @ x[3:6]))
    along = -x[3:6] / max(speed, 1.0)
    force, sigma = float(along @ x[6:]), math.sqrt(max(float(along @ cov[6:, 6:] @ along), 0.0))
    if force < _FELT_M_S2 or sigma > USUAL_BETA_SIGMA * force:
        return USUAL_BETA_KG_M2, USUAL_BETA_SIGMA
    unit = drag_acceleration(x[:6], 1.0)
    return math.sqrt(float(unit @ unit)) / force, max(sigma / force, _LEAST_SIGMA)
