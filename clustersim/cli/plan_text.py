"""A plan as text for the terminal."""

from __future__ import annotations

import textwrap

import pandas as pd

from clustersim.catalogue import hypothetical_note
from clustersim.cli.text import table
from clustersim.planning import Plan
from clustersim.planning.regret import Regret
from clustersim.planning.tables import purchase_table
from clustersim.planning.words import amount_text, conclusion, metric_text, money_text

__all__ = ["plan_text"]

MOST_PRICES = 12
"""Shadow prices that are shown; the table has all."""


def plan_text(plan: Plan) -> str:
    """Say what a plan is, and what it hangs on."""
    spec = plan.question.spec
    parts = [textwrap.fill(f"{spec.name}: {spec.question}".rstrip(": "), 100)]
    if plan.schedule is None:
        parts.append(_shortfall(plan))
    else:
        parts += [_purchases(plan), _costs(plan), _prices(plan)]
        if plan.regret is not None and len(plan.problem.scenarios) > 1:
            parts.append(_regret(plan.regret, plan.problem.scenarios))
        if plan.verified is not None:
            parts.append(_rounds(plan.verified.rounds))
    parts.append(textwrap.fill(conclusion(plan), 100))
    chips = [plan.question.catalogue.accelerator(chip.accelerator) for chip in spec.chips.values()]
    note = hypothetical_note(chips)
    return "\n\n".join([*parts, *([textwrap.fill(note, 100)] if note else [])])


def _purchases(plan: Plan) -> str:
    """Nodes bought, a row a scenario and quarter; what all scenarios share once."""
    assert plan.schedule is not None, "there is a plan"
    bought = purchase_table(plan, plan.schedule)
    several = len(plan.problem.scenarios) > 1
    if several:
        shared = (bought["decided"] == "first") & (bought["scenario"] == bought["scenario"].iloc[0])
        first = bought[shared].assign(scenario="(all)")
        bought = pd.concat([first, bought[bought["decided"] == "later"]])
    rows = []
    for (scenario, quarter), group in bought.groupby(["scenario", "quarter"], sort=False):
        nodes = [f"{count:,}" for count in group["nodes"]]
        chips, spending = group["chips"].sum(), group["spending_cny"].sum()
        rows.append([scenario, f"Q{quarter}", *nodes, f"{chips:,}", f"{spending / 1e9:.3f}"])
    headers = ["scenario", "quarter", *plan.problem.chips, "chips", "10^9 CNY"]
    return f"nodes bought\n{table(rows, headers)}"


def _costs(plan: Plan) -> str:
    schedule = plan.schedule
    assert schedule is not None, "there is a plan"
    costs = schedule.costs()
    rows = [
        [
            name,
            f"{schedule.problem.probability[s]:g}",
            *(f"{values[s] / 1e9:.3f}" for values in costs.values()),
            f"{schedule.cost[s] / 1e9:.3f}",
        ]
        for s, name in enumerate(schedule.problem.scenarios)
    ]
    headers = ["scenario", "probability", *costs, "cost"]
    bound = (
        f"expected cost {money_text(schedule.expected_cost)}; bound of the linear relaxation "
        f"{money_text(plan.bound)}; planning utilisation {plan.problem.utilisation:.3f}"
    )
    return f"cost, 10^9 CNY\n{table(rows, headers)}\n{bound}"


def _prices(plan: Plan) -> str:
    prices = plan.shadow_prices
    assert prices is not None, "there is a plan"
    worth = prices[(prices["saves_cny"] > 0) & (prices["constraint"] != "demand")]
    dear = prices[(prices["saves_cny"] < 0) & (prices["constraint"] == "demand")]
    rows = [
        [row["constraint"], row["of"], _quarter(row["quarter"]), row["unit"], f"{value:,.4g}"]
        for part in (worth, dear)
        for row, value in zip(part.to_dict("records"), part["saves_cny"].abs(), strict=True)
    ]
    if not rows:
        return "no limit of supply, budget, power or room binds"
    shown = table(rows[:MOST_PRICES], ["limit", "of", "quarter", "one more", "CNY"])
    left = len(rows) - MOST_PRICES
    more = f"\nand {left} more in shadow_prices.csv" if left > 0 else ""
    return f"what one more saves (of demand: costs), for small changes\n{shown}{more}"


def _quarter(quarter: object) -> str:
    return "all" if pd.isna(quarter) else f"Q{quarter}"  # type: ignore[call-overload]


def _regret(regret: Regret, scenarios: tuple[str, ...]) -> str:
    rows = [
        [name, *(_billions(value) for value in regret.regret[index]), _billions(expected)]
        for index, (name, expected) in enumerate(
            zip(regret.candidates, regret.expected, strict=True)
        )
    ]
    headers = ["first purchases", *scenarios, "expected cost"]
    return f"regret if a scenario comes true, 10^9 CNY\n{table(rows, headers)}"


def _billions(cny: float) -> str:
    return "-" if cny == float("inf") else f"{cny / 1e9:.3f}"


def _rounds(rounds: pd.DataFrame) -> str:
    """The worst quarter and scenario of each round."""
    metric = str(rounds["metric"].dropna().iloc[0])
    rows: list[list[object]] = []
    for number, group in rounds.groupby("round", sort=True):
        utilisation = f"{group['planning_utilisation'].iloc[0]:.3f}"
        if not group["possible"].all() or not group["jobs"].any():
            told = "no job" if group["possible"].all() else "no plan"
            rows.append([number, utilisation, told, "", "", "", ""])
            continue
        worst = group.iloc[int(group["mean"].fillna(-1.0).argmax())]
        numbers = [metric_text(metric, worst[name]) for name in ("mean", "low", "high")]
        place = [worst["scenario"], f"Q{worst['quarter']:.0f}"]
        rows.append([number, utilisation, *place, *numbers])
    headers = ["round", "utilisation", "scenario", "quarter", metric, "low", "high"]
    return f"simulated, in the worst scenario and quarter\n{table(rows, headers)}"


def _shortfall(plan: Plan) -> str:
    assert plan.shortfall is not None, "there is no plan"
    rows = [
        [
            row["grows"],
            row["constraint"],
            row["of"],
            _quarter(row["quarter"]) if row["helps"] else "",
            amount_text(row["constraint"], row["amount"]) if row["helps"] else "cannot help alone",
        ]
        for row in plan.shortfall.to_dict("records")
    ]
    told = table(rows, ["grows", "limit", "of", "quarter", "is missing"])
    return f"what would make a plan possible\n{told}"
