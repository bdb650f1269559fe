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
        tables.append(Table("Planning assumptions", pd.DataFrame(planning, columns=columns)))
    return tables
