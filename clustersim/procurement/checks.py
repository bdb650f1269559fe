"""Checks of a plan that go beyond the format of single fields."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from clustersim.analysis.metrics import METRICS
from clustersim.array_types import Floats
from clustersim.catalogue import Catalogue
from clustersim.errors import problems_of, unknown_name
from clustersim.procurement.spec import MOST_TOKENS, Growth, PlanSpec

__all__ = ["check_plan", "supply_stops"]


def check_plan(spec: PlanSpec, catalogue: Catalogue) -> list[str]:
    """Return one message per problem that involves several fields of a plan, or the catalogue."""
    problems = [
        *_check_quarter(spec),
        *_check_chip(spec, catalogue),
        *_check_demand(spec, catalogue),
        *_check_scenario(spec),
        *_check_verification(spec),
    ]
    return problems or list(_check_spare_part(spec))


def _check_quarter(spec: PlanSpec) -> Iterator[str]:
    for field, values in spec.lists_by_quarter().items():
        if len(values) != spec.quarters:
            yield (
                f"{field}: needs one value for each of the {spec.quarters} quarters, found "
                f"{len(values)}"
            )
    if spec.decide_first > spec.quarters:
        yield (
            f"decide_first: must be at most the number of quarters ({spec.quarters}), found "
            f"{spec.decide_first}"
        )


def _check_chip(spec: PlanSpec, catalogue: Catalogue) -> Iterator[str]:
    first_of: dict[str, str] = {}
    for name, chip in spec.chips.items():
        where = f"chips.{name}"
        problems = problems_of(f"{where}.accelerator", catalogue.accelerator, chip.accelerator)
        yield from problems
        if chip.price_per_node is not None and chip.price_per_chip is not None:
            yield f"{where}: has both price_per_node and price_per_chip; remove one of them"
        if problems:
            continue
        known = catalogue.accelerator(chip.accelerator)
        if chip.price_per_node is None and chip.price_per_chip is None and known.price is None:
            yield (
                f"{where}: needs price_per_node or price_per_chip; the catalogue has no price for "
                f"{known.name}"
            )
        if known.name in first_of:
            yield f"{where}.accelerator: {known.name} is already used by {first_of[known.name]}"
        first_of.setdefault(known.name, name)


def _check_demand(spec: PlanSpec, catalogue: Catalogue) -> Iterator[str]:
    for name, demand in spec.demand.items():
        where = f"demand.{name}"
        yield from problems_of(f"{where}.model", catalogue.model, demand.model)
        values = (demand.value_per_million_tokens, demand.value_per_exaflop)
        if all(value is not None for value in values):
            yield (
                f"{where}: has both value_per_million_tokens and value_per_exaflop; remove one of "
                "them"
            )
        if demand.must_meet < 1 and not any(value is not None for value in values):
            yield (
                f"{where}: needs value_per_million_tokens, the cost of unmet demand, because "
                f"must_meet is {demand.must_meet:g}; with must_meet: 1, no cost is needed"
            )
        for chip in demand.chips or ():
            if chip not in spec.chips:
                yield f"{where}.chips: {unknown_name('chip', chip, spec.chips)}"
        if isinstance(demand.tokens, Growth) and max(spec.tokens_of(demand)) > MOST_TOKENS:
            yield (
                f"{where}.tokens: grow to {max(spec.tokens_of(demand)):.3g} per quarter; at most "
                f"{MOST_TOKENS:g} are allowed"
            )
        if not isinstance(demand.job_tokens, float | int) and not demand.job_tokens.mean() > 0:
            yield f"{where}.job_tokens: the mean must be more than 0"


def _check_scenario(spec: PlanSpec) -> Iterator[str]:
    total = math.fsum(scenario.probability for scenario in spec.scenarios.values())
    if not math.isclose(total, 1.0, rel_tol=1e-9):
        yield f"scenarios: the sum of all probabilities must be 1, found {total:.12g}"
    for name, scenario in spec.scenarios.items():
        for chip, supply in scenario.available.items():
            where = f"scenarios.{name}.available.{chip}"
            if chip not in spec.chips:
                yield f"scenarios.{name}.available: {unknown_name('chip', chip, spec.chips)}"
            elif supply.factor is not None and spec.chips[chip].available is None:
                yield f"{where}: `factor` needs chips.{chip}.available, which it multiplies"


def _check_verification(spec: PlanSpec) -> Iterator[str]:
    if spec.verify is None:
        return
    for name in spec.verify.scenarios or ():
        if name not in spec.scenarios:
            yield f"verify.scenarios: {unknown_name('scenario', name, spec.scenarios)}"
    metric = spec.verify.objective.metric
    measured = METRICS.built_in.values()
    allowed = [each.name for each in measured if each.service and not each.on_request]
    if metric not in allowed:
        yield (
            f"verify.objective.metric: {metric} does not measure the service that the jobs of a "
            f"quarter receive; allowed: {', '.join(allowed)}"
        )


def _check_spare_part(spec: PlanSpec) -> Iterator[str]:
    for name, scenario in spec.scenarios.items():
        stops = dict(zip(spec.chips, supply_stops(spec.available_in(scenario)), strict=True))
        for chip, supply in scenario.available.items():
            if not supply.spare_parts and stops[chip] is None:
                yield (
                    f"scenarios.{name}.available.{chip}.spare_parts: false is allowed only if "
                    "nodes can be bought at first and none can be bought after some quarter"
                )


def supply_stops(available: Floats) -> list[int | None]:
    """Return, for each chip, the quarter (counted from 0) from which no more nodes can be bought.

    The value is None if nodes can be bought in the last quarter, or in no quarter at all.

    Parameters
    ----------
    available : float64 array (quarters, chips)
        Nodes that can be bought.

    Examples
    --------
    >>> supply_stops(np.array([[5.0, 0.0, 5.0], [0.0, 0.0, 0.0], [0.0, 0.0, 5.0]]))
    [1, None, None]
    """
    stops: list[int | None] = []
    for nodes in available.T:
        last = int(np.flatnonzero(nodes).max(initial=-1))
        stops.append(last + 1 if 0 <= last < len(nodes) - 1 else None)
    return stops
