"""The plain table to which every format is turned, before it is decided which rows are jobs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

__all__ = ["COLUMNS", "EXTRA", "START_UNKNOWN", "Records", "records_of"]

COLUMNS = (
    *("row", "line", "job_id", "group", "submit", "start", "end", "wait_s", "run_s", "limit_s"),
    *("n", "accelerator_s", "state", "partition", "user", "account", "qos", "reason"),
)
"""The columns of the table of :class:`Records`; a column that a format does not have is absent."""
EXTRA = "extra:"
"""What the names of columns that are only handed on begin with."""
START_UNKNOWN = "start_unknown"
"""Column that is true for a job of several runs whose start is that of a later run."""
_NUMBERS = ("wait_s", "run_s", "limit_s", "n")


@dataclass(slots=True)
class Records:
    """The records of a file.

    Attributes
    ----------
    table : pandas.DataFrame
        One row per record, with some of `COLUMNS`:

        ``row``: what the record is called in messages (the job id, or ``line 7``);
        ``line``: its line, or its place in a list, starting at 1;
        ``job_id``: of records with the same one, the later ones are further runs of the job;
        ``group``: of pods with the same one, all together are one job;
        ``submit``, ``start``, ``end``: texts, or numbers of seconds; empty if not recorded;
        ``wait_s``, ``run_s``, ``limit_s``: seconds, NaN if not recorded;
        ``n``: accelerators of the whole record, NaN if not recorded;
        ``accelerator_s``: accelerators times seconds, where only that is recorded;
        ``state``: as the scheduler writes it;
        ``reason``: why the record is no job, where the format alone tells it (see `REASONS`).

        Names that begin with `EXTRA` are other columns of the file, which are kept as they are.
    format : str
        Name of the format.
    notes : list of str
        What was assumed.
    advice : str
        What the file lacks if not one job can be read from it, and what to do.
    lacks : bool
        Whether the file lacks it whatever its rows are.
    """

    table: pd.DataFrame
    format: str
    notes: list[str] = field(default_factory=list)
    advice: str = ""
    lacks: bool = False


def records_of(
    rows: Iterable[Mapping[str, Any]], format: str, notes: Iterable[str] = (), advice: str = ""
) -> Records:
    """Return records from one mapping per record; keys are names of `COLUMNS`.

    Examples
    --------
    >>> records = records_of([{"job_id": "7", "n": 8}, {"job_id": "8"}], "mine")
    >>> records.table["n"].tolist(), records.table["row"].tolist()
    ([8.0, nan], ['7', '8'])
    """
    given = list(rows)
    table = pd.DataFrame(given)
    if "job_id" not in table:
        table["job_id"] = pd.Series(None, index=table.index, dtype=object)
    for name in _NUMBERS:
        if name in table:
            table[name] = pd.to_numeric(table[name], errors="coerce").astype(np.float64)
    named = table["row"] if "row" in table else pd.Series(None, index=table.index, dtype=object)
    table["row"] = named.where(named.notna(), table["job_id"])
    if "line" not in table:
        table["line"] = np.arange(1, len(table) + 1)
    unnamed = table["row"].isna()
    if unnamed.any():
        table["row"] = table["row"].where(~unnamed, "line " + table["line"].astype(str))
    return Records(table, format, list(notes), advice)
