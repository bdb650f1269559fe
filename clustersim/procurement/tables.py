"""The tables of a plan."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from clustersim.procurement.fleet import chips_per_node
from clustersim.procurement.regret import Regret
from clustersim.procurement.solve import Schedule

if TYPE_CHECKING:
    from clustersim.procurement.result import PurchasePlan

__all__ = ["allocation_table", "cost_table", "purchase_table", "regret_table"]


def purchase_table(plan: PurchasePlan, schedule: Schedule) -> pd.DataFrame:
    """Return the table of purchases.

    Returns
    -------
    DataFrame
        One row per scenario, quarter and chip: ``scenario, quarter`` (from 1), ``decided``
        (``first``, or ``later`` once the scenario is known), ``chip, accelerator, nodes, chips,
        spending_cny, nodes_in_place, chips_in_place``.
    """
    problem, spec, catalogue = schedule.problem, plan.question.spec, plan.question.catalogue
    bought, nodes, per_node = schedule.bought, schedule.nodes, chips_per_node(plan.question)
    records = []
    for s, scenario in enumerate(problem.scenarios):
        for quarter in range(problem.quarters):
            for k, (name, chip) in enumerate(spec.chips.items()):
                accelerator = catalogue.accelerator(chip.accelerator)
                count, there = int(bought[s, quarter, k]), int(nodes[s, quarter, k])
                records.append(
                    {
                        "scenario": scenario,
                        "quarter": quarter + 1,
                        "decided": "first" if quarter < problem.first else "later",
                        "chip": name,
                        "accelerator": accelerator.name,
                        "nodes": count,
                        "chips": count * per_node[name],
                        "spending_cny": count * float(problem.price[k]),
                        "nodes_in_place": there,
                        "chips_in_place": there * per_node[name],
                    }
                )
    return pd.DataFrame(records)


def allocation_table(schedule: Schedule) -> pd.DataFrame:
    """Return the allocation of chips to job classes.

    Returns
    -------
    DataFrame
        One row per scenario, quarter, class and chip that works for the class: ``scenario, quarter,
        job_class, chip, busy_nodes, tokens``.  Unmet demand has its own row, in which the chip is
        ``unmet``.
    """
    problem = schedule.problem
    scenarios, quarters, classes, chips = problem.shape
    records = []
    for s in range(scenarios):
        for quarter in range(quarters):
            for c in range(classes):
                place = {
                    "scenario": problem.scenarios[s],
                    "quarter": quarter + 1,
                    "job_class": problem.classes[c],
                }
                for k in range(chips):
                    busy = float(schedule.busy[s, quarter, c, k])
                    tokens = busy * float(problem.node_tokens[c, k])
                    if busy > 0:
                        name = problem.chips[k]
                        records.append(
                            {**place, "chip": name, "busy_nodes": busy, "tokens": tokens}
                        )
                unmet = float(schedule.unmet[s, quarter, c])
                if unmet > 0:
                    records.append({**place, "chip": "unmet", "busy_nodes": 0.0, "tokens": unmet})
    columns = ["scenario", "quarter", "job_class", "chip", "busy_nodes", "tokens"]
    return pd.DataFrame(records, columns=columns)


def cost_table(schedule: Schedule) -> pd.DataFrame:
    """Return the costs of each scenario.

    Returns
    -------
    DataFrame
        One row per scenario: ``scenario, probability, spending_cny`` (price of the purchases, which
        is not part of the cost), the costs by kind (``depreciation_cny`` is the part of
        ``spending_cny`` that is charged within the plan), and their sum ``cost_cny``.
    """
    costs = schedule.costs()
    return pd.DataFrame(
        {
            "scenario": schedule.problem.scenarios,
            "probability": schedule.problem.probability,
            "spending_cny": schedule.spending.sum(axis=1),
            **{f"{kind}_cny": values for kind, values in costs.items()},
            "cost_cny": schedule.cost,
        }
    )


def regret_table(regret: Regret, scenarios: tuple[str, ...]) -> pd.DataFrame:
    """Return one row per candidate and scenario.

    The columns are ``candidate, first_purchases`` (what it buys, as text), ``scenario, cost_cny,
    regret_cny``.
    """
    return pd.DataFrame(
        {
            "candidate": [name for name in regret.candidates for _ in scenarios],
            "first_purchases": [text for text in regret.buys for _ in scenarios],
            "scenario": list(scenarios) * len(regret.candidates),
            "cost_cny": regret.cost.ravel(),
            "regret_cny": regret.regret.ravel(),
        }
    )
