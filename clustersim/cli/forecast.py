"""``clustersim forecast``: when the waiting jobs of a site start."""

from __future__ import annotations

import argparse
import shlex
import textwrap
from pathlib import Path
from typing import Any

from clustersim.cli.options import (
    add_catalogue,
    add_no_report,
    add_span_pools,
    catalogue_arguments,
    policy_options,
    whole_number,
)
from clustersim.cli.progress import progress_of
from clustersim.cli.texts.forecast_text import forecast_text
from clustersim.console import write_json
from clustersim.errors import InputError
from clustersim.text_table import table
from clustersim.units import counted, format_percent, parse_quantity

__all__ = ["add_parser", "run"]

_EPILOG = """\
at a site:
  $ squeue -a --json > queue.json
  $ clustersim forecast queue.json --cluster my-cluster.yaml --history sacct.txt
  $ clustersim forecast queue.json --accelerators h100=64,a100=96 --time-zone Europe/Zurich

example: clustersim forecast result --at 80min"""
_OUTCOMES = ("within", "earlier", "later")
_TEXTS = (
    *("cluster", "accelerators", "policy", "history", "at", "time_zone", "taken_at", "columns"),
    *("default_limit", "span_pools"),
)
"""Options with a text that the command of a page repeats."""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "forecast",
        help="forecast when waiting jobs start",
        description="Forecast when each waiting job starts, with an interval and what it waits "
        "for, from the jobs that run and wait now.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "state",
        metavar="STATE",
        help="output of squeue (any format, --json), scontrol show job, kubectl get workloads, "
        "jobs or pods -o json, qstat -f, bjobs -o or condor_q -long; a table of jobs; or the "
        "folder of a saved run",
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--cluster", metavar="TOPOLOGY", help="a topology: a name or a file")
    where.add_argument(
        "--accelerators",
        metavar="N or PARTITION=N,...",
        help="accelerators that all jobs share, or those of each partition",
    )
    _add_simulation(parser)
    _add_reading(parser)
    _add_limits(parser)
    parser.add_argument(
        "--replications", type=whole_number, default=200, metavar="N", help="default: 200"
    )
    parser.add_argument("--seed", type=whole_number, default=1, metavar="N", help="default: 1")
    parser.add_argument(
        "--job",
        action="append",
        default=[],
        metavar="ID",
        help="print this waiting job only, with its whole explanation, and show it first on the "
        "page; may be repeated",
    )
    parser.add_argument(
        "--user",
        action="append",
        default=[],
        metavar="NAME",
        help="the same for all waiting jobs of this user; may be repeated",
    )
    parser.add_argument("--out", metavar="DIR", help="new folder for the tables and a page")
    parser.add_argument("--csv", action="store_true", help="also write the tables as CSV")
    add_catalogue(parser)
    add_no_report(parser)
    parser.set_defaults(run=run)


def _add_simulation(parser: argparse.ArgumentParser) -> None:
    """Add the options for the scheduling and the jobs that are simulated."""
    parser.add_argument(
        "--policy",
        help="a name such as easy or fcfs, or FILE.py:ClassName (default: that of the saved run, "
        "or easy)",
    )
    parser.add_argument(
        "--placement",
        help="a name such as pooled or consolidate (default: that of the saved run; else "
        "consolidate with --cluster, pooled with --accelerators)",
    )
    parser.add_argument(
        "--option",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="option of the policy, see `clustersim policies`; may be repeated",
    )
    add_span_pools(parser)
    parser.add_argument(
        "--history", metavar="LOG", help="a log of the site, for run times and further jobs"
    )
    parser.add_argument(
        "--no-arrivals", action="store_true", help="assume that no further jobs arrive"
    )


def _add_reading(parser: argparse.ArgumentParser) -> None:
    """Add the options that say how to read the state."""
    parser.add_argument(
        "--at",
        metavar="TIME",
        help="time of a saved run or table, such as 3d, or a date such as 2026-04-01T08:00",
    )
    parser.add_argument(
        "--check",
        type=whole_number,
        metavar="N",
        help="instead of --at: forecast a saved run at N times, and count how often its jobs then "
        "started within their intervals",
    )
    parser.add_argument("--time-zone", metavar="ZONE", help="zone of times that do not name one")
    parser.add_argument(
        "--taken-at", metavar="TIME", help="when STATE was printed, if it has no such time"
    )
    parser.add_argument(
        "--columns", metavar="A,B,...", help="names of the columns of a STATE without a header"
    )
    parser.add_argument(
        "--gpus-per-node",
        type=whole_number,
        metavar="N",
        help="assume N accelerators on each node of every job, for a STATE without numbers",
    )


def _add_limits(parser: argparse.ArgumentParser) -> None:
    """Add the options for limits that the state does not contain."""
    parser.add_argument(
        "--default-limit", metavar="TIME", help="time limit of jobs without one, such as 2d"
    )
    parser.add_argument(
        "--user-limit",
        metavar="N",
        help="accelerators that the jobs of a user may use together: a number, or numbers by "
        "partition (gpu=96,a100=64)",
    )


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    if args.csv and args.out is None:
        raise InputError("--csv", "is only allowed with --out DIR")
    return _forecast(args) if args.check is None else _check(args)


