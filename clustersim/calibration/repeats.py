"""Differences between files of microbenchmarks that contain the same cases."""

from __future__ import annotations

import numpy as np
import pandas as pd

from clustersim.calibration.measurements import Measurements
from clustersim.microbenchmarks.schema import SHAPE
from clustersim.units import format_percent

__all__ = ["repeat_text", "repeated_cases"]

HOST_BOUND_S = 30e-6
"""Duration (seconds) below which a call depends on the host as much as on the chip."""
BUSY = 0.05
"""If the median difference of longer cases exceeds this, the conditions were not the same."""


def repeated_cases(measured: Measurements) -> pd.DataFrame:
    """Return the cases that are in more than one file of microbenchmarks.

    Parameters
    ----------
    measured : Measurements

    Returns
    -------
    DataFrame
        Columns of :data:`clustersim.microbenchmarks.schema.SHAPE` and ``accelerator``; ``files``;
        ``shortest_s``, and ``apart``: the longest median over the shortest, less 1. If a file has a
        case twice, the mean of its medians is used.
    """
    tables = [] if measured.micro is None else [measured.micro.table]
    if measured.steps is not None:
        renamed = measured.steps.table.rename(columns={"step_time_s": "median_s"})
        tables.append(renamed.assign(kind="step"))
    if not tables:
        return pd.DataFrame(columns=[*SHAPE, "accelerator", "files", "shortest_s", "apart"])
    table = pd.concat(tables, ignore_index=True)
    case = [*SHAPE, "accelerator"]
    seconds = table["median_s"].astype(float)
    of_file = seconds.groupby([table[column] for column in [*case, "source"]], dropna=False).mean()
    groups = of_file.groupby(level=case, dropna=False)
    found = pd.DataFrame(
        {
            "files": groups.size(),
            "shortest_s": groups.min(),
            "apart": groups.max() / groups.min() - 1.0,
        }
    ).reset_index()
    return found[found["files"] > 1].reset_index(drop=True)


def repeat_text(cases: pd.DataFrame) -> list[str]:
    """Return lines on the differences in :func:`repeated_cases`; empty if there are no cases."""
    long = cases["shortest_s"] >= HOST_BOUND_S
    parts = []
    for chosen, words in (
        (long, f"of {1e6 * HOST_BOUND_S:g} us or more"),
        (~long, "shorter"),
        (cases["kind"] == "step", "whole steps"),
    ):
        apart = cases.loc[chosen, "apart"].to_numpy()
        if apart.size:
            parts.append(
                f"{words} ({apart.size}): {format_percent(np.median(apart))} median difference, "
                f"{format_percent(np.quantile(apart, 0.9))} at the 90th percentile"
            )
    lines = [f"cases in more than one file: {'; '.join(parts)}"] if parts else []
    if long.any() and cases.loc[long, "apart"].median() > BUSY:
        lines.append("Warning: the differences are large; was the machine busy or the chip slowed?")
    return lines
