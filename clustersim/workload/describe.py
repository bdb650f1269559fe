"""Statistics of a jobs table: sizes, durations, arrivals and load, as pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt
import pandas as pd

from clustersim.array_types import Floats, Ints
from clustersim.brief import Brief
from clustersim.calendar import WEEK_S, Calendar
from clustersim.errors import check_kind
from clustersim.units import format_duration, format_number

__all__ = ["TraceStatistics", "clock_of", "demand_of", "describe_jobs", "size_bins", "window"]

QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)


@dataclass(frozen=True, slots=True, repr=False)
class TraceStatistics(Brief):
    """Statistics of a jobs table.

    Parameters
    ----------
    jobs : int
        Number of jobs.
    span_s : float
        Time between the first and the last submission (seconds).
    rate_per_s : float
        Arrivals per second: (jobs - 1) / span.
    interarrival_cv : float
        Coefficient of variation of the gaps between submissions.
    size_mix : pandas.DataFrame
        One row per size bin (1, 2, 3-4, 5-8, ...): ``bin``, ``jobs_share``, ``work_share``,
        ``largest`` (upper end of the bin).
    max_size : int
        Number of accelerators of the largest job.
    duration_quantiles_s : dict
        Run time (seconds) by probability.
    mean_duration_s : float
        Mean run time of the jobs with a known run time (seconds).
    work_accelerator_s : float
        Sum of accelerators times run time over all jobs (accelerator-seconds).
    jobs_without_duration : int
        Number of jobs with a model, whose run time the performance model computes.
    by_hour, by_weekday, by_week_hour : numpy.ndarray
        Arrival rate (per second) in each of the 24 hours of the day, of the 7 days of the week, and
        of the 168 hours of the week. Arrivals are divided by the time that the log covers in
        each hour or day. A log that begins at noon therefore does not underestimate the rate in the
        morning.

    Examples
    --------
    >>> import clustersim as cs
    >>> jobs = cs.generate_jobs(cs.load_workload("philly-2017"), cs.Streams(1), n_jobs=1000)
    >>> statistics = cs.describe_jobs(jobs)
    >>> statistics.size_mix["bin"].to_list()
    ['1', '2', '3-4', '5-8', '9-16', '17-32']
    """

    jobs: int
    span_s: float
    rate_per_s: float
    interarrival_cv: float
    size_mix: pd.DataFrame
    max_size: int
    duration_quantiles_s: dict[float, float]
    mean_duration_s: float
    work_accelerator_s: float
    jobs_without_duration: int
    by_hour: Floats
    by_weekday: Floats
    by_week_hour: Floats

    def _brief(self) -> tuple[str, Mapping[str, str]]:
        return "TraceStatistics", {
            "jobs": f"{self.jobs:,}",
            "span": format_duration(self.span_s),
            "rate": f"{format_number(86400 * self.rate_per_s)} jobs a day",
            "largest job": f"{self.max_size:,} accelerators",
            "mean duration": format_duration(self.mean_duration_s),
        }

    @property
    def mean_demand(self) -> float:
        """Mean number of accelerators that would be in use if no job waited: work / span."""
        return self.work_accelerator_s / self.span_s if self.span_s > 0 else float("nan")

    def offered_load(self, n_accelerators: float) -> float:
        """Return the work arriving per second divided by the capacity of `n_accelerators`.

        Examples
        --------
        >>> import clustersim as cs
        >>> jobs = cs.generate_jobs(cs.load_workload("philly-2017"), cs.Streams(1), n_jobs=1000)
        >>> statistics = cs.describe_jobs(jobs)
        >>> statistics.offered_load(1000) == 2 * statistics.offered_load(2000)
        True
        """
        return self.mean_demand / n_accelerators


def demand_of(jobs: pd.DataFrame) -> float:
    """Return the mean number of accelerators that jobs would use if none of them waited.

    Parameters
    ----------
    jobs : pandas.DataFrame
        With known run times, not all submitted at the same time.

    Examples
    --------
    >>> jobs = pd.DataFrame({"submit_s": [0.0, 10.0], "n_accelerators": [1, 3], "duration_s": 15.0})
    >>> demand_of(jobs)
    6.0
    """
    submit = jobs["submit_s"]
    work = float((jobs["n_accelerators"] * jobs["duration_s"]).sum())
    return work / float(submit.iloc[-1] - submit.iloc[0])


def size_bins(sizes: npt.ArrayLike) -> tuple[Ints, list[str]]:
    """Assign sizes to bins that end at powers of two.

    Returns
    -------
    (numpy.ndarray, list of str)
        The bin index of each size, and the labels of all bins up to the largest size.

    Examples
    --------
    >>> index, labels = size_bins([1, 2, 3, 4, 5, 8])
    >>> [labels[i] for i in index]
    ['1', '2', '3-4', '3-4', '5-8', '5-8']
    """
    whole = np.asarray(sizes, dtype=np.int64)
    index = np.ceil(np.log2(whole)).astype(np.int64)
    index = np.where(2**index < whole, index + 1, index)
    most = int(index.max()) if len(index) else 0
    labels = ["1", "2"] + [f"{2 ** (k - 1) + 1}-{2**k}" for k in range(2, most + 1)]
    return index, labels[: most + 1]


def describe_jobs(
    jobs: pd.DataFrame, *, first_second: float = 0.0, calendar: Calendar | None = None
) -> TraceStatistics:
    """Compute the statistics of a jobs table.

    Parameters
    ----------
    jobs : pandas.DataFrame
        A jobs table that passes :func:`~clustersim.workload.job_checks.check_jobs`.
    first_second : float
        Second of the week (from Monday, 00:00) at ``submit_s`` 0, for a clock without daylight
        saving time.
    calendar : Calendar, optional
        The local clock with daylight saving time; if given, `first_second` is ignored.

    Returns
    -------
    TraceStatistics

    Examples
    --------
    >>> import clustersim as cs
    >>> log = cs.read_jobs("experiments/sample_jobs.csv")
    >>> statistics = cs.describe_jobs(log.jobs)
    >>> statistics.jobs, statistics.max_size
    (24, 256)
    """
    advice = "use clustersim.read_jobs(path).jobs to read a file"
    check_kind("jobs", jobs, pd.DataFrame, "a table of jobs (pandas.DataFrame)", advice)
    clock = clock_of(first_second) if calendar is None else calendar
    submit = jobs["submit_s"].to_numpy(dtype=np.float64)
    sizes = jobs["n_accelerators"].to_numpy(dtype=np.float64)
    runs = jobs["duration_s"].to_numpy(dtype=np.float64)
    known = ~np.isnan(runs)
    counts, time_s = _by_week_hour(submit, clock)
    work = np.where(known, sizes * runs, 0.0)
    span, gaps = float(submit[-1] - submit[0]), np.diff(submit)
    mean_gap = float(gaps.mean()) if len(gaps) else float("nan")
    return TraceStatistics(
        jobs=len(jobs),
        span_s=span,
        rate_per_s=1 / mean_gap if mean_gap > 0 else float("nan"),
        interarrival_cv=float(gaps.std() / mean_gap) if mean_gap > 0 else float("nan"),
        size_mix=_size_mix(sizes, work),
        max_size=int(sizes.max()),
        duration_quantiles_s=_quantiles(runs[known]),
        mean_duration_s=float(runs[known].mean()) if known.any() else float("nan"),
        work_accelerator_s=float(work.sum()),
        jobs_without_duration=int((~known).sum()),
        by_hour=_rates(counts.sum(axis=0), time_s.sum(axis=0)),
        by_weekday=_rates(counts.sum(axis=1), time_s.sum(axis=1)),
        by_week_hour=_rates(counts.ravel(), time_s.ravel()),
    )


def clock_of(first_second: float) -> Calendar:
    """Return a clock without daylight saving time that starts at a given second of the week.

    Examples
    --------
    >>> clock_of(90000.0).hour_of_week([0.0, 3600.0]).tolist()
    [25, 26]
    """
    monday = datetime(1, 1, 1)  # the first day of the calendar is a Monday
    return Calendar(monday + timedelta(seconds=first_second % WEEK_S))


def window(jobs: pd.DataFrame, start_s: float, end_s: float) -> pd.DataFrame:
    """Return the jobs submitted in [`start_s`, `end_s`); their submit times are not shifted."""
    submit = jobs["submit_s"]
    return jobs[(submit >= start_s) & (submit < end_s)].reset_index(drop=True)


def _quantiles(runs: Floats) -> dict[float, float]:
    if len(runs) == 0:
        return dict.fromkeys(QUANTILES, float("nan"))
    return {p: float(q) for p, q in zip(QUANTILES, np.quantile(runs, QUANTILES), strict=True)}


def _size_mix(sizes: Floats, work: Floats) -> pd.DataFrame:
    index, labels = size_bins(sizes)
    jobs = np.bincount(index, minlength=len(labels))
    total = np.bincount(index, weights=work, minlength=len(labels))
    return pd.DataFrame(
        {
            "bin": labels,
            "largest": 2 ** np.arange(len(labels)),
            "jobs_share": jobs / jobs.sum(),
            "work_share": total / total.sum() if total.sum() > 0 else np.full(len(total), np.nan),
        }
    )


def _by_week_hour(submit: Floats, clock: Calendar) -> tuple[Floats, Floats]:
    """Return arrivals and covered seconds by weekday and local hour, each of shape (7, 24).

    An hour that the clock skips counts as 0 seconds; an hour that it shows twice counts twice.
    """
    counts = np.bincount(clock.hour_of_week(submit), minlength=168).astype(np.float64)
    edges = np.append(clock.hour_edges_s(float(submit[-1])), submit[-1])
    covered = np.diff(np.clip(edges, submit[0], submit[-1]))
    hour = clock.hour_of_week((edges[:-1] + edges[1:]) / 2)
    time_s = np.bincount(hour, weights=covered, minlength=168).astype(np.float64)
    return counts.reshape(7, 24), time_s.reshape(7, 24)


def _rates(counts: Floats, time_s: Floats) -> Floats:
    rates = np.full(len(counts), np.nan)
    np.divide(counts, time_s, out=rates, where=time_s > 0)
    return rates
