"""Layout of a run as bars without overlaps: which jobs ran where and when."""

from __future__ import annotations

from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from clustersim.array_types import Floats
from clustersim.errors import InputError, unknown_name
from clustersim.simulation.result import Result

__all__ = ["BY", "Layout", "lanes", "lay_out"]

BY = ("node", "pool")
"""A lane belongs to a node (if the run tracked nodes) or to a whole pool."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Bars of a run and the lanes that contain them.

    Attributes
    ----------
    bars : pandas.DataFrame
        ``track`` (row of `tracks`), ``job`` (row of the jobs table), ``n_accelerators``,
        ``start_s``, ``end_s`` (seconds), in order of pool, node and start.
    tracks : pandas.DataFrame
        ``pool``, ``node`` (-1: a lane of the whole pool) and ``lane`` (0: the first lane of the
        node); sorted by these columns.
    """

    bars: pd.DataFrame
    tracks: pd.DataFrame


def lay_out(result: Result, *, by: Literal["node", "pool"] = "node") -> Layout:
    """Assign each bar to a lane; a node (or pool) gets as many lanes as it ran jobs at once.

    Parameters
    ----------
    result : Result
        Result of a run.
    by : {"node", "pool"}
        ``node``: a bar for each job and node, in lanes of the node, or of the pool if the nodes
        of the job were not tracked.  ``pool``: a bar for each job, in lanes of the pool.

    Raises
    ------
    InputError
        If `by` is neither ``node`` nor ``pool``.
    """
    if by not in BY:
        raise InputError("by", unknown_name("value", by, BY))
    rows = result.allocations[["job_id", "pool", "node", "n_accelerators", "start_s", "end_s"]]
    rows = rows.assign(job=pd.Index(result.jobs["job_id"]).get_indexer(rows["job_id"]))
    if by == "pool":
        whole = ["job", "pool", "start_s", "end_s"]
        rows = rows.groupby(whole, observed=True, sort=False)["n_accelerators"].sum().reset_index()
        rows["node"] = -1
    pools = result.utilisation["pool"].unique().tolist()
    code = pd.Index(pools).get_indexer(rows["pool"])
    keys = [rows[name].to_numpy() for name in ("job", "end_s", "start_s", "node")]
    order = np.lexsort((*keys, code))
    rows, code = rows.iloc[order], code[order]
    node, start, end = (rows[name].to_numpy() for name in ("node", "start_s", "end_s"))
    new = np.r_[True, (np.diff(code) != 0) | (np.diff(node) != 0)][: len(rows)]
    group, first = np.cumsum(new) - 1, np.flatnonzero(new)
    lane = lanes(group, start, end)
    height = np.zeros(len(first), dtype=np.intp)
    np.maximum.at(height, group, lane + 1)
    before = np.cumsum(height) - height
    bars = rows[["job", "n_accelerators", "start_s", "end_s"]].reset_index(drop=True)
    bars.insert(0, "track", before[group] + lane)
    tracks = pd.DataFrame(
        {
            "pool": [pools[k] for k in np.repeat(code[first], height)],
            "node": np.repeat(node[first], height),
            "lane": np.arange(height.sum()) - np.repeat(before, height),
        }
    )
    return Layout(bars, tracks)


def lanes(
    group: npt.NDArray[np.integer],
    start: Floats,
    end: Floats,
) -> npt.NDArray[np.intp]:
    """Assign lanes so that intervals of the same group and lane do not overlap.

    Each interval is assigned the lowest lane that is free at its start. This needs no more lanes
    than the largest number of concurrent intervals (Kleinberg and Tardos, Algorithm Design, 4.1).

    Parameters
    ----------
    group, start, end : array, shape (n,)
        Sorted by group, then start; an interval includes its start but not its end.

    Returns
    -------
    int array, shape (n,)
        Lane of each interval, counted from 0 in each group.

    Examples
    --------
    >>> lanes(np.array([0, 0, 0, 1]), np.array([0.0, 1, 2, 0]), np.array([2.0, 3, 4, 1])).tolist()
    [0, 1, 0, 0]
    """
    chosen = []
    here, used = None, 0
    busy: list[tuple[float, int]] = []
    free: list[int] = []
    for of, begins, ends in zip(group.tolist(), start.tolist(), end.tolist(), strict=True):
        if of != here:
            here, used, busy, free = of, 0, [], []
        while busy and busy[0][0] <= begins:
            heappush(free, heappop(busy)[1])
        if free:
            lane = heappop(free)
        else:
            lane, used = used, used + 1
        heappush(busy, (ends, lane))
        chosen.append(lane)
    return np.array(chosen, dtype=np.intp)
