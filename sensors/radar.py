"""What a radar sees in one look, and with what signal. Range, azimuth and elevation; no noise, no bias, no tracks.

- Reach: its face, its range, and its horizon; refraction bends rays as if the Earth were 4/3 as large (Skolnik, Introduction to
  Radar Systems, 3rd edition, section 8.2).
- Signal-to-noise falls with the fourth power of range and grows with the cross-section, 13 dB for 1 m2 at the catalogue's range.
- Detection: Swerling I, one look. The power of signal and noise is exponential with mean 1 + SNR, so that the probability of
  crossing a threshold that noise alone crosses with Pfa is Pfa^(1 / (1 + SNR)) (Swerling 1960; Skolnik, section 2.8).
- Accuracy: range resolution / sqrt(2 SNR), beam / (1.6 sqrt(2 SNR)) (Curry, Radar System Performance Modeling, 2nd edition, 2005,
  chapter 8), never below the instrument's floor.
- Looks: the search beam passes each part of the face once a search. What it detects is looked at again VERIFY_LOOKS times in
  quick succession, before it has moved as far as its neighbour, and then every track interval, until LOST_LOOKS in a row show
  nothing.
"""

from __future__ import annotations

import math
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from physics.compile import jit
from physics.constants import EARTH_MEAN_RADIUS_M
from physics.frames import enu_matrix, geodetic_to_ecef, range_az_el
from sensors.instruments import Radar

Float = NDArray[np.float64]
Mask = NDArray[np.bool_]
Look = Literal["all", "verify"]

LOST_LOOKS: Final = 3
VERIFY_LOOKS: Final = 4
VERIFY_SHARE: Final = 5  # short looks in a track interval
_REFRACTION: Final = 4.0 / 3.0
_REFERENCE_SNR: Final = 10.0**1.3
_MONOPULSE: Final = 1.6


class RadarEye:
    """One radar over an exercise of `n` launches: where it stands, and which launches have looks of their own."""

    looks_an_interval = VERIFY_SHARE

    def __init__(self, radar: Radar, n: int) -> None:
        self.cell_m, self.beam_rad = radar.cell_m, math.radians(radar.beam_deg)
        self.bias_sigma = np.array([radar.range_bias_m, radar.angle_bias_mrad / 1e3])
        self.threshold = -math.log(radar.false_alarm)  # power, in units of the noise
        self._radar = radar
        self._slots = max(1, round(radar.search_s / radar.track_s))
        self._looks = 0
        self._tracked = np.zeros(n, np.bool_)
        self._missed = np.zeros(n, np.int64)
        self._verify = np.zeros(n, np.int64)  # short looks still to come
        self._placed = False
        self.move_to(0.0)

    def move_to(self, since_s: float) -> None:
        """Be where the radar is so many seconds into the exercise."""
        if self._placed and not self._radar.path:
            return
        lat, lon = self._radar.place_at(since_s)
        self.site, self._enu = geodetic_to_ecef(lat, lon, self._radar.height_m), enu_matrix(lat, lon)
        self.axis = self._enu[2].copy()
        self._placed = True

    def geometry(self, states: Float) -> Float:
        """`look` from where it stands: what `visible` and `powers` ask for."""
        return look(self.site, self._enu, states)

    def visible(self, seen: Float) -> Mask:
        """Which of what stands in this geometry (n, 3), NaN where not in flight, is in its reach."""
        radar = self._radar
        face: Mask = (
            (seen[:, 0] <= radar.range_km * 1e3)
            & (seen[:, 2] >= math.radians(radar.el_min_deg))
            & (seen[:, 2] <= math.radians(radar.el_max_deg))
            & (self._across_face(seen) <= 1.0)
        )
        return face

    def _across_face(self, seen: Float) -> Float:
        """Where azimuths stand in the face: 0 at its left edge, 1 at its right, more outside."""
        width = math.radians((self._radar.az_max_deg - self._radar.az_min_deg) % 360.0 or 360.0)
        share: Float = (seen[:, 1] - math.radians(self._radar.az_min_deg)) % (2.0 * math.pi) / width
        return share

    def look(self) -> Look | None:
        """What the next instant is for, VERIFY_SHARE of them a track interval; None where nothing is to be looked at."""
        self._looks += 1
        if self._looks % VERIFY_SHARE == 1:
            return "all"
        return "verify" if self._verify.any() else None

    def powers(self, seen: Float, rcs_m2: Float, luck: Float, may: Mask) -> Float:
        """Power (n,) in units of the noise of what this scan detects, 0 where nothing; `luck` (n,) is uniform in (0, 1)."""
        slot = (self._looks - 1) // VERIFY_SHARE % self._slots
        turn = np.floor(np.minimum(np.nan_to_num(self._across_face(seen)), 0.999999) * self._slots) == slot
        searched = (self._tracked | turn) if self._looks % VERIFY_SHARE == 1 else np.zeros_like(turn)
        looked = may & (searched | (self._verify > 0))
        power = np.where(looked, (1.0 + signal_to_noise(self._radar, seen[:, 0], rcs_m2)) * -np.log(luck), 0.0)
        hit = power > self.threshold
        self._verify = np.where(hit & ~self._tracked, VERIFY_LOOKS, np.maximum(self._verify - looked, 0)) * may
        self._missed = np.where(hit, 0, self._missed + looked)
        self._tracked = may & (hit | (self._tracked & (self._missed < LOST_LOOKS)))
        return np.where(hit, power, 0.0)

    def sigmas(self, powers: Float) -> Float:
        """One-sigma noise (n, 2) of range, m, and of each angle, rad, at these powers."""
        root = np.sqrt(2.0 * powers)
        return np.stack(
            [
                np.hypot(self.cell_m / root, self._radar.range_floor_m),
                np.hypot(self.beam_rad / (_MONOPULSE * root), self._radar.angle_floor_mrad / 1e3),
            ],
            axis=1,
        )


def signal_to_noise(radar: Radar, range_m: Float, rcs_m2: Float) -> Float:
    """Mean signal-to-noise ratio of one look, by range, m, and mean cross-section, m2."""
    ratio: Float = _REFERENCE_SNR * rcs_m2 * (radar.one_m2_km * 1e3 / range_m) ** 4
    return ratio


@jit
def apparent_elevation_rad(elevation_rad: float, range_m: float) -> float:
    """Elevation with refraction: the ray rises by the difference of the Earth's curvature and that of an Earth 4/3 as large."""
    return elevation_rad + range_m * math.cos(elevation_rad) / (2.0 * EARTH_MEAN_RADIUS_M) * (1.0 - 1.0 / _REFRACTION)


@jit
def look(site: Float, enu: Float, states: Float) -> Float:
    """Range m, azimuth rad and apparent elevation rad (n, 3) of states (n, 6) or positions (n, 3); NaN where the state is."""
    out = np.full((states.shape[0], 3), np.nan)
    for i in range(states.shape[0]):
        if np.isfinite(states[i, 0]):
            out[i] = range_az_el(site, enu, states[i])
            out[i, 2] = apparent_elevation_rad(out[i, 2], out[i, 0])
    return out
