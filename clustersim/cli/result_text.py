"""The summary of a result as text."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from clustersim.cli.text import table
from clustersim.units import format_duration

if TYPE_CHECKING:
    from clustersim.catalogue import Catalogue
    from clustersim.simulation.result import Result
    from clustersim.studies.spec import StudySpec

__all__ = ["result_text", "window_text"]

_MOST_REASONS = 5


def result_text(result: Result) -> str:
    """Summarise a result: a line a pool, and why jobs never ran."""
    rows: list[tuple[Any, ...]] = [
        (
            row["scope"],
            f"{row['jobs']:,}",
            f"{row['finished']:,}",
            f"{row['unfinished']:,}",
            f"{row['never_runnable']:,}",
            format_duration(row["mean_wait_s"]),
            format_duration(row["p95_wait_s"]),
            format_duration(row["mean_jct_s"]),
            f"{row['mean_bounded_slowdown']:.3g}",
            f"{row['utilisation']:.1%}",
        )
        for row in result.summary.to_dict("records")
    ]
    headers = [
        "pool",
        "jobs",
        "finished",
        "unfinished",
        "never runnable",
        "mean wait",
        "p95 wait",
        "mean JCT",
        "bounded slowdown",
        "utilisation",
    ]
    if "effective_time" in result.summary:
        headers.append("effective time")
        shares = result.summary["effective_time"].tolist()
        rows = [
            (*row, "" if math.isnan(share) else f"{share:.1%}")
            for row, share in zip(rows, shares, strict=True)
        ]
    lines = [table(rows, headers)]
    if result.outages is not None and result.attempts is not None:
        stopped = int((result.attempts["attempt"] > 0).sum())
        there = result.outages[~result.outages["absent"]]
        times = int((there["slowdown"] == math.inf).sum())
        lines.append(f"{times:,} times a node went out of service; {stopped:,} restarts")
    never = result.jobs[result.jobs["outcome"] == "never runnable"]
    reasons = never["reason"].value_counts()
    for reason, count in reasons.head(_MOST_REASONS).items():
        lines.append(f"never runnable: {count:,} x {reason}")
    if len(reasons) > _MOST_REASONS:
        lines.append(
            f"never runnable: {len(reasons) - _MOST_REASONS} more reasons, see jobs.parquet"
        )
    if result.interrupted:
        done = format_duration(float(result.provenance["simulated_s"]))
        lines.append(f"interrupted at simulated time {done}; what was done until then is kept")
    return "\n".join(lines)


def window_text(result: Result, spec: StudySpec, catalogue: Catalogue) -> str:
    """Say what a study measures of a run: its metrics, in its window."""
    from clustersim.plots.axis import axis_of
    from clustersim.studies.measures import measure

    measured = measure(result, **spec.window.measured, catalogue=catalogue).metrics
    objective = [] if spec.objective is None else [spec.objective.metric]
    told = [
        f"{axis_of(name).label} {axis_of(name).text(measured[name])}"
        for name in dict.fromkeys([*objective, *spec.metrics])
        if name in measured
    ]
    return f"within the study's window, as in its runs.csv: {', '.join(told)}"
