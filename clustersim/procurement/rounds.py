"""One round of a verification: the simulated service of a plan against the objective."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from clustersim.analysis.job_statistics import metric_over_jobs
from clustersim.analysis.metrics import metric_of
from clustersim.array_types import Floats
from clustersim.procurement.simulated_check import Service, SimulatedCheck
from clustersim.procurement.solve import Schedule
from clustersim.studies.search_spec import Objective

__all__ = [
    "KEPT",
    "MISSED",
    "UNDECIDED",
    "estimate_of",
    "impossible_round",
    "outcome_of",
    "service_of",
    "simulated_round",
    "worst_outcome",
    "worst_place",
]

KEPT, MISSED, UNDECIDED = "kept", "missed", "undecided"
"""Possible results of comparing the interval of the simulated service with the objective."""


def simulated_round(
    number: int,
    plan: Schedule,
    checks: list[SimulatedCheck],
    objective: Objective,
    replications: range,
    runs: Callable[[Sequence[tuple[SimulatedCheck, int]]], list[Service]],
) -> pd.DataFrame:
    """Simulate a plan, and compare its service with the objective, by scenario and quarter.

    Parameters
    ----------
    number : int
        Number of the round, from 1.
    plan : Schedule
    checks : list of SimulatedCheck
        The scenarios of the plan to simulate.
    objective : Objective
    replications : range
    runs : callable
        Makes runs, which are pairs of a check and a replication.

    Returns
    -------
    pandas.DataFrame
        The columns of `rounds` of :class:`~clustersim.procurement.verify.Verified`, but ``fresh``.
    """
    count = len(replications)
    services = runs([(check, each) for check in checks for each in replications])
    records = []
    for index, check in enumerate(checks):
        own = services[index * count : (index + 1) * count]
        for quarter in range(plan.problem.quarters):
            jobs = sum(service.jobs[quarter] for service in own)
            value, low, high = estimate_of(own, quarter, objective.metric)
            records.append(
                {
                    "round": number,
                    "planning_utilisation": plan.problem.utilisation,
                    "possible": True,
                    "expected_cost_cny": plan.expected_cost,
                    "scenario": check.scenario,
                    "quarter": quarter + 1,
                    "jobs": jobs,
                    "metric": objective.metric,
                    "value": value,
                    "low": low,
                    "high": high,
                    "outcome": outcome_of(value, low, high, objective.limit) if jobs else None,
                }
            )
    return pd.DataFrame(records)


def service_of(table: pd.DataFrame) -> float:
    """Return the largest upper end of an interval in a round; 0 if there are no jobs."""
    return float(_upper_ends(table).max(initial=0.0))


def worst_place(table: pd.DataFrame) -> pd.Series:
    """Return the row whose interval has the largest upper end; at least one row must have jobs."""
    return table[table["jobs"] > 0].iloc[int(_upper_ends(table).argmax())]


def _upper_ends(table: pd.DataFrame) -> Floats:
    """Return the upper end of the interval of each row with jobs; the value without an interval."""
    served = table[table["jobs"] > 0]
    ends = served["high"].fillna(served["value"])
    return ends.fillna(math.inf).to_numpy(dtype=np.float64)


def outcome_of(value: float, low: float, high: float, limit: float) -> str:
    """Return whether a service keeps a limit, judged by its interval.

    Examples
    --------
    >>> outcome_of(60.0, 50.0, 70.0, 100.0), outcome_of(60.0, 50.0, 70.0, 65.0)
    ('kept', 'undecided')
    """
    if high <= limit:
        return KEPT
    return MISSED if math.isnan(value) or low > limit else UNDECIDED


def worst_outcome(outcomes: pd.Series) -> str:
    """Return the worst outcome of a round."""
    return next((worst for worst in (MISSED, UNDECIDED) if (outcomes == worst).any()), KEPT)


def estimate_of(
    services: Sequence[Service], quarter: int, metric: str
) -> tuple[float, float, float]:
    """Return a metric over the jobs of a quarter in all replications, and its 95 % interval.

    Replications without a job in the quarter are left out.  All three numbers are infinite if a job
    never ends.  With one replication, the ends of the interval are NaN.
    """
    own = [each for each in services if each.jobs[quarter]]
    values = np.array([each.values[quarter] for each in own])
    if np.isinf(values).any():
        return math.inf, math.inf, math.inf
    if not len(values) or np.isnan(values).any():
        return math.nan, math.nan, math.nan
    of_jobs = metric_of(metric).of_jobs
    assert of_jobs is not None, "a metric of the service is one of jobs"
    found = metric_over_jobs(metric, values, [{of_jobs[0]: each.samples[quarter]} for each in own])
    assert found is not None, "all replications have a value and a sample"
    if len(own) < 2:
        return found[0].value, math.nan, math.nan
    return found[0].value, found[0].low, found[0].high


def impossible_round(number: int, utilisation: float) -> pd.DataFrame:
    """Return the row of a round in which no plan is possible."""
    row = {"round": number, "planning_utilisation": utilisation, "possible": False, "fresh": False}
    return pd.DataFrame([row])
