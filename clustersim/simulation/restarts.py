"""Reasons why the jobs of a run were stopped and restarted."""

from __future__ import annotations

import numpy as np
import pandas as pd

from clustersim.simulation.tables import serves

__all__ = ["restart_causes"]

_BROKEN, _SERVES, _ABSENT = (
    "on nodes that went out of service",
    "on nodes taken by services",
    "on nodes that left the fleet or lost power",
)
_OTHER = "for another reason"


def restart_causes(attempts: pd.DataFrame, outages: pd.DataFrame) -> dict[str, int]:
    """Count the restarts of jobs by the reason why the previous attempt ended.

    The reason is derived from the nodes of the attempt's pool that left service at the instant at
    which the attempt ended. If there are several reasons, the first one in this order counts: nodes
    out of service, nodes taken by services, absent nodes.

    Parameters
    ----------
    attempts, outages : pandas.DataFrame
        Tables of a result, see :func:`~clustersim.simulation.tables.attempts_table` and
        :func:`~clustersim.simulation.tables.outages_table`.

    Returns
    -------
    dict of str to int
        Number of restarts by reason. Reasons that did not occur are omitted.

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
    {'on nodes taken by services': 1}
    """
    again = attempts["attempt"].to_numpy() > 0
    stopped = attempts[np.append(again, False)[1:]]
    reason = pd.Series(_OTHER, index=stopped.index, dtype=object)
    place = pd.MultiIndex.from_arrays([stopped["pool"].astype(str), stopped["end_s"]])
    out = (outages["slowdown"] == np.inf).to_numpy()
    absent, serving = outages["absent"].to_numpy(dtype=bool), serves(outages)
    for text, rows in (
        (_ABSENT, absent),
        (_SERVES, serving),
        (_BROKEN, out & ~absent & ~serving),
    ):
        there = outages[rows]
        moments = pd.MultiIndex.from_arrays([there["pool"].astype(str), there["begin_s"]])
        reason = reason.mask(place.isin(moments), text)
    counts = reason.value_counts(sort=False)
    return {
        name: int(counts[name]) for name in (_BROKEN, _SERVES, _ABSENT, _OTHER) if name in counts
    }
