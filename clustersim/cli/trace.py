"""``clustersim trace``: statistics of a job log."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clustersim.cli.log_options import add_log_options, read_log
from clustersim.cli.options import add_catalogue, add_renamed, picture_file
from clustersim.console import repeat, write_json
from clustersim.json_values import plain
from clustersim.units import counted, format_number, format_percent

if TYPE_CHECKING:
    import pandas as pd

    from clustersim.array_types import Floats
    from clustersim.calendar import Calendar
    from clustersim.workload import JobLog, TraceStatistics

FEW_JOBS = 240
"""With fewer jobs in total, an hour of the day has fewer than ten jobs on average."""
_EXAMPLE = """\
example:
  clustersim trace philly_2017.parquet --accelerators 2816 --plot philly.png
  clustersim trace KTH-SP2-1996-2.1-cln.swf.gz --accelerators 100
  clustersim trace jobs.csv --cluster topologies/mixed-small.yaml --fit jobs-model.yaml
"""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "trace",
        help="describe a job log: sizes, run times, arrivals, offered load",
        description="Describe a job log: sizes, run times, arrivals and their cycle, offered load.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "file", metavar="JOBS", type=Path, help="Parquet, CSV, SWF or a published log; may be .gz"
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--accelerators", metavar="N", help="number of accelerators, for the load")
    where.add_argument("--cluster", metavar="TOPOLOGY", help="cluster, for the load")
    parser.add_argument("--plot", type=Path, metavar="OUT.png", help="draw the statistics")
    add_catalogue(parser)
    add_log_options(parser, "JOBS")
    add_renamed(parser, "--format", "--log-format")
    parser.add_argument(
        "--since", metavar="TIME", help='ignore jobs before this time, such as "28 d" or 2026-04-01'
    )
    parser.add_argument(
        "--until", metavar="TIME", help='ignore jobs from this time on, such as "60 d" or 2026-05'
    )
    add_renamed(parser, "--from", "--since")
    add_renamed(parser, "--to", "--until")
    parser.add_argument(
        "--start",
        dest="week_time",
        metavar="TIME",
        help='time from Monday 00:00 to second 0 of the log, such as "14 h"',
    )
    parser.add_argument(
        "--fit",
        type=Path,
        metavar="OUT.yaml",
        help="fit a workload model with sessions of users, check by a replay how long its jobs "
        "wait, and save it; takes from some seconds to a few minutes",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from clustersim.calendar import UNDATED, Calendar
    from clustersim.workload.describe import clock_of, describe_jobs, window

    chips = _chips(args)
    log = read_log(args.file, args)
    calendar = Calendar(log.origin)
    since = _time(args.since, "--since", 0.0, calendar)
    until = _time(args.until, "--until", float("inf"), calendar)
    hours = f"local time: {calendar}" if calendar.is_dated else "time 0 is taken as Monday, 00:00"
    if args.week_time is not None:
        calendar = clock_of(_time(args.week_time, "--start", 0.0, UNDATED))
        hours = "as set by --start"
    jobs = window(log.jobs, since, until)
    if len(jobs) == 0:
        from clustersim.errors import InputError

        submit_s = log.jobs["submit_s"]
        raise InputError(
            args.file,
            "no job was submitted between --since and --until; those of the log were from "
            + Calendar(log.origin).period(float(submit_s.min()), float(submit_s.max())),
        )
    print(log.report())
    if len(jobs) < len(log.jobs):
        print(f"  of these, {len(jobs):,} were submitted between --since and --until")
    for line in log.report().splitlines()[1:]:
        repeat(line.strip())
    statistics = describe_jobs(jobs, calendar=calendar)
    _print_statistics(statistics, jobs, chips, hours)
    files: list[Path] = []
    if args.plot is not None:
        from clustersim.plots.style import save_figure
        from clustersim.plots.trace import plot_trace

        name = args.file.name
        figure = plot_trace(jobs, title=name, origin=log.origin, calendar=calendar)
        files += save_figure(figure, *picture_file(args.plot))
        print("\n".join(f"wrote {path}" for path in files))
    more: dict[str, Any] = {"fit": None, "fit_waits": None}
    if args.fit is not None:
        from clustersim.cli.trace_fit import fit_and_save

        total = sum(chips.values()) or None
        fit, waits, drawn = fit_and_save(args.fit, jobs, log.source, total, calendar)
        files += [args.fit, *drawn]
        more = {"fit": fit, "fit_waits": waits}
    write_json({**_data(log, statistics, chips), **more, "files": files})
    return 0


def _data(log: JobLog, statistics: TraceStatistics, chips: dict[str, int]) -> dict[str, Any]:
    """Return the statistics as plain data, in SI units."""
    return {
        "source": log.source,
        "format": log.format,
        "rows": log.rows_read,
        "dropped": log.dropped,
        "notes": log.notes,
        **plain(statistics),
        "mean_demand": statistics.mean_demand,
        "accelerators": sum(chips.values()) or None,
        "offered_load": statistics.offered_load(sum(chips.values())) if chips else None,
    }


def _time(text: str | None, option: str, default: float, calendar: Calendar) -> float:
    """Return the time of an option, which is a duration since time 0 or a date, in seconds."""
    from clustersim.scenario.dates import time_s

    return default if text is None else time_s(text, calendar, option)


def _chips(args: argparse.Namespace) -> dict[str, int]:
    """Return the number of accelerators of each pool, from the options."""
    from clustersim.errors import InputError

    if args.catalogue and args.cluster is None:
        raise InputError("--catalogue", "is only allowed with --cluster")
    if args.accelerators is not None:
        digits = args.accelerators.replace("_", "").replace(",", "")
        if not digits.isdecimal() or not 1 <= int(digits) <= 10**8:
            raise InputError(
                "--accelerators",
                f"must be a whole number of 1 or more, found {args.accelerators!r}",
            )
        return {"pool": int(digits)}
    if args.cluster is None:
        return {}
    from clustersim.catalogue import load_catalogue
    from clustersim.topology import compile_cluster, load_cluster

    cluster = compile_cluster(load_cluster(args.cluster, load_catalogue(*args.catalogue)))
    return {pool.name: pool.n_chips for pool in cluster.pools}


def _print_statistics(
    statistics: TraceStatistics, jobs: pd.DataFrame, chips: dict[str, int], hours: str
) -> None:
    from clustersim.calendar import DAY_S
    from clustersim.text_table import table
    from clustersim.units import format_duration

    mix = statistics.size_mix
    sizes = [
        (name, format_percent(jobs_share, 2), format_percent(work_share, 2))
        for name, jobs_share, work_share in zip(
            mix["bin"], mix["jobs_share"], mix["work_share"], strict=True
        )
    ]
    print("\nSizes")
    print(table(sizes, ["accelerators", "of jobs", "of work"]))
    runs = [
        *((format_percent(p, 0), q) for p, q in statistics.duration_quantiles_s.items()),
        ("mean", statistics.mean_duration_s),
    ]
    print("\nRun times")
    print(table([(name, f"{q:,.0f}", format_duration(q)) for name, q in runs], ["", "s", ""]))
    if statistics.jobs_without_duration:
        print(
            f"{counted(statistics.jobs_without_duration, 'job')} without a run time (a model and "
            "tokens, or rates of 0)"
        )
    print("\nArrivals")
    print(
        f"{counted(statistics.jobs, 'job')} in {format_duration(statistics.span_s)}: "
        f"{format_number(statistics.rate_per_s * 3600)} per hour; gaps have a coefficient of "
        f"variation of {statistics.interarrival_cv:.2f}"
    )
    if statistics.span_s >= DAY_S:
        print(f"hours and days: {hours}")
        print("hour of the day, rate over the mean:", _relative(statistics.by_hour))
        print("day of the week, rate over the mean:", _relative(statistics.by_weekday))
        if statistics.jobs < FEW_JOBS:
            few = counted(statistics.jobs, "job is", "jobs are")
            print(f"Note: {few} too few for reliable rates by hour and day")
    print(
        f"\nWork: {statistics.work_accelerator_s / 3600:,.0f} accelerator-hours, which is ", end=""
    )
    print(f"{statistics.mean_demand:,.1f} accelerators busy at all times")
    if chips:
        total, largest = sum(chips.values()), max(chips.values())
        print(
            f"offered load on {total:,} accelerators, each as fast as one of the log's cluster: "
            f"{statistics.offered_load(total):.3f}"
        )
        over = int((jobs["n_accelerators"] > largest).sum())
        if over:
            are = "is" if over == 1 else "are"
            print(f"{counted(over, 'job')} {are} larger than the largest pool ({largest:,})")


def _relative(rates: Floats) -> str:
    """Format rates relative to the mean of the known rates."""
    import numpy as np

    known = rates[~np.isnan(rates)]
    relative = rates / known.mean() if known.any() else rates
    return " ".join("-" if np.isnan(rate) else f"{rate:.2f}" for rate in relative)
