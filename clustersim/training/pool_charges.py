"""What the chips of each pool of a scenario cost, from its sections ``money`` and ``energy``."""

from __future__ import annotations

import dataclasses

import numpy as np

from clustersim.catalogue import Accelerator
from clustersim.costs.energy import EnergySpec
from clustersim.costs.money import MoneySpec, purchase_price_cny
from clustersim.costs.run_costs import open_costs
from clustersim.estimation.cost import Prices
from clustersim.scenario.platform import Platform
from clustersim.scenario.scenario import Scenario
from clustersim.topology import Pool
from clustersim.training.table import Charge
from clustersim.units import SECONDS_PER_YEAR

__all__ = ["pool_charges"]

SECONDS_PER_HOUR = 3600.0


def pool_charges(scenario: Scenario, platform: Platform) -> list[Charge]:
    """Return what the chips of each pool cost.

    Values that the scenario does not set are the planning assumptions of its catalogue. The price
    of electricity is the mean over the day.

    Raises
    ------
    InputError
        If a section names an unknown pool, or the price of a pool's chips is unknown.

    Examples
    --------
    >>> import clustersim as cs
    >>> from clustersim.scenario.platform import open_platform
    >>> changes = ["money.pools.h200.price=150000 CNY", "energy.price_cny_per_kwh=0.5"]
    >>> loaded = cs.load_scenario("mixed_small", changes)
    >>> charges = pool_charges(loaded.scenario, open_platform(loaded))
    >>> charges[0].prices.chip_cny, charges[0].prices.tariff_cny_per_kwh
    (150000.0, 0.5)
    """
    costs = open_costs(scenario.energy, scenario.money, platform.cluster, platform.catalogue)
    found = []
    for pool in platform.cluster.pools:
        chip = platform.catalogue.accelerator(pool.accelerator)
        found.append(_charge(pool, chip, platform, costs.energy, costs.money))
    return found


def _charge(
    pool: Pool,
    chip: Accelerator,
    platform: Platform,
    energy: EnergySpec | None,
    money: MoneySpec | None,
) -> Charge:
    assumed = platform.catalogue.assumptions
    given: dict[str, float] = {}
    rent = 0.0
    if energy is not None:
        own = energy.of(pool.name)
        given |= {"pue": own.pue, "tariff_cny_per_kwh": float(np.mean(own.price_cny_per_kwh))}
        assumed = dataclasses.replace(assumed, load_factor=own.load_factor, host_busy=own.host_busy)
    if money is not None:
        values = money.of(pool.name)
        life = money.life if values.life is None else values.life
        residual = money.residual_share if values.residual_share is None else values.residual_share
        rented = values.rent_per_hour
        rent = 0.0 if rented is None else money.cny(rented) / SECONDS_PER_HOUR
        given["chip_cny"] = purchase_price_cny(money, pool, chip)
        given["depreciation_years"] = life / SECONDS_PER_YEAR
        assumed = dataclasses.replace(
            assumed,
            residual_share=residual,
            interest_per_year=money.interest_per_year,
            site_share=money.site_share,
        )
    return Charge(Prices.of(assumed, **given), rent)
