"""A forecast as the command prints it."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from clustersim.text_table import table
from clustersim.units import counted, format_count, format_duration

if TYPE_CHECKING:
    from clustersim.forecasting import Forecast

__all__ = ["forecast_text"]

_MOST_ROWS = 60


def forecast_text(found: Forecast, asked: Sequence[str]) -> str:
    """Return the state, the start of each waiting job that was asked for, and what is assumed."""
    state = found.state
    without = sum(job.tasks for job in state.jobs if job.n_accelerators == 0)
    counts = replace(
        state, jobs=tuple(job for job in state.jobs if job.n_accelerators != 0)
    ).document()
    now = found.calendar.text(found.now_s) if found.calendar.is_dated else "now"
    head = (
        f"{state.source} ({state.format}), {now}: {counted(counts['running_jobs'], 'job')} running "
        f"on {_number(counts['accelerators_running'])} accelerators, "
        f"{counted(counts['waiting_jobs'], 'job')} waiting "
        f"({counted(counts['waiting_rows'], 'row')}) for {_number(counts['accelerators_waiting'])}"
        + (f"; {counted(without, 'more job needs', 'more jobs need')} none" if without else "")
    )
    title = "Partitions" + (" (all jobs, also those without accelerators)" if without else "")
    sections = [textwrap.fill(head, 100), f"{title}\n{_partitions(found)}"]
    if len(found.jobs):
        title = "Start of each waiting job from now: median, 5 % and 95 %"
        sections.append(f"{title}\n{_jobs(found, asked)}")
    if state.left_out:
        reasons: dict[str, int] = {}
        for _, reason in state.left_out:
            reasons[reason] = reasons.get(reason, 0) + 1
        shown = ", ".join(f"{count:,} {reason}" for reason, count in reasons.items())
        sections.append(f"Rows left out: {shown}")
    notes = [*found.assumptions, *state.notes]
    sections.append(
        "\n".join(
            [
                "Assumed",
                *(textwrap.fill(f"- {note}", 100, subsequent_indent="  ") for note in notes),
            ]
        )
    )
    return "\n\n".join(sections) + "\n"


def _number(count: int | None) -> str:
    return "an unknown number of" if count is None else format_count(count)


def _partitions(found: Forecast) -> str:
    rows = [
        [
            row["partition"] or "(none)",
            format_count(row["running_jobs"]),
            ""
            if row["running_accelerators"] is None
            else format_count(row["running_accelerators"]),
            format_count(row["waiting_jobs"]),
            ""
            if row["waiting_accelerators"] is None
            else format_count(row["waiting_accelerators"]),
        ]
        for row in found.partitions.to_dict("records")
    ]
    return table(rows, ["partition", "running", "accelerators", "waiting", "accelerators waiting"])


def _jobs(found: Forecast, asked: Sequence[str]) -> str:
    """Return the table of the jobs that were asked for, or of the first ones."""
    dated = found.calendar.is_dated
    jobs = found.jobs
    shown = jobs[jobs["job_id"].isin(asked)] if asked else jobs.head(_MOST_ROWS)
    most = 1000 if asked else 70
    rows = []
    for row in shown.to_dict("records"):
        date = row["median"][:16].replace("T", " ") if dated else ""
        rows.append(
            [
                row["job_id"],
                row["partition"],
                format_count(row["n_accelerators"]),
                *(_from_now(row[name]) for name in ("median_s", "low_s", "high_s")),
                *([date] if dated else []),
                row["constraint"],
                textwrap.shorten(row["detail"], most, placeholder=" ..."),
            ]
        )
    names = ["job", "partition", "n", "median", "5 %", "95 %", *(["date"] if dated else [])]
    text = table(rows, [*names, "waits for", "explanation"])
    more = len(jobs) - len(shown)
    if asked or not more:
        return text
    return f"{text}\n... and {counted(more, 'more job')} (--job ID, --user NAME, --out, --json)"


def _from_now(seconds: float) -> str:
    if math.isnan(seconds):
        return "?"
    return "now" if seconds <= 0 else format_duration(seconds)
