"""Results of microbenchmarks for a chip, and the resulting errors of whole steps, as tables."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd

from clustersim.calibration.calibrate import Calibrated
from clustersim.calibration.microbenchmarks import DEPENDS, Microbenchmarks
from clustersim.estimation.prediction import DRAWS, predict
from clustersim.performance import (
    LEVELS,
    PARAMETERS,
    default_calibration,
    default_stack,
    labels_of,
)

__all__ = ["chip_coefficients", "microbenchmark_errors", "step_errors"]

RELEASE = LEVELS.index("release")


def microbenchmark_errors(calibrated: Calibrated) -> pd.DataFrame:
    """Return the errors of the fit by chip and kind.

    Returns
    -------
    DataFrame
        ``chip, kind, precision, rows, median, worst``: median of the absolute errors (predicted
        over measured, less 1), and the signed error with the largest absolute value.
    """
    micro = calibrated.measured.micro
    if micro is None:
        return pd.DataFrame(columns=["chip", "kind", "precision", "rows", "median", "worst"])
    residuals = calibrated.fit.residuals[len(calibrated.measured) :]
    rows = pd.DataFrame(
        {
            "chip": [chip.name for chip in micro.accelerators],
            "kind": micro.kind,
            "precision": micro.table["precision"].fillna("bf16"),
            "error": np.expm1(residuals),
        }
    )
    return (
        rows.groupby(["chip", "kind", "precision"], sort=False)["error"]
        .agg(
            rows="size",
            median=lambda error: error.abs().median(),
            worst=lambda error: error.loc[error.abs().idxmax()],
        )
        .reset_index()
    )


def chip_coefficients(calibrated: Calibrated, chips: set[str]) -> pd.DataFrame:
    """Return the coefficients of some chips according to microbenchmarks and to published runs.

    Parameters
    ----------
    calibrated : Calibrated
    chips : set of str

    Returns
    -------
    DataFrame
        ``chip, stack, coefficient``; ``value, low, high``: estimate and its 90 % interval with the
        measured stack; ``shipped``: value of the shipped calibration with the chip's default
        stack; ``meaning``.
    """
    micro = calibrated.measured.micro
    if micro is None:
        return pd.DataFrame()
    known, other = calibrated.calibration, default_calibration().mean_draw()
    drawn = dataclasses.replace(known, centre=known.mean).draw(DRAWS)
    records = []
    for place, informed in _first_rows(micro, chips):
        chip, labels = micro.accelerators[place], micro.labels[place]
        value = known.mean_draw().coefficients([labels])
        shipped = other.coefficients([labels_of(chip, default_stack(chip.family))])
        possible = drawn.coefficients([labels])
        for parameter in PARAMETERS:
            if parameter.name in informed:
                low, high = np.quantile(getattr(possible, parameter.name), (0.05, 0.95))
                records.append(
                    {
                        "chip": chip.name,
                        "stack": labels[RELEASE],
                        "coefficient": parameter.name,
                        "value": float(getattr(value, parameter.name)[0]),
                        "low": float(low),
                        "high": float(high),
                        "shipped": float(getattr(shipped, parameter.name)[0]),
                        "meaning": parameter.meaning,
                    }
                )
    return pd.DataFrame(records)


def _first_rows(micro: Microbenchmarks, chips: set[str]) -> list[tuple[int, frozenset[str]]]:
    """Return the first BF16 row of each chip and stack, and the coefficients that its rows need."""
    first: dict[tuple[str, str], int] = {}
    informed: dict[tuple[str, str], frozenset[str]] = {}
    for place, (chip, labels) in enumerate(zip(micro.accelerators, micro.labels, strict=True)):
        group = (chip.name, labels[RELEASE])
        names = DEPENDS[micro.kind[place]]
        if not micro.chips.fp8[place]:
            names = names - {"fp8_efficiency"}
        informed[group] = informed.get(group, frozenset()) | names
        if chip.name in chips and not micro.chips.fp8[place]:
            first.setdefault(group, place)
    return [(place, informed[group]) for group, place in first.items()]


def step_errors(calibrated: Calibrated) -> pd.DataFrame:
    """Predict the whole steps in the user's files, which are not used in the fit.

    Returns
    -------
    DataFrame
        ``chip, model, recompute, global_batch, measured_s, predicted_s, lo_s, hi_s, error``
        (predicted over measured, less 1), ``covered`` (in the 90 % interval), and
        ``shipped_error``: error of the shipped calibration.
    """
    steps = calibrated.measured.steps
    if steps is None:
        return pd.DataFrame()
    found, shipped = (
        predict(steps.rows, calibration)
        for calibration in (calibrated.calibration, default_calibration())
    )
    measured = steps.step_time_s
    return pd.DataFrame(
        {
            "chip": [chip.name for chip in steps.rows.accelerators],
            "model": steps.table["model"].fillna("?"),
            "recompute": steps.table["recompute"].fillna("none"),
            "global_batch": steps.rows.global_batch.astype(np.int64),
            "measured_s": measured,
            "predicted_s": found.step.step_time_s,
            "lo_s": found.lo_s,
            "hi_s": found.hi_s,
            "error": found.step.step_time_s / measured - 1.0,
            "covered": (found.lo_s <= measured) & (measured <= found.hi_s),
            "shipped_error": shipped.step.step_time_s / measured - 1.0,
        }
    )
