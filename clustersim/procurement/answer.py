"""The answer of a plan: what to buy, its cost, what this depends on, and what to do next."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from clustersim.analysis.columns.plan_columns import amount_text, scale_text
from clustersim.procurement.limits_text import LIMIT_NAMES, binding_sentence, limits_text
from clustersim.procurement.purchases_text import (
    WITHOUT_SITE,
    chip_lines,
    demand_met,
    first_price,
    first_quarters,
    listed,
    purchases_text,
    same_scenarios,
    worst_demand,
)
from clustersim.procurement.rounds import KEPT, MISSED, UNDECIDED
from clustersim.procurement.shortfall import TOGETHER
from clustersim.procurement.summary_text import (
    LEAST_GAP,
    conclusion,
    costs_text,
    gap_text,
    objective_name,
    range_text,
    regretted,
    service_text,
)
from clustersim.units import counted, format_money, format_number, format_percent, scale_of

if TYPE_CHECKING:
    from clustersim.procurement.result import PurchasePlan
    from clustersim.procurement.solve import Schedule

__all__ = ["plan_answer"]

_LARGEST_SHARE = 100.0
"""Larger shares of a limit are not stated: a limit that is almost 0 has no useful share."""


def plan_answer(plan: PurchasePlan) -> dict[str, Any]:
    """Return the answer of a plan as plain data.

    Returns
    -------
    dict
        ``sentence``; ``label``, ``value`` and ``interval`` of the price of the first purchases or,
        without a plan, of the smallest change that makes one possible (texts, empty if none is
        known); ``hinges_on`` and ``next_steps`` (lists of sentences).
    """
    schedule = plan.schedule
    if schedule is None:
        text = conclusion(plan)
        label, value, interval = _missing(plan.shortfall)
        return {
            "sentence": text.partition(". ")[0].rstrip(".") + ".",
            "label": label,
            "value": value,
            "interval": interval,
            "hinges_on": [text.partition(". ")[2].partition(" Note: ")[0]],
            "next_steps": ["Change one of the limits below, or reduce the demand, and plan again."],
        }
    label, value, interval = _price(schedule)
    sentence = _sentence(plan, schedule)
    if plan.shadow_prices is not None:
        sentence = f"{binding_sentence(plan.shadow_prices, schedule)} {sentence}"
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
    return plan.question.quick is not None


def _missing(shortfall: pd.DataFrame | None) -> tuple[str, str, str]:
    """Return label, value and note of the smallest change that makes a plan possible.

    This is the change of the one limit, or of the demand of one class, that is the smallest share
    of it.  If no change of this kind is enough, it is the largest of the changes together.
    """
    if shortfall is None or not (helps := shortfall["helps"].fillna(False)).any():
        return "", "", ""
    table = shortfall[helps]
    alone = table[(table["grows"] != TOGETHER) & table.groupby("grows")["of"].transform(_is_one)]
    limits = alone[alone["constraint"] != "demand"]
    chosen = next(each for each in (limits, alone, table) if len(each))
    if chosen is not table:
        largest = chosen.groupby("grows", sort=False)["relative"].max()
        chosen = chosen[chosen["grows"] == largest.idxmin()]
    row = chosen.iloc[int(chosen["relative"].to_numpy().argmax())].to_dict()
    amount, share = amount_text(row["constraint"], row["amount"]), float(row["relative"])
    name = LIMIT_NAMES.get(row["constraint"], row["constraint"]) + (
        f" of {row['of']}" * bool(row["of"])
    )
    when = "" if pd.isna(row["quarter"]) else f" in Q{int(row['quarter'])}"
    falls = row["constraint"] == "demand"
    of = f"{format_percent(share, 0)} of {'it' if falls else 'the limit'}"
    notes = [of] if share <= _LARGEST_SHARE else []
    if chosen is table:
        return f"missing {name}{when}", amount, "; ".join([*notes, "other limits must rise too"])
    others = len(chosen) - 1
    notes += [f"at most as much in {counted(others, 'other quarter')}"] if others else []
    notes += ["this alone is enough"]
    word = "too much" if falls else "missing"
    return f"{word} {name}{when}", amount, "; ".join(notes)


def _is_one(names: pd.Series) -> bool:
    return bool(names.nunique() == 1)


def _sentence(plan: PurchasePlan, schedule: Schedule) -> str:
    """Return what to buy first and its price, the demand met at the end, and the service."""
    parts = [purchases_text(plan).rstrip(".")]
    if unmet := worst_demand(schedule):
        parts.append(unmet)
    verified = plan.verified
    if verified is None or plan.question.spec.verify is None or not verified.complete:
        return f"{'; '.join(parts)}."
    if not verified.fresh["jobs"].any():
        return f"{'; '.join(parts)}."
    name = f"the simulated {objective_name(plan)}"
    service = {
        KEPT: f"{name} meets the objective",
        MISSED: f"{name} misses the objective",
        UNDECIDED: f"it is undecided whether {name} meets the objective",
    }[verified.outcome]
    total, simulated = len(plan.problem.scenarios), verified.fresh["scenario"].nunique()
    scale = plan.question.spec.verify.scale
    notes = [f"{simulated} of {total} scenarios simulated"] if simulated < total else []
    notes += [f"at {scale_text(scale)} of the fleet and the demand"] if scale < 1 else []
    of = f" ({', '.join(notes)})" if notes else ""
    return f"{'; '.join([*parts, service])}{of}."


def _price(schedule: Schedule) -> tuple[str, str, str]:
    """Return label, value and interval of the price of the first purchases, in one unit."""
    first, totals = first_price(schedule), schedule.spending.sum(axis=1)
    low, high = float(totals.min()), float(totals.max())
    scale, unit = scale_of("money", [first or high or 1.0])
    value = f"{format_number(first / scale)} {unit}"
    share = schedule.problem.site_share
    without = f", {WITHOUT_SITE}" if share else ""
    whole = f"{format_number(first * (1.0 + share) / scale)} {unit} with them; " if share else ""
    if first_quarters(schedule.problem) == schedule.problem.quarters:
        exact = "exact: prices are assumptions of the plan"
        return f"price of the purchases{without}", value, f"{whole}{exact}"
    ends = f"{format_number(low / scale)} to {format_number(high / scale)} {unit}"
    if low == high:
        ends = f"{format_number(high / scale)} {unit} in every scenario"
    else:
        ends = f"{ends}, depending on the scenario"
    label = f"price of the first purchases{without}"
    also = ", again without them:" if share else ""
    return label, value, f"{whole}with all later purchases{also} {ends}"


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
        spread = f", {range_text(costs)} by scenario"
    made = f" It consists of {listed(contents)}." if contents else ""
    gap = "" if schedule.gap < LEAST_GAP else f"; this is {gap_text(schedule)}"
    return (
        f"Expected cost (not the price of the purchases): the plan is charged "
        f"{format_money(expected)} within {counted(schedule.problem.quarters, 'quarter')}{spread}"
        f"{gap}.{made}"
    )


def _hinges(plan: PurchasePlan, schedule: Schedule) -> Iterator[str]:
    """Yield what the plan contains and depends on, the most important first."""
    yield from (f"Purchases of {line}" for line in chip_lines(plan))
    for names in same_scenarios(schedule):
        if len(names) > 1:
            yield (
                f"Scenarios {listed([repr(name) for name in names])} have the same purchases and "
                "the same cost."
            )
    yield demand_met(schedule)
    yield _cost_sentence(plan, schedule)
    yield f"Price: {costs_text(plan).partition('. ')[2].replace('The price', 'the price', 1)}"
    if service := service_text(plan):
        yield f"Service: {service[:1].lower()}{service[1:]}"
    if plan.shadow_prices is not None and (limits := limits_text(plan.shadow_prices)):
        yield limits
    if plan.regret is not None and len(plan.problem.scenarios) > 1:
        if names := regretted(plan):
            largest = format_money(float(plan.regret.regret[0].max()))
            yield (
                f"Scenarios: the largest regret is {largest}, in "
                f"{listed([repr(name) for name in names])}; to know the scenario in advance would "
                f"be worth {format_money(plan.regret.value_of_perfect_information)}."
            )
        else:
            yield "Scenarios: the first purchases are the same whichever scenario occurs."


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
