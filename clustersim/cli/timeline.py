"""`clustersim timeline`: a finished run as a timeline for a trace viewer."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Literal

from clustersim.cli.options import whole_number
from clustersim.console import write_json

__all__ = ["add_parser", "run"]

_EXAMPLE = """\
example:
  clustersim replay jobs.csv --policy easy --accelerators 64 --out result
  clustersim timeline result --out result.json.gz
"""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "timeline",
        help="write a run as a timeline for a trace viewer",
        description="Write which jobs ran where and when as a trace file for ui.perfetto.dev and "
        "chrome://tracing.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("result", metavar="DIR", help="folder written by `run` or `replay`")
    parser.add_argument(
        "--out", required=True, type=Path, metavar="TRACE.json", help="new file, .json or .json.gz"
    )
    parser.add_argument(
        "--by", choices=("node", "pool"), default="node", help="rows are nodes, or lanes of a pool"
    )
    parser.add_argument(
        "--events",
        type=Path,
        metavar="EVENTS.csv",
        help="CSV file of marks to show: time_s (seconds or a date), kind and optionally pool, "
        "node, text",
    )
    parser.add_argument(
        "--most-jobs",
        type=whole_number,
        metavar="N",
        help="only the first N jobs; counters include all jobs",
    )
    parser.add_argument(
        "--plot",
        type=Path,
        metavar="GANTT.png",
        help="also draw a small run: its nodes, or with --by pool its jobs and their waits",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from clustersim.errors import named_in
    from clustersim.report.timeline import chrome_trace
    from clustersim.simulation.result import Result

    _check_names(args.out, args.plot)
    result = Result.load(args.result)
    trace = chrome_trace(result, by=args.by, events=args.events, most_jobs=args.most_jobs)
    figure = None
    if args.plot is not None:
        from clustersim.plots.gantt import plot_gantt

        rows: Literal["node", "job"] = "node" if args.by == "node" else "job"
        with named_in("timeline", "--plot"):
            drawn = plot_gantt(result, by=rows, most_jobs=args.most_jobs)
        figure = drawn.get_figure(root=True)
    trace.write(args.out)
    if figure is not None:
        from clustersim.plots.style import save_figure

        save_figure(figure, args.plot.with_suffix(""), (args.plot.suffix[1:].lower(),))
    marks = f", {_count(trace.n_marks, 'mark')}" if trace.n_marks else ""
    print(f"{_count(trace.n_slices, 'slice')} on {_count(trace.n_tracks, 'track')}{marks}")
    print(f"wrote {args.out}; open it in ui.perfetto.dev")
    if args.plot is not None:
        print(f"wrote {args.plot}")
    write_json(
        {
            "slices": trace.n_slices,
            "tracks": trace.n_tracks,
            "marks": trace.n_marks,
            "files": [args.out, *([] if args.plot is None else [args.plot])],
        }
    )
    return 0


def _check_names(out: Path, plot: Path | None) -> None:
    """Raise an error if a file exists or has a wrong suffix, before anything is written."""
    from clustersim.errors import InputError
    from clustersim.outputs import refuse_existing

    if not out.name.lower().endswith((".json", ".json.gz")):
        raise InputError("--out", f"{str(out)!r} must end in .json or .json.gz")
    refuse_existing(out)
    if plot is not None:
        if plot.suffix.lower() not in (".png", ".svg", ".pdf"):
            raise InputError("--plot", f"{str(plot)!r} must end in .png, .svg or .pdf")
        refuse_existing(plot)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
