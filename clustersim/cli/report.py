"""`clustersim report`: the HTML page of a study, a run or a plan."""

from __future__ import annotations

import argparse

from clustersim.console import write_json

__all__ = ["add_parser", "run"]


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "report",
        help="write the HTML page of a study, run or plan",
        description="Write report.html into the folder of a study, run, replay or plan: the "
        "answer, figures, sortable tables, assumptions, seeds, versions and commands in one "
        "self-contained file. A study may be unfinished.",
        epilog="example: clustersim report out/policies",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "folder", metavar="DIR", help="folder of `clustersim study`, `run`, `replay` or `plan`"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from clustersim.report.study import write_report

    page = write_report(args.folder)
    print(f"written: {page}")
    write_json({"folder": args.folder, "page": page})
    return 0
