"""Measured step times: the project's own table, and a user's."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clustersim.calibration.configurations import COLUMNS, Configurations, read_configurations
from clustersim.calibration.table import misspelt_columns, read_csv_as_text
from clustersim.catalogue import Catalogue, load_catalogue
from clustersim.errors import InputError
from clustersim.performance.step_time import least_seconds

__all__ = ["Measurements", "load_measurements", "own_table", "read_table"]

Array = NDArray[np.float64]

SCATTER = {"A": 0.03, "B": 0.05, "C": 0.09}
"""How far a measurement may be off (standard deviation of the logarithm), by quality: A as
published, B partly inferred, C weak."""
INCOMPLETE = 2.0
"""Factor on it where a part of the configuration is assumed."""


RESULTS = ("step_time_s", "tokens_per_s_per_device", "quality", "config_complete")
"""Columns of a measured run besides those of its configuration."""


@dataclass(frozen=True)
class Measurements:
    """Runs with their measured step time; arrays have the shape (R,).

    Attributes
    ----------
    rows : Configurations
    step_time_s : array
    scatter : array
        How far each may be off (standard deviation of the logarithm).
    complete : array of bool
        Whether a row is of quality A with a complete configuration.
    whole : array of bool
        Whether its configuration is complete, of whatever quality.
    table : DataFrame
        The R rows of the tables.
    left_out : list of str
        The rows that cannot be used, each with its reason.
    notes : list of str
        Columns that seem to be misspelt.
    """

    rows: Configurations
    step_time_s: Array
    scatter: Array
    complete: NDArray[np.bool_]
    whole: NDArray[np.bool_]
    table: pd.DataFrame
    left_out: list[str]
    notes: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def families(self) -> NDArray[np.str_]:
        """Source of each row."""
        return self.table["family"].to_numpy(dtype=str)

    def take(self, chosen: NDArray[np.bool_]) -> Measurements:
        """Return the rows where `chosen` is true."""
        return Measurements(
            self.rows.take(chosen),
            self.step_time_s[chosen],
            self.scatter[chosen],
            self.complete[chosen],
            self.whole[chosen],
            self.table[chosen].reset_index(drop=True),
            self.left_out,
            self.notes,
        )


def own_table() -> pd.DataFrame:
    """Return the project's table of published runs (``data/training.csv``)."""
    data = resources.files("clustersim.calibration") / "data" / "training.csv"
    with data.open(encoding="utf-8") as file:
        return pd.read_csv(file, dtype=str)


def read_table(path: str | Path) -> pd.DataFrame:
    """Read a table of runs as text; an empty cell is missing.

    Raises
    ------
    InputError
        As :func:`clustersim.calibration.table.read_csv_as_text`.
    """
    table = read_csv_as_text(path)
    return table.where(table.apply(lambda column: column.str.strip()) != "")


def load_measurements(
    paths: Sequence[str | Path] = (), *, own: bool = True, catalogue: Catalogue | None = None
) -> Measurements:
    """Put measured runs together.

    Parameters
    ----------
    paths : sequence of path
        A user's tables: the columns of :data:`clustersim.calibration.COLUMNS` and ``step_time_s``,
        or ``tokens_per_s_per_device``; optional ``quality`` (A, B or C; default A) and ``family``
        (default: the file's name).
    own : bool
        Whether the project's own table is used too.
    catalogue : Catalogue, optional

    Raises
    ------
    InputError
        For a file that cannot be read, lacks the columns, or has no row that can be used.
    """
    catalogue = load_catalogue() if catalogue is None else catalogue
    parts = [_measured(own_table(), "training.csv", catalogue)] if own else []
    parts += [_measured(read_table(path), os.fspath(path), catalogue) for path in paths]
    if not parts:
        raise InputError("measurements", "no table given")
    table = pd.concat([part[0] for part in parts], ignore_index=True)
    left_out = [line for part in parts for line in part[1]]
    notes = [line for part in parts for line in part[2]]
    rows = read_configurations(table, catalogue)
    quality = _quality(table)
    whole = table["config_complete"].fillna("1").astype(str) != "0"
    scatter = np.array([SCATTER[letter] for letter in quality])
    return Measurements(
        rows=rows,
        step_time_s=table["step_time_s"].to_numpy(dtype=np.float64),
        scatter=scatter * np.where(whole, 1.0, INCOMPLETE),
        complete=(quality == "A") & whole.to_numpy(dtype=bool),
        whole=whole.to_numpy(dtype=bool),
        table=table,
        left_out=left_out,
        notes=notes,
    )


def _measured(
    table: pd.DataFrame, source: str, catalogue: Catalogue
) -> tuple[pd.DataFrame, list[str], list[str]]:
    """Return the usable rows with their step time, why the others are not, and misspelt columns."""
    name = Path(source).stem
    known = (*COLUMNS, *RESULTS)
    unknown = [column for column in table.columns if column not in known]
    notes = [
        f"{source}: column {column!r} is not known; did you mean {meant}?"
        for column, meant in misspelt_columns(unknown, list(table.columns), known).items()
    ]
    table = table.copy()
    for column, default in (("family", name), ("quality", "A"), ("config_complete", "1")):
        if column not in table:
            table[column] = default
    table["family"] = table["family"].fillna(name)
    rows = read_configurations(table, catalogue)
    reason = list(rows.reason)
    seconds = _seconds(table, source, rows)
    for place in np.flatnonzero(~(np.isfinite(seconds) & (seconds > 0))).tolist():
        reason[place] = reason[place] or "step_time_s: missing, or not a number above 0"
    for place, letter in enumerate(_quality(table)):
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
    left_out = [f"{source}, row {place + 2}: {text}" for place, text in enumerate(reason) if text]
    if not usable.any():
        raise InputError(source, left_out[:10] or "has no rows")
    return table[usable], left_out, notes


def _quality(table: pd.DataFrame) -> NDArray[np.str_]:
    return np.array([text.strip().upper() for text in table["quality"].fillna("A")], dtype=str)


def _seconds(table: pd.DataFrame, source: str, rows: Configurations) -> Array:
    """Step time of each row, from the throughput where it is not given."""
    seconds = np.full(len(table), np.nan)
    if "step_time_s" in table:
        seconds = pd.to_numeric(table["step_time_s"], errors="coerce").to_numpy(dtype=np.float64)
    elif "tokens_per_s_per_device" not in table:
        raise InputError(source, "lacks a column step_time_s or tokens_per_s_per_device")
    if "tokens_per_s_per_device" in table:
        rate = pd.to_numeric(table["tokens_per_s_per_device"], errors="coerce").to_numpy()
        tokens = np.full(len(table), np.nan)
        tokens[rows.index] = rows.global_batch * rows.models.seq_len / rows.plans.chips
        seconds = np.where(np.isfinite(seconds), seconds, tokens / rate)
    return seconds
