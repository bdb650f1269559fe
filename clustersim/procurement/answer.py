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
    label, value, interval = _price(schedule)
    sentence = _sentence(plan, value)
    if _is_quick(plan):
        sentence = f"Quick version (--quick): {sentence[:1].lower()}{sentence[1:]}"
    return {
        "sentence": sentence,
        "label": label,
        "value": value,
        "interval": interval,
        "hinges_on": [*_hinges(plan, schedule)],
        "next_steps": [*_next_steps(plan)],
    }


def _is_quick(plan: PurchasePlan) -> bool:
    return any("--quick" in note for note in plan.notes)


def _sentence(plan: PurchasePlan, price: str) -> str:
    bought = purchases_text(plan).rstrip(".")
    text = f"{bought}, for {price}" if _first_price(plan.schedule) else bought
    if _later(plan):
        text += "; what to buy later depends on the scenario"
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


def _first_quarters(schedule: Schedule) -> int:
    """Return the number of quarters whose purchases are the same in every scenario."""
    problem = schedule.problem
    return problem.first if len(problem.scenarios) > 1 else problem.quarters


def _first_price(schedule: Schedule | None) -> float:
    """Return the price of the purchases before the scenario is known (CNY)."""
    assert schedule is not None, "there is a plan"
    return float(schedule.spending[0, : _first_quarters(schedule)].sum())


def _price(schedule: Schedule) -> tuple[str, str, str]:
    """Return label, value and interval of the price of the first purchases, in one unit."""
    first, totals = _first_price(schedule), schedule.spending.sum(axis=1)
    low, high = float(totals.min()), float(totals.max())
    scale, unit = scale_of("money", [first or high or 1.0])
    value = f"{format_number(first / scale)} {unit}"
    if _first_quarters(schedule) == schedule.problem.quarters:
        return "price of the purchases", value, "exact: prices are assumptions of the plan"
    ends = f"{format_number(low / scale)} to {format_number(high / scale)} {unit}"
    if low == high:
        ends = f"{format_number(high / scale)} {unit} in every scenario"
    else:
        ends = f"{ends}, depending on the scenario"
    return "price of the first purchases", value, f"with all later purchases {ends}"


def _later(plan: PurchasePlan) -> list[str]:
    """Return what is bought after the first purchases, each with its scenarios."""
    schedule, problem = plan.schedule, plan.problem
    assert schedule is not None, "there is a plan"
    first = _first_quarters(schedule)
    if first == problem.quarters:
        return []
    found: dict[str, list[str]] = {}
    for scenario, bought in zip(problem.scenarios, schedule.bought, strict=True):
        nodes = bought[first:].sum(axis=0)
        parts = [
            f"{count:,} nodes of {name}"
            for name, count in zip(problem.chips, nodes, strict=True)
            if count
        ]
        found.setdefault(listed(parts) if parts else "nothing", []).append(repr(str(scenario)))
    if set(found) == {"nothing"}:
        return []
    return [f"{what} if {' or '.join(names)} occurs" for what, names in found.items()]


def _cost_sentence(plan: PurchasePlan, schedule: Schedule) -> str:
    """Return the expected cost and what it contains."""
    costs, expected = schedule.cost, schedule.expected_cost
    weights = np.asarray(schedule.problem.probability)
    parts = {name: float((own * weights).sum()) for name, own in schedule.costs().items()}
    names = {
        "unmet": "penalty for unmet demand",
        "depreciation": "depreciation of the purchases within the plan",
    }
    contents = [
        f"{names.get(name, name.replace('_', ' '))} {format_money(amount)} "
        f"({100 * amount / expected:.0f} %)"
        for name, amount in sorted(parts.items(), key=lambda item: -item[1])
        if amount > 0 and expected > 0
    ]
    spread = ""
    if len(costs) > 1 and costs.min() < costs.max():
        low, high = (format_money(float(end)) for end in (costs.min(), costs.max()))
        spread = f", {low} to {high} by scenario"
    made = f" It consists of {listed(contents)}." if contents else ""
    return (
        f"Expected cost: the plan is charged {format_money(expected)}{spread}; this is at most "
        f"{100 * schedule.gap:.2g} % above the optimum.{made}"
    )


def _hinges(plan: PurchasePlan, schedule: Schedule) -> Iterator[str]:
    """Yield what the plan contains and depends on, the most important first."""
    if later := _later(plan):
        yield f"Later purchases: {'; '.join(later)}."
    yield _cost_sentence(plan, schedule)
    if service := service_text(plan):
        yield f"Service: {service[:1].lower()}{service[1:]}"
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
    yield f"Price: {costs_text(plan).partition('. ')[2].replace('The price', 'the price', 1)}"


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
    quick = _is_quick(plan)
    if quick:
        yield "Run the plan without --quick before you use its numbers."
    verified = plan.verified
    if plan.question.spec.verify is None:
        yield "Add a section verify to the plan: no simulation shows whether queues stay short."
    elif verified is not None and verified.complete and verified.outcome == UNDECIDED and not quick:
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
