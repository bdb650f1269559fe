"""Lists of flat JSON objects, one a job (``bjobs -json``, exports of platforms, JSON lines)."""

from __future__ import annotations

from typing import Any

import pandas as pd

from clustersim.workload.readers.site_logs.column_roles import recognise
from clustersim.workload.readers.site_logs.content import Content

__all__ = ["is_json_table", "json_table"]

_LISTS = ("RECORDS", "records", "jobs", "data", "items", "results", "rows", "result", "list")


def _rows(value: Any, depth: int = 0) -> list[dict[str, Any]]:
    if isinstance(value, list):
        return [row for row in value if isinstance(row, dict)]
    if isinstance(value, dict) and depth < 3:
        for name in _LISTS:
            if isinstance(value.get(name), (list, dict)) and (
                rows := _rows(value[name], depth + 1)
            ):
                return rows
    return []


def json_table(content: Content) -> pd.DataFrame:
    """Return a table of texts; the index is the place of the row, starting at 1."""
    rows: list[dict[str, Any]] = []
    for document in content.documents:
        rows += _rows(document) or ([document] if isinstance(document, dict) else [])
    table = pd.json_normalize(rows, sep="_")
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
    rows = [row for document in content.documents[:5] for row in _rows(document) or [document]]
    rows = [row for row in rows if isinstance(row, dict)]
    if not rows or "attempts" in rows[0]:  # the log of Philly
        return False
    names = list(pd.json_normalize(rows[:5], sep="_").columns)
    roles = recognise([str(name) for name in names])
    return len(roles.names) >= 3
