"""Messages on cells of a log that are not numbers or times.

A message states the column, the first row with such a cell, and what is allowed.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from clustersim.array_types import Bools
from clustersim.errors import InputError, shown

__all__ = [
    "ISO_DATE",
    "SECONDS",
    "cell_problem",
    "given_cells",
    "not_numbers",
    "number_problem",
    "refuse_problems",
    "time_problem",
]


ISO_DATE = "a date in ISO 8601 format is needed, such as 2026-01-31 09:00:00"
SECONDS = "a number of seconds is needed"
_ABSENT = (
    *("", "unknown", "none", "null", "nan", "nat", "na", "n/a", "-"),
    *("--", "<none>", "<unset>", "<unknown>", "(null)", "#n/a"),
)
"""Texts that logs use for a missing value, in lower case."""


def given_cells(values: pd.Series) -> Bools:
    """Return which cells have a value; texts such as ``none`` and ``-`` denote a missing value."""
    given = np.asarray(values.notna(), dtype=bool)
    if values.dtype == object or isinstance(values.dtype, pd.StringDtype):
        text = values.astype("string").str.strip().str.lower()
        given = given & ~np.asarray(text.isin(_ABSENT), dtype=bool)
    return given


def not_numbers(values: pd.Series) -> Bools:
    """Return which cells have a value that is not a number, such as a date or a truth value."""
    if values.dtype.kind in "mMb":  # `to_numeric` would read dates as nanoseconds
        return np.asarray(values.notna(), dtype=bool)
    numbers = pd.to_numeric(values, errors="coerce")
    return np.asarray(numbers.isna() & values.notna(), dtype=bool)


def cell_problem(name: object, values: pd.Series, bad: Bools, what: str, needed: str) -> str:
    """Return a message on the rows of a column that cannot be read.

    Parameters
    ----------
    name : str
        Name of the column in the file.
    values : pandas.Series
        Cells of the column; the index is the position of the record in the file, starting at 0.
    bad : array of bool
        Which cells cannot be read; at least one must be True.
    what : str
        What is wrong with these cells, such as ``"no number"``.
    needed : str
        What is allowed instead.

    Examples
    --------
    >>> gpus, bad = pd.Series(["8", "two"]), np.array([False, True])
    >>> cell_problem("gpus", gpus, bad, "no number", "write 2")
    "gpus: 1 row has no number (row 2: 'two'); write 2"
    """
    count, at = int(bad.sum()), int(np.argmax(bad))
    rows = "1 row has" if count == 1 else f"{count:,} rows have"
    found = values.iloc[at]
    record = int(values.index[at]) + 1
    return f"{name}: {rows} {what} (row {record:,}: {shown(found)}); {needed}"


def number_problem(
    name: object, values: pd.Series, needed: str = "a number is needed"
) -> str | None:
    """Return a message on the cells of a column that are not numbers; None if all are numbers."""
    return _problem(name, values, not_numbers(values), "no number", needed)


def time_problem(
    name: object, texts: pd.Series, times: pd.Series, needed: str = ISO_DATE
) -> str | None:
    """Return a message on the texts of a column that are not valid times; None if all are valid."""
    return _problem(name, texts, np.asarray(times.isna()), "no valid time", needed)


def _problem(name: object, values: pd.Series, unread: Bools, what: str, needed: str) -> str | None:
    unread = unread & np.asarray(values.notna(), dtype=bool)
    if unread.any():  # comparing with the texts for missing values is slow
        unread = unread & given_cells(values)
    return cell_problem(name, values, unread, what, needed) if unread.any() else None


def refuse_problems(source: str | Path, problems: Iterable[str | None]) -> None:
    """Raise an error that lists the problems of a file, if there are any; None is ignored.

    Raises
    ------
    InputError
        If there is a problem. The error lists all problems.
    """
    found = [problem for problem in problems if problem is not None]
    if found:
        raise InputError(source, found)
