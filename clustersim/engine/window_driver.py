"""Windows that are planned for a run: maintenance and reservations in advance."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

import numpy as np

from clustersim.array_types import Bools
from clustersim.engine.engine import Simulation
from clustersim.engine.node_events import NodeEvent, NodeEventKind
from clustersim.scheduling.placements import NodePlacement
from clustersim.scheduling.queue import Partition
from clustersim.scheduling.windows import Window, Windows

__all__ = ["FreeLog", "PlannedWindow", "WindowDriver", "maintenance_events"]


@dataclass(frozen=True, slots=True)
class PlannedWindow:
    """A time in which nodes of a pool are in maintenance or reserved.

    Attributes
    ----------
    name : str
    kind : {"maintenance", "reservation"}
    pool : int
        Index of the pool.
    nodes : tuple of int
        Nodes of the pool.
    begin_s, end_s, announced_s : float
        Start, end, and the time from which schedulers know of it, seconds.
    lets_finish : bool
        Whether a job that still runs at the beginning goes on to its end; otherwise it is asked to
        save its state, and waits again.
    users, virtual_clusters, jobs : tuple of str
        Whose jobs may use reserved nodes, and ids of such jobs.

    Examples
    --------
    >>> from clustersim.engine.window_driver import PlannedWindow
    >>> PlannedWindow("firmware", "maintenance", 0, (0, 1), 3600.0, 7200.0).announced_s
    0.0
    """

    name: str
    kind: Literal["maintenance", "reservation"]
    pool: int
    nodes: tuple[int, ...]
    begin_s: float
    end_s: float
    announced_s: float = 0.0
    lets_finish: bool = False
    users: tuple[str, ...] = ()
    virtual_clusters: tuple[str, ...] = ()
    jobs: tuple[str, ...] = ()


def maintenance_events(windows: Iterable[PlannedWindow]) -> list[NodeEvent]:
    """Return the node events of maintenance windows, in order of time.

    Examples
    --------
    >>> from clustersim.engine.window_driver import PlannedWindow, maintenance_events
    >>> firmware = PlannedWindow("firmware", "maintenance", 0, (0, 1), 3600.0, 7200.0)
    >>> [(event.node, event.begin_s, event.cause) for event in maintenance_events([firmware])]
    [(0, 3600.0, 'firmware'), (1, 3600.0, 'firmware')]
    """
    return sorted(
        NodeEvent(
            each.begin_s,
            each.end_s,
            each.pool,
            node,
            each.name,
            NodeEventKind.MAINTENANCE,
            waits=each.lets_finish,
        )
        for each in windows
        if each.kind == "maintenance"
        for node in each.nodes
    )


@dataclass(slots=True)
class FreeLog:
    """Accelerators that were free on the nodes of a window, as a step function of time.

    Attributes
    ----------
    times_s : list of float
        Seconds, ascending.
    free : list of int
        Free accelerators from each time to the next one; the last one is 0.
    """

    times_s: list[float] = field(default_factory=list)
    free: list[int] = field(default_factory=list)

    def note(self, now: float, free: int) -> None:
        """Add a value from now on."""
        if self.times_s and self.times_s[-1] == now:
            self.free[-1] = free
        elif not self.free or self.free[-1] != free:
            self.times_s.append(now)
            self.free.append(free)


class WindowDriver:
    """Announces windows to a simulation that has not started yet, and clears reserved nodes.

    Nodes in maintenance are taken out of service by
    :class:`~clustersim.engine.node_driver.NodeDriver`.

    Parameters
    ----------
    simulation : Simulation
        Its placements must track nodes.
    windows : sequence of PlannedWindow
        No two of them may overlap on a node.
    may_use : sequence of set of int
        The jobs that may use the nodes of each window.

    Attributes
    ----------
    stopped : list of int
        Number of jobs that were stopped at the beginning of each reservation.
    free : list of (int, Partition, FreeLog)
        Number of the window, and the accelerators that were free on its nodes of a partition from
        the announcement to the beginning.
    """

    def __init__(
        self,
        simulation: Simulation,
        windows: Sequence[PlannedWindow],
        may_use: Sequence[frozenset[int]],
    ) -> None:
        self._simulation = simulation
        self.stopped = [0] * len(windows)
        self.free: list[tuple[int, Partition, FreeLog]] = []
        self._ahead: dict[Window, tuple[Partition, FreeLog]] = {}
        for number, (planned, jobs) in enumerate(zip(windows, may_use, strict=True)):
            for partition in simulation.partitions:
                nodes = _in_partition(planned, partition)
                if nodes.any():
                    window = Window(
                        f"{planned.kind} {planned.name!r}",
                        planned.begin_s,
                        planned.end_s,
                        nodes,
                        jobs,
                    )
                    self._plan(number, planned, partition, window)
        simulation.around_passes(after=self._note)

    def _plan(
        self, number: int, planned: PlannedWindow, partition: Partition, window: Window
    ) -> None:
        if partition.windows is None:
            partition.windows = Windows(partition.placement.n_nodes)
        log = FreeLog()
        self.free.append((number, partition, log))
        announced_s = min(planned.announced_s, planned.begin_s)
        if announced_s <= 0:
            partition.windows.announced.append(window)
            self._ahead[window] = partition, log
        else:
            announce = partial(self._announce, partition, window, log)
            self._simulation.call_at(announced_s, announce)
        if planned.kind == "reservation":
            begin = partial(self._clear, number, planned, partition, window)
            self._simulation.call_at(window.begin_s, begin)
        self._simulation.call_at(window.end_s, partial(self._end, partition, window))

    def _announce(self, partition: Partition, window: Window, log: FreeLog) -> None:
        assert partition.windows is not None, "it has windows"
        partition.windows.announced.append(window)
        self._ahead[window] = partition, log
        self._simulation.service_changed(partition)

    def _note(self) -> None:
        """Note how many accelerators are free on the nodes of windows that have not begun."""
        now = self._simulation.clock.now
        for window, (partition, log) in list(self._ahead.items()):
            if now >= window.begin_s:
                log.note(window.begin_s, 0)
                del self._ahead[window]
                continue
            placement = partition.placement
            assert isinstance(placement, NodePlacement), "it was checked"
            log.note(now, int(placement.free_by_node()[window.nodes].sum()))

    def _clear(
        self, number: int, planned: PlannedWindow, partition: Partition, window: Window
    ) -> None:
        """Stop the jobs on reserved nodes that may not use them."""
        closed = frozenset(np.flatnonzero(window.nodes).tolist())
        self._simulation.give_up_moves(partition, closed, but=window.may_use)
        if not planned.lets_finish:
            for job in list(partition.nodes_of):
                if job not in window.may_use:
                    nodes, _ = partition.node_arrays(job)
                    if window.nodes[nodes].any():
                        self._simulation.save_and_stop(job)
                        self.stopped[number] += 1
        self._simulation.service_changed(partition)

    def _end(self, partition: Partition, window: Window) -> None:
        assert partition.windows is not None, "it has windows"
        partition.windows.announced.remove(window)
        self._simulation.service_changed(partition)


def _in_partition(planned: PlannedWindow, partition: Partition) -> Bools:
    """Return which nodes of a partition belong to a window."""
    n_nodes = partition.placement.n_nodes
    chosen = np.zeros(n_nodes, dtype=np.bool_)
    if planned.pool == partition.pool:
        nodes = np.array(planned.nodes, dtype=np.int64) - partition.first_node
        chosen[nodes[(nodes >= 0) & (nodes < n_nodes)]] = True
    return chosen
