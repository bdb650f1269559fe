"""Runs with energy and money for the tests of their accounts."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from clustersim.catalogue import Catalogue, load_catalogue
from clustersim.costs.energy import EnergySpec
from clustersim.costs.money import MoneySpec
from clustersim.costs.run_costs import open_costs
from clustersim.engine.node_events import NodeEvent
from clustersim.engine.recovery import Recovery
from clustersim.files import validate
from clustersim.simulation.result import Result
from clustersim.simulation.simulate import Scheduling, simulate
from clustersim.topology import Cluster

HOUR, DAY, YEAR = 3600.0, 86400.0, 365.25 * 86400.0
KWH = 3.6e6


@functools.cache
def catalogue() -> Catalogue:
    """The built-in chips and models."""
    return load_catalogue()


def energy_spec(**fields: Any) -> EnergySpec:
    """What a scenario says under `energy`."""
    return validate(EnergySpec, fields, "energy")


def money_spec(**fields: Any) -> MoneySpec:
    """What a scenario says under `money`."""
    return validate(MoneySpec, fields, "money")


def settled(
    log: pd.DataFrame,
    fleet: Cluster,
    *,
    energy: EnergySpec | None = None,
    money: MoneySpec | None = None,
    outages: Sequence[NodeEvent] | None = None,
    recovery: Recovery | None = None,
    **options: Any,
) -> Result:
    """Run jobs to the end under EASY, and settle the accounts."""
    result = simulate(
        log,
        fleet,
        Scheduling(policy="easy", placement="consolidate", choose="listed"),
        catalogue=catalogue(),
        node_events=outages,
        recovery=recovery,
        **options,
    )
    return open_costs(energy, money, fleet, catalogue()).attach(result)


def by_use(result: Result, pool: str, column: str) -> Mapping[str, float]:
    """A column of the costs of a pool, by use, over all periods."""
    assert result.costs is not None
    mine = result.costs[result.costs["pool"] == pool]
    return mine.groupby("use", sort=False)[column].sum().to_dict()


def summed(result: Result, scope: str = "all") -> dict[str, Any]:
    """The row of the summary of all or of a pool."""
    (row,) = result.summary[result.summary["scope"] == scope].to_dict("records")
    return row
