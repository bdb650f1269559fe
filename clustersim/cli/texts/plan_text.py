"""A plan as text for the terminal."""

from __future__ import annotations

import math
import textwrap
from functools import partial
from pathlib import Path

import pandas as pd

from clustersim.analysis.columns.plan_columns import amount_text
from clustersim.analysis.metrics import metric_of
from clustersim.catalogue import hypothetical_note
from clustersim.procurement import PurchasePlan
from clustersim.procurement.answer import plan_answer
from clustersim.procurement.assumption_table import assumption_table
from clustersim.procurement.regret import Regret
from clustersim.procurement.rounds import worst_place
from clustersim.procurement.spec import Verification
from clustersim.procurement.summary_text import conclusion, metric_text
from clustersim.procurement.tables import purchase_table
from clustersim.report.page import Answer, wrapped_answer
from clustersim.report.plan_page import binding_limits
from clustersim.text_table import table
from clustersim.units import format_money, format_number, scale_of

__all__ = ["plan_text"]

MOST_PRICES = 12
"""Number of shadow prices to print; the table contains all of them."""


def plan_text(plan: PurchasePlan) -> str:
    """Format a plan: purchases, costs, assumptions, shadow prices, regret and simulation."""
    spec = plan.question.spec
    parts = [textwrap.fill(f"{spec.name}: {spec.question}".rstrip(": "), 100)]
    if plan.schedule is None:
        parts.append(_shortfall(plan))
    else:
        parts += [_purchases(plan), _costs(plan), _assumptions(plan)]
        if plan.reference is not None:
            parts.append(_reference(plan))
        parts.append(_prices(plan))
        if plan.regret is not None and len(plan.problem.scenarios) > 1:
            parts.append(_regret(plan.regret, plan.problem.scenarios))
        if plan.verified is not None and len(plan.verified.rounds):
            parts.append(_rounds(plan.verified.rounds, spec.verify))
    if plan.schedule is None:
        parts.append(textwrap.fill(conclusion(plan), 100))
    else:
        parts.append(wrapped_answer(Answer(**plan_answer(plan))))
        remarks = [f"Warning: {text}." for text in plan.warnings]
        remarks += [f"Note: {text}." for text in plan.notes]
        parts += ["\n".join(textwrap.fill(line, 100) for line in remarks)] if remarks else []
    chips = [plan.question.catalogue.accelerator(chip.accelerator) for chip in spec.chips.values()]
    note = hypothetical_note(chips)
    return "\n\n".join([*parts, *([textwrap.fill(note, 100)] if note else [])])


def _purchases(plan: PurchasePlan) -> str:
    """Format nodes bought per scenario and quarter; rows common to all scenarios appear once."""
    assert plan.schedule is not None, "there is a plan"
    bought = purchase_table(plan, plan.schedule)
    several = len(plan.problem.scenarios) > 1
    if several:
        shared = (bought["decided"] == "first") & (bought["scenario"] == bought["scenario"].iloc[0])
        first = bought[shared].assign(scenario="(all)")
        bought = pd.concat([first, bought[bought["decided"] == "later"]])
    scale, unit = scale_of("money", bought.groupby(["scenario", "quarter"])["spending_cny"].sum())
    rows = []
    for (scenario, quarter), group in bought.groupby(["scenario", "quarter"], sort=False):
        nodes = [f"{count:,}" for count in group["nodes"]]
        chips, spending = group["chips"].sum(), group["spending_cny"].sum()
        rows.append([scenario, f"Q{quarter}", *nodes, f"{chips:,}", f"{spending / scale:.3f}"])
    headers = ["scenario", "quarter", *plan.problem.chips, "chips", f"paid, {unit}"]
    return f"nodes bought and payments\n{table(rows, headers)}"


def _costs(plan: PurchasePlan) -> str:
    schedule = plan.schedule
    assert schedule is not None, "there is a plan"
    costs = schedule.costs()
    scale, unit = scale_of("money", schedule.cost)
    costs = {kind: values for kind, values in costs.items() if kind != "interest" or values.any()}
    rows = [
        [
            name,
            f"{schedule.problem.probability[s]:g}",
            *(f"{values[s] / scale:.3f}" for values in costs.values()),
            f"{schedule.cost[s] / scale:.3f}",
        ]
        for s, name in enumerate(schedule.problem.scenarios)
    ]
    kinds = [kind.replace("_", " ") for kind in costs]
    headers = ["scenario", "probability", *kinds, "cost"]
    bound = (
        f"expected cost {format_money(schedule.expected_cost)}; bound of the linear relaxation "
        f"{format_money(plan.bound)}; {_utilisation(plan)}"
    )
    return f"cost charged to the plan, {unit}\n{table(rows, headers)}\n{bound}"


def _utilisation(plan: PurchasePlan) -> str:
    """Describe the planning utilisation and its origin."""
    used, stated = plan.problem.utilisation, plan.question.spec.planning_utilisation
    if plan.verified is None:
        return f"planning utilisation {used:.3f} (not verified)"
    found = "as stated" if used == stated else f"lowered from {stated:g}"
    if not plan.verified.complete:
        return f"planning utilisation {used:.3f} ({found}; the verification is incomplete)"
    return f"planning utilisation {used:.3f} ({found}; checked by simulation)"


