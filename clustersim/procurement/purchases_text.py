"""What a plan buys, and which part of the demand it meets, in sentences."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from clustersim.array_types import Ints
from clustersim.procurement.fleet import chips_per_node
from clustersim.units import format_money, format_percent

if TYPE_CHECKING:
    from clustersim.procurement.problem import Problem
    from clustersim.procurement.result import PurchasePlan
    from clustersim.procurement.solve import Schedule

__all__ = [
    "WITHOUT_SITE",
    "WITH_SITE",
    "chip_lines",
    "demand_met",
    "first_price",
    "first_quarters",
    "if_scenarios",
    "listed",
    "purchases_text",
    "same_scenarios",
    "worst_demand",
]

WITH_SITE = "with network and buildings"
WITHOUT_SITE = "without network and buildings"
_MET = 0.9995
"""A share of the demand from which on it counts as met in full (it would be shown as 100 %)."""
LEAST = "the least that must be met"
_SAME = 1e-6
"""Relative difference of costs within the gap of the search."""


def listed(parts: Sequence[str], last: str = "and") -> str:
    """Join parts of a sentence with commas and "and" or another word.

    Examples
    --------
    >>> listed(["a", "b", "c"]), listed(["a", "b"], "or")
    ('a, b and c', 'a or b')
    """
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} {last} {parts[-1]}"


def first_quarters(problem: Problem) -> int:
    """Return the number of quarters whose purchases are the same in every scenario."""
    return problem.first if len(problem.scenarios) > 1 else problem.quarters


def first_price(schedule: Schedule) -> float:
    """Return the price of the purchases before the scenario is known (CNY)."""
    return float(schedule.spending[0, : first_quarters(schedule.problem)].sum())


def purchases_text(plan: PurchasePlan) -> str:
    """Describe what to buy before the scenario is known or, with one scenario, in total."""
    schedule, problem = plan.schedule, plan.problem
    assert schedule is not None, "there is a plan"
    several, first = len(problem.scenarios) > 1, first_quarters(problem)
    if several and first == 0:
        return "Buy nothing before the scenario is known."
    bought = schedule.bought[0, :first].sum(axis=0)
    per_node = chips_per_node(plan.question)
    parts = [
        f"{nodes:,} nodes of {name} ({nodes * per_node[name]:,} chips)"
        for name, nodes in zip(problem.chips, bought, strict=True)
        if nodes
    ]
    when = "in total" if first == problem.quarters else f"in {_quarters(range(first))}"
    if not parts:
        return "Buy nothing." if when == "in total" else f"Buy nothing {when}."
    known = ", before the scenario is known," if several else ""
    offered = problem.available.max(axis=(0, 1)) > 0
    none = [
        name
        for name, nodes, can in zip(problem.chips, bought, offered, strict=True)
        if can and not nodes
    ]
    others = f", and none of {listed(none)}" if none else ""
    price = format_money(first_price(schedule))
    with_site = ""
    if problem.site_share:
        whole = format_money(first_price(schedule) * (1.0 + problem.site_share))
        with_site = f" ({whole} {WITH_SITE})"
    return f"Buy {listed(parts)} {when}{known} for {price}{with_site}{others}."


def _quarters(numbers: Iterable[int]) -> str:
    """Return quarters, counted from 0, such as ``Q1 and Q2``."""
    return listed([f"Q{number + 1}" for number in numbers])


def if_scenarios(names: Iterable[str]) -> str:
    """Return the condition that one of some scenarios occurs.

    Examples
    --------
    >>> if_scenarios(["on time", "late"])
    "if 'on time' or 'late' occurs"
    """
    return f"if {listed([repr(str(name)) for name in names], 'or')} occurs"


def chip_lines(plan: PurchasePlan) -> list[str]:
    """Return how many nodes of each chip to buy in which quarter and scenario, a line per chip."""
    schedule, problem = plan.schedule, plan.problem
    assert schedule is not None, "there is a plan"
    lines: dict[str, list[str]] = {}
    for chip, name in enumerate(problem.chips):
        text = _chip_text(problem, schedule.bought[:, :, chip], problem.available[:, :, chip].max())
        lines.setdefault(text, []).append(name)
    return [f"{listed(names)}: {text}." for text, names in lines.items()]


def _chip_text(problem: Problem, bought: Ints, available: float) -> str:
    """Describe the purchases of one chip by scenario and quarter."""
    first = first_quarters(problem)
    if not bought.any():
        where = " in any scenario" if len(problem.scenarios) > 1 else ""
        return f"none{where}{'' if available > 0 else ', because none can be bought'}"
    now = _amounts(bought[0, :first], 0)
    if first == problem.quarters:
        return now
    found: dict[str, list[str]] = {}
    for scenario, own in zip(problem.scenarios, bought, strict=True):
        found.setdefault(_amounts(own[first:], first), []).append(scenario)
    rest = found.pop("", [])
    if not found:
        return f"{now}, no more later in any scenario"
    later = [f"{amounts} {if_scenarios(names)}" for amounts, names in found.items()]
    if rest:
        later.append(f"{'no more' if now else 'none'} otherwise")
    begin = now or (f"none in {_quarters(range(first))}" if first else "")
    return "; ".join([*([begin] if begin else []), *later])


def _amounts(nodes: Ints, first: int) -> str:
    """Return nodes by quarter, such as ``32 nodes in Q1 and 64 in Q2``; "" without any."""
    bought = [(int(count), place) for place, count in enumerate(nodes, first) if count]
    if len(bought) > 1 and len({count for count, _ in bought}) == 1:
        quarters = _quarters(place for _, place in bought)
        return f"{bought[0][0]:,} nodes in each of {quarters}"
    parts = [
        f"{count:,}{' nodes' if number == 0 else ''} in Q{place + 1}"
        for number, (count, place) in enumerate(bought)
    ]
    return listed(parts) if parts else ""


def same_scenarios(schedule: Schedule) -> list[list[str]]:
    """Return groups of scenarios in which the plan buys the same at the same cost.

    A scenario that differs from all others is a group of its own.
    """
    groups: list[list[int]] = []
    costs = schedule.cost
    for scenario in range(len(schedule.problem.scenarios)):
        for group in groups:
            same = np.array_equal(schedule.bought[group[0]], schedule.bought[scenario])
            if same and np.isclose(costs[group[0]], costs[scenario], rtol=_SAME):
                group.append(scenario)
                break
        else:
            groups.append([scenario])
    return [[str(schedule.problem.scenarios[place]) for place in group] for group in groups]


def worst_demand(schedule: Schedule) -> str:
    """Describe how much of the worst-served class is met in the last quarter; "" if all is."""
    met, problem = _shares_met(schedule), schedule.problem
    if met.min() >= _MET:
        return ""
    worst, job_class = (int(place) for place in np.unravel_index(met.argmin(), met.shape))
    own = met[:, job_class]
    share = format_percent(float(own.min()), 0)
    floor = "" if not _at_floor(problem, job_class, float(own.min())) else LEAST
    if own.max() - own.min() > 1.0 - _MET:
        highest = format_percent(float(own.max()), 0)
        notes = [if_scenarios([problem.scenarios[worst]]), *filter(None, [floor])]
        share = f"{share} ({'; '.join(notes)}) to {highest}"
    elif floor:
        share = f"{share} ({floor})"
    return f"in Q{problem.quarters}, {share} of the demand for {problem.classes[job_class]} is met"


def demand_met(schedule: Schedule) -> str:
    """Describe which share of the demand is met in the last quarter of each scenario."""
    met, problem = _shares_met(schedule), schedule.problem
    found: dict[str, list[str]] = {}
    for scenario, own in zip(problem.scenarios, met, strict=True):
        parts = [
            f"{format_percent(float(share), 0)} of {name}"
            f"{f' ({LEAST})' if _at_floor(problem, place, float(share)) else ''}"
            for place, (name, share) in enumerate(zip(problem.classes, own, strict=True))
            if share < _MET
        ]
        found.setdefault(listed(parts) if parts else "", []).append(str(scenario))
    when = f"in Q{problem.quarters}"
    full = found.pop("", [])
    if not found:
        return f"Demand met {when}: all of it{' in every scenario' * (len(met) > 1)}."
    if len(met) == 1:
        (only,) = found
        return f"Demand met {when}: {only}{_others(problem, only)}."
    said = [f"{parts} {if_scenarios(names)}" for parts, names in found.items()]
    if full:
        said.append(f"all {if_scenarios(full)}")
    unmet = ((met < _MET).any(axis=0)).sum()
    rest = "; all other classes in full" if unmet < len(problem.classes) else ""
    return f"Demand met {when} (share of the tokens): {'; '.join(said)}{rest}."


def _at_floor(problem: Problem, job_class: int, share: float) -> bool:
    """Return whether a share of the demand is the least that the plan must meet."""
    floor = float(problem.must_meet[job_class, -1])
    return 0 < floor < _MET and share < floor + (1.0 - _MET)


def _others(problem: Problem, said: str) -> str:
    return "" if all(name in said for name in problem.classes) else ", and all other classes"


def _shares_met(schedule: Schedule) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Return the share of the demand that is met in the last quarter, by scenario and class."""
    demand = schedule.problem.demand[:, -1]
    unmet = schedule.unmet[:, -1]
    return 1.0 - np.divide(unmet, demand, out=np.zeros_like(unmet), where=demand > 0)
