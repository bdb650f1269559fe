"""`clustersim validate`: is the simulator like the site whose log this is?"""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path

from clustersim.cli.log_options import add_log_options, log_arguments, read_log
from clustersim.cli.options import add_catalogue, add_no_report, catalogue_arguments, whole_number
from clustersim.cli.progress import step_progress
from clustersim.console import wrapped_note, write_json

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
        "not choose nodes), consolidate (default with --cluster), spread, or FILE.py:ClassName",
    )
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
    """Run the command."""
    from clustersim.calendar import Calendar
    from clustersim.outputs import new_folder
    from clustersim.report.of_validation.answer import validation_answer
    from clustersim.report.of_validation.text import validation_text
    from clustersim.report.of_validation.written import validation_data, write_validation
    from clustersim.report.page import wrapped_answer
    from clustersim.scenario.dates import time_s
    from clustersim.validation.result import validate

    recorded = _recorded(args.recorded_wait)
    policies = None if args.policies is None else args.policies.split(",")
    log = read_log(args.log, args)
    print(log.report())
    calendar = Calendar(log.origin)

    def moment(option: str, text: str | None, default: float) -> float:
        return default if text is None else time_s(text, calendar, option)

    page: Path | None = None
    with step_progress() as progress:
        found = validate(
            log,
            cluster=args.cluster,
            accelerators=args.accelerators,
            policies=policies,
            placement=args.placement,
            since=moment("--since", args.since, 0.0),
            until=moment("--until", args.until, float("inf")),
            partition_column=args.partition_column,
            recorded_wait=recorded,
            mechanisms=args.mechanisms,
            catalogue=args.catalogue,
            progress=progress,
        )
    if args.out is not None:
        with new_folder(args.out) as folder:
            page = write_validation(found, folder, command=_command(args), report=args.report)
    print(validation_text(found))
    for note in found.notes[len(log.notes) :]:
        print(wrapped_note(note))
    print(wrapped_answer(validation_answer(found)))
    if args.out is not None:
        print(f"written to {args.out}")
    if page is not None:
        print(f"page: {page}")
    write_json({**validation_data(found), "folder": args.out, "page": page})
    return 0


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
    words += log_arguments(args)
    words += [] if args.mechanisms else ["--no-mechanisms"]
    return shlex.join([*words, *catalogue_arguments(args.catalogue), "--out", "again"])
