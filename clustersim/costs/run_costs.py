"""Energy use and cost of a run: the cost table, the cost that each job bears, and unit costs."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
import pandas as pd

from clustersim.array_types import Floats
from clustersim.calendar import UNDATED, Calendar
from clustersim.catalogue import Catalogue
from clustersim.catalogue.assumptions import assumed
from clustersim.costs.costs import (
    ALLOCATED,
    SERVING,
    SPARE,
    USES,
    PoolRates,
    allocation_costs,
    costs_table,
)
from clustersim.costs.depreciation import Span, spans_there
from clustersim.costs.energy import EnergySpec, assumed_energy, energy_rates
from clustersim.costs.money import MoneySpec, money_rates, purchase_price_cny
from clustersim.costs.unit_costs import unit_costs
from clustersim.errors import InputError, unknown_name
from clustersim.simulation.result import Result
from clustersim.simulation.scopes import Scope, by_scope, with_column
from clustersim.topology import Cluster, Pool

__all__ = ["RunCosts", "open_costs"]

_TOTALS = ("energy_j", "electricity_cny", "carbon_kg", "cost_cny")


@dataclass(frozen=True, slots=True)
class RunCosts:
    """The inputs from which the energy use and cost of a run on a cluster are computed.

    Attributes
    ----------
    energy : EnergySpec or None
    money : MoneySpec or None
    cluster : Cluster
    catalogue : Catalogue
    spares : mapping of str to int
        Number of hot spare nodes by pool.
    calendar : Calendar
        The local clock, for hourly prices and for months.
    """

    energy: EnergySpec | None
    money: MoneySpec | None
    cluster: Cluster
    catalogue: Catalogue
    spares: Mapping[str, int]
    calendar: Calendar = UNDATED

    def attach(self, result: Result, *, dates_s: Sequence[float] = ()) -> Result:
        """Return the result with its energy use and cost.

        Parameters
        ----------
        result : Result
        dates_s : sequence of float
            Times (seconds) at which rows of the cost table end, in addition to the ends of periods.

        Returns
        -------
        Result
            The result with the following additions:

            - The table ``costs`` has one row for each pool, period and use of accelerators; see
              :func:`~clustersim.costs.costs.costs_table`. If the run has a date, the table also has
              ``begin_local`` and ``end_local`` (ISO 8601). Jobs bear only the costs in rows whose
              use is ``allocated``.
            - ``jobs`` has the energy use and cost that each job bears: ``energy_j``,
              ``electricity_cny`` and ``carbon_kg`` if the scenario has the section ``energy``, and
              ``cost_cny`` if it has ``money``. A job bears the energy that its accelerators draw
              when busy, at the prices of the hours in which it runs. It also bears their share of
              the cost of the pool while it holds them.
            - ``summary`` has the totals, including costs that no job bears. With ``money``, it also
              has ``purchase_cny`` (for nodes that arrived during the run) and the cost per unit of
              work; see :func:`~clustersim.costs.unit_costs.unit_costs`.
        """
        if self.energy is None and self.money is None:
            return result
        end_s = float(result.utilisation["time_s"].max())
        spans = {pool.name: self._spans(pool, result, end_s) for pool in self.cluster.pools}
        rates = self._rates(spans, end_s)
        costs = costs_table(
            result.utilisation,
            rates,
            spares=self._spare_accelerators(),
            begins_s=(self.money or MoneySpec()).periods_s(end_s, self.calendar),
            dates_s=dates_s,
        )
        for place, name in ((2, "begin"), (4, "end")) if self.calendar.is_dated else ():
            costs.insert(place, f"{name}_local", self._local(costs[f"{name}_s"]))
        held = allocation_costs(result.allocation_ranges, rates)
        ran = result.allocation_ranges
        row = pd.Index(result.jobs["job_id"]).get_indexer(ran["job_id"])
        settled = replace(result, jobs=_borne_by_jobs(result.jobs, row, held), costs=costs)
        borne = pd.DataFrame({"row": row, "pool": ran["pool"].to_numpy(), **held})
        summary = result.summary
        for name, values in self._summary(settled, borne, spans).items():
            summary = with_column(summary, name, values)
        return replace(settled, summary=summary)

    def _spans(self, pool: Pool, result: Result, end_s: float) -> list[Span]:
        age_s = 0.0 if self.money is None else self.money.of(pool.name).age
        return spans_there(result.outages, pool.name, pool.n_nodes, end_s, age_s=age_s)

    def _local(self, time_s: pd.Series) -> pd.Series:
        """Return the local date and time of each simulated time, as text."""
        at = {time: self.calendar.iso(time) for time in time_s.unique().tolist()}
        return time_s.map(at).astype("str")

    def _spare_accelerators(self) -> dict[str, int]:
        return {
            pool.name: self.spares[pool.name] * pool.chips_per_node
            for pool in self.cluster.pools
            if pool.name in self.spares
        }

    def _rates(self, spans: Mapping[str, list[Span]], end_s: float) -> dict[str, PoolRates]:
        """Return the rates of energy use and cost of one accelerator, by pool and use."""
        found: dict[str, PoolRates] = {}
        for pool in self.cluster.pools:
            chip = self.catalogue.accelerator(pool.accelerator)
            drawn = (
                {} if self.energy is None else energy_rates(self.energy, pool, chip, self.calendar)
            )
            owned, spare = {}, {}
            if self.money is not None:
                owned = money_rates(self.money, pool, chip, spans[pool.name])
                all_along = Span(0.0, end_s, 1, self.money.of(pool.name).age)
                spare = money_rates(self.money, pool, chip, [all_along])
            found[pool.name] = {
                **{use: {**drawn.get(use, {}), **owned} for use in USES},
                SERVING: {**drawn.get(ALLOCATED, {}), **owned},
                SPARE: {**drawn.get("idle", {}), **spare},
            }
        return found

    def _summary(
        self,
        result: Result,
        borne: pd.DataFrame,
        spans: Mapping[str, list[Span]],
    ) -> dict[str, dict[Scope, float]]:
        """Return the values to add to the summary, by column and by scope."""
        assert result.costs is not None
        by_pool = result.costs.groupby("pool", sort=False)
        totals = {name: by_pool[name].sum() for name in _TOTALS if name in result.costs}
        found = {name: by_scope(column) for name, column in totals.items()}
        if self.money is None:
            return found
        bought = {
            pool.name: self._bought_cny(pool, spans[pool.name]) for pool in self.cluster.pools
        }
        found["purchase_cny"] = by_scope(pd.Series(bought))
        of_jobs = result.costs[result.costs["use"] != SERVING]
        spent = of_jobs.groupby("pool", sort=False)["cost_cny"].sum()
        return {**found, **unit_costs(by_scope(spent), borne, result, self.catalogue)}

    def _bought_cny(self, pool: Pool, spans: list[Span]) -> float:
        """Return the price of nodes that arrived after the start, with network and buildings."""
        assert self.money is not None
        price = purchase_price_cny(self.money, pool, self.catalogue.accelerator(pool.accelerator))
        nodes = sum(span.nodes for span in spans if span.begin_s > 0 and span.age_s == 0)
        return nodes * pool.chips_per_node * price * (1.0 + self.money.site_share)


def _borne_by_jobs(
    jobs: pd.DataFrame, row: npt.NDArray[np.intp], held: Mapping[str, Floats]
) -> pd.DataFrame:
    """Add the energy use and cost of each job, summed over the job's allocations.

    `row` contains, for each allocation, the row of its job in `jobs`.
    """
    sums = {
        name: np.bincount(row, held[name], minlength=len(jobs)) for name in _TOTALS if name in held
    }
    own = {name: f"recorded_{name}" for name in sums if name in jobs}
    return jobs.rename(columns=own).assign(**sums)


def open_costs(
    energy: EnergySpec | None,
    money: MoneySpec | None,
    cluster: Cluster,
    catalogue: Catalogue,
    *,
    spares: Mapping[str, int] = MappingProxyType({}),
    calendar: Calendar = UNDATED,
) -> RunCosts:
    """Check the sections ``energy`` and ``money`` of a scenario against its cluster.

    Parameters
    ----------
    energy, money : optional
        The sections of the scenario. The planning assumptions of the catalogue replace missing
        values.
    cluster : Cluster
    catalogue : Catalogue
    spares : mapping of str to int
        Number of hot spare nodes by pool.
    calendar : Calendar
        Calendar of the run.

    Raises
    ------
    InputError
        If a section names an unknown pool, or the price of a pool's chips is unknown.
    """
    energy = None if energy is None else assumed_energy(energy, catalogue.assumptions)
    money = None if money is None else assumed(money, catalogue.assumptions)
    names = [pool.name for pool in cluster.pools]
    known = {*names, *cluster.empty_pools}
    for field, spec in (("energy", energy), ("money", money)):
        pools: Collection[str] = () if spec is None else spec.pools
        if problems := [
            f"pools: {unknown_name('pool', name, names)}" for name in pools if name not in known
        ]:
            raise InputError(field, problems)
    if money is not None:
        for pool in cluster.pools:
            purchase_price_cny(money, pool, catalogue.accelerator(pool.accelerator))
    return RunCosts(energy, money, cluster, catalogue, spares, calendar)
