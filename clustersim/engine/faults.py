"""What outages do to a simulation: jobs are slowed or stopped, go back to the line, and go on."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from simpy.core import StopSimulation
from simpy.events import Event

from clustersim.engine.attempts import AttemptLog
from clustersim.engine.clock import COMPLETION, OUTAGE
from clustersim.engine.ending import Ending
from clustersim.engine.node_events import LAST_S, NodeEvent
from clustersim.engine.node_state import JobsOnNodes, SlowNodes
from clustersim.engine.pace import Pace
from clustersim.engine.recovery import NO_CHECKPOINTS, Checkpoints, Progress, Recovery
from clustersim.scheduling.placement import Nodes
from clustersim.scheduling.queue import Partition

if TYPE_CHECKING:
    from clustersim.engine.engine import Simulation

__all__ = ["Faults"]

_FIRST = 0
"""Priority of the horizon: before all else of its instant."""


@dataclass(slots=True)
class _Attempt:
    """A job that runs: its number in the log, and how far it is."""

    number: int
    began_s: float
    checkpoints: Checkpoints
    work_s: float
    again: bool
    pace: Pace

    @property
    def end_s(self) -> float:
        return self.pace.end_s(self.checkpoints.wall_s(self.work_s, again=self.again))

    def progress(self, now: float, *, saved: bool) -> Progress:
        """Account for its time until `now`, when it is stopped."""
        at_full_speed_s = self.pace.at(now)
        progress = self.checkpoints.progress(
            at_full_speed_s, self.work_s, again=self.again, saved=saved
        )
        return progress._replace(slow_s=now - self.began_s - at_full_speed_s)

    def whole(self, now: float) -> Progress:
        """Account for its time when it ends with its job."""
        progress = self.checkpoints.whole(self.work_s, again=self.again)
        slow_s = (
            0.0
            if self.pace.since_s == self.began_s and self.pace.slowdown == 1.0
            else (now - self.began_s - self.checkpoints.wall_s(self.work_s, again=self.again))
        )
        return progress._replace(slow_s=slow_s)


class Faults:
    """Takes nodes out of service and back, and keeps what is left of the jobs that it stops.

    Parameters
    ----------
    simulation : Simulation
    outages : iterable of NodeEvent
        See :class:`~clustersim.engine.engine.Simulation`.
    recovery : Recovery, optional
        By default a job that is stopped begins anew at once.
    run_s : sequence of sequence of float
        Work of each job by pool, seconds.

    Attributes
    ----------
    attempts : AttemptLog
    ending : Ending
        Stops a run without a horizon; knows which nodes never serve again.
    """

    def __init__(
        self,
        simulation: Simulation,
        outages: Iterable[NodeEvent],
        recovery: Recovery | None,
        run_s: Sequence[Sequence[float]],
    ) -> None:
        self._noted: list[NodeEvent] = []
        self._is_over = bytearray()
        self._together: list[int] = []
        self._together_at = (-1.0, -1.0)
        self._running: dict[int, _Attempt] = {}
        self._simulation = simulation
        self._outages = outages
        self._recovery = recovery
        self._run_s = run_s
        self.attempts = AttemptLog()
        self.ending = Ending(simulation, self._running)
        self._left: dict[int, float] = {}
        self._whole_estimate_s: dict[int, list[float]] = {}
        placements = [partition.placement for partition in simulation.partitions]
        self._on_node = [JobsOnNodes(each.n_nodes, each.chips_per_node) for each in placements]
        self._slow = [SlowNodes(each.n_nodes) for each in placements]
        self._of_pool: dict[int, list[Partition]] = {}
        for partition in sorted(simulation.partitions, key=lambda part: part.first_node):
            self._of_pool.setdefault(partition.pool, []).append(partition)

    def begin(self, horizon_s: float | None) -> None:
        """Let outages happen, and the simulation stop at the horizon, or when no job can start."""
        clock = self._simulation.clock
        clock.process(self._take_turns())
        if horizon_s is None:
            self.ending.stop_when_nothing_can_start()
        until_s = LAST_S if horizon_s is None else horizon_s
        clock.at(until_s, _FIRST).callbacks.append(StopSimulation.callback)

    def start(self, job: int, partition: Partition, nodes: Nodes) -> int:
        """Start an attempt of a job on some nodes; return its number."""
        simulation = self._simulation
        now = simulation.clock.now
        if math.isnan(simulation.start_s[job]):
            simulation.start_s[job] = now
        number = self.attempts.begin(job, partition.index, now)
        self._on_node[partition.index].add(job, nodes)
        pace = Pace(now, 0.0, self._slow[partition.index].slowdown(nodes))
        work_s, again = self._work_s(job, partition), job in self._left
        checkpoints = self._checkpoints(job, partition)
        self._go_on(job, partition, _Attempt(number, now, checkpoints, work_s, again, pace))
        return number

    @property
    def log(self) -> list[NodeEvent]:
        """What went out of service so far; the end is infinite of what has not come back."""
        return [
            outage if over else outage._replace(end_s=math.inf)
            for outage, over in zip(self._noted, self._is_over, strict=True)
        ]

    def settle(self) -> None:
        """Note what the jobs that still run have done so far, none of which is lost yet."""
        for job, attempt in self._running.items():
            progress = attempt.progress(self._simulation.clock.now, saved=True)
            pool = self._simulation.partitions[self._simulation.partition_of[job]].pool
            done = self._share(progress.kept_s, job, pool)
            self.attempts.note(attempt.number, progress, done)

    def _go_on(self, job: int, partition: Partition, attempt: _Attempt) -> None:
        self._running[job] = attempt
        self._simulation.clock.process(self._run(job, partition, attempt))

    def _run(
        self, job: int, partition: Partition, attempt: _Attempt
    ) -> Generator[Event, None, None]:
        """One attempt of a job to its end, if it is not stopped or slowed (a SimPy process)."""
        simulation = self._simulation
        yield simulation.clock.at(attempt.end_s, COMPLETION)
        if self._running.get(job) is not attempt:
            return
        del self._running[job]
        now = simulation.clock.now
        self.attempts.end(attempt.number, now, attempt.whole(now), self._left.get(job, 1.0))
        self._on_node[partition.index].remove(job, partition.nodes_of[job])
        simulation.end(job, partition, attempt.began_s)
        self.ending.ask()

    def _take_turns(self) -> Generator[Event, None, None]:
        """Let one outage after the other begin (a SimPy process)."""
        clock = self._simulation.clock
        for outage in self._outages:
            if outage.begin_s > clock.now:
                yield clock.at(outage.begin_s, OUTAGE)
            if outage.slows:
                self._slow_down(outage)
            else:
                self._take_out(outage)
            self.ending.ask()

    def _slow_down(self, outage: NodeEvent) -> None:
        """Let the jobs on a node go on slower; nobody else is told."""
        partition, node = self._place(outage)
        self._slow[partition.index].add(node, outage.slowdown)
        self._change_pace(partition, node)
        self._note(outage)

    def _speed_up(self, outage: NodeEvent) -> None:
        partition, node = self._place(outage)
        self._slow[partition.index].remove(node, outage.slowdown)
        self._change_pace(partition, node)

    def _change_pace(self, partition: Partition, node: int) -> None:
        """Time the jobs on a node again."""
        now = self._simulation.clock.now
        for job in self._on_node[partition.index].on(node):
            attempt = self._running[job]
            slowdown = self._slow[partition.index].slowdown(partition.nodes_of[job])
            if slowdown != attempt.pace.slowdown:
                pace = attempt.pace.changed(now, slowdown)
                self._go_on(job, partition, replace(attempt, pace=pace))

    def _take_out(self, outage: NodeEvent) -> None:
        simulation = self._simulation
        partition, node = self._place(outage)
        for job in self._on_node[partition.index].on(node):
            self._stop(job, partition, saved=outage.kind.planned)
        if outage.end_s <= simulation.clock.now:  # a spare took over at once
            self._noted.append(outage)
            self._is_over.append(True)
            simulation.service_changed(partition)
            return
        partition.withdraw(node, outage.end_s)
        simulation.service_changed(partition)
        self._note(outage)

    def _note(self, outage: NodeEvent) -> None:
        """Put an outage into the log, and have it end at its time.

        Nodes of a delivery, which are missing from one instant to another, come back in one event.
        """
        clock, number = self._simulation.clock, len(self._noted)
        self._noted.append(outage)
        self._is_over.append(False)
        if outage.end_s == math.inf:
            return
        at = (clock.now, outage.end_s)
        if at == self._together_at and not outage.slows:
            self._together.append(number)
            return
        numbers = [number]
        clock.at(outage.end_s, OUTAGE).callbacks.append(lambda _: self._end(numbers))
        self._together, self._together_at = numbers, (-1.0, -1.0) if outage.slows else at

    def _end(self, numbers: list[int]) -> None:
        """Let outages end, all at this instant."""
        for number in numbers:
            self._is_over[number] = True
            outage = self._noted[number]
            if outage.slows:
                self._speed_up(outage)
            else:
                self._bring_back(outage)
        self.ending.ask()

    def _place(self, outage: NodeEvent) -> tuple[Partition, int]:
        """Return the partition of a node and its place there."""
        of_pool = self._of_pool[outage.pool]
        partition = of_pool[0]
        if len(of_pool) > 1:
            partition = [part for part in of_pool if part.first_node <= outage.node][-1]
        return partition, outage.node - partition.first_node

    def _bring_back(self, outage: NodeEvent) -> None:
        partition, node = self._place(outage)
        partition.restore(node)
        self._simulation.service_changed(partition)

    def _stop(self, job: int, partition: Partition, *, saved: bool) -> None:
        """Stop a job, keep what its last checkpoint holds, and put it back into the line."""
        simulation = self._simulation
        attempt, now = self._running.pop(job), simulation.clock.now
        progress = attempt.progress(now, saved=saved)
        done = self._share(progress.kept_s, job, partition.pool)
        self.attempts.end(attempt.number, now, progress, done)
        self._on_node[partition.index].remove(job, partition.nodes_of[job])
        simulation.leave(job, partition, attempt.began_s)
        simulation.partition_of[job] = -1
        self._left[job] = max(0.0, self._left.get(job, 1.0) - done)
        self._estimate_again(job)
        simulation.resubmit(job)

    def _estimate_again(self, job: int) -> None:
        """Tell the scheduler how long the rest of a job takes, as far as its user can tell."""
        estimate_s = self._simulation.jobs.estimate_s
        whole = self._whole_estimate_s.setdefault(job, [column[job] for column in estimate_s])
        restart_s = 0.0 if self._recovery is None else self._recovery.restart_s[job]
        for column, seconds in zip(estimate_s, whole, strict=True):
            column[job] = restart_s + seconds * self._left[job]  # type: ignore[index]

    def _checkpoints(self, job: int, partition: Partition) -> Checkpoints:
        if self._recovery is None:
            return NO_CHECKPOINTS
        return self._recovery.of(job, partition.pool)

    def _work_s(self, job: int, partition: Partition) -> float:
        """Work that is left of a job, on the chips of a partition; seconds."""
        return self._left.get(job, 1.0) * self._run_s[partition.pool][job]

    def _share(self, kept_s: float, job: int, pool: int) -> float:
        """Share of a job's whole work that so many seconds on a pool are."""
        whole_s = self._run_s[pool][job]
        return kept_s / whole_s if whole_s > 0 else 0.0
