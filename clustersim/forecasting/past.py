"""The jobs of a log from which a forecast learns: those that ended, and the recent ones."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd

from clustersim.forecasting.inputs import Given
from clustersim.forecasting.run_times import RECENT_S
from clustersim.forecasting.samples import LEAST_ALIKE
from clustersim.units import counted
from clustersim.workload import read_jobs

__all__ = ["Past", "past_of"]


@dataclass(frozen=True, eq=False)
class Past:
    """The jobs from which a forecast learns.

    Attributes
    ----------
    jobs : pandas.DataFrame
        Jobs that ended; a limit that is not recorded is missing.
    submitted : pandas.DataFrame or None
        If they are those of the saved run or table itself: all of its jobs that had been submitted
        by now, from which further jobs are drawn.
    notes : tuple of str
        What the log lacks.
    arrived : pandas.DataFrame or None
        All jobs of a log of which `jobs` are only a part.
    recent : pandas.DataFrame or None
        The jobs that began not long before now and have ended, in order of their start; their
        ``submit_s`` is in seconds from now.
    """

    jobs: pd.DataFrame
    submitted: pd.DataFrame | None = None
    notes: tuple[str, ...] = ()
    arrived: pd.DataFrame | None = None
    recent: pd.DataFrame | None = None

    @property
    def further(self) -> pd.DataFrame:
        """The jobs from which further jobs are drawn."""
        if self.submitted is not None:
            return self.submitted
        return self.jobs if self.arrived is None else self.arrived


def past_of(
    given: Given, history: str | Path | pd.DataFrame | None, time_zone: str | None
) -> Past | None:
    """Return the jobs from which run times and arrivals are learnt; None if there are too few.

    Parameters
    ----------
    given : Given
        The state; that of a saved run has a history.
    history : str, Path or DataFrame, optional
        A log of the site, which replaces the history of a saved run.
    time_zone : str, optional
        As for :func:`clustersim.read_jobs`.

    Raises
    ------
    InputError
        If the log cannot be read.
    """
    if isinstance(history, pd.DataFrame):
        return Past(_in_order(history))
    if history is not None:
        log = read_jobs(history, time_zone=time_zone)
        jobs, unlimited = log.jobs, log.estimate_filled
        notes: tuple[str, ...] = ()
        if unlimited is not None:
            jobs = jobs.assign(estimate_s=jobs["estimate_s"].mask(unlimited))
            n = f"{int(unlimited.sum()):,} of {counted(len(jobs), 'job')}"
            notes = (f"{n} of the log have no time limit",)
        return replace(_until_now(_in_order(jobs), log.origin, given), notes=notes)
    if given.history is None or len(given.history) < LEAST_ALIKE:
        return None
    early = _without_recent(given.history, given.now_s)
    return Past(early, given.submitted, recent=_recent(given.history, given.now_s))


def _until_now(jobs: pd.DataFrame, origin: datetime | None, given: Given) -> Past:
    """Return the past from a log; what ended not long before now, if it reaches up to now."""
    now, starts = given.calendar.start, "start_s" in jobs and bool(jobs["start_s"].notna().all())
    if (
        now is None
        or origin is None
        or not starts
        or (now.tzinfo is None) != (origin.tzinfo is None)
    ):
        return Past(jobs)
    now_s = (now - origin).total_seconds()
    ended = jobs[jobs["start_s"] + jobs["duration_s"] <= now_s]
    recent = _recent(ended, now_s)
    if recent.empty:
        return Past(jobs)
    return Past(_without_recent(ended, now_s), arrived=jobs, recent=recent)


def _in_order(jobs: pd.DataFrame) -> pd.DataFrame:
    """Sort a log by start, else by submission: the order tells which jobs follow each other."""
    known = [name for name in ("start_s", "submit_s") if name in jobs and jobs[name].notna().all()]
    if not known:
        return jobs
    ids = jobs["job_id"].astype(str) if "job_id" in jobs else pd.Series("", index=jobs.index)
    keys = pd.DataFrame({**{name: jobs[name] for name in known}, "job_id": ids})
    order = np.lexsort([keys[name].to_numpy() for name in reversed(keys.columns)])
    return jobs.iloc[order].reset_index(drop=True)


def _without_recent(ended: pd.DataFrame, now_s: float) -> pd.DataFrame:
    """Leave out the jobs that began so late that long ones like them have not ended yet.

    Otherwise, short jobs would be too frequent among the last ones.
    """
    longest = float(ended["duration_s"].max())
    early = ended[ended["start_s"] + longest <= now_s]
    return early if len(early) >= LEAST_ALIKE else ended


def _recent(ended: pd.DataFrame, now_s: float) -> pd.DataFrame:
    """Return the jobs that began not long before now, in order of their start.

    Their ``submit_s`` and ``start_s`` are in seconds from now.
    """
    recent = ended[ended["start_s"] >= now_s - RECENT_S].sort_values("start_s", kind="stable")
    return recent.assign(submit_s=recent["submit_s"] - now_s, start_s=recent["start_s"] - now_s)
