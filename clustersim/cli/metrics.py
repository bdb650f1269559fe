"""`clustersim metrics`: the available metrics, and the columns of all tables."""

from __future__ import annotations

import argparse

from clustersim.cli.options import add_plugins, add_renamed
from clustersim.console import write_document, write_json

__all__ = ["add_parser", "run"]


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "metrics",
        help="list the metrics that studies can measure, with unit and definition",
        description="List the metrics that studies can measure, or the columns of all tables.",
        epilog="example: clustersim metrics p95_wait_s\n"
        "         clustersim metrics --plugins my_metrics.py\n"
        "         $ clustersim metrics fragmentation p99_jct_s --of out/las\n"
        "         clustersim metrics --list-columns > columns.md",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "names", nargs="*", metavar="METRIC", help="list only these metrics (default: all)"
    )
    parser.add_argument(
        "--list-columns",
        action="store_true",
        help="print the columns of all tables that clustersim writes, in Markdown",
    )
    add_renamed(parser, "--columns", "--list-columns")
    parser.add_argument(
        "--of",
        metavar="DIR",
        help="measure the named metrics over the whole run in this folder (default: those on "
        "request)",
    )
    add_plugins(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from clustersim.analysis.columns.column_page import column_rows, columns_page
    from clustersim.analysis.metric_list import chosen_metrics, metric_lines, metric_rows
    from clustersim.analysis.registry import load_plugins, registered_text
    from clustersim.errors import InputError

    plugins = load_plugins(args.plugins)
    if args.list_columns:
        if args.names:
            raise InputError("metrics", f"--list-columns takes no name, found {args.names[0]!r}")
        if args.json:
            write_json(column_rows())
        else:
            write_document(columns_page())
        return 0
    metrics = chosen_metrics(args.names)
    if args.of is not None:
        return _measure(args)
    print("\n".join(metric_lines(metrics)))
    if plugins:
        print("\n".join(["", *registered_text(plugins)]))
    write_json(metric_rows(metrics))
    return 0


def _measure(args: argparse.Namespace) -> int:
    """Measure metrics over a whole run, from its first to its last event."""
    import math

    from clustersim.analysis.metric_list import by_heading
    from clustersim.analysis.on_request.whole_run import metrics_of_run
    from clustersim.plots.axis import axis_of
    from clustersim.simulation.result import Result
    from clustersim.text_table import table

    known = [each for _, listed in by_heading() for each in listed]
    asked = args.names or [each.name for each in known if each.on_request]
    found = metrics_of_run(Result.load(args.of), asked, plugins=args.plugins)
    rows = []
    for name, value in found.items():
        axis = axis_of(name)
        rows.append([name, "unknown" if math.isnan(value) else axis.text(value), axis.label])
    print(table(rows, ["metric", "value", "meaning"]))
    write_json(found)
    return 0
