"""The slow, obvious twins of the sensors' kernels: textbook formulas in plain numpy."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from bus.release import Nation
from sensors.policy import Facts, Policy

Float = NDArray[np.float64]


def schmidt_update(
    x: Float, cov: Float, cross: Float, rows: Float, z: Float, noise: Float, bias: Float, columns: list[int]
) -> tuple[Float, Float, Float, float]:
    """One measurement rows @ (position + bias @ b) of one model, with the unit biases b in an augmented state whose gain is zero.

    `columns` are those of `cross` that the columns of `bias` stand for.

    State (9,), covariance, covariance with the biases, and log-likelihood, by the full matrices of the augmented state.
    """
    n = cross.shape[1]
    whole = np.block([[cov, cross], [cross.T, np.eye(n)]])
    h = np.zeros((len(rows), 9 + n))
    h[:, :3] = rows
    h[:, 9 + np.array(columns)] = rows @ bias
    s = h @ whole @ h.T + noise
    gain = whole @ h.T @ np.linalg.inv(s)
    gain[9:] = 0.0
    d = rows @ z - rows @ x[:3]
    keep = np.eye(9 + n) - gain @ h
    after = keep @ whole @ keep.T + gain @ noise @ gain.T
    like = -0.5 * (d @ np.linalg.inv(s) @ d + np.log(np.linalg.det(s)))
    return x + gain[:9] @ d, after[:9, :9], after[:9, 9:], float(like)


def across(sight: Float) -> Float:
    """Two unit vectors (2, 3) across a line of sight."""
    axis = np.eye(3)[np.argmin(np.abs(sight))]
    one = np.cross(sight, axis) / np.linalg.norm(np.cross(sight, axis))
    return np.stack([one, np.cross(sight, one)])


def every_marginal(odds: Float) -> Float:
    """Association probabilities (tracks, detections) by enumerating every joint hypothesis."""
    tracks, detections = odds.shape
    out, total = np.zeros_like(odds), 0.0
    for choice in itertools.product(range(-1, detections), repeat=tracks):
        taken = [k for k in choice if k >= 0]
        if len(set(taken)) < len(taken):
            continue
        weight = float(np.prod([odds[i, k] for i, k in enumerate(choice) if k >= 0]))
        total += weight
        for i, k in enumerate(choice):
            if k >= 0:
                out[i, k] += weight
    return out / total


def decision(policy: Policy, facts: Facts, to: Nation) -> tuple[bool, float | None, str]:
    """Whether a report may reach a recipient, how late, and by which rule: the rules as the text of `sensors.policy` has them."""
    for index, rule in enumerate(policy.rules):
        if to not in rule.to:
            continue
        answers: list[bool | None] = []
        if rule.sensors is not None:
            named = [sensor in rule.sensors for sensor in facts.sensors or ()]
            answers.append((all(named) if rule.allow else any(named)) if named else None)
        if rule.classes is not None:
            answers.append(True if facts.range_class in rule.classes else None if facts.range_class == "unknown" else False)
        if rule.phases is not None:
            answers.append(None if facts.phase is None else facts.phase in rule.phases)
        if rule.region is not None:
            known = math.isfinite(facts.lat_deg) and math.isfinite(facts.lon_deg)
            (south, north), (west, east) = rule.region.lat_deg, rule.region.lon_deg
            width = Fraction(east) - Fraction(west) if east >= west else (Fraction(east) - Fraction(west)) % 360
            answers.append(
                south <= facts.lat_deg <= north and (Fraction(facts.lon_deg) - Fraction(west)) % 360 <= width if known else None
            )
        if all(answers):
            return (
                rule.allow,
                (policy.delay_s if rule.delay_s is None else rule.delay_s) if rule.allow else None,
                policy.name(index),
            )
        if not rule.allow and False not in answers:
            return False, None, policy.name(index)
    return False, None, ""
