"""Table of the inputs that decide a plan: money, power, supply, demand and probabilities."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pandas as pd

from clustersim.analysis.columns.plan_columns import scale_text
from clustersim.analysis.metrics import metric_of
from clustersim.procurement.fleet import chips_per_node
from clustersim.procurement.load import PlanQuestion
from clustersim.procurement.problem import Problem
from clustersim.procurement.purchases_text import if_scenarios, listed
from clustersim.procurement.spec import DemandClass
from clustersim.units import (
    format_duration,
    format_money,
    format_number,
    format_percent,
    scale_of,
)

__all__ = ["input_table", "quarters_text"]

Row = tuple[str, str, str, str]
"""An input, the chip, class or scenario to which it applies, its value as text, and its source."""
_ANY = "any number"


def input_table(question: PlanQuestion, problem: Problem) -> pd.DataFrame:
    """Return the numbers of a plan file that decide what the plan buys, each with its source.

    Prices and powers of nodes are in
    :func:`~clustersim.procurement.assumption_table.assumption_table`.

    Returns
    -------
    DataFrame
        One row per input: ``input``, ``of`` (chip, job class or scenario; empty for all), ``value``
        (text with its unit, by quarter) and ``source`` (as in the plan file; may be empty).  An
        input that is the same for several chips or classes is one row.
    """
    rows = [
        *_limits(question, problem),
        *_scenarios(question),
        *_supply(question, problem),
        *_merged(_chips(question)),
        *_demand(question, problem),
        *_merged(_classes(question)),
        *_simulation(question),
    ]
    return pd.DataFrame(rows, columns=["input", "of", "value", "source"])


def quarters_text(values: Sequence[float], unit: str = "", most: str = _ANY) -> str:
    """Return one number per quarter as text; equal numbers of successive quarters are joined.

    Parameters
    ----------
    values : sequence of float
        One per quarter; an infinite number is no limit.
    unit : str
        Name of the unit, after the first number.
    most : str
        Text for an infinite number.

    Examples
    --------
    >>> quarters_text([400, 560, 560], "MW")
    '400 MW in Q1, 560 in Q2 and Q3'
    >>> quarters_text([25000, 25000, 25000, 25000])
    '25,000 in each quarter'
    """
    numbers = [
        most if math.isinf(value) else format_number(value, max(4, len(f"{abs(value):.0f}")))
        for value in values
    ]
    groups: list[tuple[str, list[str]]] = []
    for quarter, number in enumerate(numbers, 1):
        if not groups or groups[-1][0] != number:
            groups.append((number, []))
        groups[-1][1].append(f"Q{quarter}")
    named = next((place for place, (number, _) in enumerate(groups) if number != most), -1)
    texts = [
        f"{number} {unit}" if unit and place == named else number
        for place, (number, _) in enumerate(groups)
    ]
    if len(groups) == 1:
        return f"{texts[0]} in each quarter" if len(values) > 1 else texts[0]
    return ", ".join(
        f"{text} in {_span(quarters)}" for text, (_, quarters) in zip(texts, groups, strict=True)
    )


def _span(quarters: Sequence[str]) -> str:
    return f"{quarters[0]} to {quarters[-1]}" if len(quarters) > 2 else listed(quarters)


def _merged(rows: Iterable[Row]) -> Iterator[Row]:
    """Yield the rows; an input with the same value and source for several chips is one row."""
    found: dict[tuple[str, str, str], list[str]] = {}
    for name, of, value, source in rows:
        found.setdefault((name, value, source), []).append(of)
    for (name, value, source), names in found.items():
        yield name, ", ".join(names), value, source


def _limits(question: PlanQuestion, problem: Problem) -> Iterator[Row]:
    spec, sources = question.spec, question.spec.sources
    budget, own = "budget for purchases, without network and buildings", problem.quarter_budget
    if math.isfinite(problem.budget) or not np.isfinite(own).any():
        total = "no limit" if math.isinf(problem.budget) else format_money(problem.budget)
        yield budget, "", total, sources.get("budget", "")
    if np.isfinite(own).any():
        scale, unit = scale_of("money", own)
        text = quarters_text([*(own / scale)], unit, "no limit")
        yield f"{budget}, by quarter", "", text, sources.get("budget", "")
    power = quarters_text([*(problem.power_limit / 1e6)], "MW", "no limit")
    yield "limit of the power of all nodes, without cooling", "", power, spec.limits.source
    if np.isfinite(problem.rack_limit).any():
        text = quarters_text([*problem.rack_limit], "rack units", "no limit")
        yield "limit of the space of all nodes", "", text, spec.limits.source


def _scenarios(question: PlanQuestion) -> Iterator[Row]:
    scenarios = question.spec.scenarios
    if len(scenarios) > 1:
        for name, each in scenarios.items():
            source = question.spec.sources.get("probabilities", "")
            share = f"{format_number(100 * each.probability)} %"
            yield "probability", name, share, source


def _supply(question: PlanQuestion, problem: Problem) -> Iterator[Row]:
    """Yield the nodes that can be bought; scenarios with the same supply of a chip are one row."""
    scenarios = question.spec.scenarios
    for place, (name, chip) in enumerate(question.spec.chips.items()):
        found: dict[tuple[str, str], list[str]] = {}
        for own, (scenario, each) in zip(
            problem.available[:, :, place], scenarios.items(), strict=True
        ):
            source = each.source if name in each.available else chip.source
            found.setdefault((quarters_text([*own]), source), []).append(scenario)
        for (text, source), names in found.items():
            when = f", {if_scenarios(names)}" if len(found) > 1 else ""
            yield f"supply, nodes{when}", name, text, source


def _chips(question: PlanQuestion) -> Iterator[Row]:
    spec, per_node = question.spec, chips_per_node(question)
    for name, chip in spec.chips.items():
        if chip.existing:
            yield "nodes in place at the start", name, f"{chip.existing:,}", chip.source
    for name in spec.chips:
        yield "chips per node", name, f"{per_node[name]}", ""
    for name, chip in spec.chips.items():
        cost = format_money(spec.in_cny(chip.operating_cost))
        source = spec.sources.get("operating_cost", "")
        yield "operating cost of a node and year", name, cost, source


def _demand(question: PlanQuestion, problem: Problem) -> Iterator[Row]:
    for tokens, (name, each) in zip(problem.demand, question.spec.demand.items(), strict=True):
        text = quarters_text([*(tokens / 1e12)], "trillion tokens")
        source = "; ".join(filter(None, [question.spec.sources.get("demand", ""), each.source]))
        yield "demand", name, text, source


def _classes(question: PlanQuestion) -> Iterator[Row]:
    classes = question.spec.demand
    for name, each in classes.items():
        yield "share of the demand that must be met", name, format_percent(each.must_meet, 0), ""
    for name, each in classes.items():
        source = question.spec.sources.get("penalty", each.source)
        yield "penalty for unmet demand", name, _penalty(question, each), source
    for name, each in classes.items():
        yield "chips per job", name, f"{each.accelerators:,}", ""


def _penalty(question: PlanQuestion, demand: DemandClass) -> str:
    for money, unit in (
        (demand.value_per_million_tokens, "million tokens"),
        (demand.value_per_exaflop, "1e18 model FLOPs"),
    ):
        if money is not None:
            return f"{format_money(question.spec.in_cny(money))} per {unit}"
    return "none"


def _simulation(question: PlanQuestion) -> Iterator[Row]:
    spec = question.spec.verify
    if spec is None:
        return
    metric, limit = metric_of(spec.objective.metric), spec.objective.limit
    text = format_number(limit)
    if metric.dimension == "duration":
        text = format_duration(limit, whole=True)
    yield "objective of the service", "", f"{metric.label} at most {text}", ""
    yield "scale of the simulation, of fleet and demand", "", scale_text(spec.scale), ""
