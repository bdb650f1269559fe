"""Fit a workload model to a log, and measure its distance to the log.

Sizes are taken from the log. Run times are fitted per size bin
(:mod:`clustersim.workload.fit_durations`); each component of a mixture becomes a class of jobs.

Arrivals have the daily and weekly cycle of the log. Once the cycle is removed, the gaps between
arrivals are modelled as a Poisson, hyperexponential or batch process, whichever is closest to the
log.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np
import pandas as pd
from scipy import optimize, special, stats

from clustersim.array_types import Floats, Ints
from clustersim.calendar import Calendar
from clustersim.errors import InputError
from clustersim.workload.arrival_gaps import Batch, Hyperexponential, Poisson
from clustersim.workload.arrivals import Arrivals
from clustersim.workload.describe import clock_of, describe_jobs, size_bins
from clustersim.workload.distributions import QuantileTable
from clustersim.workload.fit_durations import LEAST_JOBS, fit_durations, members
from clustersim.workload.spec import JobClass, WorkloadSpec

__all__ = ["DISTANCE_QUANTILES", "fit_distance", "fit_workload"]

Process = Poisson | Hyperexponential | Batch
DISTANCE_QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)
"""Probabilities at which the quantiles of run times are compared between model and log."""
_KINDS = {1: ("",), 2: ("short", "long"), 3: ("short", "medium", "long")}


def fit_workload(
    jobs: pd.DataFrame,
    *,
    name: str,
    description: str = "",
    sources: dict[str, str] | None = None,
    first_second: float = 0.0,
    calendar: Calendar | None = None,
    virtual_clusters: bool = False,
) -> WorkloadSpec:
    """Fit a workload model to the jobs of a log.

    Parameters
    ----------
    jobs : pandas.DataFrame
        A jobs table with run times above 0.
    name, description, sources : str, str, dict
        Name, description and sources of the model.
    first_second : float
        Second of the week (from Monday, 00:00) at ``submit_s`` 0, for a clock without daylight
        saving time.
    calendar : Calendar, optional
        The local clock with daylight saving time; if given, `first_second` is ignored.
    virtual_clusters : bool
        Whether the model keeps each virtual cluster's share of the jobs.

    Returns
    -------
    WorkloadSpec

    Raises
    ------
    InputError
        If there are fewer than 50 jobs, all jobs are submitted at the same time, or a run time is
        missing or 0.
    """
    check_fit(jobs, name)
    index, labels = size_bins(jobs["n_accelerators"])
    merged = merge_small(np.bincount(index, minlength=len(labels)))
    classes: list[JobClass] = []
    for first, last in merged:
        rows = jobs[(index >= first) & (index <= last)]
        classes += _classes(rows, span_of(labels[first], labels[last]), len(jobs), virtual_clusters)
    return WorkloadSpec(
        name=name,
        description=description,
        arrivals=fit_arrivals(jobs, first_second=first_second, calendar=calendar),
        classes=tuple(classes),
        sources=sources or {},
    )


def check_fit(jobs: pd.DataFrame, name: str) -> None:
    """Raise InputError if a log is too short for a fit, or if run times are missing or 0."""
    runs = jobs["duration_s"]
    if len(jobs) < LEAST_JOBS or jobs["submit_s"].iloc[-1] == jobs["submit_s"].iloc[0]:
        raise InputError(
            name,
            f"a fit needs at least {LEAST_JOBS} jobs that are not all submitted at the same time",
        )
    if not (runs > 0).all():
        raise InputError(name, "a fit needs a run time above 0 for every job")


def merge_small(counts: Ints) -> list[tuple[int, int]]:
    """Return ranges (first, last) of neighbouring bins, each with enough jobs for a fit."""
    ranges: list[tuple[int, int]] = []
    first, total = 0, 0
    for k, count in enumerate(counts):
        first = k if total == 0 else first
        total += int(count)
        if total >= LEAST_JOBS:
            ranges.append((first, k))
            total = 0
    if total and ranges:
        ranges[-1] = (ranges[-1][0], len(counts) - 1)
    return ranges or [(0, len(counts) - 1)]


def span_of(first: str, last: str) -> str:
    """Return the label of a range of size bins, from those of the first and the last one.

    Examples
    --------
    >>> span_of("1", "5-8")
    '1-8'
    """
    return first if first == last else f"{first.split('-')[0]}-{last.split('-')[-1]}"


def _classes(rows: pd.DataFrame, label: str, n_total: int, clusters: bool) -> list[JobClass]:
    runs = rows["duration_s"].to_numpy(dtype=np.float64)
    sizes = rows["n_accelerators"].to_numpy(dtype=np.float64)
    parts = fit_durations(runs, mean=float((runs * sizes).sum() / sizes.sum()))
    mix = size_mix(rows)
    vcs = None
    if clusters and "vc" in rows and rows["vc"].notna().any():
        shares = rows["vc"].value_counts(normalize=True).sort_index()
        vcs = {str(vc): float(f"{share:.5g}") for vc, share in shares.items()}
    names = [f"{label} {kind}".strip() for kind in _KINDS[len(parts)]]
    member = members(parts, runs)
    return [
        JobClass(
            name=class_name,
            weight=float(f"{part.share * len(rows) / n_total:.6g}"),
            sizes=mix,
            duration=part.duration,
            estimate=estimates_of(rows[member == k]),
            vcs=vcs,
        )
        for k, (class_name, part) in enumerate(zip(names, parts, strict=True))
    ]


def size_mix(jobs: pd.DataFrame) -> dict[int, float]:
    """Return the share of the jobs by number of accelerators, in ascending order of the number.

    Examples
    --------
    >>> size_mix(pd.DataFrame({"n_accelerators": [8, 1, 8, 8]}))
    {1: 0.25, 8: 0.75}
    """
    shares = jobs["n_accelerators"].value_counts(normalize=True).sort_index()
    return {int(str(size)): float(f"{share:.5g}") for size, share in shares.items()}


def estimates_of(rows: pd.DataFrame) -> QuantileTable | None:
    """Return the distribution of estimate / run time (at least 1), as quantiles.

    The result is None if the log has no estimates, if there are fewer than 20 jobs, or if no
    estimate exceeds the run time.
    """
    if "estimate_s" not in rows or len(rows) < 20:
        return None
    factor = np.maximum(rows["estimate_s"] / rows["duration_s"], 1.0)
    if (factor == 1.0).all():
        return None
    chances = (0.0, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 1.0)
    values = tuple(float(f"{value:.4g}") for value in np.quantile(factor, chances))
    return QuantileTable(kind="quantiles", probabilities=chances, values=values)


def fit_arrivals(
    jobs: pd.DataFrame, *, first_second: float = 0.0, calendar: Calendar | None = None
) -> Arrivals:
    """Fit the daily and weekly cycle to the arrival rates, and the process to the gaps.

    Parameters
    ----------
    jobs : pandas.DataFrame
        A jobs table.
    first_second : float
        Second of the week at ``submit_s`` 0, for a clock without daylight saving time.
    calendar : Calendar, optional
        The local clock with daylight saving time; if given, `first_second` is ignored.
    """
    clock = clock_of(first_second) if calendar is None else calendar
    cycle = cycle_of(jobs, clock)
    submit = jobs["submit_s"].to_numpy(dtype=np.float64)
    gaps = np.diff(cycle.to_operational(submit, 1.0, clock))
    gaps /= gaps.mean()
    return cycle.model_copy(update={"process": _fit_process(gaps)})


def cycle_of(jobs: pd.DataFrame, clock: Calendar) -> Arrivals:
    """Return Poisson arrivals with the mean rate, the hours and the weekdays of a log."""
    statistics = describe_jobs(jobs, calendar=clock)
    return Arrivals(
        mean_interarrival=f"{1 / statistics.rate_per_s:.6g} s",
        daily=_relative(statistics.by_hour),
        weekly=_relative(statistics.by_weekday),
    )


def _relative(rates: Floats) -> tuple[float, ...] | None:
    """Return rates relative to their mean; None if one is unknown."""
    if np.isnan(rates).any():
        return None
    return tuple(float(f"{rate:.4g}") for rate in rates / rates.mean())


def _fit_process(gaps: Floats) -> Process:
    """Return the process with the smallest Kolmogorov-Smirnov distance to the gaps."""
    at_once = float((gaps <= 0.001).mean())
    processes: list[Process] = [Poisson(), *_likeliest_phases(gaps)]
    if at_once > 0:
        processes.append(Batch(kind="batch", mean_batch=float(f"{1 / (1 - at_once):.4g}")))
    return min(processes, key=lambda process: _ks(gaps, process.cdf))


def _ks(values: Floats, cdf: Callable[[Floats], Floats]) -> float:
    """Return the Kolmogorov-Smirnov distance between a sample and a distribution function."""
    return float(stats.ks_1samp(values, cast(Any, cdf), method="asymp").statistic)


def _likeliest_phases(gaps: Floats) -> list[Process]:
    """Return the most likely hyperexponential process; an empty list if its cv is at most 1.02."""

    def phases(theta: Floats) -> tuple[float, float, float]:
        p, short = special.expit(np.clip(theta, -12, 12))
        return float(p), float(short), float((1 - p * short) / (1 - p))

    def cost(theta: Floats) -> float:
        p, short, long = phases(theta)
        density = p / short * np.exp(-gaps / short) + (1 - p) / long * np.exp(-gaps / long)
        return -float(np.log(np.maximum(density, 1e-300)).mean())

    found = optimize.minimize(cost, np.array([1.0, -1.0]), method="Nelder-Mead")
    p, short, long = phases(found.x)
    cv = float(np.sqrt(2 * (p * short**2 + (1 - p) * long**2) - 1))
    if not cv > 1.02:
        return []
    rounded = {"cv": float(f"{cv:.6g}"), "short_share": float(f"{p:.6g}")}
    return [Hyperexponential(kind="hyperexponential", **rounded)]


def fit_distance(model_jobs: pd.DataFrame, jobs: pd.DataFrame) -> pd.DataFrame:
    """Return the distance between generated jobs and the jobs of a log, by size bin.

    Parameters
    ----------
    model_jobs, jobs : pandas.DataFrame
        Generated jobs (about 100,000), and the jobs of the log.

    Returns
    -------
    pandas.DataFrame
        One row per size bin, and a row ``all`` for all jobs. Columns: ``jobs`` (of the log),
        ``share_model`` and ``share_log`` (shares of the jobs), ``ks`` (Kolmogorov-Smirnov distance
        of the run times), ``worst_quantile_ratio`` (largest ratio of a run-time quantile, model /
        log or log / model, over `DISTANCE_QUANTILES`), and ``work_ratio`` (mean accelerator-seconds
        per job, model / log).
    """
    index, labels = size_bins(jobs["n_accelerators"])
    model_index, _ = size_bins(model_jobs["n_accelerators"])
    rows = [_distance_row("all", model_jobs, jobs, len(model_jobs), len(jobs))]
    for k, label in enumerate(labels):
        real, drawn = jobs[index == k], model_jobs[model_index == k]
        if len(real) and len(drawn):
            rows.append(_distance_row(label, drawn, real, len(model_jobs), len(jobs)))
    return pd.DataFrame(rows)


def _distance_row(
    label: str, drawn: pd.DataFrame, real: pd.DataFrame, n_drawn: int, n_real: int
) -> dict[str, object]:
    x, y = (table["duration_s"].to_numpy(dtype=np.float64) for table in (drawn, real))
    ratios = np.quantile(x, DISTANCE_QUANTILES) / np.quantile(y, DISTANCE_QUANTILES)
    works = [
        float((table["n_accelerators"] * table["duration_s"]).mean()) for table in (drawn, real)
    ]
    return {
        "bin": label,
        "jobs": len(real),
        "share_model": len(drawn) / n_drawn,
        "share_log": len(real) / n_real,
        "ks": float(stats.ks_2samp(x, y, method="asymp").statistic),
        "worst_quantile_ratio": float(np.max(np.maximum(ratios, 1 / ratios))),
        "work_ratio": works[0] / works[1],
    }
