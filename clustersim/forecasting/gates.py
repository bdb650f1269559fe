"""Limits that keep a job out of the queue: tasks of an array, accelerators of a user, other jobs.

A job is submitted to the policy once no limit holds it; it then has the place in the queue that it
would have had. The limits count jobs that are in the queue or run, and admit jobs in the order of
the queue. They hold no job that already runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from clustersim.scheduling.policies import Policy
from clustersim.scheduling.queue import Partition, Queue

__all__ = ["Gates", "Limits", "gated"]


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of a state.

    Attributes
    ----------
    groups : sequence of (str, float)
        Name and size of each limit.
    of_job : mapping of int to list of (int, float)
        Index of the limit, and how much of it the job takes, by job.
    after : mapping of int to set of int
        Jobs that must end before a job, by job.
    running : set of int
        Jobs that run now: they count, but no limit holds them.
    """

    groups: Sequence[tuple[str, float]] = ()
    of_job: Mapping[int, Sequence[tuple[int, float]]] = field(default_factory=dict)
    after: Mapping[int, frozenset[int]] = field(default_factory=dict)
    running: frozenset[int] = frozenset()

    @property
    def hold(self) -> bool:
        """Whether there is any limit."""
        return bool(self.of_job or self.after)


class Gates:
    """The state of the limits during one run.

    Parameters
    ----------
    limits : Limits

    Attributes
    ----------
    admitted_by : dict of int to int
        The job whose end admitted each job that a limit had held.
    """

    def __init__(self, limits: Limits) -> None:
        self.admitted_by: dict[int, int] = {}
        self._limits = limits
        self._taken = [0.0] * len(limits.groups)
        self._ended: set[int] = set()
        self._held: dict[int, Policy] = {}

    def admits(self, job: int, policy: Policy) -> bool:
        """Return whether a job may enter its queue now; otherwise it is kept until it may."""
        if job in self.admitted_by:
            return True
        runs = job in self._limits.running
        if not runs and (job in self._held or not self._fits(job)):
            self._held[job] = policy
            return False
        self._take(job, 1.0)
        return True

    def _fits(self, job: int) -> bool:
        if self._limits.after.get(job, frozenset()) - self._ended:
            return False
        return all(
            self._taken[group] + part <= self._limits.groups[group][1]
            for group, part in self._limits.of_job.get(job, ())
        )

    def _take(self, job: int, sign: float) -> None:
        for group, part in self._limits.of_job.get(job, ()):
            self._taken[group] += sign * part

    def end(self, job: int) -> list[tuple[int, Policy]]:
        """Record that a job ended, and return the jobs that may enter their queues now."""
        self._take(job, -1.0)
        self._ended.add(job)
        free = []
        for other in sorted(self._held):
            if self._fits(other):
                self._take(other, 1.0)
                self.admitted_by[other] = job
                free.append((other, self._held.pop(other)))
        return free


def gated(policy: type[Policy], gates: Gates) -> type[Policy]:
    """Return a policy that asks the gates before it takes a job into its queue.

    Parameters
    ----------
    policy : type of Policy
    gates : Gates
        For one run only.
    """

    class Gated(policy):  # type: ignore[misc, valid-type]
        """The policy behind gates."""

        def __init__(self, queue: Queue) -> None:
            super().__init__(queue)

        def submit(self, job: int) -> None:
            """Take a job into the queue if no limit holds it."""
            if gates.admits(job, self):
                super().submit(job)

        def finish(self, job: int, partition: Partition) -> None:
            """Let the jobs into their queues that waited for the end of this one."""
            super().finish(job, partition)
            for other, its_policy in gates.end(job):
                its_policy.resubmit(other)

    Gated.__name__ = policy.__name__
    return Gated
