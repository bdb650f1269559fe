"""What the jobs of a log name in each other, for jobs that are moved, copied or left out."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd

from clustersim.array_types import Floats, Ints
from clustersim.calendar import DAY_S
from clustersim.workload.jobs import texts_of

__all__ = ["named_jobs", "with_own_links"]

_BETWEEN = re.compile(r"[\s,;:]+")
_CLOCK_S = DAY_S / 12
"""Moves by the same number of blocks differ by at most this much, where clocks change."""


def named_jobs(text: str) -> list[str]:
    """Return the ids in a cell, without the ``.0`` that a column of numbers with gaps has.

    Examples
    --------
    >>> named_jobs("7.0"), named_jobs("7, 8:9"), named_jobs("")
    (['7'], ['7', '8', '9'], [])
    """
    whole = text[:-2] if re.fullmatch(r"\d+\.0", text) else text
    return [name for name in _BETWEEN.split(whole) if name]


def with_own_links(
    changed: pd.DataFrame, jobs: pd.DataFrame, rows: Ints, copy: Ints | None = None
) -> pd.DataFrame:
    """Return a changed log in which jobs wait for those that were moved with them.

    What was left out, or moved elsewhere, is not waited for. Arrays that are moved differently are
    different arrays, and the time before which a job must not start moves with it.

    Parameters
    ----------
    changed : pandas.DataFrame
        Jobs with their new ids and submissions, and the columns of `jobs`.
    jobs : pandas.DataFrame
        The log.
    rows : int64 array (changed jobs,)
        The row in `jobs` of each.
    copy : int64 array (changed jobs,), optional
        The number of the copy to which each belongs, if copies may be moved alike.

    Examples
    --------
    >>> jobs = pd.DataFrame({"job_id": [1, 2], "submit_s": 0.0, "after_ok": ["", "1"]})
    >>> twice = jobs.iloc[[0, 1, 0, 1]].assign(job_id=["1", "2", "1~1", "2~1"])
    >>> twice = twice.assign(submit_s=[0.0, 0.0, 86400.0, 86400.0])
    >>> with_own_links(twice, jobs, np.array([0, 1, 0, 1]))["after_ok"].tolist()
    ['', '1', '', '1~1']
    """
    columns = [name for name in ("after_ok", "after_any") if name in jobs]
    if not {*columns, "array", "not_before_s"} & set(jobs):
        return changed
    moved_s = (
        changed["submit_s"].to_numpy(dtype=np.float64)
        - jobs["submit_s"].to_numpy(dtype=np.float64)[rows]
    )
    ids, number = texts_of(changed["job_id"]), np.zeros(len(rows), dtype=np.int64)
    if copy is not None:
        number = copy
    found: dict[str, Any] = {}
    if columns:
        row_of = {str(name): row for row, name in enumerate(texts_of(jobs["job_id"]).tolist())}
        copies: dict[int, list[int]] = {}
        for at, row in enumerate(rows.tolist()):
            copies.setdefault(row, []).append(at)
        for column in columns:
            texts = []
            for at, text in enumerate(texts_of(changed[column]).tolist()):
                names = []
                for name in named_jobs(text):
                    if name not in row_of:  # an error of the log
                        names.append(name)
                        continue
                    own = _with(copies.get(row_of[name], []), moved_s, number, at)
                    names += [] if own < 0 else [str(ids[own])]
                texts.append(" ".join(names))
            found[column] = texts
    if "array" in jobs:
        days = np.rint(moved_s / DAY_S).astype(np.int64)
        array = texts_of(changed["array"])
        away = (array != "") & ((days != 0) | (number != 0))
        mark = "~" + days.astype(str).astype(object) + "+" + number.astype(str).astype(object)
        found["array"] = np.where(away, array + mark, array)
    if "not_before_s" in jobs:
        found["not_before_s"] = changed["not_before_s"].to_numpy(dtype=np.float64) + moved_s
    return changed.assign(**found)


def _with(copies: list[int], moved_s: Floats, number: Ints, at: int) -> int:
    """Return the copy of a job that was moved as the job at `at`; -1 if there is none."""
    own = [copy for copy in copies if number[copy] == number[at]]
    apart = [abs(float(moved_s[copy] - moved_s[at])) for copy in own]
    nearest = min(range(len(own)), key=apart.__getitem__, default=-1)
    return own[nearest] if nearest >= 0 and apart[nearest] <= _CLOCK_S else -1
