"""When a job ran that was requeued: its single runs, as a text in the table of jobs."""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np
import pandas as pd

from clustersim.array_types import Floats, Ints

__all__ = ["RUNS", "runs_of", "runs_text"]

RUNS = "runs_s"
"""Column with the single runs of jobs that have several, as `runs_text` writes them."""
_TEXT = re.compile(r"\d+(\.\d+)?-\d+(\.\d+)?( \d+(\.\d+)?-\d+(\.\d+)?)*")


def runs_text(begin_s: Iterable[float], end_s: Iterable[float]) -> str:
    """Return runs as a text.

    Parameters
    ----------
    begin_s, end_s : iterable of float
        Start and end of each run, seconds after the first start of the job.

    Examples
    --------
    >>> runs_text([0.0, 900.0], [60.0, 4500.0])
    '0-60 900-4500'
    """
    pairs = zip(begin_s, end_s, strict=True)
    return " ".join(f"{_plain(begin)}-{_plain(end)}" for begin, end in pairs)


def _plain(seconds: float) -> str:
    return np.format_float_positional(seconds, precision=6, trim="-")


def runs_of(jobs: pd.DataFrame, start_s: Floats) -> tuple[Ints, Floats, Floats]:
    """Return the single runs of all jobs with a start.

    A job without a text in the column :data:`RUNS` has one run, from its start for its run time.

    Parameters
    ----------
    jobs : pandas.DataFrame
        With ``duration_s`` and, if known, :data:`RUNS`.
    start_s : float64 array (jobs,)
        First start of each job, seconds; NaN without one.

    Returns
    -------
    job : int64 array (runs,)
        Row of the job in `jobs`.
    begin_s, end_s : float64 arrays (runs,)
        Seconds.

    Examples
    --------
    >>> jobs = pd.DataFrame({"duration_s": [60.0, 3660.0], "runs_s": [None, "0-60 900-4500"]})
    >>> job, begin_s, end_s = runs_of(jobs, np.array([5.0, 10.0]))
    >>> job.tolist(), begin_s.tolist(), end_s.tolist()
    ([0, 1, 1], [5.0, 10.0, 910.0], [65.0, 70.0, 4510.0])
    """
    run_s = jobs["duration_s"].to_numpy(dtype=np.float64)
    several = np.zeros(len(jobs), dtype=bool)
    if RUNS in jobs:
        texts = jobs[RUNS].astype(object)
        several = texts.map(lambda text: bool(_TEXT.fullmatch(str(text)))).to_numpy(dtype=bool)
    once = np.flatnonzero(np.isfinite(start_s) & ~several)
    job, begin, end = [*once], [*start_s[once]], [*(start_s + run_s)[once]]
    for row in np.flatnonzero(np.isfinite(start_s) & several):
        for part in str(jobs[RUNS].iloc[row]).split():
            first, _, last = part.partition("-")
            job.append(row)
            begin.append(start_s[row] + float(first))
            end.append(start_s[row] + float(last))
    return np.array(job, dtype=np.int64), np.array(begin, dtype=float), np.array(end, dtype=float)
