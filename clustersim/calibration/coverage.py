"""Coverage of the 90 % intervals of rows that influenced neither the fit nor the width."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from clustersim.calibration.cross_validation import LeftOut
from clustersim.calibration.scatter_fit import (
    COVERED,
    LeftOutErrors,
    fit_coverage,
    fit_scatter,
)

__all__ = ["SLICES", "coverage_by_slice", "with_half_widths"]


SLICES = {
    "model_kind": "model",
    "chip": "chip",
    "publisher": "publisher",
    "precision": "precision",
    "generation": "software",
    "plan_kind": "plan",
    "scale": "chips of the job",
}
"""Columns of :func:`clustersim.calibration.diagnostics.row_table`, with their names in slices."""
ENOUGH = 40
"""A slice with at least this many rows must have a coverage between the :data:`LIMITS`."""
LIMITS = (0.85, 0.95)
REJECTED = 0.05
"""A smaller slice fails if a two-sided binomial test rejects a coverage of 90 % at this level."""


def with_half_widths(left: LeftOut, parts: Sequence[LeftOut]) -> LeftOut:
    """Return left-out rows with the half width of their intervals.

    For each fold of `left`, the scatter and the coverage factor are fitted to the left-out errors
    in `parts` of the rows in the other folds. So the width of the interval of a left-out publisher
    depends on the other publishers only.

    Parameters
    ----------
    left : LeftOut
    parts : sequence of LeftOut
        Sets of errors of the same rows, among them `left`.

    Examples
    --------
    >>> error, fold = np.linspace(-0.2, 0.2, 12), np.arange(12) % 3
    >>> left = LeftOut(error, np.full(12, 0.05), fold, [{"base": 1.0}] * 12)
    >>> found = with_half_widths(left, [left])
    >>> found.half_width.shape, bool(found.covered.mean() > 0.5)
    ((12,), True)
    """
    width = np.zeros(left.fold.size)
    for fold in np.unique(left.fold):
        own = left.fold == fold
        others = LeftOutErrors.together([part.errors.take(~own) for part in parts])
        scatter = fit_scatter(others)
        held = left.errors.take(own)
        width[own] = fit_coverage(others, scatter) * scatter.deviation(held.spread, held.weights)
    return dataclasses.replace(left, half_width=width)


def coverage_by_slice(rows: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return errors and coverage of left-out rows by slice; the worst slices come first.

    Parameters
    ----------
    rows : DataFrame
        From :func:`clustersim.calibration.diagnostics.row_table`.
    name : {"within", "across"}
        Which left-out predictions to use: of rows, or of publishers.

    Returns
    -------
    DataFrame
        ``slice, rows``; ``median`` (of absolute errors), ``p90``, ``bias`` (median of signed
        errors), ``covered`` (share of rows in their 90 % interval), and ``holds``: whether the
        coverage agrees with 90 %. For slices of at least :data:`ENOUGH` rows, it must be between
        the :data:`LIMITS`; otherwise a binomial test must not reject it.

    Examples
    --------
    >>> rows = pd.DataFrame({name: ["a", "b"] * 20 for name in SLICES})
    >>> rows = rows.assign(within_error=[0.1, -0.2] * 20, within_covered=[True, False] * 20)
    >>> found = coverage_by_slice(rows, "within")
    >>> found["slice"][0], found["covered"][0].item(), found["holds"][0].item()
    ('model: b', 0.0, False)
    """
    parts = [("all rows", rows)]
    for column, words in SLICES.items():
        for label, part in rows.groupby(column, sort=True, observed=True):
            parts.append((f"{words}: {label}", part))
    records = []
    for label, part in parts:
        error, inside = part[f"{name}_error"], part[f"{name}_covered"]
        count, covered = len(part), float(inside.mean())
        chance = float(binomtest(int(inside.sum()), count, COVERED).pvalue)
        holds = LIMITS[0] <= covered <= LIMITS[1] if count >= ENOUGH else chance >= REJECTED
        records.append(
            {
                "slice": label,
                "rows": count,
                "median": float(error.abs().median()),
                "p90": float(error.abs().quantile(0.9)),
                "bias": float(error.median()),
                "covered": covered,
                "holds": bool(holds),
                "chance": chance,
            }
        )
    found = pd.DataFrame(records).sort_values(["holds", "chance"], kind="stable")
    return found.drop(columns="chance").reset_index(drop=True)
