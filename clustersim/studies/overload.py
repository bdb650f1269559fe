"""Periods in which points of a study are overloaded."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from clustersim.analysis.metrics import in_period
from clustersim.studies.base import POSTERIOR_MEAN

__all__ = ["FULL", "NEVER_START", "WAIT_TO_THE_END", "overload_by_period"]

FULL = 0.98
"""Utilisation from which a fleet counts as full."""
WAIT_TO_THE_END = 0.05
"""If the fleet is full, and more than this share of the jobs of a period never start, the period
is overloaded."""
NEVER_START = 0.25
"""If more than this share of the jobs of a period never start, the period is overloaded, even if
the fleet is not full: chips may be free that these jobs cannot use."""


def overload_by_period(runs: pd.DataFrame, names: Sequence[str]) -> pd.Series:
    """Return the periods in which each point is overloaded.

    A point is overloaded in a period if, on average over its replications, more than 25 % of the
    jobs that arrive in the period have not started when the run stops, or more than 5 % of them and
    98 % or more of the fleet is allocated in the period.

    Parameters
    ----------
    runs : pandas.DataFrame
        See :func:`~clustersim.studies.runs_table.runs_table`.
    names : sequence of str (periods,)

    Returns
    -------
    pandas.Series
        By number of the point, the names of the periods, such as ``"Q3, Q4"``; "" for none.

    Examples
    --------
    >>> runs = pd.DataFrame({"point": [0], "status": "finished", "draw": -1, "censored@1": 0.1,
    ...                      "utilisation@1": 0.99, "censored@2": 0.1, "utilisation@2": 0.9})
    >>> overload_by_period(runs, ["Q1", "Q2"]).tolist()
    ['Q1']
    """
    own = runs[(runs["status"] == "finished") & (runs["draw"] == POSTERIOR_MEAN)]
    columns = [
        in_period(metric, k)
        for metric in ("censored", "utilisation")
        for k in range(1, len(names) + 1)
    ]
    if not set(columns) <= set(map(str, own)):
        return pd.Series(dtype=object)
    means = own.groupby("point")[columns].mean()
    found = {}
    for point, row in means.iterrows():
        found[point] = ", ".join(
            name
            for k, name in enumerate(names, 1)
            if row[in_period("censored", k)] > NEVER_START
            or (
                row[in_period("censored", k)] > WAIT_TO_THE_END
                and row[in_period("utilisation", k)] >= FULL
            )
        )
    return pd.Series(found, dtype=object)
