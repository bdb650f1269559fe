"""Measured step times: the project's own table, and a user's."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clustersim.calibration.configurations import Configurations, read_configurations
from clustersim.catalogue import Catalogue, load_catalogue
from clustersim.errors import InputError

__all__ = ["Measurements", "load_measurements", "own_table", "read_table"]

Array = NDArray[np.float64]

SCATTER = {"A": 0.03, "B": 0.05, "C": 0.09}
"""How far a measurement may be off (standard deviation of the logarithm), by quality: A as
published, B partly inferred, C weak."""
INCOMPLETE = 2.0
"""Factor on it where a part of the configuration is assumed."""


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
    """

    rows: Configurations
    step_time_s: Array
    scatter: Array
    complete: NDArray[np.bool_]
    whole: NDArray[np.bool_]
    table: pd.DataFrame
    left_out: list[str]

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
        )


def own_table() -> pd.DataFrame:
    """Return the project's table of published runs (``data/training.csv``)."""
    data = resources.files("clustersim.calibration") / "data" / "training.csv"
    with data.open(encoding="utf-8") as file:
        return pd.read_csv(file, dtype=str)


def read_table(path: str | Path) -> pd.DataFrame:
    """Read a table of runs as text.

    Raises
    ------
    InputError
        Where the file cannot be read as CSV.
    """
    try:
        return pd.read_csv(path, dtype=str)
    except OSError as error:
        raise InputError(os.fspath(path), f"cannot be read: {error.strerror}") from None
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise InputError(os.fspath(path), f"is no CSV table: {error}") from None


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
    rows = read_configurations(table, catalogue)
    quality = table["quality"].fillna("A").str.upper()
    whole = table["config_complete"].fillna("1").astype(str) != "0"
    scatter = np.array([SCATTER.get(letter, SCATTER["C"]) for letter in quality])
    return Measurements(
        rows=rows,
        step_time_s=table["step_time_s"].to_numpy(dtype=np.float64),
        scatter=scatter * np.where(whole, 1.0, INCOMPLETE),
        complete=((quality == "A") & whole).to_numpy(dtype=bool),
        whole=whole.to_numpy(dtype=bool),
        table=table,
        left_out=left_out,
    )


def _measured(
    table: pd.DataFrame, source: str, catalogue: Catalogue
) -> tuple[pd.DataFrame, list[str]]:
    """Return the usable rows with their step time, and why the others are not."""
    name = Path(source).stem
    table = table.copy()
    for column, default in (("family", name), ("quality", "A"), ("config_complete", "1")):
        if column not in table:
            table[column] = default
    table["family"] = table["family"].fillna(name)
    rows = read_configurations(table, catalogue)
    reason = list(rows.reason)
    seconds = _seconds(table, source, rows)
    for place in np.flatnonzero(~(np.isfinite(seconds) & (seconds > 0))):
        reason[place] = reason[place] or "step_time_s: missing, or not a number above 0"
    table["step_time_s"] = seconds
    usable = np.array([not text for text in reason], dtype=bool)
    left_out = [f"{source}, row {place + 2}: {text}" for place, text in enumerate(reason) if text]
    if not usable.any():
        raise InputError(source, left_out[:10] or "has no rows")
    return table[usable], left_out


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
