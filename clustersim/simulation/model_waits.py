"""Do the jobs of a workload model wait as long as the jobs of its log?

Both are replayed by the same policy on the same number of accelerators, at the same offered loads.
The load changes by compressing the time between submissions, so that a job keeps its share of the
machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from clustersim.calendar import UNDATED, WEEK_S, Calendar
from clustersim.seeds import Streams
from clustersim.simulation.simulate import replay
from clustersim.units import counted, format_number
from clustersim.workload import WorkloadSpec, generate_jobs
from clustersim.workload.describe import window
from clustersim.workload.fit_sessions import fit_sessions

__all__ = ["FACTOR", "CheckedFit", "checked_fit", "compare_waits", "enough_accelerators"]

FACTOR = 1.5
"""A model whose mean wait differs by more than this factor from that of its log is reported."""
MOST_REPLAYED = 100_000
"""A fit replays so many jobs at most, in whole weeks."""
CHECK_LOAD = 0.75
_COLUMNS = ("job_id", "submit_s", "n_accelerators", "duration_s")


def enough_accelerators(jobs: pd.DataFrame, load: float = CHECK_LOAD) -> int:
    """Return the number of accelerators on which jobs have a load, or that the largest job needs.

    Examples
    --------
    >>> jobs = pd.DataFrame({"submit_s": [0.0, 10.0], "n_accelerators": [1, 3], "duration_s": 15.0})
    >>> enough_accelerators(jobs)
    8
    """
    return max(int(jobs["n_accelerators"].max()), int(np.ceil(_demand(jobs) / load)))


def _demand(jobs: pd.DataFrame) -> float:
    """Return the mean number of accelerators that the jobs would use if none of them waited."""
    submit = jobs["submit_s"]
    work = float((jobs["n_accelerators"] * jobs["duration_s"]).sum())
    return work / float(submit.iloc[-1] - submit.iloc[0])


def compare_waits(
    model: WorkloadSpec,
    jobs: pd.DataFrame,
    *,
    accelerators: int | None = None,
    loads: Sequence[float] = (0.6, 0.75, 0.9),
    policies: Sequence[str] = ("easy", "fcfs"),
    seeds: int = 5,
    calendar: Calendar = UNDATED,
    own_load: bool = False,
) -> pd.DataFrame:
    """Replay the jobs of a log and those of its model, and compare how long they wait.

    Policies know the real run times.  All runs last as long as the log.

    Parameters
    ----------
    model : WorkloadSpec
        The workload model.
    jobs : pandas.DataFrame
        The jobs of the log.
    accelerators : int, optional
        By default see :func:`enough_accelerators`.
    loads : sequence of float
        Offered loads of the log; the submissions of the model are compressed by the same factor.
    policies : sequence of str
    seeds : int
        Number of replications of the model.
    calendar : Calendar
        The local clock of the log.
    own_load : bool
        Whether the jobs of each seed are compressed to the load, rather than by the factor of the
        log.  This leaves out what varies from week to week.

    Returns
    -------
    pandas.DataFrame
        One row per policy, load and seed: ``policy``, ``load``, ``accelerators``, ``seed``,
        ``log_mean_s`` and ``log_p95_s`` (wait of the log, seconds), ``mean_ratio`` and
        ``p95_ratio`` (wait of the model divided by that of the log).

    Examples
    --------
    >>> import clustersim as cs
    >>> model = cs.load_workload("kth-sp2")
    >>> log = cs.generate_jobs(model, cs.Streams(1), n_jobs=300)
    >>> compare_waits(model, log, loads=[0.75], policies=["fcfs"], seeds=2)["seed"].tolist()
    [0, 1]
    """
    jobs = jobs.assign(submit_s=jobs["submit_s"] - jobs["submit_s"].iloc[0])
    count = enough_accelerators(jobs) if accelerators is None else accelerators
    span, demand = float(jobs["submit_s"].iloc[-1]), _demand(jobs)
    drawn = [
        generate_jobs(model, Streams(0, replication=k), horizon_s=span, calendar=calendar)
        for k in range(seeds)
    ]
    rows = []
    for policy in policies:
        for load in loads:
            faster = load * count / demand
            log_mean, log_p95 = _waits(jobs, policy, count, faster)
            for seed, each in enumerate(drawn):
                own = load * count / _demand(each) if own_load else faster
                mean, p95 = _waits(each, policy, count, own)
                rows.append(
                    {
                        "policy": policy,
                        "load": load,
                        "accelerators": count,
                        "seed": seed,
                        "log_mean_s": log_mean,
                        "log_p95_s": log_p95,
                        "mean_ratio": _ratio(mean, log_mean),
                        "p95_ratio": _ratio(p95, log_p95),
                    }
                )
    return pd.DataFrame(rows)


def _ratio(model_s: float, log_s: float) -> float:
    """Return model / log; 1 if both are 0."""
    if log_s > 0:
        return model_s / log_s
    return 1.0 if model_s == log_s else float("inf")


def _waits(jobs: pd.DataFrame, policy: str, count: int, faster: float) -> tuple[float, float]:
    """Return the mean and the 95th percentile of the waits (seconds)."""
    fits = jobs[jobs["n_accelerators"] <= count]
    if fits.empty:
        return 0.0, 0.0
    table = fits[list(_COLUMNS)].assign(submit_s=fits["submit_s"] / faster)
    result = replay(table, policy=policy, accelerators=count)
    waits = result.jobs["start_s"] - result.jobs["submit_s"]
    return float(waits.mean()), float(waits.quantile(0.95))


@dataclass(frozen=True, slots=True, eq=False)
class CheckedFit:
    """A fitted workload model, and how long its jobs wait compared with those of the log.

    Attributes
    ----------
    model : WorkloadSpec
        Its ``sources`` have the result of the check as ``waits``.
    ratio : float
        Mean wait of the model divided by that of the log, as the mean of the seeds.
    low, high : float
        The smallest and largest ratio of a seed.
    text : str
        What was replayed.
    """

    model: WorkloadSpec
    ratio: float
    low: float
    high: float
    text: str

    @property
    def is_near(self) -> bool:
        """Whether the ratio is within `FACTOR`."""
        return 1 / FACTOR <= self.ratio <= FACTOR

    def report(self) -> str:
        """Return the result of the check as one line."""
        return (
            f"mean wait of the model / of the log: {format_number(self.ratio)} "
            f"(seeds: {format_number(self.low)} to {format_number(self.high)}), {self.text}"
        )


def checked_fit(
    jobs: pd.DataFrame,
    *,
    name: str,
    accelerators: int | None = None,
    sources: dict[str, str] | None = None,
    calendar: Calendar = UNDATED,
    seeds: int = 2,
) -> CheckedFit:
    """Fit a workload model with sessions to a log, and check by a replay how long its jobs wait.

    The log and the model are replayed with EASY backfilling at an offered load of 0.75.  The fit is
    corrected once if the waits differ by more than `FACTOR`.  Of a log with more than
    `MOST_REPLAYED` jobs, the whole weeks whose load is nearest the mean are replayed, and each run
    is compressed to the load.

    Parameters
    ----------
    jobs : pandas.DataFrame
        The jobs of the log.
    name : str
        Name of the model.
    accelerators : int, optional
        By default see :func:`enough_accelerators`.
    sources : dict, optional
        Sources of the model.
    calendar : Calendar
        The local clock of the log.
    seeds : int
        Number of replications of the model.

    Returns
    -------
    CheckedFit

    Raises
    ------
    InputError
        See :func:`~clustersim.workload.fit_sessions.fit_sessions`.

    Examples
    --------
    >>> import clustersim as cs
    >>> log = cs.generate_jobs(cs.load_workload("kth-sp2"), cs.Streams(1), n_jobs=500)
    >>> checked_fit(log, name="again").model.name
    'again'
    """
    fit = fit_sessions(jobs, name=name, calendar=calendar, sources=sources)
    part = _weeks(jobs)
    whole = len(part) == len(jobs)
    count = max(accelerators or enough_accelerators(jobs), int(jobs["n_accelerators"].max()))

    def found(model: WorkloadSpec) -> pd.Series:
        table = compare_waits(
            model,
            part,
            accelerators=count,
            loads=[CHECK_LOAD],
            policies=["easy"],
            seeds=seeds,
            calendar=calendar,
            own_load=not whole,
        )
        return table["mean_ratio"]

    model = fit.model()
    ratios = found(model)
    if (
        np.isfinite(ratios).all()
        and not 1 / FACTOR <= ratios.mean() <= FACTOR
        and ratios.mean() > 0
    ):
        # Half of the difference on a logarithmic scale, as it is smaller at other loads.
        other = fit.model(float(np.sqrt(ratios.mean())))
        again = ratios if other == model else found(other)
        if abs(np.log(again.mean())) < abs(np.log(ratios.mean())):
            model, ratios = other, again
    what = "the whole log" if whole else f"{counted(len(part), 'job')} of the log"
    text = (
        f"EASY, {counted(count, 'accelerator')}, offered load {CHECK_LOAD}, {what}, "
        f"{counted(seeds, 'seed')}"
    )
    checked = CheckedFit(model, float(ratios.mean()), ratios.min(), ratios.max(), text)
    noted = model.model_copy(update={"sources": {**model.sources, "waits": checked.report()}})
    return CheckedFit(noted, checked.ratio, checked.low, checked.high, text)


def _weeks(jobs: pd.DataFrame) -> pd.DataFrame:
    """Return the jobs of a log, or of whole weeks of it that have at most `MOST_REPLAYED` jobs."""
    if len(jobs) <= MOST_REPLAYED:
        return jobs
    first = float(jobs["submit_s"].iloc[0])
    span = float(jobs["submit_s"].iloc[-1]) - first
    weeks = max(1, int(span * MOST_REPLAYED / len(jobs) // WEEK_S))
    mean = _demand(jobs)
    best, least = jobs, np.inf
    for begin in np.arange(first, first + span - weeks * WEEK_S, WEEK_S):
        part = window(jobs, float(begin), float(begin) + weeks * WEEK_S)
        if not 50 <= len(part) <= 2 * MOST_REPLAYED:
            continue
        away = abs(np.log(_demand(part) / mean))
        if away < least:
            best, least = part, away
    return best
