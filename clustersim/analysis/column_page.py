"""The column dictionary: what each column of each table that clustersim writes means.

``docs/columns.md`` is written from it (``clustersim metrics --columns``), and a test compares it
with real tables.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from clustersim.analysis.columns import RUN_TABLES, Table
from clustersim.analysis.metric_list import by_heading, definition_of, names_of
from clustersim.analysis.plan_columns import PLAN_TABLES
from clustersim.analysis.study_columns import ESTIMATE_TABLES, STUDY_TABLES

__all__ = ["TABLES", "column_rows", "columns_page"]

_PARTS = {
    "Tables of a run": RUN_TABLES,
    "Tables of a study": STUDY_TABLES,
    "Tables of a plan": PLAN_TABLES,
    "Table of estimates": ESTIMATE_TABLES,
}
TABLES = {table.name: table for part in _PARTS.values() for table in part}
"""Tables by name: those of a run, of a study, of a plan, and that of estimates."""


def column_rows() -> list[dict[str, Any]]:
    """Return the dictionary as plain data, a row a column."""
    return [
        {
            "table": table.name,
            "file": table.file,
            "column": column.name,
            "unit": column.unit,
            "meaning": column.meaning,
            "only": column.only or table.only or None,
        }
        for table in TABLES.values()
        for column in table.columns
    ]


def columns_page() -> str:
    """Return the dictionary and the list of metrics as a page in Markdown."""
    lines = [
        "# Columns of all tables",
        "",
        "This page is written by `clustersim metrics --columns`; a test compares it with real "
        "tables. Numbers are in SI units: times in seconds from the beginning of the run. A word "
        "in capitals stands for a name.",
    ]
    for heading, tables in _PARTS.items():
        lines += ["", f"## {heading}"]
        for table in tables:
            lines += _table_lines(table)
    lines += ["", "## Metrics", ""]
    lines += [
        "Columns of the tables of a study. `NAME.POOL` is of one pool, `NAME@k` of the k-th "
        "period of a study with `window.periods`. Metrics of one's own stand behind these; see "
        "`clustersim metrics --plugins FILE.py`.",
    ]
    for heading, metrics in by_heading():
        lines += ["", f"### {heading}", "", "| name | unit | better | definition |"]
        lines += ["|---|---|---|---|"]
        for each in metrics:
            cells = (
                f"`{names_of(each)}`",
                each.unit,
                each.better,
                f"**{each.label}**. {definition_of(each)}",
            )
            lines.append(_row(cells))
    return "\n".join(lines) + "\n"


def _table_lines(table: Table) -> Iterator[str]:
    file = table.file if "`" in table.file else f"`{table.file.replace(' and ', '` and `')}`"
    only = f"; {table.only}" if table.only else ""
    yield from ("", f"### {table.name}", "", f"{file}: a row is {table.rows}{only}.", "")
    yield from ("| column | unit | meaning | only |", "|---|---|---|---|")
    for column in table.columns:
        yield _row((f"`{column.name}`", column.unit, column.meaning, column.only))


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
