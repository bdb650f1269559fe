"""Waits of fitted workload models against the waits of their logs, as a Markdown table.

A row is a policy at an offered load: the mean wait of the log, and the mean wait and the 95th
percentile of the model divided by those of the log, as the mean and the range over the seeds.

example: $ python experiments/workload_models.py LOG.swf --accelerators 128 --policies easy fcfs
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd

from clustersim.calendar import Calendar
from clustersim.simulation.model_waits import checked_fit, compare_waits
from clustersim.workload import WorkloadSpec, read_jobs
from clustersim.workload.fit_sessions import fit_sessions


def main() -> None:
    """Fit a model to a log and print the rows of its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("log", type=Path)
    parser.add_argument("--accelerators", type=int)
    parser.add_argument("--policies", nargs="+", default=["easy", "fcfs"])
    parser.add_argument("--loads", nargs="+", type=float, default=[0.6, 0.75, 0.9])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument(
        "--unchecked", action="store_true", help="fit without the replay that corrects the fit"
    )
    args = parser.parse_args()
    log = read_jobs(args.log)
    calendar = Calendar(log.origin)
    model = _model(args, log.jobs, calendar)
    for policy in args.policies:
        for load in args.loads:
            rows = compare_waits(
                model,
                log.jobs,
                accelerators=args.accelerators,
                loads=[load],
                policies=[policy],
                seeds=args.seeds,
                calendar=calendar,
            )
            mean, tail = rows["mean_ratio"], rows["p95_ratio"]
            print(
                f"| {args.log.stem} | {policy} | {load:g} | {rows['log_mean_s'].iloc[0]:,.0f} s | "
                f"{mean.mean():.2f} ({mean.min():.2f} to {mean.max():.2f}) | {tail.mean():.2f} |",
                flush=True,
            )


def _model(args: argparse.Namespace, jobs: pd.DataFrame, calendar: Calendar) -> WorkloadSpec:
    """Return the fitted model, and print the result of its check."""
    name = args.log.stem
    if args.unchecked:
        return fit_sessions(jobs, name=name, calendar=calendar).model()
    fit = checked_fit(jobs, name=name, accelerators=args.accelerators, calendar=calendar)
    print(f"{name}: {fit.report()}", flush=True)
    return fit.model


if __name__ == "__main__":
    main()
