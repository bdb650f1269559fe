"""`clustersim plots`: the available kinds of plots."""

from __future__ import annotations

import argparse

from clustersim.cli.options import add_plugins
from clustersim.console import write_json

__all__ = ["add_parser", "run"]


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "plots",
        help="list the kinds of plots that studies can draw",
        description="List the kinds of plots that studies can draw, with the fields of an entry "
        "of `plots`.",
        epilog="example: clustersim plots --plugins my_plots.py",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_plugins(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from clustersim.analysis.registry import load_plugins, registered_text
    from clustersim.studies.plot_list import plot_lines, plot_rows

    plugins = load_plugins(args.plugins)
    print("\n".join([*plot_lines(), *([""] if plugins else []), *registered_text(plugins)]))
    write_json(plot_rows())
    return 0
