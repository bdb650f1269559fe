"""`clustersim what-if`: what more load, nodes or another scheduler would do to a log."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING

from clustersim.cli.log_options import add_log_options, log_arguments, read_log
from clustersim.cli.options import (
    add_catalogue,
    add_changes,
    add_checkpoints,
    add_network,
    add_no_report,
    add_policy_options,
    add_span_pools,
    add_windows,
    catalogue_arguments,
    checkpoint_arguments,
    checkpoint_changes,
    network_changes,
    number,
    policy_option_arguments,
    policy_options,
    whole_number,
)
from clustersim.cli.progress import progress_of
from clustersim.console import repeat, wrapped_note, write_json
from clustersim.errors import shown
from clustersim.units import counted

if TYPE_CHECKING:
    from clustersim.whatif.result import WhatIf

__all__ = ["add_parser", "load_factor", "run"]


def load_factor(text: str) -> float:
    """Parse a factor on a load; a percentage is refused with the factor that it means.

    Examples
    --------
    >>> load_factor("1.2")
    1.2
    """
    if text.strip().endswith("%"):
        raise argparse.ArgumentTypeError(
            f"must be a factor, such as 1.2 for 20 % more load, found {shown(text)}"
        )
    return number(text)


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "what-if",
        help="compare the waits, use and cost of a log before and after a change",
        description="Run the jobs of a log on a fleet as it is and with a change (load, nodes, any "
        "field of the scenario), with intervals from replications that draw the weeks of the log "
        "again, and say in one sentence what the change does, what it costs, and on which "
        "assumption this depends most.",
        epilog="example: clustersim what-if jobs.csv --accelerators 512 --load 1.2 "
        "--add-accelerators 64 --out more",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "log", metavar="LOG", help="a log or a table of jobs, as for `clustersim replay`"
    )
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--cluster", metavar="TOPOLOGY", help="a topology: a name or a file")
    where.add_argument(
        "--accelerators",
        type=whole_number,
        metavar="N",
        help="size of a fleet without nodes; energy and cost are then not computed",
    )
    _add_change(parser)
    _add_both_sides(parser)
    parser.add_argument("--out", required=True, metavar="DIR", help="new folder for the result")
    parser.add_argument(
        "--workers", type=whole_number, metavar="N", help="worker processes (default: all cores)"
    )
    add_no_report(parser)
    parser.set_defaults(run=run)


def _add_change(parser: argparse.ArgumentParser) -> None:
    """Add the options for what differs between the sides."""
    change = parser.add_argument_group("what changes")
    change.add_argument(
        "--load",
        type=load_factor,
        default=1.0,
        metavar="X",
        help="load of the log: 1.2 is 20 %% more",
    )
    change.add_argument(
        "--method",
        choices=("superpose", "compress"),
        default="superpose",
        help="how the load is changed: copies of whole users, or times divided by X "
        "(default: superpose)",
    )
    change.add_argument(
        "--add-nodes",
        action="append",
        default=[],
        metavar="N",
        help="nodes to add: a number, or NAME=NUMBER with a pool, a virtual cluster or a "
        "partition; several with commas (gpu=8,a100=2) or the option repeated; negative numbers "
        "(--add-nodes=-4) remove nodes",
    )
    change.add_argument(
        "--add-accelerators",
        type=whole_number,
        default=0,
        metavar="N",
        help="accelerators to add to --accelerators",
    )
    add_windows(change)
    add_changes(change, " of the scenario, such as scheduler.policy")


def _add_both_sides(parser: argparse.ArgumentParser) -> None:
    """Add the options that hold for both sides."""
    both = parser.add_argument_group("on both sides")
    both.add_argument(
        "--policy", default="easy", help="a name such as fcfs, or FILE.py:ClassName (default: easy)"
    )
    both.add_argument(
        "--placement",
        help="a name, or FILE.py:ClassName (default: consolidate with --cluster, else pooled)",
    )
    add_policy_options(both)
    add_span_pools(both)
    add_checkpoints(both)
    add_network(both)
    both.add_argument(
        "--metric",
        default="",
        metavar="NAME",
        help="what the answer is about: p95_wait_s (default), mean_wait_s, p95_jct_s or mean_jct_s "
        "(completion time), or that of one partition or range of job sizes, such as p95_wait_s.gpu "
        "or p95_wait_s.65-128; if jobs are stopped, a wait is counted over all attempts",
    )
    both.add_argument(
        "--assume",
        action="append",
        default=[],
        metavar="a.b.c=value",
        help="a field of the scenario, such as start=2026-01-01; may be repeated",
    )
    both.add_argument(
        "--replications",
        type=whole_number,
        default=6,
        metavar="N",
        help="number of times that the weeks of the log are drawn again (default: 6)",
    )
    both.add_argument("--seed", type=whole_number, default=0, metavar="N", help="default: 0")
    add_log_options(both)
    add_catalogue(both)


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from clustersim.outputs import new_folder
    from clustersim.report.of_what_if.answer import what_if_answer
    from clustersim.report.of_what_if.text import what_if_text
    from clustersim.report.of_what_if.written import what_if_data, write_what_if
    from clustersim.report.page import wrapped_answer
    from clustersim.whatif.question import check_fleet
    from clustersim.whatif.what_if import what_if

    check_fleet(
        args.cluster, args.accelerators, args.add_nodes, args.add_accelerators, args.catalogue
    )
    log = read_log(args.log, args)
    print(log.report())
    with new_folder(args.out) as folder:
        with progress_of("run", "runs") as progress:
            found = what_if(
                log,
                cluster=args.cluster,
                accelerators=args.accelerators,
                load=args.load,
                method=args.method,
                add_nodes=args.add_nodes,
                add_accelerators=args.add_accelerators,
                maintenance=args.maintenance,
                reserve=args.reserve,
                changes=args.changes,
                assume=[*args.assume, *_scheduler(args)],
                policy=args.policy,
                metric=args.metric,
                replications=args.replications,
                catalogue=args.catalogue,
                seed=args.seed,
                format=args.log_format,
                sort=args.sort,
                workers=args.workers,
                progress=progress,
            )
        page = write_what_if(found, folder, command=_command(args), report=args.report)
    print(what_if_text(found))
    for note in found.notes:
        print(wrapped_note(note))
    print(wrapped_answer(what_if_answer(found)))
    print(f"written to {args.out}")
    for line in _wrong(found):
        repeat(line)
    if page is not None:
        print(f"page: {page}")
    write_json({**what_if_data(found), "folder": args.out, "page": page})
    return 0


def _scheduler(args: argparse.Namespace) -> Iterator[str]:
    """Yield the fields of the scenario that the options of both sides mean.

    Examples
    --------
    >>> parser = argparse.ArgumentParser()
    >>> _add_both_sides(parser)
    >>> list(_scheduler(parser.parse_args(["--placement", "spread", "--option", "ageing=2"])))
    ['scheduler.placement=spread', 'scheduler.options.ageing=2']
    """
    if args.placement is not None:
        yield f"scheduler.placement={args.placement}"
    for field, option in (("options", "option"), ("placement_options", "placement_option")):
        pairs = policy_options(getattr(args, option), f"--{option.replace('_', '-')}")
        for name, value in pairs.items():
            yield f"scheduler.{field}.{name}={value}"
    if args.span_pools is not None:
        yield f"scheduler.span_pools={args.span_pools}"
    yield from checkpoint_changes(args)
    yield from network_changes(args.network)


def _wrong(found: WhatIf) -> Iterator[str]:
    """Yield what a reader must know even if the text is dropped."""
    for row in found.fleet.to_dict("records"):
        if row["never"] > 0:
            jobs = counted(int(row["never"]), "job")
            yield f"{jobs} can never run on the fleet ({row['system']})"


def _command(args: argparse.Namespace) -> str:
    """Return the command that makes the same result in another folder."""
    words = ["clustersim", "what-if", args.log]
    words += ["--cluster", args.cluster] if args.cluster else []
    words += ["--accelerators", str(args.accelerators)] if args.accelerators else []
    words += ["--load", f"{args.load:g}"] if args.load != 1 else []
    words += ["--method", args.method] if args.method != "superpose" else []
    words += [f"--add-nodes={nodes}" for nodes in args.add_nodes]
    words += [f"--add-accelerators={args.add_accelerators}"] if args.add_accelerators else []
    for option, values in (
        ("--maintenance", args.maintenance),
        ("--reserve", args.reserve),
        ("--set", args.changes),
        ("--assume", args.assume),
    ):
        words += [word for value in values for word in (option, value)]
    words += ["--policy", args.policy] if args.policy != "easy" else []
    words += ["--placement", args.placement] if args.placement is not None else []
    words += ["--span-pools", args.span_pools] if args.span_pools is not None else []
    words += checkpoint_arguments(args)
    words += [word for value in args.network for word in ("--network", value)]
    words += policy_option_arguments(args)
    words += ["--metric", args.metric] if args.metric else []
    words += ["--replications", str(args.replications)] if args.replications != 6 else []
    words += ["--seed", str(args.seed)] if args.seed else []
    words += log_arguments(args)
    return shlex.join([*words, *catalogue_arguments(args.catalogue), "--out", "again"])
