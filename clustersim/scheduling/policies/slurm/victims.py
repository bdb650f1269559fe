"""The running jobs that Slurm's rules let a waiting job preempt, with their nodes looked at."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import cast

import numpy as np

from clustersim.array_types import Bools, Ints
from clustersim.scheduling.decisions import How
from clustersim.scheduling.placements import NodePlacement
from clustersim.scheduling.policies.names import check_names
from clustersim.scheduling.policies.slurm.job_priorities import JobPriorities
from clustersim.scheduling.policies.victims import fewest_victims
from clustersim.scheduling.queue import Partition, Queue
from clustersim.scheduling.slurm import (
    Preemption,
    PreemptionRules,
    RunningJob,
    SlurmPartition,
    Victim,
    WaitingJob,
)

__all__ = ["SlurmVictims", "Stopped"]


@dataclass(frozen=True, slots=True)
class Stopped:
    """A job to preempt, and how."""

    job: int
    how: How


class SlurmVictims:
    """Finds whom a waiting job preempts, in the passes of one queue.

    Parameters
    ----------
    queue : Queue
    rules : PreemptionRules
    columns : JobPriorities
        Has the QoS and the partition of each job.

    Attributes
    ----------
    exist : bool
        Whether jobs are preempted at all.
    comes_first : array of bool, shape (n_jobs,)
        Jobs that are considered before others because their QoS can preempt.
    tier : array of int, shape (n_jobs,)
        Tier of each job's partition.
    """

    def __init__(self, queue: Queue, rules: PreemptionRules, columns: JobPriorities) -> None:
        n = len(queue.jobs.n_accelerators)
        self._queue, self._rules = queue, rules
        check_names("partition_tier", rules.partitions, columns.partition, "partition")
        check_names("qos_preempts", _preempting(rules), columns.qos, "qos")
        nothing = np.full(n, "", dtype=object)
        self._qos = nothing if columns.qos is None else columns.qos
        self._partition = nothing if columns.partition is None else columns.partition
        tier_of = {name: partition.tier for name, partition in rules.partitions.items()}
        tiers = [tier_of.get(name, SlurmPartition().tier) for name in self._partition]
        self.tier: Ints = np.array(tiers, dtype=np.int64)
        self._may = self._which_may()
        self.exist = bool(self._may.any())
        by_qos = rules.type == "qos"
        self.comes_first: Bools = self._may if by_qos else np.zeros(n, dtype=np.bool_)
        self._search: Preemption | None = None
        self._refused: set[tuple[int, int, str, str]] = set()
        self._closed = False
        self._now = 0.0

    def _which_may(self) -> Bools:
        """Return which jobs may preempt any others."""
        rules = self._rules
        if rules.type == "qos":
            able = {name for name, qos in rules.qos.items() if qos.preempts}
            return np.array([name in able for name in self._qos], dtype=np.bool_)
        if rules.type == "partition_prio":
            return np.asarray(self.tier > self.tier.min(initial=2**31), dtype=np.bool_)
        return np.zeros(len(self._qos), dtype=np.bool_)

    def begin(self, now: float) -> None:
        """Begin a pass."""
        self._now, self._closed = now, False
        self.forget()

    def close(self) -> None:
        """Preempt no more jobs in this pass."""
        self._closed = True

    def forget(self) -> None:
        """Forget the running jobs, because they have changed."""
        self._search = None
        self._refused.clear()

    def of(self, job: int, partition: Partition) -> list[Stopped] | None:
        """Return the jobs of a partition to preempt for a waiting job; None if it never fits."""
        if self._closed or not self._may[job]:
            return None
        n = self._queue.jobs.n_accelerators[job]
        if partition.placement.free + self._leaving(partition) >= n and self._queue.leaving:
            return None  # there will be room once they have left
        kind = partition.index, n, str(self._qos[job]), str(self._partition[job])
        if kind in self._refused:
            return None
        if self._search is None:
            self._search = self._over_running()
        pool = str(partition.index)
        waiting = WaitingJob(job, {pool: n}, partition=kind[3], qos=kind[2])
        victims = self._search.victims(waiting, {pool: partition.placement.free})
        if victims and isinstance(partition.placement, NodePlacement):
            open_nodes = self._queue.open_nodes(job, partition)
            victims = self._on_nodes(victims, partition, n, open_nodes) or self._by_nodes(
                waiting, partition, n, open_nodes
            )
        if not victims or len(victims) > self._queue.most_victims:
            self._refused.add(kind)
            return None
        return [Stopped(cast(int, each.job), cast(How, each.mode)) for each in victims]

    def _by_nodes(
        self, waiting: WaitingJob, partition: Partition, n: int, open_nodes: Bools | None
    ) -> list[Victim] | None:
        """Return victims, in Slurm's order, without which a gang fits on the nodes."""
        assert self._search is not None
        running = self._queue.running
        here = [
            each
            for each in self._search.candidates(waiting)
            if running[cast(int, each.job)].partition is partition
        ]
        return self._on_nodes(here, partition, n, open_nodes)

    def _on_nodes(
        self, candidates: list[Victim], partition: Partition, n: int, open_nodes: Bools | None
    ) -> list[Victim] | None:
        """Return the candidates that have to stop so that a gang fits; None if it never does."""
        jobs = [cast(int, each.job) for each in candidates]
        chosen = fewest_victims(partition, self._queue.jobs, n, jobs, open_nodes)
        return None if chosen is None else [each for each in candidates if each.job in chosen]

    def _over_running(self) -> Preemption:
        queue = self._queue
        sizes = queue.jobs.n_accelerators
        jobs = [
            RunningJob(
                job,
                {str(at.partition.index): sizes[job]},
                partition=self._partition[job],
                qos=self._qos[job],
                start_s=at.start_s,
            )
            for job, at in queue.running.items()
            if queue.may_preempt(job)
        ]
        return Preemption(self._rules, jobs, self._now)

    def _leaving(self, partition: Partition) -> int:
        """Return the accelerators of jobs that leave a partition within their grace."""
        running, sizes = self._queue.running, self._queue.jobs.n_accelerators
        jobs = (job for job in self._queue.leaving if running[job].partition is partition)
        return sum(sizes[job] for job in jobs)

    def exempt_until(self, now: float) -> float:
        """Return when the next running job may be preempted, seconds; infinite if none will."""
        if not self.exist or not self._rules.exempt_s:
            return math.inf
        ends = (at.start_s + self._rules.exempt_s for at in self._queue.running.values())
        return min((end for end in ends if end > now), default=math.inf)


def _preempting(rules: PreemptionRules) -> list[str]:
    """Return the names of the qualities of service that preempt, or are preempted."""
    preempting = {name: qos.preempts for name, qos in rules.qos.items() if qos.preempts}
    return sorted({*preempting, *(name for names in preempting.values() for name in names)})
