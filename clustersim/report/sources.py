"""Numbers of chips and planning assumptions as tables with their sources."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from clustersim.catalogue import Accelerator, PlanningAssumptions, report
from clustersim.report.page import Table

__all__ = ["ASSUMPTION_LABELS", "source_tables", "workload_sentences"]

_CHIP_FIELDS = {
    "peak_flops.bf16": "BF16 peak",
    "hbm_bytes": "HBM capacity",
    "hbm_Bps": "HBM bandwidth",
    "power_w": "power",
    "price": "price",
}
"""Fields of a chip in the table, and their labels."""


ASSUMPTION_LABELS = {
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
    "switch_price": "switch with 64 ports of 400 Gb/s",
    "link_price": "link of 400 Gb/s, with cable and transceivers",
    "out_of_service": "power of a node out of service, relative to an idle one",
}
"""Planning assumptions on which the cost of a run depends, and their labels."""


def workload_sentences(workload: Mapping[str, Any]) -> Iterator[str]:
    """Yield what a workload model says about itself and its sources.

    Parameters
    ----------
    workload : mapping of str to object
        The key `workload` of a scenario, in which the model is written out.

    Examples
    --------
    >>> model = {"name": "lab", "description": "Small jobs.", "sources": {"arrivals": "assumption"}}
    >>> list(workload_sentences({"generate": model}))
    ['Workload lab: Small jobs. Sources: arrivals: assumption.']
    """
    model = workload.get("generate")
    if not isinstance(model, Mapping) or "name" not in model:
        return
    sentences = [f"Workload {model['name']}: {model.get('description', '').rstrip('. ')}"]
    if sources := model.get("sources"):
        if isinstance(sources, Mapping):
            sources = [f"{part}: {text}" for part, text in sources.items()]
        sentences.append(f"Sources: {'; '.join(map(str, sources))}")
    yield f"{'. '.join(sentences).rstrip('. ')}."


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
    tables = [
        Table(
            "Chips", table, "From the catalogue; low and high are the range that the source gives."
        )
    ]
    if assumptions is not None:
        planning = report.assumption_rows(assumptions)
        columns = [*report.ASSUMPTION_HEADERS, "source"]
        frame = pd.DataFrame(planning, columns=columns)
        frame = frame[frame["assumption"].isin(ASSUMPTION_LABELS)].reset_index(drop=True)
        frame["assumption"] = frame["assumption"].map(ASSUMPTION_LABELS)
        if not frame["from"].any():
            frame = frame.drop(columns="from")
        tables.append(Table("Planning assumptions", frame))
    return tables
