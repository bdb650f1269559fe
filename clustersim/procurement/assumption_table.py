"""Table of the assumptions behind a plan: prices, power and time, each with its origin."""

from __future__ import annotations

import pandas as pd

from clustersim.catalogue import PlanningAssumptions
from clustersim.procurement.load import PlanQuestion
from clustersim.procurement.problem import Problem
from clustersim.units import SECONDS_PER_YEAR

__all__ = ["assumption_table"]

PLAN_FILE, PLANNING, OWN = "plan file", "planning assumptions", "user's catalogue file"


def assumption_table(question: PlanQuestion, problem: Problem) -> pd.DataFrame:
    """Return a plan's assumptions about prices, power and time, each with its origin.

    Returns
    -------
    DataFrame
        One row per assumption: ``assumption``, ``value`` (text with a unit) and ``origin`` (plan
        file, planning assumptions, user's catalogue file, or default).
    """
    spec, catalogue = question.spec, question.catalogue
    assumptions = catalogue.assumptions
    years = (spec.depreciation or 0.0) / SECONDS_PER_YEAR
    rows: list[tuple[str, str, str]] = [
        (
            "planning utilisation",
            f"{problem.utilisation:.3f}",
            PLAN_FILE if "planning_utilisation" in spec.model_fields_set else "default",
        ),
        (
            "effective training time ratio",
            f"{spec.ettr:g}",
            PLAN_FILE if "ettr" in spec.model_fields_set else "default (no failures)",
        ),
        (
            "depreciation",
            f"{years:.3g} years" if years else "whole price at the purchase",
            _origin(question, "depreciation", "life"),
        ),
    ]
    if years:
        for key, name in (("residual_share", "residual value"), ("interest_per_year", "interest")):
            value = (
                f"{100 * getattr(assumptions, key):.3g} %{' a year' * (key == 'interest_per_year')}"
            )
            rows.append((name, value, _source(assumptions, key)))
    rows.append(
        (
            "network and buildings",
            f"{100 * problem.site_share:.3g} % of the servers",
            _source(assumptions, "site_share"),
        )
    )
    if spec.electricity is None:
        rows.append(("electricity", "not counted", "no `electricity` in the plan file"))
    else:
        price = spec.in_cny(spec.electricity.price_per_kwh)
        origin = _origin(question, "electricity.price_per_kwh", "electricity_per_kwh")
        rows.append(("electricity", f"{price:g} CNY/kWh", origin))
        rows.append(
            ("PUE", f"{spec.electricity.pue:g}", _origin(question, "electricity.pue", "pue"))
        )
    for index, (name, chip) in enumerate(spec.chips.items()):
        known = catalogue.accelerator(chip.accelerator)
        own = chip.price_per_node is not None or chip.price_per_chip is not None
        origin = PLAN_FILE if own else OWN if known.price_file else PLANNING
        if chip.price_per_node is None and not known.price_with_host:
            server = _origin(question, "host_price", "host_price")
            origin += f", server: {server}" if server != origin else ""
        rows.append((f"{name}: node with its server", f"{problem.price[index]:,.0f} CNY", origin))
        power = PLAN_FILE if chip.power is not None else _source(assumptions, "host_factor")
        rows.append((f"{name}: largest power of a node", f"{problem.power[index]:,.0f} W", power))
        if problem.drawn is not None and spec.electricity is not None:
            power = (
                PLAN_FILE if chip.average_power is not None else _source(assumptions, "load_factor")
            )
            rows.append(
                (
                    f"{name}: average power of a working node",
                    f"{problem.drawn[index]:,.0f} W",
                    power,
                )
            )
    return pd.DataFrame(rows, columns=["assumption", "value", "origin"])


def _source(assumptions: PlanningAssumptions, key: str) -> str:
    return OWN if key in assumptions.own else PLANNING


def _origin(question: PlanQuestion, field: str, key: str) -> str:
    if field in question.assumed:
        return _source(question.catalogue.assumptions, key)
    return PLAN_FILE
