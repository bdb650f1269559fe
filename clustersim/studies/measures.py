"""What is measured of one run: the metrics of its steady part, and whether there is one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from clustersim.catalogue import Catalogue
from clustersim.catalogue.assumptions import assumed
from clustersim.errors import InputError
from clustersim.simulation.fleet import Fleet
from clustersim.simulation.metrics import SHORTEST_RUN_S, accelerator_seconds, served
from clustersim.simulation.money import MoneySpec, purchase_price_cny
from clustersim.simulation.result import Result
from clustersim.studies.periods import PERIOD_METRICS, period_metrics, period_of, stretch_metrics
from clustersim.studies.statistics import batch_means, run_quantile_interval
from clustersim.studies.submitted import Submitted
from clustersim.studies.useful_work import UsefulWork, useful_work
from clustersim.studies.warm_up import mser5, series_bins
from clustersim.units import parse_quantity

__all__ = [
    "METRICS",
    "SERVICE_METRICS",
    "Measured",
    "fleet_facts",
    "is_metric",
    "measure",
    "service_metrics",
]

Floats = npt.NDArray[np.float64]
SECONDS_PER_DAY, SECONDS_PER_HOUR = 86400.0, 3600.0
MILLION, PFLOP_DAY = 1e6, 1e15 * SECONDS_PER_DAY
BATCHES, LEAST_IN_A_BATCH = 20, 50
SERVICE_METRICS = (
    "mean_wait_s",
    "median_wait_s",
    "p95_wait_s",
    "p99_wait_s",
    "mean_total_wait_s",
    "median_total_wait_s",
    "p95_total_wait_s",
    "p99_total_wait_s",
    "mean_jct_s",
    "p95_jct_s",
    "mean_bounded_slowdown",
    "p95_bounded_slowdown",
)
"""Metrics of the service that jobs get, of which less is better; none has a value under overload,
where it depends on how long one looks."""

QUANTILES = MappingProxyType(
    {
        "median_wait_s": 0.5,
        "p95_wait_s": 0.95,
        "p99_wait_s": 0.99,
        "median_total_wait_s": 0.5,
        "p95_total_wait_s": 0.95,
        "p99_total_wait_s": 0.99,
        "p95_jct_s": 0.95,
        "p95_bounded_slowdown": 0.95,
    }
)
"""Metrics that are quantiles over the jobs of a run."""
METRICS = MappingProxyType(
    {
        "mean_wait_s": "mean wait",
        "median_wait_s": "median wait",
        "p95_wait_s": "95th percentile of wait",
        "p99_wait_s": "99th percentile of wait",
        "mean_total_wait_s": "mean wait over all attempts",
        "median_total_wait_s": "median wait over all attempts",
        "p95_total_wait_s": "95th percentile of wait over all attempts",
        "p99_total_wait_s": "99th percentile of wait over all attempts",
        "waited": "share of jobs that waited for their first start",
        "mean_jct_s": "mean JCT",
        "p95_jct_s": "95th percentile of JCT",
        "mean_bounded_slowdown": "mean bounded slowdown",
        "p95_bounded_slowdown": "95th percentile of bounded slowdown",
        **{name: words for name, words in PERIOD_METRICS.items() if not name.endswith("wait_s")},
        "served": "share of the accelerators that services needed (1 where there are none)",
        "lent_accelerator_hours_per_day": "accelerator-hours a day of jobs in pools that lend",
        "jobs_per_day": "offered jobs a day",
        "accelerator_hours_per_day": "accelerator-hours of work a day",
        "makespan_s": "makespan",
        "chips": "accelerators",
        "fleet_cost_cny": "purchase price of the accelerators with their servers",
        "fleet_power_w": "thermal design power of the accelerators",
        "energy_j": "energy of the whole run (with the key energy)",
        "electricity_cny": "electricity of the whole run (with energy)",
        "carbon_kg": "carbon dioxide of the whole run (with energy)",
        "cost_cny": "cost of the fleet over the whole run (with the key money)",
        "cost_per_job_cny": "cost of the fleet over the jobs that it did (with money)",
        "cost_per_million_tokens_cny": "cost of a million tokens trained for good (with money)",
        "cost_per_useful_pflop_day_cny": "cost of 1 PFLOP/s of models for a day (with money)",
        "offered_load": "offered load",
        "jobs_submitted": "jobs submitted",
        "jobs": "jobs measured",
        "warm_up_jobs": "jobs left out as warm-up",
        "warm_up_reached": "whether a steady part was found",
        "never_runnable": "jobs that can never run",
        "censored": "share of measured jobs that had not started at the horizon",
        "unfinished": "share of measured jobs that had not finished at the horizon",
        "backlog_growth": "share of the arriving work that piled up",
        "wait_rise_s": "wait of the later half less that of the earlier",
        "mean_wait_s_half": "half width of the mean wait's batch-means interval",
        "mean_total_wait_s_half": "half width of the same of the mean wait over all attempts",
        "mean_bounded_slowdown_half": "half width of the slowdown's batch-means interval",
        **{
            f"{name}_at_{end}": f"end of the interval of {name} by order statistics of the run"
            for name in QUANTILES
            for end in ("least", "most")
        },
    }
)
"""Metrics of a run by name; those of a pool and of a period beside them."""

BY_POOL = ("utilisation.", "chips.", "accelerators.", "useful_flop_per_s.")


def is_metric(name: str) -> bool:
    """Whether a run has a metric of this name.

    Examples
    --------
    >>> is_metric("utilisation.h200@4"), is_metric("makespan_s"), is_metric("makespan_s@4")
    (True, True, False)
    """
    base, period = period_of(name)
    of_pool = next((part for part in BY_POOL if base.startswith(part) and base != part), "")
    whole = of_pool[:-1] or base
    return whole in (METRICS if period is None else PERIOD_METRICS)


@dataclass(frozen=True, slots=True)
class Measured:
    """What is kept of a run.

    Attributes
    ----------
    metrics : dict of str to float
        See :data:`METRICS`.
    series : float64 array (bins,)
        Mean wait (seconds) of consecutive equal shares of the jobs, at most 100: the run's way
        into its steady state.
    """

    metrics: dict[str, float]
    series: Floats


def fleet_facts(fleet: Fleet, money: MoneySpec | None = None) -> dict[str, float]:
    """Accelerators of a fleet, together and by pool, and their price and power.

    The price is that of the chips with their servers, as in the accounts of a run: by the
    scenario's ``money`` where it has this key, else by the planning assumptions (CNY; NaN where a
    chip has no price, 0 for a pool that is rented).  Network and buildings are left out.  The power
    is the sum of the chips' thermal design powers (W), without servers.
    """
    told = assumed(money or MoneySpec(), fleet.catalogue.assumptions)
    facts = {"chips": 0.0, "fleet_cost_cny": 0.0, "fleet_power_w": 0.0}
    for pool in fleet.cluster.pools:
        chip = fleet.catalogue.accelerator(pool.accelerator)
        facts["chips"] += pool.n_chips
        known = chip.price is not None or told.of(pool.name).price is not None
        rented = told.of(pool.name).rent_per_hour is not None
        price = purchase_price_cny(told, pool, chip) if known or rented else math.nan
        facts["fleet_cost_cny"] += pool.n_chips * price
        facts["fleet_power_w"] += pool.n_chips * chip.power_w
        facts[f"chips.{pool.name}"] = float(pool.n_chips)
    return facts


def measure(
    result: Result,
    *,
    warm_up: float | str = 0.25,
    cool_down: float | str = 0.1,
    periods: int | None = None,
    catalogue: Catalogue | None = None,
) -> Measured:
    """Measure the steady part of a result, and the parts of its horizon.

    Parameters
    ----------
    result : Result
        A run, to the end of all jobs or to a horizon.
    warm_up : float or str
        What is left out at the start: a share of the jobs, a duration, or ``"mser-5"`` (White,
        Cobb & Spratt, "A comparison of five steady-state truncation heuristics for simulation",
        2000).
    cool_down : float or str
        What is left out at the end, where nobody comes to press on those before: a share of the
        jobs, or a duration.
    periods : int, optional
        Parts of the scenario's horizon that are measured too, whatever is left out; see
        :func:`~clustersim.studies.periods.period_ends_s`.
    catalogue : Catalogue, optional
        Of the models that the jobs name; by default the built-in one.

    Raises
    ------
    InputError
        If no job is left to measure, or the scenario has no horizon to be parted.

    Notes
    -----
    A job that had not started when the run stopped counts with its wait until then, a lower bound
    (`censored` is the share of those), and so does one that was stopped and waits again in the wait
    over all attempts; one that had not finished is left out of JCT and slowdown
    (`unfinished` is the share), which are then too small, for long jobs are left out more often.
    The slowdown is the JCT over the time that a job held accelerators, in all its attempts: waits
    between them count as waits, see :mod:`clustersim.simulation.metrics`.
    Energy, carbon and costs are those of the whole run, not of the window; NaN where the scenario
    has no key ``energy`` or ``money``.
    """
    jobs = Submitted.of(result)
    first, reached = _warm_up(jobs, warm_up)
    last = _cool_down(jobs, cool_down)
    chosen = np.zeros(len(jobs.submit_s), dtype=bool)
    chosen[first:last] = True
    chosen &= jobs.runnable
    if not chosen.any():
        raise InputError(
            "window",
            f"leaves none of the {len(jobs.submit_s):,} jobs to measure (warm-up {first:,} jobs)",
        )
    begin_s, end_s = float(jobs.submit_s[first]), float(jobs.submit_s[last - 1])
    work = useful_work(result, catalogue)
    metrics = {
        **service_metrics(jobs, chosen),
        **stretch_metrics(result, work, begin_s, end_s),
        **_work_metrics(result, jobs, chosen, begin_s, end_s),
        **_accounts(result),
        "makespan_s": float(np.nanmax(jobs.finish_s, initial=jobs.end_s) - jobs.submit_s[0]),
        "jobs_submitted": float(len(jobs.submit_s)),
        "jobs": float(chosen.sum()),
        "warm_up_jobs": float(first),
        "warm_up_reached": float(reached),
        "never_runnable": float((~jobs.runnable[first:last]).sum()),
        "censored": float(np.isnan(jobs.start_s[chosen]).mean()),
        "unfinished": float(np.isnan(jobs.finish_s[chosen]).mean()),
        "backlog_growth": _backlog_growth(jobs, begin_s, end_s),
    }
    if periods is not None:
        metrics |= _by_period(result, work, jobs, periods)
    return Measured(metrics, series_bins(jobs.wait_s[jobs.runnable]))


def _by_period(result: Result, work: UsefulWork, jobs: Submitted, periods: int) -> dict[str, float]:
    horizon = result.provenance.get("scenario", {}).get("horizon")
    if horizon is None:
        raise InputError("window", "periods: are parts of a horizon; give the scenario a horizon")
    horizon_s = parse_quantity(horizon, "duration")
    return period_metrics(result, work, jobs, periods=periods, horizon_s=horizon_s)


def _warm_up(jobs: Submitted, warm_up: float | str) -> tuple[int, bool]:
    """First job that is measured, and whether a steady part begins there as far as is known."""
    if warm_up == "mser-5":
        order = np.flatnonzero(jobs.runnable)
        found = mser5(jobs.wait_s[order])
        at = order[found.n] if found.n < len(order) else len(jobs.submit_s) - 1
        return int(at), found.reached
    if isinstance(warm_up, str):
        since = jobs.submit_s[0] + parse_quantity(warm_up, "duration")
        first = int(np.searchsorted(jobs.submit_s, since))
        if first == len(jobs.submit_s):
            raise InputError("window", f"warm_up: {warm_up} is longer than the run")
        return first, True
    return int(len(jobs.submit_s) * warm_up), True


def _cool_down(jobs: Submitted, cool_down: float | str) -> int:
    """The job after the last that is measured."""
    n_jobs = len(jobs.submit_s)
    if isinstance(cool_down, str):
        until = float(jobs.submit_s[-1]) - parse_quantity(cool_down, "duration")
        return max(1, int(np.searchsorted(jobs.submit_s, until, side="right")))
    return max(1, int(n_jobs * (1 - cool_down)))


def service_metrics(jobs: Submitted, chosen: npt.NDArray[np.bool_]) -> dict[str, float]:
    """Waits, JCT and slowdown of the jobs that are chosen; some of them must have finished."""
    total = jobs.total_wait_s[chosen]
    return {
        **_wait_metrics(jobs.wait_s[chosen]),
        "mean_total_wait_s": float(total.mean()),
        "mean_total_wait_s_half": _half_width(total),
        **_quantile("median_total_wait_s", total),
        **_quantile("p95_total_wait_s", total),
        **_quantile("p99_total_wait_s", total),
        **_jct_metrics(jobs, chosen),
    }


def _wait_metrics(wait: Floats) -> dict[str, float]:
    half = len(wait) // 2
    return {
        "mean_wait_s": float(wait.mean()),
        **_quantile("median_wait_s", wait),
        **_quantile("p95_wait_s", wait),
        **_quantile("p99_wait_s", wait),
        "waited": float((wait > 0).mean()),
        "wait_rise_s": float(wait[half:].mean() - wait[: len(wait) - half].mean()),
        "mean_wait_s_half": _half_width(wait),
    }


def _jct_metrics(jobs: Submitted, chosen: npt.NDArray[np.bool_]) -> dict[str, float]:
    ended = chosen & np.isfinite(jobs.finish_s)
    if not ended.any():
        raise InputError("window", "none of the measured jobs had finished at the horizon")
    jct = jobs.finish_s[ended] - jobs.submit_s[ended]
    slowdown = np.maximum(jct / np.maximum(jobs.held_s[ended], SHORTEST_RUN_S), 1.0)
    return {
        "mean_jct_s": float(jct.mean()),
        **_quantile("p95_jct_s", jct),
        "mean_bounded_slowdown": float(slowdown.mean()),
        **_quantile("p95_bounded_slowdown", slowdown),
        "mean_bounded_slowdown_half": _half_width(slowdown),
    }


def _quantile(name: str, series: Floats) -> dict[str, float]:
    """A quantile over the jobs of a run, and the ends of its interval."""
    quantile, low, high = run_quantile_interval(series, QUANTILES[name])
    return {name: quantile, f"{name}_at_least": low, f"{name}_at_most": high}


def _half_width(series: Floats) -> float:
    """Half of the 95 % batch-means interval; infinite for a run that is too short for one.

    That is a run of fewer than 50 jobs a batch, or one whose batch means are still correlated from
    each to the next (lag 1, two standard errors): their interval would hold the truth too seldom.
    """
    if len(series) < BATCHES * LEAST_IN_A_BATCH:
        return math.inf
    means = series[len(series) % BATCHES :].reshape(BATCHES, -1).mean(axis=1)
    off = means - means.mean()
    if off[1:] @ off[:-1] > 2 / math.sqrt(BATCHES) * (off @ off):
        return math.inf
    mean, _, high = batch_means(series, batches=BATCHES)
    return high - mean


def _work_metrics(
    result: Result, jobs: Submitted, chosen: npt.NDArray[np.bool_], begin_s: float, end_s: float
) -> dict[str, float]:
    days = (end_s - begin_s) / SECONDS_PER_DAY
    work = float(np.nansum(jobs.work[chosen]))
    return {
        "served": 1.0
        if result.serving is None
        else served(result.serving, begin_s=begin_s, end_s=end_s),
        "lent_accelerator_hours_per_day": _lent_s(result, begin_s, end_s) / SECONDS_PER_HOUR / days
        if days > 0
        else math.nan,
        "jobs_per_day": SECONDS_PER_DAY * _arrival_rate(result),
        "accelerator_hours_per_day": work / SECONDS_PER_HOUR / days if days > 0 else math.nan,
    }


def _accounts(result: Result) -> dict[str, float]:
    """Energy and money of the whole run."""
    whole = result.summary.iloc[0]

    def told(column: str, unit: float = 1.0) -> float:
        return unit * float(whole.get(column, math.nan))

    return {
        **{name: told(name) for name in ("energy_j", "electricity_cny", "carbon_kg", "cost_cny")},
        "cost_per_job_cny": told("cost_per_job_cny"),
        "cost_per_million_tokens_cny": told("cost_per_token_cny", MILLION),
        "cost_per_useful_pflop_day_cny": told("cost_per_flop_cny", PFLOP_DAY),
    }


def _lent_s(result: Result, begin_s: float, end_s: float) -> float:
    """Accelerator-seconds that jobs held in pools that lend the chips of services."""
    if result.serving is None:
        return 0.0
    lends = result.serving.loc[result.serving["lends"], "pool"].unique()
    use = accelerator_seconds(result.utilisation, begin_s=begin_s, end_s=end_s)
    return float(use.loc[[pool for pool in use.index if pool in lends], "allocated"].sum())


def _arrival_rate(result: Result) -> float:
    """Jobs per second: of the workload model, or of a log from its first job to its last."""
    told = result.provenance.get("arrival_rate_per_s")
    if told is not None:
        return float(told)
    submit = result.jobs["submit_s"]
    span = float(submit.iloc[-1] - submit.iloc[0])
    return (len(submit) - 1) / span if span > 0 else math.nan


def _backlog_growth(jobs: Submitted, begin_s: float, end_s: float) -> float:
    """Work waiting at the end less that at the begin, over the work that arrived in between."""
    ran = np.isfinite(jobs.start_s)
    mean_held = float(jobs.held_s[ran].mean()) if ran.any() else 0.0
    work = jobs.n_accelerators * np.where(ran, jobs.held_s, mean_held) * jobs.runnable
    start_s = np.where(ran, jobs.start_s, np.inf)
    arrived = float(work[(jobs.submit_s > begin_s) & (jobs.submit_s <= end_s)].sum())

    def waiting(at_s: float) -> float:
        return float(work[(jobs.submit_s <= at_s) & (start_s > at_s)].sum())

    return (waiting(end_s) - waiting(begin_s)) / arrived if arrived > 0 else 0.0
