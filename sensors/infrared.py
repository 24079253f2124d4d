"""What an infrared satellite sees in one scan, and with what signal: lines of sight to burning plumes, never a distance.

- It sees plumes above the cloud break that the Earth does not hide; after burnout there is nothing to see.
- Signal-to-noise is the plume's radiant intensity over what its noise equals, by the square of the distance. A plume is detected
  where signal and unit Gaussian noise cross the threshold.
- Accuracy: a pixel over the signal-to-noise ratio, never below the floor of pointing (Stanton, Alexander, Dennison, Glavich and
  Hovland, Optical tracking using charge-coupled devices, Optical Engineering 26(9), 1987: a centroid's error falls with the
  signal).
"""

from __future__ import annotations

import math
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from physics.compile import jit
from physics.constants import EARTH_A_M
from physics.frames import altitude_m
from sensors.instruments import Infrared

Float = NDArray[np.float64]
Mask = NDArray[np.bool_]

_REFERENCE_M: Final = 38e6
_LIMB_BELOW_M: Final = 22e3  # the Earth is a sphere of the equatorial radius less the flattening


class InfraredEye:
    """One satellite over an exercise."""

    looks_an_interval = 1

    def __init__(self, satellite: Infrared) -> None:
        self.cell_m, self.beam_rad = math.inf, satellite.pixel_urad / 1e6
        self.bias_sigma = np.array([0.0, satellite.angle_bias_urad / 1e6])
        self.threshold = satellite.threshold
        self.site = satellite.position
        self.axis = np.array([0.0, 0.0, 1.0])
        self._satellite = satellite

    def move_to(self, since_s: float) -> None:
        """Stand still: geostationary."""

    def look(self) -> Literal["all"]:
        """What the next instant is for."""
        return "all"

    def geometry(self, states: Float) -> Float:
        """What `visible` and `powers` ask for: the states themselves."""
        return states

    def visible(self, states: Float) -> Mask:
        """Which of the states (n, 6), NaN where not in flight, are above the clouds and not behind the Earth."""
        return _in_view(self.site, states, self._satellite.cloud_break_km * 1e3)

    def powers(self, states: Float, plume_w_sr: Float, luck: Float, may: Mask) -> Float:
        """Signal-to-noise ratio (n,) of what this scan detects, 0 where nothing; `luck` (n,) is uniform in (0, 1)."""
        distance2 = ((states[:, :3] - self.site) ** 2).sum(axis=1)
        signal = plume_w_sr / (self._satellite.noise_kw_sr * 1e3) * _REFERENCE_M**2 / distance2
        measured = np.where(may & (plume_w_sr > 0.0), signal + ndtri(luck), 0.0)
        return np.where(measured > self.threshold, measured, 0.0)

    def sigmas(self, powers: Float) -> Float:
        """One-sigma noise (n, 2): none of the distance, which is not measured, and of each angle, rad."""
        angle = np.hypot(self.beam_rad / powers, self._satellite.angle_floor_urad / 1e6)
        return np.stack([np.zeros_like(angle), angle], axis=1)


@jit
def _in_view(satellite_m: Float, states: Float, cloud_break_m: float) -> Mask:
    out = np.zeros(states.shape[0], np.bool_)
    for i in range(states.shape[0]):
        if np.isfinite(states[i, 0]) and altitude_m(states[i, :3]) > cloud_break_m:
            out[i] = not earth_hides(satellite_m, states[i, :3])
    return out


@jit
def earth_hides(satellite_m: Float, point_m: Float) -> bool:
    """Whether the Earth stands between a satellite and a point (3,), ECEF m."""
    along = point_m - satellite_m
    share = -(satellite_m * along).sum() / (along * along).sum()
    nearest = satellite_m + min(max(share, 0.0), 1.0) * along
    return bool((nearest * nearest).sum() < (EARTH_A_M - _LIMB_BELOW_M) ** 2)
