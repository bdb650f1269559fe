"""Comparison of the planned fleet with a reference fleet."""

from __future__ import annotations

from collections import Counter

import pandas as pd

from clustersim.errors import named_in
from clustersim.procurement.fleet import chips_per_node
from clustersim.procurement.load import PlanQuestion
from clustersim.procurement.solve import Schedule
from clustersim.scenario.file_names import beside
from clustersim.topology import load_cluster

__all__ = ["reference_table"]


def reference_table(question: PlanQuestion, schedule: Schedule) -> pd.DataFrame | None:
    """Compare the chips at the end of a plan with its reference fleet.

    Returns
    -------
    DataFrame or None
        One row per chip type: ``chip, accelerator, reference_chips, least_chips, most_chips``.  The
        last two are the smallest and the largest number at the end of the plan over its scenarios.
        Chips that are only in the reference fleet are listed last, with an empty ``chip``.  None if
        the plan has no reference fleet.

    Raises
    ------
    InputError
        If the topology is invalid.
    """
    reference = question.spec.reference_fleet
    if reference is None:
        return None
    with named_in(question.source, "reference_fleet.cluster"):
        cluster = load_cluster(beside(question.folder, reference.cluster), question.catalogue)
    chips: Counter[str] = Counter()
    for pool in cluster.pools.values():
        chip = question.catalogue.accelerator(pool.accelerator)
        chips[chip.name] += pool.nodes * (pool.chips_per_node or chip.chips_per_node)
    per_node, last = chips_per_node(question), schedule.nodes[:, -1]
    rows = []
    for index, (name, spec) in enumerate(question.spec.chips.items()):
        accelerator = question.catalogue.accelerator(spec.accelerator).name
        bought = last[:, index] * per_node[name]
        rows.append((name, accelerator, chips.pop(accelerator, 0), bought.min(), bought.max()))
    rows += [("", accelerator, count, 0, 0) for accelerator, count in chips.items()]
    columns = ["chip", "accelerator", "reference_chips", "least_chips", "most_chips"]
    table = pd.DataFrame(rows, columns=columns)
    return table.astype(dict.fromkeys(columns[2:], "int64"))
