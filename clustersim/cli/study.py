"""`clustersim study`: run a study."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clustersim.cli.options import (
    add_catalogue,
    add_changes,
    add_formats,
    add_no_report,
    add_plugins,
    add_quick,
    whole_number,
)
from clustersim.cli.texts.result_json import write_last
from clustersim.console import plain_notes
from clustersim.errors import InputError

if TYPE_CHECKING:
    from clustersim.report.study import Conducted
    from clustersim.studies.study import Study

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
        epilog="example: clustersim study experiments/capacity_vs_load.yaml --out out/load\n"
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
    add_catalogue(
        parser, "chips, models and planning assumptions, besides those of the base scenario"
    )
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
    from clustersim.studies.store_file import open_store
    from clustersim.studies.study import load_study

    if args.keep_old and not args.resume:
        raise InputError("--keep-old", "is only allowed with --resume")
    formats = picture_formats(args.formats, "--format")
    study = load_study(
        args.study,
        quick=args.quick,
        changes=args.changes,
        plugins=args.plugins,
        catalogue=args.catalogue,
    )
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
    )
    write_last(
        lambda: conducted.write_page() if args.report else None,
        {"quick": args.quick, **_data(study, conducted, removed)},
        args.out,
    )
    if not conducted.complete:
        return 130
    with open_store(Path(args.out)) as store:
        return 1 if conducted.not_drawn or store.any_failed() else 0


def _data(study: Study, conducted: Conducted, notes: Sequence[str]) -> dict[str, Any]:
    """Return the answer, findings and tables of a study as plain data.

    The keys are always the same; an interrupted study without runs has no answer and no tables.
    """
    result, found = conducted.result, conducted.found
    runs = None if result is None else result.runs
    fleets = () if found is None else found.fleets.notes
    return {
        "name": study.spec.name,
        "question": study.spec.question,
        "answer": None if found is None else found.answer,
        "complete": conducted.complete,
        "not_drawn": conducted.not_drawn,
        "runs": 0 if runs is None else len(runs),
        "failed_runs": 0 if runs is None else int((runs["status"] == "failed").sum()),
        "findings": [] if found is None else found.sentences,
        "warnings": [] if found is None else plain_notes(found.warnings),
        "notes": plain_notes([*fleets, *notes]),
        **{name: getattr(result, name, None) for name in TABLES},
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
