"""What is measured of a stretch of time, and the parts of a horizon."""

from __future__ import annotations

import itertools
import re
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
import pandas as pd

from clustersim.calendar import DAY_S, UNDATED, Calendar
from clustersim.simulation.metrics import (
    accelerator_seconds,
    effective_time,
    lost_work,
    mean_utilisation,
)
from clustersim.simulation.result import Result
from clustersim.studies.submitted import Submitted
from clustersim.studies.useful_work import UsefulWork

__all__ = [
    "ACCOUNTS",
    "PERIOD_METRICS",
    "in_period",
    "period_ends_s",
    "period_metrics",
    "period_of",
    "stretch_metrics",
]

Floats = npt.NDArray[np.float64]
WHOLE_MONTHS_S = 2 * DAY_S
"""By how much a horizon of whole months may miss the end of the last: a year of 365.25 d may."""
PERIOD_METRICS = MappingProxyType(
    {
        "useful_flop_per_s": "goodput: model FLOPs a second of work that is kept; jobs without a "
        "model count none",
        "tokens_per_day": "goodput: tokens a day of work that is kept",
        "jobs_done_per_day": "jobs that finish a day",
        "utilisation": "utilisation",
        "effective_time": "kept work over all that jobs held (1 where nothing fails)",
        "lost_work": "work done in vain over all that jobs held (0 where nothing fails)",
        "availability": "accelerators in service over those installed",
        "accelerators": "accelerators installed, on average",
        "energy_j": "energy of the fleet",
        "electricity_cny": "cost of electricity",
        "carbon_kg": "carbon dioxide",
        "cost_cny": "cost of the fleet",
        "mean_wait_s": "mean wait (those that still waited at the horizon: until then)",
        "p95_wait_s": "95th percentile of wait (NaN where too many still waited to know it)",
        "mean_total_wait_s": "mean wait over all attempts (so far, of those that waited at the "
        "horizon)",
        "p95_total_wait_s": "95th percentile of wait over all attempts (NaN where too many waited "
        "at the horizon to know it)",
        "censored": "share of the jobs that had not started at the horizon",
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


def period_ends_s(
    horizon_s: float | None, periods: int | None, calendar: Calendar = UNDATED
) -> list[float]:
    """Return where the parts of a horizon begin and end; nothing without them.

    The parts are equal; where a run begins with a month and its horizon is, to within two days,
    a number of months that can be divided evenly, they are so many calendar months each, and the
    last ends with the horizon.

    Examples
    --------
    >>> from datetime import datetime
    >>> year = period_ends_s(365.25 * DAY_S, 4, Calendar(datetime(2026, 1, 1)))
    >>> [end / DAY_S for end in year]
    [0.0, 90.0, 181.0, 273.0, 365.25]
    """
    if horizon_s is None or periods is None:
        return []
    start = calendar.start
    if start is not None and start.replace(day=1, hour=0, minute=0, second=0) == start:
        months = np.append(0.0, calendar.month_edges_s(horizon_s + WHOLE_MONTHS_S + 1.0))
        each, left = divmod(len(months) - 1, periods)
        if each > 0 and left == 0 and abs(months[-1] - horizon_s) <= WHOLE_MONTHS_S:
            return [*months[:-1:each].tolist(), horizon_s]
    return [float(end) for end in np.linspace(0.0, horizon_s, periods + 1)]


def period_metrics(
    result: Result, work: UsefulWork, jobs: Submitted, *, periods: int, horizon_s: float
) -> dict[str, float]:
    """Measure each of the parts of a horizon; see :func:`period_ends_s`.

    Parameters
    ----------
    result : Result
    work : UsefulWork
        Of the result.
    jobs : Submitted
        Of the result.
    periods : int
    horizon_s : float

    Returns
    -------
    dict of str to float
        Metrics by the name that :func:`in_period` gives; NaN where there is nothing to measure.
    """
    found: dict[str, float] = {}
    ends = period_ends_s(horizon_s, periods, result.calendar)
    for period, (begin_s, end_s) in enumerate(itertools.pairwise(ends), 1):
        stretch = stretch_metrics(result, work, begin_s, end_s)
        stretch |= _waits(jobs, begin_s, end_s)
        found |= {in_period(name, period): value for name, value in stretch.items()}
    return found


def _waits(jobs: Submitted, begin_s: float, end_s: float) -> dict[str, float]:
    """Waits of the jobs that were submitted in a stretch of time."""
    chosen = (jobs.submit_s >= begin_s) & (jobs.submit_s < end_s) & jobs.runnable
    if not chosen.any():
        names = ("mean_wait_s", "p95_wait_s", "mean_total_wait_s", "p95_total_wait_s", "censored")
        return dict.fromkeys(names, np.nan)
    waits_still = np.isnan(jobs.start_s[chosen])
    wait_s, total_s = jobs.wait_s[chosen], jobs.total_wait_s[chosen]
    return {
        "mean_wait_s": float(wait_s.mean()),
        "p95_wait_s": _known_p95(wait_s, waits_still),
        "mean_total_wait_s": float(total_s.mean()),
        "p95_total_wait_s": _known_p95(total_s, jobs.waits[chosen]),
        "censored": float(waits_still.mean()),
    }


def _known_p95(wait_s: Floats, waits_still: npt.NDArray[np.bool_]) -> float:
    """Return the 95th percentile; NaN where too many still wait to know it."""
    known = np.quantile(np.where(waits_still, np.inf, wait_s), 0.95, method="higher")
    return float(np.quantile(wait_s, 0.95)) if np.isfinite(known) else np.nan


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
        "tokens_per_day": _rate(float(done["token"].sum()), span / DAY_S),
        "jobs_done_per_day": _rate(finished, span / DAY_S),
        "utilisation": mean_utilisation(result.utilisation, begin_s=begin_s, end_s=end_s),
        **{
            f"utilisation.{name}": mean_utilisation(steps, begin_s=begin_s, end_s=end_s)
            for name, steps in by_pool.items()
        },
        "accelerators": float(np.sum(list(installed.values()))),
        **{f"accelerators.{name}": value for name, value in installed.items()},
        **_time_shares(result, begin_s, end_s),
        "availability": _availability(result, begin_s, end_s),
        **_accounts(result, begin_s, end_s),
    }


def _accounts(result: Result, begin_s: float, end_s: float) -> dict[str, float]:
    """Energy and money; spread evenly over each row of the table of costs.

    Runs of a study have rows that end where its periods do.
    """
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


def _time_shares(result: Result, begin_s: float, end_s: float) -> dict[str, float]:
    """What became of the time of the attempts that ended within the stretch."""
    if result.attempts is None:
        return {"effective_time": 1.0, "lost_work": 0.0}
    end = result.attempts["end_s"]
    ended = result.attempts[(end > begin_s) & (end <= end_s)]
    return {"effective_time": effective_time(ended), "lost_work": lost_work(ended)}


def _availability(result: Result, begin_s: float, end_s: float) -> float:
    """Accelerator-seconds in service, of jobs or of requests, over those installed."""
    if result.outages is None:
        return 1.0
    use = result.utilisation.drop(columns="serving", errors="ignore")
    there = accelerator_seconds(use, begin_s=begin_s, end_s=end_s)["available"].sum()
    installed = accelerator_seconds(use.drop(columns="out"), begin_s=begin_s, end_s=end_s)
    whole = installed["available"].sum()
    return float(there / whole) if whole > 0 else np.nan
