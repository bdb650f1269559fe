"""A calibration from measurements: fit, cross-validate, and set the width of the intervals."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clustersim.calibration.cross_validation import (
    Errors,
    LeftOut,
    folds_within_families,
    leave_families_out,
    left_out,
)
from clustersim.calibration.fit import Fit, fit
from clustersim.calibration.measurements import Measurements
from clustersim.performance import Calibration

__all__ = ["Calibrated", "calibrate"]

FOLDS = 10
COVERED = 0.9
NORMAL_MEDIAN = 0.6745
"""Median size of a normal variable, in standard deviations."""
LEAST_SCATTER = 0.01
PRIOR_ROWS = 10.0
"""As many rows as this weighs what is known of all products together."""
LEAST_ROWS = 50
"""With fewer left-out rows the width of the intervals stays that of the normal distribution."""


@dataclass(frozen=True)
class Calibrated:
    """A calibration with all that its report shows.

    Attributes
    ----------
    calibration : Calibration
    measured : Measurements
    fit : Fit
    within : LeftOut
        Rows left out at random within their families (:data:`FOLDS` folds).
    across : LeftOut
        Whole families left out.
    """

    calibration: Calibration
    measured: Measurements
    fit: Fit
    within: LeftOut
    across: LeftOut


def calibrate(measured: Measurements, *, seed: int = 0) -> Calibrated:
    """Fit the coefficients, and set the intervals so that left-out rows are covered.

    The scatter of each product is that of its rows left out at random, beyond what the posterior
    explains. The half width of a 90 % interval, in standard deviations, is the 90th percentile of
    the standardised errors of left-out complete rows, within and across families together.
    """
    found = fit(measured.rows, measured.step_time_s, measured.scatter)
    families = measured.families
    folds = min(FOLDS, max(2, len(measured)))
    within = left_out(measured, folds_within_families(families, folds, seed), found.calibration)
    across = left_out(measured, leave_families_out(families), found.calibration)
    scatter = scatter_by_kind(measured, within)
    calibration = dataclasses.replace(found.calibration, scatter=scatter)
    reach = _reach(calibration, measured, (within, across))
    good = measured.complete
    facts = {
        **calibration.facts,
        "families": int(np.unique(families).size),
        "chips": int(measured.table["accelerator"].nunique()),
        "within_families": dataclasses.asdict(Errors.of(within.error[good])),
        "across_families": dataclasses.asdict(Errors.of(across.error[good])),
    }
    calibration = dataclasses.replace(calibration, reach=reach, facts=facts)
    return Calibrated(calibration, measured, found, within, across)


def scatter_by_kind(measured: Measurements, within: LeftOut) -> dict[str, float]:
    """Scatter of each kind of rows (:attr:`Configurations.kinds`), shrunk to that of all.

    The median size of the left-out errors over :data:`NORMAL_MEDIAN` is their robust standard
    deviation; what the fit states of it is taken off.
    """
    kinds = np.array(measured.rows.kinds)

    def variance(rows: NDArray[np.bool_]) -> float:
        size = np.median(np.abs(within.log_error[rows])) / NORMAL_MEDIAN
        stated = np.median(within.spread[rows])
        return float(max(size**2 - stated**2, LEAST_SCATTER**2))

    everything = variance(np.ones(kinds.size, dtype=bool))
    scatter = {"": round(float(np.sqrt(everything)), 4)}
    for kind in sorted(set(kinds.tolist()) - {""}):
        rows = kinds == kind
        count = int(rows.sum())
        shrunk = (count * variance(rows) + PRIOR_ROWS * everything) / (count + PRIOR_ROWS)
        scatter[kind] = round(float(np.sqrt(shrunk)), 4)
    return scatter


def _reach(
    calibration: Calibration, measured: Measurements, both: tuple[LeftOut, LeftOut]
) -> float:
    scatter = calibration.scatter_of(measured.rows.kinds)
    whole = measured.whole
    sizes = np.concatenate([part.standardised(scatter)[whole] for part in both])
    if sizes.size < LEAST_ROWS:
        return calibration.reach
    return float(np.quantile(sizes, COVERED))
