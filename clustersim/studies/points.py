"""The table of points: estimates of metrics with intervals, and checks for a steady state."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from clustersim.analysis.control_variates import Estimate
from clustersim.analysis.controls.means import controlled_mean, deviations
from clustersim.analysis.controls.metrics import CONTROLS, surplus_of
from clustersim.analysis.job_statistics import metric_over_jobs
from clustersim.analysis.metric_estimates import bounds_of
from clustersim.analysis.metrics import follows_waits, is_constant, is_service, jobs_statistic
from clustersim.analysis.next_period import LogBlocks, log_first, widest
from clustersim.analysis.samples import Sample
from clustersim.analysis.statistics import mean_interval, quantile_interval
from clustersim.analysis.steady import is_overloaded, is_rising
from clustersim.array_types import Floats
from clustersim.notes import note
from clustersim.studies.base import POSTERIOR_MEAN

__all__ = [
    "changed",
    "controls_of",
    "draw_range",
    "estimates_beside",
    "groups_by",
    "is_control",
    "point_interval",
    "points_table",
]

DRAW_QUANTILES = (0.05, 0.95)
ENOUGH_FOR_CLASSES = 12
"""Smallest number of replications with which the load of each job class is a control.  With few
replications, more candidates make a choice among them less certain."""
MOST_WITHOUT = 0.5
"""A metric without a value in more than this share of the replications has no estimate: those with
a value are the exceptions, for example the only run in which few jobs waited to the end."""


def points_table(
    runs: pd.DataFrame,
    parameters: Sequence[str],
    metrics: Sequence[str],
    *,
    samples: Mapping[str, Mapping[str, Sample]] = MappingProxyType({}),
    steady: bool = True,
) -> pd.DataFrame:
    """Return a table with one row for each point.

    Parameters
    ----------
    runs : pandas.DataFrame
        See :func:`~clustersim.studies.runs_table.runs_table`.
    parameters, metrics : sequence of str
        Columns of `runs`.
    samples : mapping of str to mapping of str to Sample
        Samples of each run by its hash; see :class:`~clustersim.analysis.measures.Measured`.
    steady : bool
        Whether to check for a steady state; if not, ``overload`` and ``rising`` are False.

    Returns
    -------
    pandas.DataFrame
        ``point``, the parameters, ``replications``, ``failed``, ``overload``, ``rising`` and the
        metrics.

        ``overload``: whether the offered load is 1 or more, or the backlog grew
        (:func:`~clustersim.analysis.steady.is_overloaded`).  Waits and slowdowns are then infinite.

        ``rising``: whether later jobs waited longer than earlier ones, so longer runs would show
        longer waits.

        Each metric ``m`` has a 95 % interval from ``m_low`` to ``m_high``, at the posterior mean.
        A metric of jobs (``of_jobs`` in its definition) is a mean or quantile over the jobs of all
        replications, with a jackknife interval (see :mod:`~clustersim.analysis.job_statistics`).
        Any other metric is the mean over the replications, with a Student t interval.  With one
        replication, the interval uses batch means, or order statistics for a quantile.  For a log,
        whose replications draw its weeks again, the interval is that of another such period
        (:func:`~clustersim.analysis.next_period.next_interval`); if the log is not drawn again,
        replications differ by failures alone, and the interval is that of one more replication.
        Metrics of the fleet and the offered jobs per day have no interval.  A metric without a
        value in more than half of the replications is NaN.

        The control variate of a metric of jobs is the unfinished work.  Those of any other metric
        are the work that arrived, in total and by job class, the chips that were delivered and the
        failures (see :mod:`~clustersim.analysis.controls.means`).  If a control variate is used,
        ``m`` is the controlled estimate, ``m_plain``, ``m_plain_low`` and ``m_plain_high`` are the
        estimate without it, and ``m_explained`` is the share of the variance that it explains;
        otherwise the latter four columns are empty.

        With draws, ``m_draw_low`` and ``m_draw_high`` are the 5th and 95th percentile of the
        estimate over the draws (:func:`draw_range`).  They are NaN if a draw has no run at the
        point, for example at a value that a capacity search tried for only one of the draws.
    """
    n_draws = runs.loc[runs["draw"] != POSTERIOR_MEAN, "draw"].nunique()
    rows = [
        _point(values, group, metrics, samples, n_draws, steady=steady)
        for values, group in groups_by(runs, ["point", *parameters])
    ]
    return pd.DataFrame(rows)


def groups_by(
    runs: pd.DataFrame, columns: Sequence[str]
) -> Iterator[tuple[dict[str, Any], pd.DataFrame]]:
    """Yield each combination of values of some columns, in order of appearance, and its runs."""
    if not len(columns):
        yield {}, runs
        return
    for key, group in runs.groupby(list(columns), sort=False, dropna=False):
        values = key if isinstance(key, tuple) else (key,)
        yield dict(zip(columns, values, strict=True)), group


def _point(
    values: dict[str, Any],
    group: pd.DataFrame,
    metrics: Sequence[str],
    samples: Mapping[str, Mapping[str, Sample]],
    n_draws: int,
    *,
    steady: bool,
) -> dict[str, Any]:
    finished = group[group["status"] == "finished"]
    at_mean = finished[finished["draw"] == POSTERIOR_MEAN]
    judged = steady and len(at_mean) > 0
    overload = judged and is_overloaded(at_mean)
    rising = judged and not overload and is_rising(at_mean["wait_rise_s"], at_mean["mean_wait_s"])
    row: dict[str, Any] = {
        **values,
        "replications": len(at_mean),
        "failed": len(group) - len(finished),
        "overload": overload,
        "rising": rising,
    }
    drawn = finished[finished["draw"] != POSTERIOR_MEAN]
    whole = drawn["draw"].nunique() == n_draws
    for name in dict.fromkeys(metrics):
        row |= _interval(name, at_mean, samples, overload)
        if n_draws and not is_constant(name):
            low, high = np.nan, np.nan
            if whole:
                estimate = row.get(name, np.nan)
                low, high = draw_range(finished, name, estimate, samples=samples, steady=steady)
            row |= {f"{name}_draw_low": low, f"{name}_draw_high": high}
    return row


def _interval(
    name: str,
    runs: pd.DataFrame,
    samples: Mapping[str, Mapping[str, Sample]],
    overload: bool,
    *,
    for_next: bool = True,
) -> dict[str, float]:
    if is_constant(name):
        return {name: float(runs[name].mean())}
    if overload and is_service(name):
        return dict.fromkeys((name, f"{name}_low", f"{name}_high"), np.inf)
    values = runs[name].to_numpy(dtype=np.float64)
    log = LogBlocks.of(runs) if for_next else None
    plain, best = _estimated(name, values, runs, samples)
    if log is not None and np.count_nonzero(~np.isnan(values)) > 1:
        ordered = log_first(values, runs.get("replication"))
        plain = _of_next(name, plain, ordered, log)
        best = None if best is None else _of_next(name, best, ordered, log)
    return _clipped(name, plain, best)


def _estimated(
    name: str, values: Floats, runs: pd.DataFrame, samples: Mapping[str, Mapping[str, Sample]]
) -> tuple[Estimate, Estimate | None]:
    """Return the plain and the controlled estimate of a metric, with the interval of the mean."""
    if len(values) > 1 and (found := _over_jobs(name, runs, samples)) is not None:
        return found
    if np.isnan(values).sum() > MOST_WITHOUT * len(values):
        return Estimate(*(np.nan,) * 3), None
    plain, best = Estimate(*mean_interval(values)), _controlled_mean(name, values, runs, samples)
    if len(values) == 1:
        low, high = _run_interval(name, plain.value, runs.iloc[0])
        plain = replace(plain, low=low, high=high)
    if bounds_of(name) == (0.0, np.inf) and (len(values) > 1 or f"{name}_half" in runs):
        plain, best = plain.positive(), None if best is None else best.positive()
    return plain, best


def _of_next(name: str, found: Estimate, values: Floats, log: LogBlocks) -> Estimate:
    """Return an estimate with the interval of another period like a log.

    Parameters
    ----------
    name : str
    found : Estimate
        With the interval of the mean.
    values : float64 array (replications,)
        The metric of each replication, the log as it happened first.
    log : LogBlocks
    """
    if not np.isfinite(found.value):
        return found
    if not log.are_drawn:
        return found.wider(np.sqrt(np.count_nonzero(~np.isnan(values)) + 1))
    least, most = bounds_of(name)
    low, high = widest(values, [log], waits=follows_waits(name), most=most if least >= 0 else None)
    return replace(found, low=min(low, found.value), high=max(high, found.value))


def point_interval(
    name: str,
    runs: pd.DataFrame,
    *,
    samples: Mapping[str, Mapping[str, Sample]] = MappingProxyType({}),
    steady: bool = True,
    for_next: bool = True,
) -> tuple[float, float, float]:
    """Return the estimate of a metric at a point with its interval, as in the table of points.

    Parameters
    ----------
    name : str
    runs : pandas.DataFrame
        Finished runs of the point at the posterior mean.
    samples, steady
        As for :func:`points_table`.
    for_next : bool
        Whether the interval of a log is that of another period, or that of the mean.

    Returns
    -------
    value, low, high : float
        The controlled estimate if a control variate is used.  NaN without runs.

    Examples
    --------
    >>> runs = pd.DataFrame({"run": ["a", "b", "c"], "offered_load": 0.5, "backlog_growth": 0.0,
    ...                      "utilisation": [0.4, 0.5, 0.6]})
    >>> value, low, high = point_interval("utilisation", runs)
    >>> value, round(high - value, 3)
    (0.5, 0.248)
    """
    if runs.empty:
        return np.nan, np.nan, np.nan
    overload = steady and is_overloaded(runs)
    row = _interval(name, runs, samples, overload, for_next=for_next)
    value = row[name]
    return value, row.get(f"{name}_low", value), row.get(f"{name}_high", value)


def estimates_beside(name: str, plain: Estimate, best: Estimate | None) -> dict[str, float]:
    """Return the columns of a plain estimate, or of a controlled one beside the plain one.

    Parameters
    ----------
    name : str
        Name of the column of the estimate.
    plain : Estimate
    best : Estimate or None
        The controlled estimate.

    Examples
    --------
    >>> estimates_beside("gain", Estimate(3.0, 1.0, 5.0), None)
    {'gain': 3.0, 'gain_low': 1.0, 'gain_high': 5.0}
    """
    found = best or plain
    columns = {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high}
    if best is not None:
        columns |= {f"{name}_plain": plain.value, f"{name}_plain_low": plain.low}
        columns |= {f"{name}_plain_high": plain.high, f"{name}_explained": best.explained}
    return columns


def _clipped(metric: str, plain: Estimate, best: Estimate | None) -> dict[str, float]:
    """Return the columns of a plain estimate, or of a controlled one beside the plain one."""
    clipped = None if best is None else _within_bounds(metric, best)
    return estimates_beside(metric, _within_bounds(metric, plain), clipped)


def _controlled_mean(
    name: str, values: Floats, runs: pd.DataFrame, samples: Mapping[str, Mapping[str, Sample]]
) -> Estimate | None:
    """Return the mean of a metric with the controls of the runs; None without a useful one.

    Waits and slowdowns have none: they are too skewed for a regression on their own scale.
    """
    if is_service(name):
        return None
    best = controlled_mean(values, [*controls_of(name, runs, samples).values()])
    least, most = bounds_of(name)
    return best if best is not None and least <= best.value <= most else None


def controls_of(
    metric: str, runs: pd.DataFrame, samples: Mapping[str, Mapping[str, Sample]]
) -> dict[str, Floats]:
    """Return the controls of a metric in some runs: deviations from known expectations, by name."""
    columns = {
        str(name): runs[name].to_numpy(dtype=np.float64) for name in runs if is_control(str(name))
    }
    found = deviations(metric, columns, CONTROLS)
    loads = any(name.partition("@")[0] == "arrived_load" for name in found)
    if loads and len(runs) >= ENOUGH_FOR_CLASSES:
        found |= surplus_of(metric, [samples.get(key, {}) for key in runs["run"]])
    return found


def is_control(name: str) -> bool:
    """Return whether a metric is a control or its expectation, perhaps of a period.

    Examples
    --------
    >>> is_control("expected_arrived_load@2"), is_control("utilisation")
    (True, False)
    """
    return name.partition("@")[0].removeprefix("expected_") in CONTROLS


def _over_jobs(
    name: str, runs: pd.DataFrame, samples: Mapping[str, Mapping[str, Sample]]
) -> tuple[Estimate, Estimate | None] | None:
    """Return the plain and the controlled estimate of a metric of jobs; None for other metrics."""
    values = runs[name].to_numpy(dtype=np.float64)
    found = metric_over_jobs(name, values, [samples.get(key, {}) for key in runs["run"]])
    if found is None and samples and jobs_statistic(name):
        note(
            f"{name}: some runs have no value or no distribution over their jobs, so the estimate "
            "is the mean over the replications"
        )
    return found


def _within_bounds(metric: str, found: Estimate) -> Estimate:
    least, most = bounds_of(metric)
    return replace(found, low=max(found.low, least), high=min(found.high, most))


def _run_interval(name: str, value: float, run: pd.Series[Any]) -> tuple[float, float]:
    """Return the interval from one long run, by batch means or order statistics."""
    if f"{name}_half" in run:
        return value - float(run[f"{name}_half"]), value + float(run[f"{name}_half"])
    if f"{name}_at_least" in run:
        return float(run[f"{name}_at_least"]), float(run[f"{name}_at_most"])
    return -np.inf, np.inf


def draw_range(
    runs: pd.DataFrame,
    name: str,
    estimate: float,
    *,
    samples: Mapping[str, Mapping[str, Sample]] = MappingProxyType({}),
    steady: bool = True,
) -> tuple[float, float]:
    """Return the 5th and 95th percentile over the draws of the estimate of a metric.

    Each draw changes the estimate as much as it changes the same statistic of those replications
    that were run with the draw.  Both use the same random numbers, so the range contains little of
    the noise of the replications.  Changes of positive values are factors.

    Parameters
    ----------
    runs : pandas.DataFrame
        Finished runs of a point.
    name : str
    estimate : float
        The estimate at the posterior mean.  If there is none, the range is that of the statistics
        of the draws.
    samples : mapping of str to mapping of str to Sample
        See :func:`points_table`.
    steady : bool
        Whether an overloaded draw counts as infinite.

    Returns
    -------
    low, high : float
        NaN with fewer than two draws.
    """
    endless = steady and is_service(name)
    at_mean = runs[runs["draw"] == POSTERIOR_MEAN]
    values = []
    for _, draw in runs[runs["draw"] != POSTERIOR_MEAN].groupby("draw", sort=True):
        same = at_mean[at_mean["replication"].isin(draw["replication"])]
        if endless and is_overloaded(draw) and not (len(same) and is_overloaded(same)):
            values.append(np.inf)
        elif len(at_mean) == 0:
            values.append(_statistic(name, draw, samples))
        elif len(same) == len(draw):
            drawn, usual = (_statistic(name, each, samples) for each in (draw, same))
            values.append(changed(estimate, drawn, usual, bounds_of(name)))
    if len(values) < 2:
        return np.nan, np.nan
    low, high = (quantile_interval(values, q)[0] for q in DRAW_QUANTILES)
    return low, high


def changed(estimate: float, drawn: float, usual: float, bounds: tuple[float, float]) -> float:
    """Return an estimate with the change from one value to another.

    Examples
    --------
    >>> changed(10.0, 3.0, 2.0, (0.0, np.inf)), changed(10.0, 3.0, 0.0, (0.0, np.inf))
    (15.0, 13.0)
    """
    least, most = bounds
    if least >= 0 and min(estimate, drawn, usual) > 0 and np.isfinite(usual):
        found = estimate * drawn / usual
    else:
        found = estimate + drawn - usual
    return float(np.clip(found, least, most))


def _statistic(name: str, runs: pd.DataFrame, samples: Mapping[str, Mapping[str, Sample]]) -> float:
    """Return the plain estimate of a metric from some runs."""
    found = _over_jobs(name, runs, samples) if len(runs) > 1 else None
    return float(runs[name].mean()) if found is None else found[0].value
