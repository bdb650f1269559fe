"""Section of the page of a run: why jobs waited, if the run was asked for it."""

from __future__ import annotations

from collections.abc import Sequence

from clustersim.errors import InputError
from clustersim.explanation.causes import CAUSE_TEXTS, CAUSES
from clustersim.explanation.explain import WAITED_FOR, explain
from clustersim.report.page import Figure, Table
from clustersim.simulation.result import Result

__all__ = ["why_jobs_waited"]

_KINDS = {"all": "all jobs", "partition": "partition", "size": "accelerators"}


def why_jobs_waited(result: Result) -> list[str | Figure | Table]:
    """Return a table of accelerator-hours of waiting by cause.

    Empty if the jobs have no column ``waited_for``, or none waited.
    """
    if WAITED_FOR not in result.jobs:
        return []
    try:
        found = explain(result)
    except InputError as error:
        return [f"The causes of waiting are not available: {error}"]
    used = [name for name in CAUSES if found.hours[name] > 0]
    if not used:
        return []
    groups = found.groups[found.groups["waited"] > 0]
    names = [
        _KINDS[kind] if kind == "all" else f"{_KINDS[kind]} {group}"
        for kind, group in zip(groups["kind"], groups["group"], strict=True)
    ]
    hours = groups[["jobs", "waited", "accelerator_hours", *used]]
    hours = hours.rename(columns={name: f"{name}_h" for name in (*used, "accelerator_hours")})
    hours.insert(0, "group", names)
    table = Table(
        "Accelerator-hours of waiting by cause",
        hours.reset_index(drop=True),
        _meanings(used),
        labels={
            "group": "jobs of",
            "jobs": "jobs",
            "waited": "jobs that waited",
            "accelerator_hours_h": "all causes",
            **{f"{name}_h": name.replace("_", " ") for name in used},
        },
    )
    return [found.sentence, table, *(f"Note: {note}." for note in found.notes)]


def _meanings(used: Sequence[str]) -> str:
    texts = "; ".join(f"{name.replace('_', ' ')}: {CAUSE_TEXTS[name]}" for name in used)
    return f"What held a job at each instant. {texts[0].upper()}{texts[1:]}."
