"""A calibration from measurements: fit, cross-validate, and set the width of the intervals."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

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

    The half width of a 90 % interval, in standard deviations, is the 90th percentile of the
    standardised errors of left-out rows of quality A, within and across families together.
    """
    found = fit(measured.rows, measured.step_time_s, measured.scatter)
    families = measured.families
    folds = min(FOLDS, max(2, len(measured)))
    within = left_out(measured, folds_within_families(families, folds, seed), found.calibration)
    across = left_out(measured, leave_families_out(families), found.calibration)
    calibration = dataclasses.replace(
        found.calibration, reach=_reach(found.calibration, measured, (within, across))
    )
    good = measured.complete
    facts = {
        **calibration.facts,
        "families": int(np.unique(families).size),
        "chips": int(measured.table["accelerator"].nunique()),
        "within_families": dataclasses.asdict(Errors.of(within.error[good])),
        "across_families": dataclasses.asdict(Errors.of(across.error[good])),
    }
    calibration = dataclasses.replace(calibration, facts=facts)
    return Calibrated(calibration, measured, found, within, across)


def _reach(
    calibration: Calibration, measured: Measurements, both: tuple[LeftOut, LeftOut]
) -> float:
    sizes = np.concatenate(
        [part.standardised(calibration.scatter)[measured.complete] for part in both]
    )
    if sizes.size < LEAST_ROWS:
        return calibration.reach
    return float(np.quantile(sizes, COVERED))
