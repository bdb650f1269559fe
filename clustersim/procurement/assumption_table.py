"""Table of the assumptions behind a plan: prices, power and time, each with its origin."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from clustersim.catalogue import PlanningAssumptions
from clustersim.procurement.load import PlanQuestion
from clustersim.procurement.problem import Problem
from clustersim.units import SECONDS_PER_YEAR

__all__ = ["assumption_table"]

Row = tuple[str, str, str]
"""An assumption, its value with a unit, and its origin."""
PLAN_FILE, PLANNING, OWN = "plan file", "planning assumptions", "user's catalogue file"


def assumption_table(question: PlanQuestion, problem: Problem) -> pd.DataFrame:
    """Return a plan's assumptions about prices, power and time, each with its origin.

    Returns
    -------
    DataFrame
        One row per assumption: ``assumption``, ``value`` (text with a unit) and ``origin`` (plan
        file, planning assumptions, user's catalogue file, or default).
    """
    rows = [
        *_of_plan(question, problem),
        *_of_money(question, problem),
        *_of_electricity(question),
    ]
    for index, name in enumerate(question.spec.chips):
        rows += _of_chip(question, problem, index, name)
    return pd.DataFrame(rows, columns=["assumption", "value", "origin"])


def _of_plan(question: PlanQuestion, problem: Problem) -> Iterator[Row]:
    """Yield the shares of their time for which chips do useful work."""
    spec = question.spec
    stated = spec.model_fields_set
    yield (
        "planning utilisation",
        f"{problem.utilisation:.3f}",
        PLAN_FILE if "planning_utilisation" in stated else "default",
    )
    yield (
        "effective training time ratio",
        f"{spec.ettr:g}",
        PLAN_FILE if "ettr" in stated else "default (no failures)",
    )


def _of_money(question: PlanQuestion, problem: Problem) -> Iterator[Row]:
    """Yield how purchases are charged."""
    assumptions = question.catalogue.assumptions
    years = (question.spec.depreciation or 0.0) / SECONDS_PER_YEAR
    yield (
        "depreciation",
        f"{years:.3g} years" if years else "whole price at the purchase",
        _origin(question, "depreciation", "life"),
    )
    if years:
        residual, interest = assumptions.residual_share, assumptions.interest_per_year
        yield ("residual value", f"{100 * residual:.3g} %", _source(assumptions, "residual_share"))
        yield (
            "interest",
            f"{100 * interest:.3g} % a year",
            _source(assumptions, "interest_per_year"),
        )
    yield (
        "network and buildings",
        f"{100 * problem.site_share:.3g} % of the servers",
        _source(assumptions, "site_share"),
    )


def _of_electricity(question: PlanQuestion) -> Iterator[Row]:
    """Yield the price of electricity and what is spent on cooling."""
    spec = question.spec
    if spec.electricity is None:
        yield "electricity", "not counted", "no `electricity` in the plan file"
        return
    price = spec.in_cny(spec.electricity.price_per_kwh)
    origin = _origin(question, "electricity.price_per_kwh", "electricity_per_kwh")
    yield "electricity", f"{price:g} CNY/kWh", origin
    yield "PUE", f"{spec.electricity.pue:g}", _origin(question, "electricity.pue", "pue")


def _of_chip(question: PlanQuestion, problem: Problem, index: int, name: str) -> Iterator[Row]:
    """Yield the price and the power of a node with the chip of a name, the `index`-th of a plan."""
    chip, assumptions = question.spec.chips[name], question.catalogue.assumptions
    known = question.catalogue.accelerator(chip.accelerator)
    own = chip.price_per_node is not None or chip.price_per_chip is not None
    origin = PLAN_FILE if own else OWN if known.price_file else PLANNING
    if chip.price_per_node is None and not known.price_with_host:
        server = _origin(question, "host_price", "host_price")
        origin += f", server: {server}" if server != origin else ""
    yield f"{name}: node with its server", f"{problem.price[index]:,.0f} CNY", origin
    power = PLAN_FILE if chip.power is not None else _source(assumptions, "host_factor")
    yield f"{name}: largest power of a node", f"{problem.power[index]:,.0f} W", power
    if problem.drawn is not None and question.spec.electricity is not None:
        given = chip.average_power is not None
        power = PLAN_FILE if given else _source(assumptions, "load_factor")
        yield (
            f"{name}: average power of a working node",
            f"{problem.drawn[index]:,.0f} W",
            power,
        )


def _source(assumptions: PlanningAssumptions, key: str) -> str:
    return OWN if key in assumptions.own else PLANNING


def _origin(question: PlanQuestion, field: str, key: str) -> str:
    if field in question.assumed:
        return _source(question.catalogue.assumptions, key)
    return PLAN_FILE
