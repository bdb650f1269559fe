"""What a policy sees in a scheduling pass: waiting and running jobs, and free accelerators."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from clustersim.array_types import Floats, Ints
from clustersim.errors import ClusterSimError, InputError, nearest_hint
from clustersim.notes import note
from clustersim.scheduling.across import fits_across
from clustersim.scheduling.carry_out import room_to_move
from clustersim.scheduling.decisions import How
from clustersim.scheduling.job_view import JobView
from clustersim.scheduling.placements import NodePlacement
from clustersim.scheduling.queue import Partition, Queue
from clustersim.scheduling.quota_use import QuotaTable
from clustersim.scheduling.together import those_that_fit
from clustersim.scheduling.usage_log import USAGE, UsageLog

__all__ = ["View"]


class View:
    """A read-only view of a queue during one scheduling pass.

    It shows the state at the moment of a call: after a decision is carried out, it shows the state
    with this decision. Jobs are numbers; arrays of jobs are the usual argument and result.

    Parameters
    ----------
    queue : Queue
    waiting : iterable of int
        The waiting jobs.

    Examples
    --------
    >>> import numpy as np
    >>> from clustersim.scheduling import JobColumns, Partition, Pooled, Queue, View
    >>> h200 = Partition(0, 0, "h200", "", 0, Pooled(n_nodes=2, chips_per_node=8))
    >>> jobs = JobColumns([8, 12, 4], [[60.0, 300.0, 90.0]], choices=[(0,)], choice_of=[0, 0, 0])
    >>> view = View(Queue([h200], [0], jobs, print, looks_ahead=False), [0, 1, 2])
    >>> view.waiting, view.free
    (array([0, 1, 2]), {'h200': 16})
    >>> view.those_that_fit(view.waiting[np.argsort(view.remaining_s(view.waiting))])
    [0, 2]
    """

    def __init__(self, queue: Queue, waiting: Iterable[int]) -> None:
        self._queue = queue
        self._waiting = waiting

    @property
    def now(self) -> float:
        """Simulated time, seconds."""
        return self._queue.now

    @property
    def waiting(self) -> Ints:
        """The waiting jobs in order of submission."""
        return np.sort(np.fromiter(self._waiting, dtype=np.int64))

    @property
    def running(self) -> Ints:
        """The running jobs that can be preempted, in order of their start.

        All running jobs are those of `running`, `protected` and `leaving` together.
        """
        queue = self._queue
        if queue.protects:
            return np.fromiter(filter(queue.may_preempt, queue.running), dtype=np.int64)
        leaving, running = queue.leaving, queue.running
        return np.fromiter((job for job in running if job not in leaving), dtype=np.int64)

    @property
    def protected(self) -> dict[int, float]:
        """Running jobs that must not be preempted yet, and the time until which, seconds.

        The options ``min_run``, ``most_preemptions`` and ``most_preemptions_per_hour`` protect
        jobs; the time is infinite for a job that is never preempted again.
        """
        queue = self._queue
        return {job: queue.protected_until_s(job) for job in queue.protected()}

    @property
    def active(self) -> Ints:
        """The waiting jobs and those of `running` in order of submission."""
        return np.sort(np.concatenate([self.waiting, self.running]))

    @property
    def leaving(self) -> Mapping[int, float]:
        """Jobs that save their state to leave, and the time at which they leave, seconds."""
        return self._queue.leaving

    @property
    def free(self) -> dict[str, int]:
        """Free accelerators of each partition of the queue."""
        return {part.name: part.placement.free for part in self._partitions}

    @property
    def quotas(self) -> QuotaTable:
        """Quotas, limits and budgets, and how much of them is used."""
        parts = self._queue.shared.get("quotas", ())
        return QuotaTable(tuple(row for rows in parts for row in rows(self.now)))

    @property
    def columns(self) -> Mapping[str, npt.NDArray[np.generic]]:
        """The columns of the jobs table, by job: ``view.columns["priority"][view.waiting]``."""
        return self._queue.jobs.columns

    @property
    def _partitions(self) -> list[Partition]:
        return [self._queue.partitions[index] for index in self._queue.members]

    def n_accelerators(self, jobs: Ints) -> Ints:
        """Return the numbers of accelerators that jobs ask for.

        Examples
        --------
        >>> from clustersim.scheduling import View, example_queue
        >>> view = View(example_queue(), [0, 1])
        >>> view.n_accelerators(view.waiting).tolist()
        [8, 16]
        """
        sizes = self._queue.jobs.n_accelerators
        return np.array([sizes[job] for job in jobs.tolist()], dtype=np.int64)

    def sizes(self, jobs: Ints) -> Ints:
        """Return the numbers of accelerators that running jobs hold and waiting ones ask for.

        Examples
        --------
        >>> from clustersim.scheduling import View, example_queue
        >>> view = View(example_queue(), [0, 1])
        >>> view.sizes(view.waiting).tolist()
        [8, 16]
        """
        if not self._queue.holdings:
            return self.n_accelerators(jobs)
        return np.array([self._queue.size_of(job) for job in jobs.tolist()], dtype=np.int64)

    def column(self, name: str, jobs: Ints, *, default: float | str | None = None) -> Any:
        """Return the values of jobs in a column of the jobs table.

        Parameters
        ----------
        name : str
        jobs : int array
        default : float or str, optional
            Value for all jobs if there is no such column.

        Raises
        ------
        InputError
            If there is no such column, and no default.

        Examples
        --------
        >>> from clustersim.scheduling import View, example_queue
        >>> view = View(example_queue(), [0, 1])
        >>> view.column("user", view.waiting).tolist()
        ['ann', 'bo']
        >>> view.column("priority", view.waiting, default=0).tolist()
        [0, 0]
        """
        if name in self.columns:
            return self.columns[name][jobs]
        hint = nearest_hint(name, self.columns)
        if default is None:
            raise InputError("jobs", f"have no column {name!r}; {hint}")
        note(f"the jobs have no column {name!r}, so the policy takes {default!r}; {hint}")
        return np.full(len(jobs), default)

    def attained_s(self, jobs: Ints) -> Floats:
        """Return how long jobs have run over all their attempts, seconds.

        Examples
        --------
        >>> from clustersim.scheduling import View, example_queue
        >>> view = View(example_queue(), [0, 1])
        >>> view.attained_s(view.waiting).tolist()
        [0.0, 0.0]
        """
        queue, now = self._queue, self.now
        running, before = queue.running, queue.attained_s
        return np.array(
            [
                before.get(job, 0.0) + (now - running[job].start_s if job in running else 0.0)
                for job in jobs.tolist()
            ]
        )

    def usage(self, jobs: Ints, *, by: str = "user", half_life_s: float = float("inf")) -> Floats:
        """Return what the users, teams or accounts of jobs have used, accelerator-seconds.

        It counts all their jobs in the run so far: what ended and stopped attempts held, and what
        running jobs hold since their start. For policies with ``tracks_usage = True``.

        Parameters
        ----------
        jobs : int array
        by : str
            Column of the jobs table: jobs with the same value in it count together.
        half_life_s : float
            Time after which half of what was used counts, seconds; by default all of it counts
            forever.

        Raises
        ------
        ClusterSimError
            If the policy does not have ``tracks_usage = True``.
        InputError
            If there is no such column, or the half-life is negative.

        Examples
        --------
        >>> import numpy as np
        >>> from clustersim.scheduling import Policy, View, example_queue
        >>> class LeastUsed(Policy):
        ...     tracks_usage = True
        >>> policy = LeastUsed(example_queue())
        >>> View(policy.queue, [0, 1]).usage(np.array([0, 1]), by="user").tolist()
        [0.0, 0.0]
        """
        log: UsageLog | None = self._queue.shared.get(USAGE)
        if log is None:
            raise ClusterSimError("view.usage needs `tracks_usage = True` in the class of a policy")
        if by not in self.columns:
            raise InputError("jobs", f"have no column {by!r}; {nearest_hint(by, self.columns)}")
        return log.usage(jobs, by, half_life_s, self.now)

    def remaining_s(self, jobs: Ints) -> Floats:
        """Return the estimated run time that is left, seconds; at least 0.

        That of a waiting job refers to its preferred partition.

        Examples
        --------
        >>> from clustersim.scheduling import View, example_queue
        >>> view = View(example_queue(), [0, 1])
        >>> view.remaining_s(view.waiting).tolist()
        [60.0, 300.0]
        """
        queue, now = self._queue, self.now
        running, estimate_s = queue.running, queue.estimate_s
        left = [
            estimate_s(job)
            if (at := running.get(job)) is None
            else estimate_s(job, at.partition) - (now - at.start_s)
            for job in jobs.tolist()
        ]
        for row, job in enumerate(jobs.tolist()) if queue.holdings else ():
            if job in queue.holdings:
                left[row] = queue.holdings[job].estimate_s - (now - running[job].start_s)
        return np.maximum(np.array(left, dtype=np.float64), 0.0)

    def fits(self, job: int, pool: str | None = None) -> bool:
        """Return whether a waiting job fits now, on one of its pools or on a given one.

        Raises
        ------
        ClusterSimError
            If there is no such pool.

        Examples
        --------
        >>> from clustersim.scheduling import View, example_queue
        >>> queue = example_queue()
        >>> view = View(queue, [0, 1])
        >>> nodes = queue.partitions[0].placement.take(8)
        >>> view.fits(0), view.fits(1)
        (True, False)
        """
        queue = self._queue
        if pool is not None:
            self._check_pool(pool)
        if any(
            queue.fits(job, queue.partitions[index])
            for index in queue.choices(job)
            if pool in (None, queue.partitions[index].name, queue.partitions[index].pool_name)
        ):
            return True
        if pool is not None or queue.jobs.split is None:
            return False
        return fits_across(queue.jobs.n_accelerators[job], queue.offers(job))

    def can_move(self, job: int, *, size: int | None = None, pool: str | None = None) -> bool:
        """Return whether there is room now to resize a running job, or to move it.

        The accelerators that a job gets must be free while it still holds its own: on another pool
        all of them, and on its own pool those beyond what it holds. They must also be together as
        the placement needs them, which the number of free accelerators of a pool does not tell, and
        within limits, quotas, budgets and windows.

        Parameters
        ----------
        job : int
            A running job.
        size : int, optional
            Its new number of accelerators, as for
            :class:`~clustersim.scheduling.decisions.Resize`; by default what it holds.
        pool : str, optional
            The pool on which it would start again, as for
            :class:`~clustersim.scheduling.decisions.Migrate`; by default its own.

        Returns
        -------
        bool
            False if the job does not run, has that already, cannot run so, saves its state or is
            protected, or if it is on several pools and none is named: it cannot be resized there.

        Raises
        ------
        ClusterSimError
            If there is no such pool.

        Examples
        --------
        >>> from clustersim.scheduling import Consolidate, JobColumns, Partition, Queue, View
        >>> fast = Partition(0, 0, "fast", "", 0, Consolidate(n_nodes=2, chips_per_node=8))
        >>> slow = Partition(1, 1, "slow", "", 0, Consolidate(n_nodes=2, chips_per_node=8))
        >>> jobs = JobColumns([8], [[60.0], [90.0]], choices=[(0, 1)], choice_of=[0])
        >>> queue = Queue([fast, slow], [0, 1], jobs, print, looks_ahead=False,
        ...               tracks_running=True)
        >>> fast.placement.take_these([(0, 4), (1, 4)], 8)
        >>> queue.start_taken(0, slow, slow.placement.take(8))  # doctest: +ELLIPSIS
        0 Partition(...
        >>> view = View(queue, [])
        >>> view.free["fast"], view.can_move(0, pool="fast")
        (8, False)
        """
        queue, own = self._queue, self._queue.running.get(job)
        if pool is not None:
            self._check_pool(pool)
        if own is None or not queue.may_preempt(job):
            return False
        n = queue.size_of(job) if size is None else size
        members = [queue.partitions[index] for index in queue.choices(job)]
        named = [part for part in members if pool in (part.name, part.pool_name)]
        target = own.partition if pool is None else next(iter(named), None)
        several = job in queue.holdings and len(queue.holdings[job].parts) > 1
        refused = pool is None if several else target is own.partition and n == queue.size_of(job)
        return target is not None and not refused and room_to_move(queue, job, target, n)

    def those_that_fit(self, order: Iterable[int], *, strict: bool = False) -> list[int]:
        """Return the jobs that could run together if all others gave their accelerators back.

        Each job of `order` in turn gets its accelerators from the first of its partitions that has
        enough that nobody uses, so that no running job is in its way, or else from the first that
        still has enough; a running job only from the one on which it runs. The accelerators of jobs
        that are leaving count as free, so some of the chosen jobs may not fit before these have
        left. Jobs that are protected from preemption keep theirs. A suspended job is chosen if
        nobody before it keeps its own nodes. If the placement tracks nodes, and a chosen job would
        have none, all are chosen on nodes: a job takes idle ones, or those of running jobs after
        it, the last ones first, and is not chosen if these do not suffice. If jobs span pools, a
        waiting job that fits on none gets accelerators of several.

        Parameters
        ----------
        order : iterable of int
            Waiting and running jobs.
        strict : bool
            Whether to end at the first job that does not fit, instead of skipping it.

        Examples
        --------
        >>> from clustersim.scheduling import View, example_queue
        >>> view = View(example_queue(), [0, 1])
        >>> view.those_that_fit([1, 0]), view.those_that_fit([0, 1])
        ([1], [0])
        """
        return those_that_fit(self._queue, order, strict=strict)

    def cost_of_stopping(self, jobs: Ints, how: How = "save") -> tuple[Floats, Floats]:
        """Return what it would cost to stop running jobs now.

        Parameters
        ----------
        jobs : int array
        how : {"save", "requeue", "suspend", "cancel"}
            See :class:`~clustersim.scheduling.decisions.Preempt`.

        Returns
        -------
        lost_s : float64 array
            Work that each job would have to do again, seconds.
        time_s : float64 array
            Time to save its state now and to restart later, seconds.

        Examples
        --------
        >>> from clustersim.scheduling import View, example_queue
        >>> view = View(example_queue(), [0, 1])
        >>> lost_s, time_s = view.cost_of_stopping(view.running, how="requeue")
        >>> lost_s + time_s
        array([], dtype=float64)
        """
        found = [self._queue.cost_of_stopping(job, how) for job in jobs.tolist()]
        lost_s, time_s = np.array(found, dtype=np.float64).reshape(-1, 2).T
        return lost_s, time_s

    def free_by_node(self, pool: str) -> Ints:
        """Return the free accelerators of each node of a partition; 0 where it is out of service.

        A placement that only counts accelerators has no nodes, and gives an empty array.

        Raises
        ------
        ClusterSimError
            If there is no such pool.

        Examples
        --------
        >>> from clustersim.scheduling import Consolidate, JobColumns, Partition, Queue, View
        >>> h200 = Partition(0, 0, "h200", "", 0, Consolidate(n_nodes=2, chips_per_node=8))
        >>> jobs = JobColumns([12], [[60.0]], choices=[(0,)], choice_of=[0])
        >>> queue = Queue([h200], [0], jobs, lambda *started: None, looks_ahead=False)
        >>> queue.start_anywhere(0)
        True
        >>> View(queue, []).free_by_node("h200").tolist()
        [0, 4]
        """
        self._check_pool(pool)
        rooms = [
            np.array(part.placement.free_by_node(), dtype=np.int64)
            for part in self._partitions
            if pool in (part.name, part.pool_name) and isinstance(part.placement, NodePlacement)
        ]
        return np.concatenate(rooms) if rooms else np.zeros(0, dtype=np.int64)

    def _check_pool(self, pool: str) -> None:
        names = dict.fromkeys(
            name for part in self._partitions for name in (part.name, part.pool_name)
        )
        if pool not in names:
            raise ClusterSimError(f"there is no pool {pool!r}; {nearest_hint(pool, names)}")

    def job(self, job: int) -> JobView:
        """Return one job as an object.

        Examples
        --------
        >>> from clustersim.scheduling import View, example_queue
        >>> view = View(example_queue(), [0, 1])
        >>> job = view.job(1)
        >>> job.n_accelerators, job.pools, job.pool, str(job.columns["user"])
        (16, ('h200',), None, 'bo')
        """
        queue = self._queue
        at, own = queue.running.get(job), np.array([job])
        return JobView(
            job=job,
            n_accelerators=queue.jobs.n_accelerators[job],
            size=queue.size_of(job),
            pools=tuple(queue.partitions[index].name for index in queue.choices(job)),
            pool=None if at is None else at.partition.name,
            start_s=float("nan") if at is None else at.start_s,
            attained_s=float(self.attained_s(own)[0]),
            remaining_s=float(self.remaining_s(own)[0]),
            columns={name: values[job] for name, values in self.columns.items()},
        )
