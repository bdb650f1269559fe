"""The rounds in which jobs get pools and sizes: what is asked of a program, and done with it."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import ClassVar

import numpy as np

from clustersim.array_types import Bools, Ints
from clustersim.scheduling.decisions import Decision, Preempt, Start, Wake
from clustersim.scheduling.elastic import usual_sizes
from clustersim.scheduling.placements import NodePlacement, Nodes
from clustersim.scheduling.policies.elastic_rounds.targets import (
    Goodputs,
    Target,
    targets_of_pools,
)
from clustersim.scheduling.policies.preemptive import Preemptive
from clustersim.scheduling.programs.elastic import Configurations
from clustersim.scheduling.queue import Partition, Queue
from clustersim.scheduling.together_on_nodes import NodePlan
from clustersim.scheduling.view import View

__all__ = ["ElasticRounds"]


class ElasticRounds(Preemptive):
    """Chooses a pool and a size for every job at the start of every round.

    Jobs whose pool or size changes save their state and start again. Between the starts of rounds,
    only jobs start that were chosen at the last one and found no room yet. Sizes are powers of two
    within a node and whole nodes (:func:`~clustersim.scheduling.elastic.usual_sizes`), and the
    size that a job asks for if no such size is in its range.

    Attributes
    ----------
    round : float
        Length of a round, seconds.
    growth : float
        By which factor a job may grow beyond the largest size at which it has run. A new job starts
        at its smallest size. 0: no limit.
    restart : float
        Time that a change is taken to cost a job, seconds, if neither the option ``cost`` nor the
        jobs' column ``restart_delay_s`` says it.
    learns : bool
        Whether the speed of a job at a size is known only after it has run so, as in both papers;
        otherwise it is known beforehand. What is known is the speed on one accelerator of each
        pool (on the fewest, if a job needs more). Another speed is projected from the pool where
        the job has run on most accelerators, by the ratio of the speeds on one; beyond all sizes
        at which it has run, speed is taken to be proportional to size.
    """

    spans_pools: ClassVar[bool] = False
    round: float = 60.0
    growth: float = 2.0
    learns: bool = True
    restart: float = 30.0

    @classmethod
    def check_options(cls) -> str:
        if not 0 < cls.round < math.inf:
            return f"option round: must be a number of seconds above 0, found {cls.round}"
        if cls.growth != 0 and not 1 < cls.growth < math.inf:
            return f"option growth: must be a number above 1, or 0, found {cls.growth}"
        if not 0 <= cls.restart < math.inf:
            return f"option restart: must be a number of seconds, at least 0, found {cls.restart}"
        if cls.preempt_by not in ("save", "requeue"):
            return (
                f"option preempt_by: {cls.preempt_by} is not possible, because jobs change their "
                "sizes and pools; use save or requeue"
            )
        return super().check_options()

    @classmethod
    def smaller_sizes(cls, least: int, asked: int, partition: Partition) -> Sequence[int]:
        placement = partition.placement
        usual = usual_sizes(placement.chips_per_node, placement.capacity)
        return [size for size in usual if least <= size < asked]

    def __init__(self, queue: Queue) -> None:
        super().__init__(queue)
        self._pools = [queue.partitions[index] for index in queue.members]
        self._row_of = {part.index: row for row, part in enumerate(self._pools)}
        self._columns = targets_of_pools(queue, self._pools)
        self._column_of = {target: at for at, target in enumerate(self._columns)}
        self._goodputs = Goodputs(queue, self._pools, self._columns, self.learns)
        self._first_s: dict[int, float] = {}
        self._restarts: dict[int, int] = {}
        self._largest: dict[int, int] = {}
        self._targets: dict[int, Target] = {}
        self._places: dict[int, Nodes] = {}
        """Nodes of each job that is to start in this round, if the placement tracks nodes."""
        self._by_node = all(isinstance(part.placement, NodePlacement) for part in self._pools)
        self._ends_s = -math.inf

    @abstractmethod
    def choose(self, configurations: Configurations) -> Ints:
        """Return the column of the configuration that each job gets; -1 for none."""

    def arrive(self, job: int) -> None:
        """Note the share of its work that the job does per second in each configuration."""
        self._goodputs.add(job)

    def finish(self, job: int, partition: Partition) -> None:
        self._targets.pop(job, None)

    def decide(self, view: View) -> Iterator[Decision]:
        if view.now >= self._ends_s:
            self._forget_jobs_that_are_gone()
            jobs = view.active
            if len(jobs):
                yield from self._change(jobs, view)
            self._ends_s = view.now + self.round
        yield from self._start_chosen(view)
        if self.waiting or self.queue.running:
            yield Wake(max(self._ends_s, math.nextafter(view.now, math.inf)))

    def _change(self, jobs: Ints, view: View) -> Iterator[Decision]:
        """Choose anew, and preempt the jobs that have to give their accelerators back."""
        problem = self._problem(jobs, view)
        found = self.choose(problem)
        leaving = {job: at for job, at in self._targets.items() if job in self.queue.leaving}
        self._targets, self._places = leaving, {}
        targets = {
            job: self._columns[column]
            for job, column in zip(jobs.tolist(), found.tolist(), strict=True)
            if column >= 0
        }
        if self._by_node:
            able = dict(zip(jobs.tolist(), problem.goodputs > 0.0, strict=True))
            targets = self._on_nodes(targets, able)
        for job in jobs.tolist():
            target, held = targets.get(job), self._held(job)
            moves = held != target or job in self._places
            if held is not None and moves:
                yield Preempt(job, self.preempt_by, self.cost_of(job))
            if target is not None and moves:
                self._targets[job] = target

    def _on_nodes(self, targets: dict[int, Target], able: dict[int, Bools]) -> dict[int, Target]:
        """Return the targets for which there are nodes, the largest first, and note the nodes.

        A job keeps its nodes, unless a larger one needs them; then it moves. A job without nodes
        gets the largest smaller size on the same pool at which it can run and has nodes.
        """
        order = sorted(targets, key=lambda job: (-targets[job].size, self._held(job) is None, job))
        leaving = self.queue.leaving  # their accelerators are not among those to be given
        plan = NodePlan(self.queue, order, kept=[*self.queue.protected(), *leaving])
        placed: dict[int, Target] = {}
        for job in order:
            row, size = targets[job]
            held = self._held(job)
            smaller = [
                at.size
                for at, can in zip(self._columns, able[job], strict=True)
                if can and at.pool == row and at.size <= size
            ]
            for n in sorted(smaller, reverse=True):
                stays = held == (row, n) or job in self.queue.own_nodes
                if stays and plan.keep(job):
                    placed[job] = Target(row, n)
                    break
                place = plan.place_at(job, n, [self._pools[row].index])
                if place is not None:
                    placed[job] = Target(row, n)
                    self._places[job] = place.nodes
                    break
        return placed

    def _start_chosen(self, view: View) -> Iterator[Decision]:
        """Start the jobs that were chosen and wait, the largest first, where they fit."""
        order = sorted(self._targets.items(), key=lambda item: (-item[1].size, item[0]))
        for job, (row, size) in order:
            part = self._pools[row]
            if job not in self.waiting or not self.queue.fits_size(job, part, size):
                continue
            nodes = self._places.get(job)
            if nodes is not None and not part.placement.has_free(nodes, size):
                # Others hold its nodes until they have left; or the nodes are out of service.
                if any(self.queue.running[other].partition is part for other in self.queue.leaving):
                    continue
                nodes = None
            yield Start(job, part.name, nodes, size)
            del self._targets[job]
            if job in self._first_s:
                self._restarts[job] = self._restarts.get(job, 0) + 1
            self._first_s.setdefault(job, view.now)
            self._largest[job] = max(size, self._largest.get(job, 0))

    def _problem(self, jobs: Ints, view: View) -> Configurations:
        """Return the program's input."""
        numbers = jobs.tolist()
        costs = [self.restart if (c := self.cost_of(job)) is None else c for job in numbers]
        if self.learns:
            self._learn(numbers, costs, view.now)
        goodputs = np.array([self._goodputs.known[job] for job in numbers])
        counts = np.array([size for _, size in self._columns])
        if self.growth:
            able = np.where(goodputs > 0, counts, counts.max())
            limit = np.array([self.growth * self._largest.get(job, 0) for job in numbers])
            limit = np.maximum(limit, able.min(axis=1))
            goodputs = np.where(counts <= limit[:, None], goodputs, 0.0)
        if self.queue.size_limits is not None:
            most = np.array([self.queue.most_size(job) for job in numbers])
            goodputs = np.where(counts <= most[:, None], goodputs, 0.0)
        held = [self._held(job) for job in numbers]
        current = np.array([-1 if at is None else self._column_of.get(at, -1) for at in held])
        for row, (job, column) in enumerate(zip(numbers, current.tolist(), strict=True)):
            if column >= 0 and goodputs[row, column] == 0.0:  # it may keep what it has
                goodputs[row, column] = self._goodputs.true[job][column]
            if job in self.queue.own_nodes:
                own = self._row_of[self.queue.own_nodes[job][0].index]
                target = Target(own, self.queue.jobs.n_accelerators[job])
                goodputs[row, np.arange(len(counts)) != self._column_of.get(target, -1)] = 0.0
        return Configurations(
            pools=np.array([row for row, _ in self._columns]),
            counts=counts,
            goodputs=goodputs,
            accelerators=self._capacities(),
            current=current,
            age_s=np.array([view.now - self._first_s.get(job, view.now) for job in numbers]),
            restarts=np.array([float(self._restarts.get(job, 0)) for job in numbers]),
            restart_delay_s=np.array(costs),
        )

    def _learn(self, jobs: list[int], costs: list[float], now: float) -> None:
        """Note on how many accelerators of its pool each running job has made progress."""
        for job, cost_s in zip(jobs, costs, strict=True):
            held = self._held(job)
            if held is not None and now - self.queue.running[job].start_s > cost_s:
                self._goodputs.learn(job, held)

    def _capacities(self) -> Ints:
        """Accelerators that the jobs to be chosen can have.

        Those of jobs that leave, or that must not be preempted yet, are not among them.
        """
        left = [part.placement.free for part in self._pools]
        for job, at in self.queue.running.items():
            if self.queue.may_preempt(job):
                left[self._row_of[at.partition.index]] += self.queue.size_of(job)
        return np.array(left, dtype=np.int64)

    def _held(self, job: int) -> Target | None:
        """Return what a running job has."""
        at = self.queue.running.get(job)
        if at is None:
            return None
        return Target(self._row_of[at.partition.index], self.queue.size_of(job))

    def _forget_jobs_that_are_gone(self) -> None:
        here = self.waiting.keys() | self.queue.running.keys()
        for job in [job for job in self._goodputs.true if job not in here]:
            self._goodputs.forget(job)
            for noted in (self._first_s, self._restarts, self._largest):
                noted.pop(job, None)
