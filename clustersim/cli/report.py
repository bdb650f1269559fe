"""`clustersim report`: the page of a study."""

from __future__ import annotations

import argparse

__all__ = ["add_parser", "run"]


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "report",
        help="write the page of a study",
        description="Write report.html in the folder of a study: pictures, tables that sort, the "
        "scenario, seeds, versions and commands in one file that needs nothing else. Also of a "
        "study that is not done yet.",
        epilog="example: clustersim report out/policies",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", metavar="DIR", help="folder that `clustersim study` made")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from clustersim.report.study import write_report

    print(f"written: {write_report(args.folder)}")
    return 0