def _assumptions(plan: PurchasePlan) -> str:
    """Format the prices, power and times that the plan is based on, with their origins."""
    rows = assumption_table(plan.question, plan.problem).to_numpy().tolist()
    return f"assumptions\n{table(rows, ['assumption', 'value', 'from'])}"


def _reference(plan: PurchasePlan) -> str:
    """Format the chips at the end of the plan next to those of the reference fleet."""
    reference, found = plan.question.spec.reference_fleet, plan.reference
    assert reference is not None, "there is a reference fleet"
    assert found is not None, "there is a reference fleet"
    rows = []
    for row in found.to_dict("records"):
        low, high = row["least_chips"], row["most_chips"]
        planned = f"{low:,}" if low == high else f"{low:,} to {high:,}"
        rows.append([row["accelerator"], f"{row['reference_chips']:,}", planned])
    headers = ["chips", Path(reference.cluster).stem, "plan, at its end"]
    why = textwrap.fill(f"Note: {reference.why}", 100)
    return (
        f"fleet at the end of the plan compared with {reference.cluster}\n"
        f"{table(rows, headers)}\n{why}"
    )


def _prices(plan: PurchasePlan) -> str:
    prices = plan.shadow_prices
    assert prices is not None, "there is a plan"
    rows = binding_limits(prices).to_numpy().tolist()
    rows = [[*row, format_number(abs(price))] for *row, price in rows]
    if not rows:
        return "no limit of supply, budget, power or space is binding"
    shown = table(rows[:MOST_PRICES], ["limit", "of", "quarter", "binding in", "one more", "CNY"])
    left = len(rows) - MOST_PRICES
    more = f"\nand {left} more in shadow_prices.csv" if left > 0 else ""
    return (
        "saving in expected cost (for demand: added cost) per additional unit, for small changes;\n"
        f"the unit is added in each of the scenarios listed\n{shown}{more}"
    )


def _quarter(quarter: object) -> str:
    return "all" if pd.isna(quarter) else f"Q{quarter}"  # type: ignore[call-overload]


def _regret(regret: Regret, scenarios: tuple[str, ...]) -> str:
    scale, unit = scale_of("money", [*regret.regret.ravel(), *regret.expected])

    def shown(cny: float) -> str:
        return f"{cny / scale:.3f}" if math.isfinite(cny) else "-"

    names: dict[str, list[str]] = {}
    for name, buys in zip(regret.candidates, regret.buys, strict=True):
        names.setdefault(buys, []).append(name)
    rows = []
    for buys, own in names.items():
        index = regret.candidates.index(own[0])
        regrets = [shown(value) for value in regret.regret[index]]
        rows.append([buys, *regrets, shown(regret.expected[index])])
    headers = ["first purchases", *scenarios, "expected cost"]
    bought = "\n".join(
        textwrap.fill(f"{buys}: {', '.join(own)}", 100, subsequent_indent="  ")
        for buys, own in names.items()
    )
    return f"regret by realised scenario, {unit}\n{table(rows, headers)}\n{bought}"


def _rounds(rounds: pd.DataFrame, asked: Verification | None) -> str:
    """Format the worst quarter and scenario of each round, in the unit of the objective."""
    metric = next(iter(rounds["metric"].dropna()), "") if "metric" in rounds else ""
    to_text = partial(metric_text, metric)
    if asked is not None:
        to_text = partial(to_text, like=asked.objective.limit)
    rows: list[list[object]] = []
    for number, group in rounds.groupby("round", sort=True):
        utilisation = f"{group['planning_utilisation'].iloc[0]:.3f}"
        if not group["possible"].all() or not group["jobs"].any():
            missing = "no job" if group["possible"].all() else "no plan"
            rows.append([number, utilisation, missing, "", "", "", "", ""])
            continue
        worst = worst_place(group)
        name = "new" if worst["fresh"] else number
        known = not math.isnan(worst["high"])
        numbers = [to_text(worst["value"])]
        numbers += [to_text(worst[end]) for end in ("low", "high")] if known else ["-", "-"]
        place = [worst["scenario"], f"Q{worst['quarter']:.0f}"]
        rows.append([name, utilisation, *place, *numbers, worst["outcome"]])
    name = metric_of(metric).label if metric else ""
    headers = ["round", "utilisation", "scenario", "quarter", name, "low", "high", "objective"]
    return f"simulated results in the worst scenario and quarter\n{table(rows, headers)}"


def _shortfall(plan: PurchasePlan) -> str:
    assert plan.shortfall is not None, "there is no plan"
    rows = [
        [
            row["grows"],
            row["constraint"],
            row["of"],
            "" if pd.isna(row["amount"]) else _quarter(row["quarter"]),
            "" if pd.isna(row["amount"]) else amount_text(row["constraint"], row["amount"]),
            row["note"],
        ]
        for row in plan.shortfall.to_dict("records")
    ]
    missing = table(rows, ["scales with", "limit", "of", "quarter", "missing", ""])
    return f"changes that would make a plan possible\n{missing}"
