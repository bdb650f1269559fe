"""``clustersim topology``: the contents of a topology file as tables and a figure."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clustersim.cli.options import add_catalogue, picture_file
from clustersim.cli.site import add_site_options, refuse_site_options, write_site
from clustersim.cli.texts.topology_text import (
    MEANING,
    links_text,
    load_text,
    parts_text,
    prices_text,
    topology_sections,
)
from clustersim.console import plain_notes, write_json
from clustersim.errors import InputError
from clustersim.json_values import plain

if TYPE_CHECKING:
    import pandas as pd

    from clustersim.catalogue import Catalogue
    from clustersim.topology import ClusterSpec, ClusterSummary, NetworkParts

__all__ = ["add_parser", "run"]

EPILOG = """at a site:
  $ clustersim topology --from sinfo.txt --out my-cluster.yaml
  $ clustersim topology --from nodes.json --accelerator gpu=V100-SXM2-32GB --out my-cluster.yaml

example: clustersim topology bytedance-2026 --plot fleet.png
         clustersim topology h200-superpod --prices
         $ clustersim topology --load out/network --plot busy.png"""


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
        "file",
        metavar="FILE",
        nargs="?",
        help="topology file, or its name in topologies/; or a scenario with a fleet",
    )
    parser.add_argument("--case", metavar="NAME", help="case of a scenario with a fleet")
    parser.add_argument(
        "--plot", type=Path, metavar="OUT", help="draw it to OUT.png, OUT.svg or OUT.pdf"
    )
    parser.add_argument(
        "--prices",
        action="store_true",
        help="print what switches and links cost (clustersim catalogue --assumptions)",
    )
    parser.add_argument(
        "--load",
        metavar="DIR",
        help="print and draw the load of the shared links in the run of this folder; without FILE, "
        "on the topology of the run",
    )
    parser.add_argument(
        "--links",
        action="store_true",
        help="list the switches, network ports, links and uplinks that `network.faults` of a "
        "scenario can name",
    )
    parser.add_argument(
        "--links-of",
        metavar="NAME",
        help="list each link of one of them, or of a node, such as h200/leaf/0 or h200/node/5",
    )
    add_site_options(parser)
    add_catalogue(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the tables, and draw the topology if requested."""
    from clustersim.catalogue import hypothetical_note, load_catalogue
    from clustersim.topology import load_cluster, summarise

    if args.site is not None and args.load is not None:
        raise InputError("--load", "draws a topology file; write it first with --out")
    if (args.file is not None or args.load is not None) == (args.site is not None):
        raise InputError("topology", "needs FILE, --load DIR or --from FILE")
    if args.site is not None:
        if args.links or args.links_of is not None:
            raise InputError("--links", "is only allowed with FILE")
        return write_site(args)
    refuse_site_options(args)
    if args.plot is not None:
        from clustersim.plots.style import check_formats

        check_formats(args.plot, picture_file(args.plot)[1])
    catalogue = load_catalogue(*args.catalogue)
    spec = None if args.file is None else load_cluster(args.file, catalogue, case=args.case)
    spec, load = (spec, None) if args.load is None else _with_load(args.load, spec)
    assert spec is not None, "there is a file or a run"
    summary = summarise(spec)
    prices = _price_rows(spec, catalogue) if args.prices else None
    sections = topology_sections(spec, summary)
    sections += [] if prices is None else [prices_text(prices)]
    sections += [] if load is None else [load_text(load)]
    named, parts = _named_parts(spec, args)
    sections += named
    print("\n\n".join(sections))
    note = hypothetical_note(
        catalogue.accelerator(pool.accelerator) for pool in spec.pools.values()
    )
    if note is not None:
        print(f"\n{note}")
    files = [] if args.plot is None else _plot(spec, args.plot, load, note)
    more: dict[str, Any] = {} if load is None else {"load": load.to_dict("records")}
    more |= {} if prices is None else {"prices": prices}
    write_json({**_data(spec, summary, note), **more, **parts, "files": files})
    return 0


