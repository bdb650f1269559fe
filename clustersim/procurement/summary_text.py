"""The summary of a plan in sentences."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from clustersim.analysis.metrics import metric_of
from clustersim.array_types import Floats
from clustersim.procurement.shortfall import CANNOT, TOGETHER
from clustersim.procurement.verify import KEPT, MISSED, UNDECIDED, worst_place
from clustersim.units import format_duration, format_money, format_number, format_rate, scale_of

if TYPE_CHECKING:
    from clustersim.procurement.result import PurchasePlan

__all__ = [
    "amount_text",
    "conclusion",
    "costs_text",
    "listed",
    "metric_text",
    "purchases_text",
    "service_text",
]

NO_REGRET = 1e-6
"""Regret below this share of the cost counts as 0; it is within the gap of the search."""


def amount_text(constraint: str, amount: float) -> str:
    """Format an amount in the unit of a constraint.

    Examples
    --------
    >>> amount_text("power", 2.5e7), amount_text("available", 64.0)
    ('25 MW', '64 nodes')
    """
    if constraint == "budget":
        return format_money(amount)
    if constraint == "power":
        return format_rate(amount, "W")
    if constraint == "available":
        return f"{format_number(amount)} nodes" if amount < 1e4 else f"{amount:,.0f} nodes"
    if constraint == "rack_units":
        return f"{amount:,.0f} rack units"
    return f"{format_number(amount)} tokens"


def metric_text(metric: str, value: float) -> str:
    """Format a metric of the simulated service with its unit.

    Examples
    --------
    >>> metric_text("p95_wait_s", 9000.0), metric_text("utilisation", 0.81)
    ('2.5 h', '0.81')
    """
    if not math.isfinite(value):
        return "no limit"
    if metric_of(metric).dimension == "duration":
        return format_duration(value)
    return format_number(value)


def conclusion(plan: PurchasePlan) -> str:
    """Summarise in a few sentences what to buy, what it costs, and how certain this is."""
    if plan.schedule is None:
        return " ".join([_no_plan(plan), *(f"Note: {note}." for note in plan.notes)])
    parts = (
        purchases_text(plan),
        costs_text(plan),
        _knowledge(plan),
        service_text(plan),
        _warnings(plan),
    )
    return " ".join(part for part in parts if part)


def purchases_text(plan: PurchasePlan) -> str:
    """Describe what to buy before the scenario is known or, with one scenario, in total."""
    schedule, problem = plan.schedule, plan.problem
    assert schedule is not None, "there is a plan"
    several = len(problem.scenarios) > 1
    first = problem.first if several else problem.quarters
    bought = schedule.bought[0, :first].sum(axis=0)
    parts = [
        f"{nodes:,} nodes of {name}"
        for name, nodes in zip(problem.chips, bought, strict=True)
        if nodes
    ]
    when = (
        "in total"
        if first == problem.quarters
        else f"in quarter{f's 1 to {first}' if first > 1 else ' 1'}"
    )
    if several and first == 0:
        return "Buy nothing before the scenario is known."
    if not parts:
        return "Buy nothing." if when == "in total" else f"Buy nothing {when}."
    known = ", before the scenario is known" if several else ""
    return f"Buy {listed(parts)} {when}{known}."


def listed(parts: Sequence[str]) -> str:
    """Join parts of a sentence with commas and "and".

    Examples
    --------
    >>> listed(["a", "b", "c"])
    'a, b and c'
    """
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def costs_text(plan: PurchasePlan) -> str:
    """Describe the expected cost, its distance from the optimum, and the price of the purchases."""
    schedule = plan.schedule
    assert schedule is not None, "there is a plan"
    spending = _range_text(schedule.spending.sum(axis=1))
    stopped = "" if schedule.status == "optimal" else " (the search was stopped)"
    return (
        f"The expected cost is {format_money(schedule.expected_cost)}, at most "
        f"{100 * schedule.gap:.2g} % above the optimum{stopped}. The price of the purchases is "
        f"{spending}{_charged(plan)}."
    )


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
        f". The cost includes {_range_text(charged)} of it, the depreciation within {within}; "
        "the rest is the value left at the end of the plan"
    )


def _range_text(amounts: Floats) -> str:
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
    own = regret.regret[0]
    worst = int(np.argmax(own))
    regretted = (
        f"The largest regret is {format_money(float(own[worst]))}, in scenario "
        f"{plan.problem.scenarios[worst]!r}"
        if own[worst] > NO_REGRET * regret.expected_of_plan
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
        f"{regretted}. Knowing the scenario in advance would be worth "
        f"{format_money(regret.value_of_perfect_information)}. {planned}."
    )


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

    def shown(value: float) -> str:
        return metric_text(metric, value)

    limit, name = shown(spec.objective.limit), metric_of(metric).label
    outcome = {
        KEPT: f"the {name} meets the objective of {limit}",
        MISSED: f"the {name} misses the objective of {limit}",
        UNDECIDED: f"it is undecided whether the {name} meets the objective of {limit}",
    }[verified.outcome]
    interval = f" ({shown(max(worst['low'], 0.0))} to {shown(worst['high'])})"
    scenarios = listed([repr(name) for name in dict.fromkeys(own["scenario"])])
    return (
        f"In simulations of {scenarios}, {outcome}: it is {shown(worst['mean'])}"
        f"{interval if math.isfinite(worst['high']) else ''} in the worst quarter and scenario "
        f"({count} new replication{'s' * (count > 1)}). During the search, in other replications: "
        f"{verified.note}."
    )


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
