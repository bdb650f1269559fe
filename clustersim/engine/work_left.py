"""The work that stopped jobs still have to do, and what the scheduler estimates of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

from clustersim.engine.attempts import Attempt, StopCause
from clustersim.engine.recovery import Checkpoints, Progress, Recovery

__all__ = ["WorkLeft"]


class _Left(NamedTuple):
    """What is left of a job: its share, and the seconds on the pool where it ran last."""

    share: float
    pool: int
    whole_s: float
    work_s: float
    restart_s: float | None
    in_memory: bool = False


class _InMemory(NamedTuple):
    """Work of an attempt that no checkpoint contains yet, seconds."""

    attempt: Attempt
    progress: Progress
    unsaved_s: float


class WorkLeft:
    """The work that is left of each job that was stopped.

    Work is kept in seconds on the last pool, so that a job that continues there ends exactly when
    it should, and as a share of the whole job for other pools.

    Parameters
    ----------
    run_s : sequence of sequence of float
        Run time by pool and job, seconds.
    estimate_s : sequence of sequence of float
        Estimated run time by pool and job, seconds; reduced for jobs that were stopped.
    recovery : Recovery, optional

    Attributes
    ----------
    of_jobs : dict of int to object
        What is left of each job that was stopped before.
    """

    def __init__(
        self,
        run_s: Sequence[Sequence[float]],
        estimate_s: Sequence[Sequence[float]],
        recovery: Recovery | None,
    ) -> None:
        self._run_s = run_s
        self._estimate_s = estimate_s
        self._recovery = recovery
        self.of_jobs: dict[int, _Left] = {}
        self._in_memory: dict[int, list[_InMemory]] = {}
        self._whole_estimate_s: dict[int, list[float]] = {}

    def of(self, job: int) -> float:
        """Return the share of a job's work that was left at its last stop; 1 without one."""
        left = self.of_jobs.get(job)
        return 1.0 if left is None else left.share

    def share(self, kept_s: float, attempt: Attempt) -> float:
        """Return the share of a job's work that takes `kept_s` seconds where the attempt runs."""
        return kept_s / attempt.whole_s if attempt.whole_s > 0 else 0.0

    def work_s(self, job: int, pool: int, whole_s: float) -> float:
        """Return the work that is left of a stopped job, seconds.

        Parameters
        ----------
        job, pool : int
        whole_s : float
            Time that the whole job would take, seconds.
        """
        left = self.of_jobs[job]
        same = left.pool == pool and left.whole_s == whole_s
        return left.work_s if same else whole_s * left.share

    def checkpoints(self, job: int, usual: Checkpoints) -> Checkpoints:
        """Return the checkpoints of a stopped job, with the time that its next start takes."""
        restart_s = self.of_jobs[job].restart_s
        return usual if restart_s is None else replace(usual, restart_s=restart_s, load_s=0.0)

    def stopped(
        self, attempt: Attempt, progress: Progress, cause: StopCause, cost_s: float | None
    ) -> None:
        """Note that an attempt was stopped.

        Parameters
        ----------
        attempt : Attempt
        progress : Progress
            How its time was used.
        cause : StopCause
            A suspended job continues without a restart.
        cost_s : float or None
            Time that the next start takes instead of that of a restart, seconds.
        """
        job, pool, kept_s = attempt.job, attempt.partition.pool, progress.kept_s
        share = max(0.0, self.of(job) - self.share(kept_s, attempt))
        work_s = max(0.0, attempt.work_s - kept_s)
        suspended = cause is StopCause.SUSPENDED
        restart_s = 0.0 if suspended and cost_s is None else cost_s
        self.of_jobs[job] = _Left(share, pool, attempt.whole_s, work_s, restart_s, suspended)
        self._estimate_again(job)

    def keep_in_memory(self, attempt: Attempt, progress: Progress, saved_s: float) -> None:
        """Note that a job was suspended whose checkpoints contain `saved_s` of the work it kept."""
        if saved_s > 0:
            self.keep_in_storage(attempt.job)
        if progress.kept_s > saved_s:
            own = _InMemory(attempt, progress, progress.kept_s - saved_s)
            self._in_memory.setdefault(attempt.job, []).append(own)

    def keep_in_storage(self, job: int) -> None:
        """Note that a checkpoint contains all work of a job."""
        if self._in_memory:
            self._in_memory.pop(job, None)

    def unsaved_s(self, job: int) -> float:
        """Return the work of earlier attempts that no checkpoint contains, seconds."""
        return sum(each.unsaved_s for each in self._in_memory.get(job, ()))

    def forget_memory(
        self, job: int, *, saved: bool, note: Callable[[int, Progress, float], None]
    ) -> None:
        """Note that the state which a stopped job had in memory is gone.

        Parameters
        ----------
        job : int
        saved : bool
            Whether the state was saved first; otherwise the work since the last checkpoint is lost.
        note : callable
            Called with the number of each attempt whose work is lost, and what is left of it.
        """
        attempts = self._in_memory.pop(job, [])
        before = self.of_jobs[job]
        share, work_s, restart_s = before.share, before.work_s, before.restart_s
        if before.in_memory:
            restart_s = None
        for attempt, progress, unsaved_s in [] if saved else attempts:
            kept_s = progress.kept_s - unsaved_s
            left = progress._replace(kept_s=kept_s, lost_s=progress.lost_s + unsaved_s)
            note(attempt.number, left, self.share(kept_s, attempt))
            share = min(1.0, share + self.share(unsaved_s, attempt))
            work_s += unsaved_s
        self.of_jobs[job] = _Left(share, before.pool, before.whole_s, work_s, restart_s)
        self._estimate_again(job)

    def _estimate_again(self, job: int) -> None:
        """Reduce the scheduler's estimates to the work that is left, plus the time of a restart."""
        left = self.of_jobs[job]
        whole = self._whole_estimate_s.setdefault(job, [column[job] for column in self._estimate_s])
        recovery = self._recovery
        for pool, (column, seconds) in enumerate(zip(self._estimate_s, whole, strict=True)):
            restart_s = left.restart_s
            if restart_s is None:
                restart_s = 0.0 if recovery is None else recovery.restart_of(job, pool)
            exact = pool == left.pool and seconds == self._run_s[pool][job] == left.whole_s
            rest_s = left.work_s if exact else seconds * left.share
            column[job] = restart_s + rest_s  # type: ignore[index]
