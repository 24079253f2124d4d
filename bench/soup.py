"""The job of `bench.contenders` by the components of Stone Soup (https://stonesoup.readthedocs.io), the extra `peers`.

The library's own way to take tracks for measurements: the second feed's go through `Tracks2GaussianDetectionFeeder`, which gives
each the measurement model that its covariance is. `DistanceHypothesiser` with `SquaredMahalanobis` then measures on the sum of
both covariances; gate and cost of a miss are one figure, `missed_distance`. `GNNWith2DAssignment` solves it, and `KalmanUpdater`
with that measurement model fuses by information, as this project does where no sensor is shared. Of what else would fit,
`ChernoffUpdater` intersects with fixed weights, `TrackToTrackCounting` looks at one covariance and not at costs, and
`PDAHypothesiser` would have the assignment add up probabilities: other jobs. No measure keeps an inverse that is used once.

Three associators, as none is the best in every way:

- `all_pairs`, GNNWith2DAssignment: every pair is asked.
- `tpr_tree`, TPRTreeGNN2D: an R-tree of the tracks, so that few are asked. Its box is three standard deviations of the track
  alone, tighter than the gate, and some right pairs are never asked. The less exact feed is in the tree, where fewer are lost.
- `kd_tree`, DetectionKDTreeGNN2D: a kd-tree of the detections, so that few are asked. It takes one measurement model for all,
  that is one covariance for a whole feed. In this sky it is so; of national tracks it is not, and then this cannot be used.

Caches are by object: each run gets objects of its own, or a second would find the first one's work.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from stonesoup.dataassociator.neighbour import GNNWith2DAssignment
from stonesoup.dataassociator.tree import DetectionKDTreeGNN2D, TPRTreeGNN2D
from stonesoup.feeder.track import Tracks2GaussianDetectionFeeder
from stonesoup.hypothesiser.distance import DistanceHypothesiser
from stonesoup.measures import SquaredMahalanobis
from stonesoup.models.measurement.linear import LinearGaussian
from stonesoup.models.transition.linear import LinearGaussianTimeInvariantTransitionModel
from stonesoup.predictor.kalman import KalmanPredictor
from stonesoup.types.state import GaussianState
from stonesoup.types.track import Track
from stonesoup.updater.kalman import KalmanUpdater

from bench.contenders import GATE_D2, Answer, Job, Prepared, Side

_AT: Final = datetime.datetime(2024, 5, 30, tzinfo=datetime.UTC)
_HORIZON: Final = datetime.timedelta(seconds=1)

Associator = Callable[[Any, Any, Any], Any]


def all_pairs(job: Job) -> Prepared:
    """Every pair is asked."""
    return _prepared(job, lambda hypothesiser, _predictor, _updater: GNNWith2DAssignment(hypothesiser))


def tpr_tree(job: Job) -> Prepared:
    """Pairs from an R-tree of the first feed's tracks."""
    whole = LinearGaussian(6, list(range(6)), job.second.cov[0])
    where = {"horizon_time": _HORIZON, "pos_mapping": [0, 1, 2], "vel_mapping": [3, 4, 5]}
    return _prepared(job, lambda hypothesiser, _predictor, _updater: TPRTreeGNN2D(hypothesiser, whole, **where))


def kd_tree(job: Job) -> Prepared:
    """Pairs from a kd-tree of the second feed's tracks, all given the covariance of its first."""
    reach = float(np.sqrt(GATE_D2 * np.linalg.eigvalsh(job.first.cov[0] + job.second.cov[0])[-1]))
    return _prepared(job, lambda *parts: DetectionKDTreeGNN2D(*parts, max_distance=reach), alike=True)


def _prepared(job: Job, associator: Associator, *, alike: bool = False) -> Prepared:
    tracks, others = _tracks(job.first), _tracks(job.second)
    ((_, detections),) = Tracks2GaussianDetectionFeeder([(_AT, set(others))])
    if alike:
        model = next(iter(detections)).measurement_model
        for detection in detections:
            detection.measurement_model = model
    still = LinearGaussianTimeInvariantTransitionModel(transition_matrix=np.eye(6), covariance_matrix=np.zeros((6, 6)))
    predictor, updater = KalmanPredictor(still), KalmanUpdater()
    measure = SquaredMahalanobis(state_covar_inv_cache_size=None if alike else 0)
    hypothesiser = DistanceHypothesiser(predictor, updater, measure, missed_distance=GATE_D2)
    of = associator(hypothesiser, predictor, updater)

    def run() -> dict[Any, Any]:
        joined = of.associate(set(tracks), detections, _AT)
        return {track: updater.update(hypothesis) for track, hypothesis in joined.items() if hypothesis}

    def read(fused: dict[Any, Any]) -> Answer:
        number = {track.id: i for i, track in enumerate(others)}
        pairs = np.empty((len(fused), 2), np.int64)
        state, cov = np.empty((len(fused), 6)), np.empty((len(fused), 6, 6))
        mine = [(i, fused[track]) for i, track in enumerate(tracks) if track in fused]
        for at, (i, update) in enumerate(mine):
            pairs[at] = i, number[update.hypothesis.measurement.metadata["track_id"]]
            state[at], cov[at] = np.asarray(update.mean)[:, 0], update.covar
        return Answer(pairs, state, cov)

    return Prepared(run, read)


def _tracks(side: Side) -> list[Any]:
    """A track of one state for each row."""
    rows = zip(side.state, side.cov, strict=True)
    return [Track([GaussianState(x[:, None], p, timestamp=_AT)]) for x, p in rows]
