"""Faults of the network in a simulation: they narrow trunks and ports, and stop gangs cut off."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterable
from dataclasses import dataclass, replace

import numpy as np
from simpy.events import Event

from clustersim.engine.attempts import StopCause
from clustersim.engine.clock import NODE_EVENT
from clustersim.engine.engine import Simulation
from clustersim.engine.network_driver import CommunicationOf, NetworkDriver, Observer
from clustersim.network.cable_faults import CableState, NetworkFault, instants
from clustersim.network.gang_links import Communication, Gang, GangLinks
from clustersim.network.trunks import RAIL
from clustersim.scheduling.placements import Nodes
from clustersim.scheduling.queue import Partition

__all__ = ["FaultDriver"]


@dataclass(frozen=True, slots=True, eq=False)
class _Sender:
    """A running gang that uses the network."""

    gang: Gang
    inside: int
    communication: Communication
    trunks: list[int]  # without ports


class FaultDriver(NetworkDriver):
    """Changes the pace of gangs, in a network whose parts fail and are repaired.

    A trunk has the part of its capacity that its cables have left, and so have the ports of a node,
    which are a trunk like the others while some of them are down. Gangs on a node without any port,
    or over a trunk without any cable, are stopped without warning. Node events (see
    :func:`~clustersim.availability.cut_off.nodes_cut_off`) must take these nodes out of service for
    the same time, so that no other gang starts there.

    Parameters
    ----------
    simulation, links, communication_of, contention, tolerance, observer
        As for :class:`~clustersim.engine.network_driver.NetworkDriver`. The trunks that can lose
        capacity must be among those of `links`.
    faults : iterable of NetworkFault
        In order of their start; the sequence may be infinite.
    state : CableState
        Without faults.
    """

    def __init__(
        self,
        simulation: Simulation,
        links: GangLinks,
        communication_of: CommunicationOf,
        faults: Iterable[NetworkFault],
        state: CableState,
        *,
        contention: bool = True,
        tolerance: float = 0.01,
        observer: Observer | None = None,
    ) -> None:
        super().__init__(
            simulation,
            links,
            communication_of,
            contention=contention,
            tolerance=tolerance,
            observer=observer,
        )
        self._faults = faults
        self._state = state
        self._is_over: dict[NetworkFault, bool] = {}
        self._senders: dict[int, _Sender] = {}
        self._on_node: dict[int, dict[int, None]] = {}
        self._on_trunk: dict[int, dict[int, None]] = {}
        self._impaired: dict[int, None] = {}
        self.capacity_Bps = links.capacity_Bps.copy()
        simulation.clock.process(self._take_turns())

    @property
    def log(self) -> list[NetworkFault]:
        """The faults that have begun. A fault that is not over has an infinite end."""
        return [
            fault if over else replace(fault, end_s=math.inf)
            for fault, over in self._is_over.items()
        ]

    def left(self, job: int, partition: Partition, nodes: Nodes) -> None:
        """Free the ports and trunks of a gang that leaves."""
        super().left(job, partition, nodes)
        sender = self._senders.pop(job, None)
        if sender is not None:
            for node, _ in sender.gang:
                del self._on_node[node][job]
            for trunk in sender.trunks:
                del self._on_trunk[trunk][job]

    def _send(self, job: int, gang: Gang, inside: int, communication: Communication) -> None:
        trunks, _ = self._links.demand(gang, inside, communication)
        self._senders[job] = _Sender(gang, inside, communication, trunks)
        for node, _ in gang:
            self._on_node.setdefault(node, {})[job] = None
        for trunk in trunks:
            self._on_trunk.setdefault(trunk, {})[job] = None
        self._resend(job)

    def _resend(self, job: int) -> None:
        """Let a gang send over its trunks, and over the ports of nodes that have lost some."""
        own, communication = self._senders[job], self._senders[job].communication
        links = self._links
        trunks, demand_Bps = links.demand(own.gang, own.inside, communication, self._impaired)
        if self._contention:
            self._unshare(job)
            if trunks:
                self._share(job, trunks, demand_Bps, communication)
                return
        alone = links.alone(trunks, demand_Bps, self.capacity_Bps)
        slowdown, _ = communication.response.at(alone)
        self._simulation.rerate(job, max(1.0, slowdown), "network")

    def _take_turns(self) -> Generator[Event, None, None]:
        """Begin and end the faults one after the other (a SimPy process)."""
        clock, state = self._simulation.clock, self._state
        for time_s, ended, begun in instants(self._faults):
            if time_s > clock.now:
                yield clock.at(time_s, NODE_EVENT)
            changed = [state.end(fault) for fault in ended]
            changed += [state.begin(fault) for fault in begun]
            self._is_over.update(dict.fromkeys(ended, True))
            self._is_over.update(dict.fromkeys(begun, False))
            nodes = np.unique(np.concatenate([each.nodes for each in changed]))
            trunks = np.unique(np.concatenate([each.trunks for each in changed]))
            self._change(nodes.tolist(), trunks.tolist())

    def _change(self, nodes: list[int], trunks: list[int]) -> None:
        """React to what nodes and trunks (numbered as in the graph) have left now."""
        concerned: dict[int, None] = {}
        ports = self._links.graph.up_of_node[RAIL]
        for node in nodes:
            part = float(self._state.node_part[node])
            if part < 1.0:
                self._impaired[node] = None
            else:
                self._impaired.pop(node, None)
            self._narrow(int(ports[node]), part, self._on_node.get(node), concerned)
        for trunk in trunks:
            part = float(self._state.trunk_part[trunk])
            position = self._links.position(trunk)
            jobs = None if position is None else self._on_trunk.get(position)
            shared: dict[int, None] = {}
            self._narrow(trunk, part, jobs, shared)
            if not self._contention:
                concerned.update(shared)
        for job in concerned:
            if job in self._senders:  # it may have been stopped meanwhile
                self._resend(job)

    def _narrow(
        self, trunk: int, part: float, jobs: dict[int, None] | None, left: dict[int, None]
    ) -> None:
        """Give a trunk, or the ports of a node, a part of their capacity.

        If nothing is left, the jobs there stop, and the capacity stays as it was, because the nodes
        are out of service. Otherwise the jobs are added to `left`.
        """
        for job in list(jobs or ()):
            if part > 0.0:
                left[job] = None
            else:
                self._simulation.stop(job, saved=False, cause=StopCause.NETWORK)
        position = self._links.position(trunk)
        if position is not None and part > 0.0:
            capacity_Bps = float(self._links.capacity_Bps[position]) * part
            self.capacity_Bps[position] = capacity_Bps
            if self._contention:
                self._ask()
                self.trunks.set_capacity(position, capacity_Bps)
