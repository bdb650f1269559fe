"""Jobs that can run at several sizes: ``min_accelerators`` and ``max_accelerators`` of a table.

A job without a value runs only at ``n_accelerators``, its usual size.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from clustersim.array_types import Bools, Floats, Ints

__all__ = ["has_ranges", "range_problems", "serial_shares", "size_ranges"]

SMALLEST, LARGEST, SERIAL = "min_accelerators", "max_accelerators", "serial_share"


def has_ranges(jobs: pd.DataFrame) -> bool:
    """Return whether a jobs table has ranges of sizes.

    Examples
    --------
    >>> has_ranges(pd.DataFrame(columns=["n_accelerators", "max_accelerators"]))
    True
    """
    return SMALLEST in jobs or LARGEST in jobs


def size_ranges(jobs: pd.DataFrame) -> tuple[Ints, Ints]:
    """Return the smallest and the largest number of accelerators of each job.

    Examples
    --------
    >>> jobs = pd.DataFrame({"n_accelerators": [8, 4], "min_accelerators": [2, None]})
    >>> smallest, largest = size_ranges(jobs)
    >>> smallest.tolist(), largest.tolist()
    ([2, 4], [8, 4])
    """
    asked = jobs["n_accelerators"].to_numpy(dtype=np.int64)
    smallest, largest = (_given(jobs, name, asked) for name in (SMALLEST, LARGEST))
    return smallest.astype(np.int64), largest.astype(np.int64)


def serial_shares(jobs: pd.DataFrame) -> Floats:
    """Return the share of each job's work that more accelerators do not make faster.

    Examples
    --------
    >>> serial_shares(pd.DataFrame({"serial_share": [0.1, None]})).tolist()
    [0.1, 0.0]
    """
    return _given(jobs, SERIAL, np.zeros(len(jobs)))


def range_problems(jobs: pd.DataFrame) -> Iterator[str]:
    """Yield what is wrong with ranges: texts, parts of accelerators, and another usual size.

    Examples
    --------
    >>> jobs = pd.DataFrame({"n_accelerators": [8, 4], "min_accelerators": [2, 5]})
    >>> list(range_problems(jobs))
    ['min_accelerators: 1 of 2 rows have no whole number from 1 to n_accelerators (row 2: 5)']
    """
    if "n_accelerators" not in jobs or not (has_ranges(jobs) or SERIAL in jobs):
        return
    asked = _numbers(jobs["n_accelerators"])
    for name, wanted in (
        (SMALLEST, "no whole number from 1 to n_accelerators"),
        (LARGEST, "no whole number of at least n_accelerators"),
    ):
        if name in jobs:
            value = _numbers(jobs[name])
            outside = (value > asked) | (value < 1) if name == SMALLEST else value < asked
            wrong = outside | (value != np.floor(value)) & ~np.isnan(value) | np.isinf(value)
            yield from _problem(jobs, name, wrong, wanted)
    if SERIAL in jobs:
        share = _numbers(jobs[SERIAL])
        yield from _problem(jobs, SERIAL, (share < 0) | (share > 1), "no number from 0 to 1")


def _problem(jobs: pd.DataFrame, name: str, wrong: Bools, wanted: str) -> Iterator[str]:
    texts = np.isnan(_numbers(jobs[name])) & jobs[name].notna().to_numpy()
    bad = np.asarray(wrong | texts)
    if bad.any():
        at = int(np.argmax(bad))
        value = jobs[name].iloc[at]
        shown = repr(value) if isinstance(value, str) else f"{value:g}"
        yield (
            f"{name}: {int(bad.sum()):,} of {len(jobs):,} rows have {wanted} (row {at + 1}: "
            f"{shown})"
        )


def _given(jobs: pd.DataFrame, name: str, usual: Ints | Floats) -> Floats:
    if name not in jobs:
        return usual.astype(np.float64)
    values = _numbers(jobs[name])
    return np.where(np.isnan(values), usual, values)


def _numbers(column: pd.Series) -> Floats:
    numbers: Floats = pd.to_numeric(column, errors="coerce").to_numpy(
        dtype=np.float64, na_value=np.nan
    )
    return numbers
