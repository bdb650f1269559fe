"""Jobs that share storage: how long they load and save their state beside each other."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from simpy.events import Event

from clustersim.engine.attempts import Attempt
from clustersim.engine.clock import NODE_EVENT, STORAGE
from clustersim.engine.engine import Simulation
from clustersim.engine.node_events import NodeEvent, NodeEventKind
from clustersim.engine.storage_use import StorageUse
from clustersim.network import SharedStorage
from clustersim.scheduling.placements import Nodes
from clustersim.scheduling.queue import Partition

__all__ = ["StorageDriver", "StorageObserver"]

_DONE = 1e-9
"""A transfer of which this part is left is done: rounding separates ends that are simultaneous."""
_SAVED = 1e-6
"""The same for a save whose end is expected when the notice of its job runs out."""


class StorageObserver(Protocol):
    """An observer of storage systems."""

    def changed(self, time_s: float, system: int, storage: SharedStorage) -> None:
        """React to new rates of a system, from a time on."""


@dataclass(slots=True)
class _Transfer:
    """A transfer that goes on.

    Attributes
    ----------
    left_bytes, rate_Bps : float
        What is left of it, and its present rate.
    done : callable
        Called when it is done.
    pace : callable or None
        Called with its present stretch and the time (seconds) at which it will be done.
    """

    size_bytes: float
    left_bytes: float
    done: Callable[[], None]
    pace: Callable[[float, float], None] | None
    rate_Bps: float = 0.0


@dataclass(slots=True)
class _RegularSaves:
    """How a job saves its state regularly.

    Attributes
    ----------
    between_s, cost_s : float
        Work between two saves, and the time for which a save alone blocks the job, seconds.
    stretch : float
        How much longer a save takes at the job's present pace; 0 before it has one.
    """

    between_s: float
    cost_s: float
    stretch: float = 0.0

    @property
    def cycle_s(self) -> float:
        """Time from save to save alone, seconds."""
        return self.between_s + self.cost_s


@dataclass(slots=True)
class _System:
    """A storage system in a run."""

    storage: SharedStorage
    at_once: float
    transfers: dict[int, _Transfer] = field(default_factory=dict)
    waiting: deque[int] = field(default_factory=deque)
    loading: set[int] = field(default_factory=set)
    since_s: float = 0.0
    next_end: Event | None = None
    next_key: int = 0
    is_due: bool = False


class StorageDriver:
    """Lets jobs load and save their state through storage that they share.

    A job that restarts loads its state at the end of its restart; a job that is preempted, or
    stopped for a window, saves it before it leaves. These transfers are simulated one by one: those
    that go on at the same time share the system, and rates change when one of them begins or ends.
    Regular saves of running jobs are not: their expected load slows other transfers down, and
    each of these jobs gets a slower pace (:mod:`~clustersim.network.shared_storage`).

    Parameters
    ----------
    simulation : Simulation
        A simulation that has not started yet, with a recovery that has this use.
    use : StorageUse
    observer : StorageObserver, optional
        Notified of all changes.
    """

    def __init__(
        self, simulation: Simulation, use: StorageUse, observer: StorageObserver | None = None
    ) -> None:
        self._simulation, self._use, self._observer = simulation, use, observer
        self._systems = [
            _System(
                SharedStorage(system, tolerance=use.tolerance),
                math.inf if at_once is None else at_once,
            )
            for system, at_once in zip(use.systems, use.restores_at_once, strict=True)
        ]
        self._begins: dict[int, Event] = {}
        self._system_of: dict[int, _System] = {}
        self._clients: dict[int, int] = {}
        self._saves: dict[int, _RegularSaves] = {}
        self._n_reads = 0
        simulation.watch(self)
        simulation.share_storage(self)

    # --- As a watcher of the engine -----------------------------------------------------

    def started(self, job: int, partition: Partition, nodes: Nodes) -> None:
        """Let a job that starts load its state, or save it regularly."""
        attempt = self._simulation.running[job]
        holding = attempt.holding
        if holding is not None and partition is not holding.parts[-1].partition:
            return  # called once for each part
        use, checkpoints = self._use, attempt.checkpoints
        if not (use.size_bytes[job] or attempt.restarts):
            return
        pool = attempt.partition.pool
        self._system_of[job] = self._systems[use.system_of[pool]]
        n_nodes = len(nodes) if holding is None else sum(len(on) for _, on in holding.on)
        self._clients[job] = n_nodes or use.clients(pool, self._n(attempt))
        if attempt.restarts:
            now = self._simulation.clock.now
            begins_s = now + checkpoints.restart_s - checkpoints.load_s
            event = self._simulation.clock.at(begins_s, NODE_EVENT)
            event.callbacks.append(lambda _: self._ask_to_load(job))
            self._begins[job] = event
        else:
            self._work(attempt)

    def left(self, job: int, partition: Partition, nodes: Nodes) -> None:
        """Forget a job that leaves."""
        if job in self._system_of:
            self._forget(job)
            del self._system_of[job], self._clients[job]

    def _forget(self, job: int) -> None:
        """End all that a job does on the storage."""
        system = self._system_of[job]
        if (event := self._begins.pop(job, None)) is not None:
            self._simulation.clock.cancel(event)
        if self._saves.pop(job, None) is not None:
            system.storage.end(job)
            self._ask(system)
        if job in system.transfers:
            self._end(system, job)
        if job in system.loading:
            self._next_load(system, job)
        elif job in system.waiting:
            system.waiting.remove(job)

    # --- As the storage to which jobs save their state before they leave ------------------

    def saves(self, job: int) -> bool:
        """Return whether a job saves its state on shared storage."""
        return self._use.size_bytes[job] > 0

    def expected_s(self, job: int) -> float:
        """Return how long a running job would take to save its state from now on, seconds.

        As long as it takes at the present rates of all others.
        """
        attempt, system = self._simulation.running[job], self._system_of[job]
        rate_Bps = system.storage.next_rate_Bps(
            size_bytes=self._use.size_bytes[job],
            clients=self._clients[job],
            files=self._use.files * self._n(attempt),
            reads=False,
        )
        return self._copy_s(attempt) + self._use.size_bytes[job] / rate_Bps

    def save(self, job: int, saved: Callable[[], None], expected: Callable[[float], None]) -> None:
        """Save the state of a job that stands still; see `SharedSaves`."""
        attempt, system = self._simulation.running[job], self._system_of[job]
        use = self._use
        self._forget(job)

        def pace(stretch: float, end_s: float) -> None:
            attempt.slow_save(self._simulation.clock.now, stretch)
            expected(end_s)

        def write() -> None:
            self._begins.pop(job, None)
            transfer = _Transfer(use.size_bytes[job], use.size_bytes[job], saved, pace)
            self._begin(system, job, transfer, self._clients[job], self._n(attempt), reads=False)

        if (copy_s := self._copy_s(attempt)) > 0:
            clock = self._simulation.clock
            self._begins[job] = event = clock.at(clock.now + copy_s, NODE_EVENT)
            event.callbacks.append(lambda _: write())
        else:
            write()

    def is_saved(self, job: int) -> bool:
        """Return whether a job that saves its state has saved all of it, but for rounding."""
        system = self._system_of[job]
        self._advance(system)
        transfer = system.transfers.get(job)
        return transfer is not None and transfer.left_bytes <= _SAVED * transfer.size_bytes

    # --- Reads by others -----------------------------------------------------------------

    def begun(self, event: NodeEvent) -> None:
        """Let a node that begins to serve read what its service needs."""
        size = self._use.service_bytes.get(event.cause, 0.0)
        if event.kind is NodeEventKind.SERVICE and size > 0:
            self._n_reads += 1
            system = self._systems[self._use.system_of[event.pool]]
            transfer = _Transfer(size, size, lambda: None, None)
            n = self._use.chips_per_node[event.pool]
            self._begin(system, -self._n_reads, transfer, 1, n, reads=True)

    # --- Internals ----------------------------------------------------------------------

    def _n(self, attempt: Attempt) -> int:
        """Return the number of accelerators of an attempt."""
        holding = attempt.holding
        return self._use.n_accelerators[attempt.job] if holding is None else holding.size

    def _copy_s(self, attempt: Attempt) -> float:
        """Return how long a job copies its state before it is written, seconds."""
        return 0.0 if self._use.copy_Bps is None else attempt.checkpoints.cost_s

    def _ask_to_load(self, job: int) -> None:
        """Let a job load its state, as soon as it is its turn."""
        del self._begins[job]
        system = self._system_of[job]
        if len(system.loading) < system.at_once:
            self._load(system, job)
        else:
            system.waiting.append(job)
            self._simulation.rerate(job, math.inf, "storage")

    def _load(self, system: _System, job: int) -> None:
        attempt = self._simulation.running[job]
        system.loading.add(job)

        def loaded() -> None:
            self._next_load(system, job)
            self._simulation.loaded(job)
            self._work(attempt)

        def pace(stretch: float, _end_s: float) -> None:
            now = attempt.slowed_by("storage")
            if now == math.inf or abs(stretch - now) > self._use.tolerance * now:
                self._simulation.rerate(job, stretch, "storage")

        size = attempt.checkpoints.load_bytes
        transfer = _Transfer(size, size, loaded, pace)
        self._begin(system, job, transfer, self._clients[job], self._n(attempt), reads=True)

    def _next_load(self, system: _System, job: int) -> None:
        """Give the place of a job that has loaded to the one that has waited longest."""
        system.loading.discard(job)
        if system.waiting:
            self._load(system, system.waiting.popleft())

    def _work(self, attempt: Attempt) -> None:
        """Let a job that works save its state regularly."""
        job, checkpoints, use = attempt.job, attempt.checkpoints, self._use
        count = checkpoints.count(attempt.work_s)
        if not count or not use.size_bytes[job]:
            return
        system, background = self._system_of[job], use.copy_Bps is not None
        between_s = attempt.work_s / count
        system.storage.save_regularly(
            job,
            size_bytes=use.size_bytes[job],
            clients=self._clients[job],
            files=use.files * self._n(attempt),
            period_s=between_s + (checkpoints.cost_s if background else 0.0),
            background=background,
        )
        self._saves[job] = _RegularSaves(between_s, checkpoints.cost_s)
        self._ask(system)

    def _begin(
        self, system: _System, key: int, transfer: _Transfer, clients: int, n: int, *, reads: bool
    ) -> None:
        """Begin a transfer of `n` accelerators now."""
        self._advance(system)
        system.transfers[key] = transfer
        system.storage.begin(
            key,
            size_bytes=transfer.size_bytes,
            clients=clients,
            files=self._use.files * n,
            reads=reads,
        )
        self._ask(system)

    def _end(self, system: _System, key: int) -> None:
        """End a transfer that is done, or whose job has left."""
        self._advance(system)
        del system.transfers[key]
        system.storage.end(key)
        self._ask(system)

    def _advance(self, system: _System) -> None:
        """Move all transfers on to the present."""
        now = self._simulation.clock.now
        passed_s, system.since_s = now - system.since_s, now
        if passed_s > 0:
            for transfer in system.transfers.values():
                transfer.left_bytes -= passed_s * transfer.rate_Bps

    def _ask(self, system: _System) -> None:
        """Ask for new rates at the end of this instant."""
        if not system.is_due:
            system.is_due = True
            clock = self._simulation.clock
            clock.at(clock.now, STORAGE).callbacks.append(lambda _: self._settle(system))

    def _settle(self, system: _System) -> None:
        """Give all transfers and jobs their new rates."""
        system.is_due = False
        self._advance(system)
        storage, now = system.storage, self._simulation.clock.now
        for key in storage.settle():
            if key in system.transfers:
                transfer = system.transfers[key]
                transfer.rate_Bps = storage.rate_Bps(key)
                if transfer.pace is not None:
                    ends_s = now + max(0.0, transfer.left_bytes) / transfer.rate_Bps
                    transfer.pace(storage.stretch(key), ends_s)
            else:
                self._set_pace(system, key)
        self._plan(system)
        if self._observer is not None:
            self._observer.changed(now, self._systems.index(system), storage)

    def _set_pace(self, system: _System, job: int) -> None:
        """Set the pace of a job that saves its state regularly."""
        saves, stretch = self._saves[job], system.storage.stretch(job)
        if abs(stretch - saves.stretch) <= self._use.tolerance * saves.stretch and stretch > 1.0:
            return
        saves.stretch = stretch
        if self._use.copy_Bps is None:
            slowdown = (saves.between_s + saves.cost_s * stretch) / saves.cycle_s
        else:
            attempt = self._simulation.running[job]
            attempt.write_s = attempt.checkpoints.write_s * stretch
            slowdown = max(1.0, attempt.write_s / saves.cycle_s)
        self._simulation.rerate(job, slowdown, "storage")

    def _plan(self, system: _System) -> None:
        """Schedule the end of the transfer that ends next."""
        clock = self._simulation.clock
        if system.next_end is not None:
            clock.cancel(system.next_end)
            system.next_end = None
        if system.transfers:
            left_s, system.next_key = min(
                (max(0.0, each.left_bytes) / each.rate_Bps, key)
                for key, each in system.transfers.items()
            )
            system.next_end = clock.at(clock.now + left_s, NODE_EVENT)
            system.next_end.callbacks.append(lambda _: self._finish(system))

    def _finish(self, system: _System) -> None:
        """End the transfers that are done."""
        system.next_end = None
        self._advance(system)
        for key, transfer in list(system.transfers.items()):
            is_done = transfer.left_bytes <= _DONE * transfer.size_bytes
            if key in system.transfers and (is_done or key == system.next_key):
                self._end(system, key)
                transfer.done()
