"""What is measured of a stretch of time, and the parts of a horizon."""

from __future__ import annotations

import itertools
import re
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
import pandas as pd

from clustersim.simulation.metrics import accelerator_seconds, effective_time, mean_utilisation
from clustersim.simulation.result import Result
from clustersim.studies.useful_work import UsefulWork

__all__ = [
    "ACCOUNTS",
    "PERIOD_METRICS",
    "in_period",
    "period_metrics",
    "period_of",
    "stretch_metrics",
]

Floats = npt.NDArray[np.float64]
SECONDS_PER_DAY = 86400.0
PERIOD_METRICS = MappingProxyType(
    {
        "useful_flop_per_s": "model FLOPs a second of work that is kept; jobs without a model "
        "count none",
        "tokens_per_day": "tokens a day of work that is kept",
        "jobs_done_per_day": "jobs that finish a day",
        "utilisation": "utilisation",
        "effective_time": "kept work over all that jobs held (1 where nothing fails)",
        "availability": "accelerators in service over those installed",
        "accelerators": "accelerators installed, on average",
        "energy_j": "energy of the fleet",
        "electricity_cny": "cost of electricity",
        "carbon_kg": "carbon dioxide",
        "cost_cny": "cost of the fleet",
        "mean_wait_s": "mean wait",
        "p95_wait_s": "95th percentile of wait",
    }
)
"""Metrics that are measured of each period too, written ``NAME@k`` for the k-th."""
ACCOUNTS = ("energy_j", "electricity_cny", "carbon_kg", "cost_cny")


def in_period(name: str, period: int) -> str:
    """Return the name of a metric in a period (1 is the first)."""
    return f"{name}@{period}"


def period_of(name: str) -> tuple[str, int | None]:
    """Return the name of a metric without its period, and the period.

    Examples
    --------
    >>> period_of("utilisation.h200@4"), period_of("utilisation")
    (('utilisation.h200', 4), ('utilisation', None))
    """
    found = re.fullmatch(r"(.+)@([1-9]\d*)", name)
    return (found[1], int(found[2])) if found else (name, None)


def period_metrics(
    result: Result,
    work: UsefulWork,
    submit_s: Floats,
    wait_s: Floats,
    *,
    periods: int,
    horizon_s: float,
) -> dict[str, float]:
    """Measure each of the equal parts of a horizon.

    Parameters
    ----------
    result : Result
    work : UsefulWork
        Of the result.
    submit_s, wait_s : float64 arrays (jobs,)
        Of the jobs; a wait is NaN of one that can never run.
    periods : int
    horizon_s : float

    Returns
    -------
    dict of str to float
        Metrics by the name that :func:`in_period` gives; NaN where there is nothing to measure.
    """
    ends = np.linspace(0.0, horizon_s, periods + 1)
    found: dict[str, float] = {}
    for period, (begin_s, end_s) in enumerate(itertools.pairwise(ends), 1):
        stretch = stretch_metrics(result, work, float(begin_s), float(end_s))
        wait = wait_s[(submit_s >= begin_s) & (submit_s < end_s) & ~np.isnan(wait_s)]
        stretch["mean_wait_s"] = float(wait.mean()) if len(wait) else np.nan
        stretch["p95_wait_s"] = float(np.quantile(wait, 0.95)) if len(wait) else np.nan
        found |= {in_period(name, period): value for name, value in stretch.items()}
    return found


def stretch_metrics(
    result: Result, work: UsefulWork, begin_s: float, end_s: float
) -> dict[str, float]:
    """Measure what a fleet and its jobs did in a stretch of time.

    Parameters
    ----------
    result : Result
    work : UsefulWork
        Of the result.
    begin_s, end_s : float

    Returns
    -------
    dict of str to float
        Those of :data:`PERIOD_METRICS` that do not look at waits, some by pool too.
    """
    span = end_s - begin_s
    done = work.within(begin_s, end_s)
    finish = result.jobs["finish_s"].to_numpy(dtype=np.float64)
    finished = int(((finish > begin_s) & (finish <= end_s)).sum())
    groups = result.utilisation.groupby("pool", observed=True, sort=False)
    by_pool = {str(name): steps for name, steps in groups}
    installed = {name: _installed(steps, begin_s, end_s) for name, steps in by_pool.items()}
    return {
        "useful_flop_per_s": _rate(float(done["flop"].sum()), span),
        **{f"useful_flop_per_s.{pool}": _rate(own, span) for pool, own in done["flop"].items()},
        "tokens_per_day": _rate(float(done["token"].sum()), span / SECONDS_PER_DAY),
        "jobs_done_per_day": _rate(finished, span / SECONDS_PER_DAY),
        "utilisation": mean_utilisation(result.utilisation, begin_s=begin_s, end_s=end_s),
        **{
            f"utilisation.{name}": mean_utilisation(steps, begin_s=begin_s, end_s=end_s)
            for name, steps in by_pool.items()
        },
        "accelerators": float(np.sum(list(installed.values()))),
        **{f"accelerators.{name}": value for name, value in installed.items()},
        "effective_time": _effective_time(result, begin_s, end_s),
        "availability": _availability(result, begin_s, end_s),
        **_accounts(result, begin_s, end_s),
    }


def _accounts(result: Result, begin_s: float, end_s: float) -> dict[str, float]:
    """Energy and money; spread evenly over each month of the table of costs."""
    if result.costs is None:
        return dict.fromkeys(ACCOUNTS, np.nan)
    begin, end = (result.costs[name].to_numpy() for name in ("begin_s", "end_s"))
    shared = np.clip(np.minimum(end, end_s) - np.maximum(begin, begin_s), 0.0, None)
    share = shared / np.where(end > begin, end - begin, np.inf)
    return {
        name: float((share * result.costs[name].to_numpy()).sum())
        if name in result.costs
        else np.nan
        for name in ACCOUNTS
    }


def _rate(amount: float, span: float) -> float:
    return amount / span if span > 0 else np.nan


def _installed(steps: pd.DataFrame, begin_s: float, end_s: float) -> float:
    """Accelerators of a pool on average, over as much of the stretch as was simulated."""
    held = np.diff(np.clip(steps["time_s"].to_numpy(), begin_s, end_s))
    whole = float(held.sum())
    seconds = float((held * steps["installed"].to_numpy()[:-1]).sum())
    return seconds / whole if whole > 0 else np.nan


def _effective_time(result: Result, begin_s: float, end_s: float) -> float:
    """Of the attempts that ended within the stretch."""
    if result.attempts is None:
        return 1.0
    end = result.attempts["end_s"]
    return effective_time(result.attempts[(end > begin_s) & (end <= end_s)])


def _availability(result: Result, begin_s: float, end_s: float) -> float:
    """Accelerator-seconds in service, of jobs or of requests, over those installed."""
    if result.outages is None:
        return 1.0
    use = result.utilisation.drop(columns="serving", errors="ignore")
    there = accelerator_seconds(use, begin_s=begin_s, end_s=end_s)["available"].sum()
    installed = accelerator_seconds(use.drop(columns="out"), begin_s=begin_s, end_s=end_s)
    whole = installed["available"].sum()
    return float(there / whole) if whole > 0 else np.nan
