"""A queue of waiting jobs and the partitions of the cluster that it uses."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence, Set
from typing import Any, NamedTuple, Protocol

from clustersim.errors import ClusterSimError
from clustersim.scheduling.across import take_across
from clustersim.scheduling.decisions import How
from clustersim.scheduling.holding import Destination, Holding, Part, job_s
from clustersim.scheduling.job_columns import JobColumns
from clustersim.scheduling.partition import Partition
from clustersim.scheduling.placements import Nodes
from clustersim.scheduling.preemption import Protection
from clustersim.scheduling.room import Room

__all__ = ["JobColumns", "Partition", "PreemptJob", "Queue", "Running", "StartJob", "StoppingCost"]


class Running(NamedTuple):
    """Where a job runs, and since when (seconds)."""

    partition: Partition
    start_s: float


class StoppingCost(NamedTuple):
    """What it would cost to stop a running job, seconds.

    Attributes
    ----------
    lost_s : float
        Work that the job would have to do again.
    time_s : float
        Time to save its state now and to restart later.
    """

    lost_s: float
    time_s: float


class StartJob(Protocol):
    """Called by the scheduler when it starts a job."""

    def __call__(
        self, job: int, partition: Partition, nodes: Nodes, holding: Holding | None = None, /
    ) -> None:
        """Start a job on nodes of a partition, or on what it holds if this is unusual."""


PreemptJob = Callable[[int, How, float | None], None]
"""Called by the scheduler when it stops a job: the job, how, and its cost in seconds."""


class Queue(Room):
    """The interface of a policy to the simulation: partitions, jobs, and a way to start jobs.

    Parameters
    ----------
    partitions : sequence of Partition
        All partitions of the cluster, in order of their index.
    members : sequence of int
        Indices of the partitions on which this queue's jobs can run.
    jobs : JobColumns
        All jobs of the run.
    start : StartJob
        Called for each job that starts.
    looks_ahead : bool
        Whether the policy needs the calendars of estimated ends.
    tracks_running : bool
        Whether the policy needs to know the running jobs.
    preempt : PreemptJob, optional
        Called for each job that is preempted.
    wake : callable, optional
        Called with the time (seconds) at which the policy asks for a pass.
    shared : dict, optional
        See the attribute.
    cost_of_stopping : callable, optional
        Returns what it would cost to stop a running job now.
    protection : Protection, optional
        What protects running jobs from preemption.

    Attributes
    ----------
    now : float
        The simulated time of the scheduling pass, seconds.
    running : dict of int to Running
        The running jobs in order of their start, if they are tracked.
    leaving : dict of int to float
        Running jobs that save their state to leave, and the time at which they leave, seconds.
    attained_s : dict of int to float
        Time that jobs ran before their present attempt, seconds, if running jobs are tracked.
    own_nodes : dict of int to (Partition, Nodes)
        The only accelerators on which some waiting jobs can start: suspended jobs, and jobs that
        run when the simulation begins.
    holdings : dict of int to Holding
        What those running jobs hold that have another size than they ask for, or that are on
        several partitions.
    moves : dict of int to Destination
        Where running jobs go that save their state to start again elsewhere, or at another size.
    shared : dict of str to object
        What the policies of all queues of a run share, such as the usage of users: each policy
        puts it in under its own name.
    when_released : callable or None
        Called with a job and the time at which its attempt began, when it frees its accelerators.

    Examples
    --------
    >>> from clustersim.scheduling import JobColumns, Partition, Pooled, Queue
    >>> h200 = Partition(0, 0, "h200", "", 0, Pooled(n_nodes=2, chips_per_node=8))
    >>> jobs = JobColumns([8, 16], estimate_s=[[60.0, 300.0]], choices=[(0,)], choice_of=[0, 0])
    >>> started = []
    >>> def start(job, partition, nodes):
    ...     started.append((job, partition.name))
    >>> queue = Queue([h200], [0], jobs, start, looks_ahead=False)
    >>> queue.start_anywhere(0), queue.start_anywhere(1)
    (True, False)
    >>> started, queue.free
    ([(0, 'h200')], 8)
    """

    def __init__(
        self,
        partitions: Sequence[Partition],
        members: Sequence[int],
        jobs: JobColumns,
        start: StartJob,
        *,
        looks_ahead: bool,
        tracks_running: bool = False,
        preempt: PreemptJob | None = None,
        wake: Callable[[float], None] | None = None,
        shared: dict[str, Any] | None = None,
        cost_of_stopping: Callable[[int, How], StoppingCost] | None = None,
        protection: Protection | None = None,
    ) -> None:
        super().__init__(partitions, members, jobs)
        self.running: dict[int, Running] = {}
        self.leaving: dict[int, float] = {}
        self.attained_s: dict[int, float] = {}
        self.holdings: dict[int, Holding] = {}
        self.moves: dict[int, Destination] = {}
        self.shared: dict[str, Any] = {} if shared is None else shared
        self.when_released: Callable[[int, float], None] | None = None
        self._start = start
        self._preempt = preempt
        self._wake = wake
        self._cost_of_stopping = cost_of_stopping
        self._protection = protection
        self._looks_ahead = looks_ahead
        self._tracks_running = tracks_running

    def start_anywhere(self, job: int, *, closed: int = 0) -> bool:
        """Start `job` on the first of its partitions where it fits; return whether it started.

        Parameters
        ----------
        job : int
            A waiting job.
        closed : int
            Bit mask of partitions that must not be used.

        Examples
        --------
        >>> from clustersim.scheduling import JobColumns, Partition, Pooled, Queue
        >>> h200 = Partition(0, 0, "h200", "", 0, Pooled(n_nodes=2, chips_per_node=8))
        >>> estimate_s = [[60.0, 300.0]]
        >>> jobs = JobColumns([8, 16], estimate_s, choices=[(0,)], choice_of=[0, 0])
        >>> queue = Queue([h200], [0], jobs, lambda *started: None, looks_ahead=False)
        >>> queue.start_anywhere(0, closed=0b1), queue.start_anywhere(0), queue.free
        (False, True, 8)
        """
        jobs = self.jobs
        n = jobs.n_accelerators[job]
        restricted = self.own_nodes or self.size_limits is not None
        for index in jobs.choices[jobs.choice_of[job]]:
            if closed >> index & 1:
                continue
            partition = self.partitions[index]
            placement = partition.placement
            if n > placement.free:
                continue
            if restricted or partition.windows is not None:
                nodes = self.take(job, partition)
            else:
                nodes = placement.take(n)
            if nodes is not None:
                self.start_taken(job, partition, nodes)
                return True
        return jobs.split is not None and self.start_across(job, closed=closed)

    def start_across(self, job: int, *, closed: int = 0) -> bool:
        """Start `job` on several of its partitions if it fits so; return whether it started.

        Parameters
        ----------
        job : int
            A waiting job.
        closed : int
            Bit mask of partitions that must not be used.

        Examples
        --------
        >>> from clustersim.scheduling import JobColumns, Partition, Pooled, Queue
        >>> h200 = Partition(0, 0, "h200", "", 0, Pooled(n_nodes=2, chips_per_node=8))
        >>> h20 = Partition(1, 1, "h20", "", 0, Pooled(n_nodes=2, chips_per_node=8))
        >>> seconds = [[60.0], [90.0]]
        >>> jobs = JobColumns([24], seconds, choices=[(0, 1)], choice_of=[0], split="equal")
        >>> queue = Queue([h200, h20], [0, 1], jobs, lambda *started: None, looks_ahead=False)
        >>> queue.start_across(0), h200.placement.free, h20.placement.free
        (True, 0, 8)
        """
        if job in self.own_nodes:
            return False
        parts = take_across(self.jobs.n_accelerators[job], self.offers(job, closed=closed))
        if parts:
            self.start_on(job, parts)
        return bool(parts)

    def start_taken(self, job: int, partition: Partition, nodes: Nodes) -> None:
        """Start `job` on accelerators that the placement has allocated.

        Examples
        --------
        >>> from clustersim.scheduling import JobColumns, Partition, Pooled, Queue
        >>> h200 = Partition(0, 0, "h200", "", 0, Pooled(n_nodes=2, chips_per_node=8))
        >>> estimate_s = [[60.0, 300.0]]
        >>> jobs = JobColumns([8, 16], estimate_s, choices=[(0,)], choice_of=[0, 0])
        >>> queue = Queue([h200], [0], jobs, lambda *started: None, looks_ahead=False)
        >>> nodes = h200.placement.take(8)
        >>> queue.start_taken(0, h200, nodes)
        >>> queue.free
        8
        """
        if partition.windows is not None and partition.windows.announced:
            end = self.now + self.jobs.estimate_s[partition.pool][job]
            partition.windows.check(job, nodes, self.now, end)
        if self._looks_ahead:
            jobs = self.jobs
            end = self.now + jobs.estimate_s[partition.pool][job]
            partition.calendar.add(end, job, jobs.n_accelerators[job])
        if self._tracks_running:
            self.running[job] = Running(partition, self.now)
        self._start(job, partition, nodes)

    def start_on(self, job: int, parts: Sequence[Part]) -> None:
        """Start `job` on accelerators that the placements of some partitions have allocated.

        Raises
        ------
        ClusterSimError
            If the job cannot run on so many accelerators.

        Examples
        --------
        >>> from clustersim.scheduling import JobColumns, Partition, Pooled, Queue
        >>> from clustersim.scheduling.holding import Part
        >>> h200 = Partition(0, 0, "h200", "", 0, Pooled(n_nodes=2, chips_per_node=8))
        >>> h20 = Partition(1, 1, "h20", "", 0, Pooled(n_nodes=2, chips_per_node=8))
        >>> seconds = [[60.0], [90.0]]
        >>> jobs = JobColumns([24], seconds, choices=[(0, 1)], choice_of=[0], split="equal")
        >>> queue = Queue([h200, h20], [0, 1], jobs, lambda *started: None, looks_ahead=False)
        >>> queue.start_on(0, [Part(h200, 16, h200.placement.take(16)),
        ...                    Part(h20, 8, h20.placement.take(8))])
        >>> queue.free, queue.holdings[0].estimate_s
        (8, 90.0)
        """
        jobs, first = self.jobs, parts[0]
        if len(parts) == 1 and first.n == jobs.n_accelerators[job]:
            self.start_taken(job, first.partition, first.nodes)
            return
        estimate_s = job_s(jobs, jobs.estimate_s, job, parts)
        if not estimate_s < math.inf:
            raise ClusterSimError(
                f"job {job} (counted from 0) cannot run on {sum(part.n for part in parts):,} "
                "accelerators"
            )
        for part in parts:
            if part.partition.windows is not None:
                part.partition.windows.check(job, part.nodes, self.now, self.now + estimate_s)
        self._begin_on(job, parts, estimate_s)

    def _begin_on(self, job: int, parts: Sequence[Part], estimate_s: float) -> None:
        first = parts[0]
        holding = self.holdings[job] = Holding(tuple(parts), estimate_s)
        if self._looks_ahead:
            for part in parts:
                part.partition.calendar.add(self.now + estimate_s, job, part.n)
        if self._tracks_running:
            self.running[job] = Running(first.partition, self.now)
        self._start(job, first.partition, first.nodes, holding)

    def size_of(self, job: int) -> int:
        """Number of accelerators that a running job holds, or that another one asks for.

        Examples
        --------
        >>> from clustersim.scheduling import JobColumns, Partition, Pooled, Queue
        >>> h200 = Partition(0, 0, "h200", "", 0, Pooled(n_nodes=2, chips_per_node=8))
        >>> jobs = JobColumns([8], [[60.0]], choices=[(0,)], choice_of=[0])
        >>> Queue([h200], [0], jobs, lambda *started: None, looks_ahead=False).size_of(0)
        8
        """
        if self.holdings and (holding := self.holdings.get(job)) is not None:
            return holding.size
        return self.jobs.n_accelerators[job]

    def preempt(self, job: int, how: How = "save", cost_s: float | None = None) -> None:
        """Stop a running job; see :class:`~clustersim.scheduling.decisions.Preempt`.

        Raises
        ------
        ClusterSimError
            If the job does not run, or is leaving already.

        Examples
        --------
        >>> from clustersim.scheduling import JobColumns, Partition, Pooled, Queue
        >>> h200 = Partition(0, 0, "h200", "", 0, Pooled(n_nodes=2, chips_per_node=8))
        >>> jobs = JobColumns([8], [[60.0]], choices=[(0,)], choice_of=[0])
        >>> queue = Queue([h200], [0], jobs, lambda *started: None, looks_ahead=False)
        >>> queue.preempt(0)
        Traceback (most recent call last):
            ...
        clustersim.errors.ClusterSimError: job 0 (counted from 0) cannot be preempted: this queue \
