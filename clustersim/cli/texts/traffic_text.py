"""The traffic of one job as text and as plain data."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from clustersim.array_types import Floats
from clustersim.estimation.given_plan import plan_text
from clustersim.network import LEVELS
from clustersim.performance.traffic import KINDS
from clustersim.text_table import table
from clustersim.units import (
    counted,
    format_bit_rate,
    format_bytes,
    format_count,
    format_duration,
    format_number,
    format_percent,
)

if TYPE_CHECKING:
    from clustersim.estimation.traffic_estimate import TrafficEstimate
    from clustersim.performance.traffic import Traffic

__all__ = ["traffic_data", "traffic_text"]

WIDTH = 100
COLUMNS = {
    "scale-up": "scaleup_bytes",
    "network": "nic_bytes",
    "messages": "messages",
    "time": "seconds",
    "exposed": "exposed_s",
}
"""Columns of the table of a chip, and the attributes that they show."""


def traffic_text(found: TrafficEstimate) -> str:
    """Format the traffic of a job for a terminal of 100 columns."""
    sections = [_head(found), _of_chip("Each chip, at the ideal placement", found.traffic)]
    if found.placed is not None and found.levels is not None:
        inside = format_count(found.levels.inside)
        where = f"on these nodes ({inside} chips of the job in a scale-up domain)"
        sections += [_of_chip(f"Each chip, {where}", found.placed), _of_job(found)]
    if found.notes:
        lines = (_wrapped(note, "  ") for note in found.notes)
        sections.append("\n".join(["Notes", *lines]))
    return "\n\n".join(sections)


def _wrapped(text: str, indent: str = "") -> str:
    return textwrap.fill(text, WIDTH, initial_indent=indent, subsequent_indent=indent)


def _head(found: TrafficEstimate) -> str:
    lines = [
        f"{found.model.name} on {format_count(found.count)} {found.accelerator.name} "
        f"({format_bit_rate(found.nic_Bps)} of network per chip)",
        f"plan    {plan_text(found.plan)}",
        f"step    {format_duration(float(found.traffic.step_time_s[0]))} at the ideal placement",
    ]
    if found.placed is not None:
        lines[-1] += (
            f", {format_duration(found.slowdown * float(found.traffic.step_time_s[0]))} on these "
            f"nodes (slowdown {format_number(found.slowdown)})"
        )
        lines.append(f"nodes   {_node_text(found.nodes, found.chips_on_node)}")
    return "\n".join(lines)


def _node_text(nodes: Sequence[int], chips: Sequence[int]) -> str:
    """Return ranges of nodes with the chips on each, such as ``0-6 (8 chips), 7 (4 chips)``."""
    parts: list[list[int]] = []
    for node, held in zip(nodes, chips, strict=True):
        if parts and parts[-1][1] == node - 1 and parts[-1][2] == held:
            parts[-1][1] = node
        else:
            parts.append([node, node, held])
    texts = [
        f"{first} ({counted(held, 'chip')})"
        if first == last
        else f"{first}-{last} ({counted(held, 'chip')} each)"
        for first, last, held in parts
    ]
    shown = texts if len(texts) <= 4 else [*texts[:2], "...", texts[-1]]
    return f"{', '.join(shown)}: {counted(len(nodes), 'node')}"


def _of_chip(title: str, traffic: Traffic) -> str:
    shown = [kind for kind in KINDS if traffic.seconds[kind][0] > 0]
    if not shown:
        return f"{title}\nno communication"
    columns = {name: _first(getattr(traffic, of)) for name, of in COLUMNS.items()}
    rows = [[kind, *_cells(columns, [kind])] for kind in shown]
    rows.append(["total", *_cells(columns, shown)])
    return f"{title}, in one step\n{table(rows, ['kind', *COLUMNS])}"


def _cells(columns: Mapping[str, Mapping[str, float]], kinds: Sequence[str]) -> list[str]:
    sums = {name: sum(of[kind] for kind in kinds) for name, of in columns.items()}
    return [
        format_bytes(sums["scale-up"]),
        format_bytes(sums["network"]),
        format_number(sums["messages"]),
        format_duration(sums["time"]),
        format_duration(sums["exposed"]),
    ]


def _of_job(found: TrafficEstimate) -> str:
    assert found.levels is not None
    levels = found.levels
    shown = [kind for kind, sent in levels.level_bytes.items() if sent.any()]
    rows = [[kind, *map(format_bytes, levels.level_bytes[kind].tolist())] for kind in shown]
    rows.append(["total", *map(format_bytes, levels.total.tolist())])
    text = f"All chips, by level of links, upward, in one step\n{table(rows, ['kind', *LEVELS])}"
    if math.isnan(levels.rail_aligned):
        return text
    aligned = format_percent(levels.rail_aligned)
    return f"{text}\n{aligned} of the bytes between scale-up domains stay on the sender's rail"


def _first(columns: Mapping[str, Floats]) -> dict[str, float]:
    return {kind: float(column[0]) for kind, column in columns.items()}


def traffic_data(found: TrafficEstimate) -> dict[str, Any]:
    """Return the traffic of a job as plain data, in SI units."""
    data: dict[str, Any] = {
        "model": found.model.name,
        "accelerator": found.accelerator.name,
        "count": found.count,
        "global_batch": found.global_batch,
        "nic_Bps": found.nic_Bps,
        "plan": dict(found.plan),
        "chip": _chip_data(found.traffic),
        "notes": list(found.notes),
    }
    if found.placed is None or found.levels is None:
        return data
    return data | {
        "chip_on_nodes": _chip_data(found.placed),
        "nodes": list(found.nodes),
        "chips_on_node": list(found.chips_on_node),
        "chips_inside": found.levels.inside,
        "path_latency_s": found.path_latency_s,
        "slowdown": found.slowdown,
        "level_bytes": {
            kind: dict(zip(LEVELS, sent.tolist(), strict=True))
            for kind, sent in found.levels.level_bytes.items()
        },
        "rail_aligned": None
        if math.isnan(found.levels.rail_aligned)
        else found.levels.rail_aligned,
    }


def _chip_data(traffic: Traffic) -> dict[str, Any]:
    return {
        "step_time_s": float(traffic.step_time_s[0]),
        "nic_seconds": float(traffic.nic_seconds[0]),
        **{name: _first(getattr(traffic, name)) for name in COLUMNS.values()},
        "pattern_bytes": _first(traffic.pattern_bytes),
    }
