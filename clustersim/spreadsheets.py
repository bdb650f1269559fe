"""Protection of CSV files against text that a spreadsheet would run as a formula."""

from __future__ import annotations

import re
from typing import Any

import pandas as pd

__all__ = ["plain_cell", "plain_cells", "written_text"]

_FORMULA = re.compile(r"[=@\t\r]|[+-](?!$|[\d.]+(?:[eE][+-]?\d+)?%?$|inf$|nan$)")
"""Start of a cell that spreadsheets treat as a formula; signed numbers do not match."""


def plain_cell(value: Any) -> Any:
    """Return a value for a CSV file; a text that begins like a formula gets a leading ``'``.

    A spreadsheet that opens the file shows the text instead of running it (OWASP, "CSV
    Injection").

    Examples
    --------
    >>> plain_cell("=cmd|calc"), plain_cell("-5"), plain_cell(-5.0), plain_cell("H20 gone")
    ("'=cmd|calc", '-5', -5.0, 'H20 gone')
    """
    return f"'{value}" if isinstance(value, str) and _FORMULA.match(value) else value


def written_text(cell: str) -> str:
    """Return the text that :func:`plain_cell` made into a cell.

    Examples
    --------
    >>> written_text("'=cmd|calc"), written_text("H20 gone")
    ('=cmd|calc', 'H20 gone')
    """
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell[1:]) else cell


def plain_cells(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table with :func:`plain_cell` applied to its column names and texts."""
    plain = {
        name: column if pd.api.types.is_numeric_dtype(column) else column.map(plain_cell)
        for name, column in table.items()
    }
    return pd.DataFrame(plain, index=table.index).rename(columns=plain_cell)
