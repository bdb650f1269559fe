"""Determine which rows of a log have an observed run time, and why the other rows do not.

A run time is observed if the log has both the start and the end of the job. Other times in a log
are not observed run times: for example, the time since the submission of a job that never started,
or the time so far of a job that is still running.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from clustersim.catalogue import load_catalogue
from clustersim.units import counted
from clustersim.workload.input_columns import readers_of

__all__ = [
    "BACKWARD",
    "NEVER_STARTED",
    "STILL_RUNNING",
    "chips_note",
    "early_note",
    "first_reason",
    "ignored_note",
    "is_running",
    "is_waiting",
    "observed_run",
    "state_of",
]

NEVER_STARTED = "never started, or start not recorded"
STILL_RUNNING = "still running at the end of the log, or end not recorded"
BACKWARD = "end before start"
CHIP_COLUMNS = ("gpu_spec", "gpu_type", "gpu_model", "model_or_type")
"""Columns with chip types; `model_or_type` is used only if its values look like ``V100M32``."""
MOST_TYPES = 8
_CHIP = re.compile(r"[A-Z]+[0-9]+\w*")

_RUNNING = {
    *("running", "r", "suspended", "resizing", "signaling", "stage_out", "in_progress"),
    *("executing", "started", "terminating", "run", "ususp", "ssusp", "active", "inprogress"),
}
_WAITING = {
    *("pending", "pd", "queued", "waiting", "submitted", "configuring", "cf", "created"),
    *("accepted", "requeue_hold", "requeue_fed", "held", "resv_del_hold", "special_exit"),
    *("pend", "psusp", "q", "h", "qw", "hqw", "inqueue", "idle", "blocked", "unscheduled"),
}
_ENDED = {
    *("completed", "complete", "succeeded", "success", "pass", "finished", "done", "cd"),
    *("failed", "failure", "f", "error", "cancelled", "canceled", "ca", "killed", "aborted"),
    *("timeout", "to", "node_fail", "nf", "out_of_memory", "oom", "preempted", "pr", "deadline"),
    *("boot_fail", "bf", "terminated", "stopped", "revoked", "completing", "cg", "unknown"),
    *("evicted", "interrupted", "lost", "requeued", "exit", "zombi", "unkwn", "crashed"),
}
_CANCELLED = {"cancelled", "canceled", "ca", "killed", "aborted", "revoked"}


def state_of(text: object) -> str:
    """Return the state of a job in lower case and without additions such as ``by 12``.

    Examples
    --------
    >>> state_of("CANCELLED by 12"), state_of("NODE-FAIL+")
    ('cancelled', 'node_fail')
    """
    words = str(text).lower().split()
    return words[0].rstrip("+").replace("-", "_") if words else ""


def _is_in(column: pd.Series, states: set[str]) -> pd.Series:
    """Return which rows have one of the given states; each distinct text is parsed once."""
    codes, texts = pd.factorize(column)
    found = np.array([*(state_of(text) in states for text in texts), False])
    return pd.Series(found[codes], index=column.index)


def is_running(column: pd.Series) -> pd.Series:
    """Return, for each row, whether its state means that the job is running."""
    return _is_in(column, _RUNNING)


def is_waiting(column: pd.Series) -> pd.Series:
    """Return, for each row, whether its state means that the job is waiting."""
    return _is_in(column, _WAITING)


def is_cancelled(column: pd.Series) -> pd.Series:
    """Return, for each row, whether its state means that the job was cancelled."""
    return _is_in(column, _CANCELLED)


def are_states(column: pd.Series) -> bool:
    """Return whether all values of a column are states of jobs.

    Examples
    --------
    >>> are_states(pd.Series(["COMPLETED", "CANCELLED by 4037", None]))
    True
    >>> are_states(pd.Series(["CA", "NY"]))
    False
    """
    texts = column.dropna().unique()
    return len(texts) > 0 and all(state_of(text) in _RUNNING | _WAITING | _ENDED for text in texts)


def observed_run(
    start: pd.Series, end: pd.Series, state: pd.Series | None
) -> tuple[pd.Series, pd.Series]:
    """Return the observed run times, and the reason for each row without an observed run time.

    Parameters
    ----------
    start, end : pandas.Series
        Dates or seconds; missing if not recorded.
    state : pandas.Series, optional
        State of each job. The end of a running job is ignored.

    Returns
    -------
    (pandas.Series, pandas.Series)
        Run times in seconds, NaN if not observed; and reasons, missing if observed.

    Examples
    --------
    >>> run, why = observed_run(pd.Series([0.0, np.nan]), pd.Series([8.0, 9.0]), None)
    >>> run.tolist(), why.tolist()
    ([8.0, nan], [nan, 'never started, or start not recorded'])
    """
    run = end - start
    if pd.api.types.is_timedelta64_dtype(run):
        run = run.dt.total_seconds()
    run = run.astype(np.float64)
    waits, runs = (
        (is_waiting(state), is_running(state))
        if state is not None
        else (pd.Series(False, index=start.index),) * 2
    )
    why = first_reason(
        start.index,
        {
            NEVER_STARTED: start.isna() | waits,
            STILL_RUNNING: end.isna() | runs,
            BACKWARD: run < 0,
        },
    )
    return run.mask(why.notna()), why


def early_note(early: pd.Series) -> list[str]:
    """Return a note on jobs that start before their submission; an empty list if no job does.

    Parameters
    ----------
    early : pandas.Series
        Whether each job starts before its submission; the index is the position of the record in
        the file, starting at 0.

    Examples
    --------
    >>> early_note(pd.Series([False, True]))
    ['1 job starts before its submission in the log (row 2): submit times are not changed']
    """
    rows = early.index[early.fillna(False).astype(bool)]
    if not len(rows):
        return []
    first = f"row {rows[0] + 1}" if len(rows) == 1 else f"the first in row {rows[0] + 1}"
    jobs = counted(
        len(rows), "job starts before its submission", "jobs start before their submission"
    )
    return [f"{jobs} in the log ({first}): submit times are not changed"]


def first_reason(index: pd.Index, reasons: Mapping[str, pd.Series]) -> pd.Series:
    """Return the first of the `reasons` that applies to each row; missing if none applies."""
    why = pd.Series(None, index=index, dtype=object)
    for reason, holds in reasons.items():
        why = why.mask(why.isna() & holds.fillna(False).astype(bool), reason)
    return why


def ignored_note(
    table: pd.DataFrame,
    columns: Iterable[str],
    shared: Iterable[str] = (),
    *,
    records: pd.DataFrame | None = None,
) -> list[str]:
    """Return notes on columns that restrict jobs in the log but not, or not always, in a run.

    Parameters
    ----------
    table : pandas.DataFrame
        The jobs that are kept.
    columns : iterable of str
        Columns in which every value is a requirement or a limit.
    shared : iterable of str
        Columns that divide the jobs into groups; a note mentions them only if they have several
        values. Some policies, clusters and quotas use some of them.
    records : pandas.DataFrame, optional
        All records of the log, including records that are not jobs.

    Examples
    --------
    >>> jobs = pd.DataFrame({"gpu_spec": ["T4", None], "qos": ["high", "low"]})
    >>> ignored_note(jobs, ["gpu_spec", "memory"], ["qos"])
    ['columns of the log that the simulation ignores: gpu_spec (1 job)', 'gpu_spec: jobs \
restricted to certain chip types can run on any chip here, with the run time of the log. 1 of them \
names a type that is not in the catalogue: T4 (1)', 'columns of the log that only policies, \
clusters and quotas with a setting for them use: qos (2 jobs)']
    """
    ignored: list[str] = []
    at_times: list[str] = []
    for name in [*columns, *shared]:
        given = _given(table, name)
        if len(given) and (name not in shared or given.nunique() > 1):
            count = f"{len(given):,} job{'' if len(given) == 1 else 's'}"
            of_all = 0 if records is None else len(_given(records, name))
            more = f" of {counted(of_all, 'record')}" if of_all > len(given) else ""
            (at_times if readers_of(name) else ignored).append(f"{name} ({count}{more})")
    chips = (
        chips_note(name, _given(table, name))
        for name in CHIP_COLUMNS
        if name in {*columns, *shared}
    )
    notes = [note for note in chips if note]
    if ignored:
        text = f"columns of the log that the simulation ignores: {', '.join(ignored)}"
        notes = [text, *notes]
    if at_times:
        notes.append(
            "columns of the log that only policies, clusters and quotas with a setting for them "
            f"use: {', '.join(at_times)}"
        )
    return notes


def chips_note(name: str, given: pd.Series) -> str:
    """Return a note on jobs that are restricted to certain chip types; empty if no job is.

    Parameters
    ----------
    name : str
        The column with the chip types.
    given : pandas.Series
        Values of the column: one type, or several types separated by ``|`` or commas.
    """
    counts = given.astype(str).value_counts()
    lists = [re.split(r"\s*[|,;]\s*", text.strip()) for text in counts.index]
    types = {each for one in lists for each in one if each}
    if not types or (name == "model_or_type" and not all(map(_CHIP.fullmatch, types))):
        return ""
    catalogue = load_catalogue()
    lacking: dict[str, int] = {}
    jobs = 0
    for one, count in zip(lists, counts.tolist(), strict=True):
        unknown = {each for each in one if each and not catalogue.has_accelerator(each)}
        jobs += count if unknown else 0
        for each in unknown:
            lacking[each] = lacking.get(each, 0) + count
    assumed = (
        f"{name}: jobs restricted to certain chip types can run on any chip here, with the run "
        "time of the log"
    )
    if not jobs:
        return (
            f"{assumed}. To restrict them, add a column accelerators with names from the catalogue"
        )
    ordered = sorted(lacking.items(), key=lambda item: (-item[1], item[0]))
    shown = ", ".join(f"{each} ({count:,})" for each, count in ordered[:MOST_TYPES])
    more = ", ..." if len(ordered) > MOST_TYPES else ""
    names = "names a type that is" if jobs == 1 else "name types that are"
    return f"{assumed}. {jobs:,} of them {names} not in the catalogue: {shown}{more}"


def _given(table: pd.DataFrame, name: str) -> pd.Series:
    """Return the values of a column that are not missing; empty if there is no such column."""
    column = table.get(name)
    if not isinstance(column, pd.Series):
        return pd.Series(dtype=object)
    codes, texts = pd.factorize(column)
    given = np.array([*(str(text).strip() != "" for text in texts), False])
    return column[given[codes]]
