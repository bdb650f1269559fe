"""Waits of fitted workload models against the waits of their logs, as a Markdown table.

A row is a policy at an offered load: the mean wait of the log, and the mean wait and the 95th
percentile of the model divided by those of the log, as the mean and the range over the seeds.

example: $ python experiments/workload_models.py LOG.swf --accelerators 128 --policies easy fcfs
"""

from __future__ import annotations

import argparse
from pathlib import Path

from clustersim.calendar import Calendar
from clustersim.simulation.model_waits import checked_fit, compare_waits
from clustersim.workload import read_jobs


def main() -> None:
    """Fit a model to a log and print the rows of its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("log", type=Path)
    parser.add_argument("--accelerators", type=int)
    parser.add_argument("--policies", nargs="+", default=["easy", "fcfs"])
    parser.add_argument("--loads", nargs="+", type=float, default=[0.6, 0.75, 0.9])
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    log = read_jobs(args.log)
    calendar = Calendar(log.origin)
    fit = checked_fit(
        log.jobs, name=args.log.stem, accelerators=args.accelerators, calendar=calendar
    )
    print(f"{args.log.stem}: {fit.report()}", flush=True)
    for policy in args.policies:
        for load in args.loads:
            rows = compare_waits(
                fit.model,
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


if __name__ == "__main__":
    main()
