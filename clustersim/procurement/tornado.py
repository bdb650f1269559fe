"""Tornado: how cost and purchases of a plan change with each assumption, one at a time."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator

import numpy as np
import pandas as pd

from clustersim.procurement.problem import Problem
from clustersim.procurement.purchases_text import listed
from clustersim.procurement.solve import Effort, Schedule, solve
from clustersim.units import format_money, format_percent

__all__ = ["changed_problems", "tornado", "tornado_text"]


def changed_problems(problem: Problem, share: float) -> Iterator[tuple[str, float, Problem]]:
    """Yield the name of each assumption, its factor (1 - share, 1 + share), and the problem then.

    The assumptions are the power limit, the budget, the demand, the price of each chip, and the
    probability of each scenario.  The other probabilities keep their proportions.  Limits that the
    plan does not have, and probabilities that would exceed 1, are left out.
    """
    for factor in (1.0 - share, 1.0 + share):
        if np.isfinite(problem.power_limit).any():
            power = problem.power_limit * factor
            yield "power", factor, dataclasses.replace(problem, power_limit=power)
        if math.isfinite(problem.budget) or np.isfinite(problem.quarter_budget).any():
            yield (
                "budget",
                factor,
                dataclasses.replace(
                    problem,
                    budget=problem.budget * factor,
                    quarter_budget=problem.quarter_budget * factor,
                ),
            )
        yield "demand", factor, dataclasses.replace(problem, demand=problem.demand * factor)
        for chip, name in enumerate(problem.chips):
            price = problem.price.copy()
            price[chip] *= factor
            yield f"price of {name}", factor, dataclasses.replace(problem, price=price)
        for scenario, name in enumerate(problem.scenarios):
            own = float(problem.probability[scenario])
            if own * factor >= 1.0 or own == 1.0:
                continue
            probability = problem.probability * (1.0 - own * factor) / (1.0 - own)
            probability[scenario] = own * factor
            changed = dataclasses.replace(problem, probability=probability)
            yield f"probability of {name}", factor, changed


def tornado(
    problem: Problem, schedule: Schedule, share: float = 0.2, effort: Effort | None = None
) -> pd.DataFrame:
    """Return how the expected cost and the first purchases depend on each assumption.

    Parameters
    ----------
    problem : Problem
    schedule : Schedule
        The best plan of the problem.
    share : float
        Relative change of each assumption, between 0 and 1.
    effort : Effort, optional

    Returns
    -------
    DataFrame
        One row per assumption and direction, the assumption with the largest change of the cost
        first: ``assumption, factor, cost_change_cny`` (of the optimum; infinite without a plan),
        ``moved_cny`` (sum over quarters and chips of the absolute change of the first purchases, at
        the prices of the problem; NaN without a plan) and ``regret_cny`` (cost of keeping the first
        purchases of `schedule` above the optimum; infinite if they become impossible, NaN without a
        plan).
    """
    first = schedule.lots[0, : problem.first]
    money = problem.lot * problem.price
    rows = []
    for name, factor, changed in changed_problems(problem, share):
        best = solve(changed, effort=effort)
        if best is None:
            rows.append((name, factor, math.inf, math.nan, math.nan))
            continue
        kept = solve(changed, fixed=first, effort=effort)
        cost = best.expected_cost
        moved = float((np.abs(best.lots[0, : problem.first] - first) * money).sum())
        regret = math.inf if kept is None else max(0.0, kept.expected_cost - cost)
        rows.append((name, factor, cost - schedule.expected_cost, moved, regret))
    columns = ["assumption", "factor", "cost_change_cny", "moved_cny", "regret_cny"]
    table = pd.DataFrame(rows, columns=columns)
    size = table["cost_change_cny"].abs().groupby(table["assumption"]).transform("max")
    order = table.assign(size=size).sort_values(
        ["size", "assumption", "factor"], ascending=[False, True, True], kind="stable"
    )
    return order.drop(columns="size").reset_index(drop=True)


def tornado_text(table: pd.DataFrame, share: float) -> str:
    """Return in sentences which assumptions change the first purchases, and which do not.

    Parameters
    ----------
    table : DataFrame
        From :func:`tornado`.
    share : float
        The relative change.

    Examples
    --------
    >>> import pandas as pd
    >>> columns = ["assumption", "factor", "cost_change_cny", "moved_cny", "regret_cny"]
    >>> rows = [("price of a", 1.2, 5.0, 50.0, 5.0), ("demand", 1.2, 1.0, 0.0, 0.0)]
    >>> print(tornado_text(pd.DataFrame(rows, columns=columns), 0.2))  # doctest: +ELLIPSIS
    With each assumption ... changed by price of a (50 CNY moved). They are not changed by demand...
    """
    names = list(dict.fromkeys(table["assumption"]))
    start = f"With each assumption {format_percent(share, 0)} lower or higher, the first purchases"
    groups = table.groupby("assumption", sort=False)
    moved, without = groups["moved_cny"].max(), groups["moved_cny"].apply(lambda m: m.isna().any())
    changed = sorted((n for n in names if moved[n] > 0), key=lambda n: -float(moved[n]))
    none = [n for n in names if without[n]]
    same = [n for n in names if n not in changed and n not in none]
    parts = [f"{start} are changed by none."]
    if changed:
        with_money = [f"{n} ({format_money(float(moved[n]))} moved)" for n in changed]
        parts = [f"{start} are changed by {listed(with_money)}."]
        if same:
            parts.append(f"They are not changed by {listed(same)}.")
        regret = table["regret_cny"].max()
        worst = table.loc[table["regret_cny"] == regret, "assumption"].iloc[0]
        cost = f"costs at most {format_money(float(regret))} more than the best ones"
        if math.isinf(regret):
            cost = "is impossible or leaves required demand unmet in some scenario"
        parts.append(f"To keep the purchases of this plan {cost} ({worst} changed).")
    if none:
        parts.append(f"No plan satisfies the limits after a change of {listed(none)}.")
    return " ".join(parts)
