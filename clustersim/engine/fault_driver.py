"""Faults of the network in a simulation: they narrow trunks and ports, and stop gangs cut off."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterable
from dataclasses import dataclass, replace
from heapq import heappop, heappush

from simpy.events import Event

from clustersim.engine.attempts import StopCause
from clustersim.engine.clock import NODE_EVENT
from clustersim.engine.engine import Simulation
from clustersim.engine.network_driver import CommunicationOf, NetworkDriver, Observer
from clustersim.network.cable_faults import CableState, NetworkFault
from clustersim.network.gang_links import Communication, Gang, GangLinks
from clustersim.network.port_limits import limited, port_share
from clustersim.scheduling.placements import Nodes
from clustersim.scheduling.queue import Partition

__all__ = ["FaultDriver"]


@dataclass(frozen=True, slots=True, eq=False)
class _Sender:
    """A running gang that uses the network, as it would be without faults."""

    gang: Gang
    inside: int
    communication: Communication
    trunks: list[int]
    demand_Bps: list[float]


class FaultDriver(NetworkDriver):
    """Changes the pace of gangs, in a network whose parts fail and are repaired.

    A gang gets at most the share that the ports of its nodes have left, and a trunk has the part of
    its capacity that its cables have left. Gangs on a node without any port, or over a trunk
    without any cable, are stopped without warning. Node events (see
    :func:`~clustersim.network.cut_off.nodes_cut_off`) must take these nodes out of service for the
    same time, so that no other gang starts there.

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
        self._begun: list[NetworkFault] = []
        self._is_over = bytearray()
        self._senders: dict[int, _Sender] = {}
        self._on_node: dict[int, dict[int, None]] = {}
        self._on_trunk: dict[int, dict[int, None]] = {}
        self._impaired: dict[int, float] = {}
        self._domain_of = links.domain_of()
        self.capacity_Bps = links.capacity_Bps.copy()
        simulation.clock.process(self._take_turns())

    @property
    def log(self) -> list[NetworkFault]:
        """The faults that have begun. A fault that is not over has an infinite end."""
        return [
            fault if over else replace(fault, end_s=math.inf)
            for fault, over in zip(self._begun, self._is_over, strict=True)
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
        trunks, demand_Bps = self._links.demand(gang, inside, communication)
        self._senders[job] = _Sender(gang, inside, communication, trunks, demand_Bps)
        for node, _ in gang:
            self._on_node.setdefault(node, {})[job] = None
        for trunk in trunks:
            self._on_trunk.setdefault(trunk, {})[job] = None
        self._resend(job)

    def _resend(self, job: int) -> None:
        """Let a gang send at the rate that its ports have now."""
        sender, communication = self._senders[job], self._senders[job].communication
        demand_Bps, share = sender.demand_Bps, self._port_share(sender)
        if share < 1.0:
            communication = replace(communication, response=limited(communication.response, share))
            demand_Bps = [share * demand for demand in demand_Bps]
        if sender.trunks and self._contention:
            self._unshare(job)
            self._share(job, sender.trunks, demand_Bps, communication)
            return
        alone = self._links.alone(sender.trunks, demand_Bps, self.capacity_Bps)
        slowdown, _ = communication.response.at(alone)
        self._simulation.rerate(job, max(1.0, slowdown), "network")

    def _port_share(self, sender: _Sender) -> float:
        impaired = self._impaired
        if not impaired or all(node not in impaired for node, _ in sender.gang):
            return 1.0
        gang, inside = sender.gang, sender.inside
        return port_share(gang, inside, sender.communication, impaired, self._domain_of)

    def _take_turns(self) -> Generator[Event, None, None]:
        """Begin and end the faults one after the other (a SimPy process)."""
        clock, state = self._simulation.clock, self._state
        ends: list[tuple[float, int]] = []
        coming = iter(self._faults)
        following = next(coming, None)
        while following is not None or ends:
            begin_s = math.inf if following is None else following.begin_s
            time_s = min(begin_s, ends[0][0]) if ends else begin_s
            if time_s > clock.now:
                yield clock.at(time_s, NODE_EVENT)
            nodes: dict[int, None] = {}
            trunks: dict[int, None] = {}
            while ends and ends[0][0] <= time_s:
                number = heappop(ends)[1]
                self._is_over[number] = True
                changed = state.end(self._begun[number])
                nodes.update(dict.fromkeys(changed.nodes.tolist()))
                trunks.update(dict.fromkeys(changed.trunks.tolist()))
            while following is not None and following.begin_s <= time_s:
                if following.end_s < math.inf:
                    heappush(ends, (following.end_s, len(self._begun)))
                self._begun.append(following)
                self._is_over.append(False)
                changed = state.begin(following)
                nodes.update(dict.fromkeys(changed.nodes.tolist()))
                trunks.update(dict.fromkeys(changed.trunks.tolist()))
                following = next(coming, None)
            self._change(sorted(nodes), sorted(trunks))

    def _change(self, nodes: list[int], trunks: list[int]) -> None:
        """React to what nodes and trunks (numbered as in the graph) have left now."""
        concerned: dict[int, None] = {}
        for node in nodes:
            part = float(self._state.node_part[node])
            if part < 1.0:
                self._impaired[node] = part
            else:
                self._impaired.pop(node, None)
            self._stop_or_note(self._on_node.get(node), part, concerned)
        for trunk in trunks:
            position = self._links.position(trunk)
            if position is not None:
                part = float(self._state.trunk_part[trunk])
                on_trunk: dict[int, None] = {}
                self._stop_or_note(self._on_trunk.get(position), part, on_trunk)
                if not self._contention:
                    concerned.update(on_trunk)
                if part > 0.0:
                    self._narrow(position, part)
        for job in concerned:
            if job in self._senders:  # it may have been stopped meanwhile
                self._resend(job)

    def _stop_or_note(
        self, jobs: dict[int, None] | None, part: float, concerned: dict[int, None]
    ) -> None:
        """Stop the gangs on a node or trunk that has nothing left; otherwise note them."""
        for job in list(jobs or ()):
            if part > 0.0:
                concerned[job] = None
            else:
                self._simulation.stop(job, saved=False, cause=StopCause.NETWORK)

    def _narrow(self, position: int, part: float) -> None:
        """Give a trunk a part of its capacity.

        A trunk without any cable keeps what it had, because its nodes are out of service.
        """
        capacity_Bps = float(self._links.capacity_Bps[position]) * part
        self.capacity_Bps[position] = capacity_Bps
        if self._contention:
            self._ask()
            self.trunks.set_capacity(position, capacity_Bps)
