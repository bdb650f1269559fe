"""The summary of a plan in sentences."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from clustersim.analysis.columns.plan_columns import amount_text, scale_text
from clustersim.analysis.metrics import metric_of
from clustersim.array_types import Floats
from clustersim.procurement.limits_text import binding_sentence
from clustersim.procurement.purchases_text import (
    WITHOUT_SITE,
    demand_met,
    listed,
    purchases_text,
)
from clustersim.procurement.rounds import KEPT, MISSED, UNDECIDED, worst_place
from clustersim.procurement.shortfall import CANNOT, TOGETHER
from clustersim.procurement.verify import FIRST_PLAN
from clustersim.units import (
    counted,
    format_duration,
    format_money,
    format_number,
    scale_of,
)

if TYPE_CHECKING:
    from clustersim.procurement.result import PurchasePlan
    from clustersim.procurement.solve import Schedule

__all__ = [
    "conclusion",
    "costs_text",
    "gap_text",
    "interval_text",
    "metric_text",
    "objective_name",
    "range_text",
    "regretted",
    "service_text",
]

Unit = tuple[float, str]
"""Size in SI units and name of a unit."""
ACCEPTED = "of the accepted jobs"
LEAST_GAP = 1e-4
"""A smaller gap of the search is not stated as a number."""
NO_REGRET = 1e-6
"""Regret below this share of the cost counts as 0; it is within the gap of the search."""


def metric_text(metric: str, value: float, like: float | None = None) -> str:
    """Format a metric of the simulated service with its unit.

    Parameters
    ----------
    metric : str
    value : float
    like : float, optional
        A duration (s) that decides the unit; by default `value` does.

    Examples
    --------
    >>> metric_text("p95_wait_s", 9000.0), metric_text("utilisation", 0.81)
    ('2.5 h', '0.81')
    """
    if not math.isfinite(value):
        return "no limit"
    if metric_of(metric).dimension == "duration":
        if like is not None:
            size, unit = scale_of("duration", [like])
            return f"{format_number(value / size, 3)} {unit}"
        return format_duration(value)
    return format_number(value)


def conclusion(plan: PurchasePlan) -> str:
    """Summarise what limits the plan, what to buy, what it costs, and how certain this is."""
    if plan.schedule is None:
        return " ".join([_no_plan(plan), *(f"Note: {note}." for note in plan.notes)])
    prices = plan.shadow_prices
    parts = (
        "" if prices is None else binding_sentence(prices, plan.schedule),
        purchases_text(plan),
        costs_text(plan),
        demand_met(plan.schedule),
        _knowledge(plan),
        service_text(plan),
        _warnings(plan),
    )
    return " ".join(part for part in parts if part)


def costs_text(plan: PurchasePlan) -> str:
    """Describe the expected cost, its distance from the optimum, and the price of the purchases."""
    schedule = plan.schedule
    assert schedule is not None, "there is a plan"
    spent, share = schedule.spending.sum(axis=1), plan.problem.site_share
    spending = range_text(spent)
    if share and spent.any():
        spending += f" {WITHOUT_SITE} and {range_text(spent * (1.0 + share))} with them"
    stopped = "" if schedule.status == "optimal" else " (the search was stopped)"
    return (
        f"The expected cost charged to the plan is {format_money(schedule.expected_cost)}, "
        f"{gap_text(schedule)}{stopped}. The price of all purchases is "
        f"{spending}{_charged(plan)}."
    )


def gap_text(schedule: Schedule) -> str:
    """Describe how far the cost can be from the optimum."""
    if schedule.gap < LEAST_GAP:
        return f"less than {100 * LEAST_GAP:g} % above the optimum"
    return f"at most {format_number(100 * schedule.gap, 2)} % above the optimum"


def _charged(plan: PurchasePlan) -> str:
    """Describe which part of the purchases is included in the cost."""
    schedule = plan.schedule
    assert schedule is not None, "there is a plan"
    spent, charged = schedule.spending.sum(axis=1), schedule.costs()["depreciation"]
    if not spent.any():
        return ""
    if np.allclose(spent, charged):
        return ", which the cost includes in full"
    quarters = plan.problem.quarters
    within = f"{quarters} quarters" if quarters > 1 else "1 quarter"
    return (
        f". The cost includes {range_text(charged)} of the purchases, the depreciation within "
        f"{within}; the rest is the value left at the end of the plan"
    )


def range_text(amounts: Floats) -> str:
    """Format the range of an amount over the scenarios."""
    low, high = float(amounts.min()), float(amounts.max())
    if low == high:
        return format_money(low)
    scale, unit = scale_of("money", [high])
    return f"{format_number(low / scale)} to {format_number(high / scale)} {unit}"


def _knowledge(plan: PurchasePlan) -> str:
    regret = plan.regret
    if regret is None or len(plan.problem.scenarios) == 1:
        return ""
    names = regretted(plan)
    largest = (
        f"The largest regret is {format_money(float(regret.regret[0].max()))}, "
        f"in {listed([repr(name) for name in names])}"
        if names
        else "There is no regret in any scenario"
    )
    value = regret.value_of_stochastic_solution
    planned = (
        f"Planning for the mean supply would cost {format_money(value)} more"
        if math.isfinite(value)
        else "Planning for the mean supply would order unavailable nodes or violate limits in some "
        "scenario"
    )
    return (
        f"{largest}. Knowing the scenario in advance would be worth "
        f"{format_money(regret.value_of_perfect_information)}. {planned}."
    )


def regretted(plan: PurchasePlan) -> list[str]:
    """Return the scenarios in which the plan has its largest regret; none without regret."""
    assert plan.regret is not None, "the regret is known"
    own, tolerance = plan.regret.regret[0], NO_REGRET * plan.regret.expected_of_plan
    if not own.max() > tolerance:
        return []
    pairs = zip(plan.problem.scenarios, own, strict=True)
    return [name for name, amount in pairs if amount >= own.max() - tolerance]


def service_text(plan: PurchasePlan) -> str:
    """Describe the service in simulation and the objective; "" if nothing was simulated."""
    verified, spec = plan.verified, plan.question.spec.verify
    if verified is None or spec is None:
        return ""
    if not verified.complete:
        return f"The simulated service is unknown: {verified.note}."
    own = verified.fresh
    if not own["jobs"].any():
        return "The plan processes no jobs, so there is nothing to simulate."
    worst = worst_place(own)
    metric, count = spec.objective.metric, spec.replications

    limit, name = metric_text(metric, spec.objective.limit), objective_name(plan)
    unit = (1.0, "")
    if metric_of(metric).dimension == "duration":
        unit = scale_of("duration", [spec.objective.limit])
    value, *ends = (float(worst[end]) for end in ("value", "low", "high"))
    runs, found = counted(count, "new replication"), "without limit, as a job never ends"
    if math.isfinite(value):
        found, runs = _in(unit, value), f"{runs}{interval_text((ends[0], ends[1]), metric, unit)}"
    outcome = {
        KEPT: f"the {name} meets the objective of {limit}",
        MISSED: f"the {name} misses the objective of {limit}",
        UNDECIDED: f"it is undecided whether the {name} meets the objective of {limit}",
    }[verified.outcome]
    search = f" During the search, in other replications: {verified.note}."
    if verified.outcome == KEPT and verified.note == FIRST_PLAN:
        search = ""
    accepted = ""
    if ACCEPTED in name:
        accepted = " The accepted jobs are those of the demand that the plan meets."
    names = list(dict.fromkeys(own["scenario"]))
    scenarios = listed([repr(name) for name in names])
    total = len(plan.problem.scenarios)
    of = f" ({len(names)} of {total} scenarios)" if total > 1 else ""
    if spec.scale < 1:
        of += f" at {scale_text(spec.scale)} of the fleet and the demand, with jobs of full size"
    return (
        f"In simulations of {scenarios}{of}, {outcome}: it is {found} in the worst quarter"
        f"{' and scenario' * (len(names) > 1)} ({runs}).{search}{accepted}"
    )


def objective_name(plan: PurchasePlan) -> str:
    """Return a text that names the metric of the objective and the jobs that it covers."""
    spec, schedule, verified = plan.question.spec.verify, plan.schedule, plan.verified
    assert spec is not None, "there is an objective"
    assert schedule is not None, "there is a plan"
    assert verified is not None, "there is a simulation"
    names = set(verified.fresh["scenario"])
    chosen = [str(name) in names for name in schedule.problem.scenarios]
    accepted = f" {ACCEPTED}" if schedule.unmet[chosen].any() else ""
    return f"{metric_of(spec.objective.metric).label}{accepted}"


def interval_text(ends: tuple[float, float], metric: str, unit: Unit) -> str:
    """Return the rest of a sentence that says which 95 % interval replications give.

    Parameters
    ----------
    ends : (float, float)
        See :class:`~clustersim.procurement.verify.Verified`.
    metric : str
        Name of the metric; an end at its least possible value is left out.
    unit : (float, str)
        Size and name of the unit.

    Examples
    --------
    >>> interval_text((1800.0, 9000.0), "mean_wait_s", (3600.0, "h"))
    ', 95 % interval 0.5 to 2.5 h'
    >>> interval_text((0.0, 9000.0), "mean_wait_s", (3600.0, "h"))
    ', 95 % interval up to 2.5 h'
    >>> interval_text((-math.inf, math.inf), "mean_wait_s", (3600.0, "h"))
    ', which do not determine a 95 % interval'
    """
    low, high = ends
    if math.isnan(high):
        return ", so there is no 95 % interval"
    above = low > metric_of(metric).least
    if math.isinf(high):
        start = f", 95 % interval from {_in(unit, low)}"
        return start if above else ", which do not determine a 95 % interval"
    if not above:
        return f", 95 % interval up to {_in(unit, high)}"
    return f", 95 % interval {format_number(low / unit[0], 3)} to {_in(unit, high)}"


def _in(unit: Unit, value: float) -> str:
    size, name = unit
    return f"{format_number(value / size, 3)} {name}".rstrip()


def _warnings(plan: PurchasePlan) -> str:
    warnings = [f"Warning: {warning}." for warning in plan.warnings]
    return " ".join([*warnings, *(f"Note: {note}." for note in plan.notes)])


def _no_plan(plan: PurchasePlan) -> str:
    table = plan.shortfall
    assert table is not None, "a plan without schedule has a shortfall"
    together = table[table["grows"] == TOGETHER]
    missing = [
        _missing(row["constraint"], row["of"], row["quarter"], row["amount"])
        for row in together.to_dict("records")
        if row["helps"] is True
    ]
    unknown = table["helps"].isna()
    alone = table[table["grows"] != TOGETHER]
    helps = dict.fromkeys(alone[alone["helps"].fillna(False)]["grows"])
    supply = [str(name) for name in helps if not name.startswith("demand")]
    least = "; ".join(missing)
    if not missing:
        least = "not found by the search" if unknown.any() else "no increase of limits is enough"
    only = f"It is enough to raise one of these alone: {', '.join(supply)}."
    if not supply:
        only = "" if unknown.any() else "Raising a single limit is not enough."
    cut = "The search was stopped early; see the notes of the table." if _cut(table) else ""
    text = f"No plan satisfies the limits. The smallest amount missing: {least}. {only} {cut}"
    return " ".join(text.split())


def _cut(table: pd.DataFrame) -> bool:
    return not table["note"].isin(["", CANNOT]).all()


def _missing(constraint: str, of: str, quarter: int | None, amount: float) -> str:
    what = {"available": "supply", "rack_units": "rack units"}.get(constraint, constraint)
    when = "" if quarter is None or quarter != quarter else f" in quarter {quarter}"
    return f"{what}{f' of {of}' if of else ''}{when}: {amount_text(constraint, amount)}"
