"""Where jobs run whose queue names their nodes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from scipy.cluster.hierarchy import DisjointSet

from clustersim.scheduling.placements import NodePlacement, Nodes
from clustersim.scheduling.queue import Partition
from clustersim.sites.hostlist import expand_hosts
from clustersim.topology import Cluster

__all__ = ["NamedJob", "Place", "Places", "named_places"]


@dataclass(frozen=True, slots=True)
class NamedJob:
    """A running job whose nodes are named.

    Attributes
    ----------
    chips : mapping of str to int
        Its accelerators on each node, by name.
    may : tuple of int
        Partitions on which it may run.
    """

    chips: Mapping[str, int]
    may: tuple[int, ...]

    @classmethod
    def of(
        cls, nodes: Sequence[str], on_each: Sequence[int], n: int, may: tuple[int, ...]
    ) -> NamedJob | None:
        """Return the job; None if its accelerators on each node are not known.

        They are about the same on all nodes if `on_each` is empty.

        Examples
        --------
        >>> NamedJob.of(["a", "b"], [], 16, (0,)).chips
        {'a': 8, 'b': 8}
        """
        if not nodes or n < len(nodes):
            return None
        each, more = divmod(n, len(nodes))
        chips = on_each or [each + (at < more) for at in range(len(nodes))]
        return cls({name.lower(): k for name, k in zip(nodes, chips, strict=True)}, may)


@dataclass(frozen=True, slots=True)
class Place:
    """Accelerators of a partition on which a job runs.

    Attributes
    ----------
    partition : int
    nodes : Nodes
        Its chips on the nodes of the partition; empty if only accelerators are counted.
    n : int
        Number of these accelerators.
    """

    partition: int
    nodes: Nodes
    n: int


Places = tuple[Place, ...]
"""Where a job runs: nowhere if the cluster does not have its nodes, as nodes that are drained; on
several partitions if the pools of the cluster divide those of the site."""


def named_places(
    jobs: Sequence[NamedJob | None], partitions: Sequence[Partition], cluster: Cluster
) -> list[Places | None]:
    """Place running jobs on the nodes that the queue names; the partitions are changed.

    Nodes that the cluster names are those. The nodes of a job that may run in a pool without names
    become nodes of such pools, on which all their jobs may run: which ones makes no difference.
    Other jobs are on nodes that the cluster does not have. If it names none of several nodes, it
    uses other names, which then do not count.

    Parameters
    ----------
    jobs : sequence of NamedJob or None
        None for a job whose nodes are not known.
    partitions : sequence of Partition
        Those of the cluster, without running jobs.
    cluster : Cluster

    Returns
    -------
    list of Places or None
        None for a job without known nodes, or whose nodes cannot be found.

    Examples
    --------
    >>> from clustersim.engine.partitions import build_partitions
    >>> from clustersim.scheduling import find_placement
    >>> from clustersim.topology import single_pool
    >>> cluster = single_pool(8)
    >>> parts = build_partitions(cluster, find_placement("consolidate"))
    >>> jobs = [NamedJob({"gpu7": 2}, (0,)), None]
    >>> named_places(jobs, parts, cluster)[0]
    (Place(partition=0, nodes=((0, 2),), n=2),)
    """
    at = _Names(partitions, cluster)
    names = {name for job in jobs if job is not None for name in job.chips}
    others = len(names) >= _SEVERAL and not any(map(at.of, names))
    places: list[Places | None] = [None] * len(jobs)
    unnamed: list[NamedJob | None] = [None] * len(jobs)
    for row, job in enumerate(jobs):
        if job is None:
            continue
        open_ones = job.may if others else tuple(i for i in job.may if i not in at.partitions)
        if not others and any(map(at.of, job.chips)):
            places[row] = _on_known(job, at, partitions)
        elif open_ones:
            unnamed[row] = replace(job, may=open_ones)
        else:
            places[row] = ()
    for row, place in _on_any(unnamed, partitions):
        places[row] = (place,)
    return places


_SEVERAL = 3
"""From this number of nodes on, of which the cluster names none, its names are other ones."""


class _Names:
    """The nodes that a cluster names.

    Attributes
    ----------
    partitions : set of int
        Those whose nodes have names.
    """

    def __init__(self, partitions: Sequence[Partition], cluster: Cluster) -> None:
        names = [expand_hosts(pool.node_names.lower()) for pool in cluster.pools]
        self.partitions = {each.index for each in partitions if names[each.pool]}
        self._at: dict[str, list[tuple[int, int]]] = {}
        for each in partitions:
            first, n_nodes = each.first_node, each.placement.n_nodes
            for node, name in enumerate(names[each.pool][first : first + n_nodes]):
                self._at.setdefault(name, []).append((each.index, node))
        heads = Counter(name.partition(".")[0] for name in self._at)
        self._of_head = {
            head: name
            for name in self._at
            if heads[head := name.partition(".")[0]] == 1 and not head.isdigit()
        }

    def of(self, name: str) -> list[tuple[int, int]]:
        """Return the partitions with a node of a name, with or without its domain, and its index.

        A node with accelerators of several types is in several partitions.
        """
        if name not in self._at:
            name = self._of_head.get(name.partition(".")[0], name)
        return self._at.get(name, [])


def _on_known(job: NamedJob, at: _Names, partitions: Sequence[Partition]) -> Places | None:
    """Return where a job runs on nodes that the cluster names, and take its accelerators."""
    nodes_on: dict[int, list[tuple[int, int]]] = {}
    for name, chips in job.chips.items():
        found = at.of(name)
        for index, node in [each for each in found if each[0] in job.may][:1] or found[:1]:
            nodes_on.setdefault(index, []).append((node, chips))
    for index, nodes in nodes_on.items():
        if not partitions[index].placement.has_free(nodes, sum(chips for _, chips in nodes)):
            return None
    return tuple(_take(partitions[index], nodes) for index, nodes in nodes_on.items())


def _take(partition: Partition, nodes: Nodes) -> Place:
    """Take accelerators, which must be free."""
    placement, n = partition.placement, sum(chips for _, chips in nodes)
    placement.take_these(nodes, n)
    return Place(partition.index, tuple(nodes) if isinstance(placement, NodePlacement) else (), n)


def _on_any(
    jobs: Sequence[NamedJob | None], partitions: Sequence[Partition]
) -> Iterator[tuple[int, Place]]:
    """Yield the rows of jobs and their places, where the cluster does not name the nodes.

    Nodes with a job in common are in one partition.
    """
    together = DisjointSet(name for job in jobs if job is not None for name in job.chips)
    for job in jobs:
        for name in job.chips if job is not None else ():
            together.merge(name, next(iter(job.chips)))  # type: ignore[union-attr]
    rows: dict[str, list[int]] = {}
    used: dict[str, int] = {}
    for row, job in enumerate(jobs):
        if job is not None:
            rows.setdefault(together[next(iter(job.chips))], []).append(row)
            for name, chips in job.chips.items():
                used[name] = used.get(name, 0) + chips
    groups = []
    for root, own in rows.items():
        members = sorted(together.subset(root))
        most = max(used[name] for name in members)
        may = set.intersection(*(set(jobs[row].may) for row in own))  # type: ignore[union-attr]
        fitting = [
            each.index
            for each in partitions
            if each.index in may
            and isinstance(each.placement, NodePlacement)
            and most <= each.placement.chips_per_node
        ]
        groups.append((fitting, members, own))
    begins = [0] * len(partitions)
    for fitting, members, own in sorted(groups, key=lambda group: (len(group[0]), -len(group[1]))):
        for index in fitting:
            placement, first = partitions[index].placement, begins[index]
            if first + len(members) > placement.n_nodes:
                continue
            begins[index] += len(members)
            node_of = {name: first + node for node, name in enumerate(members)}
            for row in own:
                job = jobs[row]
                assert job is not None
                nodes = [(node_of[name], chips) for name, chips in job.chips.items()]
                yield row, _take(partitions[index], nodes)
            break
