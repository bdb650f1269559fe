"""Columns of names in the jobs table that a policy uses, such as users, as texts and as numbers."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from clustersim.array_types import Floats, Ints
from clustersim.errors import InputError, nearest_hint
from clustersim.scheduling.queue import JobColumns

__all__ = ["check_names", "numbered", "texts_of_jobs", "values_of"]


def texts_of_jobs(jobs: JobColumns, names: Iterable[str]) -> npt.NDArray[np.object_] | None:
    """Return the first of some columns that the jobs table has, as texts; None if it has none.

    A missing value is an empty text.

    Examples
    --------
    >>> own = {"user": np.array(["ann", None], dtype=object)}
    >>> jobs = JobColumns([1, 1], [[1.0, 1.0]], choices=[(0,)], choice_of=[0, 0], columns=own)
    >>> texts_of_jobs(jobs, ["account", "user"]).tolist()
    ['ann', '']
    """
    for name in names:
        if name in jobs.columns:
            values = [_text(value) for value in jobs.columns[name].tolist()]
            return np.array(values, dtype=object)
    return None


def _text(value: Any) -> str:
    return "" if pd.isna(value) else str(value)


def numbered(texts: npt.NDArray[np.object_]) -> tuple[list[str], Ints]:
    """Return the distinct texts in order of their first use, and the number of each job's text.

    Examples
    --------
    >>> numbered(np.array(["b", "a", "b"], dtype=object))
    (['b', 'a'], array([0, 1, 0]))
    """
    known: dict[str, int] = {}
    numbers = [known.setdefault(text, len(known)) for text in texts]
    return list(known), np.array(numbers, dtype=np.int64)


def values_of(texts: npt.NDArray[np.object_] | None, given: Mapping[str, float], n: int) -> Floats:
    """Return the value that is given for the text of each job, 0 by default.

    Examples
    --------
    >>> values_of(np.array(["high", "low"], dtype=object), {"high": 5}, 2).tolist()
    [5.0, 0.0]
    """
    if texts is None or not given:
        return np.zeros(n)
    return np.array([given.get(text, 0.0) for text in texts], dtype=np.float64)


def check_names(
    option: str, given: Iterable[str], texts: npt.NDArray[np.object_] | None, column: str
) -> None:
    """Refuse names in an option that look like misspelt names of the jobs table.

    Raises
    ------
    InputError
        If there is no such column, or a name is not in it but resembles one that is.
    """
    given = list(given)
    if not given:
        return
    if texts is None:
        raise InputError(f"option {option}", f"needs a column {column} in the table of jobs")
    used = sorted(set(texts) - {""})
    unnamed = [name for name in used if name not in given]
    for name in given:
        if name not in used and difflib.get_close_matches(name, unnamed):
            raise InputError(
                f"option {option}", f"no job has the {column} {name!r}; {nearest_hint(name, used)}"
            )
