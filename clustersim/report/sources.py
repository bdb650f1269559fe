"""Numbers of chips and planning assumptions as tables with their sources."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from clustersim.catalogue import Accelerator, PlanningAssumptions, report
from clustersim.report.page import Table

__all__ = ["source_tables"]

_CHIP_FIELDS = {
    "peak_flops.bf16": "BF16 peak",
    "hbm_bytes": "HBM capacity",
    "hbm_Bps": "HBM bandwidth",
    "power_w": "power",
    "price": "price",
}
"""Fields of a chip in the table, and their labels."""


_ASSUMPTIONS = {
    "cny_per_usd": "exchange rate, CNY per USD",
    "host_price": "price of a node without its accelerators",
    "life": "lifetime for depreciation",
    "residual_share": "residual value, share of the price",
    "interest_per_year": "interest, share per year",
    "site_share": "network and buildings, share of the price of the servers",
    "pue": "PUE",
    "electricity_per_kwh": "electricity, per kWh",
    "carbon_g_per_kwh": "carbon dioxide, g per kWh",
    "host_factor": "maximum power of a node, relative to its chips",
    "load_factor": "power of an allocated accelerator, relative to its TDP",
    "idle_share": "power of an idle accelerator, relative to its TDP",
    "host_busy": "power of a busy node without its accelerators",
    "host_idle": "power of an idle node without its accelerators",
    "out_of_service": "power of a node out of service, relative to an idle one",
}
"""Planning assumptions, and their labels."""


def source_tables(
    chips: Sequence[Accelerator], assumptions: PlanningAssumptions | None = None
) -> list[Table]:
    """Return a table of the chips and, if given, one of the planning assumptions.

    Parameters
    ----------
    chips : sequence of Accelerator
    assumptions : PlanningAssumptions, optional
        Assumptions on which costs and energy depend.
    """
    rows = [
        (chip.name, _CHIP_FIELDS[row[0]], *row[1:], source)
        for chip in chips
        for row, source in report.accelerator_fields(chip)
        if row[0] in _CHIP_FIELDS
    ]
    table = pd.DataFrame(rows, columns=["chip", *report.FIELD_HEADERS, "source"])
    tables = [Table("Chips", table, "From the catalogue; low and high are the published range.")]
    if assumptions is not None:
        planning = report.assumption_rows(assumptions)
        columns = [*report.ASSUMPTION_HEADERS, "source"]
        frame = pd.DataFrame(planning, columns=columns)
        frame["assumption"] = frame["assumption"].map(_ASSUMPTIONS)
        if not frame["from"].any():
            frame = frame.drop(columns="from")
        tables.append(Table("Planning assumptions", frame))
    return tables