has no simulation
        """
        if self._preempt is None:
            raise ClusterSimError(
                f"job {job} (counted from 0) cannot be preempted: this queue has no simulation"
            )
        if not set(self.choices(job)) <= set(self.members):
            raise ClusterSimError(
                f"job {job} (counted from 0) cannot be preempted: it is in another queue, because "
                "it runs on other pools than the jobs of this one"
            )
        self._preempt(job, how, cost_s)

    def move(self, job: int, partition: Partition, size: int, cost_s: float | None = None) -> bool:
        """Save a running job and start it on another partition, or at another size on its own.

        Parameters
        ----------
        job : int
        partition : Partition
        size : int
        cost_s : float, optional
            See :class:`~clustersim.scheduling.decisions.Preempt`.

        Returns
        -------
        bool
            Whether there is room for it; if not, nothing is done.

        Raises
        ------
        ClusterSimError
            If the job does not run, or is leaving already.

        Examples
        --------
        >>> from clustersim.scheduling import JobColumns, Partition, Pooled, Queue
        >>> h200 = Partition(0, 0, "h200", "", 0, Pooled(n_nodes=2, chips_per_node=8))
        >>> h20 = Partition(1, 1, "h20", "", 0, Pooled(n_nodes=2, chips_per_node=8))
        >>> jobs = JobColumns([8], [[60.0], [90.0]], choices=[(0, 1)], choice_of=[0])
        >>> stopped = []
        >>> queue = Queue([h200, h20], [0, 1], jobs, lambda *started: None, looks_ahead=False,
        ...               tracks_running=True, preempt=lambda *job: stopped.append(job))
        >>> queue.start_anywhere(0), queue.move(0, h20, 24), queue.move(0, h20, 8), stopped
        (True, False, True, [(0, 'save', None)])
        >>> h20.placement.free
        8
        """
        held, own = self.size_of(job), self.running.get(job)
        several = job in self.holdings and len(self.holdings[job].parts) > 1
        stays = own is not None and own.partition is partition and not several
        n_extra = size - held if stays else size
        extra = None
        if not self.allows(job, partition, size):
            return False
        if n_extra > 0:
            nodes = self._take_free(job, partition, n_extra)
            if nodes is None:
                return False
            extra = Part(partition, n_extra, nodes)
        self.moves[job] = Destination(partition, size, extra, stays)
        if self.size_limits is not None and size > held:
            self.size_limits.charge(job, size)
        try:
            self.preempt(job, "save", cost_s)
        except BaseException:
            if (failed := self.moves.pop(job, None)) is not None:
                self._give_up(job, failed)
            raise
        return True

    def give_up_moves(
        self, partition: Partition, nodes: Set[int], *, but: Set[int] = frozenset()
    ) -> None:
        """Free what some nodes hold for jobs, except `but`, that save their state to start there.

        Examples
        --------
        >>> from clustersim.scheduling import Consolidate, JobColumns, Partition, Queue
        >>> from clustersim.scheduling.holding import Destination, Part
        >>> h200 = Partition(0, 0, "h200", "", 0, Consolidate(n_nodes=2, chips_per_node=8))
        >>> jobs = JobColumns([8], [[60.0]], choices=[(0,)], choice_of=[0])
        >>> queue = Queue([h200], [0], jobs, lambda *started: None, looks_ahead=False)
        >>> held = Part(h200, 8, h200.placement.take(8))
        >>> queue.moves[0] = Destination(h200, 8, held, stays=False)
        >>> queue.give_up_moves(h200, {0})
        >>> queue.moves, queue.free
        ({}, 16)
        """
        for job, move in list(self.moves.items()):
            extra = move.extra
            if move.partition is not partition or extra is None or job in but:
                continue
            if any(node in nodes for node, _ in extra.nodes):
                self._give_up(job, self.moves.pop(job))

    def arrive(self, job: int, move: Destination) -> bool:
        """Start a job again that has saved its state and left its accelerators.

        Return whether it started: not if a window that was announced meanwhile closes its nodes.

        Examples
        --------
        >>> from clustersim.scheduling import JobColumns, Partition, Pooled, Queue
        >>> from clustersim.scheduling.holding import Destination, Part
        >>> h200 = Partition(0, 0, "h200", "", 0, Pooled(n_nodes=2, chips_per_node=8))
        >>> jobs = JobColumns([8], [[60.0]], choices=[(0,)], choice_of=[0])
        >>> queue = Queue([h200], [0], jobs, lambda *started: None, looks_ahead=False)
        >>> queue.arrive(0, Destination(h200, 8, Part(h200, 8, ()), stays=False)), queue.free
        (True, 8)
        """
        partition, size = move.partition, move.size
        nodes = self._take_free(job, partition, size) if move.stays else None
        if nodes is None:
            nodes = move.nodes()
            open_nodes = self._open_at_size(job, partition, size)
            if open_nodes is not None and not all(open_nodes[node] for node, _ in nodes):
                return False
            partition.placement.take_these(nodes, size)
        part = Part(partition, size, nodes)
        self._begin_on(job, [part], job_s(self.jobs, self.jobs.estimate_s, job, [part]))
        return True

    def _give_up(self, job: int, move: Destination) -> None:
        """Free what is held for a running job, and charge it no longer."""
        self._give_extra(move)
        if self.size_limits is not None:
            self.size_limits.charge(job, self.size_of(job))

    def _give_extra(self, move: Destination) -> None:
        if move.extra is not None:
            move.partition.placement.give(move.extra.nodes, move.extra.n)

    def protected_until_s(self, job: int) -> float:
        """Return the time until which a running job must not be preempted, seconds.

        It is not later than now if the job may be preempted, and infinite if it never may.

        Examples
        --------
        >>> from clustersim.scheduling import JobColumns, Partition, Pooled, Queue
        >>> h200 = Partition(0, 0, "h200", "", 0, Pooled(n_nodes=2, chips_per_node=8))
        >>> jobs = JobColumns([8], [[60.0]], choices=[(0,)], choice_of=[0])
        >>> queue = Queue([h200], [0], jobs, lambda *started: None, looks_ahead=False)
        >>> queue.protected_until_s(0)
        0.0
        """
        protection = self._protection
        if protection is None or not protection.protects or job not in self.running:
            return self.now
        return protection.ends_s(job, self.running[job].start_s, self.now)

    @property
    def protects(self) -> bool:
        """Whether running jobs may be protected from preemption."""
        return self._protection is not None and self._protection.protects

    @property
    def most_victims(self) -> float:
        """Number of jobs that may still be preempted now; infinite without a limit."""
        return math.inf if self._protection is None else self._protection.left_in_hour(self.now)

    def may_preempt(self, job: int) -> bool:
        """Return whether a running job can be preempted now: it neither leaves nor is protected.

        Examples
        --------
        >>> from clustersim.scheduling import JobColumns, Partition, Pooled, Queue
        >>> h200 = Partition(0, 0, "h200", "", 0, Pooled(n_nodes=2, chips_per_node=8))
        >>> jobs = JobColumns([8], [[60.0]], choices=[(0,)], choice_of=[0])
        >>> queue = Queue([h200], [0], jobs, lambda *started: None, looks_ahead=False)
        >>> queue.start_anywhere(0), queue.may_preempt(0)  # it does not track running jobs
        (True, False)
        """
        if job not in self.running or job in self.leaving:
            return False
        return not self.protects or self.protected_until_s(job) <= self.now

    def protected(self) -> list[int]:
        """Return the running jobs that neither leave nor can be preempted now.

        Examples
        --------
        >>> from clustersim.scheduling import JobColumns, Partition, Pooled, Queue
        >>> h200 = Partition(0, 0, "h200", "", 0, Pooled(n_nodes=2, chips_per_node=8))
        >>> jobs = JobColumns([8], [[60.0]], choices=[(0,)], choice_of=[0])
        >>> Queue([h200], [0], jobs, lambda *started: None, looks_ahead=False).protected()
        []
        """
        if not self.protects:
            return []
        return [job for job in self.running if not (job in self.leaving or self.may_preempt(job))]

    def cost_of_stopping(self, job: int, how: How = "save") -> StoppingCost:
        """Return what it would cost to stop a running job now.

        Examples
        --------
        >>> from clustersim.scheduling import JobColumns, Partition, Pooled, Queue
        >>> h200 = Partition(0, 0, "h200", "", 0, Pooled(n_nodes=2, chips_per_node=8))
        >>> jobs = JobColumns([8], [[60.0]], choices=[(0,)], choice_of=[0])
        >>> queue = Queue([h200], [0], jobs, lambda *started: None, looks_ahead=False)
        >>> queue.cost_of_stopping(0)
        StoppingCost(lost_s=0.0, time_s=0.0)
        """
        if self._cost_of_stopping is None or job not in self.running:
            return StoppingCost(0.0, 0.0)
        return self._cost_of_stopping(job, how)

    def wake_at(self, time: float) -> None:
        """Ask for a scheduling pass at a time (seconds) later than now.

        Only the last request since the present pass began holds.

        Examples
        --------
        >>> from clustersim.scheduling import JobColumns, Partition, Pooled, Queue
        >>> h200 = Partition(0, 0, "h200", "", 0, Pooled(n_nodes=2, chips_per_node=8))
        >>> jobs, times = JobColumns([8], [[60.0]], choices=[(0,)], choice_of=[0]), []
        >>> queue = Queue([h200], [0], jobs, print, looks_ahead=False, wake=times.append)
        >>> queue.wake_at(360.0)
        >>> times
        [360.0]
        """
        if not self.now < time < math.inf:
            raise ClusterSimError(
                f"a pass was asked for at {time} s, which is not after now ({self.now} s), or not "
                "finite"
            )
        if self._wake is not None:
            self._wake(time)

    def release(self, job: int, partition: Partition, started: float) -> None:
        """Free the accelerators of `job`, which started at `started` and ends now.

        Examples
        --------
        >>> from clustersim.scheduling import JobColumns, Partition, Pooled, Queue
        >>> h200 = Partition(0, 0, "h200", "", 0, Pooled(n_nodes=2, chips_per_node=8))
        >>> estimate_s = [[60.0, 300.0]]
        >>> jobs = JobColumns([8, 16], estimate_s, choices=[(0,)], choice_of=[0, 0])
        >>> queue = Queue([h200], [0], jobs, lambda *started: None, looks_ahead=False)
        >>> queue.start_anywhere(0)
        True
        >>> queue.release(0, h200, started=0.0)
        >>> queue.free
        16
        """
        jobs = self.jobs
        n = jobs.n_accelerators[job]
        if self.when_released is not None:
            self.when_released(job, started)
        if self._tracks_running:
            del self.running[job]
            self.leaving.pop(job, None)
            self.attained_s[job] = self.attained_s.get(job, 0.0) + self.now - started
        if self.moves and (move := self.moves.get(job)) is not None:
            self._give_extra(move)
            if move.stays:
                move.own = partition.nodes_of.get(job, ())
        if self.holdings and (holding := self.holdings.pop(job, None)) is not None:
            for part in holding.parts:
                if self._looks_ahead:
                    part.partition.calendar.remove(started + holding.estimate_s, job, part.n)
                part.partition.placement.give(part.partition.forget(job), part.n)
            return
        if self._looks_ahead:
            partition.calendar.remove(started + jobs.estimate_s[partition.pool][job], job, n)
        partition.placement.give(partition.forget(job), n)
