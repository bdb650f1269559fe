"""Carries out node events: removes and restores nodes, and slows or stops the jobs on them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Generator, Iterable

from simpy.core import StopSimulation
from simpy.events import Event

from clustersim.engine.attempts import StopCause
from clustersim.engine.clock import HORIZON, NODE_EVENT
from clustersim.engine.engine import Simulation
from clustersim.engine.node_events import LAST_S, NodeEvent, NodeEventKind
from clustersim.engine.node_state import JobsOnNodes, SlowNodes
from clustersim.scheduling.placements import Nodes
from clustersim.scheduling.queue import Partition

__all__ = ["NodeDriver"]


class NodeDriver:
    """Applies node events to a simulation that has not started yet.

    The jobs on each node of a partition are tracked only from the partition's first event on.

    Parameters
    ----------
    simulation : Simulation
        Its placements must track nodes. Without a horizon, it ends after 100 years, so the sequence
        of events may be infinite.
    events : iterable of NodeEvent
        In order of their start. No event may remove a node that is already out of service (see
        :func:`~clustersim.engine.node_events.without_overlaps`).
    when_begun : callable, optional
        Called with each event when it begins.

    Attributes
    ----------
    stopped : Counter of (str, float, int)
        Number of jobs that were stopped, by cause, time (seconds) and pool.
    """

    def __init__(
        self,
        simulation: Simulation,
        events: Iterable[NodeEvent],
        *,
        when_begun: Callable[[NodeEvent], None] | None = None,
    ) -> None:
        self._simulation = simulation
        self._events = events
        self._when_begun = when_begun
        self._told: set[int] = set()
        self._begun: list[NodeEvent] = []
        self._is_over = bytearray()
        self._together: list[int] = []
        self._together_at = (-1.0, -1.0)
        self._on_node: dict[int, JobsOnNodes] = {}
        self._slow: dict[int, SlowNodes] = {}
        self.stopped: Counter[tuple[str, float, int]] = Counter()
        self._late: dict[tuple[int, int], NodeEvent] = {}
        self._of_pool: dict[int, list[Partition]] = {}
        for partition in sorted(simulation.partitions, key=lambda part: part.first_node):
            self._of_pool.setdefault(partition.pool, []).append(partition)
        clock = simulation.clock
        clock.process(self._take_turns())
        if simulation.horizon_s is None:
            clock.at(LAST_S, HORIZON).callbacks.append(StopSimulation.callback)

    @property
    def log(self) -> list[NodeEvent]:
        """The events that have begun. An event that is not over has an infinite end."""
        return [
            event if over else event._replace(end_s=math.inf)
            for event, over in zip(self._begun, self._is_over, strict=True)
        ]

    def started(self, job: int, partition: Partition, nodes: Nodes) -> None:
        """Record that a job has started, and slow it down if one of its nodes is slow."""
        if (on_node := self._on_node.get(partition.index)) is not None:
            on_node.add(job, nodes)
        if (slow := self._slow.get(partition.index)) is not None and slow.slowdown(nodes) > 1.0:
            self._simulation.rerate(job, self._slowdown(job))

    def left(self, job: int, partition: Partition, nodes: Nodes) -> None:
        """Record that a job leaves its nodes."""
        if (on_node := self._on_node.get(partition.index)) is not None:
            on_node.remove(job, nodes)
        self._told.discard(job)
        if self._late:
            for event in [self._late.pop((partition.index, node), None) for node, _ in nodes]:
                if event is not None:
                    self._take_out_now(event)

    def _take_turns(self) -> Generator[Event, None, None]:
        """Begin the events one after the other (a SimPy process)."""
        clock = self._simulation.clock
        for event in self._events:
            if event.begin_s > clock.now:
                yield clock.at(event.begin_s, NODE_EVENT)
            if event.slows:
                self._slow_down(event)
            elif not event.is_pause:
                self._take_out(event)

    def _take_out_now(self, event: NodeEvent) -> None:
        """Take out a node that waited for a job, later at this instant."""
        clock = self._simulation.clock

        def take_out(_event: Event) -> None:
            if event.end_s > clock.now:
                self._take_out(event._replace(begin_s=clock.now))

        clock.at(clock.now, NODE_EVENT).callbacks.append(take_out)

    def _take_out(self, event: NodeEvent) -> None:
        partition, node = self._place(event)
        self._simulation.give_up_moves(partition, {node})
        if event.waits and self._jobs_on(partition, node):
            self._late[partition.index, node] = event
            return
        closed = event.kind.planned and self._is_closed(partition, node)
        if closed and self._save_first(event, self._jobs_on(partition, node)):
            self._late[partition.index, node] = event._replace(waits=True)
            return
        cut_off = event.kind is NodeEventKind.CUT_OFF
        cause = StopCause.NETWORK if cut_off else StopCause.NODE
        for job in self._jobs_on(partition, node):
            self._simulation.stop(job, saved=event.kind.planned, cause=cause)
            self.stopped[event.cause, event.begin_s, event.pool] += 1
        self._simulation.lose_memory(partition, node, saved=event.kind.planned)
        if event.end_s <= self._simulation.clock.now:  # a spare took over at once
            self._begun.append(event)
            self._is_over.append(True)
        else:
            partition.withdraw(node, event.end_s)
            self._begin(event)
        self._simulation.service_changed(partition)

    def _is_closed(self, partition: Partition, node: int) -> bool:
        """Return whether no job can start on a node, because of a window that has begun."""
        now, windows = self._simulation.clock.now, partition.windows
        return windows is not None and any(
            window.begin_s <= now < window.end_s and window.nodes[node] and not window.may_use
            for window in windows.announced
        )

    def _save_first(self, event: NodeEvent, jobs: Iterable[int]) -> bool:
        """Ask jobs to save their state and to leave; return whether one of them needs time."""
        waits = False
        for job in jobs:
            if job not in self._told:
                self._told.add(job)
                self.stopped[event.cause, event.begin_s, event.pool] += 1
            waits |= not self._simulation.save_and_stop(job)
        return waits

    def _slow_down(self, event: NodeEvent) -> None:
        """Slow the jobs on a node; the scheduler does not learn of it."""
        partition, node = self._place(event)
        if partition.index not in self._slow:
            self._slow[partition.index] = SlowNodes(partition.placement.n_nodes)
        self._slow[partition.index].add(node, event.slowdown)
        self._change_pace(partition, node)
        self._begin(event)

    def _begin(self, event: NodeEvent) -> None:
        """Add an event to the log and schedule its end.

        Node events with the same start and end, such as those of one delivery, share one event on
        the clock for their end.
        """
        if self._when_begun is not None:
            self._when_begun(event)
        clock, number = self._simulation.clock, len(self._begun)
        self._begun.append(event)
        self._is_over.append(False)
        if event.end_s == math.inf:
            return
        at = (clock.now, event.end_s)
        if at == self._together_at and not event.slows:
            self._together.append(number)
            return
        numbers = [number]
        clock.at(event.end_s, NODE_EVENT, numbers).callbacks.append(self._end)
        self._together, self._together_at = numbers, (-1.0, -1.0) if event.slows else at

    def _end(self, ending: Event) -> None:
        """End node events that are due at this instant."""
        for number in ending._value:
            self._is_over[number] = True
            event = self._begun[number]
            partition, node = self._place(event)
            if event.slows:
                self._slow[partition.index].remove(node, event.slowdown)
                self._change_pace(partition, node)
            else:
                partition.restore(node)
                self._simulation.service_changed(partition)

    def _change_pace(self, partition: Partition, node: int) -> None:
        """Set the pace of each job on a node to the pace of the job's slowest node."""
        for job in self._jobs_on(partition, node):
            self._simulation.rerate(job, self._slowdown(job))

    def _slowdown(self, job: int) -> float:
        """Return the slowdown of the slowest node of a running job."""
        attempt = self._simulation.running[job]
        holding, own = attempt.holding, attempt.partition
        held = ((own, own.nodes_of[job]),) if holding is None else holding.on
        return max(
            self._slow[each.index].slowdown(nodes) if each.index in self._slow else 1.0
            for each, nodes in held
        )

    def _jobs_on(self, partition: Partition, node: int) -> list[int]:
        """Return the jobs that hold chips of a node, in order of their start."""
        on_node = self._on_node.get(partition.index)
        if on_node is None:
            if not self._on_node:
                self._simulation.watch(self)
            placement = partition.placement
            on_node = JobsOnNodes(placement.n_nodes, placement.chips_per_node)
            for job, nodes in partition.nodes_of.items():
                on_node.add(job, nodes)
            self._on_node[partition.index] = on_node
        return on_node.on(node)

    def _place(self, event: NodeEvent) -> tuple[Partition, int]:
        """Return the partition of a node and the node's index in it."""
        of_pool = self._of_pool[event.pool]
        partition = of_pool[0]
        if len(of_pool) > 1:
            partition = [part for part in of_pool if part.first_node <= event.node][-1]
        return partition, event.node - partition.first_node
