"""``clustersim topology``: the contents of a topology file as tables and a figure."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clustersim.cli.options import add_catalogue, picture_file
from clustersim.cli.site import add_site_options, refuse_site_options, write_site
from clustersim.console import plain_notes, wrapped_note, write_json
from clustersim.errors import InputError
from clustersim.json_values import plain
from clustersim.text_table import table
from clustersim.units import (
    format_bit_rate,
    format_count,
    format_duration,
    format_number,
)

if TYPE_CHECKING:
    from clustersim.topology import ClusterSpec, ClusterSummary

__all__ = ["add_parser", "run"]

EPILOG = """at a site:
  $ clustersim topology --from sinfo.txt --out my-cluster.yaml
  $ clustersim topology --from nodes.json --accelerator gpu=V100-SXM2-32GB --out my-cluster.yaml

example: clustersim topology bytedance-2026 --plot fleet.png"""


_MEANING = """\
The total is the product of the levels: the network bandwidth of a chip that sends alone, divided by
its bandwidth when all chips of the pool send to all others. A level is named after the group of
nodes that shares its uplinks."""


def add_parser(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "topology",
        help="print and draw a topology file",
        description="Print nodes, chips, switches, links, bisection bandwidth and "
        "oversubscription of a topology file; or write one from what a site's scheduler prints.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "file", metavar="FILE", nargs="?", help="topology file, or its name in topologies/"
    )
    parser.add_argument(
        "--plot", type=Path, metavar="OUT", help="draw it to OUT.png, OUT.svg or OUT.pdf"
    )
    add_site_options(parser)
    add_catalogue(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the tables, and draw the topology if requested."""
    from clustersim.catalogue import hypothetical_note, load_catalogue
    from clustersim.topology import load_cluster, summarise

    if (args.file is None) == (args.site is None):
        raise InputError("topology", "needs either FILE or --from FILE")
    if args.site is not None:
        return write_site(args)
    refuse_site_options(args)
    catalogue = load_catalogue(*args.catalogue)
    spec = load_cluster(args.file, catalogue)
    summary = summarise(spec)
    print("\n\n".join(_sections(spec, summary)))
    note = hypothetical_note(
        catalogue.accelerator(pool.accelerator) for pool in spec.pools.values()
    )
    if note is not None:
        print(f"\n{note}")
    files = [] if args.plot is None else _plot(spec, args.plot, note)
    write_json({**_data(spec, summary, note), "files": files})
    return 0


def _data(spec: ClusterSpec, summary: ClusterSummary, note: str | None) -> dict[str, Any]:
    """Return the tables as plain data, in SI units."""
    totals = ("nodes", "chips", "switches", "links")
    network = spec.datacenter_network
    return {
        "name": summary.name,
        "description": summary.description,
        **{name: getattr(summary, name) for name in (*totals, "bisection_Bps")},
        "datacenter_latency_s": None if network is None else network.latency,
        "pools": [
            {
                **plain(pool),
                **{name: getattr(pool, name) for name in ("switches", "links", "oversubscription")},
            }
            for pool in summary.pools
        ],
        "notes": [
            *(f"pool {pool.name}: {text}" for pool in summary.pools for text in pool.notes),
            *spec.notes,
            *(f"{name}: {text}" for name, pool in spec.pools.items() for text in pool.notes),
            *plain_notes([] if note is None else [note]),
        ],
    }


def _plot(spec: ClusterSpec, out: Path, note: str | None) -> list[Path]:
    from clustersim.plots.fabric.topology import draw_topology
    from clustersim.plots.style import save_figure

    drawn = save_figure(draw_topology(spec, note=note), *picture_file(out))
    for path in drawn:
        print(f"\nwrote {path}")
    return drawn


def _sections(spec: ClusterSpec, summary: ClusterSummary) -> list[str]:
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
    rows = [
        [
            pool.name,
            _ratio(pool.oversubscription),
            " x ".join(
                f"{name} {_ratio(factor)}"
                for name, factor in pool.oversubscription_by_level.items()
            )
            or "no shared uplinks",
        ]
        for pool in summary.pools
    ]
    return f"Oversubscription\n{table(rows, ['pool', 'total', 'by level'])}\n{_MEANING}"


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
