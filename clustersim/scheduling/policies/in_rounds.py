"""Policies that divide time: a program gives time fractions, and rounds realise them (Gavel)."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Hashable, Iterator, Mapping
from types import MappingProxyType
from typing import ClassVar

import numpy as np

from clustersim.array_types import Floats, Ints
from clustersim.errors import InputError, nearest_hint
from clustersim.scheduling.decisions import Decision, Preempt, Start, Wake
from clustersim.scheduling.placements import NodePlacement, Nodes
from clustersim.scheduling.policies.preemptive import Preemptive
from clustersim.scheduling.programs import gavel
from clustersim.scheduling.programs.problem import Allocation, AllocationProblem
from clustersim.scheduling.programs.rounds import RoundState
from clustersim.scheduling.programs.water_filling import water_filling
from clustersim.scheduling.queue import Partition, Queue
from clustersim.scheduling.together_on_nodes import NodePlan
from clustersim.scheduling.view import View
from clustersim.units import listed

_SHORTEST_S = 1e-6
_SMALLEST_SHARE = 1e-9
"""Smallest time and share of work in a program, which needs values above 0."""

__all__ = [
    "FinishTimeFairness",
    "InRounds",
    "Isolated",
    "MaxMinFairness",
    "MaxMinWaterFilling",
    "MaxThroughput",
    "MaxThroughputPerCost",
    "MinMakespan",
]


class InRounds(Preemptive):
    """Runs jobs in rounds, such that each gets the time on each pool that a program gives it.

    Narayanan et al., "Heterogeneity-aware cluster scheduling policies for deep learning
    workloads", OSDI 2020. A round lasts until its time is over or all its jobs have ended. A job
    whose accelerators are held by one that still saves its state starts when that one leaves;
    other accelerators that become free within a round are used from the next one on. The program
    is solved again after a job has come or gone or a node has left or returned to service, but not
    more often than every `reset` seconds. A job that has come waits for this, as in Gavel's
    simulator, even if accelerators are free. Only if no job could run otherwise, the program is
    solved at once.

    Attributes
    ----------
    heterogeneity_aware : bool
        Whether the program knows how fast each job is on each pool. Otherwise it takes all pools
        to be as fast as the job's fastest one.
    round : float
        Length of a round, seconds.
    reset : float
        Shortest time between two solutions of the program, seconds, while jobs run.
    """

    spans_pools: ClassVar[bool] = False
    heterogeneity_aware: bool = True
    round: float = 360.0
    reset: float = 1920.0

    @classmethod
    def check_options(cls) -> str:
        for name in ("round", "reset"):
            value = getattr(cls, name)
            if not 0 < value < math.inf:
                return f"option {name}: must be a number of seconds above 0, found {value}"
        if cls.preempt_by == "suspend":
            return (
                "option preempt_by: suspend is not possible, because jobs change pools between "
                "rounds and a suspended job can only continue on its own nodes; use save or requeue"
            )
        if cls.cost is not None and cls.cost >= cls.round:
            return (
                f"option cost: is {cls.cost:g} s, and a round has {cls.round:g} s, so a job that "
                "was preempted would make no progress in a round"
            )
        return super().check_options()

    def __init__(self, queue: Queue) -> None:
        super().__init__(queue)
        self._pools = [queue.partitions[index] for index in queue.members]
        self._row_of = {part.index: row for row, part in enumerate(self._pools)}
        self._state = RoundState(
            [part.in_service for part in self._pools],
            round_s=self.round,
            reset_interval_s=self.reset,
        )
        self._whole_s: dict[int, Floats] = {}
        self._ends_s = -math.inf
        self._turns: dict[int, tuple[int, float]] = {}
        """Pool of each job that runs in this round, and the time from which its turn counts."""
        self._late: dict[int, int] = {}
        """Pool of each job that waits for another one to leave."""
        self._places: dict[int, Nodes] = {}
        """Nodes of each job that is to start in this round, if the placement tracks nodes."""
        self._by_node = all(isinstance(part.placement, NodePlacement) for part in self._pools)
        self._rounds = 0
        self._isolated_s: dict[int, float] = {}
        self._left_then: dict[int, tuple[float, float]] = {}

    @abstractmethod
    def program(self, problem: AllocationProblem) -> Allocation:
        """Return the time fractions for a problem."""

    def program_of_alike(self, problem: AllocationProblem) -> Allocation:
        """Return the time fractions if all pools are taken to be as fast as one."""
        fastest_of_most = int(np.bincount(problem.rates.argmax(axis=1)).argmax())
        return gavel.agnostic(self.program, problem, fastest_of_most)

    def arrive(self, job: int) -> None:
        whole_s = np.full(len(self._pools), math.inf)
        for index in self.queue.choices(job):
            part = self.queue.partitions[index]
            whole_s[self._row_of[index]] = self.queue.estimate_s(job, part)
        self._whole_s[job] = whole_s
        self._state.add(job, self.n_accelerators(job), np.isfinite(whole_s).tolist())

    def finish(self, job: int, partition: Partition) -> None:
        if job in self._turns:
            self._record(job, self.queue.now)

    def service_changed(self, partition: Partition) -> None:
        self._state.changed = True

    def decide(self, view: View) -> Iterator[Decision]:
        running, now = self.queue.running, view.now
        for gone in [job for job in self._whole_s if not self._is_here(job)]:
            self._state.remove(gone)
            self._left_then.pop(gone, None)
            del self._whole_s[gone]
        if running and now < self._ends_s:
            yield from self._start_late(view)
            yield Wake(self._ends_s)
            return
        for job in list(self._turns):
            self._record(job, now)
        self._state.accelerators = [part.in_service for part in self._pools]
        if not self._state.jobs or not any(self._state.accelerators):
            return
        if self._state.due(now):
            self._solve(view)
        turns = self._next_turns()
        if not turns and not running and self._state.changed:
            self._solve(view)  # or else all accelerators would idle until the reset is due
            turns = self._next_turns()
        yield from self._change_to(turns, view)
        self._ends_s = now + self.round
        leaving = self.queue.leaving
        self._turns = {
            job: (row, now) for job, row in turns.items() if job in running and job not in leaving
        }
        self._late = {job: row for job, row in turns.items() if job not in self._turns}
        if running or self.waiting:
            yield Wake(self._ends_s)

    def _solve(self, view: View) -> None:
        """Compute the fractions again."""
        problem = self._problem(view)
        solve = self.program if self.heterogeneity_aware else self.program_of_alike
        found = solve(problem)
        self._state.reset(view.now, found.fractions, found.losses)

    def _next_turns(self) -> dict[int, int]:
        """Return the pool of each job that has a turn in the next round."""
        running = self.queue.running
        kept = {job: self._row_of[running[job].partition.index] for job in self.queue.protected()}
        self._places = {}
        room = self._room_on_nodes if self._by_node else None
        turns = self._state.decide(self._fill_order(), kept, room)
        return {int(str(turn.job)): turn.pool for turn in turns}

    def _room_on_nodes(self, row: int, order: list[Hashable]) -> Callable[[Hashable], bool]:
        """Return which jobs have nodes of a pool, in their order of priority.

        A job that runs there keeps its nodes, unless a job before it needs them.
        """
        index, running = self._pools[row].index, self.queue.running
        plan = NodePlan(self.queue, [int(str(job)) for job in order])

        def accepts(key: Hashable) -> bool:
            job = int(str(key))
            here = job in running and running[job].partition.index == index
            if (here or job in self.queue.own_nodes) and plan.keep(job):
                return True
            place = plan.place_at(job, self.n_accelerators(job), [index])
            if place is not None:
                self._places[job] = place.nodes
            return place is not None

        return accepts

    def _start_late(self, view: View) -> Iterator[Decision]:
        """Start jobs of this round whose accelerators were held by jobs that have left by now."""
        for job in list(self._late):
            if start := self._start_of(job, self._late[job], view):
                yield start
                self._turns[job] = self._late.pop(job), view.now

    def _start_of(self, job: int, row: int, view: View) -> Start | None:
        """Return the start of a job on its pool if it can start now."""
        part = self._pools[row]
        if job not in self.waiting or not view.fits(job, part.name):
            return None
        nodes = self._places.get(job)
        if nodes is None:
            return Start(job, part.name)
        if part.placement.has_free(nodes, self.n_accelerators(job)):
            return Start(job, part.name, nodes)
        # Others hold its nodes until they have left; or the nodes are out of service.
        left = any(self.queue.running[other].partition is part for other in self.queue.leaving)
        return None if left else Start(job, part.name)

    def _fill_order(self) -> list[int]:
        """Return the order in which the pools are filled: fastest first, or each in turn first."""
        pools = list(range(len(self._pools)))
        if self.heterogeneity_aware:
            return pools
        self._rounds += 1
        first = self._rounds % len(pools)
        return pools[first:] + pools[:first]

    def _is_here(self, job: int) -> bool:
        return job in self.waiting or job in self.queue.running

    def _record(self, job: int, now: float) -> None:
        """Book the time that a job ran in the round so far."""
        row, since_s = self._turns.pop(job)
        if job in self._state.jobs:
            self._state.record(job, row, now - since_s)

    def _change_to(self, turns: dict[int, int], view: View) -> Iterator[Decision]:
        """Preempt the jobs without a turn on their pool, and start those with one."""
        for job in view.running.tolist():
            row = self._row_of[self.queue.running[job].partition.index]
            if turns.get(job) != row or job in self._places:
                yield Preempt(job, self.preempt_by, self.cost_of(job))
        for job, row in turns.items():
            if start := self._start_of(job, row, view):
                yield start

    def _problem(self, view: View) -> AllocationProblem:
        """Return the program's input, in the order of the jobs of the rounds."""
        jobs = np.array(self._state.jobs, dtype=np.int64)
        whole_s = np.array([self._whole_s[job] for job in jobs.tolist()])
        steps = self._steps(jobs)
        rates = steps[:, None] / np.maximum(whole_s, _SHORTEST_S)
        left = np.maximum(self._share_left(jobs, view), _SMALLEST_SHARE)
        problem = AllocationProblem(
            rates=rates,
            gangs=view.n_accelerators(jobs),
            accelerators=np.array(self._state.accelerators),
            remaining_steps=steps * left,
            since_arrival_s=view.now - view.column("submit_s", jobs, default=0.0),
            isolated_so_far_s=self._isolated_so_far(jobs, steps * left),
            prices=self._prices(),
        )
        for job, steps_left, rate in zip(
            jobs.tolist(), (steps * left).tolist(), problem.isolated_rates.tolist(), strict=True
        ):
            self._left_then[job] = steps_left, rate
        return problem

    def _isolated_so_far(self, jobs: Ints, steps_left: Floats) -> Floats:
        """Return the time that the work so far would have taken with an equal share, seconds."""
        for job, left in zip(jobs.tolist(), steps_left.tolist(), strict=True):
            if job in self._left_then:
                before, rate = self._left_then[job]
                done_s = (before - left) / rate if rate > 0 else 0.0
                self._isolated_s[job] = self._isolated_s.get(job, 0.0) + max(0.0, done_s)
        return np.array([self._isolated_s.get(job, 0.0) for job in jobs.tolist()])

    def _share_left(self, jobs: Ints, view: View) -> Floats:
        """Return the share of each job's estimated work that is left."""
        queue, left = self.queue, []
        for job, left_s in zip(jobs.tolist(), view.remaining_s(jobs).tolist(), strict=True):
            at = queue.running.get(job)
            index = queue.choices(job)[0] if at is None else at.partition.index
            left.append(left_s / max(self._whole_s[job][self._row_of[index]], _SHORTEST_S))
        share: Floats = np.minimum(np.array(left), 1.0)
        return share

    def _steps(self, jobs: Ints) -> Floats:
        """Return the steps of each job; without such a column, its time on its fastest pool."""
        given = self.queue.jobs.columns.get("steps")
        best_s = np.array([self._whole_s[job].min() for job in jobs.tolist()])
        steps: Floats = np.maximum(best_s, _SHORTEST_S)
        if given is None:
            return steps
        own = np.asarray(given[jobs], dtype=np.float64)
        return np.where(own > 0, own, steps)

    def _prices(self) -> Floats | None:
        return None


