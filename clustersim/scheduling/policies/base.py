"""The base class of scheduling policies, including user-defined ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

from clustersim.errors import ClusterSimError, kind_text
from clustersim.scheduling.carry_out import carry_out
from clustersim.scheduling.decisions import Decision
from clustersim.scheduling.queue import JobColumns, Partition, Queue
from clustersim.scheduling.usage_log import USAGE, UsageLog
from clustersim.scheduling.view import View

__all__ = ["JobFits", "Policy"]

JobFits: TypeAlias = Callable[[int, int], bool]
"""Takes a job and a bit mask of closed partitions; returns whether the job fits on one of its other
partitions."""


class Policy:
    """Decides which jobs of a queue start, stop or move.

    A user-defined policy overrides ``decide`` or ``schedule``. Both are called once at every
    instant at which a job ends, a job is submitted, a node changes or the policy asked to be
    called, after all other events of that instant. A job is identified by a number.

    ``decide`` gets a :class:`~clustersim.scheduling.view.View` and returns or yields decisions
    (:mod:`clustersim.scheduling.decisions`), which are checked and carried out one after the other.

    ``schedule`` is for policies that only start jobs. It reads ``self.waiting`` (jobs in order of
    submission) and calls ``self.start(job)``, which returns whether the job started;
    ``self.n_accelerators(job)`` and ``self.estimate_s(job)`` describe it. A policy that stops at
    the first job that does not fit makes all other jobs wait, even jobs that could run in another
    pool.

    An annotated attribute with a value, such as ``weight: float = 1.0``, is an option of the policy
    (:mod:`clustersim.scheduling.options`).

    Attributes
    ----------
    quotas : file, mapping or None
        Quotas of queues, limits and budgets, which every policy honours; see docs/quotas.md.
    queue : Queue
        The partitions and the jobs' columns.
    waiting : dict
        Its keys are the waiting jobs, in order of submission. ``start`` removes a job, so loop
        over a copy: ``for job in list(self.waiting)``.

    Examples
    --------
    Shortest remaining time first:

    >>> import numpy as np
    >>> from clustersim.scheduling import Preempt, Start
    >>> class Srtf(Policy):
    ...     tracks_running = True
    ...     def decide(self, view):
    ...         jobs = view.active
    ...         order = jobs[np.argsort(view.remaining_s(jobs), kind="stable")]
    ...         chosen = view.those_that_fit(order)
    ...         yield from (Preempt(job) for job in view.running if job not in chosen)
    ...         yield from (Start(job) for job in chosen if job in view.waiting and view.fits(job))

    A policy that starts the smallest jobs first, regardless of the order of submission:

    >>> from clustersim import Policy
    >>> class NarrowestFirst(Policy):
    ...     def schedule(self, now):
    ...         for job in sorted(self.waiting, key=self.n_accelerators):
    ...             self.start(job)
    """

    looks_ahead: ClassVar[bool] = False
    """Whether the policy needs ``partition.calendar`` (estimated ends of running jobs)."""
    tracks_running: ClassVar[bool] = False
    """Whether the policy needs to know the running jobs, because it preempts them."""
    tracks_usage: ClassVar[bool] = False
    """Whether the policy asks what users or teams have used (``view.usage``)."""
    spans_pools: ClassVar[bool] = True
    """Whether the policy can start jobs over several pools (``scheduler.span_pools``)."""
    starts_first: ClassVar[bool] = False
    """Whether ``start_first`` is implemented, which hero jobs need."""
    whole_cluster: ClassVar[bool] = False
    """Whether one object decides for all partitions, also for those that have no job in common."""

    divides_quotas: ClassVar[bool] = False
    """Whether the policy itself divides the cluster among the queues of its quotas. For other
    policies, a job of a queue without quota does not enter the queue."""
    quotas: Path | dict[str, Any] | None = None

    def __init__(self, queue: Queue) -> None:
        self.queue = queue
        self.waiting: dict[int, None] = {}
        if self.tracks_usage:
            queue.shared.setdefault(USAGE, UsageLog()).watch(queue)

    @classmethod
    def never_start(cls, jobs: JobColumns, partitions: Sequence[Partition]) -> Mapping[int, str]:
        """Return the jobs that this policy would never start, with the reason.

        They are in no queue, and their outcome is that they can never run.

        Parameters
        ----------
        jobs : JobColumns
            All jobs that the cluster could run.
        partitions : sequence of Partition
            All partitions of the cluster.

        Examples
        --------
        >>> import clustersim as cs
        >>> class AtMost64(cs.Policy):
        ...     @classmethod
        ...     def never_start(cls, jobs, partitions):
        ...         sizes = enumerate(jobs.n_accelerators)
        ...         return {job: "is larger than 64 accelerators" for job, n in sizes if n > 64}
        """
        return {}

    @classmethod
    def smaller_sizes(cls, least: int, asked: int, partition: Partition) -> Sequence[int]:
        """Return the sizes below the one that a job asks for at which it may start on a partition.

        A job that fits only at one of these can run. `least` is the smallest size in its range. By
        default jobs start at no smaller size.

        Examples
        --------
        >>> import clustersim as cs
        >>> class AnySize(cs.Policy):
        ...     @classmethod
        ...     def smaller_sizes(cls, least, asked, partition):
        ...         return range(least, asked)
        """
        return ()

    @classmethod
    def rank_held(cls, jobs: JobColumns, partitions: Sequence[Partition]) -> Sequence[float]:
        """Return the rank of each job among those that limits hold outside the queue.

        When there is room in a limit, the job of the lowest rank is tried first. Empty: jobs are
        tried in order of submission.

        Examples
        --------
        >>> import clustersim as cs
        >>> class NarrowestFirst(cs.Policy):
        ...     @classmethod
        ...     def rank_held(cls, jobs, partitions):
        ...         return jobs.n_accelerators
        """
        return ()

    def decide(self, view: View) -> Iterable[Decision]:
        """Return or yield what is to be done now.

        Examples
        --------
        >>> import clustersim as cs
        >>> from clustersim.scheduling import Start
        >>> class NewestFirst(cs.Policy):
        ...     def decide(self, view):
        ...         return [Start(job) for job in view.those_that_fit(view.waiting[::-1])]
        """
        raise NotImplementedError("decide or schedule")

    def schedule(self, now: float) -> None:
        """Start jobs; `now` is the simulated time in seconds.

        By default it carries out what ``decide`` returns.

        Examples
        --------
        >>> import clustersim as cs
        >>> class ShortestFirst(cs.Policy):
        ...     def schedule(self, now):
        ...         for job in sorted(self.waiting, key=self.estimate_s):
        ...             self.start(job)
        """
        decisions = self.decide(View(self.queue, self.waiting))
        if not isinstance(decisions, Iterable):
            raise ClusterSimError(
                f"policy {type(self).__name__}: decide returned {kind_text(decisions)}; it must "
                "return a list of decisions, which may be empty, or yield them"
            )
        for decision in decisions:
            carry_out(decision, self.queue, self.waiting, type(self).__name__)

    def submit(self, job: int) -> None:
        """Add `job`, which has been submitted.

        Examples
        --------
        >>> import clustersim as cs
        >>> class NewestFirst(cs.Policy):
        ...     def submit(self, job):
        ...         self.waiting = {job: None, **self.waiting}
        """
        self.waiting[job] = None

    def finish(self, job: int, partition: Partition) -> None:
        """React to the end or stop of `job`, which has already released its accelerators.

        Examples
        --------
        >>> import clustersim as cs
        >>> class Counting(cs.Policy):
        ...     ended = 0
        ...     def finish(self, job, partition):
        ...         self.ended += 1
        """

    def resubmit(self, job: int) -> None:
        """Put `job`, which was stopped, back at its place in order of submission.

        Examples
        --------
        >>> import clustersim as cs
        >>> class StoppedJobsLast(cs.Policy):
        ...     def resubmit(self, job):
        ...         self.submit(job)
        """
        self.submit(job)
        if job in self.waiting:
            in_order = sorted(self.waiting)
            self.waiting.clear()
            self.waiting.update(dict.fromkeys(in_order))

    def service_changed(self, partition: Partition) -> None:
        """React to a change in the number of nodes of `partition` that are in service.

        Examples
        --------
        >>> import clustersim as cs
        >>> class Watching(cs.Policy):
        ...     changes = 0
        ...     def service_changed(self, partition):
        ...         self.changes += 1
        """

    def would_start(self, fits: JobFits) -> bool:
        """Return whether any waiting job would start if no job ran and all nodes had returned.

        Nodes that never return are not included. A job that needs them may block the jobs behind it
        forever, in which case a run without a horizon ends. A policy needs to override this method
        only if a job that cannot start can block other jobs.

        Parameters
        ----------
        fits : callable
            Takes a job and a bit mask of closed partitions, and returns whether the job would fit
            on one of its other partitions. If no partition is closed, at least one waiting job
            fits.

        Examples
        --------
        >>> import clustersim as cs
        >>> class Strict(cs.Policy):
        ...     def schedule(self, now):
        ...         for job in list(self.waiting):
        ...             if not self.start(job):
        ...                 return
        ...     def would_start(self, fits):
        ...         first = next(iter(self.waiting))
        ...         return fits(first, 0)
        """
        return True

    def start(self, job: int) -> bool:
        """Start `job` if it fits on one of its partitions; return whether it started.

        Examples
        --------
        >>> from clustersim.scheduling import Policy, example_queue
        >>> policy = Policy(example_queue())
        >>> policy.submit(0)
        >>> policy.submit(1)
        >>> policy.start(0), policy.start(1), list(policy.waiting)
        (True, False, [1])
        """
        if self.queue.start_anywhere(job):
            del self.waiting[job]
            return True
        return False

    def start_first(self, job: int) -> bool:
        """Start a waiting job, for which nodes were drained, ahead of all others, if it fits.

        Return whether it started. A policy that implements it sets ``starts_first``.

        Examples
        --------
        >>> import clustersim as cs
        >>> class ShortestFirst(cs.Policy):
        ...     starts_first = True
        ...     def schedule(self, now):
        ...         for job in sorted(self.waiting, key=self.estimate_s):
        ...             self.start(job)
        ...     def start_first(self, job):
        ...         return self.start(job)
        """
        raise NotImplementedError("start_first")

    def n_accelerators(self, job: int) -> int:
        """Number of accelerators of the job.

        Examples
        --------
        >>> from clustersim.scheduling import Policy, example_queue
        >>> policy = Policy(example_queue())
        >>> policy.n_accelerators(1)
        16
        """
        return self.queue.jobs.n_accelerators[job]

    def estimate_s(self, job: int) -> float:
        """Estimated run time on the job's preferred pool, seconds.

        Examples
        --------
        >>> from clustersim.scheduling import Policy, example_queue
        >>> policy = Policy(example_queue())
        >>> policy.estimate_s(1)
        300.0
        """
        return self.queue.estimate_s(job)
