"""A report as a study of two policies would make it, with every kind of part."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from clustersim.plots.style import new_figure, style, svg_text
from clustersim.report.page import Figure, Listing, Page, Section, Table
from clustersim.units import format_percent, format_rate

LOADS = (0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 1.0)
POLICIES = ("easy_backfill", "fcfs")
STUDY = """\
name: two-policies
question: How much load can the fleet carry?
scenario: mixed-fleet.yaml
parameters:
  workload.load: [0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 1.0]
  scheduler.policy: [easy_backfill, fcfs]
replications: 8
"""


def points() -> pd.DataFrame:
    """A row a point, in the columns of a study; overload at a load of 1."""
    rows = []
    for policy in POLICIES:
        for load in LOADS:
            scale = 400.0 if policy == "fcfs" else 90.0
            wait = scale * load**4 / (1 - load) if load < 1 else math.inf
            rows.append(
                {
                    "scheduler.policy": policy,
                    "workload.load": load,
                    "overload": load == 1,
                    "mean_wait_s": wait,
                    "mean_wait_s_low": 0.9 * wait,
                    "mean_wait_s_high": 1.15 * wait,
                    "mean_wait_s_draw_low": 0.8 * wait,
                    "mean_wait_s_draw_high": 1.4 * wait,
                    "mean_bounded_slowdown": 1 + wait / 1800,
                    "utilisation": (0.93 if policy == "fcfs" else 0.98) * load,
                    "fleet_power_w": 7.4e6 * load,
                    "replications": 8,
                }
            )
    return pd.DataFrame(rows)


def runs(count: int = 1200) -> pd.DataFrame:
    """A row a run, too many for a page."""
    generator = np.random.default_rng(1)
    waits = generator.lognormal(7, 1.5, count)
    waits[5] = math.nan
    return pd.DataFrame(
        {
            "run": [f"{number:016x}" for number in generator.integers(2**63, size=count)],
            "point": np.arange(count) // 8,
            "catalogue.SeedChip.hbm_bandwidth": generator.choice([2e12, 3.2e12], count),
            "replication": np.arange(count) % 8,
            "status": ["failed" if number == 5 else "finished" for number in range(count)],
            "mean_wait_s": waits,
            "error": ["ran out of memory" if number == 5 else "" for number in range(count)],
        }
    )


def curves(column: str, label: str) -> str:
    """A line a policy against load."""
    with style():
        drawing = new_figure(9.0, 4.2)
        ax = drawing.subplots()
        for policy, rows in points().query("not overload").groupby("scheduler.policy"):
            ax.plot(rows["workload.load"], rows[column], marker="o", label=policy)
        ax.set_xlabel("offered load (share of what the fleet can do)")
        ax.set_ylabel(label)
        ax.legend()
    return svg_text(drawing)


def sample_page() -> Page:
    """A report with figures, short and long tables, and listings."""
    capacities = pd.DataFrame(
        {
            "scheduler.policy": POLICIES,
            "capacity": [0.912, 0.783],
            "capacity_low": [0.897, 0.760],
            "capacity_high": [0.925, 0.801],
            "jobs_per_day": [4120.0, 3540.0],
            "jobs_per_day_low": [4050.0, 3440.0],
            "jobs_per_day_high": [4180.0, 3620.0],
            "runs": [96, 88],
            "note": ["", "first come, first served holds chips free for the widest job"],
        }
    )
    return Page(
        title="What a fleet of 2,048 H100 can carry",
        question="How much load can the fleet carry before jobs wait an hour on average, and how "
        "much of that is the scheduler's doing?",
        lead=[
            "With EASY backfill the fleet keeps a mean wait below one hour up to a load of 0.91 "
            "(95 % interval 0.90 to 0.93).",
            "First come, first served keeps it up to 0.78: 580 jobs a day fewer on the same chips.",
            "At the full load of 1 the queue grows without end under either.",
        ],
        sections=[
            Section(
                "Capacity",
                [
                    "Capacity is the offered load at which the objective is just kept.",
                    Table(
                        "Capacity at a mean wait of one hour",
                        capacities,
                        "95 % intervals of the mean over replications in brackets.",
                        formats={"capacity": "{:.3f}".format},
                    ),
                    Figure(
                        "Mean wait against load",
                        curves("mean_wait_s", "mean wait (s)"),
                        "Waits rise steeply near saturation, and earlier under FCFS.",
                    ),
                ],
            ),
            Section(
                "Every point",
                [
                    Figure("Utilisation", curves("utilisation", "share of time allocated")),
                    Table(
                        "Points",
                        points(),
                        "A row a point of the parameter space; ∞ where the queue grows.",
                        labels={"mean_wait_s_draw": "mean wait, calibration's 90 % range"},
                        formats={"utilisation": format_percent},
                        file="points.csv",
                    ),
                    Table(
                        "Runs",
                        runs(),
                        formats={"catalogue.SeedChip.hbm_bandwidth": format_rate},
                        most_rows=100,
                        file="runs.csv",
                    ),
                ],
            ),
            Section(
                "How to make it again",
                [
                    Listing("study.yaml", STUDY),
                    Listing("Command", "clustersim study run study.yaml --out out/two-policies\n"),
                ],
            ),
        ],
        footer="clustersim 0.5.0, seed 1, 176 runs.",
    )
