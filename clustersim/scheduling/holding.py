"""What a running job holds: accelerators of one or of several partitions, and how fast it is there.

A job usually holds as many accelerators of one partition as it asks for. A job over several
partitions runs at the pace of its slowest accelerators if each accelerator gets the same share of
the work (``equal``), or at the sum of their paces if each gets as much as it can do
(``proportional``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

from clustersim.scheduling.placements import Nodes

if TYPE_CHECKING:
    from clustersim.scheduling.queue import JobColumns, Partition

__all__ = [
    "Destination",
    "Holding",
    "Part",
    "SizeLimits",
    "SizeRange",
    "Split",
    "job_s",
    "work_shares",
]

Split: TypeAlias = Literal["equal", "proportional"]
"""How the work of a job over several pools is divided among its accelerators."""


class SizeRange(Protocol):
    """The sizes at which jobs can run, and how fast they are."""

    def range(self, job: int) -> tuple[int, int]:
        """Return the smallest and the largest number of accelerators of a job."""

    def pace(self, job: int, pool: int, size: int) -> float:
        """Return the speed of a whole job on `size` accelerators of a pool.

        It is relative to its speed on the number that it asks for, on the same pool; 0 if the job
        cannot run so.
        """


class SizeLimits(Protocol):
    """The sizes that limits, quotas and budgets allow."""

    def most(self, job: int) -> float:
        """Return the largest size that a job may have now; infinite without a limit."""

    def allows(self, job: int, partition: Partition, size: int) -> bool:
        """Return whether a job may have a size on a partition now."""

    def charge(self, job: int, size: int) -> None:
        """Charge a running job for a size from now on."""


@dataclass(frozen=True, slots=True)
class Part:
    """Accelerators of one partition that a job holds.

    Attributes
    ----------
    partition : Partition
    n : int
    nodes : Nodes
        Empty if the placement does not track nodes.
    """

    partition: Partition
    n: int
    nodes: Nodes


@dataclass(frozen=True, slots=True)
class Holding:
    """What a job holds that has another size than it asks for, or that is on several partitions.

    Attributes
    ----------
    parts : tuple of Part
    estimate_s : float
        Estimated run time there, seconds.

    Examples
    --------
    >>> from clustersim.scheduling import Partition, Pooled
    >>> from clustersim.scheduling.holding import Holding, Part
    >>> h200 = Partition(0, 0, "h200", "", 0, Pooled(n_nodes=2, chips_per_node=8))
    >>> h20 = Partition(1, 1, "h20", "", 0, Pooled(n_nodes=2, chips_per_node=8))
    >>> Holding((Part(h200, 16, ()), Part(h20, 8, ())), estimate_s=60.0).size
    24
    """

    parts: tuple[Part, ...]
    estimate_s: float

    @property
    def size(self) -> int:
        """Number of accelerators."""
        return sum(part.n for part in self.parts)

    @property
    def on(self) -> tuple[tuple[Partition, Nodes], ...]:
        """The partitions and the nodes of each."""
        return tuple((part.partition, part.nodes) for part in self.parts)


@dataclass(slots=True)
class Destination:
    """Where a running job goes that saves its state to start again.

    Attributes
    ----------
    partition : Partition
    size : int
        Number of accelerators there.
    extra : Part or None
        Free accelerators of the partition that are held for it until then.
    stays : bool
        Whether it stays on its partition.
    own : Nodes
        The nodes that it had, once it has left them, if it stays.
    """

    partition: Partition
    size: int
    extra: Part | None
    stays: bool
    own: Nodes = ()

    def nodes(self) -> Nodes:
        """Return nodes that are free for the job once it has left its own ones.

        Examples
        --------
        >>> from clustersim.scheduling import Consolidate, Partition
        >>> from clustersim.scheduling.holding import Destination, Part
        >>> h200 = Partition(0, 0, "h200", "", 0, Consolidate(n_nodes=3, chips_per_node=8))
        >>> Destination(h200, 10, Part(h200, 2, [(0, 2)]), stays=True, own=[(0, 4), (1, 4)]).nodes()
        [(0, 6), (1, 4)]
        >>> Destination(h200, 10, None, stays=True, own=[(0, 4), (1, 8)]).nodes()
        [(1, 8), (0, 2)]
        """
        free = dict(self.own)
        for node, chips in () if self.extra is None else self.extra.nodes:
            free[node] = free.get(node, 0) + chips
        left, chosen = self.size, []
        in_order = free.items() if sum(free.values()) == left else _most_first(free)
        for node, chips in in_order:
            if left:
                chosen.append((node, min(chips, left)))
                left -= min(chips, left)
        return chosen


def _most_first(free: Mapping[int, int]) -> list[tuple[int, int]]:
    return sorted(free.items(), key=lambda pair: (-pair[1], pair[0]))


def job_s(
    jobs: JobColumns, seconds: Sequence[Sequence[float]], job: int, parts: Sequence[Part]
) -> float:
    """Return the time that a job takes on what it holds.

    Parameters
    ----------
    jobs : JobColumns
        With the jobs' sizes, and the way in which work is divided.
    seconds : sequence of sequence of float
        Time by pool and job at the size that the job asks for.
    job : int
    parts : sequence of Part

    Returns
    -------
    float
        Seconds; infinite if the job cannot run so.

    Examples
    --------
    >>> from clustersim.scheduling import JobColumns, Partition, Pooled
    >>> from clustersim.scheduling.holding import Part, job_s
    >>> h200 = Partition(0, 0, "h200", "", 0, Pooled(n_nodes=1, chips_per_node=8))
    >>> h20 = Partition(1, 1, "h20", "", 0, Pooled(n_nodes=1, chips_per_node=8))
    >>> seconds = [[60.0], [180.0]]
    >>> parts = [Part(h200, 8, ()), Part(h20, 8, ())]
    >>> job_s(JobColumns([16], seconds, [(0, 1)], [0], split="equal"), seconds, 0, parts)
    180.0
    >>> job_s(JobColumns([16], seconds, [(0, 1)], [0], split="proportional"), seconds, 0, parts)
    90.0
    """
    each = _whole_s(jobs, seconds, job, parts)
    if jobs.split != "proportional" or min(each) <= 0.0:
        return max(each)
    size = sum(part.n for part in parts)
    return size / sum(part.n / whole_s for part, whole_s in zip(parts, each, strict=True))


def work_shares(
    jobs: JobColumns, seconds: Sequence[Sequence[float]], job: int, parts: Sequence[Part]
) -> list[float]:
    """Return the share of a job's work that it does on each part of what it holds.

    Parameters
    ----------
    jobs, seconds, job, parts
        As for :func:`job_s`.

    Examples
    --------
    >>> from clustersim.scheduling import JobColumns, Partition, Pooled
    >>> from clustersim.scheduling.holding import Part, work_shares
    >>> h200 = Partition(0, 0, "h200", "", 0, Pooled(n_nodes=1, chips_per_node=8))
    >>> h20 = Partition(1, 1, "h20", "", 0, Pooled(n_nodes=1, chips_per_node=8))
    >>> seconds = [[60.0], [180.0]]
    >>> parts = [Part(h200, 8, ()), Part(h20, 8, ())]
    >>> work_shares(JobColumns([16], seconds, [(0, 1)], [0], split="equal"), seconds, 0, parts)
    [0.5, 0.5]
    >>> jobs = JobColumns([16], seconds, [(0, 1)], [0], split="proportional")
    >>> work_shares(jobs, seconds, 0, parts)
    [0.75, 0.25]
    """
    amounts = [float(part.n) for part in parts]
    if jobs.split == "proportional":
        each = _whole_s(jobs, seconds, job, parts)
        if min(each) > 0.0:
            amounts = [n / whole_s for n, whole_s in zip(amounts, each, strict=True)]
    total = sum(amounts)
    return [amount / total for amount in amounts]


def _whole_s(
    jobs: JobColumns, seconds: Sequence[Sequence[float]], job: int, parts: Sequence[Part]
) -> list[float]:
    """Return the time of the whole job if all its accelerators were like those of each part."""
    size = sum(part.n for part in parts)
    elastic = jobs.elastic
    each = []
    for part in parts:
        pool = part.partition.pool
        whole_s = seconds[pool][job]
        if size != jobs.n_accelerators[job]:
            pace = 0.0 if elastic is None else elastic.pace(job, pool, size)
            whole_s = whole_s / pace if pace > 0 else float("inf")
        each.append(whole_s)
    return each
