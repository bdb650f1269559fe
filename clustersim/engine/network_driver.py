"""Slows gangs down by their placement in the network and by the gangs that share its trunks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias

from simpy.events import Event

from clustersim.engine.clock import NETWORK
from clustersim.engine.engine import Simulation
from clustersim.network.contention import SharedTrunks
from clustersim.network.gang_links import Communication, Gang, GangLinks
from clustersim.scheduling.placements import NodePlacement, Nodes
from clustersim.scheduling.queue import Partition

__all__ = ["CommunicationOf", "NetworkDriver", "Observer"]

CommunicationOf: TypeAlias = Callable[[int, int, int, int, int], Communication]
"""Returns how a job communicates, from its number, its pool, its number of chips, the smallest
number of chips that it has in a scale-up domain, and the number of these domains."""


class Observer(Protocol):
    """An observer of the trunks."""

    def about_to_change(self, time_s: float, trunks: SharedTrunks) -> None:
        """React to the first change of the jobs at a time, before it is made."""

    def changed(self, time_s: float, trunks: SharedTrunks) -> None:
        """React to new shares of the jobs, from a time on."""


class NetworkDriver:
    """Changes the pace of the gangs of a simulation that has not started yet.

    A gang in one scale-up domain does not use the network. Any other gang gets the share of the
    rate of its NICs that its trunks allow: for itself, or with `contention` beside all gangs that
    run at the same time. Shares are computed once at the end of each instant at which a gang that
    uses shared trunks starts or leaves, after the scheduling pass.

    A job keeps its slowdown while it saves its state or loads it.

    Parameters
    ----------
    simulation : Simulation
        Its placements must track nodes.
    links : GangLinks
    communication_of : CommunicationOf
    contention : bool
        Whether gangs slow each other down.
    tolerance : float
        A gang is slowed down or sped up if its slowdown changes by more than this part of it.
    observer : Observer, optional
        Notified of all changes if there is contention.
    """

    def __init__(
        self,
        simulation: Simulation,
        links: GangLinks,
        communication_of: CommunicationOf,
        *,
        contention: bool = True,
        tolerance: float = 0.01,
        observer: Observer | None = None,
    ) -> None:
        self._simulation = simulation
        self._links = links
        self._communication_of = communication_of
        self._contention = contention
        self._observer = observer
        self._first_node = [
            int(links.graph.first_node[part.pool]) + part.first_node
            for part in simulation.partitions
        ]
        self._chosen_order = [
            isinstance(part.placement, NodePlacement) and part.placement.ranks_follow_choice()
            for part in simulation.partitions
        ]
        self._is_due = False
        self.sharing: dict[int, tuple[Sequence[int], Sequence[float], Communication]] = {}
        self.trunks = SharedTrunks(links.capacity_Bps, tolerance=tolerance)
        simulation.watch(self)

    def started(self, job: int, partition: Partition, nodes: Nodes) -> None:
        """Let a gang that starts use its trunks."""
        holding = self._simulation.running[job].holding
        if holding is None:
            if len(nodes) > 1:
                n = self._simulation.jobs.n_accelerators[job]
                self._use(job, partition.pool, n, self._gang(partition, nodes))
        elif len(holding.parts) == 1:
            if len(nodes) > 1:
                self._use(job, partition.pool, holding.size, self._gang(partition, nodes))
        elif partition is holding.parts[-1].partition:  # called once for each part
            gang = [pair for part, on in holding.on for pair in self._gang(part, on)]
            self._use(job, holding.parts[0].partition.pool, holding.size, gang)

    def left(self, job: int, partition: Partition, nodes: Nodes) -> None:
        """Free the trunks of a gang that leaves."""
        self._unshare(job)

    def _unshare(self, job: int) -> None:
        if job in self.sharing:
            self._ask()
            del self.sharing[job]
            self.trunks.remove(job)

    def _gang(self, partition: Partition, nodes: Nodes) -> Gang:
        """Return the nodes of a gang in the order of its ranks, numbered over all pools."""
        first = self._first_node[partition.index]
        gang = [(first + node, chips) for node, chips in nodes]
        if not self._chosen_order[partition.index]:
            gang.sort()
        return gang

    def _use(self, job: int, pool: int, n: int, gang: Gang) -> None:
        inside = self._links.inside(gang)
        if not inside:
            return
        communication = self._communication_of(job, pool, n, inside, self._links.domains(gang))
        self._send(job, gang, inside, communication)

    def _send(self, job: int, gang: Gang, inside: int, communication: Communication) -> None:
        """Let a gang that starts send over its trunks."""
        trunks, demand_Bps = self._links.demand(gang, inside, communication)
        response = communication.response
        if trunks and self._contention:
            self._share(job, trunks, demand_Bps, communication)
            return
        slowdown = float(response.slowdown[0])
        if trunks:
            slowdown, _ = response.at(self._links.alone(trunks, demand_Bps))
        if slowdown > 1.0:
            self._simulation.rerate(job, slowdown, "network")

    def _share(
        self,
        job: int,
        trunks: Sequence[int],
        demand_Bps: Sequence[float],
        communication: Communication,
    ) -> None:
        """Let a gang share its trunks with others, from the end of this instant on."""
        self._ask()
        self.sharing[job] = trunks, demand_Bps, communication
        self.trunks.add(job, trunks, demand_Bps, communication.response)

    def _ask(self) -> None:
        """Ask for new shares at the end of this instant, before the jobs change."""
        if not self._is_due:
            self._is_due = True
            clock = self._simulation.clock
            if self._observer is not None:
                self._observer.about_to_change(clock.now, self.trunks)
            clock.at(clock.now, NETWORK).callbacks.append(self._settle)

    def _settle(self, _event: Event) -> None:
        self._is_due = False
        simulation, trunks = self._simulation, self.trunks
        for job in trunks.settle():
            simulation.rerate(job, max(1.0, trunks.slowdown(job)), "network")
        if self._observer is not None:
            self._observer.changed(simulation.clock.now, trunks)
