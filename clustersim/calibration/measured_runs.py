"""The measured runs in a table that can be used, and why the others cannot."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clustersim.array_types import Floats
from clustersim.catalogue import Catalogue
from clustersim.errors import InputError, shown
from clustersim.estimation.column_names import with_known_columns
from clustersim.estimation.columns import COLUMNS
from clustersim.estimation.configuration_reader import read_configurations
from clustersim.estimation.configurations import Configurations
from clustersim.estimation.table import misspelt_columns, read_csv_as_text
from clustersim.performance.step_time import least_seconds

__all__ = ["RESULTS", "SCATTER", "Part", "qualities", "read_table", "usable_runs"]

SCATTER = {"A": 0.03, "B": 0.05, "C": 0.09}
"""Uncertainty of a measurement (standard deviation of the logarithm) by quality: A as published, B
partly inferred, C weak."""
RESULTS = ("step_time_s", "tokens_per_s_per_device", "quality", "config_complete")
"""Columns of a measured run in addition to those of its configuration."""


def read_table(path: str | Path) -> pd.DataFrame:
    """Read a table of runs as text; empty cells become missing values.

    Raises
    ------
    InputError
        In the same cases as :func:`clustersim.estimation.table.read_csv_as_text`.
    """
    table = read_csv_as_text(path)
    return table.where(table.apply(lambda column: column.str.strip()) != "")


Part = tuple[pd.DataFrame, list[str], list[str]]
"""Usable rows of a table, reasons why other rows are not usable, and messages about columns."""


def usable_runs(
    table: pd.DataFrame, source: str, catalogue: Catalogue, *, required: bool = True
) -> Part:
    """Return the usable rows with their step times; if `required`, at least one must be usable."""
    name = Path(source).stem
    known = (*COLUMNS, *RESULTS)
    table, renamed = with_known_columns(table)
    unknown = [column for column in table.columns if column not in known]
    notes = [f"{source}: {text}" for text in renamed]
    notes += [
        f"{source}: unknown column {column!r}; did you mean {meant}?"
        for column, meant in misspelt_columns(unknown, list(table.columns), known).items()
    ]
    table = table.copy()
    for column, default in (("family", name), ("quality", "A"), ("config_complete", "1")):
        if column not in table:
            table[column] = default
    table["family"] = table["family"].fillna(name)
    given = table["publisher"] if "publisher" in table else table["family"]
    table["publisher"] = given.fillna(table["family"]).str.strip()
    rows = read_configurations(table, catalogue)
    reason = list(rows.reason)
    seconds = _seconds(table, source, rows)
    for place in np.flatnonzero(~(np.isfinite(seconds) & (seconds > 0))).tolist():
        reason[place] = reason[place] or _no_seconds(table, place)
    for place, letter in enumerate(qualities(table)):
        if letter not in SCATTER:
            reason[place] = reason[place] or f"quality: must be A, B or C, found {str(letter)!r}"
    floor = least_seconds(rows.models, rows.chips, rows.plans, rows.global_batch)
    for place, least in zip(rows.index.tolist(), np.atleast_1d(floor), strict=True):
        if seconds[place] < least:
            reason[place] = reason[place] or (
                f"step_time_s: {seconds[place]:.4g} s is below the roofline, {least:.4g} s "
                "(more than 100 % MFU)"
            )
    table["step_time_s"] = seconds
    usable = np.array([not text for text in reason], dtype=bool)
    lines = table["row"] if "row" in table else [str(place + 2) for place in range(len(table))]
    left_out = [
        f"{source}, row {line}: {text}" for line, text in zip(lines, reason, strict=True) if text
    ]
    if required and not usable.any():
        raise InputError(source, left_out[:10] or "has no rows")
    return table[usable], left_out, notes


def _no_seconds(table: pd.DataFrame, place: int) -> str:
    """Return the reason why a row has no step time."""
    for name in ("step_time_s", "tokens_per_s_per_device"):
        if name in table and pd.notna(table[name].iloc[place]):
            found = shown(table[name].iloc[place])
            return f"{name}: must be a number above 0, found {found}"
    return "step_time_s: missing"


def qualities(table: pd.DataFrame) -> NDArray[np.str_]:
    """Return the quality of each row as given, A by default."""
    return np.array([text.strip().upper() for text in table["quality"].fillna("A")], dtype=str)


def _seconds(table: pd.DataFrame, source: str, rows: Configurations) -> Floats:
    """Return the step time of each row; if it is not given, compute it from the throughput."""
    seconds = np.full(len(table), np.nan)
    if "step_time_s" in table:
        seconds = pd.to_numeric(table["step_time_s"], errors="coerce").to_numpy(dtype=np.float64)
    elif "tokens_per_s_per_device" not in table:
        raise InputError(source, "needs a column step_time_s or tokens_per_s_per_device")
    if "tokens_per_s_per_device" in table:
        rate = pd.to_numeric(table["tokens_per_s_per_device"], errors="coerce").to_numpy()
        tokens = np.full(len(table), np.nan)
        tokens[rows.index] = rows.global_batch * rows.models.seq_len / rows.plans.chips
        seconds = np.where(np.isfinite(seconds), seconds, tokens / rate)
    return seconds
