"""Whether a jobs table can be simulated: all that is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from clustersim.array_types import Bools, Floats, Ints
from clustersim.errors import InputError, shown
from clustersim.notes import note
from clustersim.units import LONGEST_S, MOST_CHIPS, SECONDS_PER_YEAR, counted, format_number
from clustersim.workload.columns import absent_columns
from clustersim.workload.input_columns import misspelt_notes
from clustersim.workload.jobs import REQUIRED_COLUMNS
from clustersim.workload.measured_rates import (
    has_rates,
    rate_column_notes,
    rate_problems,
    rows_with_rates,
)
from clustersim.workload.size_ranges import range_problems

__all__ = ["check_jobs"]

UNUSUAL_S = 100 * SECONDS_PER_YEAR
"""Times above this number of seconds cause a note, because they may be in milliseconds: a month has
nearly this many milliseconds."""
MOST_BYTES = 1e18
"""Largest number of bytes that a job may read."""


def check_jobs(jobs: pd.DataFrame, source: str | Path, *, records: Ints | None = None) -> None:
    """Raise an error if a jobs table cannot be simulated.

    Parameters
    ----------
    jobs : pandas.DataFrame
        A jobs table. ``duration_s`` and ``estimate_s`` may be NaN only in rows with a ``model`` and
        ``tokens``, or with ``steps`` and rates.
    source : str or Path
        Name of the table in the message, usually the file.
    records : int64 array (jobs,), optional
        Row numbers of the jobs in the file, for the message; by default the positions in the table,
        starting at 1.

    Notes
    -----
    Times of more than 100 years may be in milliseconds; they cause a note, not an error. So does a
    column whose name looks misspelt.

    Raises
    ------
    InputError
        If the table is invalid: missing columns, no rows, columns that are not numeric, values that
        are missing, infinite, negative or too large, fractions of accelerators, submit times out
        of order, or duplicate job ids. The error lists all problems.

    Examples
    --------
    >>> from clustersim.workload import check_jobs
    >>> import pandas as pd
    >>> jobs = pd.DataFrame(
    ...     {"job_id": [1, 2], "submit_s": [0, 5], "n_accelerators": [8, 0], "duration_s": [60, 60]}
    ... )
    >>> check_jobs(jobs, "a.csv")
    Traceback (most recent call last):
        ...
    clustersim.errors.InputError: a.csv: n_accelerators: 1 row with a value below 1 (row 2: 0); \
