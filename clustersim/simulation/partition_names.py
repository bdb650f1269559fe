"""Names of partitions: which ones a cluster has, and which one each job names."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from clustersim.topology import Cluster
from clustersim.units import counted, listed
from clustersim.workload.jobs import partition_column, texts_of

__all__ = [
    "SHARED",
    "alternatives",
    "ignored_virtual_clusters",
    "named_partitions",
    "names_any",
    "partition_names_of",
    "queues_of_namespaces",
    "unknown_names",
    "with_queues",
]

_FEW = 3
SHARED = "jobs share all nodes"
"""What a note says of partitions that the cluster does not have."""


def ignored_virtual_clusters(jobs: pd.DataFrame, cluster: Cluster) -> list[str]:
    """Return a note if jobs name virtual clusters but the cluster has none.

    Examples
    --------
    >>> from clustersim.topology import single_pool
    >>> ignored_virtual_clusters(pd.DataFrame({"vc": ["a", "b", None]}), single_pool(8))
    ['2 jobs name one of 2 virtual clusters (vc), but the cluster has none; jobs share all nodes']
    """
    column = partition_column(jobs)
    there = partition_names_of(cluster)
    if column is None or named_partitions(jobs, cluster) is not None:
        return []
    given = pd.Series(texts_of(jobs[column]))
    given = given[given.str.strip() != ""]
    if given.nunique() < (1 if there else 2):
        return []
    if not there:
        what = "virtual clusters (vc)" if column == "vc" else "partitions"
        jobs_name = f"{counted(len(given), 'job names', 'jobs name')} one of {given.nunique():,}"
        return [f"{jobs_name} {what}, but the cluster has none; {SHARED}"]
    what = "virtual cluster" if column == "vc" else "partition"
    return [unknown_names(given.tolist(), there, what)]


def unknown_names(named: Sequence[str], there: Collection[str], what: str = "partition") -> str:
    """Return a note that a topology has none of the partitions that jobs name.

    Parameters
    ----------
    named : sequence of str
        The partition of each job.
    there : collection of str
        Those of the topology.
    what : str

    Examples
    --------
    >>> unknown_names(["a", "b", "b"], ["h100"]).split(", but")[0]
    "3 jobs name 2 partitions, such as 'a' and 'b'"
    """
    names = sorted({*named})
    few = [repr(name) for name in names[:_FEW]]
    own = [repr(name) for name in sorted(there)[:_FEW]]
    return (
        f"{counted(len(named), 'job names', 'jobs name')} {counted(len(names), what)}, such as "
        f"{listed(few)}, but the topology has none of these (it has {listed(own)}); "
        f"{SHARED}. To keep them apart, write the names of the log under queues of the pools"
    )


def alternatives(name: str, there: Collection[str]) -> tuple[str, ...]:
    """Return the partitions that a job names: several, if it lists them as on Slurm.

    Parameters
    ----------
    name : str
        What the job names.
    there : collection of str
        Partitions of the cluster; a name of one of them is not divided.

    Examples
    --------
    >>> alternatives("h100,a100", {"h100"}), alternatives("a,b", {"a,b"}), alternatives("", {"a"})
    (('h100', 'a100'), ('a,b',), ('',))
    """
    if "," not in name or name in there:
        return (name,)
    return tuple(dict.fromkeys(part.strip() for part in name.split(",") if part.strip())) or ("",)


def names_any(names: Iterable[str], there: Collection[str]) -> bool:
    """Return whether any of the names is, or lists, a partition of the cluster.

    Examples
    --------
    >>> names_any(["cpu", "h100,a100"], {"a100"}), names_any(["cpu"], {"a100"})
    (True, False)
    """
    return any(
        part in there for name in dict.fromkeys(names) for part in alternatives(str(name), there)
    )


def partition_names_of(cluster: Cluster) -> set[str]:
    """Return the names of the virtual clusters and queues of a cluster.

    Examples
    --------
    >>> from clustersim.topology import single_pool
    >>> partition_names_of(single_pool(8))
    set()
    """
    names = {name for pool in cluster.pools for name in pool.queues}
    return names | {name for pool in cluster.pools for name in pool.virtual_clusters}


def named_partitions(jobs: pd.DataFrame, cluster: Cluster) -> npt.NDArray[np.object_] | None:
    """Return the partition that each job names; None if the cluster does not tell them apart.

    ``partition`` is what a log of a site calls it, and counts if the cluster has any of these
    names; the names in ``vc`` are those of the cluster. A job of Kubernetes has the queue of its
    namespace (:func:`queues_of_namespaces`). Several names are separated by commas
    (:func:`alternatives`).

    Returns
    -------
    object array (jobs,) or None
        An empty text for a job that names none.

    Examples
    --------
    >>> from clustersim.topology import single_pool
    >>> named_partitions(pd.DataFrame({"vc": ["a", "b"]}), single_pool(8)) is None
    True
    """
    column, there = partition_column(jobs), partition_names_of(cluster)
    if column is None or not there:
        return None
    texts = queues_of_namespaces(texts_of(jobs[column]), jobs.get("job_id"), there)
    return texts if column == "vc" or names_any(texts, there) else None


def queues_of_namespaces(
    names: npt.NDArray[np.object_],
    job_ids: Sequence[str] | pd.Series | None,
    there: Collection[str],
) -> npt.NDArray[np.object_]:
    """Return the partitions of jobs, as NAMESPACE/NAME where the cluster has such a queue.

    LocalQueues of Kueue have the same name in several namespaces and may point to different
    ClusterQueues; a topology tells these apart by the namespace.

    Parameters
    ----------
    names : object array (jobs,)
        The partition that each job names.
    job_ids : sequence (jobs,), optional
        Ids of the jobs; those of Kubernetes begin with the namespace and a slash.
    there : collection of str
        Partitions of the cluster.

    Examples
    --------
    >>> names = np.array(["lq", "lq", "own"], dtype=object)
    >>> queues_of_namespaces(names, ["a/j", "b/j", "a/k"], {"a/lq", "own"}).tolist()
    ['a/lq', 'lq', 'own']
    """
    if job_ids is None or not any("/" in name for name in there):
        return names
    found = names.copy()
    for at, job in enumerate(texts_of(pd.Series(job_ids, dtype=object)).tolist()):
        space, slash, _ = job.partition("/")
        if slash and f"{space}/{names[at]}" in there:
            found[at] = f"{space}/{names[at]}"
    return found


def with_queues(jobs: pd.DataFrame, cluster: Cluster) -> pd.DataFrame:
    """Return a jobs table whose jobs name the queues of the cluster to which they belong.

    Only jobs of Kubernetes change: those whose queue the cluster has as NAMESPACE/NAME
    (:func:`queues_of_namespaces`).

    Examples
    --------
    >>> from dataclasses import replace
    >>> from clustersim.topology import single_pool
    >>> cluster = single_pool(8)
    >>> cluster = replace(cluster, pools=(replace(cluster.pools[0], queues=("a/lq",)),))
    >>> jobs = pd.DataFrame({"job_id": ["a/1", "b/1"], "partition": ["lq", "lq"]})
    >>> with_queues(jobs, cluster)["partition"].tolist()
    ['a/lq', 'lq']
    """
    column, there = partition_column(jobs), partition_names_of(cluster)
    if column is None or not any("/" in name for name in there):
        return jobs
    names = texts_of(jobs[column])
    own = queues_of_namespaces(names, jobs.get("job_id"), there)
    changed = np.asarray(own != names, dtype=bool)
    if not changed.any():
        return jobs
    return jobs.assign(
        **{column: jobs[column].astype(object).mask(changed, pd.Series(own, jobs.index))}
    )
