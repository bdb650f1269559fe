"""A calibration from measurements: fit, cross-validation, and width of the intervals."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from clustersim.array_types import Bools
from clustersim.calibration.coverage import with_half_widths
from clustersim.calibration.cross_validation import (
    Errors,
    LeftOut,
    folds_within_families,
    leave_publishers_out,
    left_out,
)
from clustersim.calibration.fit import Fit, fit, recentred
from clustersim.calibration.measurements import Measurements
from clustersim.calibration.plan_pairs import plan_errors
from clustersim.calibration.scatter_fit import LeftOutErrors, fit_coverage, fit_scatter
from clustersim.performance import Calibration, default_calibration

__all__ = ["Calibrated", "calibrate"]


FOLDS = 10
LEAST_ROWS = 50
"""With fewer left-out rows, the scatter and the coverage factor of the shipped calibration are
used."""
LEAST_MEASURED = 20
"""With fewer measurements, no rows are left out."""


@dataclass(frozen=True)
class Calibrated:
    """A calibration with everything that its report shows.

    Attributes
    ----------
    calibration : Calibration
    measured : Measurements
    fit : Fit
    within : LeftOut or None
        Predictions of rows left out at random within their families (:data:`FOLDS` folds); None if
        this was not requested or if there are fewer than :data:`LEAST_MEASURED` rows.
    across : LeftOut or None
        Predictions of rows whose publisher was left out with all its rows; None if this was not
        requested or if there is only one publisher.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from clustersim.calibration import Calibrated, Fit, load_measurements
    >>> from clustersim.performance import default_calibration
    >>> job = {"model": "llama3-8b", "accelerator": "H200", "count": 8}
    >>> row = {**job, "dp": 8, "global_batch": 512, "step_time_s": 46.0}
    >>> pd.DataFrame([row]).to_csv("mine.csv", index=False)
    >>> measured = load_measurements(["mine.csv"], own=False, shipped=[])
    >>> fit = Fit(default_calibration(), np.zeros(1), evaluations=12, cost=1.7)
    >>> done = Calibrated(fit.calibration, measured, fit, within=None, across=None)
    >>> done.why_no_rows()
    'there are fewer than 20 runs'
    """

    calibration: Calibration
    measured: Measurements
    fit: Fit
    within: LeftOut | None
    across: LeftOut | None

    def why_no_rows(self) -> str:
        """Return the reason why no rows were left out; call it only if `within` is None.

        Examples
        --------
        >>> import numpy as np
        >>> from clustersim.calibration import Calibrated, Fit
        >>> import pandas as pd
        >>> from clustersim.calibration import load_measurements
        >>> row = {"model": "llama3-8b", "accelerator": "H200", "dp": 8, "global_batch": 512}
        >>> rows = [{**row, "count": 8, "step_time_s": step_s} for step_s in (46.0, 47.0)]
        >>> pd.DataFrame(rows).to_csv("mine.csv", index=False)
        >>> measured = load_measurements(["mine.csv"], own=False, shipped=[])
        >>> from clustersim.performance import default_calibration
        >>> calibration = default_calibration()
        >>> fit = Fit(calibration, np.zeros(2), evaluations=12, cost=1.7)
        >>> Calibrated(calibration, measured, fit, within=None, across=None).why_no_rows()
        'there are fewer than 20 runs'
        """
        if len(self.measured) < LEAST_MEASURED:
            return f"there are fewer than {LEAST_MEASURED} runs"
        return "validation was not requested"


def calibrate(
    measured: Measurements,
    *,
    seed: int = 0,
    validate: bool = True,
    begin: Calibration | None = None,
) -> Calibrated:
    """Fit the coefficients, and set the width of the intervals so that they cover left-out rows.

    Rows are left out twice: at random within their families, as for a job whose publisher and
    software are in the table, and by publisher, as for a job of someone else. The scatter is fitted
    to both sets of errors (:mod:`clustersim.calibration.scatter_fit`). The coverage factor is the
    half width of a 90 % interval in standard deviations: the 90th percentile of the standardised
    errors of both sets. So 90 % of these errors are covered by construction;
    :mod:`clustersim.calibration.coverage` measures the coverage of rows that did not set the width.
    Draws are centred using training runs only; without training runs, they are centred on the
    posterior mean.

    Parameters
    ----------
    measured : Measurements
    seed : int
        Seed of the folds.
    validate : bool
        Whether to leave rows out. If not, or if there are too few rows, the scatter and the
        coverage factor of the shipped calibration are used.
    begin : Calibration, optional
        A calibration near the result, from which the fit starts, such as the shipped one if the
        project's own table is fitted together with other rows.

    Examples
    --------
    >>> import pandas as pd
    >>> from clustersim.calibration import calibrate, load_measurements
    >>> job = {"model": "llama3-8b", "accelerator": "H200", "count": 8}
    >>> row = {**job, "dp": 8, "global_batch": 512, "step_time_s": 46.0}
    >>> pd.DataFrame([row]).to_csv("mine.csv", index=False)
    >>> measured = load_measurements(["mine.csv"], own=False, shipped=[])
    >>> done = calibrate(measured, validate=False)
    >>> done.calibration.facts["rows"]
    1
    """
    rows, seconds, scatter = measured.fitted
    found = fit(rows, seconds, scatter, start=begin)
    start = found.calibration
    families, publishers = measured.families, measured.publishers
    facts = {
        **start.facts,
        "rows": len(measured),
        "families": int(np.unique(families).size),
        "publishers": int(np.unique(publishers).size),
        "chips": int(measured.table["accelerator"].nunique()),
        **({} if measured.micro is None else {"microbenchmarks": len(measured.micro)}),
    }
    within = across = None
    if validate and len(measured) >= LEAST_MEASURED:
        within = left_out(measured, folds_within_families(families, FOLDS, seed), start)
        folds = leave_publishers_out(publishers)
        if folds.max() > 0:
            across = left_out(measured, folds, start)
        parts = [part for part in (within, across) if part is not None]
        within = with_half_widths(within, parts)
        facts["left_out_rows"] = _facts(within, measured)
        if across is not None:
            across = with_half_widths(across, parts)
            facts["left_out_publishers"] = _facts(across, measured)
            facts["by_publisher"] = _by_publisher(across, measured)
        facts["plans"] = plan_errors(measured, across or within)
    calibration = dataclasses.replace(start, runs=measured.runs, facts=facts)
    calibration = _with_scatter(calibration, [each for each in (within, across) if each])
    if len(measured):
        calibration = recentred(calibration, measured.rows, measured.scatter)
    return Calibrated(_rounded(calibration), measured, found, within, across)


def _facts(left: LeftOut, measured: Measurements) -> dict[str, dict[str, float]]:
    """Return the errors and the coverage of left-out rows: all, dense models and mixtures."""
    mixture = measured.rows.models.n_experts > 0
    sets = {"all": mixture | True, "dense": ~mixture, "mixture": mixture}
    return {name: _summary(left, chosen) for name, chosen in sets.items() if chosen.any()}


def _by_publisher(left: LeftOut, measured: Measurements) -> dict[str, dict[str, float]]:
    """Return the same by publisher."""
    publishers = measured.publishers
    return {
        str(publisher): _summary(left, publishers == publisher)
        for publisher in np.unique(publishers)
    }


def _summary(left: LeftOut, chosen: Bools) -> dict[str, float]:
    values = {
        **dataclasses.asdict(Errors.of(left.error[chosen])),
        "bias": float(np.median(left.error[chosen])),
        "covered": float(left.covered[chosen].mean()),
    }
    return {name: round(value, 4) for name, value in values.items()}


def _with_scatter(calibration: Calibration, left: list[LeftOut]) -> Calibration:
    """Set the scatter and the coverage factor."""
    if sum(part.fold.size for part in left) < LEAST_ROWS:
        shipped = default_calibration()
        scatter, factor = shipped.scatter, shipped.coverage_factor
    else:
        errors = LeftOutErrors.together([part.errors for part in left])
        scatter = fit_scatter(errors)
        factor = fit_coverage(errors, scatter)
    return dataclasses.replace(calibration, scatter=scatter, coverage_factor=factor)


def _rounded(calibration: Calibration) -> Calibration:
    """Round off the digits that depend on the number of threads in linear algebra."""
    return dataclasses.replace(
        calibration,
        mean=np.round(calibration.mean, 6) + 0.0,
        centre=np.round(calibration.centre, 5) + 0.0,
        basis=np.round(calibration.basis, 6) + 0.0,
        coverage_factor=round(calibration.coverage_factor, 4),
        overdispersion=round(calibration.overdispersion, 4),
    )
