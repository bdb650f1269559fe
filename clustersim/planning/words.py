"""A plan in words."""

from __future__ import annotations

import math

import numpy as np

from clustersim.planning.result import Plan
from clustersim.planning.shortfall import TOGETHER
from clustersim.studies.measures import METRICS
from clustersim.units import format_duration

__all__ = ["amount_text", "conclusion", "metric_text", "money_text"]

NO_REGRET = 1e-6
"""Regret below this share of the cost is none: it is within the gap of the search."""
SCALES = ((1e9, "billion CNY"), (1e6, "million CNY"), (1e3, "thousand CNY"))


def money_text(cny: float) -> str:
    """Yuan in a few characters.

    Examples
    --------
    >>> money_text(83.2e9), money_text(-1500.0), money_text(0.0)
    ('83.2 billion CNY', '-1.5 thousand CNY', '0 CNY')
    """
    if not math.isfinite(cny):
        return "no plan"
    for scale, name in SCALES:
        if abs(cny) >= scale:
            return f"{cny / scale:.4g} {name}"
    return f"{cny:.4g} CNY"


def amount_text(constraint: str, amount: float) -> str:
    """How much of a limit, with its unit.

    Examples
    --------
    >>> amount_text("power", 2.5e7), amount_text("available", 64.0)
    ('25 MW', '64 nodes')
    """
    if constraint == "budget":
        return money_text(amount)
    if constraint == "power":
        return f"{amount / 1e6:.4g} MW"
    if constraint == "available":
        return f"{amount:,.4g} nodes" if amount < 1e4 else f"{amount:,.0f} nodes"
    if constraint == "rack_units":
        return f"{amount:,.0f} rack units"
    return f"{amount:.4g} tokens"


def metric_text(metric: str, value: float) -> str:
    """Write a measure of the simulated service with its unit.

    Examples
    --------
    >>> metric_text("p95_wait_s", 9000.0), metric_text("utilisation", 0.81)
    ('2.5 h', '0.81')
    """
    if not math.isfinite(value):
        return "no limit"
    return format_duration(value) if metric.endswith("_s") else f"{value:.4g}"


def conclusion(plan: Plan) -> str:
    """Say in a few sentences what to do, what it costs, and how sure that is."""
    if plan.schedule is None:
        return _no_plan(plan)
    return " ".join(
        part for part in (_purchases(plan), _costs(plan), _knowledge(plan), _service(plan)) if part
    )


def _purchases(plan: Plan) -> str:
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
    listed = parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
    known = ", before it is known which scenario comes" if several else ""
    return f"Buy {listed} {when}{known}."


def _costs(plan: Plan) -> str:
    schedule = plan.schedule
    assert schedule is not None, "there is a plan"
    spent = schedule.spending.sum(axis=1)
    low, high = float(spent.min()), float(spent.max())
    spending = money_text(low) if low == high else f"{money_text(low)} to {money_text(high)}"
    stopped = "" if schedule.status == "optimal" else " (the search was stopped)"
    return (
        f"Expected cost {money_text(schedule.expected_cost)}, at most {100 * schedule.gap:.2g} % "
        f"above the least possible{stopped}; purchases of {spending}."
    )


def _knowledge(plan: Plan) -> str:
    regret = plan.regret
    if regret is None or len(plan.problem.scenarios) == 1:
        return ""
    own = regret.regret[0]
    worst = int(np.argmax(own))
    regretted = (
        f"If {plan.problem.scenarios[worst]!r} comes true, {money_text(float(own[worst]))} of it "
        "are regretted"
        if own[worst] > NO_REGRET * regret.expected_of_plan
        else "No scenario makes it regretted"
    )
    value = regret.value_of_stochastic_solution
    planned = (
        f"counting on the mean supply would cost {money_text(value)} more"
        if math.isfinite(value)
        else "counting on the mean supply would leave no plan in some scenario"
    )
    return (
        f"{regretted}; knowing the scenario before would be worth "
        f"{money_text(regret.value_of_perfect_information)}, and {planned}."
    )


def _service(plan: Plan) -> str:
    verified, spec = plan.verified, plan.question.spec.verify
    if verified is None or spec is None:
        return ""
    rows = verified.rounds
    own = rows[rows["possible"] & (rows["planning_utilisation"] == plan.problem.utilisation)]
    if not own["jobs"].any():
        return "No work is done, so that there is nothing to simulate."
    worst = own.iloc[int(own["mean"].fillna(-1.0).argmax())]
    metric = spec.objective.metric

    def shown(value: float) -> str:
        return metric_text(metric, value)

    verb = "keeps" if verified.meets else "misses"
    interval = f" ({shown(max(worst['low'], 0.0))} to {shown(worst['high'])})"
    name = METRICS.get(metric, metric)
    return (
        f"Simulated, the {name} {verb} {shown(spec.objective.limit)}: in the worst quarter and "
        f"scenario it is {shown(worst['mean'])}"
        f"{interval if math.isfinite(worst['high']) else ''}; {verified.note}."
    )


def _no_plan(plan: Plan) -> str:
    table = plan.shortfall
    assert table is not None, "where there is no plan, it is told why"
    together = table[table["grows"] == TOGETHER]
    missing = [
        _missing(row["constraint"], row["of"], row["quarter"], row["amount"])
        for row in together.to_dict("records")
        if row["helps"]
    ]
    alone = table[table["grows"] != TOGETHER]
    helps = [str(name) for name in dict.fromkeys(alone[alone["helps"]]["grows"])]
    supply = [name for name in helps if not name.startswith("demand")]
    least = "; ".join(missing) or "nothing that could be bought"
    which = ", or ".join(supply)
    only = f"Alone, more of this would do: {which}." if supply else "No single limit can do alone."
    return f"The limits leave no plan. The least that is missing: {least}. {only}"


def _missing(constraint: str, of: str, quarter: int | None, amount: float) -> str:
    what = {"available": "supply", "rack_units": "rack units"}.get(constraint, constraint)
    when = "" if quarter is None or quarter != quarter else f" in quarter {quarter}"
    return f"{what}{f' of {of}' if of else ''}{when}: {amount_text(constraint, amount)}"
