"""Metrics of a fleet that are known before a run: chips, price, power and offered load."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from clustersim.analysis.metric import Metric
from clustersim.analysis.part import FleetView
from clustersim.costs.money import purchase_price_cny

__all__ = ["METRICS"]


def _chips(view: FleetView) -> float:
    return float(sum(pool.n_chips for pool in view.fleet.cluster.pools))


def _chips_by_pool(view: FleetView) -> Mapping[str, float]:
    return {pool.name: float(pool.n_chips) for pool in view.fleet.cluster.pools}


def _cost_cny(view: FleetView) -> float:
    """Return the purchase price of the pools; NaN if a chip has no price, 0 if all are rented."""
    total = 0.0
    for pool in view.fleet.cluster.pools:
        chip = view.fleet.catalogue.accelerator(pool.accelerator)
        known = chip.price is not None or view.prices.of(pool.name).price is not None
        rented = view.prices.of(pool.name).rent_per_hour is not None
        price = purchase_price_cny(view.prices, pool, chip) if known or rented else math.nan
        total += pool.n_chips * price
    return total


def _power_w(view: FleetView) -> float:
    total = 0.0
    for pool in view.fleet.cluster.pools:
        total += pool.n_chips * view.fleet.catalogue.accelerator(pool.accelerator).power_w
    return total


def _metrics() -> Iterator[Metric]:
    yield Metric(
        name="chips",
        label="chips of the fleet",
        pool_label="chips",
        definition="Number of accelerators of the fleet.",
        of_fleet=_chips,
        by_pool=_chips_by_pool,
        dimension="count",
        better="less",
        least=0.0,
        constant=True,
        subject="fleets",
    )
    yield Metric(
        name="fleet_cost_cny",
        label="purchase price of the servers",
        definition="Purchase price of the accelerators with their servers, without network and "
        "buildings. Prices come from the scenario's key money or, without it, from the "
        "planning assumptions. The price is 0 for rented pools and NaN if a chip has no "
        "price.",
        of_fleet=_cost_cny,
        dimension="money",
        better="less",
        noun="cost",
        least=0.0,
        constant=True,
        subject="fleets",
    )
    yield Metric(
        name="fleet_power_w",
        label="power of the chips",
        definition="Sum of the thermal design powers of the accelerators only, without hosts, "
        "network and cooling.",
        of_fleet=_power_w,
        dimension="power",
        better="less",
        least=0.0,
        constant=True,
        subject="fleets",
    )
    yield Metric(
        name="offered_load",
        label="offered load",
        definition="Arriving work divided by the capacity of the fleet, as given or computed from "
        "the jobs per day; NaN for a log.",
        of_fleet=lambda view: view.offered_load,
        dimension="ratio",
        least=0.0,
        subject="fleets",
    )


METRICS = tuple(_metrics())
