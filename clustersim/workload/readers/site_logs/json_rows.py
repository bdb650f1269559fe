"""Lists of flat JSON objects, one a job (``bjobs -json``, exports of platforms, JSON lines)."""

from __future__ import annotations

from typing import Any

import pandas as pd

from clustersim.workload.readers.site_logs.column_roles import recognise
from clustersim.workload.readers.site_logs.content import Content

__all__ = ["is_json_table", "json_table"]

_MOST_DEEP = 4


def _rows(value: Any, depth: int = 0) -> list[dict[str, Any]]:
    """Return the longest list of objects in a document; of search hits, their sources."""
    if isinstance(value, list):
        return [_source(row) for row in value if isinstance(row, dict)]
    if not isinstance(value, dict) or depth == _MOST_DEEP:
        return []
    if (table := _by_column(value)) is not None:
        return table
    found = [
        _rows(one, depth + 1)
        for one in value.values()
        if isinstance(one, dict) or (isinstance(one, list) and one)
    ]
    return max(found, key=len, default=[])


def _by_column(value: dict[str, Any]) -> list[dict[str, Any]] | None:
    """Return the rows of a table that is written by columns, or as a list of cells; else None.

    Examples
    --------
    >>> _by_column({"id": {"0": 7, "1": 8}, "gpus": {"0": 2, "1": 4}})
    [{'id': 7, 'gpus': 2}, {'id': 8, 'gpus': 4}]
    >>> _by_column({"columns": ["id", "gpus"], "data": [[7, 2]]})
    [{'id': 7, 'gpus': 2}]
    """
    names = value.get("columns")
    cells = next((value[key] for key in ("data", "values", "rows") if key in value), None)
    if isinstance(names, list) and isinstance(cells, list):
        plain = [str(one.get("name", one)) if isinstance(one, dict) else str(one) for one in names]
        rows = [row for row in cells if isinstance(row, list) and len(row) == len(plain)]
        return [dict(zip(plain, row, strict=True)) for row in rows] if rows else None
    columns = list(value.values())
    if len(columns) < 2 or not all(isinstance(one, dict) and one for one in columns):
        return None
    keys = list(columns[0])
    if any(list(one) != keys for one in columns) or not all(key.isdigit() for key in keys):
        return None
    return [{name: value[name][key] for name in value} for key in keys]


def _source(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row itself, also of a search hit, in which Slurm's times are in UTC.

    ``jobcomp/elasticsearch`` writes them by ``gmtime``, under names that begin with ``@``.
    """
    row = row["_source"] if isinstance(row.get("_source"), dict) else row
    if "@submit" not in row:
        return row
    row = {f"{name[1:]}_utc" if name.startswith("@") else name: row[name] for name in row}
    array, task = row.get("array_job_id"), row.get("array_task_id")
    if array and task is not None:
        row["jobid"] = f"{array}_{task}"
    return row


def _with_plain_numbers(row: dict[str, Any]) -> dict[str, Any]:
    """Replace numbers as Slurm writes them, ``{"set": true, "number": 7}``, by plain ones."""
    plain = {}
    for name, value in row.items():
        if isinstance(value, dict) and {"set", "number"} <= set(value):
            value = value["number"] if value["set"] and not value.get("infinite") else None
        elif name in ("job_state", "state") and isinstance(value, list):
            value = " ".join(map(str, value))
        plain[name] = value
    return plain


def _is_row(value: dict[str, Any]) -> bool:
    """Return whether an object is a row itself, as in JSON lines."""
    return len(recognise([str(name) for name in value]).names) >= 3


def _rows_of(document: Any) -> list[dict[str, Any]]:
    if isinstance(document, dict) and (rows := _by_column(document)) is not None:
        return rows
    if isinstance(document, dict) and _is_row(one := _source(document)):
        return [one]
    return _rows(document)


def json_table(content: Content) -> pd.DataFrame:
    """Return a table of texts; the index is the place of the row, starting at 1."""
    rows = [row for document in content.documents for row in _rows_of(document)]
    table = _flat(rows)
    table.index = pd.RangeIndex(1, len(table) + 1)
    for name in table:
        table[name] = table[name].map(_text).astype(object)
    return table


_IN = "\x1f"


def _flat(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Return a table with a column for each value, also of objects in the objects.

    Such a column has the names of all of them (``metadata_name``), or only the last ones if these
    mean something and the whole name does not (``runtime.gpu_count``).
    """
    table = pd.json_normalize([_with_plain_numbers(row) for row in rows], sep=_IN)
    names = [str(name) for name in table]
    whole = {name: name.replace(_IN, "_") for name in names}
    taken = set(recognise(list(whole.values())).names)
    for name in names:
        parts = name.split(_IN)
        if len(parts) < 2 or recognise([whole[name]]).names:
            continue
        for at in range(1, len(parts)):
            short = "_".join(parts[at:])
            roles = set(recognise([short]).names)
            if roles and not roles & taken and short not in whole.values():
                whole[name] = short
                taken |= roles
                break
    return table.rename(columns=whole)


def _text(value: Any) -> str | None:
    if value is None or (isinstance(value, float) and value != value):
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def is_json_table(content: Content) -> bool:
    """Return whether the file is a list of objects with columns of a log of jobs."""
    if not content.documents:
        return False
    rows = [row for document in content.documents[:5] for row in _rows_of(document)]
    if not rows or "attempts" in rows[0]:  # the log of Philly
        return False
    roles = recognise([str(name) for name in _flat(rows[:5])])
    return len(roles.names) >= 3
