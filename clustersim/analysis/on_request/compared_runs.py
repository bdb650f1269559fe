"""Metrics of several whole runs side by side, and paired differences of runs of the same jobs.

The interval of a difference is that of a block bootstrap.  Jobs that follow each other wait for the
same reasons, so blocks of successive jobs are drawn with replacement instead of single jobs
(Carlstein, "The use of subseries values for estimating the variance of a general statistic from a
stationary sequence", The Annals of Statistics 14, 1986), and both runs get the same blocks.  With
few blocks, the standard deviation over the draws is too small by a factor of sqrt((b - 1) / b) and
itself uncertain; the interval makes up for both, with Student's t of b - 1 degrees of freedom.  It
is too narrow where jobs influence each other for longer than a block.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import t

from clustersim.analysis.metrics import metric_of
from clustersim.analysis.on_request.metrics import SERIES as ON_REQUEST
from clustersim.analysis.on_request.whole_run import metrics_of_part, part_of_group, whole_run
from clustersim.analysis.part import Part
from clustersim.analysis.wait_metrics import SERIES
from clustersim.array_types import Floats, Ints
from clustersim.errors import InputError
from clustersim.seeds import Streams
from clustersim.simulation.result import Result

__all__ = ["MAIN", "ComparedRuns", "compared_runs", "paired_interval", "values_by_job"]

MAIN = (
    "mean_wait_s",
    "p95_wait_s",
    "mean_total_wait_s",
    "mean_jct_s",
    "p95_jct_s",
    "mean_bounded_slowdown",
    "makespan_s",
    "utilisation",
)
"""Metrics that are compared by default."""
_SAME = ("submit_s", "n_accelerators", "duration_s")
"""Columns that are equal in runs of the same jobs."""
_MOST_BLOCKS, _FEWEST_BLOCKS, _JOBS_A_BLOCK = 20, 8, 50
_DRAWS, _AT_ONCE = 400, 4_000_000
"""Number of draws, and of jobs of draws that are in memory at once."""
_LEVEL = 0.975


@dataclass(frozen=True)
class ComparedRuns:
    """Several runs side by side, as :func:`compared_runs` returns them.

    Attributes
    ----------
    values : pandas.DataFrame
        One row per metric, one column per run.
    differences : pandas.DataFrame
        One row per metric and further run: ``metric``, ``run``, ``difference`` (to the first run),
        ``low`` and ``high`` (95 % interval; NaN without one), ``jobs`` (compared; those that a run
        did not measure are left out).  Without rows for runs of other jobs.
    jobs : int
        Number of jobs of the first run.
    other_jobs : tuple of str
        Runs whose jobs are not those of the first run.
    """

    values: pd.DataFrame
    differences: pd.DataFrame
    jobs: int
    other_jobs: tuple[str, ...]


def compared_runs(
    results: Mapping[str, Result], names: Sequence[str] = (), *, plugins: Sequence[str] = ()
) -> ComparedRuns:
    """Measure several whole runs, and compare each with the first one.

    Runs have the same jobs if ids, submissions, accelerators and durations are equal.  A difference
    of metrics of jobs is that over the jobs that both runs measured (a completion time needs a
    finish).  Metrics of the fleet have differences without an interval.

    Parameters
    ----------
    results : mapping of str to Result
        Two or more runs by name.
    names : sequence of str
        Metrics; by default :data:`MAIN`.
    plugins : sequence of str
        See :func:`~clustersim.analysis.on_request.whole_run.metrics_of_run`.

    Raises
    ------
    InputError
        If there are fewer than two runs, or a metric cannot be measured.

    Examples
    --------
    >>> import clustersim as cs
    >>> log = pd.DataFrame({"job_id": [1, 2, 3], "submit_s": [0, 10, 20]})
    >>> log = log.assign(n_accelerators=[4, 8, 4], duration_s=100)
    >>> runs = {name: cs.replay(log, policy=name, accelerators=8)
    ...         for name in ("fcfs", "first_fit")}
    >>> found = compared_runs(runs, ["mean_wait_s"])
    >>> found.values.round(1).loc["mean_wait_s"].tolist()
    [90.0, 36.7]
    >>> found.differences[["run", "difference", "low"]].round(1).values.tolist()
    [['first_fit', -53.3, nan]]
    """
    if len(results) < 2:
        raise InputError("metrics", f"a comparison needs two runs, found {len(results)}")
    asked = list(names or MAIN)
    parts = {name: whole_run(result, plugins=plugins) for name, result in results.items()}
    values = pd.DataFrame({name: metrics_of_part(part, asked) for name, part in parts.items()})
    first, *others = parts
    alike = [name for name in others if _same_jobs(results[first].jobs, results[name].jobs)]
    rows = [
        {"metric": metric, "run": name, **_difference(metric, parts[first], parts[name])}
        for metric in asked
        for name in alike
    ]
    return ComparedRuns(
        values,
        pd.DataFrame(rows, columns=["metric", "run", "difference", "low", "high", "jobs"]),
        len(results[first].jobs),
        tuple(name for name in others if name not in alike),
    )


def _same_jobs(one: pd.DataFrame, other: pd.DataFrame) -> bool:
    """Return whether two runs have the same jobs, in any order."""
    if len(one) != len(other):
        return False
    one, other = (table.set_index(table["job_id"].astype(str)) for table in (one, other))
    if not (one.index.is_unique and other.index.is_unique and one.index.isin(other.index).all()):
        return False
    other = other.loc[one.index]
    return all(
        np.allclose(one[name].astype(float), other[name].astype(float), equal_nan=True)
        for name in _SAME
        if name in one and name in other
    )


def _difference(name: str, first: Part, other: Part) -> dict[str, float]:
    """Return the difference of a metric between two runs of the same jobs, with its interval."""
    metric = metric_of(name)
    if not metric.by_group:
        one, two = (metrics_of_part(part, [name])[name] for part in (first, other))
        jobs = len(first.jobs)
        return {"difference": two - one, "low": math.nan, "high": math.nan, "jobs": jobs}
    assert metric.of_jobs is not None, "it has values by group of jobs"
    first, other = (part_of_group(part, name) for part in (first, other))
    quantity, q = metric.of_jobs
    by_job = [values_by_job(part, quantity) for part in (first, other)]
    both = by_job[0].index.intersection(by_job[1].index, sort=False)
    before, after = (own.loc[both].to_numpy(dtype=np.float64) for own in by_job)
    if not len(both):
        return {**dict.fromkeys(("difference", "low", "high"), math.nan), "jobs": 0}
    low, high = paired_interval(before, after, q)
    difference = _statistic(after, q) - _statistic(before, q)
    return {"difference": difference, "low": low, "high": high, "jobs": len(both)}


def values_by_job(part: Part, quantity: str) -> pd.Series:
    """Return a quantity by job id, in order of submission, without jobs that lack it.

    Parameters
    ----------
    part : Part
    quantity : str
        The quantity of a statistic over jobs, such as ``wait_s``.
    """
    ids = part.jobs["job_id"].astype(str).to_numpy()
    of_run = getattr(part.run, quantity, None)
    if of_run is not None:  # not the series, which does not tell whose values are left out
        return pd.Series(part.of_measured(of_run), ids).dropna()
    values = {**SERIES, **ON_REQUEST}[quantity](part)
    return pd.Series(values, ids if len(values) == len(ids) else ids[part.finished])


def _statistic(values: Floats, q: float | None) -> float:
    return float(values.mean() if q is None else np.quantile(values, q))


def paired_interval(before: Floats, after: Floats, q: float | None = None) -> tuple[float, float]:
    """Return the 95 % interval of the difference of a statistic over the same jobs in two runs.

    Parameters
    ----------
    before, after : float64 arrays (jobs,)
        A quantity of the same jobs, in order of submission.
    q : float, optional
        Probability of a quantile; by default the mean.

    Returns
    -------
    low, high : float
        NaN with fewer than 400 jobs, or if successive blocks differ in the same direction (lag 1,
        two standard errors), so that the runs are too short for blocks of jobs to be independent.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> before = rng.exponential(100.0, 2000)
    >>> low, high = paired_interval(before, before + rng.normal(-10.0, 5.0, 2000))
    >>> bool(low < -10.0 < high), round(high - low, 1) < 2.0
    (True, True)
    >>> paired_interval(before[:100], before[:100])
    (nan, nan)
    """
    count = min(_MOST_BLOCKS, len(before) // _JOBS_A_BLOCK)
    if count < _FEWEST_BLOCKS:
        return math.nan, math.nan
    block = np.arange(len(before)) * count // len(before)
    sizes = np.bincount(block)
    off = np.bincount(block, after - before) / sizes
    off -= off.mean()
    if off[1:] @ off[:-1] > 2 / math.sqrt(count) * (off @ off):
        return math.nan, math.nan
    draws = Streams(0)("blocks of the jobs of two runs").integers(count, size=(_DRAWS, count))
    weight = np.zeros((_DRAWS, count), dtype=np.int64)
    np.add.at(weight, (np.arange(_DRAWS)[:, None], draws), 1)
    statistic = _means if q is None else _quantiles(q)
    drawn = statistic(after, block, weight) - statistic(before, block, weight)
    half = float(t.ppf(_LEVEL, count - 1) * drawn.std() * math.sqrt(count / (count - 1)))
    middle = _statistic(after, q) - _statistic(before, q)
    return middle - half, middle + half


def _means(values: Floats, block: Ints, weight: Ints) -> Floats:
    """Return the mean of the jobs of each draw, whose blocks occur `weight` times."""
    means: Floats = weight @ np.bincount(block, values) / (weight @ np.bincount(block))
    return means


def _quantiles(q: float) -> Callable[[Floats, Ints, Ints], Floats]:
    """Return a function for the quantile of the jobs of each draw: the first value that reaches it.

    The values are sorted once for all draws.
    """

    def of_draws(values: Floats, block: Ints, weight: Ints) -> Floats:
        order = np.argsort(values, kind="stable")
        ordered, own = values[order], block[order]
        found = []
        step = max(1, _AT_ONCE // len(values))
        for begin in range(0, len(weight), step):
            reached = np.cumsum(weight[begin : begin + step, own], axis=1)
            goal = q * reached[:, -1:]
            found.append(ordered[np.argmax(reached >= goal, axis=1)])
        return np.concatenate(found)

    return of_draws
