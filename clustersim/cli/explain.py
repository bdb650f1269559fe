"""`clustersim explain`: why the jobs of a finished run waited."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from clustersim.cli.options import add_catalogue
from clustersim.console import warn, write_json
from clustersim.errors import InputError

if TYPE_CHECKING:
    from clustersim.simulation.result import Result

__all__ = ["add_explain", "add_parser", "run", "with_causes"]

_EXAMPLE = """\
example:
  clustersim replay jobs.csv --policy easy --accelerators 64 --out result
  clustersim explain result
  clustersim explain result --job 2
"""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "explain",
        help="say why the jobs of a finished run waited, or one of them",
        description="Say why jobs waited: accelerator-hours by cause (too few free accelerators, "
        "placement, the policy's order, quota, windows, budgets, dependencies, nodes out of "
        "service, partitions, preemption), or with --job the intervals of a wait, who was ahead, "
        "and when the job could have started. The answer follows from the tables of the run; "
        "nothing is simulated again.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("result", metavar="DIR", help="folder written by `run` or `replay`")
    parser.add_argument("--job", metavar="ID", help="explain the wait of this job")
    parser.add_argument(
        "--cluster",
        metavar="TOPOLOGY",
        help="the topology on which it ran, if the result does not say that or the file has moved",
    )
    add_catalogue(parser)
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE.csv",
        help="new file (.csv or .parquet) with a row for each job: its main cause (waited_for) and "
        "the seconds of each; with --job, a row for each interval",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from clustersim.explanation.explain import explain
    from clustersim.explanation.text import flat_intervals, job_data, job_text, run_data, run_text
    from clustersim.outputs import write_table

    _check_name(args.out)
    if args.job is None:
        whole = explain(args.result, cluster=args.cluster, catalogue=args.catalogue)
        text, data, rows = run_text(whole), run_data(whole), whole.jobs
    else:
        found = explain(args.result, job=args.job, cluster=args.cluster, catalogue=args.catalogue)
        text, data, rows = job_text(found), job_data(found), flat_intervals(found.intervals)
    if args.out is not None:
        write_table(rows, args.out)
    print(text)
    if args.out is not None:
        print(f"written to {args.out}")
    write_json({**data, "file": args.out})
    return 0


def _check_name(out: Path | None) -> None:
    """Raise an error if the file exists or has a wrong suffix, before anything is computed."""
    from clustersim.outputs import refuse_existing

    if out is None:
        return
    if out.suffix.lower() not in (".csv", ".parquet"):
        raise InputError("--out", f"{str(out)!r} must end in .csv or .parquet")
    refuse_existing(out)


def add_explain(parser: argparse.ArgumentParser) -> None:
    """Add ``--explain``, of `run` and `replay`."""
    parser.add_argument(
        "--explain",
        action="store_true",
        help="add a column waited_for to jobs.parquet: why each job waited, and a section to the "
        "page; `clustersim explain` says more",
    )


def with_causes(result: Result, wanted: bool) -> Result:
    """Return a result with a column ``waited_for`` of its jobs if it is wanted and possible."""
    if not wanted:
        return result
    from clustersim.explanation.explain import with_waited_for

    try:
        return with_waited_for(result)
    except InputError as error:
        warn(f"the column waited_for is missing: {error}")
        return result
