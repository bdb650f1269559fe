"""Cells of a log that are no number or no time: a message with column, row and what is needed."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

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

Mask = npt.NDArray[np.bool_]

ISO_DATE = "a date as in ISO 8601 is needed, such as 2026-01-31 09:00:00"
SECONDS = "a number of seconds is needed"
_ABSENT = ("", "unknown", "none", "null", "nan", "nat", "na", "n/a", "-")
"""How logs write that they do not know a value, in lower case."""


def given_cells(values: pd.Series) -> Mask:
    """Tell which cells hold something, rather than a word for an absent value."""
    given = np.asarray(values.notna(), dtype=bool)
    if values.dtype == object or isinstance(values.dtype, pd.StringDtype):
        text = values.astype("string").str.strip().str.lower()
        given = given & ~np.asarray(text.isin(_ABSENT), dtype=bool)
    return given


def not_numbers(values: pd.Series) -> Mask:
    """Tell which cells hold something that is no number; dates and truth values are none."""
    if values.dtype.kind in "mMb":  # `to_numeric` takes dates for nanoseconds
        return np.asarray(values.notna(), dtype=bool)
    numbers = pd.to_numeric(values, errors="coerce")
    return np.asarray(numbers.isna() & values.notna(), dtype=bool)


def cell_problem(name: object, values: pd.Series, bad: Mask, what: str, needed: str) -> str:
    """Say of a column which of its rows cannot be read.

    Parameters
    ----------
    name : str
        The column, as the file calls it.
    values : pandas.Series
        Its cells; the index is the record's place in the file, from 0 on.
    bad : array of bool
        Which of them cannot be read; at least one.
    what : str
        What those are not, such as ``"no number"``.
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
    """Say of a column of numbers which rows hold something else; None where none does."""
    return _problem(name, values, not_numbers(values), "no number", needed)


def time_problem(
    name: object, texts: pd.Series, times: pd.Series, needed: str = ISO_DATE
) -> str | None:
    """Say of a column of texts which were not read as times; None where all that are given were."""
    return _problem(name, texts, np.asarray(times.isna()), "no time that can be read", needed)


def _problem(name: object, values: pd.Series, unread: Mask, what: str, needed: str) -> str | None:
    unread = unread & np.asarray(values.notna(), dtype=bool)
    if unread.any():  # the words for absent values are looked at only then
        unread = unread & given_cells(values)
    return cell_problem(name, values, unread, what, needed) if unread.any() else None


def refuse_problems(source: str | Path, problems: Iterable[str | None]) -> None:
    """Refuse a file with any problem.

    Raises
    ------
    InputError
        With all of them.
    """
    told = [problem for problem in problems if problem is not None]
    if told:
        raise InputError(source, told)
