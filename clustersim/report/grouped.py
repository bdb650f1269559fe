"""Tables of studies with three or more parameters, with their rows in groups."""

from __future__ import annotations

import pandas as pd

from clustersim.studies.study_result import StudyResult

__all__ = ["grouped", "repeats"]

_FEWEST = 3
"""Number of varying parameters from which rows are grouped."""


def grouped(result: StudyResult, frame: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """Return a table with its rows in groups, and the number of its first columns that group them.

    The parameters come first.  The compared parameter is the last of them, so that the rows of a
    group show the systems that are compared.  With fewer than three parameters, the table is
    unchanged.

    Parameters
    ----------
    result : StudyResult
    frame : pandas.DataFrame
        One row for each point, or for each point and system.
    """
    compare = result.study.spec.compare
    within = [compare.of] if compare is not None else []
    names = [name for name in result.parameters if name in frame]
    varying = [name for name in names if frame[name].nunique() > 1]
    systems = "system" in frame and frame["system"].nunique() > 1
    if len(varying) + systems < _FEWEST:
        return frame, 0
    outer = [name for name in varying if name not in within]
    inner = [name for name in names if name not in outer]
    order = pd.DataFrame({name: pd.factorize(frame[name])[0] for name in outer}, index=frame.index)
    rows = frame.loc[order.sort_values(outer, kind="stable").index]
    columns = [*outer, *inner, *(name for name in frame if name not in names)]
    return rows[columns], len(outer) - (0 if inner or systems else 1)


def repeats(frame: pd.DataFrame, groups: int) -> list[list[bool]]:
    """Return whether each value in the first columns only repeats the group of the row above.

    Returns
    -------
    list of list of bool
        For each of the first `groups` columns, one entry per row.
    """
    same = pd.Series(True, index=range(len(frame)))
    found = []
    for name in list(frame)[:groups]:
        values = frame[name].reset_index(drop=True)
        same = same & values.eq(values.shift()).where(values.index > 0, False)
        found.append([bool(flag) for flag in same])
    return found
