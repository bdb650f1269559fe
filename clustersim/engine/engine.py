"""The simulation of jobs from their submission to their end, including stops and restarts.

Every start of a job begins an attempt, whose completion is an event on the SimPy clock. At one
instant, all completions happen first, then node events, then all submissions, then exactly one
scheduling pass over the queues that these events changed.

The engine does not depend on the reason why a job is stopped or slowed. Any caller can use
:meth:`Simulation.stop` and :meth:`Simulation.rerate`, as
:class:`~clustersim.engine.node_driver.NodeDriver` does for node events. Policies preempt jobs
through their queue, which calls :class:`~clustersim.engine.departures.Departures`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence, Set
from functools import partial
from typing import Any, Protocol

import numpy as np
from simpy.core import StopSimulation
from simpy.events import Event

from clustersim.engine.allocation_log import AllocationLog
from clustersim.engine.attempts import Attempt, AttemptLog, SlowedBy, StopCause
from clustersim.engine.clock import COMPLETION, HORIZON, NODE_EVENT, SCHEDULING, SUBMISSION, Clock
from clustersim.engine.departures import Departures, SharedSaves
from clustersim.engine.ending import Ending
from clustersim.engine.gates import Gates
from clustersim.engine.record import RunRecord
from clustersim.engine.recovery import NO_CHECKPOINTS, Progress, Recovery
from clustersim.engine.size_charges import SizeCharges
from clustersim.engine.wakes import Wakes
from clustersim.engine.work_left import WorkLeft
from clustersim.errors import ClusterSimError
from clustersim.interrupts import stopping
from clustersim.scheduling.holding import Holding, job_s
from clustersim.scheduling.placements import Nodes
from clustersim.scheduling.plugins import interrupts_itself
from clustersim.scheduling.policies import Policy
from clustersim.scheduling.preemption import Protection
from clustersim.scheduling.queue import JobColumns, Partition, Queue

__all__ = ["Simulation", "Watcher"]

_REPORT_EVERY = 1024


class Watcher(Protocol):
    """An observer that is notified when a job starts on its nodes or leaves them."""

    def started(self, job: int, partition: Partition, nodes: Nodes) -> None:
        """React to the start of a job; the observer may rerate the job immediately."""

    def left(self, job: int, partition: Partition, nodes: Nodes) -> None:
        """React to the end or stop of a job, which has not released its nodes yet."""


class Simulation:
    """One run, in which jobs pass through the queues of a cluster.

    Parameters
    ----------
    submit_s : sequence of float
        Submission times in ascending order.
    run_s : sequence of sequence of float
        Run time by pool and job, seconds.
    jobs : JobColumns
        Properties of the jobs that the scheduler uses.
    partitions : sequence of Partition
        The cluster's partitions, without running jobs.
    policy : type of Policy
        Instantiated once for each queue. Partitions have separate queues if no job can run on both,
        unless the policy decides for the whole cluster.
    recovery : Recovery, optional
        How jobs save their state and restart after they are stopped. By default they save nothing
        and restart from the beginning without a delay.
    horizon_s : float, optional
        Time at which the simulation stops. By default it stops when no job runs and no future
        event can start a job.
    gates : Gates, optional
        What holds jobs outside their queues, such as dependencies on other jobs.
    own_nodes : mapping of int to (int, Nodes), optional
        The only accelerators on which jobs can start, by job: the index of the partition and the
        chips of its nodes. For jobs that run when the simulation begins.
    heroes : set of int
        Jobs that no policy may preempt.
    by_node : bool
        Whether to record on which nodes each job ran.
    check : callable, optional
        Called with the simulation after every scheduling pass (debug runs).
    progress : callable, optional
        Called regularly with the number of jobs that have ended and the total number of jobs.

    Attributes
    ----------
    clock : Clock
        The SimPy environment; callers may add events and processes.
    running : dict of int to Attempt
        The running jobs, in order of their start.
    partition_of : list of int
        Partition of each job that runs or has ended, -1 for others.
    shared : dict of str to object
        What all queues share, see :class:`~clustersim.scheduling.queue.Queue`.
    """

    def __init__(
        self,
        submit_s: Sequence[float],
        run_s: Sequence[Sequence[float]],
        jobs: JobColumns,
        partitions: Sequence[Partition],
        policy: type[Policy],
        *,
        recovery: Recovery | None = None,
        horizon_s: float | None = None,
        gates: Gates | None = None,
        own_nodes: Mapping[int, tuple[int, Nodes]] | None = None,
        heroes: frozenset[int] = frozenset(),
        by_node: bool = True,
        check: Callable[[Simulation], None] | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        self.clock = Clock()
        self.partitions = partitions
        self.jobs = jobs
        self.passes = 0
        self.shared: dict[str, Any] = {}
        self.running: dict[int, Attempt] = {}
        self.partition_of = [-1] * len(submit_s)
        self.horizon_s = horizon_s
        self._n_ended = 0
        self._all_submitted = False
        self._log = AttemptLog()
        self._allocated = AllocationLog()
        self._watchers: list[Watcher] = []
        self._recovery = recovery
        self._left = WorkLeft(run_s, jobs.estimate_s, recovery)
        self._stopped = self._left.of_jobs
        self._gates = gates
        self._n_opening = 0
        self._wakes = Wakes(self.clock, self._call, self._moves)
        self._asked = self._wakes.events
        self._n_calls = 0
        self._before_pass: list[Callable[[], None]] = []
        self._after_pass: list[Callable[[], None]] = []
        self._awaited: list[Callable[[], bool]] = []
        self._submit_s = submit_s
        self._run_s = run_s
        self._by_node = by_node
        self._check = check
        self._observed = check is not None
        self._progress = progress
        self._pass_is_due = False
        self._touched: list[Policy] = []
        self._policy = policy
        protection = Protection.of(policy, heroes)
        self._departures = self._new_departures(protection)
        self._notices = self._departures.notices
        if protection is not None and protection.min_run_s > 0:
            self.watch(self._departures)
        self._policy_of_group: dict[int, Policy] = {}
        self._policy_of_choice = self._build_queues(policy, protection)
        for job, (index, nodes) in (own_nodes or {}).items():
            queue = self._policy_of_choice[jobs.choice_of[job]].queue
            queue.own_nodes[job] = partitions[index], nodes
        self._policies_on = [
            [each for each in dict.fromkeys(self._policy_of_choice) if index in each.queue.members]
            for index in range(len(partitions))
        ]
        self._ending = Ending(
            self.clock,
            jobs,
            partitions,
            self._policy_of_choice,
            self.running,
            self.partition_of,
            self._awaits,
            held=lambda job: gates is not None and gates.holds(job),
        )
        self._sizes: SizeCharges | None = None
        if gates is not None and jobs.elastic is not None:
            self._sizes = SizeCharges(gates, self.clock, jobs, partitions, self.running, self.enter)
            for queue in self.queues:
                queue.size_limits = self._sizes

    def _new_departures(self, protection: Protection | None) -> Departures:
        """Return what stops jobs on behalf of policies."""
        return Departures(
            self.clock,
            self.running,
            lambda job: self._policy_of_choice[self.jobs.choice_of[job]].queue,
            self._stop,
            self._departed,
            lambda: self._n_ended,
            self._left.unsaved_s,
            recovery=self._recovery,
            protection=protection,
        )

    def _awaits(self) -> bool:
        """Return whether something happens at a known time that may start a job."""
        return (
            bool(self._wakes.events)
            or self._n_opening > 0
            or (self._sizes is not None and self._sizes.n_due > 0)
            or any(each() for each in self._awaited)
            or (self._n_calls > 0 and self._n_ended < len(self._submit_s))
        )

    def _build_queues(self, policy: type[Policy], protection: Protection | None) -> list[Policy]:
        """Make one queue for each group of partitions that share jobs, or one for all partitions.

        Return the policy for each entry of `jobs.choices`.
        """
        group = [0 if policy.whole_cluster else index for index in range(len(self.partitions))]
        for choice in self.jobs.choices:
            merged = {group[index] for index in choice}
            lowest = min(merged)
            group = [lowest if label in merged else label for label in group]
        policies = self._policy_of_group
        for label in sorted({group[choice[0]] for choice in self.jobs.choices}):
            members = [index for index, other in enumerate(group) if other == label]
            queue = Queue(
                self.partitions,
                members,
                self.jobs,
                self.start,
                looks_ahead=policy.looks_ahead,
                tracks_running=policy.tracks_running or policy.decide is not Policy.decide,
                preempt=self._departures.preempt,
                wake=partial(self._wake, label),
                shared=self.shared,
                cost_of_stopping=self._departures.cost_of_stopping,
                protection=protection,
            )
            policies[label] = policy(queue)
        return [policies[group[choice[0]]] for choice in self.jobs.choices]

    @property
    def queues(self) -> list[Queue]:
        """The queues, each with the partitions that its jobs share."""
        return [policy.queue for policy in self._policy_of_group.values()]

    @property
    def n_ended(self) -> int:
        """Number of jobs that have ended."""
        return self._n_ended

    def run(self) -> RunRecord:
        """Run to the end or the horizon; if interrupted, return the record up to that time."""
        self.clock.process(self._submissions())
        if self.horizon_s is not None:
            self.clock.at(self.horizon_s, HORIZON).callbacks.append(StopSimulation.callback)
        try:
            with stopping(self.clock.stop):
                self.clock.run()
            interrupted = self.clock.stopped
        except KeyboardInterrupt as error:
            placements = {type(partition.placement) for partition in self.partitions}
            if interrupts_itself(error, (self._policy, *placements)):
                raise
            interrupted = True
        return self._record(interrupted)

    def _record(self, interrupted: bool) -> RunRecord:
        """Return the record of the run; all work of jobs that are still running counts as kept."""
        for attempt in self.running.values():
            progress = attempt.progress(self.clock.now, saved=True)
            self._log.note(attempt.number, progress, self._left.share(progress.kept_s, attempt))
        work_s = [self._run_s[part.pool] for part in self.partitions]
        attempts = self._log.columns(work_s, self.jobs.n_accelerators)
        partition = np.array(self.partition_of, dtype=np.int32)
        start_s, finish_s = np.full((2, len(partition)), np.nan)
        start_s[attempts.job[::-1]] = attempts.start_s[::-1]
        finish_s[attempts.job] = attempts.end_s
        finish_s[partition < 0] = np.nan
        finish_s[attempts.job[attempts.cause == StopCause.CANCELLED]] = np.nan
        return RunRecord(
            start_s=start_s,
            finish_s=finish_s,
            partition=partition,
            attempts=attempts,
            allocated=self._allocated.columns(),
            nothing_could_start=self._ending.came and not interrupted,
            end_s=self.clock.now,
            passes=self.passes,
            interrupted=interrupted,
        )

    def _submissions(self) -> Generator[Event, None, None]:
        """Submit every job at its time (a SimPy process)."""
        clock, touched = self.clock, self._touched
        submit_s, policy_of, choice_of = self._submit_s, self._policy_of_choice, self.jobs.choice_of
        gates = self._gates
        job, n_jobs = 0, len(submit_s)
        while job < n_jobs:
            now = submit_s[job]
            yield clock.at(now, SUBMISSION)
            while job < n_jobs and submit_s[job] == now:
                policy = policy_of[choice_of[job]]
                if gates is None or self._may_enter(job, gates):
                    policy.submit(job)
                if policy not in touched:
                    touched.append(policy)
                job += 1
            self._request_pass()
        self._all_submitted = True
        self._may_be_over()

    def _may_enter(self, job: int, gates: Gates) -> bool:
        """Return whether a job enters its queue at its submission; see to it that it does later."""
        if gates.admits(job, self.clock.now):
            return True
        if gates.opens_s(job) > self.clock.now:
            self._n_opening += 1
            opening = self.clock.at(gates.opens_s(job), SUBMISSION)
            opening.callbacks.append(lambda _: self._open(job, gates))
        return False

    def _open(self, job: int, gates: Gates) -> None:
        """Let a job in whose time has come, unless another limit holds it."""
        self._n_opening -= 1
        if gates.admits(job, self.clock.now):
            self._let_in([job])
        self._may_be_over()

    def _let_in(self, jobs: Sequence[int]) -> None:
        """Let jobs that were held into their queues."""
        for job in jobs:
            policy = self._policy_of_choice[self.jobs.choice_of[job]]
            policy.resubmit(job)
            if policy not in self._touched:
                self._touched.append(policy)
        if jobs:
            self._request_pass(later=True)

    def enter(self, jobs: Sequence[int]) -> None:
        """Let jobs into their queues that were held, because something changed with time."""
        self._let_in(jobs)
        self._may_be_over()

    def wait_for(self, awaits: Callable[[], bool]) -> None:
        """Do not end a run without a horizon as long as something may still let jobs in."""
        self._awaited.append(awaits)

    # --- Operations on jobs -------------------------------------------------------------

    def start(
        self, job: int, partition: Partition, nodes: Nodes, holding: Holding | None = None
    ) -> None:
        """Start a waiting job on accelerators that the scheduler has allocated.

        Parameters
        ----------
        job : int
        partition : Partition
        nodes : Nodes
        holding : Holding, optional
            What the job holds if it has another size than it asks for, or is on several partitions,
            of which `partition` is the first.

        Raises
        ------
        ClusterSimError
            If the job is running, has ended, or has not been submitted yet.
        """
        now = self.clock._now
        if self.partition_of[job] >= 0 or self._submit_s[job] > now:
            started = self.partition_of[job] >= 0
            done = "has already started" if started else "has not been submitted yet"
            raise ClusterSimError(f"job {job} (counted from 0) cannot be started: it {done}")
        self.partition_of[job] = partition.index
        if self._recovery is None and holding is None and job not in self._stopped:
            work_s = self._run_s[partition.pool][job]
            number = self._log.begin(job, partition.index, now)
            attempt = Attempt(job, number, partition, now, work_s)
        else:
            attempt = self._new_attempt(job, partition, holding)
        self.running[job] = attempt
        if self._sizes is not None:
            n = self.jobs.n_accelerators[job] if holding is None else holding.size
            self._sizes.charge(job, n)
        if nodes or holding is not None:
            for part, own in [(partition, nodes)] if holding is None else holding.on:
                if own:
                    part.nodes_of[job] = own
                    if self._by_node:
                        self._allocated.note(attempt.number, own)
        attempt.end = end = self.clock.at(attempt.end_s, COMPLETION)
        self.clock.start(self._run_attempt(attempt, end))
        if self._watchers:
            for watcher in self._watchers:
                for part, own in [(partition, nodes)] if holding is None else holding.on:
                    watcher.started(job, part, own)

    def _new_attempt(self, job: int, partition: Partition, holding: Holding | None) -> Attempt:
        """Return an attempt that may have checkpoints, follow others, or be of unusual size."""
        now, recovery, left = self.clock._now, self._recovery, self._left
        n = self.jobs.n_accelerators[job]
        if holding is None:
            work_s = whole_s = self._run_s[partition.pool][job]
        else:
            n = holding.size
            work_s = whole_s = job_s(self.jobs, self._run_s, job, holding.parts)
        checkpoints, again = NO_CHECKPOINTS, False
        if recovery is not None:
            again = recovery.at_first
            checkpoints = recovery.of(job, partition.pool, n, saved=left.of(job) < 1.0)
        if job in self._stopped:
            again = True
            work_s = left.work_s(job, partition.pool, whole_s)
            checkpoints = left.checkpoints(job, checkpoints)
        elif recovery is not None and (first := recovery.first(job, partition.pool, n)) is not None:
            checkpoints, again = first, True
        number = self._log.begin(job, partition.index, now, holding)
        return Attempt(job, number, partition, now, work_s, checkpoints, again, whole_s, holding)

    def stop(self, job: int, *, saved: bool, cause: StopCause = StopCause.NODE) -> None:
        """Stop a running job now and put it back into its queue.

        The job releases its accelerators and keeps the work that its last checkpoint contains. Its
        estimate is reduced to the work that is left. A scheduling pass follows at this instant.

        Parameters
        ----------
        job : int
        saved : bool
            Whether the job can save its state first, so that no work is lost.
        cause : StopCause
            An event of a node, or a fault of the network.

        Raises
        ------
        ClusterSimError
            If the job is not running.
        """
        self._stop(self._running(job, "stopped"), saved, cause)
        self._request_pass(later=True)
        self._may_be_over()

    def save_and_stop(self, job: int) -> bool:
        """Stop a running job once it has saved its state, and put it back into its queue.

        Return whether it has left already. A job that saves its state to storage that it shares
        does so from now on, and leaves later. Any other job leaves now.

        Raises
        ------
        ClusterSimError
            If the job is not running.
        """
        storage = self._departures.storage
        if storage is None or not storage.saves(job):
            self.stop(job, saved=True)
            return True
        self._running(job, "stopped")
        self._departures.save_and_leave(job, StopCause.NODE)
        return False

    def share_storage(self, storage: SharedSaves) -> None:
        """Let jobs that leave save their state to storage that they share."""
        self._departures.storage = storage

    def lose_memory(self, partition: Partition, node: int, *, saved: bool) -> None:
        """Drop the state that suspended jobs keep in the memory of a node.

        They can then start anywhere.

        Parameters
        ----------
        partition : Partition
        node : int
        saved : bool
            Whether the state is saved first; otherwise the work since the last checkpoint is lost.
        """
        for policy in self._policies_on[partition.index]:
            own = policy.queue.own_nodes
            for job in [job for job in own if job in self._left.of_jobs]:
                where, nodes = own[job]
                if where is partition and any(each == node for each, _ in nodes):
                    del own[job]
                    self._left.forget_memory(job, saved=saved, note=self._log.note)

    def give_up_moves(
        self, partition: Partition, nodes: Set[int], *, but: Set[int] = frozenset()
    ) -> None:
        """Free what some nodes hold for jobs that still save their state to start there.

        These jobs wait again once they have saved it.

        Parameters
        ----------
        partition : Partition
        nodes : set of int
        but : set of int
            Jobs for which the nodes go on to be held.
        """
        for policy in self._policies_on[partition.index]:
            policy.queue.give_up_moves(partition, nodes, but=but)

    def _stop(
        self, attempt: Attempt, saved: bool, cause: StopCause, cost_s: float | None = None
    ) -> Progress:
        """Stop an attempt now; its job waits again, unless it is cancelled."""
        job, now = attempt.job, self.clock.now
        self.clock.cancel(attempt.end)
        del self.running[job]
        progress = attempt.progress(now, saved=saved)
        self._log.end(attempt.number, now)
        self._log.note(
            attempt.number, progress, self._left.share(progress.kept_s, attempt), cause=cause
        )
        policy = self._leave(attempt)
        if cause is StopCause.CANCELLED:
            self._n_ended += 1
            if self._gates is not None:
                self._let_in(self._gates.end(job, now, done=False))
            return progress
        self.partition_of[job] = -1
        self._left.stopped(attempt, progress, cause, cost_s)
        if cause is StopCause.SUSPENDED:
            self._left.keep_in_memory(attempt, progress, attempt.progress(now, saved=False).kept_s)
        elif saved or progress.kept_s > 0:
            self._left.keep_in_storage(job)
        else:
            self._left.forget_memory(job, saved=False, note=self._log.note)
        move = policy.queue.moves.pop(job, None)
        if move is None or cause is not StopCause.SAVED or not policy.queue.arrive(job, move):
            if self._sizes is not None:
                self._sizes.waits(job)
            policy.resubmit(job)
        return progress

    def rerate(self, job: int, slowdown: float, cause: SlowedBy = "nodes") -> None:
        """Change the pace of a running job from now on.

        Its estimate stays unchanged, because the scheduler does not learn of the change.

        Parameters
        ----------
        job : int
        slowdown : float
            Time per step divided by the time per step without this cause; finite and at least 1.
            That by the storage is infinite if the job waits for its turn to load its state.
        cause : {"nodes", "network", "storage"}
            What slows the job down. The slowdowns of all causes are multiplied.

        Raises
        ------
        ClusterSimError
            If the job is not running, or the slowdown is below 1 or infinite.
        """
        attempt = self._running(job, "slowed")
        if attempt.stands_still:
            return
        waits = cause == "storage" and attempt.restarts
        if not (1.0 <= slowdown < float("inf") or (waits and slowdown == float("inf"))):
            raise ClusterSimError(
                f"slowdown of job {job} (counted from 0) is {slowdown}; it must be finite and at"
                " least 1"
            )
        if slowdown == attempt.slowed_by(cause):
            return
        attempt.rerate(self.clock.now, slowdown, cause)
        self._end_again(attempt)

    def loaded(self, job: int) -> None:
        """Let a running job begin its work, because it has loaded its state."""
        attempt = self._running(job, "continued")
        attempt.loaded(self.clock.now)
        self._end_again(attempt)

    def _end_again(self, attempt: Attempt) -> None:
        """Schedule the end of an attempt again, because its pace has changed."""
        # Rounding must not move the end of an almost completed job into the past.
        end_s = max(self.clock.now, attempt.end_s)
        attempt.end = self.clock.move(attempt.end, end_s, COMPLETION)
        self._departures.rerated(attempt.job)

    def watch(self, watcher: Watcher) -> None:
        """Notify an observer of every start and every departure of a job from now on."""
        self._watchers.append(watcher)

    def around_passes(
        self, *, before: Callable[[], None] | None = None, after: Callable[[], None] | None = None
    ) -> None:
        """Call functions before and after every scheduling pass from now on."""
        self._before_pass += [] if before is None else [before]
        self._after_pass += [] if after is None else [after]
        self._observed = True

    def waits(self, job: int) -> bool:
        """Return whether a job is in its queue."""
        now = self.clock.now
        if self._submit_s[job] > now or self.partition_of[job] >= 0:
            return False
        return self._gates is None or not self._gates.keeps_out(job, now)

    def most_size(self, job: int) -> float:
        """Return the largest size that limits and quotas allow a job now; infinite without any."""
        return float("inf") if self._sizes is None else self._sizes.most(job)

    def start_first(self, job: int) -> bool:
        """Start a waiting job ahead of all others, if it fits; return whether it started."""
        policy = self._policy_of_choice[self.jobs.choice_of[job]]
        policy.queue.now = self.clock.now
        return policy.start_first(job)

    def call_at(self, time: float, call: Callable[[], None]) -> None:
        """Call a function at a time (seconds), as long as there are jobs that have not ended."""
        self._n_calls += 1

        def due(_event: Event) -> None:
            self._n_calls -= 1
            call()
            self._may_be_over()

        self.clock.at(time, NODE_EVENT).callbacks.append(due)

    def service_changed(self, partition: Partition) -> None:
        """Notify the policies of a partition that its number of nodes in service has changed."""
        for policy in self._policies_on[partition.index]:
            policy.service_changed(partition)
            if policy not in self._touched:
                self._touched.append(policy)
        self._request_pass(later=True)
        self._may_be_over()

    # --- Internals ----------------------------------------------------------------------

    def _running(self, job: int, what: str) -> Attempt:
        attempt = self.running.get(job)
        if attempt is None:
            raise ClusterSimError(f"job {job} (counted from 0) cannot be {what}: it is not running")
        return attempt

    def _run_attempt(self, attempt: Attempt, end: Event) -> Generator[Event, None, None]:
        """Run a job to the end of an attempt (a SimPy process).

        If the job is stopped, the end is cancelled, and the process never goes on. If it is
        rerated, the end moves.
        """
        yield end
        self._complete(attempt)

    def _complete(self, attempt: Attempt) -> None:
        """End a job whose attempt has reached its end."""
        del self.running[attempt.job], attempt.end  # avoids a reference cycle
        now = self.clock._now
        self._log.end(attempt.number, now)
        if not attempt.is_plain:
            self._log.note(attempt.number, attempt.whole(now), self._left.of(attempt.job))
        policy = self._leave(attempt)
        if policy.queue.moves:
            policy.queue.moves.pop(attempt.job, None)
        if self._gates is not None:
            self._let_in(self._gates.end(attempt.job, now, done=True))
        self._request_pass()
        self._n_ended += 1
        if self._progress is not None and not self._n_ended % _REPORT_EVERY:
            self._progress(self._n_ended, len(self._submit_s))
        if not self.running:
            self._may_be_over()

    def _leave(self, attempt: Attempt) -> Policy:
        """Release the accelerators of a job that ends or is stopped; return its policy."""
        job, partition = attempt.job, attempt.partition
        if self._notices:
            self._departures.gone(job)
        if self._watchers:
            holding = attempt.holding
            held = [partition] if holding is None else [part.partition for part in holding.parts]
            for watcher in self._watchers:
                for each in held:
                    watcher.left(job, each, each.nodes_of.get(job, ()))
        policy = self._policy_of_choice[self.jobs.choice_of[job]]
        queue = policy.queue
        queue.now = self.clock._now
        queue.release(job, partition, attempt.began_s)
        policy.finish(job, partition)
        if policy not in self._touched:
            self._touched.append(policy)
        return policy

    def _may_be_over(self) -> None:
        """Check whether a run without a horizon is over; it cannot be over while jobs run."""
        if not self.running and self._all_submitted and self.horizon_s is None:
            self._ending.ask(self._n_ended)

    def _departed(self, job: int | None, needs_pass: bool) -> None:
        """React to the departure of a job on behalf of a policy, or to the end of a protection."""
        if needs_pass:
            policies = self._policy_of_choice
            own = policies if job is None else [policies[self.jobs.choice_of[job]]]
            for policy in own:
                self._call(policy)
        self._may_be_over()

    def _wake(self, group: int, time: float) -> None:
        """Call the policy of a group of partitions at a time that it asked for."""
        self._wakes.ask(self._policy_of_group[group], time)

    def _call(self, policy: Policy) -> None:
        """Call a policy in a pass at this instant."""
        if policy not in self._touched:
            self._touched.append(policy)
        self._request_pass(later=True)
        self._may_be_over()

    def _moves(self) -> tuple[object, bool]:
        """Return what changes if a job starts, stops or ends, and whether anything goes on."""
        moved = self._log.n_attempts, len(self.running), self._n_ended
        return moved, bool(self.running) or not self._all_submitted

    def _request_pass(self, *, later: bool = False) -> None:
        """Request one scheduling pass after all other events of this instant."""
        clock = self.clock
        if not later and (not clock._queue or clock._queue[0][0] > clock._now):
            self._pass()
        elif not self._pass_is_due:
            self._pass_is_due = True
            clock.at(clock._now, SCHEDULING).callbacks.append(self._pass)

    def _pass(self, _event: Event | None = None) -> None:
        """Run the policy of every queue that has changed."""
        self._pass_is_due = False
        now = self.clock._now
        self.passes += 1
        touched = self._touched[:]
        self._touched.clear()
        if self._observed:
            for call in self._before_pass:
                call()
        for policy in touched:
            policy.queue.now = now
            if self._asked:
                self._wakes.forget(policy)
            policy.schedule(now)
        if self._observed:
            for call in self._after_pass:
                call()
            if self._check is not None:
                self._check(self)
