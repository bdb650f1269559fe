"""``clustersim topology --from``: a topology file from what a site's scheduler prints."""

from __future__ import annotations

import argparse
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clustersim.cli.options import whole_number
from clustersim.console import plain_notes, warn, write_json
from clustersim.errors import InputError
from clustersim.text_table import table
from clustersim.units import counted, format_count, format_duration

if TYPE_CHECKING:
    from clustersim.sites.site import Site
    from clustersim.sites.topology_file import SitePool

__all__ = ["add_site_options", "refuse_site_options", "write_site"]

_ONLY_WITH_FROM = ("out", "accelerator", "gpus_per_node", "columns", "date", "name")


def add_site_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--from`` and the options that go with it."""
    group = parser.add_argument_group("a topology from what a site has")
    group.add_argument(
        "--from",
        dest="site",
        metavar="FILE",
        help="output of sinfo, scontrol show node, scontrol show partition, kubectl get nodes -o "
        "json, kubectl describe nodes, pbsnodes -av, bhosts, lshosts, condor_status or qhost, a "
        "slurm.conf, or a table of nodes or virtual clusters",
    )
    group.add_argument("--out", metavar="OUT.yaml", help="write the topology to this new file")
    group.add_argument(
        "--accelerator",
        action="append",
        default=[],
        metavar="TYPE=CHIP",
        help="chip of the catalogue for a type as FILE writes it (may be repeated)",
    )
    group.add_argument(
        "--gpus-per-node",
        type=whole_number,
        metavar="N",
        help="accelerators of each node for which FILE gives no number",
    )
    group.add_argument(
        "--columns", metavar="A,B,...", help="names of the columns of a FILE without a header"
    )
    group.add_argument("--date", metavar="DAY", help="the day, in a table with several")
    group.add_argument("--name", metavar="NAME", help="name of the cluster (default: of OUT.yaml)")


def refuse_site_options(args: argparse.Namespace) -> None:
    """Raise an error if an option that needs ``--from`` is given without it."""
    for name in _ONLY_WITH_FROM:
        if getattr(args, name):
            raise InputError(f"--{name.replace('_', '-')}", "is only allowed with --from FILE")


def write_site(args: argparse.Namespace) -> int:
    """Read what a site has, print it, and write the topology."""
    from clustersim.catalogue import load_catalogue
    from clustersim.outputs import new_file, refuse_existing
    from clustersim.sites import read_site
    from clustersim.sites.chips import named_chips
    from clustersim.sites.topology_file import (
        pool_notes,
        site_pools,
        topology_text,
        unknown_types,
    )
    from clustersim.topology import load_cluster

    if args.plot is not None:
        raise InputError("--plot", "draws a topology file; write it first with --out")
    if args.out is not None:
        refuse_existing(args.out)
    catalogue = load_catalogue(*args.catalogue)
    named = named_chips(args.accelerator, catalogue)
    columns = [] if args.columns is None else args.columns.split(",")
    site = read_site(args.site, columns=columns, gpus_per_node=args.gpus_per_node, date=args.date)
    pools = site_pools(site, catalogue, named)
    name = args.name or Path(args.out or args.site).stem
    print(_text(site, pools))
    notes = pool_notes(pools)
    for note in notes:
        print("\n" + textwrap.fill(f"Note: {note}.", 100))
    unknown = unknown_types(pools)
    if unknown is not None:
        warn("\n" + textwrap.fill(unknown, 100, subsequent_indent="  "))
    if args.out is not None:
        with new_file(args.out) as draft:
            draft.write_text(topology_text(site, pools, name=name), encoding="utf-8")
            load_cluster(draft, catalogue)
        print(f"\nwrote {args.out}; lines marked ASSUMED are to be checked")
    write_json(_data(site, pools, notes, unknown, args.out))
    return 0


def _data(
    site: Site, pools: list[SitePool], notes: list[str], unknown: str | None, out: str | None
) -> dict[str, Any]:
    document = site.document()
    return {
        **document,
        "pools": [
            {
                "name": pool.name,
                "type": pool.kind,
                "accelerator": pool.chip.name,
                "basis": pool.chip.basis,
                "why": pool.chip.why,
                "nodes": pool.nodes,
                "nodes_out_of_service": pool.nodes_out,
                "chips_per_node": pool.chips_per_node,
                "queues": list(pool.partitions),
                **({"flavors": list(pool.flavors)} if pool.flavors else {}),
            }
            for pool in pools
        ],
        "notes": [*document["notes"], *notes, *plain_notes([] if unknown is None else [unknown])],
        "files": [] if out is None else [out],
    }


def _text(site: Site, pools: list[SitePool]) -> str:
    data = site.document()
    sections = [
        f"{site.source} ({site.format}): {counted(data['nodes_total'], 'node')}, "
        f"{data['nodes_in_service']:,} in service; "
        f"{counted(data['accelerators'], 'accelerator')}, "
        f"{data['accelerators_in_service']:,} in service",
        f"Accelerators by type as written\n{_types(site)}",
        f"Pools of the topology\n{_pools(pools)}",
    ]
    if site.partitions:
        sections.append(f"Partitions\n{_partitions(data['partitions'])}")
    left = [f"{count:,} {reason}" for reason, count in site.left_out.items()]
    notes = [*site.notes, *([f"rows left out: {', '.join(left)}"] if left else [])]
    if notes:
        sections.append("\n".join(textwrap.fill(f"Note: {note}.", 100) for note in notes))
    return "\n\n".join(sections)


def _types(site: Site) -> str:
    working = site.by_type(of=lambda node: node.in_service)
    rows = [
        [
            kind,
            format_count(sum(kind in (node.accelerators or {}) for node in site.nodes)),
            format_count(count),
            format_count(working.get(kind, 0)),
        ]
        for kind, count in site.by_type().items()
    ]
    return table(rows, ["type", "nodes", "accelerators", "in service"])


def _pools(pools: list[SitePool]) -> str:
    rows = [
        [
            pool.name,
            pool.chip.name + ("" if pool.chip.basis == "named" else " (assumed)"),
            format_count(pool.nodes),
            format_count(pool.nodes_out),
            format_count(pool.chips_per_node),
            ", ".join(pool.partitions),
        ]
        for pool in pools
    ]
    return table(rows, ["pool", "accelerator", "nodes", "out", "per node", "partitions"])


def _partitions(partitions: dict[str, dict[str, Any]]) -> str:
    rows = [
        [
            name + (" (default)" if each["default"] else ""),
            format_count(each["nodes"]),
            format_count(each["accelerators"]),
            "" if each["max_time_s"] is None else format_duration(each["max_time_s"]),
        ]
        for name, each in partitions.items()
    ]
    return table(rows, ["partition", "nodes", "accelerators", "longest job"])
