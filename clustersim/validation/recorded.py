"""What a log recorded of the waits: starts, or statistics that are given instead."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from clustersim.analysis.size_waits import recorded_wait_s
from clustersim.array_types import Floats
from clustersim.errors import InputError, shown, unknown_name
from clustersim.units import counted, format_duration
from clustersim.validation.occupancy import running_at
from clustersim.workload.job_runs import runs_of

__all__ = ["EARLY_S", "given_waits", "most_in_use", "of_early_starts", "recorded_starts"]

EARLY_S = 60.0
"""A job that starts up to this time before its submission did not wait: clocks are rounded."""
_GIVEN = ("mean", "median", "p95")


def recorded_starts(jobs: pd.DataFrame) -> Floats:
    """Return the recorded starts (seconds), also those before the submission; NaN without one.

    Examples
    --------
    >>> recorded_starts(pd.DataFrame({"submit_s": [0.0, 60.0], "wait_s": [5.0, None]})).tolist()
    [5.0, nan]
    """
    names = {"start_s": "recorded_start_s", "wait_s": "recorded_wait_s"}
    wait_s = recorded_wait_s(jobs.rename(columns=names), {}, negative=True)
    submit_s = jobs["submit_s"].to_numpy(dtype=np.float64)
    start_s: Floats = submit_s + (np.nan if wait_s is None else wait_s)
    return start_s


def of_early_starts(early_s: Floats) -> list[str]:
    """Return notes on jobs that started before they were submitted.

    Parameters
    ----------
    early_s : float64 array (jobs,)
        Submission minus start, seconds; NaN without a start.

    Examples
    --------
    >>> of_early_starts(np.array([0.0, 5.0, np.nan]))[0].partition(",")[0]
    '1 job started up to 60 s before the submission'
    """
    small, large = int(((early_s > 0) & (early_s <= EARLY_S)).sum()), int((early_s > EARLY_S).sum())
    notes = []
    if small:
        notes.append(
            f"{counted(small, 'job')} started up to {format_duration(EARLY_S)} before the "
            "submission, as with rounded clocks: compared with a wait of 0 s"
        )
    if large:
        notes.append(
            f"{counted(large, 'job')} started more than {format_duration(EARLY_S)} before the "
            "submission: replayed and counted as running from the start, not compared"
        )
    return notes


def given_waits(
    recorded: Mapping[str, float] | None, source: str, *, has_starts: bool
) -> Mapping[str, float]:
    """Return the waits (seconds) that are given instead of recorded starts, by statistic.

    Parameters
    ----------
    recorded : mapping of str to float, optional
        ``mean`` and, if known, ``median`` and ``p95``.
    source : str
        Name of the log.
    has_starts : bool
        Whether the log has recorded starts.

    Raises
    ------
    InputError
        If there are neither starts nor a mean wait, or both, or a value is not allowed.

    Examples
    --------
    >>> given_waits({"p95": 7200.0, "mean": 600.0}, "jobs.csv", has_starts=False)
    {'mean': 600.0, 'p95': 7200.0}
    """
    if recorded and has_starts:
        raise InputError(
            "--recorded-wait", f"{source} has recorded starts; this option is for logs without"
        )
    if not recorded:
        if not has_starts:
            raise InputError(
                source,
                "has no recorded start of any job (start_s), so there are no waits to compare "
                "with; if a mean or median wait is known, give it: --recorded-wait 'mean=3760 s'",
            )
        return {}
    for name, value in recorded.items():
        if name not in _GIVEN:
            raise InputError("--recorded-wait", unknown_name("statistic", name, _GIVEN))
        if not (np.isfinite(value) and value >= 0):
            raise InputError("--recorded-wait", f"{name} must be 0 s or more, found {shown(value)}")
    if "mean" not in recorded:
        raise InputError(
            "--recorded-wait", "the mean is needed, such as 'mean=3760 s,median=189 s'"
        )
    return {name: float(recorded[name]) for name in _GIVEN if name in recorded}


def most_in_use(jobs: pd.DataFrame, start_s: Floats) -> int:
    """Return the most accelerators that were in use at once; 0 without a recorded start.

    A job that was requeued counts while it ran; see :mod:`clustersim.workload.job_runs`.

    Examples
    --------
    >>> jobs = pd.DataFrame({"n_accelerators": [8, 4, 8], "duration_s": [60.0, 60.0, 60.0]})
    >>> most_in_use(jobs, np.array([0.0, 30.0, 60.0]))
    12
    """
    job, start, end = runs_of(jobs, start_s)
    size = jobs["n_accelerators"].to_numpy(dtype=np.int64)[job]
    zero = np.zeros(len(start), dtype=np.int64)
    if not len(start):
        return 0
    return int(running_at(zero, start, end, size, zero, start).max())
