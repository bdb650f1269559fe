"""A plan in words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from clustersim.analysis.metrics import metric_of
from clustersim.procurement.shortfall import CANNOT, TOGETHER
from clustersim.procurement.verify import KEPT, MISSED, UNDECIDED, worst_place
from clustersim.units import format_duration, format_money, format_number, format_rate

if TYPE_CHECKING:
    from clustersim.procurement.result import PurchasePlan

__all__ = ["amount_text", "conclusion", "listed", "metric_text"]

NO_REGRET = 1e-6
"""Regret below this share of the cost is none: it is within the gap of the search."""


def amount_text(constraint: str, amount: float) -> str:
    """How much of a limit, with its unit.

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
    """Write a measure of the simulated service with its unit.

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
    """Say in a few sentences what to do, what it costs, and how sure that is."""
    if plan.schedule is None:
        return " ".join([_no_plan(plan), *(f"Note: {note}." for note in plan.notes)])
    told = (_purchases(plan), _costs(plan), _knowledge(plan), _service(plan), _warnings(plan))
    return " ".join(part for part in told if part)


def _purchases(plan: PurchasePlan) -> str:
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
    when = "in all" if first == problem.quarters else f"in quarter 1{f' to {first}' * (first > 1)}"
    if several and first == 0:
        return "Buy nothing before the scenario is known."
    if not parts:
        return f"Buy nothing {'at all' if when == 'in all' else when}."
    known = ", before it is known which scenario comes" if several else ""
    return f"Buy {listed(parts)} {when}{known}."


def listed(parts: Sequence[str]) -> str:
    """Return some parts of a sentence as a list.

    Examples
    --------
    >>> listed(["a", "b", "c"])
    'a, b and c'
    """
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _costs(plan: PurchasePlan) -> str:
    schedule = plan.schedule
    assert schedule is not None, "there is a plan"
    spending = _range_text(schedule.spending.sum(axis=1))
    stopped = "" if schedule.status == "optimal" else " (the search was stopped)"
    return (
        f"Expected cost {format_money(schedule.expected_cost)}, at most {100 * schedule.gap:.2g} % "
        f"above the least possible{stopped}. The purchases are paid with {spending}"
        f"{_charged(plan)}."
    )


def _charged(plan: PurchasePlan) -> str:
    """How much of the purchases is part of the cost."""
    schedule = plan.schedule
    assert schedule is not None, "there is a plan"
    spent, charged = schedule.spending.sum(axis=1), schedule.costs()["depreciation"]
    if not spent.any():
        return ""
    if np.allclose(spent, charged):
        return ", all of which the cost includes"
    quarters = plan.problem.quarters
    within = f"its {quarters} quarters" if quarters > 1 else "its quarter"
    return (
        f", of which the cost includes {_range_text(charged)}, the depreciation within {within}; "
        "the rest is the value that is left at the end of the plan"
    )


def _range_text(amounts: npt.NDArray[np.float64]) -> str:
    """The least and the most of an amount over the scenarios."""
    low, high = float(amounts.min()), float(amounts.max())
    return format_money(low) if low == high else f"{format_money(low)} to {format_money(high)}"


def _knowledge(plan: PurchasePlan) -> str:
    regret = plan.regret
    if regret is None or len(plan.problem.scenarios) == 1:
        return ""
    own = regret.regret[0]
    worst = int(np.argmax(own))
    regretted = (
        f"If {plan.problem.scenarios[worst]!r} comes true, {format_money(float(own[worst]))} of it "
        "are regretted"
        if own[worst] > NO_REGRET * regret.expected_of_plan
        else "No scenario makes it regretted"
    )
    value = regret.value_of_stochastic_solution
    planned = (
        f"counting on the mean supply would cost {format_money(value)} more"
        if math.isfinite(value)
        else "counting on the mean supply would leave no plan in some scenario, or order there "
        "what cannot be had"
    )
    return (
        f"{regretted}; knowing the scenario before would be worth "
        f"{format_money(regret.value_of_perfect_information)}, and {planned}."
    )


def _service(plan: PurchasePlan) -> str:
    verified, spec = plan.verified, plan.question.spec.verify
    if verified is None or spec is None:
        return ""
    if not verified.complete:
        return f"The simulated service is not known: {verified.note}."
    own = verified.fresh
    if not own["jobs"].any():
        return "No work is done, so that there is nothing to simulate."
    worst = worst_place(own)
    metric, count = spec.objective.metric, spec.replications

    def shown(value: float) -> str:
        return metric_text(metric, value)

    limit, name = shown(spec.objective.limit), metric_of(metric).label
    told = {
        KEPT: f"the {name} keeps {limit}",
        MISSED: f"the {name} misses {limit}",
        UNDECIDED: f"it is not decided whether the {name} keeps {limit}",
    }[verified.outcome]
    interval = f" ({shown(max(worst['low'], 0.0))} to {shown(worst['high'])})"
    scenarios = listed([repr(name) for name in dict.fromkeys(own["scenario"])])
    return (
        f"Simulated in {scenarios}, {told}: in the worst quarter and scenario of {count} new "
        f"replication{'s' * (count > 1)} it is {shown(worst['mean'])}"
        f"{interval if math.isfinite(worst['high']) else ''}; the search: {verified.note}."
    )


def _warnings(plan: PurchasePlan) -> str:
    warnings = [f"Warning: {warning}." for warning in plan.warnings]
    return " ".join([*warnings, *(f"Note: {note}." for note in plan.notes)])


def _no_plan(plan: PurchasePlan) -> str:
    table = plan.shortfall
    assert table is not None, "where there is no plan, it is told why"
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
        least = "not found by the search" if unknown.any() else "nothing that could be bought"
    only = f"Alone, more of this would do: {', or '.join(supply)}."
    if not supply:
        only = "" if unknown.any() else "No single limit can do alone."
    cut = "The search was cut short: see the notes of the table." if _cut(table) else ""
    told = f"The limits leave no plan. The least that is missing: {least}. {only} {cut}"
    return " ".join(told.split())


def _cut(table: pd.DataFrame) -> bool:
    return not table["note"].isin(["", CANNOT]).all()


def _missing(constraint: str, of: str, quarter: int | None, amount: float) -> str:
    what = {"available": "supply", "rack_units": "rack units"}.get(constraint, constraint)
    when = "" if quarter is None or quarter != quarter else f" in quarter {quarter}"
    return f"{what}{f' of {of}' if of else ''}{when}: {amount_text(constraint, amount)}"
