"""Limits that keep a job out of the queue: tasks of an array, accelerators of a user, other jobs.

A job is submitted to the policy once no limit holds it; it then has the place in the queue that it
would have had. The limits count jobs that are in the queue or run, and admit jobs in the order of
the queue. They hold no job that already runs.
"""

from __future__ import annotations

import heapq
from bisect import insort
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

__all__ = ["Gates", "Limits"]

_NONE: frozenset[int] = frozenset()


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
    after_ok : mapping of int to set of int
        Jobs that must be done before a job, by job; it never runs if one of them is cancelled.
    not_before_s : mapping of int to float
        Time before which a job does not enter its queue, seconds, by job.
    running : set of int
        Jobs that run now: they count, but no limit holds them.
    """

    groups: Sequence[tuple[str, float]] = ()
    of_job: Mapping[int, Sequence[tuple[int, float]]] = field(default_factory=dict)
    after: Mapping[int, frozenset[int]] = field(default_factory=dict)
    after_ok: Mapping[int, frozenset[int]] = field(default_factory=dict)
    not_before_s: Mapping[int, float] = field(default_factory=dict)
    running: frozenset[int] = frozenset()

    @property
    def hold(self) -> bool:
        """Whether there is any limit."""
        return bool(self.of_job or self.after or self.after_ok or self.not_before_s)


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
        self._done: set[int] = set()
        self._held: set[int] = set()
        self._held_by: list[list[int]] = [[] for _ in limits.groups]
        self._followers: dict[int, list[int]] = {}
        for waits in (limits.after, limits.after_ok):
            for job, others in waits.items():
                for other in others:
                    self._followers.setdefault(other, []).append(job)

    def admits(self, job: int, now: float) -> bool:
        """Return whether a job may enter its queue now; otherwise it is held until it may.

        A job that comes before its time is asked for again at its time.
        """
        if job not in self._limits.running and not self._fits(job, now):
            if now >= self.opens_s(job):
                self._held.add(job)
                for group, _ in self._limits.of_job.get(job, ()):
                    insort(self._held_by[group], job)
            return False
        self._take(job, 1.0)
        return True

    def opens_s(self, job: int) -> float:
        """Return the time before which a job does not enter its queue, seconds; 0 for none."""
        return self._limits.not_before_s.get(job, 0.0)

    def _fits(self, job: int, now: float) -> bool:
        limits = self._limits
        if limits.after.get(job, _NONE) - self._ended or now < self.opens_s(job):
            return False
        if limits.after_ok.get(job, _NONE) - self._done:
            return False
        return all(
            self._taken[group] + part <= self._limits.groups[group][1]
            for group, part in self._limits.of_job.get(job, ())
        )

    def _take(self, job: int, sign: float) -> None:
        for group, part in self._limits.of_job.get(job, ()):
            self._taken[group] += sign * part

    def end(self, job: int, now: float, *, done: bool) -> list[int]:
        """Record that a job ended, and return the jobs that may enter their queues now.

        Parameters
        ----------
        job : int
        now : float
            Seconds.
        done : bool
            Whether the job is done; otherwise it was cancelled.
        """
        self._take(job, -1.0)
        self._ended.add(job)
        if done:
            self._done.add(job)
        free: list[int] = []
        for other in self._may_be_free(job):
            if other in self._held and self._fits(other, now):
                self._take(other, 1.0)
                self._held.remove(other)
                for group, _ in self._limits.of_job.get(other, ()):
                    self._held_by[group].remove(other)
                self.admitted_by[other] = job
                free.append(other)
        return free

    def _may_be_free(self, ended: int) -> Iterator[int]:
        """Yield the jobs that the end of a job may let in, in order of submission.

        The jobs that a limit holds are not looked at once nothing of it is left.
        """
        lines = [self._held_in(group) for group, _ in self._limits.of_job.get(ended, ())]
        yield from heapq.merge(sorted(self._followers.get(ended, ())), *lines)

    def _held_in(self, group: int) -> Iterator[int]:
        """Yield the jobs that a limit holds, as long as something of it is left."""
        for job in list(self._held_by[group]):
            if self._taken[group] >= self._limits.groups[group][1]:
                return
            yield job
