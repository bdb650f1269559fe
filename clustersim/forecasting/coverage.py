"""How often the intervals of forecasts are right: forecasts of a run whose end is known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from clustersim.array_types import Floats
from clustersim.errors import InputError
from clustersim.forecasting.forecast import forecast
from clustersim.simulation.result import Result
from clustersim.units import counted

__all__ = ["Coverage", "check_forecast"]

FIRST = 0.3
"""Share of the run, by submissions, that is history only."""


@dataclass(frozen=True, eq=False)
class Coverage:
    """Forecasts of a run at several times, and what then happened.

    Attributes
    ----------
    jobs : pandas.DataFrame
        One row per time and waiting job: ``at_s``, ``job_id``, ``n_accelerators``, ``low_s``,
        ``median_s``, ``high_s`` and ``start_s``, all in seconds from ``at_s``.
    times : pandas.DataFrame
        One row per time: ``at_s``, ``jobs``, and the shares of the jobs that started ``within``
        their interval, ``earlier`` or ``later``.
    not_started, not_forecast : int
        Waiting jobs that are not counted, over all times: those that did not start before the run
        ended, and others without a forecast (a median that is not finite).
    """

    jobs: pd.DataFrame
    times: pd.DataFrame
    not_started: int = 0
    not_forecast: int = 0

    @property
    def left_out(self) -> str:
        """Text on the jobs that are not counted; empty if all are."""
        parts = (
            (self.not_started, "did not start before the run ended"),
            (self.not_forecast, "had no forecast"),
        )
        return "; ".join(f"{counted(n, 'waiting job')} {what}" for n, what in parts if n)

    @property
    def by_job(self) -> float:
        """Share of all jobs that started within their interval."""
        return float((self.times["within"] * self.times["jobs"]).sum() / self.times["jobs"].sum())

    @property
    def by_time(self) -> float:
        """Mean over the times of the share of jobs that started within their interval."""
        return float(self.times["within"].mean())


def check_forecast(
    result: Result,
    *,
    times: int = 40,
    progress: Callable[[int, int], None] | None = None,
    **options: Any,
) -> Coverage:
    """Forecast a run at several times, and compare with the starts in the run.

    The times are spread evenly over the time during which jobs wait, after the first 30 % of the
    submissions. At each, only what had happened by then is known to the forecast.

    Parameters
    ----------
    result : Result
    times : int
        Number of times.
    progress : callable, optional
        Called with the times done and their number.
    **options
        Arguments of :func:`~clustersim.forecasting.forecast`, such as ``replications``.

    Raises
    ------
    InputError
        If no job waits after the first 30 % of the run, no waiting job both starts and has a
        forecast, or an option is not allowed.
    """
    moments = waiting_times(result.jobs, times)
    if not len(moments):
        raise InputError("--check", "no job of this run waits after the first 30 % of it")
    ranges = result.allocation_ranges[["job_id", "start_s"]].sort_values("start_s")
    tables = []
    for done, at_s in enumerate(moments):
        found = forecast(result, at_s=float(at_s), **options).jobs
        then = ranges[ranges["start_s"] > at_s].drop_duplicates("job_id")
        start = pd.Series(then["start_s"].to_numpy() - at_s, then["job_id"].astype(str).to_numpy())
        columns = ["job_id", "n_accelerators", "low_s", "median_s", "high_s"]
        table = found[columns].assign(start_s=start.reindex(found["job_id"]).to_numpy())
        table.insert(0, "at_s", float(at_s))
        tables.append(table)
        if progress is not None:
            progress(done + 1, len(moments))
    jobs = pd.concat(tables, ignore_index=True)
    started, has_median = jobs["start_s"].notna(), jobs["median_s"].notna()
    without = int((~started).sum()), int((started & ~has_median).sum())
    jobs = jobs[started & has_median].reset_index(drop=True)
    if jobs.empty:
        why = Coverage(jobs, jobs, *without).left_out
        raise InputError(
            "--check", f"no job of this run waits that can be compared{why and ': '}{why}"
        )
    earlier = jobs["start_s"] < jobs["low_s"]
    later = jobs["start_s"] > jobs["high_s"]
    marked = jobs.assign(jobs=1, within=~(earlier | later), earlier=earlier, later=later)
    grouped = marked.groupby("at_s")
    table = grouped[["within", "earlier", "later"]].mean()
    table.insert(0, "jobs", grouped["jobs"].sum())
    return Coverage(jobs, table.reset_index(), *without)


def waiting_times(jobs: pd.DataFrame, times: int) -> Floats:
    """Return times that are spread evenly over the time during which jobs wait.

    Examples
    --------
    >>> jobs = pd.DataFrame({"submit_s": [0.0, 10.0, 20.0], "start_s": [0.0, 14.0, 26.0]})
    >>> waiting_times(jobs, 5).tolist()
    [10.4, 11.2, 12.0, 12.8, 13.6]
    """
    submit = jobs["submit_s"].to_numpy(dtype=np.float64)
    start = jobs["start_s"].to_numpy(dtype=np.float64, na_value=np.nan)
    begin = submit.min() + FIRST * (submit.max() - submit.min())
    at = np.concatenate([submit[start > submit], start[start > submit]])
    step = np.repeat([1, -1], len(at) // 2)
    order = np.argsort(at, kind="stable")
    at, waiting = at[order], np.cumsum(step[order])
    if not len(at):
        return at
    low = np.clip(at[:-1], begin, submit.max())
    high = np.clip(at[1:], begin, submit.max())
    length = np.where(waiting[:-1] > 0, high - low, 0.0)
    total = np.concatenate([[0.0], np.cumsum(length)])
    if total[-1] <= 0:
        return np.empty(0)
    wanted = (np.arange(times) + 0.5) / times * total[-1]
    piece = np.searchsorted(total, wanted, side="right") - 1
    return np.asarray(low[piece] + wanted - total[piece])
