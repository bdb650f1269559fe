"""Standard Workload Format, the format of the Parallel Workloads Archive.

D. Feitelson, "The Standard Workload Format", version 2.2,
https://www.cs.huji.ac.il/labs/parallel/workload/swf.html: a line a job, 18
fields of white-space separated numbers, -1 where a value is unknown, comments
and header lines (``; MaxProcs: 100``) after a semicolon.  Times are in seconds
from the log's start (header ``UnixStartTime``, zone ``TimeZoneString``).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import pandas as pd

from clustersim.errors import InputError
from clustersim.workload.jobs import JobLog
from clustersim.workload.readers.clean import log_of
from clustersim.workload.readers.source import Source, read_csv, reading

__all__ = ["read_swf"]

_FIELDS = (
    "job_id",
    "submit_s",
    "wait_s",
    "duration_s",
    "allocated_procs",
    "cpu_time_s",
    "used_memory_kb",
    "req_procs",
    "req_time_s",
    "req_memory_kb",
    "status",
    "user",
    "group",
    "executable",
    "queue",
    "partition",
    "preceding_job",
    "think_time_s",
)
_STATUS = {0: "failed", 1: "completed", 5: "cancelled", -1: "unknown"}
_PARTS = (2, 3, 4)
"""Status of one run of a job that was swapped out; its summary line counts."""


def read_swf(source: Source, *, sort: bool, clip_to_estimate: bool) -> JobLog:
    """Read a log in Standard Workload Format.

    The size is the number of allocated processors, else the requested number;
    the estimate is the requested time.  Besides the jobs table's columns it keeps
    ``status`` (text), ``start_s`` (submit + wait), ``req_time_s``, ``req_procs``,
    ``group``, ``executable``, ``queue`` and ``partition``.

    Raises
    ------
    InputError
        If a line is not 18 numbers (the line is named), or as `check_jobs`.
    """
    rows = read_csv(
        source,
        sep=r"\s+",
        comment=";",
        header=None,
        names=[*_FIELDS, "surplus"],
        index_col=False,
        on_bad_lines="error",
        dtype=object,
    )
    numbers = rows.iloc[:, :18].apply(pd.to_numeric, errors="coerce")
    bad = numbers.isna().any(axis=1) | rows["surplus"].notna()
    if bad.any():
        raise InputError(source.path, _bad_line(source, int(np.argmax(bad))))
    parts = numbers["status"].isin(_PARTS)
    dropped = {"one run of a job that was swapped out (status 2 to 4)": int(parts.sum())}
    return log_of(
        _jobs(numbers[~parts].reset_index(drop=True)),
        source=str(source.path),
        format="swf",
        dropped={reason: count for reason, count in dropped.items() if count},
        origin=_origin(source.head),
        sort=sort,
        clip_to_estimate=clip_to_estimate,
    )


def _jobs(rows: pd.DataFrame) -> pd.DataFrame:
    known = rows.where(rows != -1)
    allocated = rows["allocated_procs"]
    submit, wait = rows["submit_s"], known["wait_s"]
    return pd.DataFrame(
        {
            "job_id": rows["job_id"],
            "submit_s": submit,
            "n_accelerators": allocated.where(allocated > 0, rows["req_procs"]),
            "duration_s": rows["duration_s"],
            "estimate_s": rows["req_time_s"],
            "user": _label(rows["user"]),
            "status": rows["status"].map(_STATUS).fillna("unknown").astype(str),
            "start_s": _nullable(submit + wait),
            "req_time_s": _nullable(known["req_time_s"]),
            "req_procs": _nullable(known["req_procs"]),
            **{name: _label(rows[name]) for name in ("group", "executable", "queue", "partition")},
        }
    ).drop(columns=[] if known["req_time_s"].notna().any() else ["estimate_s"])


def _nullable(values: pd.Series) -> pd.Series:
    whole = (values.dropna() % 1 == 0).all()
    return values.astype("Int64") if whole else values


def _label(numbers: pd.Series) -> pd.Series:
    """Numbers that name things, as text; absent where the log says -1."""
    return numbers.astype("Int64").astype("string").mask(numbers == -1)


def _origin(head: str) -> datetime | None:
    start = re.search(r"^;\s*UnixStartTime:\s*(\d+)", head, re.MULTILINE)
    if start is None or int(start[1]) == 0:
        return None
    zone = re.search(r"^;\s*TimeZoneString:\s*(\S+)", head, re.MULTILINE)
    moment = datetime.fromtimestamp(int(start[1]), UTC)
    try:
        return moment.astimezone(ZoneInfo(zone[1])) if zone else moment
    except (ZoneInfoNotFoundError, ValueError):
        return moment


def _bad_line(source: Source, row: int) -> str:
    """Name the line of a data row (rows are counted from 0, comments left out)."""
    seen = -1
    with reading(source.path), source.open_text() as text:
        for number, line in enumerate(text, start=1):
            fields = line.split(";")[0].split()
            seen += bool(fields)
            if fields and seen == row:
                return (
                    f"line {number} is not a job of the Standard Workload Format: "
                    f"{len(fields)} fields ({line.strip()[:60]!r}); 18 numbers are needed"
                )
    return f"data row {row + 1} is not 18 numbers"
