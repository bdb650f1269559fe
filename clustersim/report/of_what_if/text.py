"""The table of a question about a log, for the terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence

from clustersim.estimation.cost import JOULES_PER_KWH
from clustersim.report.amounts import in_unit, percent
from clustersim.text_table import table
from clustersim.units import format_money, format_number, format_quantity
from clustersim.whatif.groups import ALL, TIMES
from clustersim.whatif.result import WhatIf

__all__ = ["energy_text", "what_if_text"]

_JOB_COSTS = ("energy_j", "cost_cny")
_HEADINGS = {
    **TIMES,
    "utilisation": "share of the fleet",
    "energy_j": "energy of the jobs",
    "cost_cny": "cost of the jobs",
}
_NAMES = {"all": "all jobs", "partition": "", "size": "accelerators "}


def what_if_text(found: WhatIf) -> str:
    """Return waits and utilisation of each group in all systems, as a table.

    If jobs are stopped, the waits are those over all attempts, with the mean completion time.
    If there are two systems, the table also has the energy and the cost of the jobs.
    """
    systems = found.question.systems
    waits = ["mean_wait_s", "p95_wait_s"]
    if found.stops:
        waits = ["mean_total_wait_s", "p95_total_wait_s", "mean_jct_s"]
    elif found.metric not in waits:
        waits.append(found.metric)
    names = [*waits, "utilisation"]
    if len(systems) == 2:
        groups, first = found.groups, systems[0].key
        names += [name for name in _JOB_COSTS if groups[f"{first}_{name}"].notna().any()]
    header = ["group", "jobs of the log", *(_HEADINGS[name] for name in names)]
    rows = []
    for row in found.groups.to_dict("records"):
        name = _NAMES[row["kind"]] if row["kind"] == ALL else f"{_NAMES[row['kind']]}{row['group']}"
        values = {name: [row[f"{system.key}_{name}"] for system in systems] for name in names}
        cells = [_cell(name, of_systems) for name, of_systems in values.items()]
        rows.append([name, f"{int(row['jobs']):,}", *cells])
    order = " → ".join(system.name for system in systems)
    return f"{table(rows, header)}\neach cell: {order}"


def energy_text(energy_j: float) -> str:
    """Return an amount of energy as text, in kilowatt-hours or a larger unit.

    Examples
    --------
    >>> energy_text(1.8e6), energy_text(0.0), energy_text(9e9)
    ('0.5 kWh', '0 kWh', '2.5 MWh')
    """
    if abs(energy_j) < JOULES_PER_KWH:
        return f"{format_number(energy_j / JOULES_PER_KWH, 3)} kWh"
    return format_quantity(energy_j, "energy", 3)


def _cell(metric: str, values: Sequence[float]) -> str:
    if not all(map(math.isfinite, values)):
        return ""
    if metric in TIMES:
        return in_unit(values, join=" → ")
    return " → ".join(_text(metric, value) for value in values)


def _text(metric: str, value: float) -> str:
    if metric == "utilisation":
        return percent(value)
    if metric == "energy_j":
        return energy_text(value)
    return format_money(value)
