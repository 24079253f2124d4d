"""The figures of `triwarn bench quality`, from the sums of its runs, and their tables."""

from __future__ import annotations

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from bench.fused import PHASES, Sums

Float = NDArray[np.float64]
Rows = list[list[str]]


class PhaseQuality(Struct, frozen=True, kw_only=True):
    """Fused estimates in one true phase: how many, ANEES (1 is consistent), its standard error by runs, the position's error."""

    phase: str
    estimates: int
    anees: float | None
    anees_sigma: float | None
    position_rms_m: float | None


class QualityRow(Struct, frozen=True, kw_only=True):
    """One case; None where there was nothing.

    `correct_association`: of pairs of members of one system track, sampled every second, the share that follows one launch.
    `completeness`: of pairs of nations that report one launch, the share with their tracks in one system track. `track_swaps`:
    how often a system track's launch changed, a run; `swaps_by_fusion`: of these, those in which no national track that stayed
    in it had itself become another's. `gospa_m` and `gospa_centralised_m`: means over seconds, cut-off 10 km;
    `gospa_ratio` of the two. Coverages: shares of launch points and impacts told in standing alerts, every ten seconds, that the
    95-percent ellipse holds.
    """

    case: str
    runs: int
    anees: float | None
    anees_sigma: float | None
    phases: list[PhaseQuality]
    correct_association: float | None
    completeness: float | None
    track_swaps: float
    swaps_by_fusion: float
    gospa_m: float | None
    gospa_centralised_m: float | None
    gospa_ratio: float | None
    lpe_coverage: float | None
    ipp_coverage: float | None


class Quality(Struct, frozen=True, kw_only=True):
    """The whole measurement, and what it was measured on."""

    machine: dict[str, str | int]
    runs: int
    seed: int
    rows: list[QualityRow]


def row_of(case: str, runs: list[tuple[list[Sums], list[float]]]) -> QualityRow:
    """A case's figures from each run's sums, one a flight, and its centralised GOSPA, m."""
    every = [each for sums, _ in runs for each in sums]
    estimates = np.array([sum(each.estimates for each in sums) for sums, _ in runs])  # (runs, 3, 3)
    (launches, launches_held), (impacts, impacts_held) = np.sum([each.places for each in every], axis=0).tolist()
    gospa_m = _mean([value for each in every for value in each.gospa_m])
    bound_m = _mean([value for _, bound in runs for value in bound])
    anees, anees_sigma = _anees(estimates.sum(axis=1))
    return QualityRow(
        case=case,
        runs=len(runs),
        anees=anees,
        anees_sigma=anees_sigma,
        phases=[_phase(phase, estimates[:, k]) for k, phase in enumerate(PHASES)],
        correct_association=_share(sum(each.right for each in every), sum(each.pairs for each in every)),
        completeness=_share(sum(each.met for each in every), sum(each.due for each in every)),
        track_swaps=round(sum(each.swaps for each in every) / len(runs), 2),
        swaps_by_fusion=round(sum(each.by_fusion for each in every) / len(runs), 2),
        gospa_m=gospa_m,
        gospa_centralised_m=bound_m,
        gospa_ratio=round(gospa_m / bound_m, 3) if gospa_m is not None and bound_m else None,
        lpe_coverage=_share(launches_held, launches),
        ipp_coverage=_share(impacts_held, impacts),
    )


def _phase(phase: str, runs: Float) -> PhaseQuality:
    """From sums (runs, 3): estimates, NEES / 6, squared errors."""
    anees, sigma = _anees(runs)
    estimates, _, squared_m2 = runs.sum(axis=0).tolist()
    rms_m = round(float(np.sqrt(squared_m2 / estimates)), 1) if estimates else None
    return PhaseQuality(phase=phase, estimates=int(estimates), anees=anees, anees_sigma=sigma, position_rms_m=rms_m)


def _anees(runs: Float) -> tuple[float | None, float | None]:
    """A ratio of sums over runs and its standard error; of runs (n, 3) those that have estimates."""
    some = runs[runs[:, 0] > 0.0]
    if not len(some):
        return None, None
    anees = some[:, 1].sum() / some[:, 0].sum()
    if len(some) == 1:
        return round(float(anees), 3), None
    apart = some[:, 1] - anees * some[:, 0]
    sigma = np.sqrt((apart**2).sum() * len(some) / (len(some) - 1)) / some[:, 0].sum()
    return round(float(anees), 3), round(float(sigma), 4)


def _share(part: float, whole: float) -> float | None:
    return round(part / whole, 4) if whole else None


def _mean(values: list[float]) -> float | None:
    return round(float(np.mean(values)), 1) if values else None


def _told(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def quality_rows(result: Quality) -> tuple[tuple[str, ...], Rows]:
    """Headings and cells of the table of association, GOSPA and points on the ground."""
    headings = (
        "case",
        "correct",
        "complete",
        "swaps",
        "by fusion",
        "GOSPA m",
        "centralised m",
        "ratio",
        "launch in",
        "impact in",
    )
    rows = []
    for row in result.rows:
        swaps = (f"{row.track_swaps:.1f}", f"{row.swaps_by_fusion:.1f}")
        shares = (_told(row.correct_association, ".4f"), _told(row.completeness, ".4f"), *swaps)
        gospa = (_told(row.gospa_m, ",.0f"), _told(row.gospa_centralised_m, ",.0f"), _told(row.gospa_ratio, ".2f"))
        places = (_told(row.lpe_coverage, ".1%"), _told(row.ipp_coverage, ".1%"))
        rows.append([row.case, *shares, *gospa, *places])
    return headings, rows


def quality_phase_rows(result: Quality) -> tuple[tuple[str, ...], Rows]:
    """Headings and cells of the table of estimates by phase: ANEES with its standard error, and the position's RMS error."""
    headings = ("case", "ANEES", *PHASES, *(f"RMS m, {phase}" for phase in PHASES))
    rows = []
    for row in result.rows:
        pairs = [(row.anees, row.anees_sigma), *((each.anees, each.anees_sigma) for each in row.phases)]
        anees = [_with_sigma(*pair) for pair in pairs]
        rows.append([row.case, *anees, *(_told(each.position_rms_m, ",.0f") for each in row.phases)])
    return headings, rows


def _with_sigma(value: float | None, sigma: float | None) -> str:
    return _told(value, ".2f") + ("" if sigma is None else f" ± {sigma:.2f}")