class Isolated(InRounds):
    """Each job gets the time that it would have with an equal share of each pool to itself."""

    heterogeneity_aware: bool = False

    def program(self, problem: AllocationProblem) -> Allocation:
        return gavel.isolated(problem)

    def program_of_alike(self, problem: AllocationProblem) -> Allocation:
        return self.program(problem)


class MaxMinFairness(InRounds):
    """Max-min fairness: the smallest rate, relative to an equal share of all pools, is maximised.

    Least attained service over time and pools (Narayanan et al., OSDI 2020, section 4.1).
    """

    def program(self, problem: AllocationProblem) -> Allocation:
        return gavel.max_min_fairness(problem)


class MaxMinWaterFilling(InRounds):
    """Max-min fairness of all levels: the smallest rate is maximised, then the next, and so on."""

    def program(self, problem: AllocationProblem) -> Allocation:
        return water_filling(problem)


class FinishTimeFairness(InRounds):
    """Finish-time fairness: the largest ratio of finish time to that in isolation is minimised.

    Mahajan et al., "Themis: Fair and efficient GPU cluster scheduling", NSDI 2020, as a program
    of Narayanan et al., OSDI 2020.
    """

    def program(self, problem: AllocationProblem) -> Allocation:
        return gavel.min_finish_time_ratio(problem)


