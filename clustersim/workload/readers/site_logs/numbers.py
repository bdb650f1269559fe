"""Numbers with decimal commas, and with marks between thousands."""

from __future__ import annotations

import re

import pandas as pd

from clustersim.workload.readers.cells import given_cells

__all__ = ["with_plain_numbers"]

_GROUPS = r"-?\d{1,3}(?:[.,'\u2019\u00a0\u202f]\d{3})*(?:[.,]\d+)?|-?\d+(?:[.,]\d+)?"
_DECIMAL_COMMA = r"-?\d[\d.'\u2019\u00a0\u202f]*,(?:\d{1,2}|\d{4,})"
"""A comma with other than three digits behind it is no mark between thousands."""
_PART = r"-?0,\d+"
"""No number of thousands begins with 0."""
_LISTS = re.compile(r"(?:ids?|index|ind[ei]c[ei]+s|list|devices)$", re.I)
"""Columns of lists, in which commas are neither."""
_THOUSANDS = r"-?\d{1,3}(?:,\d{3})+(?:\.\d+)?"


def with_plain_numbers(table: pd.DataFrame, *, decimal_comma: bool = False) -> pd.DataFrame:
    """Return a table in which numbers such as ``1.234,5`` and ``1,234.5`` are plain.

    Parameters
    ----------
    table : pandas.DataFrame
        Cells as texts.
    decimal_comma : bool
        Whether a comma is decimal even if three digits stand behind it everywhere, as in tables
        whose columns are separated by semicolons.

    Examples
    --------
    >>> table = pd.DataFrame({"h": ["1.234,5", "2,25"], "s": ["3,600", "7"], "id": ["a", "1"]})
    >>> with_plain_numbers(table).to_dict("list")
    {'h': ['1234.5', '2.25'], 's': ['3600', '7'], 'id': ['a', '1']}
    """
    changed: dict[str, pd.Series] = {}
    for name in table:
        cells = table[name]
        if _LISTS.search(str(name)):
            continue
        if not cells.head(500).astype(str).str.contains(",", regex=False).any():
            continue
        given = cells[given_cells(cells)].astype(str)
        if not len(given) or not given.str.fullmatch(_GROUPS).all():
            continue
        bare = cells.astype(str).str.replace("['\u2019\u00a0\u202f]", "", regex=True)
        if decimal_comma or given.str.fullmatch(f"{_DECIMAL_COMMA}|{_PART}").any():
            bare = bare.str.replace(".", "", regex=False).str.replace(",", ".", regex=False)
        elif given.str.contains(",", regex=False).any():
            if not given[given.str.contains(",", regex=False)].str.fullmatch(_THOUSANDS).all():
                continue
            bare = bare.str.replace(",", "", regex=False)
        changed[str(name)] = bare.where(given_cells(cells), cells)
    return table.assign(**changed) if changed else table
