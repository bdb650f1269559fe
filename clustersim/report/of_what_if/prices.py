"""The prices on which the cost in the answer to a question about a log depends."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pandas as pd

from clustersim.catalogue import Catalogue, PlanningAssumptions
from clustersim.catalogue.assumptions import assumed
from clustersim.catalogue.report import price_source
from clustersim.costs.energy import EnergySpec, assumed_energy
from clustersim.costs.money import MoneySpec, purchase_price_cny
from clustersim.report.page import Table
from clustersim.report.sources import ASSUMPTION_LABELS
from clustersim.scenario.platform import open_platform
from clustersim.scenario.scenario import define_scenario
from clustersim.topology import Pool
from clustersim.units import format_number
from clustersim.whatif.result import WhatIf

__all__ = ["PRICES", "price_table", "prices_of"]

PRICES = "prices.csv"
COLUMNS = ("price", "value", "source")
GIVEN = "given by you"
OWN_PRICES = (
    "Prices of your own: --assume money.pools.POOL.price=…, money.pools.POOL.rent_per_hour=…, "
    "money.life=…, money.interest_per_year=…, energy.price_cny_per_kwh=… (one number, or 24 by "
    "hour) and energy.pue=…, or a file with the sections prices and assumptions (--catalogue "
    "my-prices.yaml; clustersim schema catalogue prints its keys). Add a source to each."
)
_CAPITAL = ("life", "residual_share", "interest_per_year", "site_share")
_POOL_MONEY = ("life", "host_price", "residual_share")

Row = tuple[str, str, str]


def prices_of(found: WhatIf) -> pd.DataFrame:
    """Return the prices that a question used, with their sources.

    Returns
    -------
    pandas.DataFrame
        ``price`` (what it is of), ``value`` and ``source``, and ``system`` if the prices of the
        compared systems differ.  Without rows if no cost is computed.
    """
    rows = {system.name: [*_rows(system.tree)] for system in found.question.compared}
    before, after = rows.values()
    if before == after:
        return pd.DataFrame(after, columns=[*COLUMNS])
    both = [row for row in before if row in after]
    own = [(*row, name) for name, each in rows.items() for row in each if row not in both]
    return pd.DataFrame([*((*row, "both") for row in both), *own], columns=[*COLUMNS, "system"])


def price_table(prices: pd.DataFrame) -> Table:
    """Return the table of the prices for a page."""
    return Table("Prices", prices, OWN_PRICES, file=PRICES)


def _rows(tree: Mapping[str, Any]) -> Iterator[Row]:
    loaded = define_scenario(tree, source="what-if")
    scenario = loaded.scenario
    if scenario.money is None and scenario.energy is None:
        return
    platform = open_platform(loaded)
    catalogue, cluster = platform.catalogue, platform.cluster
    assumptions = catalogue.assumptions
    if scenario.money is not None:
        money = assumed(scenario.money, assumptions)
        used = _with_own(assumptions, money, scenario.money)
        yield from dict.fromkeys(
            row for pool in cluster.pools for row in _capital(pool, money, catalogue, used)
        )
        yield from (_assumption(used, name) for name in _CAPITAL)
        yield from _of_pools(scenario.money, used)
    if scenario.energy is not None:
        yield from _electricity(scenario.energy, assumptions)


def _with_own(
    assumptions: PlanningAssumptions, money: MoneySpec, given: MoneySpec
) -> PlanningAssumptions:
    """Return the assumptions with the values of the scenario, whose source is the user."""
    names = [*_CAPITAL, "host_price", "cny_per_usd"]
    own = {name: f"{GIVEN} (money.{name})" for name in names if name in given.model_fields_set}
    return replace(
        assumptions,
        **{name: getattr(money, name) for name in names},
        sources={**assumptions.sources, **own},
    )


def _assumption(used: PlanningAssumptions, name: str) -> Row:
    return ASSUMPTION_LABELS[name], used.text(name), used.sources[name]


def _capital(
    pool: Pool, money: MoneySpec, catalogue: Catalogue, used: PlanningAssumptions
) -> Iterator[Row]:
    """Yield what an accelerator of a pool costs, and the price of its server if it is extra."""
    chip, own = catalogue.accelerator(pool.accelerator), money.of(pool.name)
    paid = own.rent_per_hour or own.price
    if paid is not None:
        what = "rent of one %s, per hour" if own.rent_per_hour else "one %s with its server"
        label = f"{what % chip.name} (pool {pool.name})"
        source = own.source or f"{GIVEN} (money.pools.{pool.name})"
        yield label, f"{format_number(paid[0], 6)} {paid[1]}", source
        dollars = paid[1] == "USD"
    else:
        price = purchase_price_cny(money, pool, chip)
        value = f"{format_number(price, 6)} CNY"
        yield f"one {chip.name} with its share of the server", value, price_source(chip)
        dollars = chip.price_currency == "USD"
        if not chip.price_with_host:
            yield _assumption(used, "host_price")
            dollars |= used.host_price[1] == "USD"
    if dollars:
        yield _assumption(used, "cny_per_usd")


def _of_pools(money: MoneySpec, used: PlanningAssumptions) -> Iterator[Row]:
    """Yield what the scenario sets for single pools, apart from the prices of accelerators."""
    for pool, own in money.pools.items():
        for name in _POOL_MONEY:
            if (value := getattr(own, name)) is not None:
                label = f"{ASSUMPTION_LABELS[name]}, pool {pool}"
                source = own.source or f"{GIVEN} (money.pools.{pool}.{name})"
                yield label, replace(used, **{name: value}).text(name), source


def _electricity(given: EnergySpec, assumptions: PlanningAssumptions) -> Iterator[Row]:
    energy = assumed_energy(given, assumptions)
    names = {"price_cny_per_kwh": "electricity_per_kwh", "pue": "pue"}
    for field, name in names.items():
        source = assumptions.sources[name]
        if field in given.model_fields_set:
            source = f"{GIVEN} (energy.{field})"
        yield ASSUMPTION_LABELS[name], _tariff(getattr(energy, field), field), source
        for pool, own in energy.pools.items():
            if (value := getattr(own, field)) is not None:
                label = f"{ASSUMPTION_LABELS[name]}, pool {pool}"
                own_source = own.source or f"{GIVEN} (energy.pools.{pool}.{field})"
                yield label, _tariff(value, field), own_source


def _tariff(value: float | list[float], field: str) -> str:
    unit = " CNY" if field == "price_cny_per_kwh" else ""
    if not isinstance(value, list):
        return f"{format_number(value, 6)}{unit}"
    ends = (min(value), max(value), sum(value) / len(value))
    low, high, mean = (format_number(each, 4) for each in ends)
    return f"{low} to {high}{unit} by hour, mean {mean}{unit}"
