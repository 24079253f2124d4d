"""What a national track begins with: one detection, and what is known of any missile. Pure.

Infrared that watches sees a missile first as it comes through the clouds, within a scan. So a plume away from all tracks is as
low and as slow as that, to a few kilometres and some 300 m/s; one beside a track may have parted from what was detected as one
with it, at any height.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from physics.frames import altitude_m
from sensors.detect import ANY_HEIGHT, Scan
from sensors.filter import entered
from sensors.instruments import INFRARED
from sensors.motion import BOOST, MODELS, air_share

Float = NDArray[np.float64]


class Begins(NamedTuple):
    """Velocity and thrust, both upward, and one sigma of each on any axis: m/s and m/s2."""

    climbs_m_s: float
    sigma_m_s: float
    thrust_m_s2: float
    sigma_m_s2: float


# Published flights and the salvo just above the clouds: 360 to 1,020 m/s up, up to 770 across, thrust 19 to 44 m/s2 up, up to 60
# across.
RISING: Final = Begins(630.0, 300.0, 30.0, 25.0)
PARTED: Final = Begins(700.0, 500.0, 25.0, 45.0)


def begun(scan: Scan, k: int, slot: int, slots: int, *, rising: bool) -> tuple[Float, Float, Float, Float]:
    """The filter's models x, cov, cross, mu (`sensors.filter`) of a track of `slots` sensors from one detection of the `slot`-th.

    Position as measured, velocity and thrust with what any missile may have. From a line of sight alone, the height is what it is
    likely to be: that of a plume seen for the first time where it is `rising`; what has parted from another may be anywhere.
    """
    position = scan.position[k]
    up = position / np.linalg.norm(position)
    x = np.zeros(9)
    x[:3] = position
    cov = np.zeros((9, 9))
    if scan.phenomenology == INFRARED:
        sight, begins = scan.sight[k], RISING if rising else PARTED
        height_m, height_sigma_m = scan.first_seen if rising else ANY_HEIGHT
        down = max(0.2, float(-up @ sight))
        x[:3] += (altitude_m(position) - height_m) / down * sight
        cov[:3, :3] = np.linalg.inv(scan.information[k] + np.outer(sight, sight) / (height_sigma_m / down) ** 2)
        x[3:6] = begins.climbs_m_s * up
        cov[3:6, 3:6] = begins.sigma_m_s**2 * np.eye(3)
        x[6:] = begins.thrust_m_s2 * up
        cov[6:, 6:] = begins.sigma_m_s2**2 * np.eye(3)
    else:
        cov[:3, :3] = np.linalg.inv(scan.information[k])
        x[3:6] = 400.0 * up
        cov[3:6, 3:6] = min(600.0 + 0.007 * max(altitude_m(position), 0.0), 3000.0) ** 2 * np.eye(3)  # the higher, the faster
        cov[6:, 6:] = 50.0**2 * np.eye(3)
    cov[:3, :3] += scan.bias[k] @ scan.bias[k].T
    cross = np.zeros((9, 3 * slots + 3))
    cross[:3, 3 * slot : 3 * slot + 3], cross[:3, -3:] = scan.bias[k, :, :3], scan.bias[k, :, 3:]
    boost = 0.9 if scan.phenomenology == INFRARED or altitude_m(position) < 60e3 else 0.4
    air = air_share(x[:6])
    mu = np.array([boost, 0.0, (1.0 - boost) * (1.0 - air), (1.0 - boost) * air, 0.0])
    states, covs, crosses = np.empty((MODELS, 9)), np.empty((MODELS, 9, 9)), np.empty((MODELS, *cross.shape))
    for model in range(MODELS):
        states[model], covs[model], crosses[model] = entered(x, cov, cross, BOOST, model)
    return states, covs, crosses, mu