class MinMakespan(InRounds):
    """The time at which the last of the present jobs ends is minimised."""

    def program(self, problem: AllocationProblem) -> Allocation:
        return gavel.min_makespan(problem)


class MaxThroughput(InRounds):
    """The sum of the rates of all jobs is maximised, in steps or in seconds on the fastest pool."""

    def program(self, problem: AllocationProblem) -> Allocation:
        return gavel.max_total_throughput(problem)


class MaxThroughputPerCost(InRounds):
    """The sum of the rates, each divided by the price of an accelerator, is maximised.

    Attributes
    ----------
    prices : mapping of str to float
        Price of an accelerator of each pool for an hour, by the name of the pool, in any currency.
    """

    prices: Mapping[str, float] = MappingProxyType({})

    @classmethod
    def check_options(cls) -> str:
        for pool, price in cls.prices.items():
            if not 0 < price < math.inf:
                return f"option prices: must be above 0, found {price} for {pool!r}"
        return super().check_options()

    def __init__(self, queue: Queue) -> None:
        super().__init__(queue)
        pools = list(dict.fromkeys(part.pool_name for part in queue.partitions))
        lacking = [pool for pool in pools if pool not in self.prices]
        unknown = [name for name in self.prices if name not in pools]
        problem = ""
        if unknown:
            problem = f"has {unknown[0]!r}, which is no pool; {nearest_hint(unknown[0], pools)}"
        elif lacking:
            problem = f"needs a price for each pool, such as {lacking[0]}:2.5; it has none for "
            problem += listed(lacking)
        if problem:
            raise InputError("policy max_throughput_per_cost", f"option prices: {problem}")

    def program(self, problem: AllocationProblem) -> Allocation:
        return gavel.max_total_throughput_per_cost(problem)

    def _prices(self) -> Floats | None:
        return np.array([self.prices[part.pool_name] for part in self._pools])
