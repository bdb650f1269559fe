"""What a scheduling policy is; the base class of a user's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, TypeAlias

from clustersim.scheduling.queue import Partition, Queue

__all__ = ["JobFits", "Policy"]

JobFits: TypeAlias = Callable[[int, int], bool]
"""From a job and a bit mask of closed partitions: whether it fits one of its others."""


class Policy:
    """Decides who of the waiting jobs of a queue starts next.

    A policy of one's own overrides ``schedule``: it looks at ``self.waiting`` (jobs
    in order of submission) and calls ``self.start(job)`` for those that are to start.
    It is called once at every instant at which something ended or was submitted,
    after all of that is known.

    Attributes
    ----------
    queue : Queue
        The partitions and the jobs' columns.
    waiting : dict
        Keys are the waiting jobs, in order of submission.

    Examples
    --------
    The narrowest job first, whoever came before:

    >>> class NarrowestFirst(Policy):
    ...     def schedule(self, now):
    ...         for job in sorted(self.waiting, key=self.n_accelerators):
    ...             self.start(job)
    """

    looks_ahead: ClassVar[bool] = False
    """Whether ``partition.calendar`` (estimated ends of running jobs) is kept."""

    def __init__(self, queue: Queue) -> None:
        self.queue = queue
        self.waiting: dict[int, None] = {}

    def schedule(self, now: float) -> None:
        """Start jobs; `now` is the simulated time in seconds."""
        raise NotImplementedError

    def submit(self, job: int) -> None:
        """Note that `job` has been submitted."""
        self.waiting[job] = None

    def finish(self, job: int, partition: Partition) -> None:
        """Note that `job` has ended; its accelerators on `partition` are free again."""

    def resubmit(self, job: int) -> None:
        """Note that `job`, which was stopped, waits again, in its old place in the line."""
        self.submit(job)
        if job in self.waiting:
            self.waiting = dict.fromkeys(sorted(self.waiting))

    def service_changed(self, partition: Partition) -> None:
        """Note that nodes of `partition` were taken out of service, or serve again."""

    def would_start(self, fits: JobFits) -> bool:
        """Tell whether a waiting job would start if nothing ran and all that fit had room.

        It is asked where nodes never come back: a job that needs them may keep others behind it
        for ever, and a run without a horizon then ends.  A policy in which nobody holds others up
        so has nothing to override.

        Parameters
        ----------
        fits : callable
            From a job and a bit mask of closed partitions to whether the job would find room on one
            of its others; at least one waiting job would if none is closed.
        """
        return True

    def start(self, job: int) -> bool:
        """Start `job` where there is room; return whether there was."""
        if self.queue.start_anywhere(job):
            del self.waiting[job]
            return True
        return False

    def n_accelerators(self, job: int) -> int:
        """Size of the job's gang."""
        return self.queue.jobs.n_accelerators[job]

    def estimate_s(self, job: int) -> float:
        """Estimated run time on the pool that the job prefers, seconds."""
        return self.queue.estimate_s(job)
