"""The summary of a result as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clustersim.cli.text import table
from clustersim.units import format_duration

if TYPE_CHECKING:
    from clustersim.simulation.result import Result

__all__ = ["result_text"]

_MOST_REASONS = 5


def result_text(result: Result) -> str:
    """Summarise a result: a line a pool, and why jobs never ran."""
    rows = [
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
    lines = [table(rows, headers)]
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
