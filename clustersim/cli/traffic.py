"""`clustersim traffic`: what the chips of a job send, by kind and level of links."""

from __future__ import annotations

import argparse
import re
from typing import TYPE_CHECKING, Any

from clustersim.cli.options import add_catalogue, whole_number
from clustersim.console import write_json
from clustersim.errors import InputError, shown

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["add_parser", "run"]

DESCRIPTION = """\
Print the bytes that the chips of a training job send in one step, by kind of parallelism, over
scale-up links and over the network, and what of the communication computation does not hide. With
--topology, also print the bytes on each level of links and the step time on the job's nodes."""
EXAMPLES = """\
example:
  clustersim traffic --model llama3-70b --accelerator H200 --count 512
  clustersim traffic --model llama3-8b --accelerator H200 --count 64 --topology h200-superpod"""
MOST_NODES = 1_000_000


def add_parser(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "traffic",
        help="bytes that a training job sends, by level of links",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--model", required=True, metavar="NAME", help="model in the catalogue")
    parser.add_argument(
        "--accelerator", required=True, metavar="NAME", help="chip in the catalogue"
    )
    parser.add_argument(
        "--count", required=True, type=whole_number, metavar="N", help="number of chips"
    )
    parser.add_argument(
        "--plan", metavar="tp=8,pp=4,...", help="plan (default: the best one found)"
    )
    parser.add_argument("--global-batch", type=whole_number, metavar="N", help="sequences per step")
    parser.add_argument(
        "--precision", type=str.lower, default="bf16", metavar="bf16|fp8", help="(default: bf16)"
    )
    parser.add_argument("--stack", metavar="NAME", help="software stack, such as 'NeMo 24.07'")
    parser.add_argument(
        "--topology", metavar="FILE", help="topology file, or its name in topologies/"
    )
    parser.add_argument(
        "--nodes",
        metavar="0-7,32",
        help="nodes of the job, numbered over all pools, in the order of its ranks",
    )
    parser.add_argument(
        "--placement",
        metavar="packed|spread",
        help="choose the nodes: the first ones of the pool (default), or as many as possible",
    )
    parser.add_argument("--calibration", metavar="FILE", help="calibration from `clustersim fit`")
    add_catalogue(parser, "chips and models")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from clustersim.catalogue import load_catalogue
    from clustersim.cli.texts.traffic_text import traffic_data, traffic_text
    from clustersim.estimation.traffic_estimate import estimate_traffic
    from clustersim.performance import default_calibration, load_calibration
    from clustersim.topology import compile_cluster, load_cluster

    _check(args)
    catalogue = load_catalogue(*args.catalogue)
    found = estimate_traffic(
        args.model,
        args.accelerator,
        args.count,
        plan=args.plan,
        global_batch=args.global_batch,
        precision=args.precision,
        stack=args.stack,
        cluster=None
        if args.topology is None
        else compile_cluster(load_cluster(args.topology, catalogue)),
        nodes=None if args.nodes is None else read_nodes(args.nodes),
        placement=args.placement or "packed",
        calibration=default_calibration()
        if args.calibration is None
        else load_calibration(args.calibration),
        catalogue=catalogue,
    )
    print(traffic_text(found))
    write_json(traffic_data(found))
    return 0


def _check(args: argparse.Namespace) -> None:
    problems = [
        f"--{name} needs --topology"
        for name in ("nodes", "placement")
        if getattr(args, name) is not None and args.topology is None
    ]
    if args.nodes is not None and args.placement is not None:
        problems.append("takes either --nodes or --placement")
    if problems:
        raise InputError("traffic", problems)


def read_nodes(text: str) -> Sequence[int]:
    """Read a list of nodes and ranges of nodes.

    Raises
    ------
    InputError
        If a part is not a number or an ascending range.

    Examples
    --------
    >>> read_nodes("0-2,7")
    [0, 1, 2, 7]
    """
    nodes: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,7})(?:-(\d{1,7}))?\s*", part)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, -1)
        if last < first or len(nodes) + last - first >= MOST_NODES:
            raise InputError(
                "--nodes", f"must be numbers and ranges such as 0-7,32, found {shown(part)}"
            )
        nodes += range(first, last + 1)
    return nodes
