"""The table of a question about a log, for the terminal."""

from __future__ import annotations

import math

from clustersim.estimation.cost import JOULES_PER_KWH
from clustersim.report.amounts import percent
from clustersim.text_table import table
from clustersim.units import format_duration, format_money, format_number, format_quantity
from clustersim.whatif.groups import ALL
from clustersim.whatif.result import WhatIf

__all__ = ["energy_text", "what_if_text"]

_NAMES = {"all": "all jobs", "partition": "", "size": "accelerators "}


def what_if_text(found: WhatIf) -> str:
    """Return the waits, utilisation, energy and cost of each group before and after, as a table."""
    before, after = (system.key for system in found.question.compared)
    header = ["group", "jobs of the log", "mean wait", "95th percentile of wait", "utilisation"]
    more = [
        name for name in ("energy_j", "cost_cny") if found.groups[f"{before}_{name}"].notna().any()
    ]
    header += [{"energy_j": "energy", "cost_cny": "cost"}[name] for name in more]
    rows = []
    for row in found.groups.to_dict("records"):
        name = _NAMES[row["kind"]] if row["kind"] == ALL else f"{_NAMES[row['kind']]}{row['group']}"
        cells = [name, f"{int(row['jobs']):,}"]
        cells += [
            _pair(metric, row[f"{before}_{metric}"], row[f"{after}_{metric}"])
            for metric in ("mean_wait_s", "p95_wait_s", "utilisation", *more)
        ]
        rows.append(cells)
    systems = f"before: {found.question.compared[0].name}; after: {found.question.compared[1].name}"
    return f"{table(rows, header)}\n{systems}; each cell is before → after"


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


def _pair(metric: str, before: float, after: float) -> str:
    if not (math.isfinite(before) and math.isfinite(after)):
        return ""
    return f"{_text(metric, before)} → {_text(metric, after)}"


def _text(metric: str, value: float) -> str:
    if metric == "utilisation":
        return percent(value)
    if metric == "energy_j":
        return energy_text(value)
    return format_money(value) if metric == "cost_cny" else format_duration(value)
