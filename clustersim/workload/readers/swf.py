"""Standard Workload Format, the format of the Parallel Workloads Archive.

D. Feitelson, "The Standard Workload Format", version 2.2,
https://www.cs.huji.ac.il/labs/parallel/workload/swf.html: one line per job with 18 numbers
separated by white space, -1 for an unknown value; comments and header lines (``; MaxProcs: 100``)
begin with a semicolon. Times are in seconds from the start of the log. The header states the start:
``UnixStartTime`` in seconds since 1970, otherwise ``StartTime`` as printed by the command `date`.
``TimeZoneString`` is the time zone of the site, including daylight saving time: a name of the
zoneinfo database, or a string as in the POSIX variable TZ. The older field ``TimeZone`` is a number
of seconds to add to Unix time.
"""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone, tzinfo

import numpy as np
import pandas as pd

from clustersim.errors import InputError, shown
from clustersim.posix_zone import posix_zone, with_rules
from clustersim.time_zones import parse_zone, zone_name
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
_IGNORED = ("preceding_job", "req_memory_kb")
_SHARED = ("queue", "partition")
_DATE = ("%a %b %d %H:%M:%S %Y", "%b %d %H:%M:%S %Y", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S")
_LONGEST_OFFSET_S = 14 * 3600
_LAST_UNIX_S = 7258118400  # the year 2200
_PARTS = (2, 3, 4)
"""Status of lines for one run of a swapped-out job; only the summary line of the job is read."""


def read_swf(source: Source, *, sort: bool, clip_to_estimate: bool) -> JobLog:
    """Read a log in Standard Workload Format.

    The size is the number of allocated processors or, if this is unknown, the requested number. The
    estimate is the requested time. In addition to the columns of the jobs table, the reader keeps
    ``status`` (text), ``start_s`` (submit + wait), ``req_time_s``, ``req_procs``, ``group``,
    ``executable``, ``queue`` and ``partition``. If the log has values for ``preceding_job`` or
    ``req_memory_kb``, these columns are kept too, and a note reports that the simulation ignores
    them.

    Raises
    ------
    InputError
        If a line does not consist of 18 numbers (the message names the line), or as in
        `check_jobs`.
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
    origin, notes = _origin(source.head)
    parts = numbers["status"].isin(_PARTS)
    dropped = {"one run of a swapped-out job (status 2 to 4)": int(parts.sum())}
    return log_of(
        _jobs(numbers[~parts]),
        source=str(source.path),
        format="swf",
        dropped={reason: count for reason, count in dropped.items() if count},
        notes=notes,
        ignored=_IGNORED,
        shared=_SHARED,
        origin=origin,
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
            "preceding_job": _label(rows["preceding_job"]),
            "req_memory_kb": _nullable(known["req_memory_kb"]),
        }
    ).drop(
        columns=[
            *([] if known["req_time_s"].notna().any() else ["estimate_s"]),
            *(name for name in _IGNORED if known[name].isna().all()),
        ]
    )


def _nullable(values: pd.Series) -> pd.Series:
    whole = (values.dropna() % 1 == 0).all()
    return values.astype("Int64") if whole else values


def _label(numbers: pd.Series) -> pd.Series:
    """Return numeric labels as text; -1 becomes a missing value."""
    return numbers.astype("Int64").astype("string").mask(numbers == -1)


def _origin(head: str) -> tuple[datetime | None, list[str]]:
    """Return the local time at second 0 (None if unknown), and notes on uncertain header fields."""
    header = _header(head)
    zone, notes = _zone(header)
    start = header.get("unixstarttime", "")
    seconds = re.match(r"\d+(?![\w:/-])", start)
    if seconds is not None and 0 < int(seconds[0]) < _LAST_UNIX_S:
        moment = datetime.fromtimestamp(int(seconds[0]), UTC)
        if zone is None and not notes:
            notes = ["the header has no time zone: hours of the day are in UTC"]
        return moment.astimezone(zone or UTC), notes
    shown = header.get("starttime")
    if shown is None:
        return None, []
    wall = _wall_time(shown)
    if wall is None:
        return None, [f"StartTime: {shown!r} is not a date, so the date of the log is unknown"]
    return wall.replace(tzinfo=zone), notes


def _header(head: str) -> dict[str, str]:
    """Return the fields of the header, with names in lower case."""
    lines = re.findall(r"^\s*;\s*([A-Za-z]+)\s*:[ \t]*(\S.*?)[ \t]*$", head, re.MULTILINE)
    return {name.lower(): value for name, value in reversed(lines)}


def _zone(header: dict[str, str]) -> tuple[tzinfo | None, list[str]]:
    named, offset = header.get("timezonestring"), header.get("timezone")
    notes: list[str] = []
    for field, value in (("TimeZoneString", named), ("TimeZone", offset)):
        if value is None or value == "-1":
            continue
        seconds = re.match(r"([-+]?(?:0|[1-9]\d*))(?![\w:.])", value)
        if seconds is not None and _is_offset(int(seconds[1])):
            return timezone(timedelta(seconds=int(seconds[1]))), notes
        plain = value.strip("\"'").removeprefix(":")
        try:
            return parse_zone(plain), notes
        except ValueError as error:
            with suppress(ValueError):
                return posix_zone(with_rules(plain)), [*notes, *_posix_notes(field, plain)]
            what = f"{value} s is not an offset from UTC" if seconds is not None else str(error)
            notes.append(f"{field}: {what}; it is ignored")
    if notes:
        notes.append("hours of the day are in UTC")
    return None, notes


def _posix_notes(field: str, text: str) -> list[str]:
    """Return a note on the interpretation of an ambiguous time zone."""
    if with_rules(text) != text:
        return [
            f"{field}: {text!r} does not state when daylight saving time begins and ends: the "
            f"rules of the USA since 2007 are assumed ({with_rules(text)}), as in the GNU C library"
        ]
    named = zone_name(posix_zone(text))
    return [f"{field}: {text!r} is read as in POSIX, with positive hours west of UTC: {named}"]


def _is_offset(seconds: int) -> bool:
    """Return whether a number of seconds can be an offset from UTC (a multiple of 15 minutes)."""
    return abs(seconds) <= _LONGEST_OFFSET_S and seconds % 900 == 0


def _wall_time(text: str) -> datetime | None:
    """Read a date as printed by the command `date`, ignoring the abbreviation of the zone."""
    plain = re.sub(r"(?<=\d\d:\d\d:\d\d)\s+[A-Za-z+-][\w+-]*(?=\s)", "", " ".join(text.split()))
    for form in _DATE:
        try:
            return datetime.strptime(plain, form)
        except ValueError:
            continue
    return None


def _bad_line(source: Source, row: int) -> str:
    """Return a message with the line number of a data row (counted from 0, without comments)."""
    seen = -1
    with reading(source.path), source.open_text() as text:
        for number, line in enumerate(text, start=1):
            fields = line.split(";")[0].split()
            seen += bool(fields)
            if fields and seen == row:
                wrong = f"found {len(fields)} fields ({line.strip()[:60]!r}); 18 numbers are needed"
                if len(fields) == len(_FIELDS):
                    at = next(i for i, field in enumerate(fields) if not _is_number(field))
                    wrong = (
                        f"field {at + 1} ({_FIELDS[at]}) is {shown(fields[at])}; a number is "
                        "needed, or -1 for an unknown value"
                    )
                return f"line {number} is not a job of the Standard Workload Format: {wrong}"
    return f"data row {row + 1} must have 18 numbers"


def _is_number(text: str) -> bool:
    return bool(pd.notna(pd.to_numeric(text, errors="coerce")))
