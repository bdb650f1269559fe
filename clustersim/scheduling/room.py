"""What the jobs of a queue may use now."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from clustersim.array_types import Bools, Ints
from clustersim.scheduling.across import Offer, free_offer
from clustersim.scheduling.holding import Part, SizeLimits, job_s
from clustersim.scheduling.job_columns import JobColumns
from clustersim.scheduling.partition import Partition
from clustersim.scheduling.placements import NodeFree, NodePlacement, Nodes
from clustersim.scheduling.windows import Windows, only_in

__all__ = ["Room"]


class Room:
    """The partitions of a queue, and what its jobs may use of them now.

    Parameters
    ----------
    partitions : sequence of Partition
        All partitions of the cluster, in order of their index.
    members : sequence of int
        Indices of the partitions on which the jobs can run.
    jobs : JobColumns
        All jobs of the run.

    Attributes
    ----------
    now : float
        The simulated time of the scheduling pass, seconds.
    own_nodes : dict of int to (Partition, Nodes)
        The only accelerators on which some waiting jobs can start: suspended jobs, and jobs that
        run when the simulation begins.
    size_limits : SizeLimits or None
        What limits the sizes of jobs, if they may differ from those that the jobs ask for.
    """

    def __init__(
        self, partitions: Sequence[Partition], members: Sequence[int], jobs: JobColumns
    ) -> None:
        self.partitions = partitions
        self.members = tuple(members)
        self.jobs = jobs
        self.now = 0.0
        self.own_nodes: dict[int, tuple[Partition, Nodes]] = {}
        self.size_limits: SizeLimits | None = None

    @property
    def free(self) -> int:
        """Number of accelerators free now in all partitions of the queue."""
        return sum(self.partitions[index].placement.free for index in self.members)

    @property
    def has_windows(self) -> bool:
        """Whether windows ever close nodes of the queue's partitions."""
        return any(self.partitions[index].windows is not None for index in self.members)

    def choices(self, job: int) -> tuple[int, ...]:
        """Indices of the partitions on which `job` can run, in order of preference.

        Examples
        --------
        >>> from clustersim.scheduling import example_queue
        >>> queue = example_queue()
        >>> queue.choices(0)
        (0,)
        """
        return self.jobs.choices[self.jobs.choice_of[job]]

    def estimate_s(self, job: int, partition: Partition | None = None) -> float:
        """Estimated run time of `job` on a partition (by default the preferred one), seconds.

        Examples
        --------
        >>> from clustersim.scheduling import example_queue
        >>> queue = example_queue()
        >>> queue.estimate_s(1)
        300.0
        """
        if partition is None:
            partition = self.partitions[self.choices(job)[0]]
        return self.jobs.estimate_s[partition.pool][job]

    def offers(self, job: int, *, closed: int = 0) -> Iterator[Offer]:
        """Yield what a waiting job that runs on several partitions may use of each now.

        No window closes these nodes before the job would end on the slowest of its partitions.

        Examples
        --------
        >>> from clustersim.scheduling import JobColumns, Partition, Pooled, Queue
        >>> h200 = Partition(0, 0, "h200", "", 0, Pooled(n_nodes=2, chips_per_node=8))
        >>> h20 = Partition(1, 1, "h20", "", 0, Pooled(n_nodes=2, chips_per_node=8))
        >>> jobs = JobColumns([24], [[60.0], [90.0]], [(0, 1)], [0], split="equal")
        >>> queue = Queue([h200, h20], [0, 1], jobs, lambda *started: None, looks_ahead=False)
        >>> [offer.partition.name for offer in queue.offers(0)]
        ['h200', 'h20']
        """
        mine = [self.partitions[i] for i in self.choices(job) if not closed >> i & 1]
        longest_s = max((self.estimate_s(job, partition) for partition in mine), default=0.0)
        for partition in mine:
            yield free_offer(partition, self._open_until(job, partition, longest_s))

    def _open_until(self, job: int, partition: Partition, estimate_s: float) -> Bools | None:
        windows = partition.windows
        if windows is None or not windows.announced:
            return None
        return windows.open_nodes(job, self.now, self.now + estimate_s)

    def most_size(self, job: int) -> float:
        """Return the largest size that limits, quotas and budgets allow a job now.

        It is infinite without them, and for jobs that cannot have another size than they ask for.

        Examples
        --------
        >>> from clustersim.scheduling import example_queue
        >>> queue = example_queue()
        >>> queue.most_size(0)
        inf
        """
        return math.inf if self.size_limits is None else self.size_limits.most(job)

    def allows(self, job: int, partition: Partition, n: int) -> bool:
        """Return whether limits, quotas and budgets allow a job a size on a partition now.

        Examples
        --------
        >>> from clustersim.scheduling import example_queue
        >>> queue = example_queue()
        >>> h200 = queue.partitions[0]
        >>> queue.allows(0, h200, 8)
        True
        """
        return self.size_limits is None or self.size_limits.allows(job, partition, n)

    def take_size(self, job: int, partition: Partition, n: int) -> Nodes | None:
        """Allocate `n` accelerators for a job that runs at another size, or return None.

        Examples
        --------
        >>> from clustersim.scheduling import example_queue
        >>> queue = example_queue()
        >>> h200 = queue.partitions[0]
        >>> list(queue.take_size(0, h200, 4))
        [(0, 4)]
        """
        if not self.allows(job, partition, n):
            return None
        return self._take_free(job, partition, n)

    def _take_free(self, job: int, partition: Partition, n: int) -> Nodes | None:
        """Allocate `n` accelerators for a job, whether or not it may have so many."""
        return free_offer(partition, self._open_at_size(job, partition, n)).take(n)

    def fits_size(self, job: int, partition: Partition, n: int) -> bool:
        """Return whether a waiting job could start now at another size.

        Examples
        --------
        >>> from clustersim.scheduling import example_queue
        >>> queue = example_queue()
        >>> h200 = queue.partitions[0]
        >>> queue.fits_size(0, h200, 16), queue.fits_size(0, h200, 17)
        (True, False)
        """
        return self.allows(job, partition, n) and self.has_free(job, partition, n)

    def has_free(self, job: int, partition: Partition, n: int) -> bool:
        """Return whether a job finds `n` free accelerators, whether or not it may have so many.

        Examples
        --------
        Two nodes have 4 accelerators free each, and a gang of 6 does not share nodes with others:

        >>> from clustersim.scheduling import example_queue
        >>> queue = example_queue()
        >>> h200 = queue.partitions[0]
        >>> h200.placement.take_these([(0, 4), (1, 4)], 8)
        >>> queue.has_free(0, h200, 4), queue.has_free(0, h200, 6)
        (True, False)
        """
        offer = free_offer(partition, self._open_at_size(job, partition, n))
        return bool(offer.fits_each(np.array([n]))[0])

    def _open_at_size(self, job: int, partition: Partition, n: int) -> Bools | None:
        if partition.windows is None or not partition.windows.announced:
            return None
        estimate_s = job_s(self.jobs, self.jobs.estimate_s, job, [Part(partition, n, ())])
        return self._open_until(job, partition, estimate_s)

    def take(self, job: int, partition: Partition) -> Nodes | None:
        """Allocate the accelerators of a waiting job on a partition, or return None.

        Examples
        --------
        >>> from clustersim.scheduling import Consolidate, JobColumns, Partition, Queue
        >>> h200 = Partition(0, 0, "h200", "", 0, Consolidate(n_nodes=2, chips_per_node=8))
        >>> jobs = JobColumns([8, 8], [[60.0, 300.0]], choices=[(0,)], choice_of=[0, 0])
        >>> queue = Queue([h200], [0], jobs, lambda *started: None, looks_ahead=False)
        >>> queue.own_nodes[1] = h200, ((0, 8),)
        >>> list(queue.take(0, h200)), queue.take(1, h200)
        ([(0, 8)], None)
        """
        n = self.jobs.n_accelerators[job]
        if self.size_limits is not None and not self.size_limits.allows(job, partition, n):
            return None
        if not self.own_nodes or job not in self.own_nodes:
            if partition.windows is not None:
                return self._take_open(job, n, partition, partition.windows)
            return partition.placement.take(n)
        own, nodes = self.own_nodes[job]
        if own is not partition or not partition.placement.has_free(nodes, n):
            return None
        if not self._are_open(job, partition, nodes):
            return None
        partition.placement.take_these(nodes, n)
        del self.own_nodes[job]
        return nodes

    def _take_open(self, job: int, n: int, partition: Partition, windows: Windows) -> Nodes | None:
        """Allocate accelerators on nodes that no window closes before the job ends."""
        placement = partition.placement
        if not windows.announced:
            return placement.take(n)
        if n > placement.free:
            return None
        assert isinstance(placement, NodePlacement), "windows need a placement that tracks nodes"
        end_s = self.now + self.jobs.estimate_s[partition.pool][job]
        nodes = windows.choose(job, n, placement, self.now, end_s)
        if nodes is not None:
            placement.take_these(nodes, n)
        return nodes

    def open_nodes(self, job: int, partition: Partition) -> Bools | None:
        """Return the nodes on which a job can start now as far as windows go; None if on all.

        Examples
        --------
        >>> import numpy as np
        >>> from clustersim.scheduling import Consolidate, JobColumns, Partition, Queue
        >>> from clustersim.scheduling.windows import Window, Windows
        >>> h200 = Partition(0, 0, "h200", "", 0, Consolidate(n_nodes=2, chips_per_node=8))
        >>> h200.windows = Windows(n_nodes=2)
        >>> h200.windows.announced.append(Window("update", 90.0, 99.0, np.array([True, False])))
        >>> jobs = JobColumns([8, 8], [[60.0, 300.0]], choices=[(0,)], choice_of=[0, 0])
        >>> queue = Queue([h200], [0], jobs, lambda *started: None, looks_ahead=False)
        >>> queue.open_nodes(0, h200), queue.open_nodes(1, h200).tolist()
        (None, [False, True])
        """
        return self._open_until(job, partition, self.jobs.estimate_s[partition.pool][job])

    def _are_open(self, job: int, partition: Partition, nodes: Nodes) -> bool:
        open_nodes = self.open_nodes(job, partition)
        return open_nodes is None or all(open_nodes[node] for node, _ in nodes)

    def fit_each(
        self, jobs: Ints, partition: Partition, node_free: NodeFree | None = None
    ) -> Bools:
        """Return which of some waiting jobs would each fit now on nodes that are open to it.

        Parameters
        ----------
        jobs : int array (jobs,)
        partition : Partition
            With windows that have been announced.
        node_free : int array (nodes,), optional
            Accelerators of each node that they may use; by default all that are free.

        Examples
        --------
        >>> import numpy as np
        >>> from clustersim.scheduling import Consolidate, JobColumns, Partition, Queue
        >>> from clustersim.scheduling.windows import Window, Windows
        >>> h200 = Partition(0, 0, "h200", "", 0, Consolidate(n_nodes=2, chips_per_node=8))
        >>> h200.windows = Windows(n_nodes=2)
        >>> h200.windows.announced.append(Window("update", 90.0, 99.0, np.array([True, False])))
        >>> jobs = JobColumns([16, 16], [[60.0, 300.0]], choices=[(0,)], choice_of=[0, 0])
        >>> queue = Queue([h200], [0], jobs, lambda *started: None, looks_ahead=False)
        >>> queue.fit_each(np.array([0, 1]), h200).tolist()
        [True, False]
        """
        windows, placement = partition.windows, partition.placement
        assert windows is not None, "there are windows"
        assert isinstance(placement, NodePlacement), "windows need a placement that tracks nodes"
        numbers = jobs.tolist()
        sizes, estimate_s = self.jobs.n_accelerators, self.jobs.estimate_s[partition.pool]
        return windows.fit_each(
            jobs,
            np.array([sizes[job] for job in numbers], dtype=np.int64),
            self.now + np.array([estimate_s[job] for job in numbers], dtype=np.float64),
            placement,
            placement.free_by_node() if node_free is None else node_free,
            self.now,
        )

    def most(self, job: int, index: int) -> int:
        """Return the accelerators of a partition that a job could use if no other job ran.

        Those of nodes that a window closes before the estimated end of the job do not count.

        Examples
        --------
        >>> from clustersim.scheduling import JobColumns, Partition, Pooled, Queue
        >>> h200 = Partition(0, 0, "h200", "", 0, Pooled(n_nodes=2, chips_per_node=8))
        >>> jobs = JobColumns([8, 24], [[60.0, 300.0]], choices=[(0,)], choice_of=[0, 0])
        >>> queue = Queue([h200], [0], jobs, lambda *started: None, looks_ahead=False)
        >>> queue.most(0, index=0)
        16
        """
        partition = self.partitions[index]
        open_nodes, placement = self.open_nodes(job, partition), partition.placement
        if open_nodes is None:
            return placement.capacity
        return int(np.count_nonzero(open_nodes)) * placement.chips_per_node

    def fits(self, job: int, partition: Partition) -> bool:
        """Return whether a job could start now on a partition.

        Examples
        --------
        >>> from clustersim.scheduling import JobColumns, Partition, Pooled, Queue
        >>> h200 = Partition(0, 0, "h200", "", 0, Pooled(n_nodes=2, chips_per_node=8))
        >>> jobs = JobColumns([8, 24], [[60.0, 300.0]], choices=[(0,)], choice_of=[0, 0])
        >>> queue = Queue([h200], [0], jobs, lambda *started: None, looks_ahead=False)
        >>> queue.fits(0, h200), queue.fits(1, h200)
        (True, False)
        """
        n, placement = self.jobs.n_accelerators[job], partition.placement
        if not self.allows(job, partition, n):
            return False
        if job in self.own_nodes:
            own, nodes = self.own_nodes[job]
            there = own is partition and placement.has_free(nodes, n)
            return there and self._are_open(job, partition, nodes)
        size, open_nodes = np.array([n]), self.open_nodes(job, partition)
        if open_nodes is None:
            return bool(placement.fits_each(size)[0])
        assert isinstance(placement, NodePlacement), "windows need a placement that tracks nodes"
        return bool(placement.fits_each_of(size, only_in(placement.free_by_node(), open_nodes))[0])
