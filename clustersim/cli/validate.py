"""`clustersim validate`: is the simulator like the site whose log this is?"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from clustersim.cli.log_options import add_log_options, log_arguments, read_log
from clustersim.cli.options import (
    add_catalogue,
    add_no_report,
    add_policy_options,
    catalogue_arguments,
    policy_option_arguments,
    policy_options,
    whole_number,
)
from clustersim.cli.progress import step_progress
from clustersim.console import warn, wrapped_note, write_json
from clustersim.interrupts import check, held, taken

if TYPE_CHECKING:
    from clustersim.validation.result import Validation
    from clustersim.workload import JobLog

__all__ = ["add_parser", "run"]


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "validate",
        help="compare simulated waits with those that a site recorded, and say what is missing",
        description="Replay a log with recorded starts under several policies, say which is "
        "nearest and how far its waits are from the recorded ones, and which mechanism of the site "
        "(priorities, limits, partitions, capacity that was not available, hours of long jobs, "
        "...) explains most of the difference.",
        epilog="example: clustersim validate jobs.csv --accelerators 512 "
        "--recorded-wait 'mean=1 h' --out valid\n"
        "A log with recorded starts (start_s) needs no --recorded-wait.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "log", metavar="LOG", help="a log or a table of jobs, as for `clustersim replay`"
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--cluster", metavar="TOPOLOGY", help="a topology: a name or a file")
    where.add_argument(
        "--accelerators",
        type=whole_number,
        metavar="N",
        help="size of a pool without topology (default: the most that were in use at once)",
    )
    _add_comparison(parser)
    add_log_options(parser)
    add_catalogue(parser)
    parser.add_argument("--out", metavar="DIR", help="new folder for tables, figures and a page")
    add_no_report(parser)
    parser.set_defaults(run=run)


def _add_comparison(parser: argparse.ArgumentParser) -> None:
    """Add the options for what is compared with the log."""
    parser.add_argument(
        "--policies",
        metavar="NAMES",
        help="candidates, such as fcfs,easy or FILE.py:ClassName (default: fcfs, sjf, easy and, up "
        "to 50,000 jobs, conservative)",
    )
    parser.add_argument("--policy", type=_one_policy, help=argparse.SUPPRESS)
    parser.add_argument(
        "--placement",
        help="pooled (default without --cluster; also that of Kueue, which counts quota and does "
        "not choose nodes), consolidate (default with --cluster), another name that `clustersim "
        "policies` lists, or FILE.py:ClassName",
    )
    add_policy_options(parser, "the policies that have it")
    parser.add_argument(
        "--since",
        metavar="TIME",
        help='compare jobs from this time of the log on, such as "28 d" or 2026-03-01',
    )
    parser.add_argument(
        "--until",
        metavar="TIME",
        help='compare jobs before this time, such as "60 d" or 2026-04-01',
    )
    parser.add_argument(
        "--partition-column", metavar="NAME", help="column with the partitions (default: vc)"
    )
    parser.add_argument(
        "--recorded-wait",
        metavar="NAMES",
        help='for a log without starts, what is known: "mean=3760 s,median=189 s,p95=9 h"',
    )
    parser.add_argument(
        "--no-mechanisms",
        dest="mechanisms",
        action="store_false",
        help="only compare policies; do not look for what explains the difference",
    )


def run(args: argparse.Namespace) -> int:
    """Run the command; if it is interrupted, keep what is known."""
    from clustersim.outputs import new_folder
    from clustersim.report.of_validation.answer import validation_answer
    from clustersim.report.of_validation.text import mechanisms_text
    from clustersim.report.of_validation.written import validation_data, write_validation
    from clustersim.report.page import wrapped_answer

    recorded = _recorded(args.recorded_wait)
    log = read_log(args.log, args)
    print(log.report(), flush=True)
    page: Path | None = None
    with nullcontext() if args.out is None else new_folder(args.out) as folder:
        known = _SoFar(folder)
        with known.kept():
            known.found = _compared(args, log, recorded, known)
        found = known.found
        assert found is not None, "what is known was kept"
        if folder is not None:
            with held():
                page = write_validation(found, folder, command=_command(args), report=args.report)
    known.print_policies()
    if found.tested:
        print(f"\n{mechanisms_text(found)}")
    for note in found.notes[len(log.notes) :]:
        print(wrapped_note(note))
    print(wrapped_answer(validation_answer(found)))
    if args.out is not None:
        print(f"written to {args.out}")
    if page is not None:
        print(f"page: {page}")
    if found.unfinished:
        warn(f"interrupted: {found.unfinished}")
    write_json({**validation_data(found), "folder": args.out, "page": page})
    return 130 if found.unfinished else 0


@dataclass
class _SoFar:
    """What is known of a validation at any time; its policies are printed and written at once."""

    folder: Path | None
    found: Validation | None = None
    printed: bool = False

    def __call__(self, found: Validation) -> None:
        from clustersim.report.of_validation.written import write_policies

        with held():
            fresh = self.found is None or len(self.found.starts) < len(found.starts)
            self.found = found
            if fresh and self.folder is not None:
                write_policies(found, self.folder)
        check()

    def print_policies(self) -> None:
        """Print the table of the policies, once."""
        from clustersim.report.of_validation.text import policies_text

        if not self.printed and self.found is not None:
            self.printed = True
            print(policies_text(self.found), flush=True)

    @contextmanager
    def kept(self) -> Iterator[None]:
        """End the block at an interrupt, if anything is known."""
        try:
            yield
        except KeyboardInterrupt:
            taken()
            if self.found is None:
                raise
            print("clustersim: interrupted; keeping what is known", file=sys.stderr, flush=True)


def _compared(
    args: argparse.Namespace, log: JobLog, recorded: dict[str, float] | None, known: _SoFar
) -> Validation:
    """Return the comparison; the table of the policies is printed before mechanisms are tested."""
    from clustersim.calendar import Calendar
    from clustersim.scenario.dates import time_s
    from clustersim.validation.validate import validate

    calendar = Calendar(log.origin)

    def moment(option: str, text: str | None, default: float) -> float:
        return default if text is None else time_s(text, calendar, option)

    with step_progress() as progress:

        def step(text: str) -> None:
            if known.found is not None and not known.found.missing:
                known.print_policies()
            if progress is not None:
                progress(text)

        return validate(
            log,
            cluster=args.cluster,
            accelerators=args.accelerators,
            policies=None if args.policies is None else args.policies.split(","),
            placement=args.placement,
            options=policy_options(args.option),
            placement_options=policy_options(args.placement_option, "--placement-option"),
            since=moment("--since", args.since, 0.0),
            until=moment("--until", args.until, float("inf")),
            partition_column=args.partition_column,
            recorded_wait=recorded,
            mechanisms=args.mechanisms,
            catalogue=args.catalogue,
            progress=step,
            so_far=known,
        )


def _one_policy(text: str) -> str:
    """Refuse the option of other commands."""
    raise argparse.ArgumentTypeError(
        f"validate compares candidates: use --policies, such as --policies {text}"
    )


def _recorded(text: str | None) -> dict[str, float] | None:
    """Return the waits of ``mean=3760 s,median=189 s`` in seconds."""
    from clustersim.calendar import UNDATED
    from clustersim.errors import InputError, shown
    from clustersim.scenario.dates import time_s

    if text is None:
        return None
    found = {}
    for part in text.split(","):
        name, equals, value = part.partition("=")
        if not equals:
            allowed = 'must be like "mean=3760 s,median=189 s"'
            raise InputError("--recorded-wait", f"{allowed}, found {shown(text)}")
        found[name.strip()] = time_s(value.strip(), UNDATED, "--recorded-wait")
    return found


def _command(args: argparse.Namespace) -> str:
    """Return the command that makes the same result in another folder."""
    words = ["clustersim", "validate", args.log]
    for option, value in (
        ("--cluster", args.cluster),
        ("--accelerators", args.accelerators),
        ("--policies", args.policies),
        ("--placement", args.placement),
        ("--since", args.since),
        ("--until", args.until),
        ("--partition-column", args.partition_column),
        ("--recorded-wait", args.recorded_wait),
    ):
        words += [option, str(value)] if value is not None else []
    words += [*policy_option_arguments(args), *log_arguments(args)]
    words += [] if args.mechanisms else ["--no-mechanisms"]
    return shlex.join([*words, *catalogue_arguments(args.catalogue), "--out", "again"])
