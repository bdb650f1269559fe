"""`clustersim report`: the HTML page of a study."""

from __future__ import annotations

import argparse

from clustersim.console import write_json

__all__ = ["add_parser", "run"]


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "report",
        help="write the HTML page of a study",
        description="Write report.html into the folder of a study: figures, sortable tables, the "
        "scenario, seeds, versions and commands in one self-contained file. The study may be "
        "unfinished.",
        epilog="example: clustersim report out/policies",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", metavar="DIR", help="folder of `clustersim study`")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from clustersim.report.study import write_report

    page = write_report(args.folder)
    print(f"written: {page}")
    write_json({"files": [page]})
    return 0
