"""Why jobs of a log can never run on a cluster."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pandas as pd

from clustersim.array_types import Bools, Ints
from clustersim.errors import nearest_hint
from clustersim.simulation.eligibility import NO_ACCELERATORS
from clustersim.simulation.partition_names import (
    alternatives,
    named_partitions,
    names_any,
    partition_names_of,
)
from clustersim.simulation.tables import NEVER_RUNNABLE
from clustersim.topology import Cluster
from clustersim.units import counted, listed
from clustersim.workload.jobs import texts_of

__all__ = ["why_never_run"]


def why_never_run(jobs: pd.DataFrame, cluster: Cluster) -> str:
    """Return why jobs of a result can never run, with the number of jobs for each cause.

    Parameters
    ----------
    jobs : pandas.DataFrame
        Table ``jobs`` of a :class:`~clustersim.Result`, or some of its rows.
    cluster : Cluster
        The cluster of this result.

    Returns
    -------
    str
        "" if every job can run.

    Examples
    --------
    >>> import clustersim as cs
    >>> from clustersim.topology import single_pool
    >>> jobs = pd.DataFrame({"job_id": [1, 2, 3], "submit_s": 0, "n_accelerators": [8, 4, 16]})
    >>> result = cs.simulate(jobs.assign(duration_s=60), single_pool(4), cs.Scheduling())
    >>> why_never_run(result.jobs, single_pool(4))
    '2 jobs ask for more accelerators than the largest pool has (8 or more; it has 4)'
    """
    # The names of all jobs tell whether the cluster knows the partitions of the log.
    names = named_partitions(jobs, cluster)
    never = (jobs["outcome"] == NEVER_RUNNABLE).to_numpy(dtype=bool)
    if not never.any():
        return ""
    jobs = jobs[never].reset_index(drop=True)
    texts = "" if names is None else names[never]
    own = pd.Series(texts, index=range(len(jobs)), dtype=object)
    there = partition_names_of(cluster)
    known = own.map({name: names_any([name], there) for name in own.unique()}).astype(bool)
    lacking = ((own != "") & ~known).to_numpy()
    unknown = ~lacking & jobs["reason"].str.startswith(NO_ACCELERATORS).to_numpy(dtype=bool)
    capacity = _capacity(own.unique(), cluster)
    largest = own.map(capacity).fillna(np.inf).to_numpy(dtype=np.float64)
    sizes = jobs["n_accelerators"].to_numpy(dtype=np.int64)
    large = ~lacking & ~unknown & (sizes > largest)
    return "; ".join(
        [
            *_of_names(own[lacking], there),
            *_of_accelerators(jobs[unknown], cluster),
            *_of_sizes(own, sizes, large, capacity),
            *_of_others(jobs["reason"][~lacking & ~unknown & ~large]),
        ]
    )


def _capacity(names: Iterable[str], cluster: Cluster) -> dict[str, int]:
    """Return the accelerators of the largest pool that jobs may use, by what they name.

    The key is "" for jobs that name no partition; the nodes that no virtual cluster owns are
    theirs. What has no such pool is left out.
    """
    found: dict[str, int] = {}
    for pool in cluster.pools:
        spare = pool.n_nodes - sum(pool.virtual_clusters.values())
        nodes = dict.fromkeys(("", *pool.queues), spare) if spare else {}
        for name, count in (nodes | pool.virtual_clusters).items():
            found[name] = max(found.get(name, 0), count * pool.chips_per_node)
    parts = {name: alternatives(name, found) for name in names}
    return {
        name: max(found[part] for part in own if part in found)
        for name, own in parts.items()
        if any(part in found for part in own)
    }


def _of_names(names: pd.Series, there: set[str]) -> Iterator[str]:
    """Yield how many jobs name a partition that the topology lacks."""
    if names.empty:
        return
    counts = names.value_counts(sort=True)
    name = str(counts.index[0])
    such = f"such as {name!r}" if len(counts) > 1 else repr(name)
    what = "a partition that the topology lacks"
    yield (
        f"{counted(len(names), 'job names', 'jobs name')} {what}, {such} "
        f"({nearest_hint(name, there, most=4)})"
    )


def _of_accelerators(jobs: pd.DataFrame, cluster: Cluster) -> Iterator[str]:
    """Yield how many jobs name only accelerators that the cluster lacks."""
    if jobs.empty:
        return
    counts = pd.Series(texts_of(jobs["accelerators"])).str.strip().value_counts(sort=True)
    name, there = str(counts.index[0]), sorted({pool.accelerator for pool in cluster.pools})
    has = f" (it has {listed(there)})" if all(there) else ""
    such = f"such as {name!r}" if len(counts) > 1 else repr(name)
    yield (
        f"{counted(len(jobs), 'job names', 'jobs name')} accelerators that the cluster lacks, "
        f"{such}{has}"
    )


def _of_sizes(
    names: pd.Series, sizes: Ints, large: Bools, capacity: dict[str, int]
) -> Iterator[str]:
    """Yield how many jobs ask for more accelerators than the largest pool or partition has."""
    for in_partition in (False, True):
        rows = np.flatnonzero(large & ((names != "").to_numpy() == in_partition))
        if not len(rows):
            continue
        smallest = rows[np.argmin(sizes[rows])]
        name, size = str(names.iloc[smallest]), int(sizes[smallest])
        ask = f"{counted(len(rows), 'job asks', 'jobs ask')} for more accelerators than"
        more = f"{size:,} or more" if len(np.unique(sizes[rows])) > 1 else f"{size:,}"
        if in_partition:
            whose, there = "its" if len(rows) == 1 else "their", capacity[name]
            yield f"{ask} {whose} partition has (such as {size:,} in {name!r}, of {there:,})"
        else:
            yield f"{ask} the largest pool has ({more}; it has {capacity[name]:,})"


def _of_others(reasons: pd.Series) -> Iterator[str]:
    """Yield how many jobs cannot run for another reason, with the most frequent one."""
    if len(reasons):
        counts = reasons.value_counts()
        most = ", most often" if len(counts) > 1 else ""
        yield f"{counted(len(reasons), 'job')}{most}: {counts.index[0]}"
