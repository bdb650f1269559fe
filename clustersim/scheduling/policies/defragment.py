"""A policy that moves running jobs together, so that large gangs find entirely free nodes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from heapq import heappop, heappush
from typing import ClassVar, Literal

from clustersim.array_types import Ints
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
from clustersim.scheduling.windows import only_in

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
        Largest number of jobs that move at once, on all pools together.
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

        If the new node has gone, or a window closes it to the job, the job waits like any other.
        """
        for job, (partition, move) in list(self._moves.items()):
            if job in self.waiting:
                del self._moves[job]
                nodes = ((move.node, move.chips),)
                open_nodes = self.queue.open_nodes(job, partition)
                is_open = open_nodes is None or bool(open_nodes[move.node])
                if is_open and partition.placement.has_free(nodes, move.chips):
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
        partitions = [self.queue.partitions[index] for index in self.queue.choices(job)]
        if any(self.queue.fits(job, partition) for partition in partitions):
            return
        n = self.n_accelerators(job)
        for partition in partitions:
            if n <= partition.placement.free and self._plan(partition, job):
                return

    def _plan(self, partition: Partition, waiting: int | None) -> bool:
        """Plan moves on a partition for a job that waits, or for as many nodes as possible."""
        queue, placement = self.queue, partition.placement
        most_moves = int(min(self.most_moves, queue.most_victims)) - len(self._moves)
        if most_moves < 1 or not isinstance(placement, WholeNodes):
            return False
        chips = wanted = placement.chips_per_node
        enough: Callable[[Ints], bool] | None = None
        small = list(self._small_jobs(partition))
        if waiting is not None:
            n, open_nodes = self.n_accelerators(waiting), queue.open_nodes(waiting, partition)
            wanted = min(n, chips)
            if open_nodes is not None:
                small = [each for each in small if open_nodes[each.node]]

            def enough(free: Ints) -> bool:
                return placement.fits_in(n, only_in(free, open_nodes))

        moves = moves_that_free_nodes(
            placement.free_by_node(),
            chips,
            small,
            wanted,
            most_moves=most_moves,
            enough=enough,
            open_to=partial(queue.open_nodes, partition=partition),
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
