"""Which rows of a log tell how long a job ran, and why the others do not.

A run time is observed where a log has both its start and its end.  What a log derives from
something else (the time since the submission of a job that never started, the time until now of a
job that runs) is not one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from clustersim.catalogue import load_catalogue
from clustersim.units import counted

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

NEVER_STARTED = "never started, or its start not recorded"
STILL_RUNNING = "still running when the log ends, or its end not recorded"
BACKWARD = "its end is before its start"
CHIP_COLUMNS = ("gpu_spec", "gpu_type", "gpu_model", "model_or_type")
"""Columns that name types of chip; `model_or_type` where its values look so (``V100M32``)."""
MOST_TYPES = 8
_CHIP = re.compile(r"[A-Z]+[0-9]+\w*")

_RUNNING = {
    *("running", "r", "suspended", "resizing", "signaling", "stage_out", "in_progress"),
    *("executing", "started", "terminating"),
}
_WAITING = {
    *("pending", "pd", "queued", "waiting", "submitted", "configuring", "cf", "created"),
    *("accepted", "requeue_hold", "requeue_fed", "held", "resv_del_hold", "special_exit"),
}
_ENDED = {
    *("completed", "complete", "succeeded", "success", "pass", "finished", "done", "cd"),
    *("failed", "failure", "f", "error", "cancelled", "canceled", "ca", "killed", "aborted"),
    *("timeout", "to", "node_fail", "nf", "out_of_memory", "oom", "preempted", "pr", "deadline"),
    *("boot_fail", "bf", "terminated", "stopped", "revoked", "completing", "cg", "unknown"),
    *("evicted", "interrupted", "lost", "requeued"),
}
_CANCELLED = {"cancelled", "canceled", "ca", "killed", "aborted", "revoked"}


def state_of(text: object) -> str:
    """Return the state of a job in one spelling.

    Examples
    --------
    >>> state_of("CANCELLED by 12"), state_of("NODE-FAIL+")
    ('cancelled', 'node_fail')
    """
    words = str(text).lower().split()
    return words[0].rstrip("+").replace("-", "_") if words else ""


def _is_in(column: pd.Series, states: set[str]) -> pd.Series:
    """Tell which rows have one of some states; each distinct text is looked at once."""
    codes, texts = pd.factorize(column)
    found = np.array([*(state_of(text) in states for text in texts), False])
    return pd.Series(found[codes], index=column.index)


def is_running(column: pd.Series) -> pd.Series:
    """Tell which states say that a job runs."""
    return _is_in(column, _RUNNING)


def is_waiting(column: pd.Series) -> pd.Series:
    """Tell which states say that a job waits."""
    return _is_in(column, _WAITING)


def is_cancelled(column: pd.Series) -> pd.Series:
    """Tell which states say that a job was cancelled."""
    return _is_in(column, _CANCELLED)


def are_states(column: pd.Series) -> bool:
    """Tell whether a column holds nothing but states of jobs.

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
    """Return run times that were observed, and why the others were not.

    Parameters
    ----------
    start, end : pandas.Series
        Times or seconds, absent where not recorded.
    state : pandas.Series, optional
        What the log says of each job; one that runs has no end yet, whatever stands there.

    Returns
    -------
    (pandas.Series, pandas.Series)
        Seconds, NaN where not observed; reasons, absent where observed.

    Examples
    --------
    >>> run, why = observed_run(pd.Series([0.0, np.nan]), pd.Series([8.0, 9.0]), None)
    >>> run.tolist(), why.tolist()
    ([8.0, nan], [nan, 'never started, or its start not recorded'])
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
    """Say how many jobs a log lets start before their submission; nothing where none does.

    Parameters
    ----------
    early : pandas.Series
        True for such a job; the index is the record's place in the file, from 0 on.

    Examples
    --------
    >>> early_note(pd.Series([False, True]))
    ['1 job starts before its submission in the log (row 2): submissions are taken as they stand']
    """
    rows = early.index[early.fillna(False).astype(bool)]
    if not len(rows):
        return []
    first = f"row {rows[0] + 1}" if len(rows) == 1 else f"the first in row {rows[0] + 1}"
    said = counted(
        len(rows), "job starts before its submission", "jobs start before their submission"
    )
    return [f"{said} in the log ({first}): submissions are taken as they stand"]


def first_reason(index: pd.Index, reasons: Mapping[str, pd.Series]) -> pd.Series:
    """Return for each row the first of the `reasons` that holds, absent where none does."""
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
    """Say which columns bind jobs to something in the log but not in the simulation.

    Parameters
    ----------
    table : pandas.DataFrame
        The jobs that are kept.
    columns : iterable of str
        Columns, each of whose values is a demand or a limit.
    shared : iterable of str
        Columns that divide the jobs; they count where they have more than one value.
    records : pandas.DataFrame, optional
        All records of the log, those that are no jobs included.

    Examples
    --------
    >>> jobs = pd.DataFrame({"gpu_spec": ["T4", None], "queue": ["a", "a"]})
    >>> ignored_note(jobs, ["gpu_spec", "memory"], ["queue"])
    ['not simulated, although the log has it: gpu_spec (1 job)', 'gpu_spec: jobs bound to types of \
chip may run on any chip here, for as long as the log says. 1 of them names a type that the \
catalogue lacks: T4 (1)']
    """
    told = []
    for name in [*columns, *shared]:
        given = _given(table, name)
        if len(given) and (name not in shared or given.nunique() > 1):
            count = f"{len(given):,} job{'' if len(given) == 1 else 's'}"
            of_all = 0 if records is None else len(_given(records, name))
            more = f" of {counted(of_all, 'record')}" if of_all > len(given) else ""
            told.append(f"{name} ({count}{more})")
    if not told:
        return []
    chips = (
        chips_note(name, _given(table, name))
        for name in CHIP_COLUMNS
        if name in {*columns, *shared}
    )
    return [
        f"not simulated, although the log has it: {', '.join(told)}",
        *(note for note in chips if note),
    ]


def chips_note(name: str, given: pd.Series) -> str:
    """Say what is assumed of jobs that may run on certain types of chip only; empty without any.

    Parameters
    ----------
    name : str
        The column.
    given : pandas.Series
        Its values: a type, or several separated by ``|`` or commas.
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
    told = (
        f"{name}: jobs bound to types of chip may run on any chip here, for as long as the log says"
    )
    if not jobs:
        return f"{told}. A column accelerators with names of the catalogue limits them"
    ordered = sorted(lacking.items(), key=lambda item: (-item[1], item[0]))
    shown = ", ".join(f"{each} ({count:,})" for each, count in ordered[:MOST_TYPES])
    more = ", ..." if len(ordered) > MOST_TYPES else ""
    names = "names a type" if jobs == 1 else "name types"
    return f"{told}. {jobs:,} of them {names} that the catalogue lacks: {shown}{more}"


def _given(table: pd.DataFrame, name: str) -> pd.Series:
    """Values of a column that are not absent; none where there is no such column."""
    column = table.get(name)
    if not isinstance(column, pd.Series):
        return pd.Series(dtype=object)
    codes, texts = pd.factorize(column)
    given = np.array([*(str(text).strip() != "" for text in texts), False])
    return column[given[codes]]
