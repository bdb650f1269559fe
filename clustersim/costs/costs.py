"""Energy use and cost of a run: by pool and period, and by allocation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
import pandas as pd

from clustersim.array_types import Floats, Ints
from clustersim.costs.integrals import Rate

__all__ = ["ALLOCATED", "SERVING", "SPARE", "USES", "PoolRates", "allocation_costs", "costs_table"]

ALLOCATED = "allocated"
USES = (ALLOCATED, "idle", "out of service")
"""Possible uses of an accelerator that is present; jobs bear only the cost of the first use."""
SPARE = "spare"
"""Use of the accelerators of hot spares, which are not counted in the pool and draw idle power."""
SERVING = "serving"
"""Use of accelerators that are reserved for services and draw as much power as allocated ones."""
_OF_ELECTRICITY = ("energy_j", "electricity_cny", "carbon_kg")

PoolRates = Mapping[str, Mapping[str, tuple[float, Rate]]]
"""Rates of one accelerator, by use and by column of the cost table.  Each entry is a factor and the
rate that it multiplies."""


def costs_table(
    utilisation: pd.DataFrame,
    rates: Mapping[str, PoolRates],
    *,
    spares: Mapping[str, int] = MappingProxyType({}),
    begins_s: Floats,
    dates_s: Sequence[float] = (),
) -> pd.DataFrame:
    """Return the energy use and cost of each pool in each period, by use of its accelerators.

    Parameters
    ----------
    utilisation : pandas.DataFrame
        The table ``utilisation`` of the result; integrals over its steps are exact.
    rates : mapping of str to PoolRates
        Rates by pool.
    spares : mapping of str to int
        Number of accelerators of hot spares by pool; they are present all the time.
    begins_s : float64 array
        Starts of the periods in seconds, ascending from 0; the last period ends with the
        simulation.
    dates_s : sequence of float
        Other times, in seconds, at which a row ends and the next one begins.

    Returns
    -------
    pandas.DataFrame
        One row per pool, period and use: ``pool``, ``begin_s``, ``end_s``, ``use``,
        ``accelerator_s``, and the columns of `rates`. ``cost_cny`` is the sum of the money columns;
        it is omitted if electricity is the only such column.
    """
    parts = []
    for pool, steps in utilisation.groupby("pool", observed=True, sort=False):
        time = steps["time_s"].to_numpy()
        edge = np.union1d(begins_s[begins_s <= time[-1]], np.clip(dates_s, 0.0, time[-1]))
        edge = np.union1d(edge, time[-1]) if time[-1] > 0 else np.zeros(2)
        n_periods = len(edge) - 1
        grid = np.union1d(time, edge)
        period = np.minimum(np.searchsorted(edge, grid[:-1], side="right"), n_periods) - 1
        step = np.searchsorted(time, grid[:-1], side="right") - 1
        counts = _counts(steps)
        if str(pool) in spares:
            counts[SPARE] = np.full(len(steps), spares[str(pool)])
        for use, count in counts.items():
            held = count[step]
            each = {
                name: factor * np.diff(rate.until(grid))
                for name, (factor, rate) in rates[str(pool)][use].items()
            }
            columns: dict[str, Floats] = {
                name: np.bincount(period, held * values, minlength=n_periods).astype(np.float64)
                for name, values in {"accelerator_s": np.diff(grid), **each}.items()
            }
            keys = {"pool": str(pool), "begin_s": edge[:-1], "end_s": edge[1:], "use": use}
            parts.append(pd.DataFrame({**keys, **_with_cost(columns)}))
    return pd.concat(parts, ignore_index=True)


def _counts(steps: pd.DataFrame) -> dict[str, Ints]:
    """Return the number of accelerators in each step of the utilisation, by use."""
    allocated, installed = steps["allocated"].to_numpy(), steps["installed"].to_numpy()
    out = steps["out"].to_numpy() if "out" in steps else np.zeros(len(steps), dtype=np.int64)
    if SERVING not in steps:
        return dict(zip(USES, (allocated, installed - allocated - out, out), strict=True))
    serving = steps[SERVING].to_numpy()
    idle = installed - allocated - out - serving
    return {**dict(zip(USES, (allocated, idle, out), strict=True)), SERVING: serving}


def allocation_costs(
    allocations: pd.DataFrame, rates: Mapping[str, PoolRates]
) -> dict[str, Floats]:
    """Return the energy use and cost of each allocation, by column of the cost table."""
    names = allocations["pool"].to_numpy()
    n = allocations["n_accelerators"].to_numpy(dtype=np.float64)
    begin, end = (allocations[name].to_numpy() for name in ("start_s", "end_s"))
    columns: dict[str, Floats] = {}
    for pool, of_pool in rates.items():
        rows = np.flatnonzero(names == pool)
        for name, (factor, rate) in of_pool[ALLOCATED].items():
            each = factor * (rate.until(end[rows]) - rate.until(begin[rows]))
            columns.setdefault(name, np.zeros(len(n)))[rows] = n[rows] * each
    return _with_cost(columns)


def _with_cost(columns: Mapping[str, Floats]) -> dict[str, Floats]:
    """Add ``cost_cny``, the sum of the money columns, unless only electricity has a cost."""
    money = [name for name in columns if name.endswith("_cny")]
    if set(money) <= set(_OF_ELECTRICITY):
        return dict(columns)
    return {**columns, "cost_cny": _sum([columns[name] for name in money])}


def _sum(columns: Sequence[Floats]) -> Floats:
    total = np.zeros(len(columns[0]))
    for column in columns:
        total = total + column
    return total
