"""The state of a partition's nodes: the jobs on each node, and the slowdowns of slow nodes."""

from __future__ import annotations

from array import array

import numpy as np

from clustersim.scheduling.placements import ManyNodes, Nodes

__all__ = ["JobsOnNodes", "SlowNodes"]

_NOBODY = -1


class JobsOnNodes:
    """The jobs that hold chips of each node.

    Jobs that hold all chips of a node are kept in an array, so that a gang on thousands of nodes is
    recorded in one step. Nodes shared by several jobs are kept one by one.

    Parameters
    ----------
    n_nodes, chips_per_node : int
        Size of the partition.

    Examples
    --------
    >>> jobs = JobsOnNodes(n_nodes=3, chips_per_node=8)
    >>> jobs.add(7, [(0, 8), (1, 4)])
    >>> jobs.add(9, [(1, 4)])
    >>> jobs.on(0), jobs.on(1), jobs.on(2)
    ([7], [7, 9], [])
    """

    def __init__(self, n_nodes: int, chips_per_node: int) -> None:
        self._chips_per_node = chips_per_node
        self._owner = array("q", [_NOBODY]) * n_nodes
        self._owners = np.frombuffer(self._owner, dtype=np.int64)
        self._sharers: dict[int, dict[int, None]] = {}

    def add(self, job: int, nodes: Nodes) -> None:
        """Record that a job starts on some nodes."""
        whole = self._chips_per_node
        if isinstance(nodes, ManyNodes):
            own, nodes = nodes.whole(whole)
            self._owners[own] = job
        for node, chips in nodes:
            if chips == whole:
                self._owner[node] = job
            else:
                self._sharers.setdefault(node, {})[job] = None

    def remove(self, job: int, nodes: Nodes) -> None:
        """Record that a job has left the nodes on which it ran."""
        whole = self._chips_per_node
        if isinstance(nodes, ManyNodes):
            own, nodes = nodes.whole(whole)
            self._owners[own] = _NOBODY
        for node, chips in nodes:
            if chips == whole:
                self._owner[node] = _NOBODY
            else:
                self._sharers[node].pop(job, None)

    def on(self, node: int) -> list[int]:
        """Return the jobs that hold chips of a node, in order of their start."""
        owner = self._owner[node]
        return list(self._sharers.get(node, ())) if owner == _NOBODY else [owner]


class SlowNodes:
    """The slow nodes of a partition, which determine the slowdown of a gang.

    Parameters
    ----------
    n_nodes : int
        Size of the partition.
    """

    def __init__(self, n_nodes: int) -> None:
        self._n_nodes = n_nodes
        self._slowdowns: dict[int, list[float]] = {}
        self._worst = np.ones(0)

    def add(self, node: int, slowdown: float) -> None:
        """Add a slowdown of a node; if a node has several slowdowns, the largest applies."""
        if not len(self._worst):
            self._worst = np.ones(self._n_nodes)
        own = self._slowdowns.setdefault(node, [])
        own.append(slowdown)
        self._worst[node] = max(own)

    def remove(self, node: int, slowdown: float) -> None:
        """Remove a slowdown that was added earlier."""
        left = self._slowdowns[node]
        left.remove(slowdown)
        if not left:
            del self._slowdowns[node]
        self._worst[node] = max(left, default=1.0)

    def slowdown(self, nodes: Nodes) -> float:
        """Return the slowdown of a gang on `nodes`, which is the slowdown of its slowest node."""
        slow = self._slowdowns
        if not slow:
            return 1.0
        if isinstance(nodes, ManyNodes):
            return float(self._worst[nodes.nodes].max())
        own = (slow.get(node) for node, _ in nodes)
        return max((max(slowdowns) for slowdowns in own if slowdowns), default=1.0)
