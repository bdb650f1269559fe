"""What is wrong with a plan beyond the form of its fields."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

from clustersim.catalogue import Catalogue
from clustersim.errors import InputError, unknown_name
from clustersim.planning.spec import PlanSpec

__all__ = ["plan_faults"]


def plan_faults(spec: PlanSpec, catalogue: Catalogue) -> list[str]:
    """Return the faults of a plan that one field alone does not show."""
    return [
        *_quarter_faults(spec),
        *_chip_faults(spec, catalogue),
        *_demand_faults(spec, catalogue),
        *_scenario_faults(spec),
    ]


def _quarter_faults(spec: PlanSpec) -> Iterator[str]:
    for field, values in spec.lists_by_quarter().items():
        if len(values) != spec.quarters:
            yield f"{field}: needs one for each of the {spec.quarters} quarters, has {len(values)}"
    if spec.decide_first > spec.quarters:
        yield f"decide_first: there are {spec.quarters} quarters, found {spec.decide_first}"


def _chip_faults(spec: PlanSpec, catalogue: Catalogue) -> Iterator[str]:
    first_of: dict[str, str] = {}
    for name, chip in spec.chips.items():
        where = f"chips.{name}"
        problems = _unknown(f"{where}.accelerator", catalogue.accelerator, chip.accelerator)
        yield from problems
        if chip.price_per_node is not None and chip.price_per_chip is not None:
            yield f"{where}: has price_per_node and price_per_chip; one of them is needed"
        if problems:
            continue
        known = catalogue.accelerator(chip.accelerator)
        if chip.price_per_node is None and chip.price_per_chip is None and known.price is None:
            yield (
                f"{where}: needs price_per_node or price_per_chip; the catalogue has no price of "
                f"{known.name}"
            )
        if known.name in first_of:
            yield f"{where}.accelerator: {known.name} is that of {first_of[known.name]} already"
        first_of.setdefault(known.name, name)


def _demand_faults(spec: PlanSpec, catalogue: Catalogue) -> Iterator[str]:
    for name, demand in spec.demand.items():
        where = f"demand.{name}"
        yield from _unknown(f"{where}.model", catalogue.model, demand.model)
        values = (demand.value_per_million_tokens, demand.value_per_exaflop)
        if all(value is not None for value in values):
            yield f"{where}: has value_per_million_tokens and value_per_exaflop; one is needed"
        if demand.must_meet < 1 and not any(value is not None for value in values):
            yield (
                f"{where}: needs must_meet: 1, or value_per_million_tokens for what is not met "
                f"beyond a share of {demand.must_meet:g}"
            )
        for chip in demand.chips or ():
            if chip not in spec.chips:
                yield f"{where}.chips: {unknown_name('chip', chip, spec.chips)}"
        if not isinstance(demand.job_tokens, float | int) and not demand.job_tokens.mean() > 0:
            yield f"{where}.job_tokens: its mean must be more than 0"


def _scenario_faults(spec: PlanSpec) -> Iterator[str]:
    total = math.fsum(scenario.probability for scenario in spec.scenarios.values())
    if not math.isclose(total, 1.0, rel_tol=1e-9):
        yield f"scenarios: their probabilities must be 1 together, found {total:.12g}"
    for name, scenario in spec.scenarios.items():
        for chip, supply in scenario.available.items():
            where = f"scenarios.{name}.available.{chip}"
            if chip not in spec.chips:
                told = unknown_name("chip", chip, spec.chips)
                yield f"scenarios.{name}.available: {told}"
            elif supply.factor is not None and spec.chips[chip].available is None:
                yield f"{where}: a factor needs chips.{chip}.available"
    for name in (spec.verify.scenarios if spec.verify else None) or ():
        if name not in spec.scenarios:
            yield f"verify.scenarios: {unknown_name('scenario', name, spec.scenarios)}"


def _unknown(where: str, look_up: Callable[[str], object], name: str) -> Sequence[str]:
    try:
        look_up(name)
    except InputError as error:
        return [f"{where}: {problem}" for problem in error.problems]
    return []
