"""`clustersim report`: the page, tables and pictures of a study, a run or a plan, again."""

from __future__ import annotations

import argparse

from clustersim.console import write_json

__all__ = ["add_parser", "run"]


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "report",
        help="write the page, tables and pictures of a study, run, plan or what-if again",
        description="Write report.html into the folder of a study, run, replay, plan or what-if: "
        "the answer, figures, sortable tables, assumptions, seeds, versions and commands in one "
        "self-contained file. The files beside it are written again from the stored results, so "
        "that they agree with the page: all tables and pictures of a study, the derived tables "
        "(and CSV files) of a run, the pictures of a plan. A study may be unfinished.",
        epilog="example: clustersim report out/load",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "folder",
        metavar="DIR",
        help="folder of `clustersim study`, `run`, `replay`, `plan` or `what-if`",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from clustersim.report.study import write_report

    page = write_report(args.folder)
    print(f"written: {page}")
    write_json({"folder": args.folder, "page": page})
    return 0
