"""The answer of a plan: what to buy, its cost, what this depends on, and what to do next."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from clustersim.procurement.shadow_prices import ALL
from clustersim.procurement.summary_text import (
    NO_REGRET,
    conclusion,
    costs_text,
    listed,
    purchases_text,
    service_text,
)
from clustersim.procurement.verify import KEPT, MISSED, UNDECIDED
from clustersim.units import format_money, format_number, scale_of

if TYPE_CHECKING:
    from clustersim.procurement.result import PurchasePlan
    from clustersim.procurement.solve import Schedule

__all__ = ["plan_answer"]

_MOST_LIMITS = 2
_NAMES = {"available": "supply", "rack_units": "space", "power": "power", "budget": "budget"}


def plan_answer(plan: PurchasePlan) -> dict[str, Any]:
    """Return the answer of a plan as plain data.

    Returns
    -------
    dict
        ``sentence``; ``label``, ``value`` and ``interval`` of the cost (texts, empty without a
        plan); ``hinges_on`` and ``next_steps`` (lists of sentences).
    """
    schedule = plan.schedule
    if schedule is None:
        text = conclusion(plan)
        return {
            "sentence": text.partition(". ")[0].rstrip(".") + ".",
            "label": "",
            "value": "",
            "interval": "",
            "hinges_on": [text.partition(". ")[2].partition(" Note: ")[0]],
            "next_steps": ["Change one of the limits below, or reduce the demand, and plan again."],
        }
    label, value, interval = _cost(schedule)
    return {
        "sentence": _sentence(plan, value),
        "label": label,
        "value": value,
        "interval": interval,
        "hinges_on": [*_hinges(plan, schedule)],
        "next_steps": [*_next_steps(plan)],
    }


def _sentence(plan: PurchasePlan, cost: str) -> str:
    bought = purchases_text(plan).rstrip(".")
    text = f"{bought}, for an expected cost of {cost}"
    verified = plan.verified
    if verified is None or plan.question.spec.verify is None or not verified.complete:
        return f"{text}."
    if not verified.fresh["jobs"].any():
        return f"{text}."
    service = {
        KEPT: "the simulated service meets the objective",
        MISSED: "the simulated service misses the objective",
        UNDECIDED: "it is undecided whether the simulated service meets the objective",
    }[verified.outcome]
    return f"{text}; {service}."


def _cost(schedule: Schedule) -> tuple[str, str, str]:
    """Return label, value and interval of the cost, in one unit."""
    expected, costs = schedule.expected_cost, schedule.cost
    low, high = float(costs.min()), float(costs.max())
    scale, unit = scale_of("money", [expected])
    if len(costs) > 1 and low < high:
        ends = f"{format_number(low / scale)} to {format_number(high / scale)} {unit}"
        interval = f"range over {len(costs)} scenarios: {ends}"
    else:
        interval = f"at most {100 * schedule.gap:.2g} % above the optimum"
    return "expected cost", f"{format_number(expected / scale)} {unit}", interval


def _hinges(plan: PurchasePlan, schedule: Schedule) -> Iterator[str]:
    """Yield what the plan depends on, the most important first."""
    if service := service_text(plan):
        yield f"Service: {service[:1].lower()}{service[1:]}"
    unmet = schedule.costs()["unmet"]
    if unmet.any():
        expected = float((unmet * np.asarray(schedule.problem.probability)).sum())
        share = 100 * expected / schedule.expected_cost
        yield (
            f"Unmet demand: {format_money(expected)} of the expected cost ({share:.0f} %) is the "
            "penalty for demand that the plan does not meet."
        )
    if plan.shadow_prices is not None and (limits := _limits(plan.shadow_prices)):
        yield f"Limits: {listed(limits)}."
    if plan.regret is not None and len(plan.problem.scenarios) > 1:
        own = plan.regret.regret[0]
        worst = int(np.argmax(own))
        if own[worst] > NO_REGRET * plan.regret.expected_of_plan:
            yield (
                f"Scenarios: the largest regret is {format_money(float(own[worst]))}, in scenario "
                f"{plan.problem.scenarios[worst]!r}; to know the scenario in advance would be "
                f"worth {format_money(plan.regret.value_of_perfect_information)}."
            )
        else:
            yield "Scenarios: the first purchases are the same whichever scenario occurs."
    yield f"Price: {costs_text(plan).partition('. ')[2]}"


def _limits(prices: pd.DataFrame) -> list[str]:
    """Return the binding limits with the largest saving per additional unit, by kind of limit."""
    rows = prices[(prices["scenario"] == ALL) & (prices["saves_cny"] > 0)]
    rows = rows[rows["constraint"] != "demand"].sort_values("saves_cny", ascending=False)
    first = rows.drop_duplicates("constraint").head(_MOST_LIMITS)
    return [
        f"{_where(row)} is binding (one more {row['unit']} saves {format_money(row['saves_cny'])})"
        for row in first.to_dict("records")
    ]


def _where(row: dict[Any, Any]) -> str:
    name = _NAMES.get(str(row["constraint"]), str(row["constraint"]))
    of = f" of {row['of']}" if row["of"] else ""
    when = "" if pd.isna(row["quarter"]) else f" in Q{int(row['quarter'])}"
    return f"{name}{of}{when}"


def _next_steps(plan: PurchasePlan) -> Iterator[str]:
    """Yield what to do next."""
    if plan.missing:
        yield "Continue the interrupted plan: the same command with --resume."
    if any("--quick" in note for note in plan.notes):
        yield "Plan again without --quick: this is a preview."
    verified = plan.verified
    if plan.question.spec.verify is None:
        yield "Add a section verify to the plan: no simulation shows whether queues stay short."
    elif verified is not None and verified.complete and verified.outcome == UNDECIDED:
        yield "Increase verify.replications, so that the interval decides about the objective."
    elif verified is not None and verified.complete and verified.outcome == MISSED:
        yield "Allow more rounds (verify.rounds), or lower planning_utilisation, and plan again."
    if len(plan.problem.scenarios) > 1 and plan.problem.first < plan.problem.quarters:
        yield (
            "Order only the purchases that are decided before the scenario is known, and plan "
            "again when it is known."
        )
    else:
        yield "Check the assumptions below, and plan again with the ones that you doubt changed."
