"""A policy that moves running jobs together, so that large gangs find entirely free nodes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from heapq import heappop, heappush
from typing import ClassVar, Literal

import numpy as np

from clustersim.scheduling.carry_out import carry_out
from clustersim.scheduling.decisions import Decision, Preempt, Start, Wake
from clustersim.scheduling.moves import Move, Small, moves_that_free_nodes
from clustersim.scheduling.placements import WholeNodes
from clustersim.scheduling.policies.base import JobFits, Policy
from clustersim.scheduling.policies.easy import Easy, EasySjbf
from clustersim.scheduling.policies.first_fit import FirstFit, LargestFirst, SmallestFirst
from clustersim.scheduling.policies.preemptive import cost_of
from clustersim.scheduling.policies.strict import Fcfs, Sjf
from clustersim.scheduling.preemption import PreemptionOptions
from clustersim.scheduling.queue import Partition, Queue

__all__ = ["Defragment"]

_POLICIES: dict[str, type[Policy]] = {
    "fcfs": Fcfs,
    "first_fit": FirstFit,
    "largest_first": LargestFirst,
    "smallest_first": SmallestFirst,
    "sjf": Sjf,
    "easy": Easy,
    "easy_sjbf": EasySjbf,
}


class Defragment(PreemptionOptions, Policy):
    """Starts jobs like another policy, and moves small running jobs together on fewer nodes.

    A move saves a job that holds part of a node, and starts it on the fullest other node of its
    partition on which it fits. On demand, jobs move if the first waiting job does not fit only
    because the free accelerators are scattered, as few as make room for it. At regular times, jobs
    move so that as many nodes as possible become entirely free. While jobs save, no other job
    starts, which keeps their new accelerators free. Only placements that give gangs entire nodes
    have something to gain: consolidate, topology_aware and fragmentation_aware; with others, no
    job moves.

    Attributes
    ----------
    policy : {"easy", "easy_sjbf", "fcfs", "first_fit", "largest_first", "sjf", "smallest_first"}
        The policy that chooses the jobs to start.
    every : float or None
        Time between two regular consolidations, seconds; none without it.
    on_demand : bool
        Whether jobs move for the first waiting job.
    most_moves : int
        Largest number of jobs that move at once.
    min_run : float
        Time for which a job runs at least before it moves, seconds.
    cost : float or None
        Time that a move costs a job when it starts again, seconds. By default that of a checkpoint
        and a restart, if the run has checkpoints, and otherwise none.
    """

    looks_ahead: ClassVar[bool] = True
    tracks_running: ClassVar[bool] = True
    spans_pools: ClassVar[bool] = False
    policy: Literal[
        "easy", "easy_sjbf", "fcfs", "first_fit", "largest_first", "sjf", "smallest_first"
    ] = "easy"
    every: float | None = None
    on_demand: bool = True
    most_moves: int = 64
    min_run: float = 600.0
    cost: float | None = None

    @classmethod
    def check_options(cls) -> str:
        """Return what is wrong with the values of the options; empty if nothing is."""
        if cls.every is not None and not 0 < cls.every < math.inf:
            return f"option every: must be a number of seconds above 0, found {cls.every}"
        if cls.cost is not None and not 0 <= cls.cost < math.inf:
            return f"option cost: must be a number of seconds, at least 0, found {cls.cost}"
        if cls.most_moves < 1:
            return f"option most_moves: must be at least 1, found {cls.most_moves}"
        return cls.limits_problem()

    def __init__(self, queue: Queue) -> None:
        super().__init__(queue)
        self._starts = _POLICIES[self.policy](queue)
        self._line: list[int] = []
        self._waits: set[int] = set()
        self._moves: dict[int, tuple[Partition, Move]] = {}
        self._due_s = math.inf if self.every is None else self.every

    # --- What the other policy has to know ----------------------------------------------

    def submit(self, job: int) -> None:
        self._wait(job)
        self._starts.submit(job)

    def resubmit(self, job: int) -> None:
        if job in self._moves:
            self.waiting[job] = None
        else:
            self._wait(job)
            self._starts.resubmit(job)

    def _wait(self, job: int) -> None:
        self._waits.add(job)
        heappush(self._line, job)

    def finish(self, job: int, partition: Partition) -> None:
        self._waits.discard(job)
        self._starts.finish(job, partition)

    def service_changed(self, partition: Partition) -> None:
        self._starts.service_changed(partition)

    def would_start(self, fits: JobFits) -> bool:
        return self._starts.would_start(fits)

    # --- A pass -------------------------------------------------------------------------

    def schedule(self, now: float) -> None:
        if self._end_moves():
            self._starts.schedule(now)
            if self._begin_moves(now) and self._end_moves():
                self._starts.schedule(now)
        if self.queue.running and not self._moves and self._due_s < math.inf:
            self._do(Wake(self._due_s))

    def _do(self, decision: Decision) -> None:
        carry_out(decision, self.queue, self.waiting, type(self).__name__)

    def _end_moves(self) -> bool:
        """Start the jobs that have left on their new nodes; return whether none still saves.

        If the new node has gone, the job waits like any other.
        """
        for job, (partition, move) in list(self._moves.items()):
            if job in self.waiting:
                del self._moves[job]
                nodes = ((move.node, move.chips),)
                if partition.placement.has_free(nodes, move.chips):
                    self._do(Start(job, partition.name, nodes))
                else:
                    del self.waiting[job]
                    self.resubmit(job)
            elif job not in self.queue.running:  # it ended before it was saved
                del self._moves[job]
        return not self._moves

    def _begin_moves(self, now: float) -> bool:
        """Let jobs leave that are to move; return whether there are any."""
        if now >= self._due_s and self.every is not None:
            self._due_s += self.every * (1 + (now - self._due_s) // self.every)
            for index in self.queue.members:
                self._plan(self.queue.partitions[index], None)
        if self.on_demand and not self._moves:
            job = self._first_waiting()
            if job is not None and job not in self.queue.own_nodes:
                self._make_room(job)
        for job in self._moves:
            self._do(Preempt(job, "save", cost_of(self.queue, self.cost, job)))
        return bool(self._moves)

    def _first_waiting(self) -> int | None:
        """Return the first waiting job in order of submission; None if none waits."""
        line, waits = self._line, self._waits
        while line and (line[0] not in waits or line[0] in self.queue.running):
            waits.discard(heappop(line))
        return line[0] if line else None

    def _make_room(self, job: int) -> None:
        """Plan moves such that a job fits that needs no more accelerators than are free."""
        n, choices = self.n_accelerators(job), self.queue.choices(job)
        partitions = [self.queue.partitions[index] for index in choices]
        if any(bool(each.placement.fits_each(np.array([n]))[0]) for each in partitions):
            return
        for partition in partitions:
            if n <= partition.placement.free and self._plan(partition, n):
                return

    def _plan(self, partition: Partition, n: int | None) -> bool:
        """Plan moves on a partition for a gang of `n`, or as many nodes as possible."""
        placement = partition.placement
        if not isinstance(placement, WholeNodes):
            return False
        chips = placement.chips_per_node
        moves = moves_that_free_nodes(
            placement.free_by_node(),
            chips,
            list(self._small_jobs(partition)),
            chips if n is None else min(n, chips),
            most_moves=int(min(self.most_moves, self.queue.most_victims)),
            enough=None if n is None else lambda free: placement.fits_in(n, free),
        )
        for move in moves or ():
            self._moves[move.job] = partition, move
        return bool(moves)

    def _small_jobs(self, partition: Partition) -> Iterator[Small]:
        """Yield the running jobs that hold a part of one node and may move."""
        chips_per_node = partition.placement.chips_per_node
        for job, at in self.queue.running.items():
            if at.partition is partition and self.queue.may_preempt(job):
                nodes = partition.nodes_of[job]
                if len(nodes) == 1:
                    node, chips = nodes[0]
                    if chips < chips_per_node and chips == self.n_accelerators(job):
                        yield Small(job, node, chips)
