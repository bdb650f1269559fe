"""The simulation: jobs are submitted, start, run, are stopped by failures, and end.

Jobs are SimPy processes.  At one instant all completions come first, then nodes that
fail or come back, then all submissions, then exactly one scheduling pass over the
queues that they touched.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from simpy.events import Event

from clustersim.engine.allocation_log import Allocated, AllocationLog
from clustersim.engine.attempts import Attempts, single_attempts
from clustersim.engine.clock import COMPLETION, SCHEDULING, SUBMISSION, Clock
from clustersim.engine.faults import Faults
from clustersim.engine.node_events import LAST_S, NodeEvent
from clustersim.engine.recovery import Recovery
from clustersim.errors import ClusterSimError
from clustersim.interrupts import stopping
from clustersim.scheduling.placement import Nodes
from clustersim.scheduling.plugins import interrupts_itself
from clustersim.scheduling.policies import Policy
from clustersim.scheduling.queue import JobColumns, Partition, Queue

__all__ = ["RunRecord", "Simulation"]

_REPORT_EVERY = 1024


@dataclass(frozen=True, slots=True)
class RunRecord:
    """What happened to every job, a column an attribute.

    Attributes
    ----------
    start_s, finish_s : float64 arrays (jobs,)
        NaN where it did not come to it.
    partition : int32 array (jobs,)
        Partition it started on last, -1 where it did not start.
    attempts : Attempts
        What was run of which job, where and when.
    allocated : Allocated
        On which nodes of its partition each attempt ran; none for partitions that do not tell
        nodes apart.
    outages : list of NodeEvent or None
        What went out of service, in order; the end is when it came back, infinite if it did not.
        None where nothing could.
    nothing_could_start : bool
        Whether it ended because no job ran and nothing that was still to come could start one.
    end_s : float
        When the simulation ended.
    passes : int
        Scheduling passes made.
    interrupted : bool
        Whether it was stopped from outside before its end.
    """

    start_s: npt.NDArray[np.float64]
    finish_s: npt.NDArray[np.float64]
    partition: npt.NDArray[np.int32]
    attempts: Attempts
    allocated: Allocated
    outages: list[NodeEvent] | None
    nothing_could_start: bool
    end_s: float
    passes: int
    interrupted: bool


class Simulation:
    """One run of jobs through the queues of a cluster.

    Parameters
    ----------
    submit_s : sequence of float
        Submission times in ascending order.
    run_s : sequence of sequence of float
        Run time by pool and job, seconds.
    jobs : JobColumns
        What the scheduler knows of the jobs.
    partitions : sequence of Partition
        The cluster's partitions, all free.
    policy : type of Policy
        Instantiated once for each queue.  Partitions that share no job have queues
        of their own.
    outages : iterable of NodeEvent
        Nodes that go out of service, in order of their begin, none of a node that is out already;
        their placements tell nodes apart.
    recovery : Recovery, optional
        How jobs that are stopped come back; by default they begin anew.
    horizon_s : float, optional
        Time at which the simulation stops; by default when no job runs and nothing that is still
        to come can start one.
    by_node : bool
        Whether to record on which nodes each job ran.
    check : callable, optional
        Called with the simulation after every scheduling pass (debug runs).
    progress : callable, optional
        Called now and then with the number of jobs that have ended, and of all.
    """

    def __init__(
        self,
        submit_s: Sequence[float],
        run_s: Sequence[Sequence[float]],
        jobs: JobColumns,
        partitions: Sequence[Partition],
        policy: type[Policy],
        *,
        outages: Iterable[NodeEvent] | None = None,
        recovery: Recovery | None = None,
        horizon_s: float | None = None,
        by_node: bool = True,
        check: Callable[[Simulation], None] | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        self.clock = Clock()
        self.partitions = partitions
        self.jobs = jobs
        self.passes = 0
        self.n_ended = 0
        self.all_submitted = False
        self.n_jobs = n_jobs = len(submit_s)
        self.start_s: list[float] = [float("nan")] * n_jobs
        self.finish_s: list[float] = [float("nan")] * n_jobs
        self.partition_of: list[int] = [-1] * n_jobs
        self._allocated = AllocationLog()
        self._faults = None if outages is None else Faults(self, outages, recovery, run_s)
        self._submit_s = submit_s
        self._run_s = run_s
        self._horizon_s = horizon_s
        self._by_node = by_node
        self._check = check
        self._progress = progress
        self._pass_is_due = False
        self._touched: list[Policy] = []
        self._policy = policy
        self._policy_of_choice = self._build_queues(policy)
        self._policies_on = [
            [each for each in dict.fromkeys(self._policy_of_choice) if index in each.queue.members]
            for index in range(len(partitions))
        ]

    def _build_queues(self, policy: type[Policy]) -> list[Policy]:
        """Make one queue for each set of partitions that share jobs."""
        group = list(range(len(self.partitions)))
        for choice in self.jobs.choices:
            merged = {group[index] for index in choice}
            lowest = min(merged)
            group = [lowest if label in merged else label for label in group]
        policies = {}
        for label in sorted({group[choice[0]] for choice in self.jobs.choices}):
            members = [index for index, other in enumerate(group) if other == label]
            queue = Queue(
                self.partitions, members, self.jobs, self._start, looks_ahead=policy.looks_ahead
            )
            policies[label] = policy(queue)
        return [policies[group[choice[0]]] for choice in self.jobs.choices]

    def run(self) -> RunRecord:
        """Run to the end or the horizon; an interrupt keeps what is done."""
        self.clock.process(self._submissions())
        if self._faults is not None:
            self._faults.begin(self._horizon_s)
        try:
            with stopping(self.clock.stop):
                self.clock.run(until=self._horizon_s if self._faults is None else None)
            interrupted = self.clock.stopped
        except KeyboardInterrupt as error:
            placements = {type(partition.placement) for partition in self.partitions}
            if interrupts_itself(error, (self._policy, *placements)):
                raise
            interrupted = True
        allocated = self._allocated.columns()
        if self._faults is None:
            attempts, row_of_job = single_attempts(
                self.start_s, self.finish_s, self.partition_of, self._expected_s, self.clock.now
            )
            allocated = replace(allocated, attempt=row_of_job[allocated.attempt])
        else:
            self._faults.settle()
            attempts = self._faults.attempts.columns()
        return RunRecord(
            start_s=np.array(self.start_s),
            finish_s=np.array(self.finish_s),
            partition=np.array(self.partition_of, dtype=np.int32),
            attempts=attempts,
            allocated=allocated,
            outages=None if self._faults is None else self._faults.log,
            nothing_could_start=self._horizon_s is None
            and not interrupted
            and self.clock.now < LAST_S,
            end_s=self.clock.now,
            passes=self.passes,
            interrupted=interrupted,
        )

    def _expected_s(self, job: int) -> float:
        """How long a job runs where it was started."""
        return self._run_s[self.partitions[self.partition_of[job]].pool][job]

    def _submissions(self) -> Generator[Event, None, None]:
        """Submit every job at its time (a SimPy process)."""
        clock, touched = self.clock, self._touched
        submit_s, policy_of, choice_of = self._submit_s, self._policy_of_choice, self.jobs.choice_of
        job, n_jobs = 0, len(submit_s)
        while job < n_jobs:
            now = submit_s[job]
            yield clock.at(now, SUBMISSION)
            while job < n_jobs and submit_s[job] == now:
                policy = policy_of[choice_of[job]]
                policy.submit(job)
                if policy not in touched:
                    touched.append(policy)
                job += 1
            self._request_pass()
        self.all_submitted = True
        if self._faults is not None:
            self._faults.ending.ask()

    def _start(self, job: int, partition: Partition, nodes: Nodes) -> None:
        """Start a job on accelerators that the scheduler has allocated."""
        if self.partition_of[job] >= 0 or self._submit_s[job] > self.clock._now:
            fault = "had started" if self.partition_of[job] >= 0 else "was not submitted yet"
            raise ClusterSimError(f"started job {job} (counted from 0), which {fault}")
        self.partition_of[job] = partition.index
        number = job
        if self._faults is None:
            self.start_s[job] = self.clock._now
            self.clock.process(self._job(job, partition))
        else:
            number = self._faults.start(job, partition, nodes)
        if nodes:
            partition.nodes_of[job] = nodes
        if nodes and self._by_node:
            self._allocated.note(number, nodes)

    def _job(self, job: int, partition: Partition) -> Generator[Event, None, None]:
        """One job from its start to its end (a SimPy process)."""
        clock, started = self.clock, self.start_s[job]
        yield clock.at(started + self._run_s[partition.pool][job], COMPLETION)
        self.end(job, partition, started)

    def end(self, job: int, partition: Partition, started: float) -> None:
        """End a job, whose last attempt began at `started`."""
        self.finish_s[job] = self.clock._now
        self.leave(job, partition, started)
        self._request_pass()
        self.n_ended += 1
        if self._progress is not None and not self.n_ended % _REPORT_EVERY:
            self._progress(self.n_ended, len(self._submit_s))

    def policy_of(self, job: int) -> Policy:
        """Return the policy in whose queue a job waits."""
        return self._policy_of_choice[self.jobs.choice_of[job]]

    def resubmit(self, job: int) -> None:
        """Put a job that was stopped back into its line."""
        self._policy_of_choice[self.jobs.choice_of[job]].resubmit(job)

    def service_changed(self, partition: Partition) -> None:
        """Tell the policies that draw on a partition that it has nodes more or less."""
        for policy in self._policies_on[partition.index]:
            policy.service_changed(partition)
            if policy not in self._touched:
                self._touched.append(policy)
        self._request_pass(later=True)

    def leave(self, job: int, partition: Partition, started: float) -> None:
        """Give the accelerators of a job back."""
        policy = self._policy_of_choice[self.jobs.choice_of[job]]
        policy.queue.release(job, partition, started)
        policy.finish(job, partition)
        if policy not in self._touched:
            self._touched.append(policy)

    def _request_pass(self, *, later: bool = False) -> None:
        """Have one scheduling pass made when all else of this instant has happened."""
        clock = self.clock
        if not later and clock.peek() > clock._now:
            self._pass()
        elif not self._pass_is_due:
            self._pass_is_due = True
            clock.at(clock._now, SCHEDULING).callbacks.append(self._pass)

    def _pass(self, _event: Event | None = None) -> None:
        """Let every queue that something happened to start jobs."""
        self._pass_is_due = False
        now = self.clock._now
        self.passes += 1
        touched = self._touched[:]
        self._touched.clear()
        for policy in touched:
            policy.queue.now = now
            policy.schedule(now)
        if self._check is not None:
            self._check(self)
