"""Why jobs waited, as text for the terminal and as data for JSON."""

from __future__ import annotations

import textwrap
from typing import Any

import numpy as np
import pandas as pd

from clustersim.console import plain_notes, wrapped_note
from clustersim.explanation.causes import CAUSE_TEXTS, CAUSES
from clustersim.explanation.job import JobWait
from clustersim.explanation.summary import ALL, WaitCauses
from clustersim.json_values import plain_rows
from clustersim.text_table import table
from clustersim.units import counted, format_count, format_duration, format_number, format_percent

__all__ = ["flat_intervals", "job_data", "job_text", "run_data", "run_text"]

_WIDTH = 100
_MOST_INTERVALS = 12
_HEADINGS = {name: name.replace("_", " ") for name in CAUSES}
_KINDS = {ALL: "all jobs", "partition": "partition", "size": "size"}
_PHASES = {
    "submission": "until their first start",
    "preemption": "after a preemption",
    "suspension": "after a suspension",
    "node_event": "after an event of a node",
    "network_fault": "after a fault of the network",
}


def run_text(found: WaitCauses) -> str:
    """Return the accelerator-hours of waiting by cause, as a table and a sentence.

    Parameters
    ----------
    found : WaitCauses
    """
    used = [name for name in CAUSES if found.hours[name] > 0]
    rows = []
    for row in found.groups.to_dict("records"):
        kind = str(row["kind"])
        name = _KINDS[kind] if kind == ALL else f"{_KINDS[kind]} {row['group']}"
        hours = [format_number(float(row[each])) if row[each] else "0" for each in used]
        total = format_number(float(row["accelerator_hours"]))
        rows.append([name, format_count(row["jobs"]), format_count(row["waited"]), total, *hours])
    heads = ["accelerator-hours waited", "jobs", "waited", "all", *(_HEADINGS[k] for k in used)]
    lines = [table(rows, heads)]
    lines += [f"{_HEADINGS[name]}: {CAUSE_TEXTS[name]}" for name in used]
    phases = found.phases[found.phases["waits"] > 0]
    if len(phases) > 1:
        lines += [
            f"{format_number(float(row['accelerator_hours']))} accelerator-hours "
            f"{_PHASES[str(row['phase'])]} ({counted(int(row['waits']), 'wait')})"
            for row in phases.to_dict("records")
        ]
    lines += [wrapped_note(note) for note in found.notes]
    lines.append(_filled(f"Answer: {found.sentence}"))
    return "\n".join(lines)


def job_text(found: JobWait) -> str:
    """Return the intervals of the wait of a job, and when it could have started.

    Parameters
    ----------
    found : JobWait
    """
    lines = [*_queue(found)]
    if len(found.intervals):
        lines += [*_intervals(found), *_without(found)]
    lines += [wrapped_note(note) for note in found.notes]
    lines.append(_filled(f"Answer: {found.sentence}"))
    return "\n".join(lines)


def _queue(found: JobWait) -> list[str]:
    if not found.waited_s > 0:
        return []
    if found.queued_s > found.submit_s:
        after = format_duration(found.queued_s - found.submit_s)
        when = f"When it entered its queue, {after} after its submission"
    else:
        when = "At its submission"
    if not found.jobs_ahead:
        return [_filled(f"{when}, no waiting job was ahead of it.")]
    waiting = (
        f"{counted(found.jobs_ahead, 'waiting job')} "
        f"({counted(found.accelerators_ahead, 'accelerator')})"
    )
    were = "was" if found.jobs_ahead == 1 else "were"
    if found.order_known:
        text = f"{waiting} {were} ahead of it, first job {found.behind}"
    else:
        text = f"there {were} {waiting} that had been submitted earlier, first job {found.behind}"
    return [_filled(f"{when}, {text}.")]


def _intervals(found: JobWait) -> list[str]:
    table_of = found.intervals
    length_s = (table_of["end_s"] - table_of["begin_s"]).to_numpy(dtype=float)
    longest = np.sort(np.argsort(-length_s, kind="stable")[:_MOST_INTERVALS])
    lines = []
    for row in table_of.iloc[longest].to_dict("records"):
        begin_s = float(row["begin_s"]) - found.submit_s
        end_s = float(row["end_s"]) - found.submit_s
        when = f"{format_duration(begin_s)} to {format_duration(end_s)} after its submission"
        cause = _HEADINGS[str(row["cause"])]
        lines.append(_filled(f"{when}, {cause}: {row['detail']}"))
    more = len(table_of) - len(longest)
    if more > 0:
        rest_s = float(length_s.sum() - length_s[longest].sum())
        lines.append(
            f"... and {counted(more, 'shorter interval')}, {format_duration(rest_s)} in all "
            "(--json, --out)"
        )
    return lines


def _without(found: JobWait) -> list[str]:
    rows = []
    for row in found.without.to_dict("records"):
        known = np.isfinite(row["start_s"])
        rows.append(
            [
                _HEADINGS[str(row["cause"])],
                format_duration(float(row["seconds"])),
                format_percent(float(row["share"])),
                format_duration(float(row["start_s"]) - found.submit_s) if known else "",
                format_duration(float(row["saved_s"])) if known else "",
            ]
        )
    heads = ["cause", "waited", "share", "could have started after", "earlier by"]
    if not any(row[-1] for row in rows):
        return ["", table([row[:-2] for row in rows], heads[:-2])]
    return [
        "",
        table(rows, heads),
        _filled(
            "Could have started: the first time in its first wait at which its gang would have "
            "fitted without this constraint and those before it in the list of causes, whatever "
            "the order of the queue."
        ),
    ]


def _filled(text: str) -> str:
    return textwrap.fill(text, _WIDTH, subsequent_indent="  ", break_on_hyphens=False)


def run_data(found: WaitCauses) -> dict[str, Any]:
    """Return the waiting by cause for JSON.

    Parameters
    ----------
    found : WaitCauses
    """
    return {
        "answer": found.sentence,
        "groups": plain_rows(found.groups),
        "phases": plain_rows(found.phases),
        "notes": plain_notes(found.notes),
    }


def job_data(found: JobWait) -> dict[str, Any]:
    """Return the wait of a job for JSON.

    Parameters
    ----------
    found : JobWait
    """
    names = ("job_id", "n_accelerators", "partition", "submit_s", "start_s", "queued_s")
    queue = ("waited_s", "jobs_ahead", "accelerators_ahead", "behind", "order_known", "reason")
    return {
        "answer": found.sentence,
        **{name: getattr(found, name) for name in (*names, *queue)},
        "intervals": plain_rows(found.intervals),
        "without": plain_rows(found.without),
        "overtaken_by": list(found.overtaken_by),
        "notes": plain_notes(found.notes),
    }


def flat_intervals(intervals: pd.DataFrame) -> pd.DataFrame:
    """Return the intervals with texts instead of lists, for a file.

    Parameters
    ----------
    intervals : pandas.DataFrame
        Of a :class:`JobWait`.
    """
    started = [", ".join(map(str, jobs)) for jobs in intervals["started"]]
    return intervals.drop(columns="holders").assign(started=started)
