"""Names of users, virtual clusters and classes of jobs as small integers."""

from __future__ import annotations

import numpy as np
import pandas as pd

from clustersim.array_types import Ints
from clustersim.workload.jobs import texts_of

__all__ = ["name_codes"]


def name_codes(column: pd.Series | None, count: int) -> tuple[Ints, list[str]]:
    """Return the number of each job's name, -1 for a job without one, and the names.

    Only the distinct values are made texts, which is much faster than all of them.

    Parameters
    ----------
    column : pandas.Series or None
        None if the jobs have no such column.
    count : int
        Number of jobs.

    Examples
    --------
    >>> codes, names = name_codes(pd.Series(["ann", " bo", "ann ", None, ""]), 5)
    >>> codes.tolist(), names
    ([0, 1, 0, -1, -1], ['ann', 'bo'])
    """
    if column is None:
        return np.full(count, -1, dtype=np.int64), []
    codes, distinct = pd.factorize(column)
    texts = pd.Series(texts_of(pd.Series(distinct, dtype=object)), dtype=object).str.strip()
    number, names = pd.factorize(texts.where(texts != ""))
    found: Ints = np.append(number, -1).astype(np.int64)[codes]  # a missing value has code -1
    return found, [str(name) for name in names]
