"""Names of the partitions by which tables group the jobs of a log."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from clustersim.workload.jobs import partition_column, texts_of

__all__ = ["MOST_PARTITIONS", "NO_PARTITION", "OTHER_PARTITIONS", "partitions_of_jobs"]

MOST_PARTITIONS = 12
"""Number of partitions with a row of their own; the other ones share a row."""
OTHER_PARTITIONS, NO_PARTITION = "other partitions", "no partition"


def partitions_of_jobs(jobs: pd.DataFrame) -> npt.NDArray[np.object_] | None:
    """Return the partition of each job as text; None if the log has no column for it.

    Returns
    -------
    object array (jobs,) or None
        `NO_PARTITION` for a job that names none.

    Examples
    --------
    >>> partitions_of_jobs(pd.DataFrame({"vc": ["a100 ", None]})).tolist()
    ['a100', 'no partition']
    """
    column = partition_column(jobs)
    if column is None:
        return None
    names = pd.Series(texts_of(jobs[column]), dtype=object).str.strip()
    return np.where(names == "", NO_PARTITION, names).astype(object)
