"""Estimates system tracks anew and writes what came of it into their table, all in one kernel, by the settings.

The arithmetic is in `fusion.fuse`. Here is what it means for the table: when an estimate holds, since when
nothing hinted at boost, when the clock has to look at the track again, and that it has changed.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from bus.columns import TRIANGLE
from fusion.combine import bounds_of
from fusion.fuse import fuse_many
from fusion.partial import prior_of, quantiles, tells_whole
from fusion.settings import FusionSettings
from fusion.tables import NONE, ReportTable, SystemTable
from physics.compile import jit

Float = NDArray[np.float64]
Rows = NDArray[np.int64]

_S: Final = 1_000_000_000


@jit
def estimate_into(
    members: Rows,
    valid_ns: Rows,
    newest_ns: Rows,
    state: Float,
    cov: Float,
    phase: Float,
    due_ns: Rows,
    coast_ns: Rows,
    touched: NDArray[np.bool_],
    tells_all: NDArray[np.bool_],
    systems: Rows,
    at_ns: int,
    held_valid_ns: Rows,
    held_state: Float,
    held_cov: Float,
    held_phase: Float,
    held_pedigree: Rows,
    held_whole: NDArray[np.bool_],
    motion: Float,
    correlations: Float,
    lost_m_s2: float,
    bias_var: Float,
    prior_var: Float,
    splits: Float,
    stale_ns: int,
    silent_ns: int,
    boost_most: float,
    column: int,
) -> Float:
    """Estimate the rows `systems` (m,) of the table of system tracks at `at_ns`, or at their newest member if that is later.

    How far the member in `column` is from the others, d2 (m,): `fuse_many`'s. A track is due `silent_ns` after its oldest member.
    """
    m = len(systems)
    of = members[systems]
    at = np.full(m, at_ns, np.int64)
    valid, newest, x, p, shares, off = fuse_many(
        of,
        at,
        held_valid_ns,
        held_state,
        held_cov,
        held_phase,
        held_pedigree,
        held_whole,
        motion,
        correlations,
        lost_m_s2,
        stale_ns,
        bias_var,
        prior_var,
        splits,
        column,
    )
    for i in range(m):
        row = systems[i]
        valid_ns[row], newest_ns[row], touched[row] = valid[i], newest[i], True
        for k in range(6):
            state[row, k] = x[i, k]
        for k in range(TRIANGLE):
            cov[row, k] = p[i, k]
        for a in range(3):
            phase[row, a] = shares[i, a]
        oldest, tells_all[row] = newest[i], False
        for c in range(3):
            if of[i, c] >= 0:
                oldest = min(oldest, held_valid_ns[of[i, c]])
                if newest[i] - held_valid_ns[of[i, c]] <= stale_ns:
                    tells_all[row] |= held_whole[of[i, c]]
        if not tells_all[row]:
            tells_all[row] = tells_whole(cov[row], prior_var)
        due_ns[row] = oldest + silent_ns
        if shares[i, 0] > boost_most or shares[i, 0] + shares[i, 1] + shares[i, 2] <= 0.0:
            coast_ns[row] = valid[i]
    return off


class Estimator:
    """Estimates the system tracks of one table from the reports of another; `motion`, `bias_var` as of the associator."""

    def __init__(
        self, settings: FusionSettings, systems: SystemTable, reports: ReportTable, motion: Float, bias_var: Float
    ) -> None:
        self._systems, self._reports = systems, reports
        self._motion, self._bias = motion, bias_var
        self._prior, self._splits = prior_of(settings.association), quantiles(settings.association.split_chi2)
        self._correlations, timing = bounds_of(settings.combination), settings.timing
        self._lost_m_s2, self._boost_most = settings.motion.lost_m_s2, settings.assessment.boost_most
        self._stale_ns, self._silent_ns = int(timing.stale_s * _S), int(timing.silent_s * _S)

    def estimate(self, systems: Rows, at_ns: int = 0, column: int = NONE) -> Float:
        """`estimate_into` for rows (m,) of the table; how far the member in `column` is from the others (m,), d2."""
        table, held = self._systems, self._reports
        return estimate_into(
            table.members,
            table.valid_ns,
            table.newest_ns,
            table.state,
            table.cov,
            table.phase,
            table.due_ns,
            table.coast_ns,
            table.touched,
            table.whole,
            systems,
            at_ns,
            held.valid_ns,
            held.state,
            held.cov,
            held.phase,
            held.pedigree,
            held.whole,
            self._motion,
            self._correlations,
            self._lost_m_s2,
            self._bias,
            self._prior,
            self._splits,
            self._stale_ns,
            self._silent_ns,
            self._boost_most,
            column,
        )
