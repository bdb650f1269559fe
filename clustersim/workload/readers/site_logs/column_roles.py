"""Recognise what the columns of a log mean, by their names and by what is in them."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pandas as pd

from clustersim.workload.columns import UNIT_S
from clustersim.workload.readers.cells import given_cells
from clustersim.workload.readers.observed import are_states
from clustersim.workload.readers.site_logs.column_names import english_key, stem_and_unit
from clustersim.workload.readers.site_logs.column_sizes import find_sizes
from clustersim.workload.readers.site_logs.role_names import (
    LABELS,
    LENGTHS,
    MEANING,
    TIMES,
    WAITS,
    WORDY,
    Roles,
)
from clustersim.workload.readers.site_logs.vocabulary import english_state

__all__ = ["recognise"]

_PLAIN_ENDING = re.compile(r"(?:timestamp|datetime|epoch|unix|iso|local)$")
"""What may stand behind the meaning of a column of times."""
_LENGTH_OR_TIME = ("running", "queue")
"""``running_time`` and ``queue_time`` are lengths of time, unless the cells are dates."""
_NO_TIME = {"queuedtime", "submittedjob", "runtime"}


def recognise(columns: Sequence[str], table: pd.DataFrame | None = None) -> Roles:
    """Return what columns mean.

    Parameters
    ----------
    columns : sequence of str
        Names of the columns.
    table : pandas.DataFrame, optional
        Their cells, by which a state is told from other words and a wait from a time.

    Examples
    --------
    >>> roles = recognise(["jobId", "workers", "gpuPerWorker", "submitTime", "queue", "queue_s"])
    >>> roles.factors, roles.names["wait"], roles.names["partition"]
    (('workers', 'gpuPerWorker'), 'queue_s', 'queue')
    """
    roles = Roles()
    parsed = {name: stem_and_unit(name) for name in columns}
    free = list(columns)
    for role in (
        "submit",
        "start",
        "end",
        *LENGTHS,
        "job_id",
        *LABELS,
        "tres",
        "req_tres",
        "gres",
        "req_gres",
    ):
        found = _named(role, free, parsed, table)
        if found is None and role in TIMES:
            found = _wordy(role, free, parsed, table)
        if found is None:
            continue
        name, unit = found
        roles.names[role] = name
        if unit is not None:
            roles.units[role] = unit
        if role != "job_id" or not english_key(name).endswith("name"):
            free.remove(name)
    timed = "run" in roles.names or {"start", "end"} <= set(roles.names)
    if not timed:  # a column that is called by a unit alone
        bare = next((name for name in free if english_key(name) in _BARE_UNITS), None)
        if bare is not None and (table is None or _fits("run", table[bare])):
            roles.names["run"] = bare
            roles.units["run"] = UNIT_S[english_key(bare)]
            free.remove(bare)
            timed = True
    if not timed and _is_walltime(roles.names.get("limit", "")):
        roles.names["run"] = roles.names.pop("limit")
    find_sizes(roles, free, table)
    return roles


_BARE_UNITS = ("seconds", "secs", "minutes", "mins", "hours", "days")


def _wordy(
    role: str,
    columns: list[str],
    parsed: dict[str, tuple[str, float | None]],
    table: pd.DataFrame | None,
) -> tuple[str, float | None] | None:
    """Return the column of a time whose name says more than that, such as ``job_started_on``."""
    for pattern in WORDY[role]:
        for name in columns:
            meaning, unit = parsed[name]
            whole = english_key(name)
            if whole in _NO_TIME or not (pattern.fullmatch(whole) or pattern.fullmatch(meaning)):
                continue
            length = whole.startswith(_LENGTH_OR_TIME)
            if length and (table is None or not _are_dates(table[name])):
                continue
            if table is None or _fits(role, table[name]):
                return name, unit
    return None


def _are_dates(cells: pd.Series) -> bool:
    """Return whether cells are times, not lengths of time."""
    given = cells[given_cells(cells)].astype(str).str.strip().head(200)
    dates = given.str.match(r"\d{4}[-/年]|\d{1,2}[-/.]\d{1,2}[-/.]\d{2}|\d{10}")
    return bool(len(given)) and bool(dates.mean() > 0.5)


def _is_walltime(name: str) -> bool:
    return english_key(name) in MEANING["limit"][1]


def _named(
    role: str,
    columns: list[str],
    parsed: dict[str, tuple[str, float | None]],
    table: pd.DataFrame | None,
) -> tuple[str, float | None] | None:
    """Return the column of a role and the unit of its name; None if there is none."""
    if role == "wait":  # `queue_s` is a wait, `queue` a partition
        for name in columns:
            meaning, unit = parsed[name]
            if meaning in WAITS and unit is not None:
                return name, unit
    for group in MEANING[role]:
        for name in columns:
            meaning, unit = parsed[name]
            if role == "submit" and unit is not None and meaning in WAITS:
                continue
            whole = english_key(name)
            timed = role in TIMES or role in LENGTHS
            if role in TIMES and whole not in group:
                whole = _PLAIN_ENDING.sub("", whole)
            if not (whole in group or (timed and unit is not None and meaning in group)):
                continue
            if table is not None and not _fits(role, table[name]):
                continue
            return name, (unit if timed and whole not in group else None)
    return None


def _fits(role: str, cells: pd.Series) -> bool:
    """Return whether the cells of a column can have a role."""
    given = cells[given_cells(cells)].astype(str).str.strip().head(200)
    if role == "state":
        given = given.map(english_state)
    if not len(given):
        return role not in ("run", "submit")
    if role == "state":
        return are_states(given) or bool(given.str.fullmatch(r"[A-Za-z_ +\d-]+").all())
    if role in TIMES:
        clock = given.str.fullmatch(r"(?:\d+-)?\d{1,4}:\d\d(?::\d\d(?:\.\d+)?)?")
        return bool((given.str.contains(r"\d", regex=True) & ~clock).mean() >= 0.1)
    if role in LENGTHS:
        return not bool(given.str.match(r"\d{4}-\d\d-\d\d").mean() > 0.5)
    return True
