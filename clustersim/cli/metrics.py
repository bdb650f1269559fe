"""`clustersim metrics`: the available metrics, and the columns of all tables."""

from __future__ import annotations

import argparse
import json

from clustersim.cli.options import add_plugins

__all__ = ["add_parser", "run"]


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "metrics",
        help="list the metrics that studies can measure, with unit and definition",
        description="List the metrics that studies can measure, or the columns of all tables.",
        epilog="example: clustersim metrics --plugins my_metrics.py\n"
        "         clustersim metrics --columns > columns.md",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", action="store_true", help="as JSON, for other programs")
    parser.add_argument(
        "--columns",
        action="store_true",
        help="print the columns of all tables that clustersim writes, in Markdown",
    )
    add_plugins(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from clustersim.analysis.column_page import column_rows, columns_page
    from clustersim.analysis.metric_list import metric_lines, metric_rows
    from clustersim.analysis.registry import load_plugins, registered_text

    plugins = load_plugins(args.plugins)
    if args.json:
        rows = column_rows() if args.columns else metric_rows()
        print(json.dumps(rows, indent=2))
    elif args.columns:
        print(columns_page(), end="")
    else:
        print("\n".join([*metric_lines(), *([""] if plugins else []), *registered_text(plugins)]))
    return 0
