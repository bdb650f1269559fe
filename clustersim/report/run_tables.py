"""Tables that are derived from the result of a run, and all its tables as CSV."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import pandas as pd

from clustersim.analysis.policy.deadlines import slo_table
from clustersim.analysis.policy.goodput_split import goodput_table
from clustersim.analysis.policy.shares import shares_table
from clustersim.analysis.size_waits import recorded_waits, waits_by_size
from clustersim.calendar import Calendar
from clustersim.catalogue import Catalogue, load_catalogue
from clustersim.errors import InputError
from clustersim.outputs import write_table
from clustersim.simulation.queue_length import queue_length
from clustersim.simulation.result import Result
from clustersim.spreadsheets import plain_cells

__all__ = ["RunTables", "csv_table", "table_file", "write_csv", "write_tables"]

_TIMES = (
    "submit_s",
    "recorded_start_s",
    "start_s",
    "finish_s",
    "begin_s",
    "end_s",
    "time_s",
    "announced_s",
)
"""Columns with points in time; each gets a column with dates in the CSV files."""
_OF_RESULT = {
    "jobs": "jobs",
    "allocation_ranges": "allocations",
    "utilisation": "utilisation",
    "summary": "summary",
    "attempts": "attempts",
    "outages": "outages",
    "serving": "serving",
    "costs": "costs",
    "windows": "windows",
    "network_load": "network_load",
    "storage_load": "storage_load",
    "network_faults": "network_faults",
}
"""Name of the CSV file of each table of a result, without its suffix."""


@dataclass(frozen=True, eq=False)
class RunTables:
    """Tables that are derived from the result of a run.

    Attributes
    ----------
    queue_length : pandas.DataFrame
        See :func:`~clustersim.simulation.queue_length.queue_length`.
    waits_by_size : pandas.DataFrame
        See :func:`~clustersim.analysis.size_waits.waits_by_size`.
    recorded_waits : pandas.DataFrame or None
        See :func:`~clustersim.analysis.size_waits.recorded_waits`.
    shares : pandas.DataFrame or None
        See :func:`~clustersim.analysis.policy.shares.shares_table`.
    goodput : pandas.DataFrame
        See :func:`~clustersim.analysis.policy.goodput_split.goodput_table`.
    slo_attainment : pandas.DataFrame or None
        See :func:`~clustersim.analysis.policy.deadlines.slo_table`.
    """

    queue_length: pd.DataFrame
    waits_by_size: pd.DataFrame
    recorded_waits: pd.DataFrame | None
    shares: pd.DataFrame | None
    goodput: pd.DataFrame
    slo_attainment: pd.DataFrame | None

    @classmethod
    def of(cls, result: Result) -> RunTables:
        """Return the tables of a result."""
        end_s = float(result.provenance["simulated_s"])
        return cls(
            queue_length(result.jobs, result.allocation_ranges, end_s),
            waits_by_size(result.jobs, end_s),
            recorded_waits(result.jobs, result.provenance),
            shares_table(result),
            goodput_table(result, _catalogue(result)),
            slo_table(result),
        )

    def by_file(self) -> dict[str, pd.DataFrame]:
        """Return the tables by the names of their files, without suffix."""
        tables = {each.name: getattr(self, each.name) for each in fields(self)}
        return {name: table for name, table in tables.items() if table is not None}


def _catalogue(result: Result) -> Catalogue:
    """Return the catalogue of a run; the built-in one if its files have gone."""
    scenario = result.provenance.get("scenario")
    files = scenario.get("catalogue", ()) if isinstance(scenario, Mapping) else ()
    try:
        return load_catalogue(*files)
    except InputError:
        return load_catalogue()


def write_tables(tables: RunTables, folder: Path) -> None:
    """Write the derived tables of a run as Parquet into its folder.

    Raises
    ------
    InputError
        If a file cannot be written.
    """
    for name, table in tables.by_file().items():
        write_table(table, folder / f"{name}.parquet")


def write_csv(result: Result, tables: RunTables, folder: Path) -> None:
    """Write all tables of a run as CSV into its folder.

    Raises
    ------
    InputError
        If a file cannot be written.
    """
    own = {file: getattr(result, name) for name, file in _OF_RESULT.items()}
    for name, table in {**own, **tables.by_file()}.items():
        if table is not None:
            write_table(plain_cells(csv_table(table, result.calendar)), folder / f"{name}.csv")


def table_file(name: str, folder: Path | None) -> str:
    """Return the name of the file of a table, without its folder: the CSV file if there is one.

    Parameters
    ----------
    name : str
        Name of the file without its suffix.
    folder : Path or None
        Folder of the run; None if it has no CSV files.
    """
    csv = folder is not None and (folder / f"{name}.csv").is_file()
    return f"{name}.{'csv' if csv else 'parquet'}"


def csv_table(table: pd.DataFrame, calendar: Calendar) -> pd.DataFrame:
    """Return a table with the dates that only its CSV file has.

    If the run has a start date, each column with a time, such as ``start_s``, is followed by its
    local date and time in ISO 8601, such as ``start_local``.

    Parameters
    ----------
    table : pandas.DataFrame
    calendar : Calendar

    Examples
    --------
    >>> from datetime import datetime
    >>> steps = pd.DataFrame({"time_s": [0.0, 90.0], "jobs": [0, 2]})
    >>> table = csv_table(steps, Calendar(datetime(2026, 1, 1)))
    >>> table.columns.tolist(), table["time_local"][1]
    (['time_s', 'time_local', 'jobs'], '2026-01-01T00:01:30')
    """
    columns: dict[str, pd.Series] = {}
    for column in map(str, table.columns):
        columns[column] = table[column]
        local = f"{column.removesuffix('_s')}_local"
        if calendar.is_dated and column in _TIMES and local not in table:
            times = pd.to_numeric(table[column], errors="coerce").to_numpy(
                dtype=np.float64, na_value=np.nan
            )
            columns[local] = pd.Series(calendar.iso_texts(times), index=table.index, dtype=object)
    return pd.DataFrame(columns)
