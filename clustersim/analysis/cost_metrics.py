"""Energy and cost of a run and of its periods."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from clustersim.analysis.metric import Metric
from clustersim.analysis.part import Part
from clustersim.calendar import DAY_S

__all__ = ["METRICS"]

MILLION, PFLOP_DAY = 1e6, 1e15 * DAY_S


def _of_run(column: str, unit: float = 1.0) -> Callable[[Part], float]:
    """Return a function that reads a column of a run's summary, or returns NaN if it is missing."""

    def account(part: Part) -> float:
        return unit * float(part.result.summary.iloc[0].get(column, math.nan))

    return account


def _of_period(column: str) -> Callable[[Part], float]:
    """Return a function that sums a cost over a time interval.

    The cost of a row is spread evenly over the period of the row.  In the runs of a study, the rows
    of the cost table are split at the ends of the periods.
    """

    def account(part: Part) -> float:
        costs = part.result.costs
        if costs is None or column not in costs:
            return math.nan
        begin, end = (costs[name].to_numpy() for name in ("begin_s", "end_s"))
        shared = np.clip(np.minimum(end, part.end_s) - np.maximum(begin, part.begin_s), 0.0, None)
        share = shared / np.where(end > begin, end - begin, np.inf)
        return float((share * costs[column].to_numpy()).sum())

    return account


def _account(name: str, label: str, definition: str, dimension: str, *, noun: str = "") -> Metric:
    return Metric(
        name=name,
        label=label,
        definition=definition,
        compute=_of_run(name),
        of_period=_of_period(name),
        per_period=True,
        dimension=dimension,
        better="less",
        noun=noun,
        least=0.0,
        subject="costs",
    )


def _unit_cost(
    name: str, column: str, unit: float, label: str, definition: str, *, noun: str = ""
) -> Metric:
    return Metric(
        name=name,
        label=label,
        definition=definition,
        compute=_of_run(column, unit),
        dimension="money",
        better="less",
        noun=noun,
        least=0.0,
        subject="costs",
    )


ACCOUNTS = (
    _account(
        "energy_j",
        "energy",
        "Energy use of the whole run (needs the key energy).",
        "energy",
    ),
    _account(
        "electricity_cny",
        "cost of electricity",
        "Cost of the electricity of the whole run (needs the key energy).",
        "money",
    ),
    _account(
        "carbon_kg",
        "carbon dioxide",
        "Carbon dioxide emissions of the electricity of the whole run (needs the key energy).",
        "mass",
    ),
    _account(
        "cost_cny",
        "cost of the fleet",
        "Cost of the fleet over the whole run (needs the key money).",
        "money",
        noun="cost",
    ),
)
"""Energy and cost metrics that are also measured per period."""
UNIT_COSTS = (
    _unit_cost(
        "cost_per_job_cny",
        "cost_per_job_cny",
        1.0,
        "cost of a job",
        "Cost of the fleet, without the accelerators that serve requests, divided by the "
        "number of jobs done (needs the key money).",
    ),
    _unit_cost(
        "cost_per_million_tokens_cny",
        "cost_per_token_cny",
        MILLION,
        "cost of a million tokens",
        "Cost of a million tokens of the work that is kept (needs the key money).",
    ),
    _unit_cost(
        "cost_per_useful_pflop_day_cny",
        "cost_per_flop_cny",
        PFLOP_DAY,
        "cost of a useful PFLOP/s-day",
        "Cost of one PFLOP/s of useful model FLOPs for a day (needs the key money).",
        noun="cost",
    ),
)


METRICS = ACCOUNTS
