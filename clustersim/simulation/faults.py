"""What outages do to a simulation: jobs are stopped, go back to the line, and go on."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterable, Sequence
from typing import TYPE_CHECKING

from simpy.core import StopSimulation
from simpy.events import Event

from clustersim.scheduling.placement import Nodes
from clustersim.scheduling.queue import Partition
from clustersim.simulation.attempts import AttemptLog
from clustersim.simulation.clock import COMPLETION, OUTAGE
from clustersim.simulation.outages import Outage
from clustersim.simulation.recovery import NO_CHECKPOINTS, Checkpoints, Recovery

if TYPE_CHECKING:
    from clustersim.simulation.engine import Simulation

__all__ = ["Faults"]

_FIRST = 0
"""Priority of the horizon: before all else of its instant."""


class Faults:
    """Takes nodes out of service and back, and keeps what is left of the jobs that it stops.

    Parameters
    ----------
    simulation : Simulation
    outages : iterable of Outage
        See :class:`~clustersim.simulation.engine.Simulation`.
    recovery : Recovery, optional
        By default a job that is stopped begins anew at once.
    run_s : sequence of sequence of float
        Work of each job by pool, seconds.

    Attributes
    ----------
    log : list of Outage
        What went out of service so far; the end is when it came back, infinite if it has not.
    attempts : AttemptLog
    """

    def __init__(
        self,
        simulation: Simulation,
        outages: Iterable[Outage],
        recovery: Recovery | None,
        run_s: Sequence[Sequence[float]],
    ) -> None:
        self.log: list[Outage] = []
        self._simulation = simulation
        self._outages = outages
        self._recovery = recovery
        self._run_s = run_s
        self.attempts = AttemptLog()
        self._attempt_of: dict[int, int] = {}
        self._left: dict[int, float] = {}
        self._whole_estimate_s: dict[int, list[float]] = {}
        self._on_node: list[dict[int, dict[int, None]]] = [{} for _ in simulation.partitions]

    def begin(self, horizon_s: float | None) -> None:
        """Let outages happen, and the simulation stop at the horizon."""
        clock = self._simulation.clock
        clock.process(self._take_turns())
        if horizon_s is not None:
            self._stop_at(horizon_s, _FIRST)

    def start(self, job: int, partition: Partition, nodes: Nodes) -> int:
        """Start an attempt of a job on some nodes; return its number."""
        simulation = self._simulation
        now = simulation.clock.now
        if math.isnan(simulation.start_s[job]):
            simulation.start_s[job] = now
        attempt = self._attempt_of[job] = self.attempts.begin(job, partition.index, now)
        on_node = self._on_node[partition.index]
        for node, _ in nodes:
            on_node.setdefault(node, {})[job] = None
        simulation.clock.process(self._run(job, partition, attempt))
        return attempt

    def _run(self, job: int, partition: Partition, attempt: int) -> Generator[Event, None, None]:
        """One attempt of a job to its end, if it is not stopped (a SimPy process)."""
        simulation, checkpoints = self._simulation, self._checkpoints(job, partition)
        clock, started = simulation.clock, simulation.clock.now
        work_s, again = self._work_s(job, partition), job in self._left
        yield clock.at(started + checkpoints.wall_s(work_s, again=again), COMPLETION)
        if self._attempt_of.get(job) != attempt:
            return
        self.attempts.end(attempt, clock.now, checkpoints.whole(work_s, again=again))
        self._forget(job, partition)
        simulation.end(job, partition, started)
        if simulation.n_ended == simulation.n_jobs:
            self._stop_at(clock.now, COMPLETION)

    def _take_turns(self) -> Generator[Event, None, None]:
        """Let one outage after the other begin (a SimPy process)."""
        clock = self._simulation.clock
        for outage in self._outages:
            if outage.begin_s > clock.now:
                yield clock.at(outage.begin_s, OUTAGE)
            self._take_out(outage)

    def _take_out(self, outage: Outage) -> None:
        simulation = self._simulation
        partition, node = self._place(outage)
        for job in list(self._on_node[partition.index].get(node, ())):
            self._stop(job, partition, saved=outage.planned)
        partition.withdraw(node, outage.end_s)
        simulation.service_changed(partition)
        place = len(self.log)
        self.log.append(outage._replace(end_s=float("inf")))
        if outage.end_s < float("inf"):
            back = simulation.clock.at(outage.end_s, OUTAGE)
            back.callbacks.append(lambda _: self._bring_back(outage, place))

    def _place(self, outage: Outage) -> tuple[Partition, int]:
        """Return the partition of a node and its place there."""
        of_pool = [part for part in self._simulation.partitions if part.pool == outage.pool]
        partition = max(
            (part for part in of_pool if part.first_node <= outage.node),
            key=lambda part: part.first_node,
        )
        return partition, outage.node - partition.first_node

    def _bring_back(self, outage: Outage, place: int) -> None:
        partition, node = self._place(outage)
        partition.restore(node, outage.end_s)
        self.log[place] = outage
        self._simulation.service_changed(partition)

    def _stop(self, job: int, partition: Partition, *, saved: bool) -> None:
        """Stop a job, keep what its last checkpoint holds, and put it back into the line."""
        simulation = self._simulation
        attempt, now = self._attempt_of.pop(job), simulation.clock.now
        began_s = self.attempts.start_s[attempt]
        progress = self._checkpoints(job, partition).progress(
            now - began_s, self._work_s(job, partition), again=job in self._left, saved=saved
        )
        self.attempts.end(attempt, now, progress)
        self._forget(job, partition)
        simulation.leave(job, partition, began_s)
        simulation.partition_of[job] = -1
        whole_s = self._run_s[partition.pool][job]
        done = progress.kept_s / whole_s if whole_s > 0 else 0.0
        self._left[job] = max(0.0, self._left.get(job, 1.0) - done)
        self._estimate_again(job)
        simulation.resubmit(job)

    def _estimate_again(self, job: int) -> None:
        """Tell the scheduler how long the rest of a job takes, as far as its user can tell."""
        estimate_s = self._simulation.jobs.estimate_s
        whole = self._whole_estimate_s.setdefault(job, [column[job] for column in estimate_s])
        restart_s = 0.0 if self._recovery is None else self._recovery.restart_s
        for column, seconds in zip(estimate_s, whole, strict=True):
            column[job] = restart_s + seconds * self._left[job]  # type: ignore[index]

    def _checkpoints(self, job: int, partition: Partition) -> Checkpoints:
        if self._recovery is None:
            return NO_CHECKPOINTS
        return self._recovery.of(job, partition.pool)

    def _work_s(self, job: int, partition: Partition) -> float:
        """Work that is left of a job, on the chips of a partition; seconds."""
        return self._left.get(job, 1.0) * self._run_s[partition.pool][job]

    def _forget(self, job: int, partition: Partition) -> None:
        on_node = self._on_node[partition.index]
        for node, _ in partition.nodes_of[job]:
            del on_node[node][job]

    def _stop_at(self, time: float, priority: int) -> None:
        event = self._simulation.clock.at(time, priority)
        event.callbacks.append(StopSimulation.callback)
