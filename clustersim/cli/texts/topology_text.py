"""The text of `clustersim topology`: tables of a topology, prices, and the load of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from clustersim.console import wrapped_note
from clustersim.text_table import table
from clustersim.units import (
    format_bit_rate,
    format_count,
    format_duration,
    format_money,
    format_number,
    format_percent,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from clustersim.topology import ClusterSpec, ClusterSummary, ListedParts

__all__ = [
    "MEANING",
    "links_text",
    "load_text",
    "parts_text",
    "prices_text",
    "topology_sections",
]

MEANING = """\
Oversubscription is the bandwidth of a chip that sends alone, divided by its bandwidth while all
chips of the pool send to all others. It is the product of the levels. A level is a group of nodes
that share uplinks; a job within one group does not use them. 1:1 is full bandwidth."""


_NAMES = """\
A link with several cables has the names LINK/0, LINK/1 and so on for each of them. Uplinks are all
cables from a group of nodes to the rest of its pool. --links-of NAME lists the links of a part."""


_PRICES = """\
List prices of 400 Gb/s in August 2024; others in proportion to ports and rate (assumption). Network
interfaces belong to the servers. Sources: clustersim catalogue --assumptions."""


_LOAD = """\
All uplinks of a leaf count as one link (level leaf), and so do those of a pod (level spine). Links
that cannot be full are left out. Load: expected traffic divided by capacity, from time 0 to the
end."""


def topology_sections(spec: ClusterSpec, summary: ClusterSummary) -> list[str]:
    """Return the tables of a topology, each with its title."""
    head = f"{summary.name}: {summary.description}" if summary.description else summary.name
    sections = [
        head,
        _pools(summary),
        _tiers(summary),
        _levels(summary),
        _oversubscription(summary),
    ]
    if any(pool.virtual_clusters for pool in summary.pools):
        sections.append(_virtual_clusters(summary))
    if len(summary.pools) > 1:
        sections.append(_datacenter(spec, summary))
    rounded = [
        wrapped_note(f"pool {pool.name}: {note}.") for pool in summary.pools for note in pool.notes
    ]
    if rounded:
        sections.append("\n".join(rounded))
    notes = [
        *(f"  {note}" for note in spec.notes),
        *(f"  {name}: {note}" for name, pool in spec.pools.items() for note in pool.notes),
    ]
    if notes:
        sections.append("\n".join(["Origin of the sizes", *notes]))
    return sections


def _ratio(value: float | None) -> str:
    if value is None:
        return ""
    return f"{format_number(value, 3)}:1" if value < 1000 else f"{format_count(value)}:1"


def _pools(summary: ClusterSummary) -> str:
    headers = ["pool", "accelerator", "fabric", "nodes", "chips", "switches", "links"]
    headers += ["network/chip", "all-to-all/chip", "oversubscription", "bisection"]
    rows = [
        [
            pool.name,
            pool.accelerator,
            pool.fabric,
            format_count(pool.nodes),
            format_count(pool.chips),
            format_count(pool.switches),
            format_count(pool.links),
            format_bit_rate(pool.port_Bps),
            format_bit_rate(pool.nic_Bps),
            _ratio(pool.oversubscription),
            format_bit_rate(pool.bisection_Bps),
        ]
        for pool in summary.pools
    ]
    if len(rows) > 1:
        counts = (summary.nodes, summary.chips, summary.switches, summary.links)
        whole = format_bit_rate(summary.bisection_Bps)
        rows.append(["total", "", "", *map(format_count, counts), "", "", "", whole])
    return f"Pools\n{table(rows, headers)}"


def _tiers(summary: ClusterSummary) -> str:
    rows = [
        [pool.name, tier.kind, format_count(tier.switches)]
        for pool in summary.pools
        for tier in pool.tiers
    ]
    if not rows:
        return "Switches\nnone"
    return f"Switches\n{table(rows, ['pool', 'tier', 'switches'])}"


def _levels(summary: ClusterSummary) -> str:
    headers = ["pool", "level", "links", "rate/link", "hop", "oversubscription", "bisection"]
    rows = [
        [
            pool.name,
            level.name,
            format_count(level.links),
            format_bit_rate(level.link_Bps),
            format_duration(level.latency_s),
            _ratio(level.oversubscription),
            "" if level.bisection_Bps is None else format_bit_rate(level.bisection_Bps),
        ]
        for pool in summary.pools
        for level in pool.levels
    ]
    return f"Links\n{table(rows, headers)}"


def _oversubscription(summary: ClusterSummary) -> str:
    headers = ["pool", "one chip sends", "all chips send", "total", "by level"]
    rows = [
        [
            pool.name,
            format_bit_rate(pool.port_Bps),
            format_bit_rate(pool.nic_Bps),
            _ratio(pool.oversubscription),
            " x ".join(
                f"{_ratio(factor)} ({name} of {format_count(pool.group_nodes[name])} nodes)"
                for name, factor in pool.oversubscription_by_level.items()
            )
            or "no shared uplinks",
        ]
        for pool in summary.pools
    ]
    return f"Oversubscription\n{table(rows, headers)}\n{MEANING}"


def _virtual_clusters(summary: ClusterSummary) -> str:
    rows: list[list[str]] = []
    for pool in summary.pools:
        per_node = pool.chips // pool.nodes
        free = pool.nodes - sum(pool.virtual_clusters.values())
        owned = [*pool.virtual_clusters.items(), *([("(none)", free)] if free else [])]
        rows += [
            [pool.name, name, format_count(nodes), format_count(nodes * per_node)]
            for name, nodes in owned
        ]
    return f"Virtual clusters\n{table(rows, ['pool', 'virtual cluster', 'nodes', 'chips'])}"


def _datacenter(spec: ClusterSpec, summary: ClusterSummary) -> str:
    network = spec.datacenter_network
    if network is None:
        return "Between pools: no network; the pools are not connected"
    rows = [
        [
            pool.name,
            format_bit_rate(pool.datacenter_Bps),
            _ratio(pool.chips * pool.port_Bps / pool.datacenter_Bps),
        ]
        for pool in summary.pools
    ]
    return (
        f"Between pools ({format_duration(network.latency)})\n"
        f"{table(rows, ['pool', 'rate to all others', 'oversubscription'])}"
    )


def prices_text(rows: list[dict[str, Any]]) -> str:
    """Return what the network costs, per chip and compared with the servers."""
    shown = [
        [
            row["pool"],
            *(format_money(row[name]) for name in ("switches_cny", "links_cny", "network_cny")),
            format_money(row["network_cny"] / row["chips"]),
            ""
            if row["servers_cny"] is None
            else format_percent(row["network_cny"] / row["servers_cny"]),
        ]
        for row in rows
    ]
    headers = ["pool", "switches", "links", "network", "per chip", "share of servers"]
    if not rows:
        return "Price of the network\nno pool has a fabric"
    return f"Price of the network\n{table(shown, headers)}\n{_PRICES}"


def load_text(loads: pd.DataFrame) -> str:
    """Return the load of the shared links by pool and level."""
    rows = []
    for (pool, level), own in loads.groupby(["pool", "level"], sort=False):
        busiest = own.sort_values(["mean", "peak"], ascending=False, kind="stable").iloc[0]
        rows.append(
            [
                pool,
                level,
                format_count(len(own)),
                format_percent(float(own["mean"].mean())),
                str(busiest["group"]),
                format_percent(float(busiest["mean"])),
                format_percent(float(own["peak"].max())),
            ]
        )
    headers = ["pool", "level", "recorded", "mean load", "busiest", "its mean load", "highest load"]
    text = table(rows, headers) if rows else "no job used a link that can be full"
    return f"Load of shared links\n{text}" + (f"\n{_LOAD}" if rows else "")


def parts_text(listed: Sequence[ListedParts]) -> str:
    """Return a table of the names that faults of the network can use."""
    rows = [
        [
            each.kind,
            format_count(each.count),
            format_count(each.cables),
            format_bit_rate(each.rate_Bps),
            each.first,
            each.last if each.count > 1 else "",
        ]
        for each in listed
    ]
    headers = ["part", "number", "cables", "rate/cable", "first name", "last name"]
    return f"Names for network.faults\n{table(rows, headers)}\n{_NAMES}"


def links_text(name: str, links: Sequence[tuple[str, int, float]]) -> str:
    rows = [
        [link, format_count(cables), format_bit_rate(rate_Bps)] for link, cables, rate_Bps in links
    ]
    return f"Links of {name}\n{table(rows, ['link', 'cables', 'rate/cable'])}"
