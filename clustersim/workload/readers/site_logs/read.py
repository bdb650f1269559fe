"""Read a log that a site has, in whatever format it comes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from pathlib import Path

from clustersim.errors import InputError, shown, unknown_name
from clustersim.time_zones import parse_zone
from clustersim.workload.jobs import JobLog
from clustersim.workload.readers.site_logs.column_roles import recognise
from clustersim.workload.readers.site_logs.content import Content, open_content
from clustersim.workload.readers.site_logs.formats import JSON_FORMATS, TEXT_FORMATS
from clustersim.workload.readers.site_logs.programs.classads import (
    condor_records,
    is_condor_columns,
)
from clustersim.workload.readers.site_logs.programs.slurm_database import as_sacct, is_job_table
from clustersim.workload.readers.site_logs.records import Records
from clustersim.workload.readers.site_logs.settle import settle
from clustersim.workload.readers.site_logs.tables import records_of_text
from clustersim.workload.readers.site_logs.text_tables import find_table

__all__ = ["NAMED_COLUMNS", "parse_columns", "read_site_log", "site_records"]

NAMED_COLUMNS = {
    "job": "job_id",
    "submit": "submit",
    "start": "start",
    "end": "end",
    "wait": "wait",
    "run": "run",
    "limit": "limit",
    "gpus": "gpus",
    "nodes": "nodes",
    "gpus_per_node": "gpus_per_node",
    "workers": "workers",
    "gpus_per_worker": "gpus_per_worker",
    "state": "state",
    "user": "user",
    "partition": "partition",
    "account": "account",
    "qos": "qos",
}
"""What ``--columns submit=NAME`` can name, and the role of each."""


_HEADLESS = re.compile(r"\d[\w.+\[\]-]*[|;\t^~](?:.*[|;\t^~])?\d{4}-\d\d-\d\d[T ]\d\d:\d\d")
"""How the first row of ``sacct --noheader`` begins."""


def parse_columns(text: str | None) -> tuple[list[str] | None, dict[str, str]]:
    """Return the names of the columns of a file without a header, and the columns by role.

    Raises
    ------
    InputError
        If the text mixes names with ``role=NAME``, or has an unknown role.

    Examples
    --------
    >>> parse_columns("JobID,User,Submit")
    (['JobID', 'User', 'Submit'], {})
    >>> parse_columns("submit=Submitted,gpus=GPUs")
    (None, {'submit': 'Submitted', 'gpus': 'GPUs'})
    """
    if text is None:
        return None, {}
    parts = [part.strip() for part in text.split(",") if part.strip()]
    given = [part for part in parts if "=" in part]
    if not parts:
        raise InputError(
            "--columns", "is empty; write the names of the columns, or submit=NAME,..."
        )
    if not given:
        return [part.split("%")[0] for part in parts], {}
    if len(given) < len(parts):
        odd = next(part for part in parts if "=" not in part)
        raise InputError(
            "--columns",
            f"mixes names with role=NAME, found {shown(odd)}; name all columns of a file without a "
            "header, or give role=NAME only",
        )
    mapping = {}
    for part in given:
        role, _, name = part.partition("=")
        role = role.strip().lower()
        if role not in NAMED_COLUMNS:
            known = [one for one, to in recognise([role]).names.items() if to == role]
            meant = next((key for key, value in NAMED_COLUMNS.items() if value in known), None)
            if meant is None:
                raise InputError("--columns", unknown_name("role", role, list(NAMED_COLUMNS)))
            role = meant
        mapping[NAMED_COLUMNS[role]] = name.strip()
    return None, mapping


def read_site_log(
    path: Path,
    *,
    time_zone: str | None = None,
    columns: str | None = None,
    clip_to_estimate: bool = False,
) -> JobLog | None:
    """Read the log of a site; None if its format is not known.

    Parameters
    ----------
    path : Path
        The file: packed by gzip, zstd, xz or bzip2 or not, in any encoding.
    time_zone : str, optional
        Zone of times without an offset.
    columns : str, optional
        Names of all columns of a file without a header, or ``role=NAME`` (see `NAMED_COLUMNS`).
    clip_to_estimate : bool
        Whether to cut run times at the estimates.

    Raises
    ------
    InputError
        If the file cannot be read, or if it has no usable job.
    """
    names, mapping = parse_columns(columns)
    zone = _zone(time_zone)
    content = open_content(path)
    records = _records(content, names, mapping)
    if records is None:
        return None
    records.notes = [*content.notes, *records.notes]
    year = datetime.fromtimestamp(path.stat().st_mtime, UTC).year
    return settle(records, str(path), zone=zone, year=year, clip_to_estimate=clip_to_estimate)


def site_records(path: Path) -> Records | None:
    """Return the records in the log of a site, before it is decided which are jobs; None if it is
    in no known format.

    Raises
    ------
    InputError
        If the file cannot be read, or has too little to be of use.
    """
    return _records(open_content(path), None, {})


def _zone(name: str | None) -> tzinfo | None:
    if name is None:
        return None
    try:
        return parse_zone(name)
    except ValueError as error:
        raise InputError("--time-zone", str(error)) from None


def _records(
    content: Content, names: Sequence[str] | None, mapping: Mapping[str, str]
) -> Records | None:
    """Return the records of the first format that fits."""
    if names is None:
        if content.is_yaml or any(line.lstrip()[:1] in ("{", "[") for line in content.head):
            for each in JSON_FORMATS:
                if each.matches(content):
                    return _with_noise(each.read(content), content)
        for each in TEXT_FORMATS:
            if each.matches(content):
                return each.read(content)
    found = find_table(content, names, list(mapping.values()))
    if found is None or not len(found.table):
        if mapping:
            raise InputError(
                content.path,
                f"no line is a header with the columns {', '.join(mapping.values())}",
            )
        if names is None and _HEADLESS.match(content.head[0]):
            raise InputError(
                content.path,
                "has no header: name its columns in their order with --columns, as in --columns "
                f"JobID,User,Submit,Start,End,AllocTRES (the first row: {content.head[0][:60]!r})",
            )
        return None
    if not mapping and is_condor_columns(map(str, found.table)):
        return condor_records(found)
    if not mapping and is_job_table(found.table):
        found.table = as_sacct(found.table)
    return records_of_text(found, mapping)


def _with_noise(records: Records, content: Content) -> Records:
    """Count lines before and after the JSON as rows that are no jobs."""
    import pandas as pd

    lines = content.lines_around_json
    if lines:
        rows = [{"row": f"line {line}", "line": line, "reason": "noise"} for line in lines]
        records.table = pd.concat([pd.DataFrame(rows), records.table], ignore_index=True)
    return records
