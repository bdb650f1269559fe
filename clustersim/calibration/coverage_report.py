"""The section of a fit's report on the coverage of its intervals by slice."""

from __future__ import annotations

import pandas as pd

from clustersim.calibration.coverage import ENOUGH, LIMITS, REJECTED, coverage_by_slice
from clustersim.calibration.markdown import markdown_table
from clustersim.units import format_percent

__all__ = ["coverage_sections"]


def coverage_sections(rows: pd.DataFrame) -> list[str]:
    """Return text on the errors and the coverage by slice, the worst slices first.

    Parameters
    ----------
    rows : DataFrame
        From :func:`clustersim.calibration.diagnostics.row_table`.

    Returns
    -------
    list of str
        Paragraphs and tables in Markdown; empty if no rows were left out.

    Examples
    --------
    >>> from clustersim.calibration.coverage import SLICES
    >>> rows = pd.DataFrame({name: ["a", "b"] * 20 for name in SLICES})
    >>> rows = rows.assign(within_error=[0.1, -0.2] * 20, within_covered=[True, False] * 20)
    >>> parts = coverage_sections(rows)
    >>> parts[0], parts[2]
    ('## Coverage by slice', 'Rows left out at random:')
    """
    if "within_error" not in rows:
        return []
    parts = [
        "## Coverage by slice",
        f"Slices whose coverage does not agree with 90 % come first: at least {ENOUGH} rows must "
        f"be covered at {format_percent(LIMITS[0], 0)} to {format_percent(LIMITS[1], 0)}; for "
        "fewer rows, a two-sided binomial test must not reject 90 % at the level "
        f"{format_percent(REJECTED, 0)}. Bias is the median of signed errors.",
    ]
    sets = (("across", "Publishers left out:"), ("within", "Rows left out at random:"))
    for name, title in sets:
        if f"{name}_error" not in rows:
            continue
        cells = [
            [
                str(row["slice"]),
                str(row["rows"]),
                format_percent(row["median"]),
                format_percent(row["p90"]),
                format_percent(row["bias"], signed=True),
                format_percent(row["covered"], 0),
                "yes" if row["holds"] else "**no**",
            ]
            for row in coverage_by_slice(rows, name).to_dict("records")
        ]
        headers = ["slice", "rows", "median", "90th percentile", "bias", "covered", "agrees"]
        parts += [title, markdown_table(headers, cells)]
    return parts
