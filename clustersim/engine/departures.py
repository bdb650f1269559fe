"""Jobs that policies stop: the notice they get, the state they save, and when they leave."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from simpy.events import Event

from clustersim.engine.attempts import Attempt, StopCause
from clustersim.engine.clock import NODE_EVENT, Clock
from clustersim.engine.recovery import Progress, Recovery
from clustersim.errors import ClusterSimError
from clustersim.scheduling.decisions import How
from clustersim.scheduling.placements import Nodes
from clustersim.scheduling.preemption import Protection
from clustersim.scheduling.queue import Partition, Queue, StoppingCost

__all__ = ["MOST_FRUITLESS_STOPS", "STOPS", "Departures", "SharedSaves", "StopAttempt"]

STOPS: dict[How, StopCause] = {
    "save": StopCause.SAVED,
    "requeue": StopCause.REQUEUED,
    "suspend": StopCause.SUSPENDED,
    "cancel": StopCause.CANCELLED,
}
"""Cause of a stop for each way to preempt a job."""
MOST_FRUITLESS_STOPS = 20_000
"""Largest number of preemptions in a row, in a whole run, of jobs that kept no work."""

StopAttempt = Callable[[Attempt, bool, StopCause, float | None], Progress]
"""Stops an attempt now: whether its work is kept, the cause, and the cost of the next start."""


class SharedSaves(Protocol):
    """Storage that jobs share, to which they save their state before they leave."""

    def saves(self, job: int) -> bool:
        """Return whether a job saves its state there."""

    def expected_s(self, job: int) -> float:
        """Return how long a running job would take to save its state from now on, seconds."""

    def is_saved(self, job: int) -> bool:
        """Return whether a job that saves its state has saved all of it, but for rounding."""

    def save(self, job: int, saved: Callable[[], None], expected: Callable[[float], None]) -> None:
        """Save the state of a job that stands still from now on.

        `saved` is called when this is done, `expected` with the time (seconds) at which it will be
        done at the present rate, whenever this changes.
        """


@dataclass(slots=True)
class _Notice:
    """The notice of a job that leaves, and the events that follow from it."""

    attempt: Attempt
    how: How
    cost_s: float | None
    at_s: float
    save_s: float
    cause: StopCause
    grace_s: float | None = None
    events: list[Event] = field(default_factory=list)


class Departures:
    """Stops running jobs on behalf of policies.

    Parameters
    ----------
    clock : Clock
    running : mapping of int to Attempt
        The running jobs; the caller keeps it up to date.
    queue_of : callable
        Returns the queue of a job.
    stop : StopAttempt
    after : callable
        Called after a job has left or lost its protection, with the job (None for all jobs) and
        whether a pass is needed.
    n_ended : callable
        Returns the number of jobs that have ended.
    unsaved_s : callable
        Returns the work of a job's earlier attempts that no checkpoint contains, seconds.
    recovery : Recovery, optional
        How jobs save their state and restart.
    protection : Protection, optional
        What protects running jobs.

    Attributes
    ----------
    notices : dict of int to object
        The jobs that leave.
    storage : SharedSaves or None
        Where jobs save their state, if they share the storage; None by default.
    """

    def __init__(
        self,
        clock: Clock,
        running: Mapping[int, Attempt],
        queue_of: Callable[[int], Queue],
        stop: StopAttempt,
        after: Callable[[int | None, bool], None],
        n_ended: Callable[[], int],
        unsaved_s: Callable[[int], float],
        *,
        recovery: Recovery | None,
        protection: Protection | None,
    ) -> None:
        self._clock = clock
        self._running = running
        self._queue_of = queue_of
        self._stop = stop
        self._after = after
        self._n_ended = n_ended
        self._unsaved_s = unsaved_s
        self._recovery = recovery
        self._protection = protection
        self.notices: dict[int, _Notice] = {}
        self.storage: SharedSaves | None = None
        self._fruitless = 0
        self._n_ended_then = 0

    # --- Called by queues -----------------------------------------------------------------

    def preempt(self, job: int, how: How, cost_s: float | None = None) -> None:
        """Stop a running job on behalf of a policy, during a scheduling pass.

        Parameters
        ----------
        job : int
        how : {"save", "requeue", "suspend", "cancel"}
            See :class:`~clustersim.scheduling.decisions.Preempt`.
        cost_s : float, optional
            Time that the job needs when it starts again, seconds, instead of the times of its
            checkpoints and restarts.

        Raises
        ------
        ClusterSimError
            If the job is not running, leaves already or is protected, or an argument is not
            allowed.
        """
        attempt = self._checked(job, how, cost_s)
        protection, now = self._protection, self._clock.now
        if protection is not None:
            protection.note(job, now)
            if protection.most_per_hour and (opens_s := protection.hour_ends_s(now)) > now:
                self._clock.at(opens_s, NODE_EVENT).callbacks.append(
                    lambda _: self._after(None, True)
                )
        grace_s = None if protection is None else protection.grace_s
        save_s = _save_s(attempt) if how == "save" and cost_s is None else 0.0
        if save_s > 0 or grace_s:
            notice = _Notice(attempt, how, cost_s, now, save_s, STOPS[how], grace_s)
            self.notices[job] = notice
            self._plan(notice)
        else:
            self._leave(attempt, how, STOPS[how], cost_s)
            self._after(job, False)

    def save_and_leave(self, job: int, cause: StopCause) -> None:
        """Let a running job save its state on shared storage from now on, and then leave.

        A job that saves its state already goes on to do so. One that will be done before it could
        have saved its state leaves when it is done.
        """
        attempt, notice = self._running[job], self.notices.get(job)
        if attempt.stands_still:
            return
        if notice is not None:
            self._cancel(notice)
        notice = _Notice(attempt, "save", None, self._clock.now, _save_s(attempt), cause)
        self.notices[job] = notice
        self._plan(notice)

    def cost_of_stopping(self, job: int, how: How) -> StoppingCost:
        """Return the work that a running job would lose, and the time that it would take."""
        attempt = self._running[job]
        if how == "cancel":
            kept = attempt.progress(self._clock.now, saved=True)
            return StoppingCost(kept.kept_s, 0.0)
        progress = attempt.progress(self._clock.now, saved=how != "requeue")
        lost_s = progress.lost_s
        if how == "requeue" and progress.kept_s <= 0:
            lost_s += self._unsaved_s(job)
        restart_s = 0.0
        if self._recovery is not None and how != "suspend":
            restart_s = self._recovery.restart_of(job, attempt.partition.pool)
        return StoppingCost(lost_s, restart_s + (_save_s(attempt) if how == "save" else 0.0))

    def _checked(self, job: int, how: How, cost_s: float | None) -> Attempt:
        """Return the attempt of a job that can be preempted."""
        attempt = self._running.get(job)
        problem = ""
        if attempt is None:
            problem = "cannot be preempted: it is not running"
        elif how not in STOPS:
            problem = f"cannot be preempted by {how!r}"
        elif cost_s is not None and not 0.0 <= cost_s < float("inf"):
            raise ClusterSimError(f"the preemption of job {job} (counted from 0) costs {cost_s} s")
        elif job in self._queue_of(job).leaving:
            problem = "cannot be preempted: it leaves already"
        elif self._protection is not None and self._protection.protects:
            until_s = self._protection.ends_s(job, attempt.began_s, self._clock.now)
            if until_s > self._clock.now:
                when = "for ever" if until_s == float("inf") else f"until {until_s:g} s"
                why = "options min_run, most_preemptions, most_preemptions_per_hour"
                if job in self._protection.never:
                    why = "it is a hero job"
                problem = (
                    f"cannot be preempted: it is protected {when} ({why}; view.running leaves it "
                    "out)"
                )
        if attempt is None or problem:
            raise ClusterSimError(f"job {job} (counted from 0) {problem}")
        return attempt

    # --- Called by the engine -------------------------------------------------------------

    def started(self, job: int, partition: Partition, nodes: Nodes) -> None:
        """Ask for a pass when a job that starts may be preempted (as a watcher of the engine)."""
        assert self._protection is not None
        attempt = self._running[job]

        def unprotected(_event: Event) -> None:
            if self._running.get(job) is attempt:
                self._after(job, True)

        ends_s = attempt.began_s + self._protection.min_run_s
        self._clock.at(ends_s, NODE_EVENT).callbacks.append(unprotected)

    def left(self, job: int, partition: Partition, nodes: Nodes) -> None:
        """Do nothing (as a watcher of the engine)."""

    def gone(self, job: int) -> None:
        """Forget a job that has left, whatever the reason."""
        if (notice := self.notices.pop(job, None)) is not None:
            self._cancel(notice)
            if self.storage is not None:  # queues that never preempt do not forget it themselves
                self._queue_of(job).leaving.pop(job, None)

    def rerated(self, job: int) -> None:
        """Plan the departure of a job again, because its pace has changed."""
        if (notice := self.notices.get(job)) is not None:
            self._cancel(notice)
            self._plan(notice)

    # --- Internals ------------------------------------------------------------------------

    def _plan(self, notice: _Notice) -> None:
        """Schedule when a job that works begins to save its state, and when it leaves.

        A job that is done by then is left alone.
        """
        attempt, now = notice.attempt, self._clock.now
        how, cause, save_s, grace_s = notice.how, notice.cause, notice.save_s, notice.grace_s
        storage = self.storage if save_s > 0 else None
        if storage is not None and storage.saves(attempt.job):
            save_s = storage.expected_s(attempt.job)
        else:
            storage = None
        if grace_s is None:
            leaves_s = now + save_s
        else:
            leaves_s = notice.at_s + grace_s
            if save_s > leaves_s - now:
                how, cause, save_s = "requeue", StopCause.REQUEUED, 0.0
        leaving = self._queue_of(attempt.job).leaving
        if attempt.end_s <= leaves_s:  # it is done before it leaves
            leaving[attempt.job] = attempt.end_s
            return
        leaving[attempt.job] = leaves_s
        if save_s > 0:
            self._at(
                notice, max(now, leaves_s - save_s), lambda: self._begin_to_save(notice, storage)
            )
        if storage is None or save_s == 0.0:
            self._at(notice, leaves_s, lambda: self._depart(notice, how, cause))
        elif grace_s is not None:
            self._at(notice, leaves_s, lambda: self._run_out(notice, storage))

    def _at(self, notice: _Notice, time: float, do: Callable[[], None]) -> None:
        if time <= self._clock.now:
            do()
            return
        event = self._clock.at(time, NODE_EVENT)
        event.callbacks.append(lambda _: do())
        notice.events.append(event)

    def _begin_to_save(self, notice: _Notice, storage: SharedSaves | None) -> None:
        """Let a job stand still from now on."""
        attempt = notice.attempt
        self._clock.cancel(attempt.end)
        attempt.stand_still(self._clock.now)
        if storage is not None:
            leaving = self._queue_of(attempt.job).leaving

            def saved() -> None:
                self._cancel(notice)
                self._depart(notice, notice.how, notice.cause)

            def expected(time: float) -> None:
                leaving[attempt.job] = time

            storage.save(attempt.job, saved, expected)

    def _run_out(self, notice: _Notice, storage: SharedSaves) -> None:
        """Stop a job whose notice has run out; what it has not saved by then is lost."""
        if storage.is_saved(notice.attempt.job):
            self._depart(notice, notice.how, notice.cause)
        else:
            self._depart(notice, "requeue", StopCause.REQUEUED)

    def _depart(self, notice: _Notice, how: How, cause: StopCause) -> None:
        """Stop a job whose notice has run out."""
        self._leave(notice.attempt, how, cause, notice.cost_s)
        self._after(notice.attempt.job, True)

    def _leave(self, attempt: Attempt, how: How, cause: StopCause, cost_s: float | None) -> None:
        """Stop a job now."""
        job, queue = attempt.job, self._queue_of(attempt.job)
        if how == "suspend":
            queue.own_nodes[job] = attempt.partition, attempt.partition.nodes_of.get(job, ())
        progress = self._stop(attempt, how in ("save", "suspend"), cause, cost_s)
        if cause is not StopCause.CANCELLED:
            self._count(progress, attempt)

    def _count(self, progress: Progress, attempt: Attempt) -> None:
        """Raise an error if one job after the other is preempted before it keeps any work."""
        if progress.kept_s > 0 or self._n_ended() != self._n_ended_then:
            self._fruitless, self._n_ended_then = 0, self._n_ended()
        if progress.kept_s <= 0 and self._clock.now > attempt.began_s:
            self._fruitless += 1
        if self._fruitless > MOST_FRUITLESS_STOPS:
            raise ClusterSimError(
                f"no job makes progress: the last {MOST_FRUITLESS_STOPS:,} preemptions stopped "
                "jobs before they kept any work, and no job ended meanwhile; a restart takes as "
                "long as jobs run between preemptions, or their work is lost each time. Preempt "
                "less often, at a lower cost, or with checkpoints"
            )

    def _cancel(self, notice: _Notice) -> None:
        for event in notice.events:
            if event.callbacks is not None:
                self._clock.cancel(event)
        notice.events.clear()


def _save_s(attempt: Attempt) -> float:
    """Return the time that a job needs to save its state, seconds."""
    return attempt.checkpoints.cost_s + attempt.checkpoints.write_s
