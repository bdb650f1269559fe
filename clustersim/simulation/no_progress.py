"""Reasons why jobs make no progress: failures before a checkpoint, or too many checkpoints."""

from __future__ import annotations

import pandas as pd

from clustersim.availability.failure_spec import Failures, failure_sources
from clustersim.units import counted, format_duration, format_percent

__all__ = ["checkpoint_notes", "progress_notes"]

_FEW_ATTEMPTS = 3
"""Smallest number of attempts after which the progress of a job is judged."""
_HARDLY = 0.1
"""A job makes hardly any progress if kept work is below this share of the time of its attempts."""
_CAUSES = {
    "checkpoint_s": "checkpoints took {share}: a checkpoint takes longer than the work between "
    "two checkpoints (failures.checkpoints)",
    "lost_s": "lost work took {share}: checkpoints are too far apart, or failures are too frequent "
    "for jobs of this size",
    "restart_s": "restarts took {share}: a restart takes longer than the time between failures",
}


def checkpoint_notes(failures: Failures | None, *, network_stops: bool = False) -> list[str]:
    """Return notes on settings with which jobs of a run would make little or no progress.

    Parameters
    ----------
    failures : Failures, optional
        Failures of a scenario.
    network_stops : bool
        Whether random faults of the network stop jobs, too.

    Examples
    --------
    >>> life = {"kind": "constant", "value": "1 h"}
    >>> source = {"name": "disk", "time_to_failure": life, "repair": life}
    >>> spec = {"sources": [source], "checkpoints": {"interval": "1 h"}}
    >>> checkpoint_notes(Failures.model_validate(spec))
    ['Note: failures: disk: a node fails after exactly 60 min in service, and the first \
checkpoint is made after 60 min; no job that runs longer than that can make progress']
    """
    if failures is None:
        return []
    checkpoints, notes = failures.checkpoints, []
    interval = checkpoints.interval
    if isinstance(interval, float) and checkpoints.storage is None and checkpoints.cost >= interval:
        share = checkpoints.cost / (checkpoints.cost + interval)
        notes.append(
            f"Note: failures.checkpoints: jobs spend {format_percent(share)} of their time on "
            f"checkpoints: each takes {format_duration(checkpoints.cost)}, and one is made after "
            f"every {format_duration(interval)} of work"
        )
    sources = failure_sources(failures)
    if not sources and not network_stops and interval == "optimal":
        notes.append(
            "Note: failures.checkpoints: nothing fails, so the optimal interval is infinite and "
            "jobs save their state only when they are stopped; set an interval for jobs that are "
            "stopped without saving"
        )
    for source in sources:
        life = source.time_to_failure
        if source.slowdown is not None or life.kind != "constant":
            continue
        if isinstance(interval, float) and interval < life.value:
            continue
        if interval == "optimal":
            continue
        made = "no checkpoint is made"
        if not isinstance(interval, str):
            made = f"the first checkpoint is made after {format_duration(interval)}"
        notes.append(
            f"Note: failures: {source.name}: a {source.of} fails after exactly "
            f"{format_duration(life.value)} in service, and {made}; no "
            "job that runs longer than that can make progress"
        )
    return notes


def progress_notes(jobs: pd.DataFrame, attempts: pd.DataFrame | None) -> list[str]:
    """Return notes, after a run, on unfinished jobs with little or no progress, and the causes.

    Parameters
    ----------
    jobs, attempts : pandas.DataFrame
        Tables of a result; `attempts` is None if there were no node events.

    Examples
    --------
    >>> jobs = pd.DataFrame({"job_id": [1], "outcome": ["unfinished"]})
    >>> attempts = pd.DataFrame(
    ...     {"job_id": [1] * 3, "start_s": [0.0, 50.0, 90.0], "end_s": [40.0, 80.0, 120.0],
    ...      "kept_s": 0.0, "lost_s": 30.0, "checkpoint_s": 0.0, "restart_s": 2.0}
    ... )
    >>> print(progress_notes(jobs, attempts)[0])
    Note: 1 unfinished job kept no work in 3 attempts, the longest of which took 40 s; each was \
stopped before its first checkpoint
    """
    if attempts is None:
        return []
    unfinished = jobs.loc[jobs["outcome"] == "unfinished", "job_id"]
    tried = attempts[attempts["job_id"].isin(unfinished)]
    if tried.empty:
        return []
    parts = ["kept_s", *_CAUSES]
    rows = tried[["job_id", *parts]].assign(
        held_s=tried["end_s"] - tried["start_s"], longest_s=tried["end_s"] - tried["start_s"], n=1
    )
    by_job = rows.groupby("job_id", sort=False).agg(
        {**dict.fromkeys((*parts, "held_s", "n"), "sum"), "longest_s": "max"}
    )
    swamped = by_job["checkpoint_s"] > 0.5 * by_job["held_s"]
    judged = by_job[(by_job["n"] >= _FEW_ATTEMPTS) | swamped]
    nothing = judged["kept_s"] <= 0.0
    hardly = judged[~nothing & (judged["kept_s"] < _HARDLY * judged["held_s"])]
    notes = []
    if nothing.any():
        which = judged[nothing]
        longest = format_duration(float(which["longest_s"].max()))
        notes.append(
            f"Note: {counted(len(which), 'unfinished job')} kept no work in "
            f"{int(which['n'].sum()):,} attempts, the longest of which took {longest}; each was "
            "stopped before its first checkpoint"
        )
    if len(hardly):
        total = hardly[[*parts, "held_s"]].sum()
        cause = max(_CAUSES, key=lambda name: float(total[name]))
        share = float(total[cause] / total["held_s"])
        kept = float(total["kept_s"] / total["held_s"])
        notes.append(
            f"Note: {counted(len(hardly), 'unfinished job')} made hardly any progress: "
            f"{format_percent(kept, 2)} of the time of {int(hardly['n'].sum()):,} attempts is "
            "kept work; " + _CAUSES[cause].format(share=format_percent(share))
        )
    return notes
