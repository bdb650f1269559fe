"""The binding limits of a plan in sentences, with what an additional unit saves."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

from clustersim.procurement.purchases_text import listed
from clustersim.procurement.shadow_prices import ALL, UNITS
from clustersim.procurement.solve import Schedule
from clustersim.units import counted, format_money

__all__ = ["LIMIT_NAMES", "binding_sentence", "limits_text", "worth_of_limits"]

LIMIT_NAMES = {"available": "supply", "rack_units": "space", "power": "power", "budget": "budget"}
_MOST_LIMITS = 2
_MOST_PLACES = 2
"""Number of quarters (and, for supply, scenarios) to name for one limit."""
SHARE = 0.01
"""Limits in different units are compared by what this share more of each would save."""
_STEPS = {"budget": ("1 million CNY", 1e6)}
"""Amount whose saving is stated, by constraint, and its size in units; by default one unit."""


def limits_text(prices: pd.DataFrame) -> str:
    """Return the binding limits with the largest saving per additional unit; "" without any.

    Parameters
    ----------
    prices : DataFrame
        From :func:`~clustersim.procurement.shadow_prices.shadow_prices`.

    Returns
    -------
    str
        Limits in which quarters and scenarios bind, and the decrease of the expected cost in yuan
        per additional unit.

    Examples
    --------
    >>> import pandas as pd
    >>> columns = ["constraint", "of", "scenario", "quarter", "unit", "saves_cny"]
    >>> rows = [("power", "", "all", 1, "MW", 5e6), ("available", "h200", "late", 2, "node", 3e5)]
    >>> limits_text(pd.DataFrame(rows, columns=columns))  # doctest: +NORMALIZE_WHITESPACE
    "Limits, with the saving in expected cost per additional unit: power is binding in Q1 in every
    scenario (5 million CNY per MW); supply of h200 is binding in Q2
    in 'late' (300,000 CNY per node)."
    """
    worth = prices[(prices["saves_cny"] > 0) & (prices["constraint"] != "demand")]
    names = prices.loc[prices["scenario"] != ALL, "scenario"].nunique()
    found = []
    for (constraint, of), group in worth.groupby(["constraint", "of"], sort=False):
        places = _places(group, names)
        chosen = sorted(places, key=lambda place: -place[0])[:_MOST_PLACES]
        name = LIMIT_NAMES.get(str(constraint), str(constraint)) + (f" of {of}" if of else "")
        unit = group["unit"].iloc[0]
        where = [
            f"{when} ({format_money(saves)}{f' per {unit}' if number == 0 else ''})"
            for number, (saves, when) in enumerate(place for place in places if place in chosen)
        ]
        left = len(places) - len(where)
        less = f" (less in {counted(left, 'other case')})" if left else ""
        found.append((max(saves for saves, _ in places), name, f"{listed(where)}{less}"))
    if not found:
        return ""
    largest = sorted(found, key=lambda each: -each[0])
    texts = [
        " ".join(f"{name} is binding {where}".split()) for _, name, where in largest[:_MOST_LIMITS]
    ]
    if others := [name for _, name, _ in largest[_MOST_LIMITS:]]:
        verb = "is" if len(others) == 1 else "are"
        texts.append(f"{listed(others)} {verb} binding too, see the table of shadow prices")
    return f"Limits, with the saving in expected cost per additional unit: {'; '.join(texts)}."


def _places(group: pd.DataFrame, names: int) -> list[tuple[float, str]]:
    """Return the saving per unit and the quarter and scenarios in which one limit binds."""
    places = []
    for quarter, own in group.groupby("quarter", sort=False, dropna=False):
        whole, single = own[own["scenario"] == ALL], own[own["scenario"] != ALL]
        when = "" if pd.isna(quarter) else f"in Q{int(own['quarter'].iloc[0])} "
        if whole.empty:
            places += [
                (float(row["saves_cny"]), f"{when}in {row['scenario']!r}")
                for row in single.to_dict("records")
            ]
            continue
        scenarios = [repr(str(name)) for name in single["scenario"]]
        where = "in every scenario" if names else ""
        if len(scenarios) not in (0, names):
            where = f"in {listed(scenarios)}"
        places.append((float(whole["saves_cny"].sum()), f"{when}{where}".strip()))
    return places


def worth_of_limits(prices: pd.DataFrame, schedule: Schedule) -> pd.DataFrame:
    """Return what more of each limit would save, the most valuable limit first.

    Parameters
    ----------
    prices : DataFrame
        From :func:`~clustersim.procurement.shadow_prices.shadow_prices`, for the same problem.
    schedule : Schedule

    Returns
    -------
    DataFrame
        One row per limit: ``constraint, of, unit, saves_cny`` (for one unit more in every quarter
        and scenario) and ``share_saves_cny`` (for 1 % more; 0 for a supply of 0).
    """
    table = prices[prices["constraint"] != "demand"]
    # Supply has either a price for all scenarios or one for each; other limits have both.
    counted = table[(table["scenario"] == ALL) | (table["constraint"] == "available")]
    amounts = [_amount(schedule, row) for row in counted.to_dict("records")]
    counted = counted.assign(share_saves_cny=SHARE * counted["saves_cny"] * amounts)
    keys = ["constraint", "of", "unit"]
    worth = counted.groupby(keys, sort=False)[["saves_cny", "share_saves_cny"]].sum().reset_index()
    return worth.sort_values(
        ["share_saves_cny", "saves_cny"], ascending=False, kind="stable", ignore_index=True
    )


def _amount(schedule: Schedule, row: dict[Any, Any]) -> float:
    """Return the size of the limit to which a shadow price belongs, in the unit of the price."""
    problem, kind = schedule.problem, row["constraint"]
    quarter = None if pd.isna(row["quarter"]) else int(row["quarter"]) - 1
    if quarter is None:
        return problem.budget / UNITS[kind][1]
    if kind == "available":
        supply = problem.available[:, quarter, problem.chips.index(row["of"])]
        if row["scenario"] == ALL:
            return float(supply.min())
        return float(supply[problem.scenarios.index(row["scenario"])])
    limits = {
        "budget": problem.quarter_budget,
        "power": problem.power_limit,
        "rack_units": problem.rack_limit,
    }
    return float(limits[kind][quarter]) / UNITS[kind][1]


def binding_sentence(prices: pd.DataFrame, schedule: Schedule) -> str:
    """Return which limit binds, what a unit of it is worth, and whether money limits the plan.

    Parameters
    ----------
    prices, schedule
        As for :func:`worth_of_limits`.
    """
    worth = worth_of_limits(prices, schedule)
    binding = worth[worth["saves_cny"] > 0]
    if binding.empty:
        if worth.empty:
            return "No limit binds this plan: it has no limits."
        first = "No limit binds this plan: more supply, power, space or money would save nothing"
        return f"{first}{_money_left(schedule)}."
    row = binding.iloc[0].to_dict()
    where, each = _where(prices, row)
    text = f"The {_name(row)} limits this plan most{where}: {_saving(row, each)} in expected cost"
    money = binding[binding["constraint"] == "budget"]
    if row["constraint"] == "budget":
        others = binding[binding["constraint"] != "budget"]
        if len(others):
            text += f"; the {_name(others.iloc[0].to_dict())} comes next"
    elif len(money):
        text += f"; money limits it too: {_saving(money.iloc[0].to_dict())}"
    else:
        text += _money_left(schedule, "; money does not limit it")
    return f"{text}."


def _name(row: dict[Any, Any]) -> str:
    name = LIMIT_NAMES.get(row["constraint"], str(row["constraint"]))
    return name + (f" of {row['of']}" if row["of"] else "")


def _where(prices: pd.DataFrame, row: dict[Any, Any]) -> tuple[str, str]:
    """Return where a limit is worth most, and "in each quarter" if it binds in several places."""
    own = prices[(prices["constraint"] == row["constraint"]) & (prices["of"] == row["of"])]
    if own["quarter"].isna().all() or len(own) == 1:
        return "", ""
    if row["constraint"] != "available":
        own = own[own["scenario"] == ALL]
    found = own.iloc[int(own["saves_cny"].to_numpy().argmax())].to_dict()
    quarter = "" if pd.isna(found["quarter"]) else f" in Q{int(found['quarter'])}"
    scenario = "" if found["scenario"] == ALL else f" if {found['scenario']!r} occurs"
    several = int((own["saves_cny"] > 0).sum()) > 1
    if several:
        return f", above all{quarter}{scenario}", " in each quarter"
    return f"{quarter}{scenario}".replace(" in", ", in", 1), ""


def _saving(row: dict[Any, Any], each: str = "") -> str:
    amount, size = _STEPS.get(row["constraint"], (f"1 {row['unit']}", 1.0))
    return f"{amount} more{each} would save {format_money(size * row['saves_cny'])}"


def _money_left(schedule: Schedule, start: str = "") -> str:
    """Return how much of the whole budget is left in the most expensive scenario."""
    problem = schedule.problem
    quarters = float(problem.quarter_budget.sum())
    budget = min(problem.budget, quarters)
    if math.isinf(budget):
        return f"{start} (the plan has no budget)" if start else ""
    left = float(np.min(budget - schedule.spending.sum(axis=1)))
    return f"{start} ({format_money(left)} are left)"