def _with_load(folder: str, spec: ClusterSpec | None) -> tuple[ClusterSpec, pd.DataFrame]:
    """Return the topology of a run, or the given one, and the load of the links of the run."""
    from clustersim.analysis.link_load import check_links, link_loads
    from clustersim.forecasting.saved_run import topology_of_run
    from clustersim.simulation.result import Result

    result = Result.load(folder)
    if result.network_load is None:
        raise InputError(
            "--load",
            f"{folder} has no load of links: the run did not simulate the network (--network), or "
            "its jobs do not slow each other down (network.contention)",
        )
    own = topology_of_run(result)
    if own is not None and spec is not None:
        raise InputError("--load", f"{folder} says on which topology it ran; leave out FILE")
    spec = own if spec is None else spec
    if spec is None:
        raise InputError("--load", f"{folder} does not say on which topology it ran; name its FILE")
    loads = link_loads(result.network_load, float(result.provenance["simulated_s"]))
    check_links(spec, loads, f"--load: {folder}")
    return spec, loads


def _price_rows(spec: ClusterSpec, catalogue: Catalogue) -> list[dict[str, Any]]:
    """Return the price of the switches and links of each pool, and of its servers (CNY)."""
    from clustersim.catalogue.assumptions import server_price_cny
    from clustersim.costs.network_price import network_price

    rows = []
    prices = network_price(spec, catalogue.assumptions)
    for name, pool in spec.pools.items():
        own = prices[prices["pool"] == name].groupby("kind")["price_cny"].sum()
        if own.empty:  # a pool without a fabric
            continue
        chips = pool.endpoints().chips
        chip = catalogue.accelerator(pool.accelerator)
        server = server_price_cny(chip, catalogue.assumptions, chips_per_node=pool.chips_per_node)
        rows.append(
            {
                "pool": name,
                "switches_cny": float(own.get("switch", 0.0)),
                "links_cny": float(own.get("link", 0.0)),
                "network_cny": float(own.sum()),
                "chips": chips,
                "servers_cny": None if server is None else chips * server[1],
            }
        )
    return rows


def _named_parts(spec: ClusterSpec, args: argparse.Namespace) -> tuple[list[str], dict[str, Any]]:
    """Return the parts of the network that faults can name, as text and as plain data."""
    from clustersim.topology import NetworkParts, compile_cluster

    texts: list[str] = []
    data: dict[str, Any] = {}
    if not args.links and args.links_of is None:
        return texts, data
    network = NetworkParts(compile_cluster(spec))
    if args.links:
        texts.append(parts_text(network.listed()))
        data["parts"] = [plain(each) for each in network.listed()]
    if args.links_of is not None:
        links = _links_of(network, args.links_of)
        texts.append(links_text(args.links_of, links))
        fields = ("name", "cables", "rate_Bps")
        listed = [dict(zip(fields, link, strict=True)) for link in links]
        data["links_of"] = {"name": args.links_of, "links": listed}
    return texts, data


def _links_of(network: NetworkParts, name: str) -> list[tuple[str, int, float]]:
    try:
        return network.links_of(name)
    except ValueError as error:
        raise InputError("--links-of", str(error)) from None


def _data(spec: ClusterSpec, summary: ClusterSummary, note: str | None) -> dict[str, Any]:
    """Return the tables as plain data, in SI units."""
    totals = ("nodes", "chips", "switches", "links")
    network = spec.datacenter_network
    return {
        "name": summary.name,
        "description": summary.description,
        **{name: getattr(summary, name) for name in (*totals, "bisection_Bps")},
        "datacenter_latency_s": None if network is None else network.latency,
        "meaning": {"oversubscription": MEANING.replace("\n", " ")},
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


def _plot(spec: ClusterSpec, out: Path, load: pd.DataFrame | None, note: str | None) -> list[Path]:
    from clustersim.plots.fabric.topology import draw_topology
    from clustersim.plots.style import save_figure

    drawn = save_figure(draw_topology(spec, load=load, note=note), *picture_file(out))
    for path in drawn:
        print(f"\nwrote {path}")
    return drawn
