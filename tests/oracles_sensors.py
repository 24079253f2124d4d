"""The slow, obvious twins of the filter's kernels: textbook formulas in plain numpy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]


def kalman_update(x: Float, cov: Float, z: Float, noise: Float) -> tuple[Float, Float, float]:
    """State (9,), covariance and log-likelihood after a measured position (3,) with noise covariance (3, 3)."""
    h = np.hstack([np.eye(3), np.zeros((3, 6))])
    s = h @ cov @ h.T + noise
    gain = cov @ h.T @ np.linalg.inv(s)
    d = z - h @ x
    like = -0.5 * (d @ np.linalg.inv(s) @ d + np.log(np.linalg.det(s)))
    return x + gain @ d, (np.eye(9) - gain @ h) @ cov, float(like)


def direction_update(x: Float, cov: Float, z: Float, sight: Float, sigma_m: float) -> tuple[Float, Float]:
    """The same for two measured offsets across a line of sight, by an explicit two-row measurement matrix."""
    axis = np.eye(3)[np.argmin(np.abs(sight))]
    one = np.cross(sight, axis) / np.linalg.norm(np.cross(sight, axis))
    across = np.stack([one, np.cross(sight, one)])
    h = np.hstack([across, np.zeros((2, 6))])
    s = h @ cov @ h.T + sigma_m**2 * np.eye(2)
    gain = cov @ h.T @ np.linalg.inv(s)
    return x + gain @ (across @ (z - x[:3])), (np.eye(9) - gain @ h) @ cov