def _forecast(args: argparse.Namespace) -> int:
    from clustersim.forecasting import forecast
    from clustersim.forecasting.asked import asked_jobs
    from clustersim.forecasting.summary_text import sentence, sentence_of_asked
    from clustersim.outputs import new_folder
    from clustersim.report.of_forecast.page import save_forecast

    with progress_of("replication", "replications") as progress:
        found = forecast(
            args.state,
            **_options(args),
            at_s=_at(args),
            time_zone=args.time_zone,
            taken_at=args.taken_at,
            columns=[] if args.columns is None else args.columns.split(","),
            gpus_per_node=args.gpus_per_node,
            jobs=args.job,
            users=args.user,
            progress=progress,
        )
    asked = asked_jobs(found.jobs, args.job, args.user)
    page = None
    if args.out is not None:
        with new_folder(args.out) as folder:
            page = save_forecast(
                found,
                folder,
                csv=args.csv,
                command=_command(args),
                seed=args.seed,
                report=args.report,
                first=asked,
            )
    print(forecast_text(found, asked))
    answer = sentence(found.jobs, found.foreign)
    print(textwrap.fill(answer, 100))
    if asked:
        own = sentence_of_asked(found.jobs[found.jobs["job_id"].isin(asked)])
        print(textwrap.fill(own, 100))
        answer = f"{own} In all, {answer}"
    for note in found.without_room:
        print(textwrap.fill(f"Note: this depends on the size of the cluster: {note}.", 100))
    if args.out is not None:
        print(f"written to {args.out}")
    if page is not None:
        print(f"page: {Path(args.out) / page.name}")
    write_json(
        {
            "answer": answer,
            **found.document(),
            "folder": args.out,
            "page": None if page is None else Path(args.out) / page.name,
        }
    )
    return 0


def _check(args: argparse.Namespace) -> int:
    """Forecast a saved run at several times, and print how often the intervals were right."""
    from clustersim.forecasting.coverage import check_forecast
    from clustersim.simulation.result import Result

    for option in ("at", "out", "time_zone", "taken_at", "columns", "gpus_per_node", "job", "user"):
        if getattr(args, option) not in (None, []):
            raise InputError("--check", f"is not allowed with --{option.replace('_', '-')}")
    if not Path(args.state).is_dir():
        raise InputError("--check", f"needs the folder of a saved run, found {args.state}")
    result = Result.load(args.state)
    with progress_of("time", "times") as progress:
        found = check_forecast(result, times=args.check, progress=progress, **_options(args))
    times = found.times
    share = times["jobs"] / times["jobs"].sum()
    rows = [
        [name, *(format_percent(float((times[key] * weight).sum())) for key in _OUTCOMES)]
        for name, weight in (("share of jobs", share), ("mean over times", 1 / len(times)))
    ]
    print(
        f"{args.state}: {counted(int(times['jobs'].sum()), 'start')} of waiting jobs forecast at "
        f"{counted(len(times), 'time')}; 90 % are expected within 5 % to 95 %\n"
    )
    print(table(rows, ["", "within", "earlier", "later"]))
    if note := found.left_out:
        print(textwrap.fill(f"\nNot counted: {note}", 100, replace_whitespace=False))
    write_json(
        {
            "by_job": found.by_job,
            "by_time": found.by_time,
            "not_started": found.not_started,
            "not_forecast": found.not_forecast,
            "times": times.to_dict("records"),
        }
    )
    return 0


def _options(args: argparse.Namespace) -> dict[str, Any]:
    """Return the arguments of a forecast that do not depend on the kind of state."""
    return {
        "cluster": args.cluster,
        "accelerators": _numbers("--accelerators", args.accelerators),
        "policy": args.policy,
        "placement": args.placement,
        "span_pools": args.span_pools,
        "history": args.history,
        "arrivals": not args.no_arrivals,
        "replications": args.replications,
        "seed": args.seed,
        "default_limit_s": _duration("--default-limit", args.default_limit),
        "user_limit": _numbers("--user-limit", args.user_limit),
        "options": policy_options(args.option) or None,
        "catalogue": args.catalogue,
    }


def _at(args: argparse.Namespace) -> float | None:
    """Return the time of a saved run or table, in seconds since its time 0."""
    from clustersim.calendar import UNDATED
    from clustersim.scenario.dates import is_date, time_s
    from clustersim.simulation.result import Result

    if args.at is None:
        return None
    dated = is_date(args.at) and Path(args.state).is_dir()
    return time_s(args.at, Result.load(args.state).calendar if dated else UNDATED, "--at")


def _command(args: argparse.Namespace) -> str:
    """Return the command that makes the same forecast in another folder."""
    words = ["clustersim", "forecast", args.state]
    for name in (*_TEXTS, "user_limit", "gpus_per_node"):
        if getattr(args, name) is not None:
            words += [f"--{name.replace('_', '-')}", str(getattr(args, name))]
    words += ["--placement", args.placement] if args.placement is not None else []
    words += ["--no-arrivals"] if args.no_arrivals else []
    words += ["--replications", str(args.replications)] if args.replications != 200 else []
    words += ["--seed", str(args.seed)] if args.seed != 1 else []
    for option, values in (("--option", args.option), ("--job", args.job), ("--user", args.user)):
        words += [word for value in values for word in (option, value)]
    return shlex.join([*words, *catalogue_arguments(args.catalogue), "--out", "again"])


def _duration(option: str, text: str | None) -> float | None:
    try:
        return None if text is None else parse_quantity(text, "duration")
    except ValueError as error:
        raise InputError(option, str(error)) from None


def _numbers(option: str, text: str | None) -> int | dict[str, int] | None:
    """Return a number, or numbers by partition."""
    if text is None:
        return None
    try:
        if "=" not in text:
            return whole_number(text)
        parts = [part.partition("=") for part in text.split(",") if part.strip()]
        return {name.strip(): whole_number(count) for name, _, count in parts}
    except argparse.ArgumentTypeError as error:
        raise InputError(option, str(error)) from None
