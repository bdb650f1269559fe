"""Reasons why the jobs of a run were stopped and restarted."""

from __future__ import annotations

import numpy as np
import pandas as pd

from clustersim.engine.node_events import NodeEventKind
from clustersim.simulation.tables import serves

__all__ = ["restart_causes"]

_REASONS = (
    "for another reason",
    "on nodes that left the fleet or lost power",
    "on nodes taken by services",
    "on nodes that went out of service",
    "on nodes that faults cut off from the network",
)
"""With increasing precedence."""
_ATTEMPT = ["job_id", "attempt"]


def restart_causes(attempts: pd.DataFrame, outages: pd.DataFrame) -> dict[str, int]:
    """Count the restarts of jobs by the reason why the previous attempt ended.

    The reason is derived from the nodes of the attempt's pools that left service at the instant at
    which the attempt ended. If there are several reasons, the first one in this order counts: nodes
    cut off from the network, nodes out of service, nodes taken by services, absent nodes.

    Parameters
    ----------
    attempts, outages : pandas.DataFrame
        Tables of a result, the former with a row for each pool of an attempt; see
        :func:`~clustersim.simulation.attempt_parts.attempts_by_pool` and
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
    numbers = [attempts[name] for name in _ATTEMPT]
    again = (attempts["attempt"] > 0).to_numpy()
    before = pd.MultiIndex.from_arrays([numbers[0][again], numbers[1][again] - 1])
    stopped = attempts[pd.MultiIndex.from_arrays(numbers).isin(before)]
    place = pd.MultiIndex.from_arrays([stopped["pool"].astype(str), stopped["end_s"]])
    out = (outages["slowdown"] == np.inf).to_numpy()
    absent, serving = outages["absent"].to_numpy(dtype=bool), serves(outages)
    cut_off = (outages["kind"] == NodeEventKind.CUT_OFF.label).to_numpy(dtype=bool)
    failed = out & ~absent & ~serving & ~cut_off
    rank = np.zeros(len(stopped), dtype=np.int64)
    for at, rows in enumerate((absent, serving, failed, cut_off), 1):
        there = outages[rows]
        moments = pd.MultiIndex.from_arrays([there["pool"].astype(str), there["begin_s"]])
        rank[place.isin(moments)] = at
    of_attempt = pd.Series(rank).groupby([stopped[name].to_numpy() for name in _ATTEMPT]).max()
    counts = np.bincount(of_attempt, minlength=len(_REASONS)).tolist()
    return {_REASONS[at]: counts[at] for at in (4, 3, 2, 1, 0) if counts[at]}
