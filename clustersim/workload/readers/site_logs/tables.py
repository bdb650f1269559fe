"""Tables of jobs in text: ``sacct`` in all its forms, and any table with known columns."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np
import pandas as pd

from clustersim.workload.readers.cells import given_cells
from clustersim.workload.readers.observed import is_running, is_waiting
from clustersim.workload.readers.site_logs.column_names import english_key, is_utc
from clustersim.workload.readers.site_logs.column_roles import recognise
from clustersim.workload.readers.site_logs.devices import UNCOUNTED
from clustersim.workload.readers.site_logs.durations import durations_s
from clustersim.workload.readers.site_logs.gres import are_numbered
from clustersim.workload.readers.site_logs.numbers import with_plain_numbers
from clustersim.workload.readers.site_logs.records import EXTRA, Records
from clustersim.workload.readers.site_logs.role_names import Roles
from clustersim.workload.readers.site_logs.row_sizes import row_sizes, uncounted_resources
from clustersim.workload.readers.site_logs.text_tables import TextTable
from clustersim.workload.readers.site_logs.vocabulary import english_state

__all__ = ["records_of_table", "records_of_text"]

_TIMES = ("submit", "start", "end")
_SLURM = {"elapsedraw", "timelimitraw", "alloccpus", "nnodes"}
"""Columns that only Slurm names so."""
_STEP = (
    r"^\d+(?:_(?:\d+|\[[^\]]*\]))?(?:\+\d+)?\."
    r"(?:\d+|batch|extern|interactive|[a-z\d]*\+)(?:\+\d+)?$"
)
"""A step of a job: ``123.batch``, ``123_4.0``, ``123+1.extern``."""
_TOTAL = ("total", "sum", "totals", "count", "grandtotal")
_NUMBERED = (
    "TRES have numbers that differ from site to site: use sacct, or replace them by the names that "
    "`sacctmgr show tres` prints (gres/gpu=8)"
)
_OF_QUEUE = {"nodelistreason", "timeleft"}
_QUEUE = (
    "this is a queue as squeue prints it, which is for clustersim forecast; a log is what sacct "
    "prints (clustersim trace --command slurm)"
)
_NEEDED = {
    "submit": "no column tells when a job was submitted",
    "run": "no columns tell how long a job ran (a run time, or start and end)",
    "gpus": "no column tells the number of accelerators (in sacct: AllocTRES)",
}


def records_of_text(found: TextTable, mapping: Mapping[str, str] | None = None) -> Records:
    """Return the records of a table in text.

    Parameters
    ----------
    found : TextTable
        The table, and the lines that are none of its rows.
    mapping : mapping of str to str, optional
        Columns by role, where the user has given them.
    """
    table = with_plain_numbers(found.table, decimal_comma=found.separator == ";")
    records = records_of_table(table, mapping, cut=found.cut)
    rows = [
        {"row": name, "line": line, "reason": reason}
        for reason, lines in (("noise", found.noise), ("malformed", found.malformed))
        for line, name in lines.items()
    ]
    if rows:
        both = pd.concat([records.table, pd.DataFrame(rows)], ignore_index=True)
        records.table = both.sort_values("line", kind="stable", ignore_index=True)
    if found.malformed:
        line, first = next(iter(found.malformed.items()))
        at_end = len(found.malformed) == 1 and line > max(found.table.index, default=line)
        records.notes.append(
            f"the last row ({first}) has more or fewer fields than the header, perhaps because the "
            "file is cut off there: left out"
            if at_end
            else f"{len(found.malformed):,} rows have more or fewer fields than the header (the "
            f"first is {first}), perhaps from a separator in a job name: left out; ask for the log "
            "without job names"
        )
    return records


def records_of_table(
    table: pd.DataFrame, mapping: Mapping[str, str] | None = None, *, cut: bool = False
) -> Records:
    """Return the records of a table of texts; its index has the lines.

    Parameters
    ----------
    table : pandas.DataFrame
        Cells as texts.
    mapping : mapping of str to str, optional
        Columns by role, where the user has given them.
    cut : bool
        Whether values that end in ``+`` have been cut.
    """
    if not mapping:
        table = _with_joined_dates(table)
    roles = _roles(table, mapping or {})
    slurm = english_key(roles.names.get("job_id", "")) in ("jobid", "jobidraw") and bool(
        {"tres", "req_tres", "gres", "req_gres"} & set(roles.names)
        or _SLURM & {english_key(name) for name in table}
    )
    notes: list[str] = []
    records = _cells(table, roles, cut=cut)
    lines = records["line"]
    if "job_id" not in records:
        records["job_id"] = "row " + lines.astype(str)
        notes.append("no column names the jobs: they are called by their lines")
    if {"NAMESPACE", "NAME"} <= set(table) and roles.names.get("job_id") == "NAME":  # kubectl
        records["job_id"] = table["NAMESPACE"] + "/" + table["NAME"]
    records["row"] = records["job_id"].where(records["job_id"].notna(), "line " + lines.astype(str))
    clusters = [name for name in table if english_key(name) in ("cluster", "clustername")]
    if clusters and table[clusters[0]].nunique() > 1:
        records["cluster"] = table[clusters[0]]
    records["reason"] = _own_reasons(records, table, roles, slurm=slurm, cut=cut)
    if not slurm:
        read = {*roles.names.values(), *roles.factors}
        for name in table:
            if name not in read or english_key(name) in ("vc", "virtualcluster"):
                records[EXTRA + str(name)] = table[name]
    lacking = _lacking(roles)
    if roles.has_size:
        records["n"], more = row_sizes(table, roles)
        records[UNCOUNTED] = uncounted_resources(table, roles)
        notes += more
    if "gpu_time" in roles.names:
        unit = roles.units["gpu_time"]
        records["accelerator_s"] = durations_s(table[roles.names["gpu_time"]], unit)
    _scale_times(records, roles)
    notes += _settle_runs(records, roles)
    advice = "; ".join(_NEEDED[name] for name in lacking)
    if _OF_QUEUE & {english_key(str(name)) for name in table}:
        advice = advice and f"{_QUEUE}: {advice}"
    if advice:
        advice += f"; columns: {', '.join(map(str, table.columns[:20]))}"
        advice += " (give --columns submit=NAME,run=NAME,gpus=NAME to name them)"
    if "tres" in roles.names and are_numbered(table[roles.names["tres"]]):
        advice = advice or _NUMBERED
        notes.append(_NUMBERED)
    if not slurm:
        notes += _read_as(roles)
    form = "slurm" if slurm else "table"
    return Records(records.reset_index(drop=True), form, notes, advice, bool(lacking))


def _cells(table: pd.DataFrame, roles: Roles, *, cut: bool) -> pd.DataFrame:
    """Return the columns whose roles are known, as records have them."""
    records = pd.DataFrame({"line": pd.Series(table.index, index=table.index)})
    for role in (
        "job_id",
        "user",
        "partition",
        "account",
        "qos",
        "state",
        "submit",
        "start",
        "end",
    ):
        if role in roles.names:
            table_name = roles.names[role]
            cells = table[table_name]
            records[role] = cells.where(pd.Series(given_cells(cells), index=cells.index), None)
            if role == "state":
                records[role] = records[role].map(english_state)
            if role in _TIMES and is_utc(table_name):
                zoneless = cells.str.contains(r":\d\d(?:[.,]\d+)?(?:\s*[AaPp][Mm])?$", na=False)
                records[role] = records[role].mask(zoneless, cells + " UTC")
            if cut and role in _TIMES:
                records[role] = records[role].mask(cells.str.endswith("+", na=False), None)
    for role in ("wait", "run", "limit"):
        if role in roles.names:
            name = roles.names[role]
            unit = roles.units.get(role, 60.0 if english_key(name) == "timelimitraw" else 1.0)
            records[f"{role}_s"] = durations_s(table[name], unit)
    return records


_DATE = r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}"
_TIME_OF_DAY = r"\d{1,2}:\d\d(?::\d\d(?:[.,]\d+)?)?(?:\s*[AaPp]\.?[Mm]\.?)?"


def _with_joined_dates(table: pd.DataFrame) -> pd.DataFrame:
    """Join columns of dates with the columns of times of day of the same name."""
    dates = {}
    for name in table:
        stem = english_key(name)
        if re.search(r"dates?|day", stem):
            dates[re.sub(r"dates?|day", "", stem)] = name
    joined = table
    for name in table:
        stem = english_key(name)
        date = dates.get(re.sub(r"time|hour|clock", "", stem))
        if date is None or date == name or not re.search(r"time|hour|clock", stem):
            continue
        if _all_match(table[date], _DATE) and _all_match(table[name], _TIME_OF_DAY):
            both = table[date].astype(str) + " " + table[name].astype(str)
            absent = ~pd.Series(given_cells(table[name]), index=table.index)
            joined = joined.assign(**{str(name): both.mask(absent, "")}).drop(columns=date)
    return joined


def _all_match(cells: pd.Series, pattern: str) -> bool:
    given = cells[given_cells(cells)].astype(str).str.strip()
    return bool(len(given)) and bool(given.str.fullmatch(pattern).all())


def _roles(table: pd.DataFrame, mapping: Mapping[str, str]) -> Roles:
    """Return the roles of columns: those the user has given, then those recognised."""
    taken = set(mapping.values())
    roles = recognise([str(name) for name in table if name not in taken], table)
    per = [role for role in ("nodes", "workers") if role in mapping]
    for role, name in mapping.items():
        if role in ("nodes", "workers", "gpus_per_node", "gpus_per_worker"):
            continue
        roles.names[role] = name
        roles.units.pop(role, None)
    if "gpus" in mapping:
        roles.factors = ()
        for role in ("tres", "req_tres", "gres", "req_gres"):
            roles.names.pop(role, None)
    factors = [mapping[role] for role in ("gpus_per_node", "gpus_per_worker") if role in mapping]
    if per and factors:
        roles.factors = (mapping[per[0]], factors[0])
        roles.names.pop("gpus", None)
    return roles


def _lacking(roles: Roles) -> list[str]:
    """Return what the columns do not tell."""
    lacking = []
    names = set(roles.names)
    if "submit" not in names and not {"start", "wait"} <= names and not {"end", "wait"} <= names:
        lacking.append("submit")
    if "run" not in names and not ({"start", "end"} <= names or {"end", "wait"} <= names):
        lacking.append("run")
    if not roles.has_size:
        lacking.append("gpus")
    return lacking


def _own_reasons(
    records: pd.DataFrame, table: pd.DataFrame, roles: Roles, *, slurm: bool, cut: bool
) -> pd.Series:
    """Return the rows that are steps or totals."""
    reason = pd.Series(None, index=records.index, dtype=object)
    ids = records["job_id"].astype("string").fillna("")
    if slurm:
        step = ids.str.match(_STEP)
        if cut and "user" in roles.names:  # a number that is cut may be one of a step
            step |= ids.str.endswith("+") & records["user"].isna()
        reason = reason.mask(step.astype(bool), "step")
    total = ids.str.lower().str.strip(" :").isin(_TOTAL)
    if "submit" in records:
        total |= (ids == "") & records["submit"].isna()
    return reason.mask(reason.isna() & total.astype(bool), "noise")


def _scale_times(records: pd.DataFrame, roles: Roles) -> None:
    """Convert times whose name tells a unit to seconds, in place."""
    for role in ("submit", "start", "end"):
        unit = roles.units.get(role, 1.0)
        if role in records and unit != 1.0:
            numbers = pd.to_numeric(records[role], errors="coerce")
            if numbers.notna().any() and float(numbers.max()) < 1e11:  # else advice by its size
                records[role] = numbers * unit


def _settle_runs(records: pd.DataFrame, roles: Roles) -> list[str]:
    """Drop a column of run times that is not one, in place; return a note."""
    if "run" in roles.names and "end" not in roles.names and "run" not in roles.units:
        return _in_milliseconds(records, roles)
    if not {"run", "start", "end"} <= set(roles.names) or english_key(roles.names["run"]) in (
        "elapsed",
        "elapsedraw",
    ):
        return []
    start, end, submit = (_rough(records.get(role)) for role in ("start", "end", "submit"))
    if start is None or end is None:
        return []
    run, length = records["run_s"], end - start
    both = run.notna() & length.notna() & (run > 0) & (length > 0)
    if "state" in records:
        words = records["state"].fillna("")
        both &= ~is_running(words) & ~is_waiting(words)
    off = (run - length).abs()
    fine = both & (off < 1.5)
    name = roles.names["run"]
    if not both.any():
        return []
    hour = (off - 3600).abs() < 1.5
    half = (off - 1800).abs() < 1.5
    if (fine | hour | half)[both].mean() >= 0.9:
        records.loc[fine & (run == run.round()), "run_s"] = np.nan  # end minus start is as fine
        return []
    for unit, word in ((1e-3, "milliseconds"), (60.0, "minutes"), (3600.0, "hours")):
        if ((run * unit - length).abs() < max(1.5, unit))[both].mean() >= 0.9:
            records["run_s"] = np.nan
            return [f"{name} is in {word}: run times are end minus start"]
    if "wall" in english_key(name) and "limit" not in roles.names:
        records["limit_s"] = run
        records["run_s"] = np.nan
        return [f"{name} is not end minus start: it is read as the time limit"]
    records["run_s"] = np.nan
    what = ""
    if submit is not None and ((run - (end - submit)).abs() < 1.5)[both].mean() >= 0.9:
        what = " (it is end minus submission)"
    return [f"{name} is not end minus start{what}: run times are end minus start"]


_MOST_USUAL_S = 2 * 86400.0
"""A median run time above this is read as milliseconds, if times are milliseconds."""


def _in_milliseconds(records: pd.DataFrame, roles: Roles) -> list[str]:
    """Convert run times in milliseconds beside times in milliseconds, in place; return a note."""
    times = [pd.to_numeric(records[role], errors="coerce") for role in _TIMES if role in records]
    in_ms = any(1e11 <= float(one.max()) < 1e14 for one in times if one.notna().any())
    run = records["run_s"]
    if not in_ms or not run[run > 0].median() > _MOST_USUAL_S:
        return []
    records["run_s"] = run * 1e-3
    return [f"{roles.names['run']} is read as milliseconds, like the times"]


def _rough(cells: pd.Series | None) -> pd.Series | None:
    """Return times in seconds without regard to zones; NaN for what is not ISO 8601 or a number."""
    if cells is None:
        return None
    numbers = pd.to_numeric(cells, errors="coerce").astype(np.float64)
    if numbers.notna().any():
        top = float(numbers.max())
        scale = 1e-9 if top >= 1e17 else 1e-6 if top >= 1e14 else 1e-3 if top >= 1e11 else 1.0
        return numbers.where(numbers > 0) * scale
    times = pd.to_datetime(cells, format="ISO8601", errors="coerce", utc=True)
    seconds: pd.Series = (times - pd.Timestamp(0, tz="UTC")).dt.total_seconds()
    return seconds


def _read_as(roles: Roles) -> list[str]:
    """Return a note on how columns are read whose name alone does not tell it."""
    spelt = [
        f"{name} as {role.replace('_', ' ')}"
        for role, name in roles.names.items()
        if english_key(name) != english_key(role)
        and role in ("submit", "start", "end", "wait", "run", "gpus", "limit")
    ]
    return ["columns read: " + ", ".join(spelt)] if spelt else []
