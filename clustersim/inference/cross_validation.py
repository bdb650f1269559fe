"""Errors of the serving model on sources that were left out of the fit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from clustersim.array_types import Floats
from clustersim.inference.calibration import Effects, ServingCalibration
from clustersim.inference.fit import MeasuredRows, fit_rows
from clustersim.inference.intervals import GUESSES, KINDS, NORMAL_90, Spread
from clustersim.inference.prediction import values_of_rows

__all__ = ["FittedServing", "error_table", "fit_serving"]

COVERAGE = 0.9
MOST_OF_SOURCE = 10.0
"""Rows that a source counts as at most."""
USUAL = Spread(0.35, 0.5, 0.55, 0.4, 0.25)


@dataclass(frozen=True)
class FittedServing:
    """A fit with its errors.

    Attributes
    ----------
    calibration : ServingCalibration
    rows : DataFrame
        Every measured row: id, family, chip, phase, quality, measured, fitted (with the effects of
        its source), left_out (predicted without its source), spread, and whether it was fitted.
    """

    calibration: ServingCalibration
    rows: pd.DataFrame


def fit_serving(measured: MeasuredRows, *, validate: bool = True) -> FittedServing:
    """Fit the model to all rows, and once without each source.

    Parameters
    ----------
    measured : MeasuredRows
    validate : bool
        Whether to leave sources out, which takes a tenth of a second of CPU time for each row; the
        spread is otherwise a usual one.
    """
    language, images = fit_rows(measured)
    fitted = values_of_rows(measured.rows, language, images, new=False)
    left_out = np.full(len(fitted), np.nan)
    if validate:
        for family in sorted(set(measured.families)):
            out = measured.families == family
            found = fit_rows(measured.only(~out), begin=(language, images))
            left_out[out] = values_of_rows(measured.only(out).rows, *found)
    spread = _spread(measured, left_out) if validate else USUAL
    rows = pd.DataFrame(
        {
            **{name: measured.table[name] for name in ("id", "family", "chip", "phase", "quality")},
            "measured": measured.measured,
            "fitted": fitted,
            "left_out": left_out,
            "spread": [spread.of_row(row.kind, row.guessed) for row in measured.rows],
            "used": measured.fitted,
        }
    )
    facts = _facts(rows, language, images)
    return FittedServing(ServingCalibration(language, images, spread, facts), rows)


def _spread(measured: MeasuredRows, left_out: Floats) -> Spread:
    """Return the spread with which 90 % of the left-out values are within their intervals."""
    off = np.abs(np.log(left_out / measured.measured))
    extra = np.array([sum(GUESSES[name] ** 2 for name in row.guessed) for row in measured.rows])
    kinds = np.array([row.kind for row in measured.rows])
    sizes = Counter(zip(kinds, measured.families, strict=True))
    weight = np.array(
        [
            min(1.0, MOST_OF_SOURCE / sizes[kind, family])
            for kind, family in zip(kinds, measured.families, strict=True)
        ]
    )
    found = []
    for kind in KINDS:
        some = (kinds == kind) & measured.fitted
        # The own spread that each row needs to be within its interval.
        need = np.sqrt(np.maximum((off[some] / NORMAL_90) ** 2 - extra[some], 0.0))
        if not len(need):
            found.append(float(getattr(USUAL, kind)))
            continue
        order = np.argsort(need)
        share = np.cumsum(weight[some][order]) / weight[some].sum()
        found.append(float(need[order][min(np.searchsorted(share, COVERAGE), len(order) - 1)]))
    return Spread(*found)


def _facts(rows: pd.DataFrame, language: Effects, images: Effects) -> Mapping[str, float]:
    used = rows[rows["used"]]
    facts: dict[str, float] = {"rows": len(used), "sources": used["family"].nunique()}
    if used["left_out"].notna().all():
        off = np.abs(used["left_out"] / used["measured"] - 1.0)
        facts["left_out_median_error"] = round(float(off.median()), 4)
        facts["left_out_coverage"] = round(float(_within(used).mean()), 4)
    facts["coefficients"] = sum(1 for key in {**language.offsets} if not key[1])
    facts["image_coefficients"] = sum(1 for key in {**images.offsets} if not key[1])
    return facts


def _within(rows: pd.DataFrame) -> pd.Series[bool]:
    off = np.abs(np.log(rows["left_out"] / rows["measured"]))
    return pd.Series(off <= NORMAL_90 * rows["spread"], index=rows.index)


def error_table(rows: pd.DataFrame, by: tuple[str, ...] = ("chip", "phase")) -> pd.DataFrame:
    """Return errors by chip and phase, or by other columns.

    Parameters
    ----------
    rows : DataFrame
        Of :class:`FittedServing`.
    by : tuple of str

    Returns
    -------
    DataFrame
        Columns of `by`, and rows, sources, fitted (median absolute relative error with the effects
        of the row's source), left_out (the same without its source), bias (median of left-out over
        measured values, minus 1) and covered (share within the 90 % interval).
    """
    found = []
    for keys, some in rows[rows["used"]].groupby(list(by)):
        ratio = some["left_out"] / some["measured"] - 1.0
        found.append(
            {
                **dict(zip(by, keys, strict=True)),
                "rows": len(some),
                "sources": some["family"].nunique(),
                "fitted": float(np.abs(some["fitted"] / some["measured"] - 1.0).median()),
                "left_out": float(np.abs(ratio).median()),
                "bias": float(ratio.median()),
                "covered": float(_within(some).mean()),
            }
        )
    return pd.DataFrame(found)
