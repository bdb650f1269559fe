"""The fleet of a run and its offered load, for its page and its answer card."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from clustersim.report.page import Table
from clustersim.simulation.result import Result
from clustersim.units import capital, format_number

__all__ = ["fleet_table", "offered_load_text"]


def fleet_table(result: Result) -> Table:
    """Return the pools of a run's fleet, with the number of their accelerators.

    A pool whose size changes during the run has its fewest and its most accelerators.
    """
    installed = result.utilisation.groupby("pool", observed=True, sort=False)["installed"]
    frame = installed.agg(["min", "max"]).reset_index()
    pools = _section(result, "cluster").get("pools") or {}
    chips = [str((pools.get(pool) or {}).get("accelerator", "")) for pool in frame["pool"]]
    same = bool((frame["min"] == frame["max"]).all())
    table = pd.DataFrame({"pool": frame["pool"].astype(str)})
    if any(chips):
        table["chip"] = chips
    if same:
        table["accelerators"] = frame["max"]
    else:
        table["fewest"], table["most"] = frame["min"], frame["max"]
    if len(table) > 1 and same:
        total = {"pool": ["all"], "chip": [""], "accelerators": [frame["max"].sum()]}
        row = pd.DataFrame({str(name): total[str(name)] for name in table})
        table = pd.concat([table, row], ignore_index=True)
    load = offered_load_text(result)
    caption = f"{capital(load)}." if load else ""
    return Table(
        "Fleet",
        table,
        caption,
        labels={"fewest": "fewest accelerators", "most": "most accelerators"},
    )


def offered_load_text(result: Result) -> str:
    """Return a text that states the offered load of a run; "" if the jobs come from a log.

    If the scenario states jobs per day instead of an offered load, these are given alone.
    """
    load = _section(result, "workload").get("load")
    rate = result.provenance.get("arrival_rate_per_s")
    installed = result.utilisation.groupby("pool", observed=True, sort=False)["installed"]
    chips = f"{int(np.sum(installed.first())):,} accelerators at time 0"
    arriving = ""
    if isinstance(rate, int | float):
        per_day = format_number(86400.0 * rate)
        arriving = f"{per_day} jobs per day arrive at a fleet of {chips}"
    if not isinstance(load, int | float):
        return arriving
    return f"the offered load is {load:g}{f' ({arriving})' if arriving else ''}"


def _section(result: Result, name: str) -> Mapping[str, Any]:
    """Return a section of the resolved scenario; empty if there is none."""
    scenario = result.provenance.get("scenario")
    own = scenario.get(name) if isinstance(scenario, Mapping) else None
    return own if isinstance(own, Mapping) else {}
