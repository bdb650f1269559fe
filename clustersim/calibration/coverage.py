"""Coverage of the intervals, for rows that did not influence the width of the intervals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clustersim.array_types import Bools
from clustersim.calibration.calibrate import COVERED, Calibrated, scatter_by_kind
from clustersim.calibration.cross_validation import LeftOut
from clustersim.units import counted, format_percent

__all__ = [
    "BY_CONSTRUCTION",
    "Coverage",
    "coverage_of_unseen_families",
    "coverage_of_unseen_rows",
    "coverage_text",
    "nested_covered",
]

BY_CONSTRUCTION = (
    "The width of the shipped intervals is a quantile of these same errors, so 90 % of all "
    "left-out complete rows are in their interval by construction."
)


@dataclass(frozen=True, slots=True)
class Coverage:
    """Share of complete rows in their 90 % interval: over all rows, and as a mean over families."""

    rows: int
    families: int
    pooled: float
    mean: float


def nested_covered(calibrated: Calibrated, left: LeftOut) -> Bools:
    """Return whether each row is in an interval whose width was set by other rows.

    For each fold of `left`, the scatter of each kind of rows and the coverage factor are computed
    from the left-out errors, within and across families, of the rows in the other folds, as in
    :func:`clustersim.calibration.calibrate`.

    Returns
    -------
    array of bool, shape (R,)
        False if no other fold has a complete row.
    """
    whole, kinds = calibrated.measured.whole, np.array(calibrated.measured.rows.kinds)
    within = calibrated.within
    covered = np.zeros(left.fold.size, dtype=bool)
    if within is None:
        return covered
    parts = [part for part in (within, calibrated.across) if part is not None]
    for fold in np.unique(left.fold):
        own = left.fold == fold
        if not (whole & ~own).any():
            continue
        by_kind = scatter_by_kind(kinds[~own].tolist(), within.log_error[~own], within.spread[~own])
        scatter = np.array([by_kind.get(kind, by_kind[""]) for kind in kinds.tolist()])
        known = np.concatenate([part.standardised(scatter)[whole & ~own] for part in parts])
        covered[own] = left.standardised(scatter)[own] <= np.quantile(known, COVERED)
    return covered


def _coverage(calibrated: Calibrated, left: LeftOut | None) -> Coverage | None:
    whole = calibrated.measured.whole
    if left is None or calibrated.within is None or not whole.any():
        return None
    covered = nested_covered(calibrated, left)[whole]
    families = calibrated.measured.families[whole]
    shares = [covered[families == family].mean() for family in np.unique(families)]
    return Coverage(covered.size, len(shares), float(covered.mean()), float(np.mean(shares)))


def coverage_of_unseen_families(calibrated: Calibrated) -> Coverage | None:
    """Return the coverage of families that the fit, the scatter and the width do not use.

    The result is None if families were not left out.
    """
    return _coverage(calibrated, calibrated.across)


def coverage_of_unseen_rows(calibrated: Calibrated) -> Coverage | None:
    """Return the coverage of rows left out at random, with scatter and width from other folds.

    The result is None if rows were not left out.
    """
    return _coverage(calibrated, calibrated.within)


def coverage_text(calibrated: Calibrated) -> list[str]:
    """Return sentences on the coverage of unseen families and of rows left out at random."""
    kinds = (
        (coverage_of_unseen_families(calibrated), "of unseen families", "families"),
        (coverage_of_unseen_rows(calibrated), "left out at random", "folds"),
    )
    lines = [
        f"{format_percent(found.pooled)} of complete rows {what} are in their 90 % interval if "
        f"its width is set by the other {others} only ({found.rows} rows; mean over "
        f"{counted(found.families, 'family', 'families')}: {format_percent(found.mean)})."
        for found, what, others in kinds
        if found is not None
    ]
    return [*lines, BY_CONSTRUCTION] if lines else []
