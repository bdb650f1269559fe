"""A calibration from measurements: fit, cross-validation, and width of the intervals."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from clustersim.array_types import Bools, Floats
from clustersim.calibration.cross_validation import (
    Errors,
    LeftOut,
    folds_within_families,
    leave_families_out,
    left_out,
)
from clustersim.calibration.fit import Fit, fit, recentred
from clustersim.calibration.measurements import Measurements
from clustersim.performance import Calibration, default_calibration

__all__ = ["Calibrated", "calibrate", "scatter_by_kind"]


FOLDS = 10
COVERED = 0.9
NORMAL_MEDIAN = 0.6745
"""Median absolute value of a standard normal variable."""
LEAST_SCATTER = 0.01
PRIOR_ROWS = 10.0
"""Weight, as a number of rows, of the scatter of all products together."""
LEAST_ROWS = 50
"""With fewer left-out rows, the coverage factor of the shipped calibration is used."""
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
        Predictions of whole families left out, with siblings together
        (:data:`clustersim.calibration.cross_validation.SIBLINGS`); None if this was not requested
        or if there is only one source.

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

    def half_width(self, left: LeftOut) -> Floats:
        """Return the half width of the 90 % interval (logarithm) of each row that was left out.

        Examples
        --------
        >>> import numpy as np
        >>> from clustersim.calibration import Calibrated, Fit, LeftOut
        >>> import pandas as pd
        >>> from clustersim.calibration import load_measurements
        >>> row = {"model": "llama3-8b", "accelerator": "H200", "dp": 8, "global_batch": 512}
        >>> rows = [{**row, "count": 8, "step_time_s": step_s} for step_s in (46.0, 47.0)]
        >>> pd.DataFrame(rows).to_csv("mine.csv", index=False)
        >>> measured = load_measurements(["mine.csv"], own=False, shipped=[])
        >>> from clustersim.performance import default_calibration
        >>> calibration = default_calibration()
        >>> fit = Fit(calibration, np.zeros(2), evaluations=12, cost=1.7)
        >>> done = Calibrated(calibration, measured, fit, within=None, across=None)
        >>> left = LeftOut(np.zeros(2), spread=np.array([0.05, 0.10]), fold=np.array([0, 1]))
        >>> narrow, wide = done.half_width(left)
        >>> bool(narrow < wide)
        True
        """
        scatter = self.calibration.scatter_of(self.measured.rows.kinds)
        return self.calibration.coverage_factor * np.sqrt(left.spread**2 + scatter**2)


def calibrate(measured: Measurements, *, seed: int = 0, validate: bool = True) -> Calibrated:
    """Fit the coefficients, and set the width of the intervals so that they cover left-out rows.

    The scatter of each product is the scatter of its rows left out at random, beyond what the
    posterior explains. The coverage factor is the half width of a 90 % interval in standard
    deviations. It is the 90th percentile of the standardised errors of left-out `whole` rows
    (complete, of any quality), within and across families together. So 90 % of these rows are
    covered by construction; :mod:`clustersim.calibration.coverage` measures the coverage of rows
    that did not set the width. Draws are centred using training runs only; without training runs,
    they are centred on the posterior mean.

    Parameters
    ----------
    measured : Measurements
    seed : int
        Seed of the folds.
    validate : bool
        Whether to leave rows out. If not, or if there are too few rows, the scatter and the
        coverage factor of the shipped calibration are used.

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
    found = fit(rows, seconds, scatter)
    start = found.calibration
    families = measured.families
    facts = {
        **start.facts,
        "families": int(np.unique(families).size),
        "chips": int(measured.table["accelerator"].nunique()),
        **({} if measured.micro is None else {"microbenchmarks": len(measured.micro)}),
    }
    within = across = None
    if validate and len(measured) >= LEAST_MEASURED:
        within = left_out(measured, folds_within_families(families, FOLDS, seed), start)
        facts["within_families"] = _facts(within, measured)
        sources = leave_families_out(families)
        if sources.max() > 0:
            across = left_out(measured, sources, start)
            facts["across_families"] = _facts(across, measured)
    known = default_calibration().scatter
    if within is not None:
        known = scatter_by_kind(measured.rows.kinds, within.log_error, within.spread)
    calibration = dataclasses.replace(start, scatter=known, facts=facts)
    left = [part for part in (within, across) if part is not None]
    coverage_factor = _coverage_factor(calibration, measured, left)
    if len(measured):
        calibration = recentred(calibration, measured.rows, measured.scatter)
    return Calibrated(
        _rounded(dataclasses.replace(calibration, coverage_factor=coverage_factor)),
        measured,
        found,
        within,
        across,
    )


def _facts(left: LeftOut, measured: Measurements) -> dict[str, float]:
    """Return error statistics of complete rows of quality A, or of all rows if there are none."""
    good = measured.complete if measured.complete.any() else np.ones(len(measured), dtype=bool)
    errors = dataclasses.asdict(Errors.of(left.error[good]))
    return {name: round(value, 4) for name, value in errors.items()}


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


def scatter_by_kind(names: Sequence[str], log_error: Floats, spread: Floats) -> dict[str, float]:
    """Return the scatter of each kind of rows, shrunk towards the scatter of all rows.

    The kinds are those of :attr:`Configurations.kinds`. The median size of the left-out errors
    divided by :data:`NORMAL_MEDIAN` is their robust standard deviation. The standard deviation
    according to the fit (`spread`) is subtracted in quadrature.
    """
    kinds = np.array(names)

    def variance(rows: Bools) -> float:
        size = np.median(np.abs(log_error[rows])) / NORMAL_MEDIAN
        stated = np.median(spread[rows])
        return float(max(size**2 - stated**2, LEAST_SCATTER**2))

    everything = variance(np.ones(kinds.size, dtype=bool))
    scatter = {"": round(float(np.sqrt(everything)), 4)}
    for kind in sorted(set(kinds.tolist()) - {""}):
        rows = kinds == kind
        count = int(rows.sum())
        shrunk = (count * variance(rows) + PRIOR_ROWS * everything) / (count + PRIOR_ROWS)
        scatter[kind] = round(float(np.sqrt(shrunk)), 4)
    return scatter


def _coverage_factor(
    calibration: Calibration, measured: Measurements, left: list[LeftOut]
) -> float:
    scatter = calibration.scatter_of(measured.rows.kinds)
    whole = measured.whole
    sizes = [part.standardised(scatter)[whole] for part in left]
    if sum(part.size for part in sizes) < LEAST_ROWS:
        return default_calibration().coverage_factor
    return float(np.quantile(np.concatenate(sizes), COVERED))
