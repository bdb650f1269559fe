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
        rows = [row for row in value if isinstance(row, dict)]
        return [row["_source"] if isinstance(row.get("_source"), dict) else row for row in rows]
    if not isinstance(value, dict) or depth == _MOST_DEEP:
        return []
    found = [
        _rows(one, depth + 1)
        for one in value.values()
        if isinstance(one, dict) or (isinstance(one, list) and one)
    ]
    return max(found, key=len, default=[])


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


def json_table(content: Content) -> pd.DataFrame:
    """Return a table of texts; the index is the place of the row, starting at 1."""
    rows: list[dict[str, Any]] = []
    for document in content.documents:
        if isinstance(document, dict) and _is_row(document):
            rows.append(document)
        else:
            rows += _rows(document)
    table = pd.json_normalize([_with_plain_numbers(row) for row in rows], sep="_")
    table.index = pd.RangeIndex(1, len(table) + 1)
    for name in table:
        table[name] = table[name].map(_text).astype(object)
    return table


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
    rows: list[dict[str, Any]] = []
    for document in content.documents[:5]:
        alone = isinstance(document, dict) and _is_row(document)
        rows += [document] if alone else _rows(document)
    if not rows or "attempts" in rows[0]:  # the log of Philly
        return False
    plain = [_with_plain_numbers(row) for row in rows[:5]]
    names = list(pd.json_normalize(plain, sep="_").columns)
    roles = recognise([str(name) for name in names])
    return len(roles.names) >= 3