at least 1 is needed
    """
    problems = list(_missing_columns(jobs))
    if len(jobs) == 0:
        problems.append("contains no jobs")
    else:
        problems += _problems(jobs, np.arange(1, len(jobs) + 1) if records is None else records)
    if problems:
        raise InputError(source, problems)
    _note_long_times(jobs)
    names = [str(name) for name in jobs.columns]
    for text in (*misspelt_notes(names), *rate_column_notes(names)):
        note(text)


def _note_long_times(jobs: pd.DataFrame) -> None:
    """Add a note on times that are longer than any log and thus most likely in milliseconds."""
    for name in ("submit_s", "duration_s", "estimate_s"):
        values = _values(jobs, name, np.arange(len(jobs)))
        if values is None or isinstance(values, str):
            continue
        longest = float(np.fmax.reduce(values))
        if longest > UNUSUAL_S:
            note(
                f"{name} is up to {format_number(longest, 3)} s, which is "
                f"{longest / SECONDS_PER_YEAR:,.0f} years; check that it is in seconds, not in "
                "milliseconds"
            )


def _missing_columns(jobs: pd.DataFrame) -> Iterator[str]:
    columns = [str(column) for column in jobs.columns]
    yield from absent_columns(REQUIRED_COLUMNS, columns)
    for name in sorted({name for name in columns if columns.count(name) > 1}):
        yield f"{name}: there is more than one column with this name"


def _problems(jobs: pd.DataFrame, records: Ints) -> list[str]:
    by_model, by_rate = _model_rows(jobs), rows_with_rates(jobs)
    without = by_rate if by_model is None else by_model | by_rate
    problems = list(_check_numbers(jobs, records, "submit_s", least=0.0, most=LONGEST_S))
    problems += _check_size(jobs, records)
    for name in ("duration_s", "estimate_s"):
        problems += _check_numbers(
            jobs, records, name, least=0.0, most=LONGEST_S, may_be_nan=without
        )
    for name in ("deadline_s", "slo_s", "restart_delay_s"):
        every = np.ones(len(jobs), dtype=bool)
        problems += _check_numbers(jobs, records, name, least=0.0, most=LONGEST_S, may_be_nan=every)
    if "read_bytes" in jobs:
        every = np.ones(len(jobs), dtype=bool)
        problems += _check_numbers(
            jobs, records, "read_bytes", least=0.0, most=MOST_BYTES, may_be_nan=every
        )
    if by_model is not None and by_model.any():
        problems += _check_numbers(
            jobs[by_model], records[by_model], "tokens", least=0.0, most=1e20, open_end=True
        )
    problems += [*rate_problems(jobs, records), *range_problems(jobs)]
    problems += _label_problems(jobs, records)
    problems += _check_order(jobs, records)
    return problems + list(_check_identity(jobs, records))


def _model_rows(jobs: pd.DataFrame) -> Bools | None:
    if "model" not in jobs or "tokens" not in jobs:
        return None
    return np.asarray(jobs["model"].notna(), dtype=bool)


def _values(jobs: pd.DataFrame, name: str, records: Ints) -> Floats | str | None:
    """Return a column as floats, or a message if it is not numeric; None if absent or ambiguous."""
    column = jobs.get(name)
    if not isinstance(column, pd.Series):
        return None
    if not (column.dtype == object or isinstance(column.dtype, pd.StringDtype)):
        if pd.api.types.is_bool_dtype(column) or not pd.api.types.is_numeric_dtype(column):
            return f"{name}: must be numeric, found the type {column.dtype}"
        return column.to_numpy(dtype=np.float64, na_value=np.nan)
    numbers = pd.to_numeric(column.astype(object), errors="coerce")
    bad = np.flatnonzero(np.asarray(numbers.isna() & column.notna()))
    if len(bad):
        at = int(bad[0])
        return (
            f"{name}: {_rows(len(bad))} no number (row {records[at]}: "
            f"{shown(column.iloc[at])}); {_NEEDED.get(name, 'a number is needed')}"
        )
    return numbers.to_numpy(dtype=np.float64, na_value=np.nan)


_INFINITE = "with a value that is infinite or beyond 1.8e308"


_NEEDED = {
    "submit_s": "a number of seconds is needed; dates are read from a column submit_time",
    "duration_s": "a number of seconds is needed",
    "estimate_s": "a number of seconds is needed",
    "n_accelerators": "a whole number is needed",
}


def _rows(count: int) -> str:
    return f"{count:,} row" + (" has" if count == 1 else "s have")


def _row_problem(
    name: str,
    bad: Bools,
    values: Floats,
    records: Ints,
    what: str,
    rule: str,
) -> str:
    count, at = int(bad.sum()), int(np.argmax(bad))
    rows = f"{count:,} row" + ("" if count == 1 else "s")
    first = "" if np.isnan(values[at]) else f": {values[at]:.15g}"
    return f"{name}: {rows} {what} (row {records[at]}{first}); {rule}"


def _check_numbers(
    jobs: pd.DataFrame,
    records: Ints,
    name: str,
    *,
    least: float,
    most: float,
    may_be_nan: Bools | None = None,
    open_end: bool = False,
) -> Iterator[str]:
    values = _values(jobs, name, records)
    if values is None:
        return
    if isinstance(values, str):
        yield values
        return
    low, high = values.min(), values.max()
    if low >= least and high <= most and not (open_end and low == least):
        return
    absent = np.isnan(values)
    if may_be_nan is not None:
        absent &= ~may_be_nan
    rule = f"{'more than' if open_end else 'at least'} {format_number(least, 6)} is needed"
    limit = f"at most {most:g} is allowed"
    if most == LONGEST_S:
        limit = "at most 10,000 yr (3.16e11 s) is allowed; is the value in milliseconds?"
    too_low = values <= least if open_end else values < least
    for bad, what, remedy in (
        (absent, "without a value", _wanted(jobs, name)),
        (np.isinf(values), _INFINITE, "a finite number is needed"),
        (
            too_low & np.isfinite(values),
            "with a value that is too low" if least > 0 else "with a value that is not positive",
            rule,
        ),
        (
            (values > most) & np.isfinite(values),
            "with a value that is too large",
            limit,
        ),
    ):
        if bad.any():
            if what == "with a value that is not positive" and not open_end:
                what = "with a negative value"
            yield _row_problem(name, bad, values, records, what, remedy)


def _wanted(jobs: pd.DataFrame, name: str) -> str:
    """Return what to do about a cell of a column that has no value."""
    if name == "duration_s" and has_rates(jobs):
        return "every job needs a value, or steps and a rate (columns steps_per_s.POOL)"
    return "every job needs a value"


def _check_size(jobs: pd.DataFrame, records: Ints) -> Iterator[str]:
    values = _values(jobs, "n_accelerators", records)
    if values is None:
        return
    if isinstance(values, str):
        yield values
        return
    finite = np.isfinite(values)
    for bad, what, rule in (
        (np.isnan(values), "without a value", "every job needs a value"),
        (np.isinf(values), _INFINITE, "a whole number is needed"),
        (values < 1, "with a value below 1", "at least 1 is needed"),
        (
            values > MOST_CHIPS,
            "with a value that is too large",
            f"at most {MOST_CHIPS:,} is allowed",
        ),
        (
            values != np.floor(values),
            "with a fraction of an accelerator",
            "a whole number is needed",
        ),
    ):
        bad = bad & finite if what not in ("without a value", _INFINITE) else bad
        if bad.any():
            yield _row_problem("n_accelerators", bad, values, records, what, rule)


def _label_problems(jobs: pd.DataFrame, records: Ints) -> Iterator[str]:
    """Yield what is wrong with the columns ``hero``, ``preemptible`` and ``priority``.

    An empty cell is allowed. Whether a policy can use a priority that is text, is up to the policy.

    Parameters
    ----------
    jobs : pandas.DataFrame
        A jobs table.
    records : int64 array (jobs,)
        Row numbers of the jobs in the file.

    Examples
    --------
    >>> jobs = pd.DataFrame({"hero": [True, "maybe"], "priority": [np.inf, 1.0]})
    >>> list(_label_problems(jobs, np.array([1, 2])))
    ["hero: must be true or false, found 'maybe' (row 2)", 'priority: must be a finite number, \
found inf (row 1)']
    """
    for name in ("hero", "preemptible"):
        column = jobs.get(name)
        if not isinstance(column, pd.Series) or pd.api.types.is_bool_dtype(column):
            continue
        given = column.astype(object)
        wrong = np.asarray(given.notna() & ~given.isin([True, False]))
        if wrong.any():
            # One other text turns all cells of a file into texts: it is the one to name.
            odd = wrong & ~np.asarray(given.astype(str).str.lower().isin(("true", "false")))
            at = int(np.argmax(odd if odd.any() else wrong))
            yield (
                f"{name}: must be true or false, found {shown(given.iloc[at])} (row {records[at]})"
            )
    column = jobs.get("priority")
    if isinstance(column, pd.Series):
        numbers = pd.to_numeric(column, errors="coerce")
        endless = np.isinf(numbers.to_numpy(dtype=np.float64, na_value=np.nan))
        if endless.any():
            at = int(np.argmax(endless))
            yield (
                f"priority: must be a finite number, found {shown(column.iloc[at])} "
                f"(row {records[at]})"
            )


def _check_order(jobs: pd.DataFrame, records: Ints) -> Iterator[str]:
    values = _values(jobs, "submit_s", records)
    if values is None or isinstance(values, str):
        return
    back = np.flatnonzero(values[1:] < values[:-1])
    if len(back):
        row = int(back[0]) + 1
        yield (
            f"submit_s: not in order in {counted(len(back), 'place')}; the first is row "
            f"{records[row]} ({values[row]:.15g}), which comes after row {records[row - 1]} "
            f"({values[row - 1]:.15g}); "
            "sort the rows, or use --sort (sort=True)"
        )


def _check_identity(jobs: pd.DataFrame, records: Ints) -> Iterator[str]:
    column = jobs.get("job_id")
    if not isinstance(column, pd.Series):
        return
    absent = np.asarray(column.isna())
    if absent.any():
        first = records[int(np.argmax(absent))]
        yield f"job_id: {_rows(int(absent.sum()))} no value (row {first}); every job needs an id"
        column = column[~absent]
    if pd.api.types.is_integer_dtype(column):
        numbers = column.to_numpy()
        if len(numbers) < 2 or (numbers[1:] > numbers[:-1]).all():
            return
    elif not (column.dtype == object or isinstance(column.dtype, pd.StringDtype)):
        yield f"job_id: must be whole numbers or text, found the type {column.dtype}"
        return
    if column.is_unique:
        return
    twice = np.asarray(column.duplicated())
    if twice.any():
        names = column[twice].drop_duplicates()
        first = ", ".join(shown(name) for name in names.iloc[:3].tolist())
        more = f" and {len(names) - 3:,} more" if len(names) > 3 else ""
        occur = counted(len(names), "id occurs", "ids occur")
        yield f"job_id: {occur} more than once: {first}{more}; each must be unique"
