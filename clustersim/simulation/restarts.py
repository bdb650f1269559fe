"""Why the jobs of a run were stopped and started again."""

from __future__ import annotations

import numpy as np
import pandas as pd

from clustersim.simulation.tables import serves

__all__ = ["restart_causes"]

_BROKEN, _SERVES, _ABSENT = (
    "on nodes that went out of service",
    "on nodes that went to services",
    "on nodes that left the fleet or its power",
)
_OTHER = "for another reason"


def restart_causes(attempts: pd.DataFrame, outages: pd.DataFrame) -> dict[str, int]:
    """Count the restarts of jobs by what ended the attempt before.

    An attempt that is followed by another one of its job ended at the instant at which a node of
    its pool went.  Where several went at that instant, the reason that is first below counts.

    Parameters
    ----------
    attempts, outages : pandas.DataFrame
        Of a result, see :func:`~clustersim.simulation.tables.attempts_table` and
        :func:`~clustersim.simulation.tables.outages_table`.

    Returns
    -------
    dict of str to int
        Restarts by reason, without reasons that have none.

    Examples
    --------
    >>> attempts = pd.DataFrame(
    ...     {"job_id": [1, 1], "pool": ["a", "a"], "end_s": [5.0, 9.0], "attempt": [0, 1]}
    ... )
    >>> outages = pd.DataFrame(
    ...     {"pool": ["a"], "begin_s": [5.0], "cause": ["serving chat"], "kind": ["service"],
    ...      "absent": [False], "slowdown": [np.inf]}
    ... )
    >>> restart_causes(attempts, outages)
    {'on nodes that went to services': 1}
    """
    again = attempts["attempt"].to_numpy() > 0
    stopped = attempts[np.append(again, False)[1:]]
    reason = pd.Series(_OTHER, index=stopped.index, dtype=object)
    place = pd.MultiIndex.from_arrays([stopped["pool"].astype(str), stopped["end_s"]])
    out = (outages["slowdown"] == np.inf).to_numpy()
    absent, serving = outages["absent"].to_numpy(dtype=bool), serves(outages)
    for told, rows in (
        (_ABSENT, absent),
        (_SERVES, serving),
        (_BROKEN, out & ~absent & ~serving),
    ):
        there = outages[rows]
        moments = pd.MultiIndex.from_arrays([there["pool"].astype(str), there["begin_s"]])
        reason = reason.mask(place.isin(moments), told)
    counts = reason.value_counts(sort=False)
    return {
        name: int(counts[name]) for name in (_BROKEN, _SERVES, _ABSENT, _OTHER) if name in counts
    }
