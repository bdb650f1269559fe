"""`clustersim study`: run a study."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clustersim.cli.options import (
    add_changes,
    add_formats,
    add_no_report,
    add_plugins,
    add_quick,
    whole_number,
)
from clustersim.console import plain_notes, write_json
from clustersim.errors import InputError

if TYPE_CHECKING:
    from clustersim.report.study import Conducted

__all__ = ["add_parser", "run"]

TABLES = ("points", "capacities", "gains", "differences", "indices")
"""Tables in the JSON; the table of all runs can be large and is only in the folder."""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "study",
        help="run a study: many runs and their analysis",
        description="Run the study in a YAML file. Each run is stored as soon as it is done; "
        "--resume continues a study that was stopped.",
        epilog="example: clustersim study experiments/policy_comparison.yaml --out out/policies\n"
        "         clustersim study my-study.yaml --out out/mine --dask tcp://scheduler:8786",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("study", metavar="STUDY.yaml")
    parser.add_argument("--out", required=True, metavar="DIR", help="folder for runs and results")
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--workers", type=whole_number, metavar="N", help="processes (default: one per core)"
    )
    where.add_argument("--dask", metavar="ADDRESS", help="scheduler address of a Dask cluster")
    parser.add_argument("--resume", action="store_true", help="continue the study in --out")
    parser.add_argument(
        "--keep-old",
        action="store_true",
        help="with --resume: keep runs made by different code (another version of clustersim, or "
        "changed files) instead of repeating them; the column code of the tables marks them",
    )
    add_quick(parser)
    add_changes(parser, " of the base scenario")
    add_formats(parser)
    add_plugins(parser)
    add_no_report(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from clustersim.plots.style import picture_formats
    from clustersim.report.study import conduct
    from clustersim.scenario.changes import change_items
    from clustersim.scenario.parameter_paths import removal_notes
    from clustersim.studies.store import open_store
    from clustersim.studies.study import load_study

    if args.keep_old and not args.resume:
        raise InputError("--keep-old", "is only allowed with --resume")
    formats = picture_formats(args.formats, "--format")
    study = load_study(args.study, quick=args.quick, changes=args.changes, plugins=args.plugins)
    if args.quick:
        print(_preview(study.spec.replications, args.study))
    removed = removal_notes(change_items(args.changes))
    for line in removed:
        print(line)
    conducted = conduct(
        study,
        args.out,
        workers=args.workers,
        dask=args.dask,
        resume=args.resume,
        keep_old=args.keep_old,
        formats=formats,
        page=args.report,
    )
    facts = {"name": study.spec.name, "folder": args.out, "quick": args.quick}
    write_json({**facts, **_data(conducted, removed)})
    if not conducted.complete:
        return 130
    with open_store(Path(args.out)) as store:
        return 1 if conducted.not_drawn or store.any_failed() else 0


def _data(conducted: Conducted, notes: Sequence[str]) -> dict[str, Any]:
    """Return the findings and tables of a study as plain data."""
    from clustersim.report.findings import findings, warnings
    from clustersim.report.study_page import fleet_notes

    facts = {"complete": conducted.complete, "not_drawn": conducted.not_drawn}
    result = conducted.result
    if result is None:
        return facts
    return {
        "question": result.study.spec.question,
        **facts,
        "runs": len(result.runs),
        "failed_runs": int((result.runs["status"] == "failed").sum()),
        "findings": findings(result),
        "warnings": plain_notes(warnings(result)),
        "notes": plain_notes([*fleet_notes(result), *notes]),
        **{name: getattr(result, name) for name in TABLES},
    }


def _preview(replications: object, path: str) -> str:
    """Return a note on the limits of a quick version of a study."""
    count = f"{replications} replications" if isinstance(replications, int) else "few replications"
    if replications == 1:
        count = "1 replication, which gives no interval between runs"
    return textwrap.fill(
        f"Note: this is a preview (--quick) with {count}; for the full study, run clustersim study "
        f"{path} --out DIR without --quick.",
        100,
    )
