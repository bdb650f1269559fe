"""Windows of a run: which jobs may use them, and what it costs to keep nodes free for them."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from clustersim.array_types import Bools
from clustersim.engine.window_driver import PlannedWindow
from clustersim.errors import InputError, nearest_hint
from clustersim.scheduling.placement import NodePlacement
from clustersim.scheduling.queue import Partition
from clustersim.topology import Cluster
from clustersim.workload.jobs import partition_column, texts_of

__all__ = ["check_windows", "jobs_of_windows"]

_COLUMNS = {"users": "user", "virtual_clusters": "vc", "jobs": "job_id"}
"""Column of the jobs table for each list of who may use a reservation."""


def check_windows(
    windows: Sequence[PlannedWindow], cluster: Cluster, partitions: Sequence[Partition]
) -> None:
    """Check that windows can be carried out on a cluster.

    Raises
    ------
    InputError
        If the placement does not track nodes, a node does not exist, a window ends before it
        begins, or two windows overlap on a node.
    """
    if not windows:
        return
    if not all(isinstance(part.placement, NodePlacement) for part in partitions):
        raise InputError(
            "placement", "windows need a placement that tracks nodes; use consolidate"
        )
    problems = [problem for each in windows for problem in _problems(each, cluster)]
    if not problems:
        problems = list(_overlaps(windows, cluster))
    if problems:
        raise InputError("windows", problems)


def _problems(window: PlannedWindow, cluster: Cluster) -> Iterator[str]:
    if not 0 <= window.pool < len(cluster.pools):
        yield f"{window.name}: there is no pool {window.pool}"
        return
    pool = cluster.pools[window.pool]
    if wrong := [node for node in window.nodes if not 0 <= node < pool.n_nodes]:
        yield (
            f"{window.name}: pool {pool.name} has no node {wrong[0]}; nodes are 0 to "
            f"{pool.n_nodes - 1}"
        )
    if not window.nodes:
        yield f"{window.name}: has no nodes"
    if not 0 <= window.begin_s <= window.end_s < np.inf:
        yield (
            f"{window.name}: must begin at 0 s or later, and end after that, found "
            f"{window.begin_s:g} s to {window.end_s:g} s"
        )


def _overlaps(windows: Sequence[PlannedWindow], cluster: Cluster) -> Iterator[str]:
    last: dict[tuple[int, int], PlannedWindow] = {}
    for window in sorted(windows, key=lambda each: (each.begin_s, each.end_s)):
        for node in window.nodes:
            before = last.get((window.pool, node))
            if before is not None and window.begin_s < before.end_s:
                yield (
                    f"{before.name} and {window.name} overlap on node {node} of pool "
                    f"{cluster.pools[window.pool].name}: {before.name} ends at {before.end_s:g} s, "
                    f"{window.name} begins at {window.begin_s:g} s"
                )
                return
            last[window.pool, node] = window


def jobs_of_windows(
    windows: Sequence[PlannedWindow], jobs: pd.DataFrame, rows: npt.NDArray[np.intp]
) -> tuple[list[frozenset[int]], list[str]]:
    """Return the jobs that may use each window, and notes.

    Parameters
    ----------
    windows : sequence of PlannedWindow
    jobs : pandas.DataFrame
        A jobs table.
    rows : int array
        Rows of the simulated jobs in the table.

    Returns
    -------
    list of set of int
        Numbers of simulated jobs, by window.
    list of str
        Notes on names that no job has.

    Raises
    ------
    InputError
        If the jobs have no such column, or a name looks like a misspelt one.
    """
    found, notes = [], []
    texts: dict[str, npt.NDArray[Any]] = {}
    for window in windows:
        may: Bools = np.zeros(len(jobs), dtype=np.bool_)
        for field, column in _COLUMNS.items():
            names = getattr(window, field)
            if not names:
                continue
            if field == "virtual_clusters":
                column = partition_column(jobs) or column
            if column not in texts:
                texts[column] = _texts(jobs, column, window.name)
            notes += _unknown(window.name, names, texts[column], column)
            may |= np.isin(texts[column], names)
        found.append(frozenset(np.flatnonzero(may[rows]).tolist()))
    return found, notes


def _texts(jobs: pd.DataFrame, column: str, name: str) -> npt.NDArray[Any]:
    if column not in jobs:
        raise InputError(
            "windows", f"{name}: the jobs have no column {column}, which says who may use it"
        )
    texts = texts_of(jobs[column]).astype(str)
    return np.asarray(texts, dtype=str)


def _unknown(
    window: str, names: Sequence[str], texts: npt.NDArray[Any], column: str
) -> Iterator[str]:
    known = np.unique(texts).tolist()
    for name in names:
        if name not in known:
            if difflib.get_close_matches(name, known) and column != "job_id":
                hint = nearest_hint(name, known)
                raise InputError("windows", f"{window}: no job has the {column} {name!r}; {hint}")
            yield f"{window}: no job has the {column} {name!r}"
