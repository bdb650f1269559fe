"""`clustersim plan`: which chips to buy, and when."""

from __future__ import annotations

import argparse
import shlex
import sys
from contextlib import ExitStack
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING

from clustersim.cli.options import (
    add_catalogue,
    add_changes,
    add_formats,
    add_no_report,
    add_quick,
    catalogue_arguments,
    whole_number,
)
from clustersim.cli.texts.result_json import write_last
from clustersim.console import repeat, shows_progress
from clustersim.interrupts import held, last_words

if TYPE_CHECKING:
    from clustersim.procurement import PurchasePlan

__all__ = ["add_parser", "run"]


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "plan",
        help="find how many chips of each type to buy in each quarter",
        description="Find the purchases that meet a demand at the lowest expected cost over "
        "supply scenarios, compute the shadow price of every limit, and check the plan by "
        "simulation. Exit code 1: the limits permit no plan (the folder then contains what is "
        "missing), or the simulated service misses its objective. An interrupt keeps the purchases "
        "and the finished simulations; --resume continues.",
        epilog="example: clustersim plan experiments/plan_2026.yaml --out out/plan\n"
        "         clustersim plan experiments/plan_2026.yaml --out out/half "
        "--set 'budget=80e9 CNY'",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("plan", metavar="PLAN.yaml")
    parser.add_argument("--out", required=True, metavar="DIR", help="new folder for the plan")
    parser.add_argument(
        "--resume", action="store_true", help="continue the interrupted plan in --out"
    )
    add_quick(parser)
    parser.add_argument(
        "--workers",
        type=whole_number,
        metavar="N",
        help="simulation processes (default: one per core)",
    )
    parser.add_argument(
        "--tornado",
        nargs="?",
        const=0.2,
        type=float,
        metavar="SHARE",
        help="also change each assumption by this share (default: 0.2), one at a time, and write "
        "tornado.csv: change of the cost and the first purchases, and regret of keeping them",
    )
    add_changes(parser, " of the plan; null removes it, and the output states what applies instead")
    add_catalogue(parser, "chips, models and planning assumptions, besides those of the plan")
    add_formats(parser)
    add_no_report(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from clustersim.cli.texts.plan_text import plan_text
    from clustersim.errors import InputError
    from clustersim.plots.style import picture_formats
    from clustersim.procurement import load_plan, plan_purchases
    from clustersim.procurement.output import plan_content, plan_folder, write_plan
    from clustersim.procurement.solve import Effort
    from clustersim.procurement.summary_text import conclusion
    from clustersim.procurement.tornado import tornado, tornado_text
    from clustersim.report.last_page import printed_page
    from clustersim.report.plan_page import write_plan_page

    formats = picture_formats(args.formats, "--format")
    if args.workers is not None and args.workers < 1:
        raise InputError("--workers", f"must be 1 or more, found {args.workers}")
    if args.tornado is not None and not 0 < args.tornado < 1:
        raise InputError("--tornado", f"must be between 0 and 1, found {args.tornado:g}")
    question = load_plan(
        args.plan, quick=args.quick, changes=args.changes, catalogue=args.catalogue
    )
    command, changed = _command(args), None
    unfinished = f"the plan so far is in {args.out}; --resume continues it"
    with (
        plan_folder(args.out, question, resume=args.resume) as (folder, kept),
        ExitStack() as words,
    ):

        def keep(plan: PurchasePlan) -> None:
            kept.begin()
            write_plan(plan, folder, formats=(), command=command)
            words.enter_context(last_words(unfinished))

        plan = plan_purchases(
            question,
            workers=args.workers,
            report=_print_progress if sys.stderr.isatty() and shows_progress() else None,
            kept=kept,
            state=keep,
        )
        with held():
            kept.begin()
            write_plan(plan, folder, formats, command=command)
        if args.tornado is not None and plan.schedule is not None:
            effort = Effort(question.spec.gap, question.spec.search_nodes)
            changed = tornado(plan.problem, plan.schedule, args.tornado, effort)
            changed.to_csv(folder / "tornado.csv", index=False)
    print(plan_text(plan))
    if changed is not None:
        print(fill(tornado_text(changed, args.tornado), 100))
    print(f"written to {args.out}")
    for warning in plan.warnings:
        repeat(f"Warning: {warning}")

    def write() -> Path | None:
        return printed_page(args.out, lambda: write_plan_page(args.out)) if args.report else None

    write_last(write, {**plan_content(plan), "meets": plan.meets}, args.out)
    if not (plan.missing or plan.meets):
        repeat(f"clustersim: {conclusion(plan)}")
    if plan.missing:
        return 130
    return 0 if plan.meets else 1


def _command(args: argparse.Namespace) -> str:
    """Return the command that makes the same plan in another folder."""
    words = ["clustersim", "plan", args.plan, *(["--quick"] if args.quick else [])]
    for change in args.changes:
        words += ["--set", change]
    words += ["--tornado", f"{args.tornado:g}"] if args.tornado is not None else []
    words += catalogue_arguments(args.catalogue)
    return f"{shlex.join(words)} --out again"


def _print_progress(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
