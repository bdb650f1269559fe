"""Replace missing values of a scenario by planning assumptions."""

from __future__ import annotations

from clustersim.availability.site import Site
from clustersim.catalogue import Catalogue, PlanningAssumptions
from clustersim.catalogue.assumptions import assumed
from clustersim.costs.energy import EnergySpec, assumed_energy
from clustersim.costs.money import MoneySpec, purchase_price_cny
from clustersim.scenario.scenario import Scenario
from clustersim.topology import Cluster
from clustersim.units import SECONDS_PER_YEAR, format_money

__all__ = ["assumption_lines", "with_assumptions"]


def with_assumptions(scenario: Scenario, assumptions: PlanningAssumptions) -> Scenario:
    """Return a scenario in which the planning assumptions replace missing values."""
    update: dict[str, object] = {}
    if scenario.energy is not None:
        update["energy"] = assumed_energy(scenario.energy, assumptions)
    if scenario.money is not None:
        update["money"] = assumed(scenario.money, assumptions)
    if scenario.supply is not None and scenario.supply.site is not None:
        site = assumed(scenario.supply.site, assumptions)
        update["supply"] = scenario.supply.model_copy(update={"site": site})
    return scenario.model_copy(update=update)


def assumption_lines(scenario: Scenario, cluster: Cluster, catalogue: Catalogue) -> list[str]:
    """Describe the prices, lifetimes, power and tariffs on which the costs of a scenario depend.

    Returns
    -------
    list of str
        One line each for money, energy and the power of the site, if the scenario has them, and
        for rates that are counted twice.
    """
    complete = with_assumptions(scenario, catalogue.assumptions)
    lines = []
    if complete.money is not None:
        lines.append(_money_line(complete.money, cluster, catalogue))
    if complete.energy is not None:
        lines.append(_energy_line(complete.energy, cluster))
    if complete.supply is not None and complete.supply.site is not None:
        lines.append(_site_line(complete.supply.site, complete.energy))
    return lines + _counted_twice(scenario)


def _counted_twice(scenario: Scenario) -> list[str]:
    """Say which published rates of network faults are among those of nodes, too."""
    faults = None if scenario.network is None else scenario.network.faults
    if scenario.failures is None or faults is None:
        return []
    named = [
        {each for each in ([given] if isinstance(given, str) else given) if isinstance(each, str)}
        for given in (scenario.failures.sources, faults.sources)
    ]
    return [
        f"Note: failures and network.faults both use {name}, whose faults of cables and network "
        "adapters are therefore counted twice: as failures of nodes, and as faults of ports"
        for name in sorted(named[0] & named[1])
    ]


def _site_line(site: Site, energy: EnergySpec | None) -> str:
    line = (
        f"Note: power limits of the site assume PUE {site.pue:g} and nodes that draw at most "
        f"{site.host_factor:g} times the design power of their chips"
    )
    if energy is not None and energy.pue != site.pue:
        line += f"; the energy of the run assumes a different PUE, {energy.pue:g} (energy.pue)"
    return line


def _money_line(money: MoneySpec, cluster: Cluster, catalogue: Catalogue) -> str:
    prices: dict[str, None] = {}
    for pool in cluster.pools:
        own = money.of(pool.name)
        chip = catalogue.accelerator(pool.accelerator)
        if own.rent_per_hour is not None:
            amount = f"rented at {format_money(money.cny(own.rent_per_hour))} an hour"
        else:
            amount = f"{format_money(purchase_price_cny(money, pool, chip))} with its server"
        years = (money.life if own.life is None else own.life) / SECONDS_PER_YEAR
        life = "" if own.life is None else f" over {years:.3g} years"
        prices[f"{chip.name} {amount}{life}"] = None
    return (
        f"Note: money assumes {'; '.join(prices)}; life {money.life / SECONDS_PER_YEAR:.3g} years, "
        f"residual value {100 * money.residual_share:.3g} %, interest "
        f"{100 * money.interest_per_year:.3g} % a year, network and buildings "
        f"{100 * money.site_share:.3g} % of the servers"
    )


def _energy_line(energy: EnergySpec, cluster: Cluster) -> str:
    def tariff(value: float | list[float]) -> str:
        if isinstance(value, list):
            return f"{min(value):g} to {max(value):g} (mean {sum(value) / len(value):.4g})"
        return f"{value:g}"

    by_setting: dict[str, list[str]] = {}
    for pool in cluster.pools:
        own = energy.of(pool.name)
        setting = (
            f"PUE {own.pue:g}, {tariff(own.price_cny_per_kwh)} CNY/kWh, "
            f"{tariff(own.carbon_g_per_kwh)} g CO2/kWh, chips at {own.load_factor:g} of their "
            f"design power when allocated and {own.idle_share:g} when idle, hosts "
            f"{own.host_idle:,.0f} to {own.host_busy:,.0f} W"
        )
        by_setting.setdefault(setting, []).append(pool.name)
    if len(by_setting) == 1:
        return f"Note: energy assumes {next(iter(by_setting))}"
    parts = [f"{', '.join(pools)}: {setting}" for setting, pools in by_setting.items()]
    return f"Note: energy assumes {'; '.join(parts)}"
