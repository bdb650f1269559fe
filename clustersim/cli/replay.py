"""`clustersim replay`: schedule the jobs of a log again."""

from __future__ import annotations

import argparse
import textwrap

from clustersim.cli.explain import add_explain, with_causes
from clustersim.cli.log_options import add_log_options, read_log
from clustersim.cli.options import (
    add_catalogue,
    add_checkpoints,
    add_network,
    add_policy_options,
    add_renamed,
    add_run_files,
    add_span_pools,
    add_windows,
    checkpoint_changes,
    network_changes,
    policy_options,
    whole_number,
)
from clustersim.cli.progress import job_progress
from clustersim.cli.texts.result_json import write_last
from clustersim.cli.texts.result_text import exit_code, result_data, result_text, wrong_lines
from clustersim.console import repeat
from clustersim.errors import InputError
from clustersim.interrupts import held, keeping

__all__ = ["add_parser", "run"]

NOT_INPUT = ("run", "out", "csv", "report", "explain", "json", "quiet")
"""Arguments that are not part of the provenance, as they do not change the simulation."""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "replay",
        help="schedule the jobs of a log again",
        description="Schedule the jobs of a log again; every job runs for the time in the log.",
        epilog="example: clustersim replay jobs.csv --policy easy --accelerators 512 --out result",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "jobs",
        metavar="JOBS",
        help="Parquet or CSV with job_id, submit_s, n_accelerators, duration_s and optionally "
        "estimate_s, vc, user; or a log in a format that `clustersim trace` reads",
    )
    parser.add_argument(
        "--policy",
        required=True,
        help="a name such as fcfs or easy (`clustersim policies` lists them), or FILE.py:ClassName",
    )
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument(
        "--accelerators", type=whole_number, metavar="N", help="size of a pool without topology"
    )
    where.add_argument("--cluster", metavar="TOPOLOGY", help="a topology: a name or a file")
    parser.add_argument(
        "--placement",
        help="a name such as pooled (default without --cluster) or consolidate (default with it; "
        "`clustersim policies` lists them), or FILE.py:ClassName; it decides which nodes stay "
        "free, and not how fast a job runs unless --network is given",
    )
    add_policy_options(parser)
    add_span_pools(parser)
    add_windows(parser)
    add_checkpoints(parser)
    add_network(parser)
    parser.add_argument("--out", required=True, metavar="DIR", help="new folder for the result")
    add_log_options(parser, "JOBS")
    add_renamed(parser, "--format", "--log-format")
    parser.add_argument(
        "--exact-estimates", action="store_true", help="give policies the actual run times"
    )
    add_catalogue(parser)
    add_explain(parser)
    add_run_files(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from clustersim.outputs import new_folder, write_table
    from clustersim.report.page import wrapped_answer
    from clustersim.report.run_files import RunFiles
    from clustersim.scenario.changes import checkpoints_of, network_of
    from clustersim.scenario.run_calendar import calendar_text, run_calendar
    from clustersim.scenario.window_texts import windows_of_texts
    from clustersim.simulation.simulate import replay
    from clustersim.topology import compile_cluster, load_cluster

    cluster = None
    if args.catalogue and args.cluster is None:
        raise InputError("--catalogue", "is only allowed with --cluster")
    if args.cluster is not None:
        from clustersim.catalogue import load_catalogue

        cluster = compile_cluster(load_cluster(args.cluster, load_catalogue(*args.catalogue)))
    log = read_log(args.jobs, args)
    dated = run_calendar(clock=log.origin)
    windows = windows_of_texts(args.maintenance, args.reserve, dated.calendar)
    command = {key: value for key, value in vars(args).items() if key not in NOT_INPUT}
    with new_folder(args.out) as folder, keeping(), job_progress() as progress:
        result = replay(
            log.jobs,
            policy=args.policy,
            accelerators=args.accelerators,
            cluster=cluster,
            placement=args.placement,
            options=policy_options(args.option),
            placement_options=policy_options(args.placement_option, "--placement-option"),
            span_pools=args.span_pools,
            exact_estimates=args.exact_estimates,
            windows=windows,
            checkpoints=checkpoints_of(checkpoint_changes(args)),
            network=network_of(network_changes(args.network)),
            progress=progress,
            provenance={
                "replay": command,
                "log": log.report().splitlines(),
                "calendar": dated.document(),
            },
        )
        result = with_causes(result, args.explain)
        result.write(folder)
        write_table(log.left_out_table(), folder / "left_out.csv")
    with held():
        files = RunFiles.of(result)
    print(log.report())
    for line in calendar_text(result.provenance):
        print(textwrap.fill(line, 100))
    print(result_text(result))
    print(wrapped_answer(files.answer))
    print(f"written to {args.out}")
    for line in wrong_lines(result):
        repeat(line)
    write_last(
        lambda: files.write(args.out, csv=args.csv, report=args.report),
        {"answer": files.answer, **result_data(result)},
        args.out,
    )
    return exit_code(result)
